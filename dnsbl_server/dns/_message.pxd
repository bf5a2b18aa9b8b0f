from libc.stdint cimport uint8_t, uint16_t, uint32_t

from dnsbl_server.model._address cimport Address

cdef enum:
    MAX_LABELS = 128             # of two bytes at least each, so a name of 255 bytes has fewer

cdef struct Labels:
    uint32_t count
    uint16_t at[MAX_LABELS]      # where each label starts: at its length

cdef struct Request:
    # What a message asks, and what its OPT record says.
    uint32_t end                 # of the question, or of the questions
    uint32_t qtype
    uint32_t qclass
    uint32_t edns_size
    uint32_t edns_version
    bint has_edns
    bint do_bit

cdef bint parse_query(const uint8_t* packet, uint32_t size, Request* request, Labels* labels) noexcept nogil
cdef bint parse_reversed(const uint8_t* packet, const Labels* labels, uint32_t count, Address* address) noexcept nogil
