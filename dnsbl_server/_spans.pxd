"""What `_spans` shares with the other compiled modules: how spans lie in memory."""

from libc.stdint cimport uint32_t

cdef extern from *:
    """
    typedef unsigned __int128 address128;
    """
    # Cython takes the name for a C type it need not know the size of; the C compiler knows it.
    ctypedef unsigned long long address128

cdef struct Span4:
    uint32_t first
    uint32_t last
    uint32_t number

cdef struct Span6:
    address128 first
    address128 last
    uint32_t number

# Whatever is written for a Span is compiled twice, once for each family.
ctypedef fused Span:
    Span4
    Span6

cdef class Spans:
    cdef readonly int version
    # `count` spans of the family that `version` says, in memory for `capacity` of them.
    cdef size_t count
    cdef size_t capacity
    cdef void *data

    cdef int grow(self, size_t capacity) except -1
    cdef int push4(self, uint32_t first, uint32_t last, uint32_t number) except -1
    cdef int push6(self, address128 first, address128 last, uint32_t number) except -1
