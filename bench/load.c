/* A load generator for UDP servers on loopback: one thread that is meant to have a core of its own.
 *
 * A stream is a file of queries, a rate, and sockets of its own. Without a rate it is a closed loop: so many queries
 * are in flight, and each answer is followed by a new query at once. With a rate it is an open loop: the n-th query is
 * due at start + n / rate, whatever became of the ones before, and the time its answer took counts from then. Several
 * streams run at once. The thread never sleeps while it sends (--sleep changes that), so that no server has to wake it.
 *
 * An answer counts when its id is that of a query in flight on its socket, its question is that query's, QR is set, and
 * code and records are as the file says, and an A record is one of 127.0.0.0/8. In a closed loop a query that is a second old is lost, and replaced. In an
 * open loop it is lost when it has not been answered two seconds after the last one was sent.
 *
 * The file: for each query its length (two bytes, big-endian), what is expected (a byte: a response code, where 0 also
 * wants a record in the answer section, or 255 for whatever comes), and the message; its id is overwritten.
 *
 * One line of JSON for each stream is printed at the end, times in microseconds. "late" answers belong to no query in
 * flight; "dropped" ones came, and found no room in the buffers here: such a loss is not the server's. "silence" is the
 * longest time between two answers.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define HEADER 12
#define MESSAGE 512
#define ANSWER 4096
#define IDS 65536
#define ANYTHING 255
#define POINTER 2
#define RECORD 10
#define TYPE_A 1
#define NANO 1000000000L
#define LONGEST 20000000 /* in us: longer times count as this one */
#define PATIENCE NANO    /* until a query of a closed loop is lost */
#define STRAGGLERS (2 * NANO)
#define RECEIVE_BUFFER (16 << 20)
#define BURST 8 /* queries of an open loop that are sent before answers are looked for again */

struct query {
    const uint8_t *message;
    uint16_t length;
    uint8_t expected;
};

struct flight {
    const struct query *query; /* NULL: none with this id */
    int64_t due;
};

struct stream;

struct lane { /* a socket */
    struct stream *stream;
    int fd;
    unsigned in_flight;
    uint16_t oldest, next; /* ids: all that is in flight is in [oldest, next) */
    struct flight flights[IDS];
};

struct stream {
    const char *path;
    double rate; /* 0: closed loop */
    struct query *queries;
    size_t count, at;
    struct lane *lanes;
    uint64_t sent, answered, wrong, lost, late;
    uint32_t *took; /* how many answers took that many us */
    int64_t heard, silence; /* when an answer came last; the longest time between two, in ns */
};

static unsigned sockets = 16, window = 96;
static bool checked = true, sleeping;
static uint8_t out[BATCH][MESSAGE], in[BATCH][ANSWER];
static struct mmsghdr out_headers[BATCH], in_headers[BATCH];
static struct iovec out_parts[BATCH], in_parts[BATCH];

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, errno ? strerror(errno) : "not understood");
    exit(2);
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory)
        fail("memory");
    return memory;
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * NANO + time.tv_nsec;
}

static void read_queries(struct stream *stream)
{
    FILE *file = fopen(stream->path, "rb");
    if (!file || fseek(file, 0, SEEK_END))
        fail(stream->path);
    size_t size = (size_t)ftell(file);
    uint8_t *bytes = allocate(size + 1, 1);
    rewind(file);
    if (fread(bytes, 1, size, file) != size)
        fail(stream->path);
    fclose(file);
    stream->queries = allocate(size / (3 + HEADER) + 1, sizeof *stream->queries);
    for (size_t at = 0; at < size;) {
        size_t length = size - at < 3 ? 0 : (size_t)(bytes[at] << 8 | bytes[at + 1]);
        if (length < HEADER || length > MESSAGE || length > size - at - 3)
            fail(stream->path);
        stream->queries[stream->count++] = (struct query){bytes + at + 3, (uint16_t)length, bytes[at + 2]};
        at += 3 + length;
    }
    if (!stream->count)
        fail(stream->path);
}

