"""The engine: threads that answer UDP without the interpreter lock.

Owns how packets get from sockets to `_answer.respond` and back, which snapshot each thread works with, the counts of
what was answered, and the queue of what is left to Python. Knows neither zones nor files.

A worker is a thread with sockets of its own, which outlive every reload: epoll_wait, recvmmsg, answer in place,
sendmmsg. It never allocates, locks or waits for anything but its sockets. What other servers call the slow path are the
"odd" packets here; a "view" is what is published to the threads, and `seen` is what marks their quiescent states.

    adopt, retire (control plane)            worker, before each batch
      view := new                              seen := the generation of view
      wait until no worker's `seen` is older   ... answers from that view only ...
      free the old view                        asleep in epoll_wait: seen := ASLEEP

So a view is freed when the last worker has passed on; a worker asleep holds none, and no worker is ever held up.
"""

from libc.errno cimport EAGAIN, EINTR, EMSGSIZE, ENOBUFS, errno
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from dnsbl_server.answer._answer cimport (
    DROPPED,
    HEADER_SIZE,
    MAX_TCP,
    NO_LIST,
    NO_ZONE,
    ODD,
    OUTCOME_COUNT,
    PENDING,
    Directory,
    Names,
    Query,
    Verdict,
    cut,
    finish,
    prepare,
    respond,
    search,
)

cdef extern from * nogil:
    """
    #include <poll.h>
    #include <sys/epoll.h>
    #include <sys/eventfd.h>
    #include <sys/socket.h>
    #include <netinet/in.h>
    #include <time.h>
    #include <unistd.h>

    /* Shared between a worker and the control plane, without locks. */
    #define LOAD(place) __atomic_load_n((place), __ATOMIC_SEQ_CST)
    #define STORE(place, value) __atomic_store_n((place), (value), __ATOMIC_SEQ_CST)
    #define READ(place) __atomic_load_n((place), __ATOMIC_RELAXED)
    #define BUMP(place) __atomic_store_n((place), __atomic_load_n((place), __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED)
    """
    uint64_t LOAD(uint64_t* place)
    void STORE(uint64_t* place, uint64_t value)
    uint64_t READ(uint64_t* place)
    void BUMP(uint64_t* place)

    ctypedef unsigned int socklen_t
    struct iovec:
        void* iov_base
        size_t iov_len
    struct msghdr:
        void* msg_name
        socklen_t msg_namelen
        iovec* msg_iov
        size_t msg_iovlen
        void* msg_control
        size_t msg_controllen
        int msg_flags
    struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len
    struct cmsghdr:
        size_t cmsg_len
        int cmsg_level
        int cmsg_type
    struct sockaddr_in6:
        pass
    struct in_addr:
        uint32_t s_addr
    struct in_pktinfo:
        int ipi_ifindex
        in_addr ipi_spec_dst
        in_addr ipi_addr
    struct in6_addr:
        uint8_t s6_addr[16]
    struct in6_pktinfo:
        in6_addr ipi6_addr
        unsigned int ipi6_ifindex
    cmsghdr* CMSG_FIRSTHDR(msghdr* header)
    cmsghdr* CMSG_NXTHDR(msghdr* header, cmsghdr* before)
    uint8_t* CMSG_DATA(cmsghdr* header)
    int IPPROTO_IP, IPPROTO_IPV6, IP_PKTINFO, IPV6_PKTINFO, MSG_DONTWAIT, MSG_TRUNC
    int recvmmsg(int fd, mmsghdr* messages, unsigned int count, int flags, void* timeout)
    int sendmmsg(int fd, mmsghdr* messages, unsigned int count, int flags)
    ssize_t sendmsg(int fd, const msghdr* message, int flags)

    struct pollfd:
        int fd
        short events
        short revents
    int POLLOUT
    int poll(pollfd* polled, unsigned long count, int timeout)

    union epoll_data:
        uint32_t u32
    struct epoll_event:
        uint32_t events
        epoll_data data
    int EPOLLIN, EPOLL_CTL_ADD, EPOLL_CLOEXEC
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int operation, int fd, epoll_event* event)
    int epoll_wait(int epoll, epoll_event* events, int most, int timeout)
    int EFD_CLOEXEC, EFD_NONBLOCK
    int eventfd(unsigned int start, int flags)
    int eventfd_write(int fd, uint64_t value)
    int close(int fd)

    struct timespec:
        long tv_sec
        long tv_nsec
    int CLOCK_REALTIME, CLOCK_MONOTONIC
    int clock_gettime(int clock, timespec* now)
    int nanosleep(const timespec* time, timespec* left)

