"""Names in wire form, for the compiled modules.

Owns lower case (RFC 4343) and the rules of a name that stands alone. Knows no messages and no zones.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dnsbl_server.dns._protocol cimport MAX_LABEL, MAX_NAME


cdef inline uint8_t lower(uint8_t character) noexcept nogil:
    return <uint8_t>(character | 0x20) if 0x41 <= character <= 0x5A else character


cdef inline uint32_t count_labels(const uint8_t* name, uint64_t size) noexcept nogil:
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
        if name[at] > MAX_LABEL or end > size:
            return 0
        at += 1
        while at < end:
            if lower(name[at]) != name[at]:
                return 0
            at += 1
        labels += 1
    return 0