static void open_lanes(struct stream *stream, const struct addrinfo *server, int epoll)
{
    int size = RECEIVE_BUFFER;
    stream->lanes = allocate(sockets, sizeof *stream->lanes);
    for (unsigned i = 0; i < sockets; i++) {
        struct lane *lane = &stream->lanes[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = lane};
        lane->stream = stream;
        lane->fd = socket(server->ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (lane->fd < 0)
            fail("socket");
        if (setsockopt(lane->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
            setsockopt(lane->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size); /* not root: what is allowed */
        if (connect(lane->fd, server->ai_addr, server->ai_addrlen) || epoll_ctl(epoll, EPOLL_CTL_ADD, lane->fd, &event))
            fail("connect");
    }
}

static void lose(struct lane *lane, uint16_t id)
{
    lane->flights[id].query = NULL;
    lane->in_flight--;
    lane->stream->lost++;
}

/* Send so many more queries, a batch at most, all due then. */
static void send_queries(struct lane *lane, unsigned count, int64_t due)
{
    struct stream *stream = lane->stream;
    uint16_t first = lane->next;
    for (unsigned i = 0; i < count; i++) {
        const struct query *query = &stream->queries[stream->at];
        uint16_t id = lane->next++;
        stream->at = stream->at + 1 < stream->count ? stream->at + 1 : 0;
        if (lane->flights[id].query)
            lose(lane, id); /* 65,536 queries ago */
        if (lane->oldest == lane->next)
            lane->oldest++;
        lane->flights[id] = (struct flight){query, due};
        memcpy(out[i], query->message, query->length);
        out[i][0] = (uint8_t)(id >> 8);
        out[i][1] = (uint8_t)id;
        out_parts[i].iov_len = query->length;
    }
    lane->in_flight += count;
    stream->sent += count;
    for (unsigned done = 0; done < count;) {
        int sent = sendmmsg(lane->fd, out_headers + done, count - done, 0);
        if (sent < 0 && errno != ECONNREFUSED && errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
            fail("send");
        if (sent < 0 && errno != EINTR) { /* this one is gone: nobody listens, or no room */
            lose(lane, (uint16_t)(first + done));
            sent = 1;
        }
        done += sent < 0 ? 0 : (unsigned)sent;
    }
}

/* Whether the first record behind a question, whose owner is a pointer, is of the question's type, and lists. */
static bool lists(const uint8_t *record, const uint8_t *qtype, unsigned length)
{
    return length >= POINTER + RECORD + 4 && !memcmp(record + POINTER, qtype, 2) &&
           (qtype[0] || qtype[1] != TYPE_A || record[POINTER + RECORD] == 127);
}

static bool is_right(const struct query *query, const uint8_t *answer, unsigned length)
{
    if (length < query->length || !(answer[2] & 0x80))
        return false;
    if (memcmp(answer + HEADER, query->message + HEADER, query->length - HEADER))
        return false;
    if (!checked || query->expected == ANYTHING)
        return true;
    if ((answer[3] & 15) != query->expected)
        return false;
    if (query->expected)
        return true;
    return (answer[6] || answer[7]) &&
           lists(answer + query->length, query->message + query->length - 4, length - query->length);
}

/* Take the answers that are there, at most a batch; how many queries they were for. */
static unsigned receive_answers(struct lane *lane)
{
    struct stream *stream = lane->stream;
    unsigned done = 0;
    int count = recvmmsg(lane->fd, in_headers, BATCH, 0, NULL);
    int64_t time = now();
    if (count > 0 && stream->heard && time - stream->heard > stream->silence)
        stream->silence = time - stream->heard;
    if (count > 0)
        stream->heard = time;
    for (int i = 0; i < count; i++) {
        const uint8_t *answer = in[i];
        unsigned length = in_headers[i].msg_len;
        struct flight *flight = &lane->flights[answer[0] << 8 | answer[1]];
        if (length < HEADER || !flight->query) {
            stream->late++;
            continue;
        }
        if (is_right(flight->query, answer, length)) {
            int64_t took = (time - flight->due) / 1000;
            stream->took[took < LONGEST ? took : LONGEST]++;
            stream->answered++;
        } else {
            stream->wrong++;
        }
        flight->query = NULL;
        done++;
    }
    lane->in_flight -= done;
    return done;
}

/* Lose what was sent before that time; how many those are. */
static unsigned expire(struct lane *lane, int64_t time)
{
    unsigned lost = 0;
    for (; lane->oldest != lane->next; lane->oldest++) {
        const struct flight *flight = &lane->flights[lane->oldest];
        if (flight->query && flight->due > time)
            break;
        if (flight->query) {
            lose(lane, lane->oldest);
            lost++;
        }
    }
    return lost;
}

static void fill(struct lane *lane)
{
    const unsigned share = window / sockets;
    while (lane->in_flight < share) {
        unsigned more = share - lane->in_flight;
        unsigned before = lane->in_flight;
        send_queries(lane, more < BATCH ? more : BATCH, now());
        if (lane->in_flight == before)
            break; /* nobody listens: not forever */
    }
}

/* Send what is due, a burst at most. */
static void keep_rate(struct stream *stream, int64_t start, int64_t time)
{
    uint64_t due = (uint64_t)((double)(time - start) * stream->rate / (double)NANO);
    for (unsigned i = 0; i < BURST && stream->sent < due; i++) {
        struct lane *lane = &stream->lanes[stream->sent % sockets];
        send_queries(lane, 1, start + (int64_t)((double)stream->sent * (double)NANO / stream->rate));
    }
}

static uint64_t in_flight(const struct stream *stream)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < sockets; i++)
        sum += stream->lanes[i].in_flight;
    return sum;
}

static void run(struct stream *streams, int count, int epoll, double seconds)
{
    int64_t start = now(), end = start + (int64_t)(seconds * (double)NANO), looked = start;
    bool paced = false;
    for (int i = 0; i < count; i++) {
        paced |= streams[i].rate > 0;
        for (unsigned j = 0; j < sockets && streams[i].rate <= 0; j++)
            fill(&streams[i].lanes[j]);
    }
    for (int64_t time = start; time < end + STRAGGLERS; time = now()) {
        struct epoll_event events[BATCH];
        uint64_t waiting = 0;
        for (int i = 0; i < count; i++) {
            if (streams[i].rate > 0)
                keep_rate(&streams[i], start, time < end ? time : end);
            waiting += in_flight(&streams[i]);
        }
        if (time >= end && (!paced || !waiting))
            break;
        int ready = epoll_wait(epoll, events, BATCH, sleeping && !paced ? 10 : 0);
        for (int i = 0; i < ready; i++) {
            struct lane *lane = events[i].data.ptr;
            if (receive_answers(lane) && lane->stream->rate <= 0)
                fill(lane);
        }
        if (time - looked < PATIENCE / 10)
            continue;
        looked = time;
        for (int i = 0; i < count; i++)
            for (unsigned j = 0; j < sockets && streams[i].rate <= 0; j++)
                if (expire(&streams[i].lanes[j], time - PATIENCE) || !streams[i].lanes[j].in_flight)
                    fill(&streams[i].lanes[j]);
    }
}

static uint32_t percentile(const struct stream *stream, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)(stream->answered ? stream->answered - 1 : 0)), seen = 0;
    for (uint32_t us = 0; us <= LONGEST; us++)
        if ((seen += stream->took[us]) > wanted)
            return us;
    return 0;
}