cdef enum:
    KINDS = 16                 # of query types that are counted apart
    BATCH = 64                 # packets taken in one go
    ROUNDS = 16                # batches from one socket before the others get their turn
    MAX_PACKET = 4096          # the longest message that is a query; a longer one is not looked at behind its header
    STRIDE = MAX_PACKET + 192  # no multiple of 4096: buffers that far apart would share a few lines of the cache
    CONTROL = 64
    CONTROL_WORDS = 8
    MAX_SOCKETS = 256
    STOP = 0xFFFFFFFF
    LEAST_MTU = 512            # answers up to this size pass everywhere
    SEND_TRIES = 100           # a millisecond each, that sockets which take no more are waited for

# What a view counted: (over TCP, zone or None, kind, outcome, count), and (zone, list, count).
Queries = list[tuple[bool, int | None, int, int, int]]
Hits = list[tuple[int, int, int]]

cdef uint64_t ASLEEP = <uint64_t>-1
cdef uint64_t WAKING = 0
cdef double LAST_WORK = 0.3    # seconds that a worker goes on after `stop`, if there is something to answer
cdef double PATIENCE = 0.05    # seconds that `retire` waits for workers


cdef double clock(int which) noexcept nogil:
    """Seconds on one of the kernel's clocks."""
    cdef timespec now
    clock_gettime(which, &now)
    return <double>now.tv_sec + 1e-9 * <double>now.tv_nsec


# What workers answer from ---------------------------------------------------------------------------------------------

cdef struct Shape:
    # What a worker needs of a view. A block holds the counts of one worker: for each zone, and for none, for each
    # kind of type, for each outcome; behind these the hits of each list.
    const Names* names
    uint64_t generation
    uint64_t* counts
    uint64_t block
    uint64_t* first_hit        # of each zone, in a block


