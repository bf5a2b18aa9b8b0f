"""Fingerprints of entries: what tells how many of them a reload added and removed, without keeping them.

Owns the fingerprint, 24 bits that are the same in every process, and the set that a table keeps of them: sorted, three
bytes each, little-endian; two entries with one fingerprint stand in it twice. Two sets differ by as many as their
entries do, as long as no entry that came has the fingerprint of one that went: for a handful of changes next to never,
and else a few in a million. Control plane only. Knows entries only as spans and names.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from dnsbl_server.model._names cimport Names
from dnsbl_server.model._siphash cimport HashKey, hash_label
from dnsbl_server.model._spans cimport Span, Span4, Span6, Spans, address128

cdef enum:
    SIZE = 3
    # A fingerprint is sorted by its two digits.
    DIGIT = 12
    DIGITS = 1 << DIGIT


def fingerprints(seeded):
    """The set of the fingerprints of many entries: `(seed, Spans or Names)`; the seed stands for the list they are on."""
    cdef Spans spans
    cdef uint64_t seed
    cdef size_t count = 0
    seeded = tuple(seeded)
    for _, column in seeded:
        count += <size_t> len(column)
    cdef bytes prints = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> (SIZE * count))
    cdef uint8_t *target = <uint8_t *> PyBytes_AS_STRING(prints)
    for seed, column in seeded:
        if isinstance(column, Names):
            write_names(column, seed, target)
        else:
            spans = column
            if spans.version == 4:
                write_all(<Span4 *> spans.data, spans.count, seed, target)
            else:
                write_all(<Span6 *> spans.data, spans.count, seed, target)
        target += SIZE * <size_t> len(column)
    sort(<uint8_t *> PyBytes_AS_STRING(prints), count)
    return prints


def count_changes(const uint8_t[::1] before, const uint8_t[::1] after):
    """How many fingerprints one set has that the one before has not, and the other way round."""
    cdef size_t i = 0, j = 0
    cdef size_t olds = <size_t> before.shape[0] // SIZE
    cdef size_t news = <size_t> after.shape[0] // SIZE
    cdef size_t added = 0, removed = 0
    cdef uint32_t old, new
    with nogil:
        while i < olds and j < news:
            old = read(&before[SIZE * i])
            new = read(&after[SIZE * j])
            i += old <= new
            j += new <= old
            removed += old < new
            added += new < old
    return added + (news - j), removed + (olds - i)


cdef void write_all(Span *spans, size_t count, uint64_t seed, uint8_t *target) noexcept:
    cdef size_t at
    cdef uint64_t mixed
    cdef address128 first, last
    # The families differ: 0.0.0.1 is not ::1.
    seed = mix(seed + (4 if Span is Span4 else 6))
    for at in range(count):
        first, last = spans[at].first, spans[at].last
        mixed = mix(seed + <uint64_t> first)
        mixed = mix(mixed + <uint64_t> (first >> 64))
        mixed = mix(mixed + <uint64_t> last)
        mixed = mix(mixed + <uint64_t> (last >> 64))
        put(target + SIZE * at, mixed)


cdef void write_names(Names names, uint64_t seed, uint8_t *target) noexcept:
    cdef size_t at
    # The key is no secret: whoever chooses names can make a count wrong, and nothing else.
    cdef HashKey key = HashKey(seed, mix(seed))
    for at in range(names.count):
        put(target + SIZE * at, hash_label(&key, names.rows[at].scope, names.text + names.rows[at].start,
                                           names.rows[at].size))


cdef inline void put(uint8_t *target, uint64_t mixed) noexcept:
    target[0] = <uint8_t> (mixed >> 40)
    target[1] = <uint8_t> (mixed >> 48)
    target[2] = <uint8_t> (mixed >> 56)


cdef uint64_t mix(uint64_t number) noexcept:
    """Every bit of the result depends on every bit of the number (splitmix64)."""
    number += <uint64_t> 0x9E3779B97F4A7C15
    number = (number ^ (number >> 30)) * <uint64_t> 0xBF58476D1CE4E5B9
    number = (number ^ (number >> 27)) * <uint64_t> 0x94D049BB133111EB
    return number ^ (number >> 31)


cdef uint32_t read(const uint8_t *source) noexcept nogil:
    return source[0] | <uint32_t> source[1] << 8 | <uint32_t> source[2] << 16


cdef int sort(uint8_t *prints, size_t count) except -1:
    """Sort by the low digit to the side, and by the high digit back again."""
    cdef uint8_t *scratch = <uint8_t *> malloc(SIZE * count + 1)
    if scratch == NULL:
        raise MemoryError
    sort_by(prints, scratch, count, 0)
    sort_by(scratch, prints, count, DIGIT)
    free(scratch)
    return 0


cdef void sort_by(const uint8_t *source, uint8_t *target, size_t count, unsigned shift) noexcept:
    cdef size_t starts[DIGITS]
    cdef size_t at, start, size
    cdef uint32_t print
    cdef unsigned digit
    for digit in range(<unsigned> DIGITS):
        starts[digit] = 0
    for at in range(count):
        starts[(read(source + SIZE * at) >> shift) & (DIGITS - 1)] += 1
    start = 0
    for digit in range(<unsigned> DIGITS):
        size = starts[digit]
        starts[digit] = start
        start += size
    for at in range(count):
        print = read(source + SIZE * at)
        digit = (print >> shift) & (DIGITS - 1)
        target[SIZE * starts[digit]] = print & 0xFF
        target[SIZE * starts[digit] + 1] = print >> 8 & 0xFF
        target[SIZE * starts[digit] + 2] = <uint8_t> (print >> 16)
        starts[digit] += 1