static void report(struct stream *stream, double seconds)
{
    uint64_t dropped = 0;
    for (unsigned i = 0; i < sockets; i++) {
        uint32_t memory[9]; /* SK_MEMINFO_VARS; the last is SK_MEMINFO_DROPS */
        socklen_t length = sizeof memory;
        if (!getsockopt(stream->lanes[i].fd, SOL_SOCKET, SO_MEMINFO, memory, &length))
            dropped += memory[8];
        for (unsigned id = 0; id < IDS && stream->rate > 0; id++)
            if (stream->lanes[i].flights[id].query)
                lose(&stream->lanes[i], (uint16_t)id);
    }
    printf("{\"sent\": %lu, \"answered\": %lu, \"wrong\": %lu, \"lost\": %lu, \"late\": %lu, \"dropped\": %lu, "
           "\"seconds\": %.6f, \"p50\": %u, \"p99\": %u, \"p999\": %u, \"max\": %u, \"silence\": %ld}\n",
           stream->sent, stream->answered, stream->wrong, stream->lost, stream->late, dropped, seconds,
           percentile(stream, 0.5), percentile(stream, 0.99), percentile(stream, 0.999), percentile(stream, 1),
           stream->silence / 1000);
}

static _Noreturn void usage(void)
{
    fputs("usage: load [--to ADDRESS] --port PORT [--seconds 3] [--sockets 16] [--in-flight 96] [--unchecked]\n"
          "            [--sleep] FILE[@RATE] ...\n",
          stderr);
    exit(2);
}

int main(int argc, char **argv)
{
    const struct option options[] = {
        {"to", required_argument, NULL, 't'},
        {"port", required_argument, NULL, 'p'},
        {"seconds", required_argument, NULL, 's'},
        {"sockets", required_argument, NULL, 'n'},
        {"in-flight", required_argument, NULL, 'w'},
        {"unchecked", no_argument, NULL, 'u'},
        {"sleep", no_argument, NULL, 'z'},
        {0},
    };
    const char *address = "127.0.0.1", *port = NULL;
    double seconds = 3;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (option) {
        case 't': address = optarg; break;
        case 'p': port = optarg; break;
        case 's': seconds = atof(optarg); break;
        case 'n': sockets = (unsigned)atoi(optarg); break;
        case 'w': window = (unsigned)atoi(optarg); break;
        case 'u': checked = false; break;
        case 'z': sleeping = true; break;
        default: usage();
        }
    int count = argc - optind;
    if (!port || count < 1 || !(seconds > 0 && seconds <= 3600))
        usage();
    if (sockets < 1 || sockets > BATCH || window < sockets || window / sockets > IDS / 2)
        usage();
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM}, *server;
    if (getaddrinfo(address, port, &hints, &server))
        usage();
    for (int i = 0; i < BATCH; i++) {
        out_parts[i].iov_base = out[i];
        in_parts[i] = (struct iovec){in[i], ANSWER};
        out_headers[i].msg_hdr = (struct msghdr){.msg_iov = &out_parts[i], .msg_iovlen = 1};
        in_headers[i].msg_hdr = (struct msghdr){.msg_iov = &in_parts[i], .msg_iovlen = 1};
    }
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct stream *streams = allocate((size_t)count, sizeof *streams);
    for (int i = 0; i < count; i++) {
        char *at = strrchr(argv[optind + i], '@');
        if (at)
            *at = 0;
        streams[i].path = argv[optind + i];
        streams[i].rate = at ? atof(at + 1) : 0;
        streams[i].took = allocate(LONGEST + 1, sizeof *streams[i].took);
        read_queries(&streams[i]);
        open_lanes(&streams[i], server, epoll);
    }
    int64_t start = now();
    run(streams, count, epoll, seconds);
    double took = (double)(now() - start) / (double)NANO;
    for (int i = 0; i < count; i++)
        report(&streams[i], streams[i].rate > 0 ? seconds : took);
    return 0;
}
