from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

from dnsbl_server.dns._memory cimport put16, put_bytes
from dnsbl_server.dns._message cimport Request
from dnsbl_server.dns._protocol cimport MAX_UDP, OPCODE, POINTER_SIZE, RD, TYPE_OPT
from dnsbl_server.model._address cimport Address
from dnsbl_server.table._namesearch cimport NameLookup
from dnsbl_server.table._sections cimport Layout

cdef enum:
    OPT_SIZE = 11
    POINTER = 0xC000             # of a compressed name; the rest is where the name starts

cdef int write_listed(uint8_t* packet, const Request* request, const Address* address, const NameLookup* name,
                      const Layout* table, const uint8_t* answer, double now, uint32_t limit) noexcept nogil
cdef uint32_t truncate(uint8_t* packet, uint32_t size) noexcept nogil


cdef inline void write_header(uint8_t* packet, uint32_t flags, uint32_t rcode, bint has_edns) noexcept nogil:
    """Make the header of a query that of an answer with one question and no records but OPT."""
    packet[2] = <uint8_t>((packet[2] & (OPCODE | RD) >> 8) | flags >> 8)
    packet[3] = <uint8_t>rcode
    memset(packet + 6, 0, 6)
    packet[11] = 1 if has_edns else 0


cdef inline uint32_t opt_size(const Request* request) noexcept nogil:
    return OPT_SIZE if request.has_edns else 0


cdef inline uint8_t* put_opt(uint8_t* at, const Request* request) noexcept nogil:
    """Write the OPT record (RFC 6891 section 6.1), of version 0, with the query's DO bit; where it ends."""
    memset(at, 0, OPT_SIZE)
    put16(at + 1, TYPE_OPT)
    put16(at + 3, MAX_UDP)
    if request.do_bit:
        at[7] = 0x80
    return at + <uint32_t>OPT_SIZE


cdef inline int write_bare(uint8_t* packet, const Request* request) noexcept nogil:
    """End the answer behind its question: no records but OPT. Returns its size."""
    memset(packet + 6, 0, 4)
    if request.has_edns:
        put_opt(packet + request.end, request)
    return <int>(request.end + opt_size(request))


cdef inline int write_negative(uint8_t* packet, const Request* request, const Layout* table, uint32_t zone_at,
                               uint32_t limit) noexcept nogil:
    """Write the SOA record of a negative answer behind the question (RFC 2308 section 3).

    zone_at: where the zone's name starts in the message. Returns the answer's size, or 0 where it passes the limit.
    """
    cdef uint32_t size = request.end + POINTER_SIZE + table.soa_size + opt_size(request)
    cdef uint8_t* at = packet + request.end
    if size > limit:
        return 0
    at = put16(at, POINTER | zone_at)
    at = put_bytes(at, table.soa, table.soa_size)
    put16(packet + 8, 1)
    if request.has_edns:
        put_opt(at, request)
    return <int>size
