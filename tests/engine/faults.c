/* System calls that fail as a test wants them to, for LD_PRELOAD.

   FAULTS is a list of what the next calls do, in turn: `3` sends three messages at the most, `EAGAIN` fails with that
   error, `EAGAIN*5` does so five times; `recv:` in front means recvmmsg instead of sendmmsg. When the list is at its
   end, all works. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const struct { const char *name; int number; } errors[] = {
    {"EAGAIN", EAGAIN}, {"EINTR", EINTR}, {"EINVAL", EINVAL}, {"EMSGSIZE", EMSGSIZE}, {"ENOBUFS", ENOBUFS}, {"ENOMEM", ENOMEM}, {"EPERM", EPERM},
};

/* What the next call does: 0 works, > 0 does so much, < 0 fails. For one thread. */
static int next_fault(int receiving)
{
    static char *faults;
    static long done;
    if (!faults) {
        const char *set = getenv("FAULTS");
        faults = strdup(set ? set : "");
    }
    if (!*faults || receiving != !strncmp(faults, "recv:", 5))
        return 0;
    char *item = faults + (receiving ? 5 : 0);
    char *end = item + strcspn(item, ",");
    char *times = memchr(item, '*', (size_t)(end - item));
    int result = atoi(item);
    for (size_t at = 0; at < sizeof errors / sizeof *errors; at++)
        if (!strncmp(item, errors[at].name, strlen(errors[at].name)))
            result = -errors[at].number;
    if (++done >= (times ? atol(times + 1) : 1)) {
        done = 0;
        faults = *end ? end + 1 : end;
    }
    return result;
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
    int (*real)(int, struct mmsghdr *, unsigned int, int) = dlsym(RTLD_NEXT, "sendmmsg");
    int fault = next_fault(0);
    if (fault < 0) {
        errno = -fault;
        return -1;
    }
    return real(fd, messages, fault && (unsigned int)fault < count ? (unsigned int)fault : count, flags);
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags, struct timespec *timeout)
{
    int (*real)(int, struct mmsghdr *, unsigned int, int, struct timespec *) = dlsym(RTLD_NEXT, "recvmmsg");
    int fault = next_fault(1);
    if (fault < 0) {
        errno = -fault;
        return -1;
    }
    return real(fd, messages, count, flags, timeout);
}
