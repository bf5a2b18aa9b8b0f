"""The compiled answer: messages to answers, over the tables of a directory.

Owns the compiled twin of `respond.respond`, which is its specification: the same bytes, zone, type, outcome and hits
for every message, or SLOW_PATH for the few kinds that are left to `respond` itself (the zone's own name, class CH, EDNS
versions other than 0). Property tests hold it to that. Pure: no socket, no clock, no allocation while it answers.

Nothing that a client sends and nothing that stands in a table leads out of its bounds: `_message` reads messages and
trusts nothing in them, `_sections` has checked every table, and `_records` knows the size of an answer before it
writes. While a message is read, the rest of its buffer is sealed (see `_memory`).
"""

from libc.stdint cimport uint8_t, uint32_t

from dnsbl_server.answer cimport _outcome as outcome
from dnsbl_server.answer._directory cimport NO_ZONE, Names, find_zone
from dnsbl_server.answer._records cimport write_bare, write_header, write_listed, write_negative
from dnsbl_server.dns._memory cimport CHECK, SEAL, UNSEAL
from dnsbl_server.dns._message cimport Labels, Request, parse_query, parse_reversed
from dnsbl_server.dns._protocol cimport (
    AA,
    CLASS_CH,
    CLASS_IN,
    FORMERR,
    HEADER_SIZE,
    MAX_TCP,
    MAX_UDP,
    MIN_UDP,
    NOERROR,
    NOTIMP,
    NXDOMAIN,
    OPCODE,
    QR,
    REFUSED,
    TC,
    TYPE_A,
    TYPE_ANY,
    TYPE_AXFR,
    TYPE_IXFR,
    TYPE_TXT,
)
from dnsbl_server.table._format cimport text_count, texts_of
from dnsbl_server.table._search cimport Lookup, fetch_index, find_current, search

cdef struct Prepared:
    # A message that `prepare` has read, as `finish` needs it.
    Request request
    uint32_t zone_at             # where the zone's name starts: the end of the question's name
    bint exists                  # because names below it do, or may


cdef void answer_batch(const Names* names, Message* messages, uint32_t count, bint tcp, double now) noexcept nogil:
    """Answer up to BATCH messages in their own buffers, and say what there is to count.

    tcp: the answers may have MAX_TCP bytes; now: seconds since 1970.
    """
    cdef Prepared prepared[BATCH]
    cdef Lookup lookups[BATCH]
    cdef uint32_t number
    CHECK(count <= BATCH)
    for number in range(count):
        lookups[number].address.version = 0
        messages[number].answer_size = prepare(names, messages[number].packet, messages[number].size,
                                               &prepared[number], &lookups[number], &messages[number].verdict)
    search(lookups, count)
    for number in range(count):
        if messages[number].answer_size == PENDING:
            messages[number].answer_size = finish(messages[number].packet, tcp, now, &prepared[number],
                                                  &lookups[number], &messages[number].verdict)


cdef inline int prepare(const Names* names, uint8_t* packet, uint32_t size, Prepared* prepared, Lookup* lookup,
                        Verdict* verdict) noexcept nogil:
    """Read a message, and answer it if that takes no search.

    Returns the size of the answer, SILENT, SLOW_PATH, or PENDING: then `search` and `finish` answer it.
    """
    cdef Labels labels
    cdef Request* request = &prepared.request
    cdef uint32_t front = 0
    cdef bint exists = False
    cdef bint is_query
    verdict.zone = NO_ZONE
    verdict.qtype = 0
    verdict.hit_count = 0
    verdict.outcome = outcome.DROPPED
    if size < HEADER_SIZE or packet[2] & QR >> 8:
        return SILENT
    if size < MIN_BUFFER:
        SEAL(packet + size, MIN_BUFFER - size)
    is_query = parse_query(packet, size, request, &labels)
    if size < MIN_BUFFER:
        UNSEAL(packet + size, MIN_BUFFER - size)
    if not is_query:
        if packet[2] & OPCODE >> 8:
            verdict.outcome = outcome.NOTIMP
            write_header(packet, QR, NOTIMP, request.has_edns)
        else:
            verdict.outcome = outcome.FORMERR
            write_header(packet, QR, FORMERR, request.has_edns)
        # Without a question, but with an OPT record where the message's could be read.
        packet[4] = packet[5] = 0
        request.end = HEADER_SIZE
        return write_bare(packet, request)
    verdict.qtype = request.qtype
    if packet[2] & OPCODE >> 8:
        verdict.outcome = outcome.NOTIMP
        write_header(packet, QR, NOTIMP, request.has_edns)
        return write_bare(packet, request)
    if request.edns_version or request.qclass == CLASS_CH:
        return SLOW_PATH
    if request.qclass == CLASS_IN:
        verdict.zone = find_zone(names, packet, &labels, request.end - 4, &front, &exists)
    if verdict.zone == NO_ZONE or request.qtype == TYPE_AXFR or request.qtype == TYPE_IXFR:
        verdict.outcome = outcome.REFUSED
        write_header(packet, QR, REFUSED, request.has_edns)
        return write_bare(packet, request)
    if not front:
        return SLOW_PATH
    CHECK(verdict.zone < names.zone_count)
    lookup.table = &names.tables[verdict.zone]
    prepared.zone_at = labels.at[front]
    prepared.exists = parse_reversed(packet, &labels, front, &lookup.address) or exists
    fetch_index(lookup)
    return PENDING


cdef inline int finish(uint8_t* packet, bint tcp, double now, const Prepared* prepared, const Lookup* lookup,
                       Verdict* verdict) noexcept nogil:
    """Answer what `prepare` left PENDING: the size of the answer."""
    cdef const Request* request = &prepared.request
    cdef const uint8_t* answer = find_current(lookup.table, lookup.found, now)
    cdef uint32_t limit = MIN_UDP
    cdef uint32_t rcode = NOERROR
    cdef int size
    if tcp:
        limit = MAX_TCP
    elif request.has_edns and request.edns_size > MIN_UDP:
        limit = request.edns_size if request.edns_size < MAX_UDP else MAX_UDP
    if answer == NULL and not prepared.exists:
        rcode = NXDOMAIN
    write_header(packet, QR | AA, rcode, request.has_edns)
    if answer != NULL and (request.qtype == TYPE_A or request.qtype == TYPE_TXT or request.qtype == TYPE_ANY):
        verdict.outcome = outcome.LISTED
        verdict.hits = texts_of(answer)
        verdict.hit_count = text_count(answer)
        size = write_listed(packet, request, &lookup.address, lookup.table, answer, now, limit)
    else:
        verdict.outcome = outcome.NODATA
        if rcode:
            verdict.outcome = outcome.NOT_LISTED
        size = write_negative(packet, request, lookup.table, prepared.zone_at, limit)
    if size:
        return size
    verdict.outcome = outcome.TRUNCATED
    packet[2] |= TC >> 8
    return write_bare(packet, request)
