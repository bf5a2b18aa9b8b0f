from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dnsbl_server.dns._memory cimport native32
from dnsbl_server.model._siphash cimport HashKey
from dnsbl_server.table._format cimport NODE_SIZE

cdef enum:
    SHOWS_ADDRESS = 0x80         # of what an answer shows: more than any count of labels

cdef struct Tree:
    # Where the names of a table are; see layout.py. A table without names has no slots.
    const uint8_t* nodes
    const uint32_t* pairs        # answers of the name itself, and of the names below it, in turn
    const uint64_t* slots
    HashKey key
    uint64_t nodes_size          # bytes
    uint32_t pair_count
    uint32_t slot_count
    uint32_t deepest             # labels of the name that has the most
    uint32_t value_size          # bytes of a value
    uint32_t value_mask

cdef bint check_tree(const Tree* tree, uint32_t room, uint32_t answer_count, const uint8_t* shows) noexcept nogil


# Fields of a node, which is at any address

cdef inline uint32_t value_of(const Tree* tree, const uint8_t* node) noexcept nogil:
    # However short it is, more than four bytes of the node follow.
    return native32(node) & tree.value_mask


cdef inline uint32_t parent_of(const Tree* tree, const uint8_t* node) noexcept nogil:
    return native32(node + tree.value_size)


cdef inline const uint8_t* label_of(const Tree* tree, const uint8_t* node) noexcept nogil:
    """The label, which starts at its length."""
    return node + tree.value_size + 4


cdef inline uint32_t node_size(const Tree* tree) noexcept nogil:
    """Bytes of a node without the characters of its label."""
    return tree.value_size + NODE_SIZE


cdef inline uint32_t mask_of(uint32_t value_size) noexcept nogil:
    """What a value of so many bytes can be, 1 to 4."""
    return 0xFFFFFFFFu >> (32 - 8 * value_size)


cdef inline uint32_t place_of(const Tree* tree, uint64_t hashed) noexcept nogil:
    """The first slot that a node with this hash may be in."""
    return <uint32_t>(<uint64_t><uint32_t>hashed * tree.slot_count >> 32)


cdef inline uint64_t slot_of(uint64_t hashed, uint64_t offset) noexcept nogil:
    return hashed >> 32 << 32 | offset


cdef inline uint32_t next_place(const Tree* tree, uint32_t place) noexcept nogil:
    place += 1
    return place if place < tree.slot_count else 0
