"""Workers: threads that answer UDP without the interpreter lock.

Owns how packets get from sockets to `answer_batch` and back, and the queue of the packets that are left to the slow
path, which is Python. Knows neither zones nor files.

A worker is a thread with sockets of its own, which outlive every reload: epoll_wait, recvmmsg, answer in place,
sendmmsg. It never allocates, locks or waits for anything but its sockets. Before each batch it marks the view that it
uses from then on (see `_view`).
"""

from libc.errno cimport EAGAIN, EINTR, EMSGSIZE, ENOBUFS, errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from dnsbl_server.answer._answer cimport BATCH, SLOW_PATH, Message, Verdict, answer_batch
from dnsbl_server.answer._directory cimport NO_ZONE
from dnsbl_server.answer._outcome cimport DROPPED
from dnsbl_server.answer._records cimport truncate
from dnsbl_server.dns._protocol cimport HEADER_SIZE, MIN_UDP
from dnsbl_server.engine._system cimport (
    CLOCK_MONOTONIC,
    CLOCK_REALTIME,
    CMSG_DATA,
    CMSG_FIRSTHDR,
    CMSG_NXTHDR,
    EFD_CLOEXEC,
    EFD_NONBLOCK,
    EPOLL_CLOEXEC,
    EPOLL_CTL_ADD,
    EPOLLIN,
    IP_PKTINFO,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPV6_PKTINFO,
    MSG_DONTWAIT,
    MSG_TRUNC,
    POLLOUT,
    clock,
    close,
    cmsghdr,
    epoll_create1,
    epoll_ctl,
    epoll_event,
    epoll_wait,
    eventfd,
    eventfd_write,
    in6_pktinfo,
    in_pktinfo,
    iovec,
    mmsghdr,
    msghdr,
    nanosleep,
    poll,
    pollfd,
    recvmmsg,
    sendmmsg,
    sendmsg,
    sockaddr_in6,
    socklen_t,
    timespec,
)
from dnsbl_server.engine._view cimport LOAD, MARK_ASLEEP, MARK_WAKING, MAX_QUERY, STORE, Engine, View, count

cdef enum:
    ROUNDS = 16                  # batches from one socket before the others get their turn
    STRIDE = MAX_QUERY + 192     # no multiple of 4096: buffers that far apart would share a few lines of the cache
    NAME = 32                    # bytes of a socket address
    CONTROL = 64                 # bytes of control messages
    CONTROL_WORDS = 8
    MAX_SOCKETS = 256
    STOP = 0xFFFFFFFF
    SEND_TRIES = 100             # a millisecond each, that sockets which take no more are waited for

cdef double LAST_WORK = 0.3      # seconds that a worker goes on after `stop`, if there is something to answer

cdef struct Socket:
    int fd
    bint has_control             # it is bound to a wildcard address, and packets say which one they came to

cdef struct Waiting:
    # A packet that is left to the slow path, and the way back.
    uint32_t size
    uint32_t socket
    socklen_t name_size
    uint32_t control_size
    uint8_t name[NAME]
    uint8_t control[CONTROL]
    uint8_t packet[MAX_QUERY]


