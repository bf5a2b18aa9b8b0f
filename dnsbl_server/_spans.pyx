"""Spans in bulk: millions of first and last addresses, each with a number, and what is done with all of them at once.

Owns the column of spans (`Spans`) and its algebra: cut into prefixes and sorted, flattened, subtracted, laid over each
other. A span includes both its ends. What its number means is up to who made it: a line, a row, a chain of listings.
Control plane only. Knows no lists, no listings and no files; whoever calls brings what depends on them as tables
(by number) or as functions, which are called once for each distinct case and not for each span.

Everything is written once for both families (see `Span` in the .pxd). Memory is reached through raw pointers, and only
below an index that is bounded by `count` in the same few lines. A function that is handed in must not append to the
spans that are just being read.
"""

from array import array

from libc.stdint cimport UINT32_MAX, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, qsort, realloc
from libc.string cimport memcpy

cdef extern from *:
    """
    #define count_leading_zeros(number) ((unsigned) __builtin_clzll(number))
    #define count_trailing_zeros(number) ((unsigned) __builtin_ctzll(number))
    """
    unsigned count_leading_zeros(unsigned long long number) nogil
    unsigned count_trailing_zeros(unsigned long long number) nogil

cdef enum:
    # Bits of a digit of the radix sort: 2,048 counters fit the first-level cache.
    DIGIT = 11
    DIGITS = 1 << DIGIT
    # As deep as prefixes can lie in each other: /0 to /128.
    MAX_DEPTH = 129
    # _Pairs that `lay_over` remembers.
    PAIRS = 1 << 12


cdef class Spans:
    """Spans of one address family (`version` 4 or 6), in the order they were added."""

    def __init__(self, int version, spans=()):
        """`spans`: (first, last, number) of each. Raises OverflowError for what is outside of the family."""
        if version != 4 and version != 6:
            raise ValueError("the version is 4 or 6")
        self.version = version
        self.count = 0
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
            self.push4(first, last, number)
        else:
            self.push6(first, last, number)

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

    cdef int push4(self, uint32_t first, uint32_t last, uint32_t number) except -1:
        if self.count == self.capacity:
            self.grow(self.count + 1)
        (<Span4 *> self.data)[self.count] = Span4(first, last, number)
        self.count += 1
        return 0

    cdef int push6(self, address128 first, address128 last, uint32_t number) except -1:
        if self.count == self.capacity:
            self.grow(self.count + 1)
        (<Span6 *> self.data)[self.count] = Span6(first, last, number)
        self.count += 1
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


cdef bint is_end(Span span) noexcept:
    """Whether a span reaches the last address of its family, behind which counting on would start again at 0."""
    if Span is Span4:
        return span.last == UINT32_MAX
    else:
        return span.last == ~<address128> 0


cdef int put(Spans out, Span span) except -1:
    """Add a span; one that goes on where the one before it ends, with its number, becomes part of that."""
    cdef Span *before
    if out.count:
        before = &(<Span *> out.data)[out.count - 1]
        if before.number == span.number and before.last < span.first and before.last + 1 == span.first:
            before.last = span.last
            return 0
    if out.count == out.capacity:
        out.grow(out.count + 1)
    (<Span *> out.data)[out.count] = span
    out.count += 1
    return 0


cdef int check_version(Spans spans, int version) except -1:
    if spans.version != version:
        raise ValueError("the spans are of two families")
    return 0


# Prefixes


def prefixes(int version, sources, hole=None):
    """The spans of all sources as the fewest prefixes that make them up, without those in the hole (first, last).

    Sorted as a walk through a radix tree meets them: by first address, and the larger one first. The number of each is
    its row: the position of its span in the sources one after the other.
    """
    cdef Spans out = Spans(version)
    cdef Spans source
    cdef size_t rows = 0
    cdef address128 low = hole[0] if hole is not None else 1
    cdef address128 high = hole[1] if hole is not None else 0
    for source in sources:
        check_version(source, version)
        rows += source.count
    if rows > UINT32_MAX:
        raise OverflowError(f"{rows} entries in one list; at most {UINT32_MAX} can be told apart")
    # Nearly every list is of hosts, one prefix each.
    out.grow(rows)
    rows = 0
    for source in sources:
        if version == 4:
            add_prefixes(out, <Span4 *> source.data, source.count, rows, 32, low, high)
        else:
            add_prefixes(out, <Span6 *> source.data, source.count, rows, 128, low, high)
        rows += source.count
    if version == 4:
        sort(<Span4 *> out.data, out.count, 32)
    else:
        sort(<Span6 *> out.data, out.count, 128)
    return out


