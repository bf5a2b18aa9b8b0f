/* A file system that does not answer, for LD_PRELOAD: looks at paths that hold HANG_PATH, and opening them, never end
   as long as the file HANG_FLAG is there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void hang(const char *path)
{
    const char *part = getenv("HANG_PATH"), *flag = getenv("HANG_FLAG");
    if (!part || !flag || !path || !strstr(path, part))
        return;
    while (!access(flag, F_OK))
        usleep(10000);
}

#define STAT(name, type) \
    int name(const char *path, struct type *status) \
    { \
        int (*real)(const char *, struct type *) = dlsym(RTLD_NEXT, #name); \
        hang(path); \
        return real(path, status); \
    }
#define OPEN(name) \
    int name(const char *path, int flags, ...) \
    { \
        int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, #name); \
        va_list arguments; \
        va_start(arguments, flags); \
        mode_t mode = va_arg(arguments, mode_t); \
        va_end(arguments); \
        hang(path); \
        return real(path, flags, mode); \
    }

STAT(stat, stat)
STAT(lstat, stat)
STAT(stat64, stat64)
STAT(lstat64, stat64)
OPEN(open)
OPEN(open64)

DIR *opendir(const char *path)
{
    DIR *(*real)(const char *) = dlsym(RTLD_NEXT, "opendir");
    hang(path);
    return real(path);
}
