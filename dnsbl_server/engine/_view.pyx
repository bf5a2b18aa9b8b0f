"""Views: what is in service, as it is published to the threads that answer, and the counts of what they answered.

Owns publishing and freeing views without a lock, and the layout of the counts. A view is a directory with its counts.
A worker marks its quiescent states (`Mark`), so that a view is freed when the last worker has passed on:

    adopt, retire (event loop)               worker, before each batch
      current := new view                      its mark := the generation of the current view
      wait until no worker's mark is older     ... answers from that view only ...
      free the old view                        asleep in epoll_wait: its mark := MARK_ASLEEP

A worker asleep uses no view, and no worker ever waits. Knows no sockets, and a zone only by its number.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from dnsbl_server.answer._answer cimport SLOW_PATH, Message, answer_batch
from dnsbl_server.answer._directory cimport Directory
from dnsbl_server.dns._protocol cimport MAX_TCP
from dnsbl_server.engine._system cimport CLOCK_MONOTONIC, clock, nanosleep, timespec

# What a view counted: (over TCP, zone or None, kind, outcome, count), and (zone, list, count).
Queries = list[tuple[bool, int | None, int, int, int]]
Hits = list[tuple[int, int, int]]

cdef double PATIENCE = 0.05      # seconds that `retire` waits for workers


cdef class _Held:
    """A view, and what it is made of."""

    cdef View view
    cdef Directory directory
    cdef object context
    cdef uint32_t blocks

    def __cinit__(self, Directory directory, object context, uint64_t generation, uint32_t blocks):
        cdef uint64_t size
        cdef uint32_t zone
        self.directory = directory
        self.context = context
        self.blocks = blocks
        self.view.names = directory.pointer()
        self.view.generation = generation
        self.view.first_hit = <uint64_t*>calloc(self.view.names.zone_count + 1, sizeof(uint64_t))
        if self.view.first_hit == NULL:
            raise MemoryError
        size = (<uint64_t>self.view.names.zone_count + 1) * KINDS * OUTCOME_COUNT
        for zone in range(self.view.names.zone_count):
            self.view.first_hit[zone] = size
            size += self.view.names.tables[zone].lists
        # Two workers never write to one line of the cache.
        self.view.block = (size + 15) // 8 * 8
        self.view.counts = <uint64_t*>calloc(self.view.block * blocks + 8, sizeof(uint64_t))
        if self.view.counts == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.view.first_hit)
        free(self.view.counts)

    cdef tuple read(self):
        """The context, and the counts that are not 0; see Engine.counts."""
        cdef View* view = &self.view
        cdef uint32_t block, zone, number
        cdef uint64_t* counts
        cdef uint64_t count
        queries = []
        hits = []
        for block in range(self.blocks):
            counts = view.counts + view.block * block
            for zone in range(view.names.zone_count + 1):
                for number in range(<uint32_t>(KINDS * OUTCOME_COUNT)):
                    count = READ(counts + <uint64_t>zone * KINDS * OUTCOME_COUNT + number)
                    if count:
                        which = None if zone == view.names.zone_count else zone
                        queries.append((block == 0, which, number // OUTCOME_COUNT, number % OUTCOME_COUNT, count))
            for zone in range(view.names.zone_count):
                for number in range(view.names.tables[zone].lists):
                    count = READ(counts + view.first_hit[zone] + number)
                    if count:
                        hits.append((zone, number, count))
        return self.context, queries, hits


cdef class Engine:
    """The view in service, those before it that may still be in use, and the marks of the workers."""

    def __cinit__(self, uint32_t workers, const uint8_t[::1] kinds):
        """workers: how many there can be; kinds: for each of the first 256 types the number it is counted under."""
        cdef uint32_t block
        if kinds.shape[0] != 256 or max(kinds) >= KINDS:
            raise ValueError("256 numbers below 16")
        memcpy(self.kinds, &kinds[0], 256)
        self.blocks = workers + 1
        self.buffer = <uint8_t*>calloc(MAX_TCP, 1)
        self.marks = <Mark*>calloc(self.blocks, sizeof(Mark))
        if self.buffer == NULL or self.marks == NULL:
            raise MemoryError
        for block in range(self.blocks):
            self.marks[block].seen = MARK_ASLEEP
        self.views = []
        self.adopt(Directory(()), None)
        self.retire()

    def __dealloc__(self):
        free(self.buffer)
        free(self.marks)

    cdef uint32_t join(self) except 0:
        """Add a worker; the number of its block and of its mark."""
        if self.joined + 1 >= self.blocks:
            raise ValueError("more workers than the engine was made for")
        self.joined += 1
        return self.joined

    def adopt(self, Directory directory not None, context):
        """Answer from a directory from now on. For one thread at a time, as `retire`."""
        cdef _Held newest = _Held(directory, context, self.generation + 1, self.blocks)
        self.views = [*self.views, newest]
        # Only now, when no memory can be missing any more: the last of the views is the one in service, always.
        self.generation = newest.view.generation
        STORE(&self.current, <uint64_t>&newest.view)

    def retire(self):
        """Free the views before the current one that no worker uses any more; return their counts (see `counts`).

        Waits for the workers to pass on, which takes as long as one batch. A view that a worker still uses after
        PATIENCE, because it waits for a socket, is kept until the next call.
        """
        cdef _Held held
        cdef uint64_t oldest = self.generation
        cdef double end = clock(CLOCK_MONOTONIC) + PATIENCE
        cdef timespec pause
        pause.tv_sec = 0
        pause.tv_nsec = 50000
        if len(self.views) > 1:
            while True:
                oldest = self.oldest_seen()
                if oldest == self.generation or clock(CLOCK_MONOTONIC) > end:
                    break
                with nogil:
                    nanosleep(&pause, NULL)
        retired = [held.read() for held in self.views if held.view.generation < oldest]
        self.views = [held for held in self.views if held.view.generation >= oldest]
        return retired

    cdef uint64_t oldest_seen(self) noexcept:
        """The generation of the oldest view that a worker may still use; the current one's where all are asleep."""
        cdef uint32_t block
        cdef uint64_t seen
        cdef uint64_t oldest = self.generation
        for block in range(1, self.joined + 1):
            seen = LOAD(&self.marks[block].seen)
            if seen != MARK_ASLEEP and seen < oldest:
                oldest = seen
        return oldest

    def counts(self):
        """For each view that is kept its context, its queries and its hits, where they are not 0.

        queries: (over TCP, zone or None, kind, outcome, count); hits: (zone, list, count); all are numbers.
        """
        cdef _Held held
        return [held.read() for held in self.views]

    def answer(self, const uint8_t[::1] packet, double now):
        """Answer one message over TCP: empty where there is no answer, None where it is left to the slow path.

        For one thread. Another one may adopt and retire meanwhile: all three hold the interpreter lock while they use a
        view, so none is freed under this.
        """
        cdef View* view = <View*>LOAD(&self.current)
        cdef Message message
        message.packet = self.buffer
        if packet.shape[0] > MAX_TCP:
            raise ValueError("longer than a message over TCP can be")
        message.size = <uint32_t>packet.shape[0]
        if message.size:
            memcpy(self.buffer, &packet[0], message.size)
        answer_batch(view.names, &message, 1, True, now)
        if message.answer_size == SLOW_PATH:
            return None
        count(view, 0, self.kinds, &message.verdict)
        return self.buffer[:message.answer_size]
