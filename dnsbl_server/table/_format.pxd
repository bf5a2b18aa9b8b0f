from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dnsbl_server.dns._memory cimport native16, native32, native64

cpdef enum:
    NO_LIST = 0xFFFF             # the list of a text that belongs to none: test entries
    ADDRESS_BYTE = 0             # stands in a text for the client's address
    LABELS_BYTE = 1              # stands in a text, with the byte behind it, for so many last labels of the name asked for
    NODE_SIZE = 5                # of a node, without its value and its label
    NODE_EXISTS = 1              # bits of a node's value, below the number of its pair
    NODE_INNER = 2
    PAIR_SHIFT = 2
    ANSWER_SIZE = 20             # of an answer, without its codes and texts
    CODE_SIZE = 4
    TEXT_SIZE = 8                # of what an answer says of a text


# An answer: expires 64, next 32, TTL 32, count of codes 16, count of texts 16; then the codes and the texts

cdef inline uint64_t expires_of(const uint8_t* answer) noexcept nogil:
    """When it ends, in seconds since 1970; 0 is never."""
    return native64(answer)


cdef inline uint32_t next_of(const uint8_t* answer) noexcept nogil:
    """The number of the answer that holds from then on; 0 is none."""
    return native32(answer + 8)


cdef inline uint32_t ttl_of(const uint8_t* answer) noexcept nogil:
    return native32(answer + 12)


cdef inline uint32_t code_count(const uint8_t* answer) noexcept nogil:
    return native16(answer + 16)


cdef inline uint32_t text_count(const uint8_t* answer) noexcept nogil:
    return native16(answer + 18)


cdef inline const uint8_t* codes_of(const uint8_t* answer) noexcept nogil:
    return answer + ANSWER_SIZE


cdef inline const uint8_t* texts_of(const uint8_t* answer) noexcept nogil:
    return answer + ANSWER_SIZE + CODE_SIZE * code_count(answer)


# A text of an answer: list 16, length 16, offset 32

cdef inline uint32_t list_of(const uint8_t* text) noexcept nogil:
    """The number of its list, or NO_LIST."""
    return native16(text)


cdef inline uint32_t length_of(const uint8_t* text) noexcept nogil:
    return native16(text + 2)


cdef inline uint32_t offset_of(const uint8_t* text) noexcept nogil:
    """Where it starts in the section of the texts."""
    return native32(text + 4)
