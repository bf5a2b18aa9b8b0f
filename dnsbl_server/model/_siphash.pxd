"""SipHash-1-3 of the labels of names, for the compiled modules.

Owns the keyed hash by which names are found, so that nobody who can choose names can choose what collides. The hash of
a name is made label by label from the right: that of a label is SipHash-1-3 of the hash of the name behind it (8 bytes,
little-endian; 0 for the root) followed by the label in lower case. `table.siphash` is the same in Python, and its
specification. Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", with 1 round a block and 3 at the end.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef struct HashKey:
    uint64_t low
    uint64_t high


cdef inline uint64_t rotate(uint64_t number, unsigned bits) noexcept nogil:
    return number << bits | number >> (64 - bits)


cdef inline void mix_round(uint64_t* v) noexcept nogil:
    v[0] += v[1]
    v[2] += v[3]
    v[1] = rotate(v[1], 13) ^ v[0]
    v[3] = rotate(v[3], 16) ^ v[2]
    v[0] = rotate(v[0], 32)
    v[2] += v[1]
    v[0] += v[3]
    v[1] = rotate(v[1], 17) ^ v[2]
    v[3] = rotate(v[3], 21) ^ v[0]
    v[2] = rotate(v[2], 32)


cdef inline void mix_block(uint64_t* v, uint64_t block) noexcept nogil:
    v[3] ^= block
    mix_round(v)
    v[0] ^= block


cdef inline uint64_t lower_all(uint64_t block) noexcept nogil:
    """Eight characters, those of A to Z in lower case."""
    cdef uint64_t seven = block & <uint64_t>0x7F7F7F7F7F7F7F7F
    cdef uint64_t from_a = seven + <uint64_t>0x3F3F3F3F3F3F3F3F
    cdef uint64_t behind_z = seven + <uint64_t>0x2525252525252525
    # The high bit of a character that is one of them, moved to where it makes the character a small one.
    return block | ((from_a & ~behind_z & ~block & <uint64_t>0x8080808080808080) >> 2)


cdef inline uint64_t hash_label(const HashKey* key, uint64_t behind, const uint8_t* label, uint32_t size) noexcept nogil:
    """The hash of a name: `behind` is that of the name behind its first label, which has `size` bytes in either case."""
    cdef uint64_t v[4]
    cdef uint64_t block
    cdef uint64_t last = (<uint64_t>size + 8) << 56
    v[0] = key.low ^ <uint64_t>0x736F6D6570736575
    v[1] = key.high ^ <uint64_t>0x646F72616E646F6D
    v[2] = key.low ^ <uint64_t>0x6C7967656E657261
    v[3] = key.high ^ <uint64_t>0x7465646279746573
    mix_block(v, behind)
    while size >= 8:
        memcpy(&block, label, 8)
        mix_block(v, lower_all(block))
        label += 8
        size -= 8
    block = 0
    # No byte behind the label is read.
    if size & 4:
        memcpy(&block, label, 4)
        label += 4
    if size & 2:
        block |= (<uint64_t>label[0] | <uint64_t>label[1] << 8) << (8 * (size & 4))
        label += 2
    if size & 1:
        block |= <uint64_t>label[0] << (8 * (size & 6))
    mix_block(v, lower_all(block) | last)
    v[2] ^= 0xFF
    mix_round(v)
    mix_round(v)
    mix_round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]
