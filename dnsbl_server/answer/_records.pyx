"""Writing answers: header, A, TXT, SOA and OPT records, and truncation.

Owns the bytes behind the question. An answer is written in the buffer of its query, which has room for its limit: its
size is known before its first byte is written. Trusts the table, which `_sections` has checked. Decides nothing: what
is answered to what is `_answer`'s.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove, memset

from dnsbl_server.dns._memory cimport CHECK, native32, put16, put32
from dnsbl_server.dns._message cimport MAX_LABELS
from dnsbl_server.dns._name cimport lower
from dnsbl_server.dns._protocol cimport (
    CLASS_IN,
    HEADER_SIZE,
    MAX_NAME,
    MAX_STRING,
    POINTER_SIZE,
    RECORD_SIZE,
    TC,
    TYPE_A,
    TYPE_TXT,
)
from dnsbl_server.table._format cimport (
    ADDRESS_BYTE,
    CODE_SIZE,
    LABELS_BYTE,
    TEXT_SIZE,
    code_count,
    codes_of,
    expires_of,
    length_of,
    offset_of,
    text_count,
    texts_of,
    ttl_of,
)

cdef enum:
    A_SIZE = 4                   # of the data of an A record
    MAX_ADDRESS = 40             # characters

cdef const uint8_t* HEX = b"0123456789abcdef"


cdef int write_listed(uint8_t* packet, const Request* request, const Address* address, const NameLookup* name,
                      const Layout* table, const uint8_t* answer, double now, uint32_t limit) noexcept nogil:
    """Write the records of what is listed behind the question: TXT for TXT, A for A and ANY.

    name: how the name was found, or NULL where the address was. Returns the answer's size, or 0 where it passes the limit.
    """
    cdef uint64_t expires = expires_of(answer)
    cdef uint32_t ttl = ttl_of(answer)
    cdef uint32_t codes = code_count(answer)
    cdef uint32_t texts = text_count(answer)
    cdef const uint8_t* code = codes_of(answer)
    cdef const uint8_t* text = texts_of(answer)
    cdef uint64_t size = request.end + opt_size(request)
    cdef double left
    cdef uint8_t* at = packet + request.end
    cdef Shown shown
    cdef uint32_t number, data
    CHECK(<uint64_t>(text - table.answers) + TEXT_SIZE * texts <= table.answers_size)
    if expires:
        # No resolver keeps an answer for longer than the listing lasts.
        left = <double>expires - now
        if left < ttl:
            ttl = <uint32_t>left
    if request.qtype == TYPE_TXT:
        if name != NULL:
            show_name(&shown, name)
        elif address.version == 4:
            shown.size = format4(shown.text, address.v4)
        else:
            shown.size = format6(shown.text, address.high, address.low)
        for number in range(texts):
            size += POINTER_SIZE + RECORD_SIZE + text_size(table, text + TEXT_SIZE * number, &shown)
        if size > limit:
            return 0
        for number in range(texts):
            data = <uint32_t>text_size(table, text + TEXT_SIZE * number, &shown)
            at = put_record(at, TYPE_TXT, ttl, data)
            at = put_text(at, table, text + TEXT_SIZE * number, &shown)
        put16(packet + 6, texts)
    else:
        size += (POINTER_SIZE + RECORD_SIZE + A_SIZE) * <uint64_t>codes
        if size > limit:
            return 0
        for number in range(codes):
            at = put_record(at, TYPE_A, ttl, A_SIZE)
            at = put32(at, native32(code + CODE_SIZE * number))
        put16(packet + 6, codes)
    if request.has_edns:
        at = put_opt(at, request)
    CHECK(<uint64_t>(at - packet) == size)
    return <int>size


cdef inline uint8_t* put_record(uint8_t* at, uint32_t rtype, uint32_t ttl, uint32_t size) noexcept nogil:
    """Write a record up to its data; its owner is the question's name."""
    at = put16(at, POINTER | HEADER_SIZE)
    at = put16(at, rtype)
    at = put16(at, CLASS_IN)
    at = put32(at, ttl)
    return put16(at, size)


