"""Reading messages: the question, its labels and the OPT record of a query, and reversed addresses.

Owns the compiled twin of `message.parse_query` and `reversed.parse_reversed`, which are its specification. A message
is trusted with nothing: no byte is read behind its `size`. It has at least a header. Knows no zones.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from dnsbl_server.dns._memory cimport CHECK, get16, native64
from dnsbl_server.dns._protocol cimport HEADER_SIZE, MAX_LABEL, MAX_NAME, OPCODE, RECORD_SIZE, TYPE_IXFR, TYPE_OPT

cdef enum:
    # Eight bytes as a little-endian number, when they are four labels of one character each.
    FOUR_LENGTHS = 0x00FF00FF00FF00FF
    FOUR_OF_ONE = 0x0001000100010001
    NO_NIBBLE = 0xFF
    MAPPED = 0xFFFF              # the third quarter of an IPv4-mapped address


cdef bint parse_query(const uint8_t* packet, uint32_t size, Request* request, Labels* labels) noexcept nogil:
    """Read all of a message behind its header; False where it is no query: then only its OPT record may be used.

    The rules are those of message.parse_query.
    """
    cdef uint32_t before, at
    cdef uint32_t questions = get16(packet + 4)
    request.has_edns = request.do_bit = False
    request.qtype = request.qclass = request.edns_size = request.edns_version = 0
    if questions == 1:
        if not parse_name(packet, size, request, labels):
            return False
        request.end += 4
    elif not skip_questions(packet, size, questions, &request.end):
        return False
    if request.end > size:
        return False
    before = get16(packet + 6) + get16(packet + 8)
    at = read_records(packet, size, request, before, get16(packet + 10))
    if not at or questions != 1:
        return False
    request.qtype = get16(packet + request.end - 4)
    request.qclass = get16(packet + request.end - 2)
    if not packet[2] & OPCODE >> 8:
        if get16(packet + 6) or get16(packet + 8) > <uint32_t>(request.qtype == TYPE_IXFR):
            return False
    return at == size


cdef bint skip_questions(const uint8_t* packet, uint32_t size, uint32_t count, uint32_t* end) noexcept nogil:
    """Find the end of so many questions, which are not read; whether their names are there."""
    cdef uint32_t number
    end[0] = HEADER_SIZE
    for number in range(count):
        end[0] = skip_name(packet, size, end[0])
        if not end[0]:
            return False
        end[0] += 4
    return True


cdef inline uint32_t read_records(const uint8_t* packet, uint32_t size, Request* request, uint32_t before,
                                  uint32_t additional) noexcept nogil:
    """Read the OPT record among the records behind the questions; where the last record ends, 0 where one is broken.

    before: how many records stand in front of the additional ones.
    """
    cdef uint32_t number, length, rtype
    cdef uint32_t at = request.end
    cdef bint is_root
    for number in range(before + additional):
        is_root = at < size and packet[at] == 0
        at = skip_name(packet, size, at)
        if not at or at + RECORD_SIZE > size:
            return 0
        rtype = get16(packet + at)
        length = get16(packet + at + 8)
        if at + RECORD_SIZE + length > size:
            return 0
        if rtype == TYPE_OPT:
            if request.has_edns or number < before or not is_root:
                return 0
            # Another version may have another form.
            if not packet[at + 5] and not are_options(packet, at + RECORD_SIZE, at + RECORD_SIZE + length):
                return 0
            request.has_edns = True
            request.edns_size = get16(packet + at + 2)
            request.edns_version = packet[at + 5]
            request.do_bit = packet[at + 6] >> 7
        at += RECORD_SIZE + length
    return at


cdef bint parse_name(const uint8_t* packet, uint32_t size, Request* request, Labels* labels) noexcept nogil:
    """Find the labels of the question, and its end; False where there is no plain name."""
    cdef uint32_t at = HEADER_SIZE
    cdef uint32_t length, number
    labels.count = 0
    while at < size:
        # Those of IPv6 addresses four at a time: one by one, each would wait for the length of the one before it.
        if at + 8 <= size and at + 8 - HEADER_SIZE <= MAX_NAME - 1:
            if (native64(packet + at) & <uint64_t>FOUR_LENGTHS) == FOUR_OF_ONE:
                CHECK(labels.count + 4 <= MAX_LABELS)
                for number in range(4):
                    labels.at[labels.count + number] = <uint16_t>(at + 2 * number)
                labels.count += 4
                at += 8
                continue
        length = packet[at]
        if not length:
            request.end = at + 1
            return True
        # Two labels have at least three bytes, so there are at most 127 in 255.
        if length > MAX_LABEL or at + 1 + length - HEADER_SIZE > MAX_NAME - 1:
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
        if length > MAX_LABEL:
            return 0
        at += 1 + length
        if not length:
            return at
    return 0


cdef bint are_options(const uint8_t* packet, uint32_t at, uint32_t end) noexcept nogil:
    """Whether the EDNS options end where their record does."""
    while at < end:
        if at + 4 > end:
            return False
        at += 4 + get16(packet + at + 2)
    return at == end


cdef bint parse_reversed(const uint8_t* packet, const Labels* labels, uint32_t count, Address* address) noexcept nogil:
    """Read the first `count` labels as a reversed address; whether they are the end of a longer one.

    The rules are those of reversed.parse_reversed: `1.0.0.2` is an address and the end of an IPv6 name.
    """
    cdef bint partial = False
    cdef uint32_t number
    cdef int32_t part
    cdef uint64_t nibble
    cdef uint64_t seen = 0       # the bits of all nibbles
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
            nibble = NIBBLES[packet[HEADER_SIZE + 1 + 2 * number]]
            seen |= nibble
            # The first label is the last nibble.
            if number < 16:
                address.low |= nibble << 4 * number
            else:
                address.high |= nibble << 4 * (number - 16)
        if seen == NO_NIBBLE:
            return partial
        if count < 32:
            return True
        if not address.high and address.low >> 32 == MAPPED:
            address.version = 4
            address.v4 = <uint32_t>address.low
        else:
            address.version = 6
    return partial


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


cdef uint8_t NIBBLES[256]        # the number that each character is as a nibble, or NO_NIBBLE


cdef void fill_nibbles() noexcept:
    cdef uint8_t number
    memset(NIBBLES, NO_NIBBLE, sizeof(NIBBLES))
    for number in range(16):
        NIBBLES[b"0123456789abcdef"[number]] = number
        NIBBLES[b"0123456789ABCDEF"[number]] = number


fill_nibbles()
