"""The native answer: a message's bytes to an answer's bytes, over the tables of a snapshot.

Owns the compiled twin of `respond.respond`, which is its specification: the same bytes, zone, type, outcome and hits
for every message, or ODD for the few kinds that are left to Python (the zone's own name, class CH, EDNS versions other
than 0). Property tests hold it to that. Pure: no socket, no clock, no allocation while it answers.

Nothing that a client sends and nothing that stands in a table leads out of its bounds. A table is checked whole when
it is opened (`Table`), so the code behind trusts it; a message is trusted with nothing. Built with DNSBL_CHECKED, what
leads into a table is checked all the same, and a wrong step ends the process; with AddressSanitizer, so does every byte
read behind the end of a message. The tests run these builds too.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memmove, memset

cdef extern from *:
    """
    #include <stdlib.h>
    #ifdef DNSBL_CHECKED
    #define CHECK(condition) do { if (!(condition)) abort(); } while (0)
    #else
    #define CHECK(condition) ((void)0)
    #endif
    /* The rest of a buffer, behind the message in it, is out of bounds while the message is read. */
    #ifndef __has_feature
    #define __has_feature(feature) 0
    #endif
    #if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
    #include <sanitizer/asan_interface.h>
    #define SEAL(start, size) __asan_poison_memory_region((start), (size))
    #define UNSEAL(start, size) __asan_unpoison_memory_region((start), (size))
    #else
    #define SEAL(start, size) ((void)0)
    #define UNSEAL(start, size) ((void)0)
    #endif
    #define PREFETCH(place) __builtin_prefetch(place)
    #define SWAP32(number) __builtin_bswap32(number)
    #define SWAP64(number) __builtin_bswap64(number)
    """
    void CHECK(bint condition) noexcept nogil
    void SEAL(const uint8_t* start, uint32_t size) noexcept nogil
    void UNSEAL(const uint8_t* start, uint32_t size) noexcept nogil
    void PREFETCH(const void* place) noexcept nogil
    uint32_t SWAP32(uint32_t number) noexcept nogil
    uint64_t SWAP64(uint64_t number) noexcept nogil

OUTCOMES = ("listed", "not_listed", "nodata", "refused", "formerr", "notimp", "truncated", "dropped")

cdef enum:
    MIN_UDP = 512
    MAX_NAME = 255
    MAX_LABELS = 128
    QR_AA = 0x84               # bits of the third byte of a message
    QR = 0x80
    AA = 0x04
    TC = 0x02
    RD = 0x01
    OPCODE = 0x78
    RCODE_FORMERR = 1
    RCODE_NXDOMAIN = 3
    RCODE_NOTIMP = 4
    RCODE_REFUSED = 5
    CLASS_IN = 1
    CLASS_CH = 3
    TYPE_A = 1
    TYPE_TXT = 16
    TYPE_OPT = 41
    TYPE_IXFR = 251
    TYPE_AXFR = 252
    TYPE_ANY = 255
    RECORD_SIZE = 10           # type, class, TTL and length of a record
    ANSWER_SIZE = 20           # of an answer in a table, without its codes and texts
    TEXT_SIZE = 8
    A_SIZE = 16                # of an A record whose owner is a pointer
    POINTER_SIZE = 2
    OPT_SIZE = 11
    NO_NIBBLE = 0xFF
    AHEAD = 4                  # lookups of IPv4 addresses whose memory is on its way
    MAX_STRING = 255
    MAX_ADDRESS = 40
    MAPPED = 0xFFFF            # the third quarter of an IPv4-mapped address
    ADDRESS_MARK = 0

cdef const uint8_t* OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
cdef uint64_t NOTHING = 0  # what an empty section points to
cdef const uint8_t* HEX = b"0123456789abcdef"


# Reading numbers ------------------------------------------------------------------------------------------------------

cdef inline uint32_t get16(const uint8_t* at) noexcept nogil:
    return <uint32_t>at[0] << 8 | at[1]


cdef inline uint32_t native16(const uint8_t* at) noexcept nogil:
    return <uint32_t>at[1] << 8 | at[0]


cdef inline uint32_t native32(const uint8_t* at) noexcept nogil:
    cdef uint32_t number
    memcpy(&number, at, 4)
    return number


cdef inline uint64_t native64(const uint8_t* at) noexcept nogil:
    cdef uint64_t number
    memcpy(&number, at, 8)
    return number


cdef inline uint64_t get64(const uint8_t* at) noexcept nogil:
    return SWAP64(native64(at))


cdef inline uint8_t lower(uint8_t character) noexcept nogil:
    return <uint8_t>(character | 0x20) if 0x41 <= character <= 0x5A else character


# Queries --------------------------------------------------------------------------------------------------------------

cdef struct Labels:
    uint32_t count
    uint16_t at[MAX_LABELS]    # where each label starts: its length


cdef bint parse_name(const uint8_t* packet, uint32_t size, Query* query, Labels* labels) noexcept nogil:
    """Find the labels of the question, and its end; False where there is no plain name."""
    cdef uint32_t at = HEADER_SIZE
    cdef uint32_t length
    labels.count = 0
    while at < size:
        length = packet[at]
        if not length:
            query.end = at + 1
            return True
        # Two labels have at least three bytes, so there are at most 127 in 255.
        if length > 63 or at + 1 + length - HEADER_SIZE > MAX_NAME - 1:
            return False
        CHECK(labels.count < MAX_LABELS)
        labels.at[labels.count] = <uint16_t>at
        labels.count += 1
        at += 1 + length
    return False


cdef uint32_t skip_name(const uint8_t* packet, uint32_t size, uint32_t at) noexcept nogil:
    """The end of a name that may be compressed, or 0."""
    cdef uint32_t start = at
    cdef uint32_t length
    while at < size and at - start < MAX_NAME:
        length = packet[at]
        if length >= 0xC0:
            return at + 2
        if length > 63:
            return 0
        at += 1 + length
        if not length:
            return at
    return 0


cdef bint check_options(const uint8_t* packet, uint32_t at, uint32_t end) noexcept nogil:
    while at < end:
        if at + 4 > end:
            return False
        at += 4 + get16(packet + at + 2)
    return at == end


cdef bint parse_query(const uint8_t* packet, uint32_t size, Query* query, Labels* labels) noexcept nogil:
    """Read all of a message behind its header; False where it is no query. The rules are those of wire.parse_query."""
    cdef uint32_t first_additional, total, number, at, length, rtype
    cdef bint is_root
    query.has_edns = query.do_bit = False
    query.edns_size = query.edns_version = 0
    if get16(packet + 4) != 1 or not parse_name(packet, size, query, labels) or query.end + 4 > size:
        return False
    query.qtype = get16(packet + query.end)
    query.qclass = get16(packet + query.end + 2)
    query.end += 4
    if not packet[2] & OPCODE:
        if get16(packet + 6) or get16(packet + 8) > <uint32_t>(query.qtype == TYPE_IXFR):
            return False
    at = query.end
    first_additional = get16(packet + 6) + get16(packet + 8)
    total = first_additional + get16(packet + 10)
    for number in range(total):
        is_root = at < size and packet[at] == 0
        at = skip_name(packet, size, at)
        if not at or at + RECORD_SIZE > size:
            return False
        rtype = get16(packet + at)
        length = get16(packet + at + 8)
        if at + RECORD_SIZE + length > size:
            return False
        if rtype == TYPE_OPT:
            if query.has_edns or number < first_additional or not is_root:
                return False
            query.has_edns = True
            query.edns_size = get16(packet + at + 2)
            query.edns_version = packet[at + 5]
            query.do_bit = packet[at + 6] >> 7
            if not query.edns_version and not check_options(packet, at + RECORD_SIZE, at + RECORD_SIZE + length):
                return False
        at += RECORD_SIZE + length
    return at == size


# Names ----------------------------------------------------------------------------------------------------------------

cdef enum:
    # FNV-1a, 64 bits; without a key, because only the names of the operator's own zones are in the table
    HASH_SEED = 0xCBF29CE484222325
    HASH_PRIME = 0x100000001B3


cdef inline uint64_t hash_label(uint64_t hashed, const uint8_t* label) noexcept nogil:
    """Add the next label to the left to the hash of a name."""
    cdef uint32_t at
    for at in range(<uint32_t>label[0] + 1):
        hashed = (hashed ^ lower(label[at])) * <uint64_t>HASH_PRIME
    return hashed


cdef inline bint is_name(const Name* name, const uint8_t* wire, uint32_t size) noexcept nogil:
    cdef uint32_t at
    if name.size != size:
        return False
    for at in range(size):
        if name.wire[at] != lower(wire[at]):
            return False
    return True


cdef const Name* find_name(const Names* names, uint64_t hashed, const uint8_t* wire, uint32_t size) noexcept nogil:
    cdef uint32_t place = <uint32_t>hashed & names.mask
    cdef const Name* name
    while True:
        name = &names.table[place]
        if name.wire == NULL:
            return NULL
        if name.hash == hashed and is_name(name, wire, size):
            return name
        place = (place + 1) & names.mask


cdef uint32_t find_zone(const Names* names, const uint8_t* packet, const Labels* labels, uint32_t end, uint32_t* front,
                        bint* exists) noexcept nogil:
    """The zone with the longest name that the question's name is at or below, or NO_ZONE.

    end: of the name; front: how many labels stand in front of the zone's; exists: whether the name itself is that of
    a zone, or above one.
    """
    cdef uint64_t hashed = HASH_SEED
    cdef uint32_t zone = NO_ZONE
    cdef uint32_t label = labels.count
    cdef uint32_t least = 0 if labels.count <= names.most_labels else labels.count - names.most_labels
    cdef uint32_t place
    cdef const uint8_t* wire
    cdef const Name* name
    exists[0] = False
    front[0] = 0
    while label > least:
        label -= 1
        wire = packet + labels.at[label]
        hashed = hash_label(hashed, wire)
        place = <uint32_t>hashed & names.mask
        while names.table[place].wire != NULL:
            name = &names.table[place]
            place = (place + 1) & names.mask
            # A name above a zone means something only where it is the whole name that was asked for.
            if name.hash != hashed or (name.zone == NO_ZONE and label):
                continue
            if is_name(name, wire, <uint32_t>(packet + end - wire)):
                if name.zone != NO_ZONE:
                    zone = name.zone
                    front[0] = label
                exists[0] = not label
                break
    return zone


cdef inline int32_t octet(const uint8_t* label) noexcept nogil:
    """The number that a label is as an octet (0 to 255, no leading zero), or -1."""
    cdef uint32_t length = label[0]
    cdef int32_t number = 0
    cdef uint32_t at
    if not 1 <= length <= 3 or (length > 1 and label[1] == 0x30):
        return -1
    for at in range(1, length + 1):
        if not 0x30 <= label[at] <= 0x39:
            return -1
        number = 10 * number + label[at] - 0x30
    return number if number <= 255 else -1


cdef uint8_t NIBBLES[256]      # the number that each character is as a nibble, or NO_NIBBLE
for _character in range(256):
    NIBBLES[_character] = int(chr(_character), 16) if _character in b"0123456789abcdefABCDEF" else NO_NIBBLE


cdef bint parse_reversed(const uint8_t* packet, const Labels* labels, uint32_t count, Address* address) noexcept nogil:
    """Read the first `count` labels as a reversed address; whether they are the end of a longer one.

    The rules are those of address.parse_reversed: `1.0.0.2` is an address and the end of an IPv6 name.
    """
    cdef bint partial = False
    cdef uint32_t number
    cdef int32_t part
    CHECK(count and count <= labels.count)
    address.version = address.v4 = 0
    if count <= 4:
        for number in range(count):
            part = octet(packet + labels.at[number])
            if part < 0:
                break
            address.v4 |= <uint32_t>part << (8 * number)
        else:
            if count == 4:
                address.version = 4
            else:
                partial = True
    if count <= 32:
        # So many labels have two bytes each only if each is of one character.
        if labels.at[count - 1] != HEADER_SIZE + 2 * (count - 1) or packet[labels.at[count - 1]] != 1:
            return partial
        address.high = address.low = 0
        for number in range(count):
            part = NIBBLES[packet[HEADER_SIZE + 1 + 2 * number]]
            if part == NO_NIBBLE:
                return partial
            # The last label is the first nibble.
            address.low = address.low >> 4 | address.high << 60
            address.high = address.high >> 4 | <uint64_t>part << 60
        if count < 32:
            return True
        if not address.high and address.low >> 32 == MAPPED:
            address.version = 4
            address.v4 = <uint32_t>address.low
        else:
            address.version = 6
    return partial


# Lookups --------------------------------------------------------------------------------------------------------------

cdef inline void fetch4(const Zone* zone, const Query* query) noexcept nogil:
    """Have the processor bring the intervals that the index leads to; `prepare` has had it bring the index."""
    cdef uint32_t bucket = <uint32_t>(<uint64_t>query.address.v4 >> zone.shift4)
    cdef uint64_t low, count
    CHECK(bucket + 1 < zone.index4_size)
    low = zone.index4[bucket]
    count = zone.index4[bucket + 1] - low
    # All lines of a bucket of some 40 intervals, the outer and middle ones of a larger one.
    PREFETCH(zone.first4 + low)
    PREFETCH(zone.first4 + low + count // 2)
    PREFETCH(zone.first4 + low + count)
    PREFETCH(zone.end4 + 2 * low)
    PREFETCH(zone.end4 + 2 * low + count // 2)
    PREFETCH(zone.end4 + 2 * low + count)
    PREFETCH(zone.end4 + 2 * low + count + count // 2)
    PREFETCH(zone.end4 + 2 * low + 2 * count)


cdef inline uint32_t find4(const Zone* zone, uint32_t address) noexcept nogil:
    """The number of the answer for an IPv4 address, 0 where it is not listed."""
    cdef uint32_t bucket = <uint32_t>(<uint64_t>address >> zone.shift4)
    cdef uint32_t low, count, half
    CHECK(bucket + 1 < zone.index4_size)
    # The last interval that starts at or before the address: in this bucket, or the last one before it.
    low = zone.index4[bucket]
    count = zone.index4[bucket + 1] - low
    # Which half goes on is computed and not branched on, as no processor can guess it.
    while count > 1:
        half = count >> 1
        CHECK(low + half < zone.count4)
        low += half * <uint32_t>(zone.first4[low + half] <= address)
        count -= half
    CHECK(not count or low < zone.count4)
    if not count or zone.first4[low] > address:
        if not low:
            return 0
        low -= 1
    CHECK(low < zone.count4)
    return zone.end4[2 * low + 1] if address <= zone.end4[2 * low] else 0


cdef inline void halve6(const Zone* zone, Query* query) noexcept nogil:
    """One step towards the last interval that starts at or before an IPv6 address, or the first one."""
    cdef uint32_t half = query.left >> 1
    cdef const uint8_t* at = zone.first6 + 16 * <uint64_t>(query.low + half)
    cdef uint64_t high
    CHECK(query.low + half < zone.count6)
    high = get64(at)
    query.low += half * <uint32_t>(
        (high < query.address.high) | ((high == query.address.high) & (get64(at + 8) <= query.address.low))
    )
    query.left -= half
    PREFETCH(zone.first6 + 16 * <uint64_t>(query.low + (query.left >> 1)))


cdef inline uint32_t find6(const Zone* zone, const Query* query) noexcept nogil:
    """The number of the answer for an IPv6 address whose interval is found; 0 where it is not listed."""
    cdef const Address* address = &query.address
    cdef const uint8_t* first = zone.first6 + 16 * <uint64_t>query.low
    cdef const uint8_t* last = zone.last6 + 16 * <uint64_t>query.low
    cdef uint64_t high
    if not zone.count6:
        return 0
    CHECK(query.low < zone.count6)
    high = get64(first)
    if high > address.high or (high == address.high and get64(first + 8) > address.low):
        return 0
    high = get64(last)
    if high < address.high or (high == address.high and get64(last + 8) < address.low):
        return 0
    return zone.answer6[query.low]


cdef void search(const Names* names, Query* queries, const int* done, uint32_t count) noexcept nogil:
    """Look up the addresses of those messages of a batch that are PENDING.

    A lookup mostly waits for memory, and so several of them wait at the same time: those of IPv6 addresses go step by
    step, all of the batch side by side, and those of IPv4 addresses have only one step.
    """
    cdef uint32_t number
    cdef bint is_halved = True
    cdef Query* query
    cdef const Zone* zone
    for number in range(count):
        query = &queries[number]
        query.low = query.left = query.found = 0
        if done[number] == PENDING and query.address.version == 6:
            query.left = names.zones[query.zone].count6
    while is_halved:
        is_halved = False
        for number in range(count):
            if queries[number].left > 1:
                halve6(&names.zones[queries[number].zone], &queries[number])
                is_halved = True
    for number in range(count + AHEAD):
        if number < count and done[number] == PENDING and queries[number].address.version == 4:
            fetch4(&names.zones[queries[number].zone], &queries[number])
        if number < AHEAD or done[number - AHEAD] != PENDING:
            continue
        query = &queries[number - AHEAD]
        zone = &names.zones[query.zone]
        if query.address.version == 4:
            query.found = find4(zone, query.address.v4)
        elif query.address.version == 6:
            query.found = find6(zone, query)


cdef const uint8_t* find_current(const Zone* zone, uint32_t number, double now) noexcept nogil:
    """The answer with a number, or the one that follows it by now; NULL where the address is not listed."""
    cdef const uint8_t* answer
    cdef uint64_t expires
    while number:
        CHECK(number <= zone.answer_count)
        CHECK(<uint64_t>zone.offsets[number] + ANSWER_SIZE <= zone.answers_size)
        answer = zone.answers + zone.offsets[number]
        expires = native64(answer)
        if not expires or <double>expires > now:
            return answer
        # Smaller than this one: the check of the table made sure of it.
        CHECK(native32(answer + 8) < number)
        number = native32(answer + 8)
    return NULL


# Answers --------------------------------------------------------------------------------------------------------------

cdef inline uint8_t* put(uint8_t* at, const uint8_t* data, uint32_t size) noexcept nogil:
    memcpy(at, data, size)
    return at + size


cdef inline uint8_t* put16(uint8_t* at, uint32_t number) noexcept nogil:
    at[0] = <uint8_t>(number >> 8 & 0xFF)
    at[1] = <uint8_t>(number & 0xFF)
    return at + 2


cdef inline uint8_t* put32(uint8_t* at, uint32_t number) noexcept nogil:
    number = SWAP32(number)
    memcpy(at, &number, 4)
    return at + 4


cdef inline uint8_t* put_record(uint8_t* at, uint32_t rtype, uint32_t ttl, uint32_t size) noexcept nogil:
    """A record up to its data; its owner is the question's name."""
    at = put16(at, 0xC000 | HEADER_SIZE)
    at = put16(at, rtype)
    at = put16(at, CLASS_IN)
    at = put32(at, ttl)
    return put16(at, size)


