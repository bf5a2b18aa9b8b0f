"""Merging: the entries of lists to layers, and these to the columns of a table.

A layer is spans that are sorted and disjoint, so that each address has one number or none. Owns how spans that lie in
each other or cross become one, how layers are taken from and laid over each other, and how the last one becomes
columns. Control plane only. Knows no listings: the caller gives what depends on them as tables (by number), or as functions,
which are called for distinct cases and not for each span. Such a function must not change the spans that are being
read.

Everything is written once for both families (see `Span` in `_spans.pxd`). Memory is reached through raw pointers, and
only below an index that is bounded by a count in the same few lines.
"""

from array import array

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free

from dnsbl_server.model._spans cimport (
    Span,
    Span4,
    Span6,
    Spans,
    add_joined,
    address128,
    check_version,
    is_end,
)

cpdef enum:
    # Entries of one list that may hold one address. CIDRs hold it 129 times at most, from /0 to /128; without a limit
    # ranges that cross cost the square of their number.
    MAX_DEPTH = 256

cdef enum:
    # Pairs that `lay_over` remembers, as a power of 2.
    PAIR_BITS = 12
    PAIRS = 1 << PAIR_BITS


class DepthError(ValueError):
    """More than MAX_DEPTH spans hold an address; its arguments are those of an Address."""


def look_up(const uint32_t[::1] numbers, const uint32_t[::1] values):
    """The value of each number, as an array. Raises IndexError for one that has none."""
    cdef Py_ssize_t at, count = numbers.shape[0]
    cdef size_t known = <size_t> values.shape[0]
    cdef uint32_t[::1] found
    out = array("I", bytes(4 * count))
    found = out
    for at in range(count):
        if numbers[at] >= known:
            raise IndexError(f"there is no value for {numbers[at]}")
        found[at] = values[numbers[at]]
    return out


def flatten(Spans spans, const uint32_t[::1] kinds, uint32_t kind, const int[::1] roots, nested, combine):
    """Spans that may hold each other or cross to a layer, in which the smallest one decides.

    Takes what `sorted_spans` gives. Of those of one size the first row decides; of equal ones the later rows count
    nowhere. A row has the kind `kinds[row]`, and those behind its end have the kind `kind`. The number in the layer is
    `roots[kind]`, where that is below 0 the span is left out. Inside of others a kind for which `nested[kind]` is true
    has the number `combine(kinds)`: its own and those of the spans around it, from small to large, up to the first that
    is not nested. Raises DepthError.
    """
    cdef Spans out = Spans(spans.version)
    cdef bytes is_nested = nested
    if len(is_nested) != roots.shape[0]:
        raise ValueError("roots and nested are for the same kinds")
    out.grow(spans.count)
    if out.version == 4:
        flatten_into(out, <Span4 *> spans.data, spans.count, kinds, kind, roots, is_nested, combine)
    else:
        flatten_into(out, <Span6 *> spans.data, spans.count, kinds, kind, roots, is_nested, combine)
    return out


