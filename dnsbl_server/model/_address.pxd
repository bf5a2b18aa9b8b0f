"""One address, for the compiled modules: what `parse_address` gives in Python.

Owns the struct. An IPv4-mapped IPv6 address is the IPv4 address, here too.
"""

from libc.stdint cimport uint32_t, uint64_t

cdef struct Address:
    uint32_t version             # 4, 6, or 0: none
    uint32_t v4
    uint64_t high                # of an IPv6 address, the first 64 bits
    uint64_t low
