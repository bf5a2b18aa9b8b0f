"""Spans in bulk: millions of first and last addresses, each with a number, in one piece of memory.

Owns the column of spans (`Spans`), and how they are brought in order: sorted, searched for duplicates,
joined. A span includes both its ends. What its number means, the caller decides: a line, a row, a chain of
listings. Control plane only. Knows no lists, no listings and no files.

Everything is written once for both families (see `Span` in the .pxd). Memory is reached through raw pointers, and only
below an index that is bounded by `count` in the same few lines.
"""

from array import array

from libc.stdint cimport UINT32_MAX, uint32_t
from libc.stdlib cimport free, malloc, qsort, realloc
from libc.string cimport memcpy

cdef enum:
    # Bits of a digit of the radix sort: 2,048 counters fit the first-level cache.
    DIGIT = 11
    DIGITS = 1 << DIGIT


cdef class Spans:
    """Spans of one address family (`version` 4 or 6), in the order they were added."""

    def __cinit__(self, int version, spans=()):
        # Here and not in __init__, which could be called again: the family of spans never changes.
        if version != 4 and version != 6:
            raise ValueError("the version is 4 or 6")
        self.version = version

    def __init__(self, int version, spans=()):
        """`spans`: (first, last, number) of each. Raises OverflowError for what is outside of the family."""
        for first, last, number in spans:
            self.append(first, last, number)

    def __dealloc__(self):
        free(self.data)

    def __len__(self):
        return <Py_ssize_t> self.count

    def append(self, first, last, uint32_t number):
        """Add a span. Raises OverflowError for an address or a number that does not fit, ValueError for last < first."""
        if last < first:
            raise ValueError("a span ends before it starts")
        if self.version == 4:
            add(self, Span4(first, last, number))
        else:
            add(self, Span6(first, last, number))

    def __getitem__(self, Py_ssize_t at):
        if at < 0 or <size_t> at >= self.count:
            raise IndexError("no such span")
        if self.version == 4:
            return unpack((<Span4 *> self.data)[at])
        return unpack((<Span6 *> self.data)[at])

    def __iter__(self):
        cdef Py_ssize_t at = 0
        while <size_t> at < self.count:
            yield self[at]
            at += 1

    def covering(self, address):
        """The positions of all spans that hold an address."""
        if self.version == 4:
            return covering_in(<Span4 *> self.data, self.count, span4(address))
        return covering_in(<Span6 *> self.data, self.count, span6(address))

    def addresses(self):
        """How many addresses there are in the spans, which must be disjoint."""
        # Without one for each span the sum fits, even where they are the whole family.
        if self.version == 4:
            return distance(<Span4 *> self.data, self.count) + self.count
        return distance(<Span6 *> self.data, self.count) + self.count

    cdef int grow(self, size_t capacity) except -1:
        """Make room for so many spans at least."""
        cdef size_t size = sizeof(Span4) if self.version == 4 else sizeof(Span6)
        cdef void *data
        if capacity <= self.capacity:
            return 0
        # What is reserved and never used costs no memory: the kernel gives a page when it is written to.
        capacity = max(capacity, self.capacity + (self.capacity >> 1), <size_t> 64)
        if capacity > (<size_t> 1 << 62) // size:
            raise MemoryError
        data = realloc(self.data, capacity * size)
        if data == NULL:
            raise MemoryError
        self.data = data
        self.capacity = capacity
        return 0


cdef Span4 span4(address):
    return Span4(address, address, 0)


cdef Span6 span6(address):
    return Span6(address, address, 0)


cdef tuple unpack(Span span):
    return span.first, span.last, span.number


cdef list covering_in(Span *spans, size_t count, Span wanted):
    cdef size_t at
    cdef list found = []
    for at in range(count):
        if spans[at].first <= wanted.first <= spans[at].last:
            found.append(at)
    return found


cdef distance(Span *spans, size_t count):
    """The sum of last - first."""
    cdef size_t at
    cdef address128 sum = 0
    for at in range(count):
        sum += spans[at].last - spans[at].first
    return sum


# Sorting


def sorted_spans(int version, sources):
    """The spans of all sources, sorted by first address and, where that is the same, the larger one first.

    The number of each is its row: the position of its span in the sources one after the other. Equal ones are in the
    order of their rows.
    """
    cdef Spans out = Spans(version)
    cdef Spans source
    cdef size_t rows = 0
    for source in sources:
        check_version(source, version)
        rows += source.count
    if rows > UINT32_MAX:
        raise OverflowError(f"{rows} entries in one list; at most {UINT32_MAX} can be told apart")
    out.grow(rows)
    for source in sources:
        if version == 4:
            append_rows(out, <Span4 *> source.data, source.count)
        else:
            append_rows(out, <Span6 *> source.data, source.count)
    if version == 4:
        sort(<Span4 *> out.data, out.count, 32)
    else:
        sort(<Span6 *> out.data, out.count, 128)
    return out


cdef int append_rows(Spans out, Span *spans, size_t count) except -1:
    """Add spans, each with its place in `out` as its number."""
    cdef size_t at
    cdef Span span
    for at in range(count):
        span = spans[at]
        span.number = <uint32_t> out.count
        add(out, span)
    return 0


cdef unsigned digit_of(Span span, unsigned shift) noexcept nogil:
    """A digit of the first address."""
    return <unsigned> (span.first >> shift) & (DIGITS - 1)