cdef int add_prefixes(
    Spans out, Span *spans, size_t count, size_t row, unsigned bits, address128 low, address128 high
) except -1:
    cdef size_t at
    cdef Span span
    for at in range(count):
        span = spans[at]
        span.number = <uint32_t> (row + at)
        if low <= high and span.first <= high and span.last >= low:
            if span.first < low:
                cut(out, span, span.first, low - 1, bits)
            if span.last > high:
                cut(out, span, high + 1, span.last, bits)
        elif span.first == span.last:
            if out.count == out.capacity:
                out.grow(out.count + 1)
            (<Span *> out.data)[out.count] = span
            out.count += 1
        else:
            cut(out, span, span.first, span.last, bits)
    return 0


cdef int cut(Spans out, Span span, address128 first, address128 last, unsigned bits) except -1:
    """Add the prefixes from `first` to `last` with the number of the span."""
    cdef unsigned size, fitting
    cdef address128 length
    while True:
        # The largest block that starts here and does not pass the end.
        length = last - first
        fitting = bit_length(length)
        if length & (length + 1):
            fitting -= 1
        size = min(trailing_zeros(first, bits), fitting)
        length = ~<address128> 0 >> (128 - size) if size else 0
        if out.count == out.capacity:
            out.grow(out.count + 1)
        if Span is Span4:
            (<Span4 *> out.data)[out.count] = Span4(<uint32_t> first, <uint32_t> (first + length), span.number)
        else:
            (<Span6 *> out.data)[out.count] = Span6(first, first + length, span.number)
        out.count += 1
        if first + length == last:
            return 0
        first += length + 1


cdef unsigned bit_length(address128 number) noexcept nogil:
    cdef uint64_t high = <uint64_t> (number >> 64)
    cdef uint64_t low = <uint64_t> number
    if high:
        return 128 - count_leading_zeros(high)
    if low:
        return 64 - count_leading_zeros(low)
    return 0


cdef unsigned trailing_zeros(address128 number, unsigned bits) noexcept nogil:
    """How many of the lowest bits are zero; all `bits` of an address that is 0."""
    cdef uint64_t low = <uint64_t> number
    if low:
        return count_trailing_zeros(low)
    if number:
        return 64 + count_trailing_zeros(<uint64_t> (number >> 64))
    return bits


cdef unsigned digit_of(Span span, unsigned shift, unsigned bits) noexcept nogil:
    """A digit of what is sorted by: the first address, and below it (shift = bits) the size, larger ones first."""
    if shift == bits:
        return bits - bit_length(span.last - span.first)
    return <unsigned> (span.first >> shift) & (DIGITS - 1)