cdef class _View:
    """A directory in service, with the counts that belong to it."""

    cdef Shape shape
    cdef Directory directory
    cdef object context
    cdef void* memory
    cdef uint32_t blocks

    def __cinit__(self, Directory directory, object context, uint64_t generation, uint32_t blocks):
        cdef uint64_t size
        cdef uint32_t zone
        self.directory = directory
        self.context = context
        self.blocks = blocks
        self.shape.names = directory.pointer()
        self.shape.generation = generation
        self.shape.first_hit = <uint64_t*>calloc(self.shape.names.zone_count + 1, sizeof(uint64_t))
        if self.shape.first_hit == NULL:
            raise MemoryError
        size = (<uint64_t>self.shape.names.zone_count + 1) * KINDS * OUTCOME_COUNT
        for zone in range(self.shape.names.zone_count):
            self.shape.first_hit[zone] = size
            size += self.shape.names.zones[zone].lists
        # Two workers never write to one line of the cache.
        self.shape.block = (size + 15) // 8 * 8
        self.shape.counts = <uint64_t*>calloc(self.shape.block * blocks + 8, sizeof(uint64_t))
        if self.shape.counts == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.shape.first_hit)
        free(self.shape.counts)

    cdef tuple read(self):
        """The context, and the counts that are not 0; see Engine.counts."""
        cdef Shape* shape = &self.shape
        cdef uint32_t block, zone, number
        cdef uint64_t* counts
        cdef uint64_t count
        queries = []
        hits = []
        for block in range(self.blocks):
            counts = shape.counts + shape.block * block
            for zone in range(shape.names.zone_count + 1):
                for number in range(<uint32_t>(KINDS * OUTCOME_COUNT)):
                    count = READ(counts + <uint64_t>zone * KINDS * OUTCOME_COUNT + number)
                    if count:
                        which = None if zone == shape.names.zone_count else zone
                        queries.append((block == 0, which, number // OUTCOME_COUNT, number % OUTCOME_COUNT, count))
            for zone in range(shape.names.zone_count):
                for number in range(shape.names.zones[zone].lists):
                    count = READ(counts + shape.first_hit[zone] + number)
                    if count:
                        hits.append((zone, number, count))
        return self.context, queries, hits


cdef inline void count(const Shape* shape, uint32_t block, const uint8_t* kinds, const Verdict* verdict) noexcept nogil:
    cdef uint64_t* counts = shape.counts + shape.block * block
    cdef uint64_t row = verdict.zone if verdict.zone != NO_ZONE else shape.names.zone_count
    cdef uint32_t kind = kinds[verdict.qtype] if verdict.qtype < 256 else 0
    cdef uint32_t number, block_list
    BUMP(counts + (row * KINDS + kind) * OUTCOME_COUNT + verdict.outcome)
    for number in range(verdict.hit_count):
        block_list = <uint32_t>verdict.hits[8 * number + 1] << 8 | verdict.hits[8 * number]
        if block_list != NO_LIST:
            BUMP(counts + shape.first_hit[verdict.zone] + block_list)


cdef class Engine:
    """The view that is in service, and the workers that answer from it."""

    cdef uint64_t current      # a Shape*
    cdef uint8_t kinds[256]
    cdef uint8_t* buffer
    cdef list workers
    cdef list views
    cdef uint64_t generation
    cdef uint32_t blocks

    def __cinit__(self, uint32_t workers, const uint8_t[::1] kinds):
        """workers: how many there can be; kinds: for each of the first 256 types the number it is counted under."""
        if kinds.shape[0] != 256 or max(kinds) >= KINDS:
            raise ValueError("256 numbers below 16")
        memcpy(self.kinds, &kinds[0], 256)
        self.buffer = <uint8_t*>calloc(MAX_TCP + MAX_PACKET, 1)
        if self.buffer == NULL:
            raise MemoryError
        self.workers = []
        self.views = []
        self.blocks = workers + 1
        self.adopt(Directory(()), None)
        self.retire()

    def __dealloc__(self):
        free(self.buffer)

    def adopt(self, Directory directory not None, context):
        """Answer from a directory from now on. For one thread at a time, as `retire`."""
        cdef _View newest = _View(directory, context, self.generation + 1, self.blocks)
        self.views = [*self.views, newest]
        # Only now, when no memory can be missing any more: the last of the views is the one in service, always.
        self.generation = newest.shape.generation
        STORE(&self.current, <uint64_t>&newest.shape)

    def retire(self):
        """Let go of what was adopted before and no worker uses any more; return its final counts (see `counts`).

        Waits for the workers to pass on, which takes as long as one batch; what one still uses after a twentieth of a
        second, because it waits for a socket, is kept until the next time.
        """
        cdef _View view
        cdef uint64_t oldest = self.generation
        cdef double end = clock(CLOCK_MONOTONIC) + PATIENCE
        cdef timespec pause
        pause.tv_sec = 0
        pause.tv_nsec = 50000
        if len(self.views) > 1:
            while True:
                oldest = self._oldest_seen()
                if oldest == self.generation or clock(CLOCK_MONOTONIC) > end:
                    break
                with nogil:
                    nanosleep(&pause, NULL)
        retired = [view.read() for view in self.views if view.shape.generation < oldest]
        self.views = [view for view in self.views if view.shape.generation >= oldest]
        return retired

    cdef uint64_t _oldest_seen(self):
        """The generation of the oldest view that a worker may still use; the newest one's where all sleep."""
        cdef Worker worker
        cdef uint64_t seen
        cdef uint64_t oldest = self.generation
        for worker in self.workers:
            seen = LOAD(&worker.seen)
            if seen != ASLEEP and seen < oldest:
                oldest = seen
        return oldest

    def counts(self):
        """For each view in service its context, its queries and its hits, where they are not 0.

        queries: (over TCP, zone or None, kind, outcome, count); hits: (zone, list, count); all are numbers.
        """
        cdef _View view
        return [view.read() for view in self.views]

    def answer(self, const uint8_t[::1] packet, double now):
        """Answer one message over TCP: empty where there is no answer, None where it is left to Python.

        For one thread, the one that adopts.
        """
        cdef Shape* shape = <Shape*>LOAD(&self.current)
        cdef uint32_t size = <uint32_t>packet.shape[0] if packet.shape[0] <= MAX_PACKET else HEADER_SIZE
        cdef Verdict verdict
        cdef int done
        if size:
            memcpy(self.buffer, &packet[0], size)
        done = respond(shape.names, self.buffer, size, True, now, &verdict)
        if done == ODD:
            return None
        count(shape, 0, self.kinds, &verdict)
        return self.buffer[:done]


# Workers --------------------------------------------------------------------------------------------------------------

cdef struct Socket:
    int fd
    bint has_control           # it is bound to a wildcard address, and packets say which one they came to


cdef struct Odd:
    # A packet that is left to Python, and the way back.
    uint32_t size
    uint32_t socket
    socklen_t name_size
    uint32_t control_size
    uint8_t name[32]
    uint8_t control[CONTROL]
    uint8_t packet[MAX_PACKET]


cdef class Worker:
    """A thread's sockets and buffers. `run` is the thread; everything else is for the event loop."""

    cdef uint64_t seen
    cdef uint64_t head         # of the queue of odd packets: how many were ever put in, by the worker
    cdef uint64_t tail         # and taken out, by the event loop
    cdef Engine engine
    cdef uint32_t block
    cdef int epoll
    cdef int wake
    cdef int notify
    cdef uint32_t socket_count
    cdef uint32_t capacity
    cdef bint was_odd
    cdef int tries
    cdef Shape* shape
    cdef Odd* queue
    cdef uint8_t* buffers
    cdef Socket sockets[MAX_SOCKETS]
    cdef mmsghdr received[BATCH]
    cdef mmsghdr answers[BATCH]
    cdef iovec room[BATCH]
    cdef iovec filled[BATCH]
    cdef Query queries[BATCH]
    cdef Verdict verdicts[BATCH]
    cdef int done[BATCH]
    cdef uint8_t names[BATCH][32]
    cdef uint64_t controls[BATCH][CONTROL_WORDS]

    def __cinit__(self, Engine engine not None, sockets, uint32_t capacity, int notify):
        """sockets: (file descriptor, whether packets come with IP_PKTINFO); capacity: of the queue of odd packets, a
        power of two; notify: an eventfd that is written when there are some. The descriptors stay the caller's.
        """
        cdef epoll_event event
        cdef uint32_t number
        self.epoll = self.wake = -1
        if len(sockets) > MAX_SOCKETS or not capacity or capacity & (capacity - 1):
            raise ValueError("too many sockets, or a capacity that is no power of two")
        if len(engine.workers) + 1 >= engine.blocks:
            raise ValueError("more workers than the engine was made for")
        self.engine = engine
        self.block = <uint32_t>len(engine.workers) + 1
        self.seen = ASLEEP
        self.tries = SEND_TRIES
        self.capacity = capacity
        self.notify = notify
        self.queue = <Odd*>calloc(capacity, sizeof(Odd))
        self.buffers = <uint8_t*>calloc(BATCH, STRIDE)
        if self.queue == NULL or self.buffers == NULL:
            raise MemoryError
        self.epoll = epoll_create1(EPOLL_CLOEXEC)
        self.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        if self.epoll < 0 or self.wake < 0:
            raise OSError(errno, "cannot make an epoll or eventfd")
        for fd, has_control in [*sockets, (self.wake, False)]:
            number = self.socket_count
            event.events = <uint32_t>EPOLLIN
            event.data.u32 = number if fd != self.wake else <uint32_t>STOP
            if epoll_ctl(self.epoll, EPOLL_CTL_ADD, fd, &event) < 0:
                raise OSError(errno, "cannot watch a socket")
            if fd != self.wake:
                self.sockets[number].fd = fd
                self.sockets[number].has_control = has_control
                self.socket_count += 1
        for number in range(<uint32_t>BATCH):
            self.room[number].iov_base = self.buffers + <size_t>number * STRIDE
            self.room[number].iov_len = MAX_PACKET
            self.filled[number].iov_base = self.room[number].iov_base
            self.received[number].msg_hdr.msg_iov = &self.room[number]
            self.received[number].msg_hdr.msg_iovlen = 1
            self.received[number].msg_hdr.msg_name = &self.names[number]
            self.received[number].msg_hdr.msg_namelen = sizeof(sockaddr_in6)
        engine.workers.append(self)

    def __dealloc__(self):
        if self.epoll >= 0:
            close(self.epoll)
        if self.wake >= 0:
            close(self.wake)
        free(self.queue)
        free(self.buffers)

    def run(self):
        """Answer until `stop`, then what has arrived by then, as far as the time allows. Holds no interpreter lock."""
        with nogil:
            self._run()

    def stop(self):
        """Make `run` return."""
        eventfd_write(self.wake, 1)

    cdef void _run(self) noexcept nogil:
        cdef epoll_event events[32]
        cdef int number, ready, rounds
        cdef uint32_t which
        cdef bint stopping = False
        cdef bint had_some = True
        cdef double end
        while not stopping:
            STORE(&self.seen, ASLEEP)
            ready = epoll_wait(self.epoll, events, 32, -1)
            STORE(&self.seen, WAKING)
            for number in range(ready):
                which = events[number].data.u32
                if which == STOP:
                    stopping = True
                    continue
                rounds = ROUNDS
                # Until there is nothing left: under load, asking the socket again is cheaper than asking epoll first.
                while rounds and self._serve(&self.sockets[which]) > 0:
                    rounds -= 1
        end = clock(CLOCK_MONOTONIC) + LAST_WORK
        while had_some and clock(CLOCK_MONOTONIC) < end:
            had_some = False
            for which in range(self.socket_count):
                had_some |= self._serve(&self.sockets[which]) > 0
        STORE(&self.seen, ASLEEP)

    cdef int _serve(self, Socket* socket) noexcept nogil:
        """Answer one batch from a socket; how many packets there were, -1 where there was none."""
        cdef int number, got
        cdef uint32_t ready = 0
        cdef uint8_t* packet
        cdef msghdr* header
        cdef uint32_t size
        cdef double now
        if socket.has_control:
            for number in range(BATCH):
                self.received[number].msg_hdr.msg_control = &self.controls[number]
                self.received[number].msg_hdr.msg_controllen = CONTROL
        got = recvmmsg(socket.fd, self.received, BATCH, MSG_DONTWAIT, NULL)
        if got <= 0:
            return -1
        self.shape = <Shape*>LOAD(&self.engine.current)
        STORE(&self.seen, self.shape.generation)
        now = clock(CLOCK_REALTIME)
        self.was_odd = False
        for number in range(got):
            packet = <uint8_t*>self.room[number].iov_base
            size = self.received[number].msg_len
            if self.received[number].msg_hdr.msg_flags & MSG_TRUNC:
                size = HEADER_SIZE
            self.done[number] = prepare(self.shape.names, packet, size, &self.queries[number], &self.verdicts[number])
        search(self.shape.names, self.queries, self.done, <uint32_t>got)
        for number in range(got):
            header = &self.received[number].msg_hdr
            if self.done[number] == PENDING:
                packet = <uint8_t*>self.room[number].iov_base
                self.done[number] = finish(self.shape.names, packet, False, now, &self.queries[number],
                                           &self.verdicts[number])
            if self.done[number] == ODD:
                self._put_odd(socket, number)
                continue
            count(self.shape, self.block, self.engine.kinds, &self.verdicts[number])
            if not self.done[number]:
                continue
            self.filled[ready].iov_base = self.room[number].iov_base
            self.filled[ready].iov_len = <size_t>self.done[number]
            self.answers[ready].msg_hdr.msg_name = header.msg_name
            self.answers[ready].msg_hdr.msg_namelen = header.msg_namelen
            self.answers[ready].msg_hdr.msg_iov = &self.filled[ready]
            self.answers[ready].msg_hdr.msg_iovlen = 1
            if socket.has_control:
                keep_source(header)
            self.answers[ready].msg_hdr.msg_control = header.msg_control
            self.answers[ready].msg_hdr.msg_controllen = header.msg_controllen
            ready += 1
        if ready:
            self._send(socket.fd, ready)
        if self.was_odd:
            eventfd_write(self.notify, 1)
        for number in range(got):
            self.received[number].msg_hdr.msg_namelen = sizeof(sockaddr_in6)
            self.received[number].msg_hdr.msg_control = NULL
            self.received[number].msg_hdr.msg_controllen = 0
        return got

    cdef void _send(self, int fd, uint32_t ready) noexcept nogil:
        """Send the answers of a batch; those that cannot be sent are counted as dropped.

        A socket that takes no more is waited for, but not again and again: until something could be sent, there are
        only so many tries in all.
        """
        cdef uint32_t at = 0
        cdef int sent
        cdef iovec* filled
        cdef pollfd polled
        cdef timespec pause
        pause.tv_sec = 0
        pause.tv_nsec = 1000000
        while at < ready:
            sent = sendmmsg(fd, self.answers + at, ready - at, MSG_DONTWAIT)
            if sent > 0:
                at += <uint32_t>sent
                self.tries = SEND_TRIES
            elif errno == EINTR:
                pass
            elif errno == EMSGSIZE and self.answers[at].msg_hdr.msg_iov.iov_len > LEAST_MTU:
                # Longer than its way allows, and not to be fragmented: it has to come over TCP.
                filled = self.answers[at].msg_hdr.msg_iov
                filled.iov_len = cut(<uint8_t*>filled.iov_base, <uint32_t>filled.iov_len)
            elif errno == EAGAIN and self.tries:
                self.tries -= 1
                polled.fd = fd
                polled.events = <short>POLLOUT
                poll(&polled, 1, 1)
            elif errno == ENOBUFS and self.tries:
                self.tries -= 1
                nanosleep(&pause, NULL)
            else:
                # The client's address cannot be sent to: port 0, a route that is gone.
                self._count_dropped()
                at += 1

    cdef void _count_dropped(self) noexcept nogil:
        cdef Verdict verdict
        verdict.outcome = DROPPED
        verdict.zone = NO_ZONE
        verdict.qtype = 0
        verdict.hit_count = 0
        count(self.shape, self.block, self.engine.kinds, &verdict)

    cdef void _put_odd(self, Socket* socket, int number) noexcept nogil:
        """Leave a packet to Python; where the queue is full it is dropped."""
        cdef msghdr* header = &self.received[number].msg_hdr
        cdef uint64_t head = self.head
        cdef Odd* odd = &self.queue[head & (self.capacity - 1)]
        if head - LOAD(&self.tail) >= self.capacity:
            self._count_dropped()
            return
        if socket.has_control:
            keep_source(header)
        odd.size = self.received[number].msg_len
        odd.socket = <uint32_t>(socket - self.sockets)
        odd.name_size = header.msg_namelen
        odd.control_size = <uint32_t>header.msg_controllen
        memcpy(odd.name, header.msg_name, header.msg_namelen)
        if header.msg_controllen:
            memcpy(odd.control, header.msg_control, header.msg_controllen)
        memcpy(odd.packet, self.room[number].iov_base, odd.size)
        STORE(&self.head, head + 1)
        self.was_odd = True

    def take(self):
        """The oldest packet that is left to Python, with the route for `send`; None where there is none."""
        cdef uint64_t tail = self.tail
        cdef Odd* odd = &self.queue[tail & (self.capacity - 1)]
        if tail == LOAD(&self.head):
            return None
        packet = odd.packet[:odd.size]
        route = (<uint8_t*>odd)[:<Py_ssize_t>(odd.packet - <uint8_t*>odd)]
        STORE(&self.tail, tail + 1)
        return packet, route

    def send(self, const uint8_t[::1] answer not None, const uint8_t[::1] route not None):
        """Send the answer to a packet that `take` gave; whether it could be sent."""
        cdef Odd odd
        cdef msghdr header
        cdef iovec filled
        cdef Py_ssize_t size = odd.packet - <uint8_t*>&odd
        if route.shape[0] != size or not answer.shape[0]:
            raise ValueError("no route, or nothing to send")
        memcpy(&odd, &route[0], <size_t>size)
        memset(&header, 0, sizeof(header))
        filled.iov_base = <void*>&answer[0]
        filled.iov_len = <size_t>answer.shape[0]
        header.msg_name = odd.name
        header.msg_namelen = odd.name_size
        header.msg_iov = &filled
        header.msg_iovlen = 1
        if odd.control_size:
            header.msg_control = odd.control
            header.msg_controllen = odd.control_size
        return sendmsg(self.sockets[odd.socket].fd, &header, MSG_DONTWAIT) >= 0


cdef void keep_source(msghdr* header) noexcept nogil:
    """Make the answer leave from the address that the packet came to, by whatever interface leads back."""
    cdef cmsghdr* control = CMSG_FIRSTHDR(header)
    cdef in_pktinfo* info
    cdef in6_pktinfo* info6
    while control != NULL:
        if control.cmsg_level == IPPROTO_IP and control.cmsg_type == IP_PKTINFO:
            info = <in_pktinfo*>CMSG_DATA(control)
            info.ipi_ifindex = 0
            info.ipi_addr.s_addr = 0
        elif control.cmsg_level == IPPROTO_IPV6 and control.cmsg_type == IPV6_PKTINFO:
            info6 = <in6_pktinfo*>CMSG_DATA(control)
            # Only a link-local address (fe80::/10) says nothing without its interface.
            if info6.ipi6_addr.s6_addr[0] != 0xFE or info6.ipi6_addr.s6_addr[1] & 0xC0 != 0x80:
                info6.ipi6_ifindex = 0
        control = CMSG_NXTHDR(header, control)