cdef int sort(Span *spans, size_t count, unsigned bits) except -1:
    """Sort by first address and, where that is the same, the larger one first; equal ones by their numbers.

    A radix sort from the lowest digit up, then what starts at one address, which is nearly always a single span.
    """
    cdef size_t at, start, size
    cdef unsigned digit, shift
    cdef size_t starts[DIGITS]
    cdef Span *source = spans
    cdef Span *target
    cdef Span *scratch
    for at in range(1, count):
        if spans[at - 1].first > spans[at].first or (
            spans[at - 1].first == spans[at].first and spans[at - 1].last < spans[at].last
        ):
            break
    else:
        return 0
    scratch = <Span *> malloc(count * sizeof(Span))
    if scratch == NULL:
        raise MemoryError
    target = scratch
    for shift in range(0, bits, <unsigned> DIGIT):
        for digit in range(<unsigned> DIGITS):
            starts[digit] = 0
        for at in range(count):
            starts[digit_of(source[at], shift)] += 1
        # A digit that all of them have in common sorts nothing.
        if starts[digit_of(source[0], shift)] < count:
            start = 0
            for digit in range(<unsigned> DIGITS):
                size = starts[digit]
                starts[digit] = start
                start += size
            for at in range(count):
                digit = digit_of(source[at], shift)
                target[starts[digit]] = source[at]
                starts[digit] += 1
            source, target = target, source
    if source != spans:
        memcpy(spans, source, count * sizeof(Span))
    free(scratch)
    sort_equal_firsts(spans, count)
    return 0


cdef void sort_equal_firsts(Span *spans, size_t count) noexcept nogil:
    """Sort those that start at one address, the larger first."""
    cdef size_t at, start = 0
    cdef bint is_sorted = True
    for at in range(1, count + 1):
        if at < count and spans[at].first == spans[start].first:
            is_sorted = is_sorted and spans[at - 1].last >= spans[at].last
            continue
        if not is_sorted:
            if Span is Span4:
                qsort(&spans[start], at - start, sizeof(Span), by_last4)
            else:
                qsort(&spans[start], at - start, sizeof(Span), by_last6)
        start = at
        is_sorted = True


cdef int by_last4(const void *one, const void *other) noexcept nogil:
    return by_last(<const Span4 *> one, <const Span4 *> other)


cdef int by_last6(const void *one, const void *other) noexcept nogil:
    return by_last(<const Span6 *> one, <const Span6 *> other)


cdef int by_last(const Span *one, const Span *other) noexcept nogil:
    if one.last != other.last:
        return 1 if one.last < other.last else -1
    return (one.number > other.number) - (one.number < other.number)


# Duplicates


cdef struct Duplicate:
    uint32_t later
    uint32_t earlier


cdef int by_later(const void *one, const void *other) noexcept nogil:
    cdef uint32_t a = (<const Duplicate *> one).later
    cdef uint32_t b = (<const Duplicate *> other).later
    return (a > b) - (a < b)


def duplicates(Spans spans):
    """The rows whose span an earlier row has too: (later rows in order, the first row with the span of each).

    Takes what `sorted_spans` gives.
    """
    if spans.version == 4:
        return find_duplicates(<Span4 *> spans.data, spans.count)
    return find_duplicates(<Span6 *> spans.data, spans.count)


cdef tuple find_duplicates(Span *spans, size_t count):
    cdef size_t at, found = 0
    cdef uint32_t earliest = 0
    cdef Duplicate *pairs = NULL
    for at in range(1, count):
        found += <size_t> (spans[at].first == spans[at - 1].first and spans[at].last == spans[at - 1].last)
    laters, earliers = array("I"), array("I")
    if not found:
        return laters, earliers
    pairs = <Duplicate *> malloc(found * sizeof(Duplicate))
    if pairs == NULL:
        raise MemoryError
    try:
        found = 0
        earliest = spans[0].number
        for at in range(1, count):
            if spans[at].first != spans[at - 1].first or spans[at].last != spans[at - 1].last:
                earliest = spans[at].number
            else:
                pairs[found] = Duplicate(spans[at].number, earliest)
                found += 1
        qsort(pairs, found, sizeof(Duplicate), by_later)
        for at in range(found):
            laters.append(pairs[at].later)
            earliers.append(pairs[at].earlier)
    finally:
        free(pairs)
    return laters, earliers


def union(int version, sources):
    """One layer of all addresses that any of the sources has, as few spans as possible; their numbers are 0."""
    cdef Spans all_of = Spans(version)
    cdef Spans out = Spans(version)
    cdef Spans source
    for source in sources:
        check_version(source, version)
        if version == 4:
            append_all(all_of, <Span4 *> source.data, source.count)
        else:
            append_all(all_of, <Span6 *> source.data, source.count)
    if version == 4:
        sort(<Span4 *> all_of.data, all_of.count, 32)
        join(out, <Span4 *> all_of.data, all_of.count)
    else:
        sort(<Span6 *> all_of.data, all_of.count, 128)
        join(out, <Span6 *> all_of.data, all_of.count)
    return out


cdef int append_all(Spans out, Span *spans, size_t count) except -1:
    out.grow(out.count + count)
    if count:
        memcpy(&(<Span *> out.data)[out.count], spans, count * sizeof(Span))
        out.count += count
    return 0


cdef int join(Spans out, Span *spans, size_t count) except -1:
    cdef size_t at
    cdef Span joined
    if not count:
        return 0
    joined = spans[0]
    joined.number = 0
    for at in range(1, count):
        if is_end(joined) or spans[at].first <= joined.last + 1:
            joined.last = max(joined.last, spans[at].last)
        else:
            add(out, joined)
            joined.first = spans[at].first
            joined.last = spans[at].last
    return add(out, joined)