cdef uint32_t truncate(uint8_t* packet, uint32_t size) noexcept nogil:
    """Make an answer that is too long for its way a truncated one (RFC 2181 section 9); its size."""
    cdef uint32_t end = HEADER_SIZE
    while packet[end]:
        end += 1 + packet[end]
    end += 5
    packet[2] |= TC >> 8
    memset(packet + 6, 0, 4)
    if packet[11]:
        # OPT stands at the end.
        memmove(packet + end, packet + size - <uint32_t>OPT_SIZE, OPT_SIZE)
        end += OPT_SIZE
    return end


# Texts ----------------------------------------------------------------------------------------------------------------

cdef struct Strings:
    # The strings of a TXT record as they are written: at most 255 bytes in each, its length in front.
    uint8_t* at
    uint8_t* length            # of the string that is written now
    uint32_t room              # in it


cdef struct Shown:
    # What the marks in texts stand for: the address, or the name as far as it was found, in lower case with dots.
    uint8_t text[MAX_NAME]
    uint32_t size
    uint32_t labels              # of the name
    uint32_t from_end[MAX_LABELS]    # how many characters its last labels have: `from_end[n - 1]` for n of them


cdef void show_name(Shown* shown, const NameLookup* name) noexcept nogil:
    """Write the labels of a name that were found."""
    cdef uint32_t number, at
    cdef uint32_t start = name.starts[name.depth - 1]
    # A label is listed, so it is as good as ours in lower case.
    cdef uint32_t end = <uint32_t>name.starts[0] + 1 + name.name[name.starts[0]]
    shown.labels = name.depth
    shown.size = end - start - 1
    CHECK(name.depth and shown.size < MAX_NAME)
    for at in range(shown.size):
        shown.text[at] = lower(name.name[start + 1 + at])
    for number in range(name.depth):
        shown.from_end[number] = end - name.starts[number] - 1
        if number + 1 < name.depth:
            shown.text[shown.size - shown.from_end[number] - 1] = 0x2E


cdef uint64_t text_size(const Layout* table, const uint8_t* text, const Shown* shown) noexcept nogil:
    """How many bytes of data a TXT record has."""
    cdef uint32_t length = length_of(text)
    cdef const uint8_t* characters = table.texts + offset_of(text)
    cdef uint64_t size = length
    cdef uint32_t at = 0
    CHECK(<uint64_t>offset_of(text) + length <= table.texts_size)
    while at < length:
        if characters[at] > LABELS_BYTE:
            at += 1
            continue
        if characters[at] == ADDRESS_BYTE:
            size += shown.size - 1
        else:
            at += 1
            CHECK(at < length and 1 <= characters[at] <= shown.labels)
            # In place of the mark's two characters there may be one.
            size = size - 2 + shown.from_end[characters[at] - 1]
        at += 1
    return size + (1 if not size else (size + MAX_STRING - 1) // MAX_STRING)


cdef uint8_t* put_text(uint8_t* out, const Layout* table, const uint8_t* text, const Shown* shown) noexcept nogil:
    """Write the data of a TXT record, with the address or the listed name filled in; where it ends."""
    cdef uint32_t length = length_of(text)
    cdef const uint8_t* characters = table.texts + offset_of(text)
    cdef Strings strings
    cdef uint32_t at = 0, start = 0
    cdef uint32_t size
    out[0] = 0
    strings.at = out + 1
    strings.length = out
    strings.room = MAX_STRING
    while at < length:
        if characters[at] > LABELS_BYTE:
            at += 1
            continue
        add_characters(&strings, characters + start, at - start)
        size = shown.size
        if characters[at] == LABELS_BYTE:
            at += 1
            size = shown.from_end[characters[at] - 1]
        add_characters(&strings, shown.text + shown.size - size, size)
        at += 1
        start = at
    add_characters(&strings, characters + start, length - start)
    return strings.at


cdef inline void add_characters(Strings* strings, const uint8_t* characters, uint32_t size) noexcept nogil:
    """Write characters into the string that has room, and into new ones."""
    cdef uint32_t part
    while size:
        if not strings.room:
            strings.length = strings.at
            strings.length[0] = 0
            strings.at += 1
            strings.room = MAX_STRING
        part = size if size < strings.room else strings.room
        memcpy(strings.at, characters, part)
        strings.length[0] = <uint8_t>(strings.length[0] + part)
        strings.at += part
        strings.room -= part
        characters += part
        size -= part


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
