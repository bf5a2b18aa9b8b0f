"""For tests only: changes of a message at random, by what a message consists of.

Owns the kinds of changes: of bits, bytes and 16-bit fields, labels and their lengths, compression pointers, counts, types,
OPT records, and of the size. A seed decides them all. Knows a message only as far as it can be walked through, and
trusts nothing in it.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove, memset

from dnsbl_server.dns._memory cimport get16, put16
from dnsbl_server.dns._protocol cimport HEADER_SIZE, TYPE_OPT

cdef enum:
    KINDS = 20
    MOST = 8                     # bytes that are put in or taken out
    OPT_SIZE = 11

cdef uint8_t BYTES[16]
BYTES[:] = [0, 1, 2, 3, 4, 12, 32, 41, 63, 64, 127, 128, 191, 192, 254, 255]
cdef uint32_t NUMBERS[20]
NUMBERS[:] = [0, 1, 2, 3, 6, 11, 12, 16, 28, 41, 43, 251, 252, 255, 512, 1232, 4096, 0x8000, 0xC00C, 0xFFFF]
cdef uint8_t CHARACTERS[28]
CHARACTERS[:] = list(b"0123456789abcdefABCDEFg-_.m\x00")


cdef uint32_t roll(Dice* dice, uint32_t sides) noexcept nogil:
    """A number below `sides`."""
    cdef uint64_t mixed
    dice.state += <uint64_t>0x9E3779B97F4A7C15
    mixed = dice.state
    mixed = (mixed ^ (mixed >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    mixed = (mixed ^ (mixed >> 27)) * <uint64_t>0x94D049BB133111EB
    return <uint32_t>(((mixed ^ (mixed >> 31)) >> 32) * sides >> 32)


cdef uint32_t mutate(Dice* dice, uint8_t* packet, uint32_t size, uint32_t room, const uint8_t* other,
                     uint32_t other_size) noexcept nogil:
    """Change a message in a buffer that has `room`, in one way; its size. other: a message to take parts of."""
    cdef uint32_t kind = roll(dice, KINDS)
    cdef uint32_t at, count, end
    cdef uint32_t more = 1 + roll(dice, MOST)
    if kind == 0:
        return roll(dice, size + 1)
    if kind == 1 and size + more <= room:
        return insert(dice, packet, size, roll(dice, size + 1), more)
    if kind == 2 and size:
        at = roll(dice, size)
        count = least(more, size - at)
        memmove(packet + at, packet + at + count, size - at - count)
        return size - count
    if kind == 3 and other_size:
        # The front of one message, and the end of another.
        at = roll(dice, size + 1)
        end = roll(dice, other_size)
        count = least(other_size - end, room - at)
        memcpy(packet + at, other + end, count)
        return at + count
    if kind == 4 and size:
        # A part of it once more.
        at = roll(dice, size)
        count = 1 + roll(dice, size - at)
        count = least(count, room - size)
        memcpy(packet + size, packet + at, count)
        return size + count
    if size <= HEADER_SIZE + 4:
        return size
    if kind == 18 or kind == 19:
        return change_labels(dice, packet, size, room)
    if kind == 5 or kind == 6:
        return add_opt(dice, packet, size, room)
    if kind == 7:
        at = roll(dice, size)
        packet[at] = <uint8_t>(packet[at] ^ (1 << roll(dice, 8)))
    elif kind == 8:
        packet[roll(dice, size)] = BYTES[roll(dice, 16)]
    elif kind == 9:
        put16(packet + roll(dice, size - 1), NUMBERS[roll(dice, 20)])
    elif kind == 10:
        # A pointer, to anywhere
        put16(packet + HEADER_SIZE + roll(dice, size - HEADER_SIZE - 1), 0xC000 | roll(dice, size + 2))
    elif kind == 11:
        # The counts of the header
        put16(packet + 4 + 2 * roll(dice, 4), NUMBERS[roll(dice, 20)] if not roll(dice, 4) else roll(dice, 4))
    elif kind == 12:
        packet[2 + roll(dice, 2)] = <uint8_t>roll(dice, 256)
    else:
        change_question(dice, packet, size, kind)
    return size


cdef inline uint32_t least(uint32_t one, uint32_t other) noexcept nogil:
    return one if one < other else other


cdef uint32_t insert(Dice* dice, uint8_t* packet, uint32_t size, uint32_t at, uint32_t count) noexcept nogil:
    """Put random bytes in; there is room for them."""
    cdef uint32_t number
    memmove(packet + at + count, packet + at, size - at)
    for number in range(count):
        packet[at + number] = <uint8_t>roll(dice, 256) if roll(dice, 2) else BYTES[roll(dice, 16)]
    return size + count


cdef uint32_t add_opt(Dice* dice, uint8_t* packet, uint32_t size, uint32_t room) noexcept nogil:
    """Add an OPT record with options that are mostly whole, and count it."""
    cdef uint32_t length = roll(dice, 3) * (4 + roll(dice, MOST))
    cdef uint8_t* at = packet + size
    if size + OPT_SIZE + length > room:
        return size
    memset(at, 0, OPT_SIZE + length)
    put16(at + 1, TYPE_OPT)
    put16(at + 3, NUMBERS[roll(dice, 20)])
    at[6] = BYTES[roll(dice, 16)] if not roll(dice, 8) else 0
    at[7] = BYTES[roll(dice, 16)]
    put16(at + 9, length)
    if length >= 4:
        put16(at + 11, NUMBERS[roll(dice, 20)])
        put16(at + 13, length - 4)
        if not roll(dice, 8):
            put16(at + 13, NUMBERS[roll(dice, 20)])
    put16(packet + 10, get16(packet + 10) + 1)
    return size + OPT_SIZE + length


cdef uint32_t change_labels(Dice* dice, uint8_t* packet, uint32_t size, uint32_t room) noexcept nogil:
    """Leave out the first label of the question, or put one in front of it."""
    cdef uint32_t length = packet[HEADER_SIZE] + 1
    if roll(dice, 2):
        if HEADER_SIZE + length >= size:
            return size
        memmove(packet + HEADER_SIZE, packet + HEADER_SIZE + length, size - HEADER_SIZE - length)
        return size - length
    length = 1 + roll(dice, MOST)
    if size + length + 1 > room:
        return size
    size = insert(dice, packet, size, HEADER_SIZE, length + 1)
    packet[HEADER_SIZE] = <uint8_t>length
    return size


cdef void change_question(Dice* dice, uint8_t* packet, uint32_t size, uint32_t kind) noexcept nogil:
    """Change a label of the question, its length, the type or the class."""
    cdef uint32_t at = HEADER_SIZE
    cdef uint32_t label = HEADER_SIZE
    cdef uint32_t seen = 0
    cdef uint32_t place
    while at < size and packet[at] and packet[at] < 64:
        # Each label has the same chance.
        seen += 1
        if not roll(dice, seen):
            label = at
        at += 1 + packet[at]
    if kind == 13 and at + 5 <= size:
        put16(packet + at + 1, NUMBERS[roll(dice, 20)])
    elif kind == 14 and at + 5 <= size:
        put16(packet + at + 3, NUMBERS[roll(dice, 20)])
    elif kind == 15:
        packet[label] = BYTES[roll(dice, 16)] if roll(dice, 2) else <uint8_t>(packet[label] + roll(dice, 3) - 1)
    elif packet[label]:
        place = label + 1 + roll(dice, packet[label])
        if place < size:
            packet[place] = CHARACTERS[roll(dice, 28)] if roll(dice, 2) else <uint8_t>(packet[place] ^ 0x20)