cdef class Worker:
    """A thread's sockets and buffers. `run` is the thread; everything else is for the event loop."""

    cdef uint64_t head           # of the queue: how many packets were ever put in, by the worker
    cdef uint64_t tail           # and taken out, by the event loop
    cdef uint64_t* seen          # its mark
    cdef Engine engine
    cdef uint32_t block
    cdef int epoll
    cdef int wake
    cdef int notify
    cdef uint32_t socket_count
    cdef uint32_t capacity
    cdef bint has_queued         # a packet of this batch
    cdef int tries
    cdef View* view
    cdef Waiting* queue
    cdef uint8_t* buffers
    cdef Socket sockets[MAX_SOCKETS]
    cdef mmsghdr received[BATCH]
    cdef mmsghdr answers[BATCH]
    cdef iovec room[BATCH]
    cdef iovec filled[BATCH]
    cdef Message messages[BATCH]
    cdef uint8_t names[BATCH][NAME]
    cdef uint64_t controls[BATCH][CONTROL_WORDS]

    def __cinit__(self, Engine engine not None, sockets, uint32_t capacity, int notify):
        """sockets: (file descriptor, whether packets come with IP_PKTINFO); capacity: of the queue of the slow path,
        a power of two; notify: an eventfd that is written when packets were queued. The descriptors stay the caller's.
        """
        cdef epoll_event event
        cdef uint32_t number
        self.epoll = self.wake = -1
        if len(sockets) > MAX_SOCKETS or not capacity or capacity & (capacity - 1):
            raise ValueError("too many sockets, or a capacity that is no power of two")
        self.engine = engine
        self.tries = SEND_TRIES
        self.capacity = capacity
        self.notify = notify
        self.queue = <Waiting*>calloc(capacity, sizeof(Waiting))
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
            self.messages[number].packet = self.buffers + <size_t>number * STRIDE
            self.room[number].iov_base = self.messages[number].packet
            self.room[number].iov_len = MAX_QUERY
            self.received[number].msg_hdr.msg_iov = &self.room[number]
            self.received[number].msg_hdr.msg_iovlen = 1
            self.received[number].msg_hdr.msg_name = &self.names[number]
            self.received[number].msg_hdr.msg_namelen = sizeof(sockaddr_in6)
        self.block = engine.join()
        self.seen = &engine.marks[self.block].seen

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
            STORE(self.seen, MARK_ASLEEP)
            ready = epoll_wait(self.epoll, events, 32, -1)
            STORE(self.seen, MARK_WAKING)
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
        STORE(self.seen, MARK_ASLEEP)

    cdef int _serve(self, Socket* socket) noexcept nogil:
        """Answer one batch from a socket; how many packets there were, -1 where there was none."""
        cdef int number, got
        cdef uint32_t ready = 0
        cdef Message* message
        if socket.has_control:
            for number in range(BATCH):
                self.received[number].msg_hdr.msg_control = &self.controls[number]
                self.received[number].msg_hdr.msg_controllen = CONTROL
        got = recvmmsg(socket.fd, self.received, BATCH, MSG_DONTWAIT, NULL)
        if got <= 0:
            return -1
        self.view = <View*>LOAD(&self.engine.current)
        STORE(self.seen, self.view.generation)
        self.has_queued = False
        for number in range(got):
            self.messages[number].size = self.received[number].msg_len
            if self.received[number].msg_hdr.msg_flags & MSG_TRUNC:
                self.messages[number].size = HEADER_SIZE
        answer_batch(self.view.names, self.messages, <uint32_t>got, False, clock(CLOCK_REALTIME))
        for number in range(got):
            message = &self.messages[number]
            if message.answer_size == SLOW_PATH:
                self._queue(socket, number)
                continue
            count(self.view, self.block, self.engine.kinds, &message.verdict)
            if message.answer_size:
                self._add_answer(socket, number, ready)
                ready += 1
        if ready:
            self._send(socket.fd, ready)
        if self.has_queued:
            eventfd_write(self.notify, 1)
        for number in range(got):
            self.received[number].msg_hdr.msg_namelen = sizeof(sockaddr_in6)
            self.received[number].msg_hdr.msg_control = NULL
            self.received[number].msg_hdr.msg_controllen = 0
        return got

    cdef inline void _add_answer(self, const Socket* socket, int number, uint32_t ready) noexcept nogil:
        """Make a message's answer one of those that are sent."""
        cdef msghdr* header = &self.received[number].msg_hdr
        cdef msghdr* answer = &self.answers[ready].msg_hdr
        self.filled[ready].iov_base = self.messages[number].packet
        self.filled[ready].iov_len = <size_t>self.messages[number].answer_size
        answer.msg_name = header.msg_name
        answer.msg_namelen = header.msg_namelen
        answer.msg_iov = &self.filled[ready]
        answer.msg_iovlen = 1
        if socket.has_control:
            keep_source(header)
        answer.msg_control = header.msg_control
        answer.msg_controllen = header.msg_controllen

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
            elif errno == EMSGSIZE and self.answers[at].msg_hdr.msg_iov.iov_len > MIN_UDP:
                # Longer than its way allows, and not to be fragmented: it has to come over TCP.
                filled = self.answers[at].msg_hdr.msg_iov
                filled.iov_len = truncate(<uint8_t*>filled.iov_base, <uint32_t>filled.iov_len)
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
        count(self.view, self.block, self.engine.kinds, &verdict)

    cdef void _queue(self, Socket* socket, int number) noexcept nogil:
        """Leave a packet to the slow path; where the queue is full it is dropped."""
        cdef msghdr* header = &self.received[number].msg_hdr
        cdef uint64_t head = self.head
        cdef Waiting* waiting = &self.queue[head & (self.capacity - 1)]
        if head - LOAD(&self.tail) >= self.capacity:
            self._count_dropped()
            return
        if socket.has_control:
            keep_source(header)
        waiting.size = self.received[number].msg_len
        waiting.socket = <uint32_t>(socket - self.sockets)
        waiting.name_size = header.msg_namelen
        waiting.control_size = <uint32_t>header.msg_controllen
        memcpy(waiting.name, header.msg_name, header.msg_namelen)
        if header.msg_controllen:
            memcpy(waiting.control, header.msg_control, header.msg_controllen)
        memcpy(waiting.packet, self.messages[number].packet, waiting.size)
        STORE(&self.head, head + 1)
        self.has_queued = True

    def take(self):
        """The packet that has waited longest for the slow path, with the route for `send`; None where none waits."""
        cdef uint64_t tail = self.tail
        cdef Waiting* waiting = &self.queue[tail & (self.capacity - 1)]
        if tail == LOAD(&self.head):
            return None
        packet = waiting.packet[:waiting.size]
        route = (<uint8_t*>waiting)[:<Py_ssize_t>(waiting.packet - <uint8_t*>waiting)]
        STORE(&self.tail, tail + 1)
        return packet, route

    def send(self, const uint8_t[::1] answer not None, const uint8_t[::1] route not None):
        """Send the answer to a packet that `take` gave; whether it could be sent."""
        cdef Waiting waiting
        cdef msghdr header
        cdef iovec filled
        cdef Py_ssize_t size = waiting.packet - <uint8_t*>&waiting
        if route.shape[0] != size or not answer.shape[0]:
            raise ValueError("no route, or nothing to send")
        memcpy(&waiting, &route[0], <size_t>size)
        memset(&header, 0, sizeof(header))
        filled.iov_base = <void*>&answer[0]
        filled.iov_len = <size_t>answer.shape[0]
        header.msg_name = waiting.name
        header.msg_namelen = waiting.name_size
        header.msg_iov = &filled
        header.msg_iovlen = 1
        if waiting.control_size:
            header.msg_control = waiting.control
            header.msg_controllen = waiting.control_size
        return sendmsg(self.sockets[waiting.socket].fd, &header, MSG_DONTWAIT) >= 0


cdef void keep_source(msghdr* header) noexcept nogil:
    """Make the answer leave from the address that the packet came to, by any interface that leads back."""
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
