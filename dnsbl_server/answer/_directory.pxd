from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dnsbl_server.dns._message cimport Labels
from dnsbl_server.table._sections cimport Layout

cdef enum:
    NO_ZONE = 0xFFFFFFFF

cdef struct Name:
    # A name that exists because of a zone: the zone's own, or one above it. A free place has no wire form.
    const uint8_t* wire
    uint32_t size
    uint32_t zone                # number of the zone, or NO_ZONE
    uint64_t hash

cdef struct Names:
    Layout* tables               # of the zones, by their numbers
    Name* places                 # open addressing; mask + 1 places, at most half of them taken
    uint32_t zone_count
    uint32_t mask
    uint32_t most_labels         # of any name in the places

cdef uint32_t find_zone(const Names* names, const uint8_t* packet, const Labels* labels, uint32_t end, uint32_t* front,
                        bint* exists) noexcept nogil

cdef class Directory:
    cdef Names names
    cdef tuple tables

    cdef void add(self, uint64_t hashed, const uint8_t* wire, uint32_t size, uint32_t zone) noexcept
    cdef Names* pointer(self) noexcept