cdef uint32_t format4(uint8_t* out, uint32_t address) noexcept nogil:
    """Write an IPv4 address as text; its length."""
    cdef uint32_t size = 0
    cdef uint32_t part
    cdef int shift
    for shift in range(24, -1, -8):
        part = address >> shift & 0xFF
        if part >= 100:
            out[size] = <uint8_t>(0x30 + part // 100)
            size += 1
        if part >= 10:
            out[size] = <uint8_t>(0x30 + part // 10 % 10)
            size += 1
        out[size] = <uint8_t>(0x30 + part % 10)
        size += 1
        if shift:
            out[size] = 0x2E
            size += 1
    return size


cdef uint32_t format6(uint8_t* out, uint64_t high, uint64_t low) noexcept nogil:
    """Write an IPv6 address as text (RFC 5952 section 4); its length."""
    cdef uint32_t parts[8]
    cdef uint32_t size = 0
    cdef uint32_t number, run, best_size = 1, best = 8
    cdef int shift
    for number in range(4):
        parts[number] = <uint32_t>(high >> (48 - 16 * number) & 0xFFFF)
        parts[number + 4] = <uint32_t>(low >> (48 - 16 * number) & 0xFFFF)
    number = 0
    while number < 8:
        run = 0
        while number + run < 8 and not parts[number + run]:
            run += 1
        if run > best_size:
            best_size = run
            best = number
        number += run + 1
    number = 0
    while number < 8:
        if number == best:
            out[size] = 0x3A
            size += 1
            number += best_size
            if number == 8:
                out[size] = 0x3A
                size += 1
            continue
        if number:
            out[size] = 0x3A
            size += 1
        shift = 12
        while shift and not parts[number] >> shift:
            shift -= 4
        while shift >= 0:
            out[size] = HEX[parts[number] >> shift & 0xF]
            size += 1
            shift -= 4
        number += 1
    CHECK(size < MAX_ADDRESS)
    return size


cdef struct Strings:
    # The strings of a TXT record as they are written: at most 255 bytes in each, its length in front.
    uint8_t* at
    uint8_t* length            # of the string that is written now
    uint32_t room              # in it


cdef inline void put_text(Strings* strings, const uint8_t* text, uint32_t size) noexcept nogil:
    cdef uint32_t part
    while size:
        if not strings.room:
            strings.length = strings.at
            strings.length[0] = 0
            strings.at += 1
            strings.room = MAX_STRING
        part = size if size < strings.room else strings.room
        memcpy(strings.at, text, part)
        strings.length[0] = <uint8_t>(strings.length[0] + part)
        strings.at += part
        strings.room -= part
        text += part
        size -= part


cdef uint64_t text_size(const Zone* zone, const uint8_t* described, uint32_t address_size) noexcept nogil:
    """How many bytes of data a TXT record has."""
    cdef uint32_t length = native16(described + 2)
    cdef const uint8_t* text = zone.texts + native32(described + 4)
    cdef uint64_t size = length
    cdef uint32_t at
    CHECK(<uint64_t>native32(described + 4) + length <= zone.texts_size)
    for at in range(length):
        if text[at] == ADDRESS_MARK:
            size += address_size - 1
    return size + (1 if not size else (size + MAX_STRING - 1) // MAX_STRING)


cdef uint8_t* put_filled(uint8_t* out, const Zone* zone, const uint8_t* described, const uint8_t* address,
                         uint32_t address_size) noexcept nogil:
    """The data of a TXT record, with the client's address filled in."""
    cdef uint32_t length = native16(described + 2)
    cdef const uint8_t* text = zone.texts + native32(described + 4)
    cdef Strings strings
    cdef uint32_t at, start = 0
    out[0] = 0
    strings.at = out + 1
    strings.length = out
    strings.room = MAX_STRING
    for at in range(length):
        if text[at] == ADDRESS_MARK:
            put_text(&strings, text + start, at - start)
            put_text(&strings, address, address_size)
            start = at + 1
    put_text(&strings, text + start, length - start)
    return strings.at


cdef inline uint32_t opt_size(const Query* query) noexcept nogil:
    return OPT_SIZE if query.has_edns else 0


cdef inline uint8_t* put_opt(uint8_t* at, const Query* query) noexcept nogil:
    at = put(at, OPT, OPT_SIZE)
    if query.do_bit:
        (at - 4)[0] = 0x80
    return at


cdef int answer_listed(const Zone* zone, uint8_t* packet, const Query* query, const uint8_t* answer, double now,
                       uint32_t limit, Verdict* verdict) noexcept nogil:
    """Put the records of a listed address behind the question; the size of the whole, 0 where it passes the limit."""
    cdef uint64_t expires = native64(answer)
    cdef uint32_t ttl = native32(answer + 12)
    cdef uint32_t codes = native16(answer + 16)
    cdef uint32_t texts = native16(answer + 18)
    cdef const uint8_t* code = answer + ANSWER_SIZE
    cdef const uint8_t* described = code + 4 * codes
    cdef uint64_t size = query.end + opt_size(query)
    cdef double left
    cdef uint8_t* at = packet + query.end
    cdef uint8_t shown[MAX_ADDRESS]
    cdef uint32_t shown_size = 0
    cdef uint32_t number, data
    CHECK(<uint64_t>(described - zone.answers) + TEXT_SIZE * texts <= zone.answers_size)
    verdict.hits = described
    verdict.hit_count = texts
    if expires:
        # Nothing is kept by a resolver for longer than it holds.
        left = <double>expires - now
        if left < ttl:
            ttl = <uint32_t>left
    if query.qtype == TYPE_TXT:
        if query.address.version == 4:
            shown_size = format4(shown, query.address.v4)
        else:
            shown_size = format6(shown, query.address.high, query.address.low)
        for number in range(texts):
            size += POINTER_SIZE + RECORD_SIZE + text_size(zone, described + TEXT_SIZE * number, shown_size)
        if size > limit:
            return 0
        for number in range(texts):
            data = <uint32_t>text_size(zone, described + TEXT_SIZE * number, shown_size)
            at = put_record(at, TYPE_TXT, ttl, data)
            at = put_filled(at, zone, described + TEXT_SIZE * number, shown, shown_size)
        put16(packet + 6, texts)
    else:
        size += A_SIZE * <uint64_t>codes
        if size > limit:
            return 0
        for number in range(codes):
            at = put_record(at, TYPE_A, ttl, 4)
            at = put32(at, native32(code + 4 * number))
        put16(packet + 6, codes)
    if query.has_edns:
        at = put_opt(at, query)
    CHECK(<uint64_t>(at - packet) == size)
    return <int>size


cdef int answer_negative(const Zone* zone, uint8_t* packet, const Query* query, uint32_t limit) noexcept nogil:
    """Put the SOA record behind the question; the size of the whole, 0 where it passes the limit."""
    cdef uint32_t size = query.end + POINTER_SIZE + zone.soa_size + opt_size(query)
    cdef uint8_t* at = packet + query.end
    if size > limit:
        return 0
    at = put16(at, 0xC000 | query.zone_at)
    at = put(at, zone.soa, zone.soa_size)
    put16(packet + 8, 1)
    if query.has_edns:
        at = put_opt(at, query)
    return <int>size


cdef int answer_bare(uint8_t* packet, const Query* query) noexcept nogil:
    """An answer that has no records but OPT."""
    memset(packet + 6, 0, 4)
    if query.has_edns:
        put_opt(packet + query.end, query)
        return <int>(query.end + OPT_SIZE)
    return <int>query.end


cdef inline void put_header(uint8_t* packet, uint32_t flags, uint32_t rcode, bint has_edns) noexcept nogil:
    """Make the header that of an answer with one question and no records but OPT."""
    packet[2] = <uint8_t>((packet[2] & (OPCODE | RD)) | flags)
    packet[3] = <uint8_t>rcode
    memset(packet + 6, 0, 6)
    packet[11] = 1 if has_edns else 0


cdef int prepare(const Names* names, uint8_t* packet, uint32_t size, Query* query, Verdict* verdict) noexcept nogil:
    """Read a message, and answer it in its own buffer if that takes no lookup.

    Returns the size of the answer, SILENT, ODD (the message is untouched), or PENDING: then `search` and `finish`
    answer it.
    """
    cdef Labels labels
    cdef const Zone* zone
    cdef uint32_t front = 0
    cdef bint exists = False
    cdef bint is_query
    verdict.zone = NO_ZONE
    verdict.qtype = 0
    verdict.hit_count = 0
    verdict.outcome = DROPPED
    if size < HEADER_SIZE or packet[2] & QR:
        return SILENT
    if size < MIN_BUFFER:
        SEAL(packet + size, MIN_BUFFER - size)
    is_query = parse_query(packet, size, query, &labels)
    if size < MIN_BUFFER:
        UNSEAL(packet + size, MIN_BUFFER - size)
    if not is_query:
        if packet[2] & OPCODE:
            verdict.outcome = NOTIMP
            put_header(packet, QR, RCODE_NOTIMP, False)
        else:
            verdict.outcome = FORMERR
            put_header(packet, QR, RCODE_FORMERR, False)
        packet[4] = packet[5] = 0
        return HEADER_SIZE
    verdict.qtype = query.qtype
    if packet[2] & OPCODE:
        verdict.outcome = NOTIMP
        put_header(packet, QR, RCODE_NOTIMP, query.has_edns)
        return answer_bare(packet, query)
    if query.edns_version or query.qclass == CLASS_CH:
        return ODD
    if query.qclass == CLASS_IN:
        verdict.zone = find_zone(names, packet, &labels, query.end - 4, &front, &exists)
    if verdict.zone == NO_ZONE or query.qtype == TYPE_AXFR or query.qtype == TYPE_IXFR:
        verdict.outcome = REFUSED
        put_header(packet, QR, RCODE_REFUSED, query.has_edns)
        return answer_bare(packet, query)
    if not front:
        return ODD
    CHECK(verdict.zone < names.zone_count)
    zone = &names.zones[verdict.zone]
    query.zone = verdict.zone
    query.zone_at = labels.at[front]
    query.exists = parse_reversed(packet, &labels, front, &query.address) or exists
    PREFETCH(zone.index4 + (<uint64_t>query.address.v4 >> zone.shift4))
    return PENDING


cdef int finish(const Names* names, uint8_t* packet, bint tcp, double now, Query* query,
                Verdict* verdict) noexcept nogil:
    """Answer what `prepare` left PENDING: the size of the answer."""
    cdef const Zone* zone = &names.zones[query.zone]
    cdef const uint8_t* answer = find_current(zone, query.found, now)
    cdef uint32_t limit = MIN_UDP
    cdef uint32_t rcode = 0
    cdef int size
    if tcp:
        limit = MAX_TCP
    elif query.has_edns and query.edns_size > MIN_UDP:
        limit = query.edns_size if query.edns_size < MAX_UDP else MAX_UDP
    if answer == NULL and not query.exists:
        rcode = RCODE_NXDOMAIN
    put_header(packet, QR_AA, rcode, query.has_edns)
    if answer != NULL and (query.qtype == TYPE_A or query.qtype == TYPE_TXT or query.qtype == TYPE_ANY):
        verdict.outcome = LISTED
        size = answer_listed(zone, packet, query, answer, now, limit, verdict)
    else:
        verdict.outcome = NODATA
        if rcode:
            verdict.outcome = NOT_LISTED
        size = answer_negative(zone, packet, query, limit)
    if size:
        return size
    verdict.outcome = TRUNCATED
    packet[2] |= TC
    return answer_bare(packet, query)


cdef uint32_t cut(uint8_t* packet, uint32_t size) noexcept nogil:
    """Make an answer that the way does not carry a truncated one; its size."""
    cdef uint32_t end = HEADER_SIZE
    while packet[end]:
        end += 1 + packet[end]
    end += 5
    packet[2] |= TC
    memset(packet + 6, 0, 4)
    if packet[11]:
        # OPT stands at the end.
        memmove(packet + end, packet + size - <uint32_t>OPT_SIZE, OPT_SIZE)
        end += OPT_SIZE
    return end


cdef int respond(const Names* names, uint8_t* packet, uint32_t size, bint tcp, double now,
                 Verdict* verdict) noexcept nogil:
    """Answer a message in its own buffer: the size of the answer, SILENT or ODD."""
    cdef Query query
    cdef int done = prepare(names, packet, size, &query, verdict)
    search(names, &query, &done, 1)
    return finish(names, packet, tcp, now, &query, verdict) if done == PENDING else done


# Tables ---------------------------------------------------------------------------------------------------------------

cdef bint check_intervals4(const Zone* zone) noexcept nogil:
    """Whether the intervals are sorted and disjoint, the index leads to them, and every answer is there."""
    cdef uint32_t number, bucket = 0
    for number in range(zone.count4):
        if zone.end4[2 * <uint64_t>number] < zone.first4[number]:
            return False
        if number and zone.first4[number] <= zone.end4[2 * <uint64_t>number - 2]:
            return False
        if not 1 <= zone.end4[2 * <uint64_t>number + 1] <= zone.answer_count:
            return False
    number = 0
    for bucket in range(zone.index4_size):
        while number < zone.count4 and <uint64_t>zone.first4[number] < <uint64_t>bucket << zone.shift4:
            number += 1
        if zone.index4[bucket] != number:
            return False
    return zone.index4[zone.index4_size - 1] == zone.count4


cdef bint check_intervals6(const Zone* zone) noexcept nogil:
    cdef uint32_t number
    cdef const uint8_t* first
    for number in range(zone.count6):
        first = zone.first6 + 16 * <uint64_t>number
        # Big-endian numbers sort like their bytes.
        if memcmp(first, zone.last6 + 16 * <uint64_t>number, 16) > 0:
            return False
        if number and memcmp(zone.last6 + 16 * <uint64_t>number - 16, first, 16) >= 0:
            return False
        if not 1 <= zone.answer6[number] <= zone.answer_count:
            return False
    return True


cdef bint check_answers(const Zone* zone) noexcept nogil:
    """Whether every answer lies in its section with its codes and texts, and is followed by one with a smaller number."""
    cdef uint32_t number, codes, texts, text
    cdef uint64_t offset, at
    cdef const uint8_t* answer
    for number in range(1, zone.answer_count + 1):
        offset = zone.offsets[number]
        if offset + ANSWER_SIZE > zone.answers_size:
            return False
        answer = zone.answers + offset
        if native32(answer + 8) >= number:
            return False
        codes = native16(answer + 16)
        texts = native16(answer + 18)
        # What is listed has a record of either type.
        if not codes or not texts:
            return False
        if offset + ANSWER_SIZE + 4 * <uint64_t>codes + TEXT_SIZE * <uint64_t>texts > zone.answers_size:
            return False
        answer += ANSWER_SIZE + 4 * codes
        for text in range(texts):
            at = native32(answer + TEXT_SIZE * text + 4)
            if at + native16(answer + TEXT_SIZE * text + 2) > zone.texts_size:
                return False
            if native16(answer + TEXT_SIZE * text) != NO_LIST and native16(answer + TEXT_SIZE * text) >= zone.lists:
                return False
    for at in range(zone.texts_size):
        if zone.texts[at] > 0x7F:
            return False
    return True


cdef uint32_t count_labels(const uint8_t* name, uint64_t size) noexcept nogil:
    """How many labels a name in lower case and wire form has; 0 where it is none, or goes on behind its root."""
    cdef uint32_t labels = 0
    cdef uint64_t at = 0
    cdef uint64_t end
    if size > MAX_NAME:
        return 0
    while at < size:
        end = at + 1 + name[at]
        if end == at + 1:
            return labels if end == size else 0
        if name[at] > 63 or end > size:
            return 0
        at += 1
        while at < end:
            if lower(name[at]) != name[at]:
                return 0
            at += 1
        labels += 1
    return 0


cdef const uint8_t* section(const uint8_t[::1] data, uint64_t item, uint64_t* count) except? NULL:
    """Where a section starts, and how many items of a size it has."""
    cdef uint64_t size = <uint64_t>data.shape[0]
    if size % item:
        raise ValueError("a section has half an item")
    count[0] = size // item
    if not size:
        # It has no first byte to take the address of.
        return <const uint8_t*>&NOTHING
    if <uintptr_t>&data[0] % 8:
        raise ValueError("a section does not start at a multiple of eight")
    return &data[0]


cdef class Table:
    """The sections of a table, checked, for native answers. They stay open as long as this lives."""

    cdef Zone zone
    cdef uint32_t labels
    cdef object sections

    def __cinit__(self, sections, uint32_t lists):
        """sections: memory by name, as table.py lays it out; lists: of the zone. Raises ValueError."""
        cdef Zone* zone = &self.zone
        cdef uint64_t size = 0
        cdef uint64_t count4 = 0, count6 = 0
        cdef bint good
        self.sections = dict(sections)
        zone.lists = lists
        zone.name = section(sections["name"], 1, &size)
        zone.name_size = <uint32_t>size
        self.labels = count_labels(zone.name, size)
        if not self.labels:
            raise ValueError("the zone's name is none")
        zone.soa = section(sections["soa"], 1, &size)
        zone.soa_size = <uint32_t>size
        # What is not in the index cannot be answered, so there is nothing that could be too long.
        if not RECORD_SIZE <= size <= 1024 or get16(zone.soa + 8) != size - RECORD_SIZE:
            raise ValueError("the SOA record is none")
        zone.first4 = <const uint32_t*>section(sections["first4"], 4, &count4)
        zone.end4 = <const uint32_t*>section(sections["end4"], 8, &size)
        if size != count4 or count4 > 0x7FFFFFFF:
            raise ValueError("the IPv4 sections do not fit each other")
        zone.count4 = <uint32_t>count4
        zone.index4 = <const uint32_t*>section(sections["index4"], 4, &size)
        zone.shift4 = 32
        while zone.shift4 > 16 and (<uint64_t>1 << (32 - zone.shift4)) + 1 < size:
            zone.shift4 -= 1
        if (<uint64_t>1 << (32 - zone.shift4)) + 1 != size:
            raise ValueError("the IPv4 index is none")
        zone.index4_size = <uint32_t>size
        zone.first6 = section(sections["first6"], 16, &count6)
        zone.last6 = section(sections["last6"], 16, &size)
        zone.answer6 = <const uint32_t*>section(sections["answer6"], 4, &count4)
        if size != count6 or count4 != count6 or count6 > 0x7FFFFFFF:
            raise ValueError("the IPv6 sections do not fit each other")
        zone.count6 = <uint32_t>count6
        zone.offsets = <const uint32_t*>section(sections["offsets"], 4, &size)
        if not 1 <= size <= 0x7FFFFFFF:
            raise ValueError("there is no index of the answers")
        zone.answer_count = <uint32_t>size - 1
        zone.answers = section(sections["answers"], 1, &zone.answers_size)
        zone.texts = section(sections["texts"], 1, &zone.texts_size)
        with nogil:
            good = check_answers(zone) and check_intervals4(zone) and check_intervals6(zone)
        if not good:
            raise ValueError("its parts do not agree")


cdef class Directory:
    """The tables of a snapshot with the names of their zones: all that native answers are made from."""

    def __cinit__(self, tables):
        """tables: one for each zone; they are numbered in this order."""
        cdef Table table
        cdef uint32_t number = 0
        cdef uint32_t places = 8
        cdef uint32_t label
        cdef const uint8_t* wire
        cdef uint16_t starts[MAX_LABELS]
        cdef uint64_t hashed
        self.tables = tuple(tables)
        self.names.zones = <Zone*>calloc(<size_t>len(self.tables) + 1, sizeof(Zone))
        while places < 2 * sum([(<Table?>each).labels for each in self.tables]):
            places *= 2
        self.names.table = <Name*>calloc(places, sizeof(Name))
        if self.names.zones == NULL or self.names.table == NULL:
            raise MemoryError
        self.names.mask = places - 1
        for table in self.tables:
            self.names.zones[number] = table.zone
            wire = table.zone.name
            starts[0] = 0
            for label in range(1, table.labels):
                starts[label] = <uint16_t>(starts[label - 1] + 1 + wire[starts[label - 1]])
            hashed = HASH_SEED
            for label in range(table.labels):
                wire = table.zone.name + starts[table.labels - 1 - label]
                hashed = hash_label(hashed, wire)
                self._add(hashed, wire, table.zone.name_size - starts[table.labels - 1 - label],
                          number if label + 1 == table.labels else <uint32_t>NO_ZONE)
            self.names.most_labels = max(self.names.most_labels, table.labels)
            number += 1
        self.names.zone_count = number

    def __dealloc__(self):
        free(self.names.zones)
        free(self.names.table)

    cdef void _add(self, uint64_t hashed, const uint8_t* wire, uint32_t size, uint32_t zone) noexcept:
        cdef Name* name = <Name*>find_name(&self.names, hashed, wire, size)
        cdef uint32_t place = <uint32_t>hashed & self.names.mask
        if name == NULL:
            while self.names.table[place].wire != NULL:
                place = (place + 1) & self.names.mask
            name = &self.names.table[place]
            name.zone = NO_ZONE
        name.wire = wire
        name.size = size
        name.hash = hashed
        if zone != NO_ZONE:
            name.zone = zone

    cdef Names* pointer(self) noexcept:
        return &self.names

    def answer(self, packet, double now, bint tcp=False):
        """Answer one message; see answer_all."""
        return self.answer_all((packet,), now, tcp)[0]

    def answer_all(self, packets, double now, bint tcp=False):
        """Answer messages side by side, as the engine does with those that arrive together.

        None for each that is ODD, else the answer (None: there is none), outcome, zone, type, hits. The zone is a
        number or None, the outcome one of OUTCOMES, the hits are the numbers of the lists. For tests, which compare it
        with `respond.respond`; the server answers through `_engine`.
        """
        cdef _Message message
        cdef uint32_t number = 0
        messages = [_Message(packet, tcp) for packet in packets]
        cdef uint32_t count = <uint32_t>len(messages)
        cdef Query* queries = <Query*>calloc(count + 1, sizeof(Query))
        cdef Verdict* verdicts = <Verdict*>calloc(count + 1, sizeof(Verdict))
        cdef int* done = <int*>calloc(count + 1, sizeof(int))
        if queries == NULL or verdicts == NULL or done == NULL:
            free(queries)
            free(verdicts)
            free(done)
            raise MemoryError
        for message in messages:
            done[number] = prepare(&self.names, message.buffer, message.size, &queries[number], &verdicts[number])
            number += 1
        search(&self.names, queries, done, count)
        number = 0
        answers = []
        for message in messages:
            if done[number] == PENDING:
                done[number] = finish(&self.names, message.buffer, tcp, now, &queries[number], &verdicts[number])
            answers.append(None if done[number] == ODD else message.said(done[number], &verdicts[number]))
            number += 1
        free(queries)
        free(verdicts)
        free(done)
        return answers


cdef class _Message:
    """A message in a buffer of its own, which has room for its answer and not a byte more."""

    cdef uint8_t* buffer
    cdef uint32_t size

    def __cinit__(self, const uint8_t[::1] packet, bint tcp):
        self.size = <uint32_t>packet.shape[0]
        self.buffer = <uint8_t*>calloc(max(self.size, <uint32_t>(MAX_TCP if tcp else MIN_BUFFER)), 1)
        if self.buffer == NULL:
            raise MemoryError
        if self.size:
            memcpy(self.buffer, &packet[0], self.size)

    def __dealloc__(self):
        free(self.buffer)

    cdef tuple said(self, int size, const Verdict* verdict):
        lists = [native16(verdict.hits + TEXT_SIZE * number) for number in range(verdict.hit_count)]
        return (
            self.buffer[:size] if size else None,
            OUTCOMES[verdict.outcome],
            None if verdict.zone == NO_ZONE else verdict.zone,
            verdict.qtype,
            tuple([number for number in lists if number != NO_LIST]),
        )
