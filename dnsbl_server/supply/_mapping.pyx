"""Files in memory, mapped for reading without a descriptor.

Owns a mapping from its beginning until nobody reads it any more. Python's own `mmap` keeps a descriptor of each file,
which would be one for each zone in service. Whoever maps a file makes sure that it is sealed: one that is cut while it
is mapped ends the process. Knows nothing of what is in it.
"""

import os

from cpython.buffer cimport PyBuffer_FillInfo
from cpython.exc cimport PyErr_SetFromErrno

cdef extern from "<sys/mman.h>" nogil:
    enum: PROT_READ
    enum: MAP_SHARED
    void* MAP_FAILED
    void* mmap(void* start, size_t size, int protection, int flags, int descriptor, long offset)
    int munmap(void* start, size_t size)


cdef class _Mapping:
    cdef void* start
    cdef Py_ssize_t size

    def __cinit__(self, int descriptor, Py_ssize_t size):
        self.start = mmap(NULL, <size_t>size, PROT_READ, MAP_SHARED, descriptor, 0)
        if self.start == MAP_FAILED:
            self.start = NULL
            PyErr_SetFromErrno(OSError)
        self.size = size

    def __dealloc__(self):
        if self.start != NULL:
            munmap(self.start, <size_t>self.size)

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        # The buffer holds a reference to this object.
        PyBuffer_FillInfo(buffer, self, self.start, self.size, True, flags)


def map_memory(int descriptor):
    """The content of a file in memory, read-only. The descriptor may be closed. Raises OSError, ValueError if empty."""
    cdef Py_ssize_t size = os.fstat(descriptor).st_size
    if not size:
        raise ValueError("empty")
    return memoryview(_Mapping(descriptor, size))
