from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef struct Dice:
    # A source of numbers that a seed decides: splitmix64.
    uint64_t state

cdef uint32_t roll(Dice* dice, uint32_t sides) noexcept nogil
cdef uint32_t mutate(Dice* dice, uint8_t* packet, uint32_t size, uint32_t room, const uint8_t* other,
                     uint32_t other_size) noexcept nogil
