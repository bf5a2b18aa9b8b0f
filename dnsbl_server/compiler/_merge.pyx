"""Merging: the prefixes of lists to layers, and these to the columns of a table.

A layer is spans that are sorted and disjoint, so that each address has one number or none. Owns how prefixes that lie
in each other become one, how layers are taken from and laid over each other, and how the last one becomes columns.
Control plane only. Knows no listings: the caller gives what depends on them as tables (by number), or as functions,
which are called for distinct cases and not for each span. Such a function must not change the spans that are being
read.

Everything is written once for both families (see `Span` in `_spans.pxd`). Memory is reached through raw pointers, and
only below an index that is bounded by a count in the same few lines.
"""

from array import array

from libc.stdint cimport uint8_t, uint32_t, uint64_t
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

cdef enum:
    # As deep as prefixes can lie in each other: /0 to /128.
    MAX_DEPTH = 129
    # Pairs that `lay_over` remembers, as a power of 2.
    PAIR_BITS = 12
    PAIRS = 1 << PAIR_BITS


def flatten(Spans prefixes, const uint32_t[::1] kinds, uint32_t kind, const int[::1] roots, nested, extend):
    """Prefixes that lie in each other to a layer, in which the innermost one decides.

    Takes what `sorted_prefixes` gives; of equal ones the first counts. The row of a prefix has the kind `kinds[row]`,
    and those behind its end have the kind `kind`. The number in the layer is `roots[kind]`, where that is below 0 the
    prefix is left out; a kind for which `nested[kind]` is true has `extend(kind, number around it)` inside of others.
    """
    cdef Spans out = Spans(prefixes.version)
    cdef bytes is_nested = nested
    if len(is_nested) != roots.shape[0]:
        raise ValueError("roots and nested are for the same kinds")
    out.grow(prefixes.count)
    if out.version == 4:
        flatten_into(out, <Span4 *> prefixes.data, prefixes.count, kinds, kind, roots, is_nested, extend)
    else:
        flatten_into(out, <Span6 *> prefixes.data, prefixes.count, kinds, kind, roots, is_nested, extend)
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
                add_joined(out, part)
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
        add_joined(out, part[0])
        part.first = ended.last + 1
    return 0


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
