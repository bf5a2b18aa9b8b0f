"""What `_names` shares with the other compiled modules: how names lie in memory, and how one is added."""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy

cdef struct NameRow:
    uint32_t start               # of its text
    uint32_t number
    uint8_t size                 # of its text
    uint8_t scope

cdef class Names:
    # `count` rows, and their texts one after the other: lower case, with dots, without the final one.
    cdef size_t count
    cdef size_t capacity
    cdef NameRow *rows
    cdef size_t text_size
    cdef size_t text_capacity
    cdef uint8_t *text

    cdef bytes text_of(self, NameRow row)
    cdef int grow(self, size_t rows, size_t text) except -1


cdef inline int add_name(Names names, const uint8_t *text, uint32_t size, uint8_t scope, uint32_t number) except -1:
    """Add a name of 1 to 253 characters, as it stands: the caller has made sure that it is one."""
    if names.count == names.capacity or names.text_capacity - names.text_size < size:
        names.grow(names.count + 1, names.text_size + size)
    names.rows[names.count] = NameRow(<uint32_t> names.text_size, number, <uint8_t> size, scope)
    memcpy(names.text + names.text_size, text, size)
    names.text_size += size
    names.count += 1
    return 0
