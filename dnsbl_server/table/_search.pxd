from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dnsbl_server.dns._memory cimport CHECK, PREFETCH
from dnsbl_server.model._address cimport Address
from dnsbl_server.table._format cimport ANSWER_SIZE, expires_of, next_of
from dnsbl_server.table._sections cimport Layout

cdef struct Lookup:
    # An address to look up in a table. Where its version is 0 there is none, and nothing is found.
    const Layout* table
    Address address
    uint32_t found               # the number of the answer that the address had at first, 0 where it is not listed
    # What the search of IPv6 addresses goes by: the first interval that is left, and how many there are.
    uint32_t low
    uint32_t left

cdef void search(Lookup* lookups, uint32_t count) noexcept nogil
cdef bint has_any6(const Layout* table, uint64_t first, uint64_t last) noexcept nogil


cdef inline void fetch_index(const Lookup* lookup) noexcept nogil:
    """Have the processor bring the part of the index that the search of an IPv4 address begins with."""
    PREFETCH(lookup.table.index4 + (<uint64_t>lookup.address.v4 >> lookup.table.shift4))


cdef inline const uint8_t* find_current(const Layout* table, uint32_t number, double now) noexcept nogil:
    """The answer with a number, or the one that follows it by now; NULL where the address is not listed."""
    cdef const uint8_t* answer
    cdef uint64_t expires
    while number:
        CHECK(number <= table.answer_count)
        CHECK(<uint64_t>table.offsets[number] + ANSWER_SIZE <= table.answers_size)
        answer = table.answers + table.offsets[number]
        expires = expires_of(answer)
        if not expires or <double>expires > now:
            return answer
        # Smaller than this one: the check of the table made sure of it.
        CHECK(next_of(answer) < number)
        number = next_of(answer)
    return NULL
