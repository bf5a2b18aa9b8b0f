"""Searching tables: the answers of many addresses at a time.

Owns the search of the intervals and of the answer that is current. It trusts a table, because `_sections` has checked
it; built with DNSBL_CHECKED, every step into one is checked all the same. Allocates nothing and holds no lock. Knows
neither messages nor queries. Names are `_namesearch`'s.

A search mostly waits for memory, and so several of them wait at the same time: those of IPv6 addresses go step by step,
all of a batch side by side, and those of IPv4 addresses have only one step.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dnsbl_server.dns._memory cimport CHECK, PREFETCH, get64

cdef enum:
    AHEAD = 4                    # searches of IPv4 addresses whose memory is on its way


cdef void search(Lookup* lookups, uint32_t count) noexcept nogil:
    """Look all addresses up. The caller has called `fetch_index` for each."""
    cdef uint32_t number
    cdef bint is_halved = True
    cdef Lookup* lookup
    for number in range(count):
        lookup = &lookups[number]
        lookup.low = lookup.left = lookup.found = 0
        if lookup.address.version == 6:
            lookup.left = lookup.table.count6
    while is_halved:
        is_halved = False
        for number in range(count):
            if lookups[number].left > 1:
                halve6(&lookups[number])
                is_halved = True
    for number in range(count + AHEAD):
        if number < count and lookups[number].address.version == 4:
            fetch4(&lookups[number])
        if number < AHEAD:
            continue
        lookup = &lookups[number - AHEAD]
        if lookup.address.version == 4:
            lookup.found = find4(lookup)
        elif lookup.address.version == 6:
            lookup.found = find6(lookup)


cdef inline void fetch4(const Lookup* lookup) noexcept nogil:
    """Have the processor bring the intervals that the index leads to."""
    cdef const Layout* table = lookup.table
    cdef uint32_t bucket = <uint32_t>(<uint64_t>lookup.address.v4 >> table.shift4)
    cdef uint64_t low, count
    CHECK(bucket + 1 < table.index4_size)
    low = table.index4[bucket]
    count = table.index4[bucket + 1] - low
    # All lines of a bucket of some 40 intervals, the outer and middle ones of a larger one.
    PREFETCH(table.first4 + low)
    PREFETCH(table.first4 + low + count // 2)
    PREFETCH(table.first4 + low + count)
    PREFETCH(table.end4 + 2 * low)
    PREFETCH(table.end4 + 2 * low + count // 2)
    PREFETCH(table.end4 + 2 * low + count)
    PREFETCH(table.end4 + 2 * low + count + count // 2)
    PREFETCH(table.end4 + 2 * low + 2 * count)


cdef inline uint32_t find4(const Lookup* lookup) noexcept nogil:
    """The number of the answer for an IPv4 address, 0 where it is not listed."""
    cdef const Layout* table = lookup.table
    cdef uint32_t address = lookup.address.v4
    cdef uint32_t bucket = <uint32_t>(<uint64_t>address >> table.shift4)
    cdef uint32_t low, count, half
    CHECK(bucket + 1 < table.index4_size)
    # The last interval that starts at or before the address: in this bucket, or the last one before it.
    low = table.index4[bucket]
    count = table.index4[bucket + 1] - low
    # Which half goes on is computed and not branched on, as no processor can guess it.
    while count > 1:
        half = count >> 1
        CHECK(low + half < table.count4)
        low += half * <uint32_t>(table.first4[low + half] <= address)
        count -= half
    CHECK(not count or low < table.count4)
    if not count or table.first4[low] > address:
        if not low:
            return 0
        low -= 1
    CHECK(low < table.count4)
    return table.end4[2 * low + 1] if address <= table.end4[2 * low] else 0


cdef inline void halve6(Lookup* lookup) noexcept nogil:
    """One step towards the last interval that starts at or before an IPv6 address, or the first one."""
    cdef const Layout* table = lookup.table
    cdef uint32_t half = lookup.left >> 1
    cdef const uint8_t* at = table.first6 + 16 * <uint64_t>(lookup.low + half)
    cdef uint64_t high
    CHECK(lookup.low + half < table.count6)
    high = get64(at)
    # That both are in one /64 can be guessed, and saves the second number; the rest is computed and not branched on.
    if high == lookup.address.high:
        lookup.low += half * <uint32_t>(get64(at + 8) <= lookup.address.low)
    else:
        lookup.low += half * <uint32_t>(high < lookup.address.high)
    lookup.left -= half
    PREFETCH(table.first6 + 16 * <uint64_t>(lookup.low + (lookup.left >> 1)))


cdef inline uint32_t find6(const Lookup* lookup) noexcept nogil:
    """The number of the answer for an IPv6 address whose interval is found; 0 where it is not listed."""
    cdef const Layout* table = lookup.table
    cdef const Address* address = &lookup.address
    cdef const uint8_t* first = table.first6 + 16 * <uint64_t>lookup.low
    cdef const uint8_t* last = table.last6 + 16 * <uint64_t>lookup.low
    cdef uint64_t high
    if not table.count6:
        return 0
    CHECK(lookup.low < table.count6)
    high = get64(first)
    if high > address.high or (high == address.high and get64(first + 8) > address.low):
        return 0
    high = get64(last)
    if high < address.high or (high == address.high and get64(last + 8) < address.low):
        return 0
    return table.answer6[lookup.low]


cdef bint has_any6(const Layout* table, uint64_t first, uint64_t last) noexcept nogil:
    """Whether any IPv6 interval has an address whose first 64 bits are from `first` to `last`."""
    cdef uint32_t low = 0
    cdef uint32_t high = table.count6
    cdef uint32_t middle
    # The first interval that ends there or behind.
    while low < high:
        middle = low + (high - low) // 2
        CHECK(middle < table.count6)
        if get64(table.last6 + 16 * <uint64_t>middle) < first:
            low = middle + 1
        else:
            high = middle
    return low < table.count6 and get64(table.first6 + 16 * <uint64_t>low) <= last