cdef int flatten_into(
    Spans out,
    Span *spans,
    size_t count,
    const uint32_t[::1] kinds,
    uint32_t default,
    const int[::1] roots,
    bytes nested,
    combine,
) except -1:
    cdef size_t at, kinds_known = <size_t> kinds.shape[0]
    cdef uint32_t kind
    cdef unsigned place, depth = 0
    # The spans that hold the current position, the largest first, and the kind of each. `ending` is the one that ends
    # first; `part` is what comes next of the smallest one.
    cdef Span active[MAX_DEPTH]
    cdef uint32_t active_kinds[MAX_DEPTH]
    cdef unsigned ending = 0
    cdef Span span, part
    for at in range(count):
        span = spans[at]
        if at and span.first <= spans[at - 1].first:
            if span.first < spans[at - 1].first:
                raise ValueError("not sorted")
            if span.last == spans[at - 1].last:
                continue
        kind = kinds[span.number] if span.number < kinds_known else default
        if roots[kind] < 0:
            continue
        while depth and active[ending].last < span.first:
            if part.first <= active[ending].last:
                part.last = active[ending].last
                part.number = <uint32_t> number_of(active_kinds, depth, roots, nested, combine)
                add_joined(out, part)
                part.first = part.last + 1
            depth -= 1
            ending = remove(active, active_kinds, depth, ending)
        if depth and part.first < span.first:
            part.last = span.first - 1
            part.number = <uint32_t> number_of(active_kinds, depth, roots, nested, combine)
            add_joined(out, part)
        if depth == MAX_DEPTH:
            raise DepthError(out.version, span.first)
        part.first = span.first
        place = depth
        while place and decides_before(active[place - 1], span):
            active[place] = active[place - 1]
            active_kinds[place] = active_kinds[place - 1]
            place -= 1
        active[place] = span
        active_kinds[place] = kind
        if depth and place <= ending:
            ending += 1
        if not depth or span.last <= active[ending].last:
            ending = place
        depth += 1
    while depth:
        if part.first <= active[ending].last:
            part.last = active[ending].last
            part.number = <uint32_t> number_of(active_kinds, depth, roots, nested, combine)
            add_joined(out, part)
            if is_end(part):
                return 0  # and so do all the others
            part.first = part.last + 1
        depth -= 1
        ending = remove(active, active_kinds, depth, ending)
    return 0


cdef inline bint decides_before(Span one, Span other) noexcept:
    """Whether of two spans the first decides: the smaller one, and of one size the earlier row."""
    if one.last - one.first != other.last - other.first:
        return one.last - one.first < other.last - other.first
    return one.number < other.number


cdef inline unsigned remove(Span *active, uint32_t *kinds, unsigned depth, unsigned place) noexcept:
    """Take one out, so that `depth` are left; returns which of them ends first."""
    cdef unsigned at, ending = 0
    for at in range(place, depth):
        active[at] = active[at + 1]
        kinds[at] = kinds[at + 1]
    for at in range(1, depth):
        if active[at].last <= active[ending].last:
            ending = at
    return ending


cdef inline int64_t number_of(
    const uint32_t *kinds, unsigned depth, const int[::1] roots, bytes nested, combine
) except -1:
    """The number of the last one of these kinds inside of the others, of which there are `depth` together."""
    cdef unsigned at = depth - 1
    cdef uint32_t number
    if depth == 1 or not nested[kinds[at]]:
        return roots[kinds[at]]
    around = [kinds[at]]
    while at and nested[kinds[at]]:
        at -= 1
        around.append(kinds[at])
    number = combine(tuple(around))
    return number


def subtract(Spans spans, Spans holes):
    """A layer without the addresses of another one; the layer itself where they have none in common."""
    check_version(holes, spans.version)
    cdef bint have_common
    if spans.version == 4:
        have_common = overlap(<Span4 *> spans.data, spans.count, <Span4 *> holes.data, holes.count)
    else:
        have_common = overlap(<Span6 *> spans.data, spans.count, <Span6 *> holes.data, holes.count)
    if not have_common:
        return spans
    cdef Spans out = Spans(spans.version)
    if out.version == 4:
        subtract_into(out, <Span4 *> spans.data, spans.count, <Span4 *> holes.data, holes.count)
    else:
        subtract_into(out, <Span6 *> spans.data, spans.count, <Span6 *> holes.data, holes.count)
    return out


cdef bint overlap(Span *spans, size_t count, Span *holes, size_t hole_count) noexcept:
    cdef size_t at = 0, hole = 0
    while at < count and hole < hole_count:
        if spans[at].last < holes[hole].first:
            at += 1
        elif holes[hole].last < spans[at].first:
            hole += 1
        else:
            return True
    return False


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
                add_joined(out, part)
            if holes[hole].last >= span.last:
                break
            span.first = holes[hole].last + 1
            hole += 1
        else:
            add_joined(out, span)
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
        cdef uint32_t slot = (one * 2654435761u + other * 2246822519u) >> (32 - PAIR_BITS)
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
        add_joined(out, part)
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
        add_joined(out, a)
        i += 1
        if i < under_count:
            a = under[i]
    while j < over_count:
        add_joined(out, b)
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
        add_joined(spans, span)
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
