"""What `_scan` shares with the other scanners: how the entry in one line, or in one column of it, is read."""

from libc.stdint cimport uint8_t, uint32_t

from dnsbl_server.model._names cimport Names
from dnsbl_server.model._spans cimport Spans

ctypedef const unsigned char uchar

cdef struct Rules:
    # What a line may have: see `scan`.
    bint takes_nets
    uint8_t plain                # scopes
    uint8_t dot
    uint8_t star
    uint32_t longest_name
    uint32_t hash_size
    bint is_of_hash[256]

cdef int set_rules(Rules *rules, bint takes_nets, scopes, uint32_t longest_name, hashes) except -1
cdef bint read_line(uchar *at, uchar *end, uint32_t number, Spans v4, Spans v6, Names names, const Rules *rules) except -1
cdef uchar *read_address4(uchar *at, uchar *end, uint32_t *address) noexcept
cdef uchar *skip_blanks(uchar *at, uchar *end) noexcept
