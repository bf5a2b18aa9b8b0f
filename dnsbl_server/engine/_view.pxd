from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dnsbl_server.answer._answer cimport Verdict
from dnsbl_server.answer._directory cimport NO_ZONE, Names
from dnsbl_server.answer._outcome cimport OUTCOME_COUNT
from dnsbl_server.table._format cimport NO_LIST, TEXT_SIZE, list_of

cdef extern from * nogil:
    """
    /* Shared between a worker and the event loop, without locks. */
    #define LOAD(place) __atomic_load_n((place), __ATOMIC_SEQ_CST)
    #define STORE(place, value) __atomic_store_n((place), (value), __ATOMIC_SEQ_CST)
    #define READ(place) __atomic_load_n((place), __ATOMIC_RELAXED)
    #define BUMP(place) __atomic_store_n((place), __atomic_load_n((place), __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED)
    """
    uint64_t LOAD(uint64_t* place)
    void STORE(uint64_t* place, uint64_t value)
    uint64_t READ(uint64_t* place)
    void BUMP(uint64_t* place)

cpdef enum:
    MAX_QUERY = 4096             # bytes; a longer message is no query, and is not looked at behind its header

cdef enum:
    KINDS = 16                   # of query types that are counted apart

cdef struct View:
    # What a worker needs of what is in service. A block holds the counts of one worker: for each zone, and for none,
    # for each kind of type, for each outcome; behind these the hits of each list.
    const Names* names
    uint64_t generation
    uint64_t* counts
    uint64_t block
    uint64_t* first_hit          # of each zone, in a block

cdef enum:
    MARK_WAKING = 0              # it may use any view
    MARK_ASLEEP = 0xFFFFFFFFFFFFFFFF  # it uses none

cdef struct Mark:
    # What a worker says of itself: the generation of the view that it may use, or MARK_ASLEEP or MARK_WAKING.
    uint64_t seen
    uint64_t padding[7]          # each has a line of the cache to itself

cdef class Engine:
    cdef uint64_t current        # a View*
    cdef uint8_t kinds[256]
    cdef uint8_t* buffer
    cdef Mark* marks             # of the workers, by block
    cdef uint32_t joined         # how many workers there are
    cdef uint32_t blocks         # one for each worker there can be, behind that of TCP
    cdef list views
    cdef uint64_t generation

    cdef uint32_t join(self) except 0
    cdef uint64_t oldest_seen(self) noexcept


cdef inline void count(const View* view, uint32_t block, const uint8_t* kinds, const Verdict* verdict) noexcept nogil:
    """Count a message in a block. kinds: for each of the first 256 types the number it is counted under."""
    cdef uint64_t* counts = view.counts + view.block * block
    cdef uint64_t row = verdict.zone if verdict.zone != NO_ZONE else view.names.zone_count
    cdef uint32_t kind = kinds[verdict.qtype] if verdict.qtype < 256 else 0
    cdef uint32_t number, block_list
    BUMP(counts + (row * KINDS + kind) * OUTCOME_COUNT + verdict.outcome)
    for number in range(verdict.hit_count):
        block_list = list_of(verdict.hits + TEXT_SIZE * number)
        if block_list != NO_LIST:
            BUMP(counts + view.first_hit[verdict.zone] + block_list)
