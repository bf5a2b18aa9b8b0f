from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dnsbl_server.table._nodes cimport Tree

cdef struct Layout:
    # Where the sections of a checked table are; see layout.py for what is in them. Lengths count items, not bytes.
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
    Tree tree                    # of the domain names

cdef class Sections:
    cdef Layout layout
    cdef uint32_t labels         # of the zone's name
    cdef dict memory