cdef int sort(Span *spans, size_t count, unsigned bits) except -1:
    """Sort prefixes by first address and, where that is the same, the larger one first; equal ones keep their order.

    A radix sort from the lowest digit up. Spans that are no prefixes come sorted by first address too.
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
    shift = bits
    while True:
        for digit in range(<unsigned> DIGITS):
            starts[digit] = 0
        for at in range(count):
            starts[digit_of(source[at], shift, bits)] += 1
        # A digit that all of them have in common sorts nothing.
        if starts[digit_of(source[0], shift, bits)] < count:
            start = 0
            for digit in range(<unsigned> DIGITS):
                size = starts[digit]
                starts[digit] = start
                start += size
            for at in range(count):
                digit = digit_of(source[at], shift, bits)
                target[starts[digit]] = source[at]
                starts[digit] += 1
            source, target = target, source
        shift = 0 if shift == bits else shift + DIGIT
        if shift >= bits:
            break
    if source != spans:
        memcpy(spans, source, count * sizeof(Span))
    free(scratch)
    return 0


# Duplicates


cdef struct Duplicate:
    uint32_t later
    uint32_t earlier
    size_t at


cdef int by_later(const void *one, const void *other) noexcept nogil:
    cdef uint32_t a = (<const Duplicate *> one).later
    cdef uint32_t b = (<const Duplicate *> other).later
    return (a > b) - (a < b)


def duplicates(Spans sorted_prefixes):
    """The rows with a prefix that an earlier row has too: (later rows, earlier rows, first such prefix of each).

    Takes what `prefixes` gives. The two arrays and the spans belong together by position, in the order of the later
    rows, and each of these stands there once.
    """
    if sorted_prefixes.version == 4:
        return find_duplicates(<Span4 *> sorted_prefixes.data, sorted_prefixes.count, 4)
    return find_duplicates(<Span6 *> sorted_prefixes.data, sorted_prefixes.count, 6)


cdef tuple find_duplicates(Span *spans, size_t count, int version):
    cdef size_t at
    cdef uint32_t row
    cdef size_t found = 0, rows = 0
    cdef uint32_t earliest = 0
    cdef Duplicate *pairs = NULL
    cdef Spans shared = Spans(version)
    for at in range(1, count):
        found += <size_t> (spans[at].first == spans[at - 1].first and spans[at].last == spans[at - 1].last)
    laters, earliers = array("I"), array("I")
    if not found:
        return laters, earliers, shared
    for at in range(count):
        rows = max(rows, <size_t> spans[at].number + 1)
    cdef bytearray seen = bytearray(rows)
    cdef uint8_t *is_seen = seen  # one byte a row, and every row is below `rows`
    pairs = <Duplicate *> malloc(found * sizeof(Duplicate))
    if pairs == NULL:
        raise MemoryError
    try:
        found = 0
        earliest = spans[0].number
        for at in range(1, count):
            row = spans[at].number
            if spans[at].first != spans[at - 1].first or spans[at].last != spans[at - 1].last:
                earliest = row
            elif not is_seen[row]:
                is_seen[row] = 1
                pairs[found] = Duplicate(row, earliest, at)
                found += 1
        qsort(pairs, found, sizeof(Duplicate), by_later)
        for at in range(found):
            laters.append(pairs[at].later)
            earliers.append(pairs[at].earlier)
            put_as_is(shared, spans[pairs[at].at])
    finally:
        free(pairs)
    return laters, earliers, shared


cdef int put_as_is(Spans out, Span span) except -1:
    if out.count == out.capacity:
        out.grow(out.count + 1)
    (<Span *> out.data)[out.count] = span
    out.count += 1
    return 0


# Layers: spans that are sorted and disjoint


def flatten(Spans sorted_prefixes, const uint32_t[::1] kinds, uint32_t kind, const int[::1] roots, nested, extend):
    """Prefixes that lie in each other to a layer, in which the innermost one decides.

    Takes what `prefixes` gives; of equal ones the first counts. The row of a prefix has the kind `kinds[row]`, and
    those behind its end have the kind `kind`. The number in the layer is `roots[kind]`, where that is below 0 the
    prefix is left out; a kind for which `nested[kind]` is true has `extend(kind, number around it)` inside of others.
    """
    cdef Spans out = Spans(sorted_prefixes.version)
    cdef bytes is_nested = nested
    if len(is_nested) != roots.shape[0]:
        raise ValueError("roots and nested are for the same kinds")
    out.grow(sorted_prefixes.count)
    if out.version == 4:
        flatten_into(out, <Span4 *> sorted_prefixes.data, sorted_prefixes.count, kinds, kind, roots, is_nested, extend)
    else:
        flatten_into(out, <Span6 *> sorted_prefixes.data, sorted_prefixes.count, kinds, kind, roots, is_nested, extend)
    return out


cdef int flatten_into(
    Spans out,
    Span *spans,
    size_t count,
    const uint32_t[::1] kinds,
    uint32_t default,
    const int[::1] roots,
    bytes nested,
    extend,
) except -1:
    cdef size_t at, kinds_known = <size_t> kinds.shape[0]
    cdef uint32_t kind
    cdef int number
    cdef unsigned depth = 0
    # The prefixes that hold the current position, outermost first, with the numbers they have in the layer; `part` is
    # what comes next of the innermost one.
    cdef Span stack[MAX_DEPTH]
    cdef Span span, part
    for at in range(count):
        span = spans[at]
        if at and span.first == spans[at - 1].first and span.last == spans[at - 1].last:
            continue
        kind = kinds[span.number] if span.number < kinds_known else default
        if roots[kind] < 0:
            continue
        while depth and stack[depth - 1].last < span.first:
            depth -= 1
            close(out, &stack[depth], &part)
        number = roots[kind]
        if depth:
            if part.first < span.first:
                part.last = span.first - 1
                part.number = stack[depth - 1].number
                put(out, part)
            if nested[kind]:
                number = extend(kind, stack[depth - 1].number)
        if depth == MAX_DEPTH or number < 0:
            raise ValueError("not sorted prefixes, or no number")
        span.number = <uint32_t> number
        stack[depth] = span
        depth += 1
        part.first = span.first
    while depth:
        depth -= 1
        close(out, &stack[depth], &part)
        if is_end(stack[depth]):
            return 0  # and so do all that are around it
    return 0


cdef int close(Spans out, Span *ended, Span *part) except -1:
    """Add what is left of a prefix that ends, from `part.first` on, and go on behind it."""
    if part.first <= ended.last:
        part.last = ended.last
        part.number = ended.number
        put(out, part[0])
        part.first = ended.last + 1
    return 0


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
            put_as_is(out, joined)
            joined.first = spans[at].first
            joined.last = spans[at].last
    return put_as_is(out, joined)


def subtract(Spans spans, Spans holes):
    """A layer without the addresses of another one."""
    check_version(holes, spans.version)
    if not holes.count:
        return spans
    cdef Spans out = Spans(spans.version)
    if out.version == 4:
        subtract_into(out, <Span4 *> spans.data, spans.count, <Span4 *> holes.data, holes.count)
    else:
        subtract_into(out, <Span6 *> spans.data, spans.count, <Span6 *> holes.data, holes.count)
    return out


cdef int subtract_into(Spans out, Span *spans, size_t count, Span *holes, size_t hole_count) except -1:
    cdef size_t at, hole, first_hole = 0
    cdef Span span, part
    for at in range(count):
        span = spans[at]
        while first_hole < hole_count and holes[first_hole].last < span.first:
            first_hole += 1
        hole = first_hole
        while hole < hole_count and holes[hole].first <= span.last:
            if span.first < holes[hole].first:
                part = span
                part.last = holes[hole].first - 1
                put(out, part)
            if holes[hole].last >= span.last:
                break
            span.first = holes[hole].last + 1
            hole += 1
        else:
            put(out, span)
    return 0


def lay_over(Spans under, Spans over, combine):
    """Two layers in one: where both have an address its number is `combine(number under, number over)`."""
    check_version(over, under.version)
    if not under.count:
        return over
    if not over.count:
        return under
    cdef Spans out = Spans(under.version)
    cdef _Pairs pairs = _Pairs(combine)
    if out.version == 4:
        lay_into(out, <Span4 *> under.data, under.count, <Span4 *> over.data, over.count, pairs)
    else:
        lay_into(out, <Span6 *> under.data, under.count, <Span6 *> over.data, over.count, pairs)
    return out


cdef class _Pairs:
    """What `combine` said of pairs of numbers, as far as it is remembered."""

    cdef object combine
    cdef uint32_t one[PAIRS]
    cdef uint32_t other[PAIRS]
    # One more than the result; 0 where nothing is remembered. (Cython's objects start as zeroes.)
    cdef uint64_t results[PAIRS]

    def __init__(self, combine):
        self.combine = combine

    cdef int number(self, uint32_t one, uint32_t other, uint32_t *result) except -1:
        cdef uint32_t slot = (one * 2654435761u + other * 2246822519u) >> (32 - 12)
        if not (self.results[slot] and self.one[slot] == one and self.other[slot] == other):
            self.results[slot] = 0
            result[0] = self.combine(one, other)
            self.one[slot], self.other[slot] = one, other
            self.results[slot] = <uint64_t> result[0] + 1
        result[0] = <uint32_t> (self.results[slot] - 1)
        return 0


cdef int lay_into(Spans out, Span *under, size_t under_count, Span *over, size_t over_count, _Pairs pairs) except -1:
    cdef size_t i = 0, j = 0
    cdef Span a = under[0], b = over[0], part
    # Each pass adds one span, and moves on in the layer or layers where that ends; neither is empty.
    while i < under_count and j < over_count:
        if a.first < b.first:
            part = a
            if part.last >= b.first:
                part.last = b.first - 1
        elif b.first < a.first:
            part = b
            if part.last >= a.first:
                part.last = a.first - 1
        else:
            part = a
            part.last = min(a.last, b.last)
            pairs.number(a.number, b.number, &part.number)
        put(out, part)
        if a.first <= part.last:
            if a.last > part.last:
                a.first = part.last + 1
            else:
                i += 1
                if i < under_count:
                    a = under[i]
        if b.first <= part.last:
            if b.last > part.last:
                b.first = part.last + 1
            else:
                j += 1
                if j < over_count:
                    b = over[j]
    while i < under_count:
        put(out, a)
        i += 1
        if i < under_count:
            a = under[i]
    while j < over_count:
        put(out, b)
        j += 1
        if j < over_count:
            b = over[j]
    return 0


def intervals(Spans spans, uint32_t[::1] answers, resolve):
    """A layer as columns: (first addresses, last addresses, numbers of the answers); neighbours with one answer joined.

    The answer is `answers[number]`, and `resolve(number)` goes there where it is still 0. Addresses are numbers of 32
    bits for IPv4, and for IPv6 16 bytes each, big-endian. The layer is used up: it is empty afterwards.
    """
    if spans.version == 4:
        answer_all(spans, <Span4 *> spans.data, answers, resolve)
        found = columns4(spans)
    else:
        answer_all(spans, <Span6 *> spans.data, answers, resolve)
        found = columns6(spans)
    free(spans.data)
    spans.data = NULL
    spans.count = spans.capacity = 0
    return found


cdef int answer_all(Spans spans, Span *data, uint32_t[::1] answers, resolve) except -1:
    """Replace all numbers by their answers, in place: joined, the spans are never more."""
    cdef size_t at, count = spans.count, known = <size_t> answers.shape[0]
    cdef Span span
    spans.count = 0
    for at in range(count):
        span = data[at]
        if span.number >= known:
            raise IndexError("a number without an answer")
        if not answers[span.number]:
            answers[span.number] = resolve(span.number)
        span.number = answers[span.number]
        put(spans, span)
    return 0


cdef column(size_t count):
    return array("I", bytes(4)) * count


cdef tuple columns4(Spans spans):
    firsts, lasts, numbers = column(spans.count), column(spans.count), column(spans.count)
    cdef uint32_t[::1] first = firsts
    cdef uint32_t[::1] last = lasts
    cdef uint32_t[::1] number = numbers
    cdef Span4 *data = <Span4 *> spans.data
    cdef size_t at
    for at in range(spans.count):
        first[at] = data[at].first
        last[at] = data[at].last
        number[at] = data[at].number
    return firsts, lasts, numbers


cdef tuple columns6(Spans spans):
    cdef bytearray firsts = bytearray(16 * spans.count)
    cdef bytearray lasts = bytearray(16 * spans.count)
    numbers = column(spans.count)
    cdef uint8_t *first = firsts
    cdef uint8_t *last = lasts
    cdef uint32_t[::1] number = numbers
    cdef Span6 *data = <Span6 *> spans.data
    cdef size_t at
    for at in range(spans.count):
        big_endian(data[at].first, first + 16 * at)
        big_endian(data[at].last, last + 16 * at)
        number[at] = data[at].number
    return firsts, lasts, numbers


cdef void big_endian(address128 address, uint8_t *target) noexcept nogil:
    cdef unsigned at
    for at in range(16):
        target[at] = <uint8_t> (address >> (120 - 8 * at))
