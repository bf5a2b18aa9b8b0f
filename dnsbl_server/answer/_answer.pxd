# The part of `_answer` that `_engine` calls without the interpreter lock.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef struct Zone:
    # The sections of a checked table; see table.py for the layout. Lengths count elements, not bytes.
    const uint8_t* name          # wire form in lower case, root included
    const uint8_t* soa           # the SOA record behind its owner: type, class, TTL, length, data
    const uint32_t* index4
    const uint32_t* first4
    const uint32_t* end4         # last address and answer, in turn
    const uint8_t* first6
    const uint8_t* last6
    const uint32_t* answer6
    const uint32_t* offsets
    const uint8_t* answers
    const uint8_t* texts
    uint32_t name_size
    uint32_t soa_size
    uint32_t index4_size
    uint32_t shift4              # bits of an address behind those that index4 knows
    uint32_t count4
    uint32_t count6
    uint32_t answer_count
    uint32_t lists
    uint64_t answers_size
    uint64_t texts_size

cdef struct Name:
    # A name that exists because of a zone: the zone's own, or one above it. An empty place has no bytes.
    const uint8_t* wire
    uint32_t size
    uint32_t zone                # number of the zone, or NO_ZONE
    uint64_t hash

cdef struct Names:
    Zone* zones
    Name* table                  # open addressing; mask + 1 places, at most half of them taken
    uint32_t zone_count
    uint32_t mask
    uint32_t most_labels         # of any name in the table

cdef struct Address:
    uint32_t version             # 4, 6, or 0: none
    uint32_t v4
    uint64_t high
    uint64_t low

cdef struct Query:
    # A message that `prepare` has read, as `finish` needs it.
    Address address
    uint32_t end                 # of the question
    uint32_t qtype
    uint32_t qclass
    uint32_t edns_size
    uint32_t edns_version
    uint32_t zone                # number of the zone that the name is below
    uint32_t zone_at             # where its name starts: the end of the question's name
    bint has_edns
    bint do_bit
    bint exists                  # because names below it do, or may
    # What `search` works with, and the number of the answer that it finds.
    uint32_t low
    uint32_t left
    uint32_t found

cdef struct Verdict:
    # What there is to count of a message, besides its answer.
    uint32_t outcome             # a number of OUTCOMES
    uint32_t zone                # number of the zone, or NO_ZONE
    uint32_t qtype               # 0 where none could be read
    uint32_t hit_count
    const uint8_t* hits          # the texts of the answer, eight bytes each, the list in the first two

cdef enum:
    NO_ZONE = 0xFFFFFFFF
    NO_LIST = 0xFFFF
    PENDING = -2                 # what is left to do is for `finish`
    ODD = -1                     # the message is not answered here
    SILENT = 0                   # the message gets no answer
    LISTED = 0
    NOT_LISTED
    NODATA
    REFUSED
    FORMERR
    NOTIMP
    TRUNCATED
    DROPPED
    OUTCOME_COUNT
    HEADER_SIZE = 12
    MAX_UDP = 1232
    MAX_TCP = 65535
    # A message's buffer has room for this, however short it is, and for MAX_TCP with TCP.
    MIN_BUFFER = 2048

# `respond` is these three, one after the other, for one message.
cdef int prepare(const Names* names, uint8_t* packet, uint32_t size, Query* query, Verdict* verdict) noexcept nogil
cdef void search(const Names* names, Query* queries, const int* done, uint32_t count) noexcept nogil
cdef int finish(const Names* names, uint8_t* packet, bint tcp, double now, Query* query,
                Verdict* verdict) noexcept nogil
cdef uint32_t cut(uint8_t* packet, uint32_t size) noexcept nogil
cdef int respond(const Names* names, uint8_t* packet, uint32_t size, bint tcp, double now,
                 Verdict* verdict) noexcept nogil

cdef class Directory:
    cdef Names names
    cdef tuple tables

    cdef void _add(self, uint64_t hashed, const uint8_t* wire, uint32_t size, uint32_t zone) noexcept
    cdef Names* pointer(self) noexcept
