"""What `_spans` shares with the other compiled modules: how spans lie in memory, and how one is added."""

from libc.stdint cimport UINT32_MAX, uint32_t

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

# A function for a Span is compiled twice, once for each family.
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


cdef inline int add(Spans spans, Span span) except -1:
    """Add a span of the family of the spans."""
    if spans.count == spans.capacity:
        spans.grow(spans.count + 1)
    (<Span *> spans.data)[spans.count] = span
    spans.count += 1
    return 0


cdef inline int add_joined(Spans out, Span span) except -1:
    """Add a span; one that goes on where the one before it ends, with its number, becomes part of that."""
    cdef Span *before
    if out.count:
        before = &(<Span *> out.data)[out.count - 1]
        if before.number == span.number and before.last < span.first and before.last + 1 == span.first:
            before.last = span.last
            return 0
    return add(out, span)


cdef inline bint is_end(Span span) noexcept:
    """Whether a span reaches the last address of its family, behind which counting on would start again at 0."""
    if Span is Span4:
        return span.last == UINT32_MAX
    else:
        return span.last == ~<address128> 0


cdef inline int check_version(Spans spans, int version) except -1:
    if spans.version != version:
        raise ValueError("the spans are of two families")
    return 0
