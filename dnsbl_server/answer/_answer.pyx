"""The compiled answer: messages to answers, over the tables of a directory.

Owns the compiled twin of `respond.respond`, which is its specification: the same bytes, zone, type, outcome and hits
for every message, or SLOW_PATH for the few kinds that are left to `respond` itself (the zone's own name, class CH, EDNS
versions other than 0). Property tests hold it to that. Pure: no socket, no clock, no allocation while it answers.

Nothing that a client sends and nothing that stands in a table leads out of its bounds: `_message` reads messages and
trusts nothing in them, `_sections` has checked every table, and `_records` knows the size of an answer before it
writes. While a message is read, the rest of its buffer is sealed (see `_memory`).
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

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
from dnsbl_server.table._namesearch cimport NameLookup, search_names
from dnsbl_server.table._nodes cimport Tree
from dnsbl_server.table._search cimport Lookup, fetch_index, find_current, has_any6, search

cdef struct Prepared:
    # A message that `prepare` has read, as `finish` needs it.
    Request request
    uint32_t zone_at             # where the zone's name starts: the end of the question's name
    bint exists                  # because names below it do, or may
    bint is_start                # of the name of an IPv6 address, besides that of an IPv4 address
    const NameLookup* name       # NULL where it is no domain name of a zone that has some


cdef void answer_batch(const Names* names, Message* messages, uint32_t count, bint tcp, double now) noexcept nogil:
    """Answer up to BATCH messages in their own buffers, and say what there is to count.

    tcp: the answers may have MAX_TCP bytes; now: seconds since 1970.
    """
    cdef Prepared prepared[BATCH]
    cdef Lookup lookups[BATCH]
    cdef NameLookup name_lookups[BATCH]
    cdef uint32_t name_count = 0
    cdef uint32_t number
    CHECK(count <= BATCH)
    for number in range(count):
        lookups[number].address.version = 0
        prepared[number].name = NULL
        messages[number].answer_size = prepare(names, messages[number].packet, messages[number].size,
                                               &prepared[number], &lookups[number], &name_lookups[name_count],
                                               &messages[number].verdict)
        name_count += prepared[number].name != NULL
    search(lookups, count)
    if name_count:
        search_names(name_lookups, name_count)
    for number in range(count):
        if messages[number].answer_size == PENDING:
            messages[number].answer_size = finish(messages[number].packet, tcp, now, &prepared[number],
                                                  &lookups[number], &messages[number].verdict)


cdef inline int prepare(const Names* names, uint8_t* packet, uint32_t size, Prepared* prepared, Lookup* lookup,
                        NameLookup* name_lookup, Verdict* verdict) noexcept nogil:
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
    if lookup.table.count4:
        prepared.is_start = parse_reversed(packet, &labels, front, &lookup.address)
        if lookup.address.version:
            prepared.exists = exists
            fetch_index(lookup)
            return PENDING
        # A resolver that takes an NXDOMAIN for all names below must not hide what is listed later (RFC 8020).
        exists |= prepared.is_start
    prepared.exists = exists
    if lookup.table.tree.slot_count:
        prepared.name = name_lookup
        begin_lookup(name_lookup, &lookup.table.tree, packet, &labels, front)
    return PENDING


cdef inline void begin_lookup(NameLookup* lookup, const Tree* tree, const uint8_t* packet, const Labels* labels,
                              uint32_t count) noexcept nogil:
    """Have the first `count` labels of a question looked up."""
    cdef uint32_t number
    lookup.tree = tree
    lookup.name = packet + <uint32_t>HEADER_SIZE
    lookup.labels = count
    # Names that are deeper cost no more than the deepest that is listed.
    lookup.known = count if count < tree.deepest else tree.deepest
    for number in range(lookup.known):
        lookup.starts[number] = <uint8_t>(labels.at[count - 1 - number] - HEADER_SIZE)


cdef inline int finish(uint8_t* packet, bint tcp, double now, const Prepared* prepared, const Lookup* lookup,
                       Verdict* verdict) noexcept nogil:
    """Answer what `prepare` left PENDING: the size of the answer."""
    cdef const Request* request = &prepared.request
    cdef const NameLookup* name = prepared.name
    cdef const uint8_t* answer = find_current(lookup.table, lookup.found if name == NULL else name.found, now)
    cdef uint32_t limit = MIN_UDP
    cdef uint32_t rcode = NOERROR
    cdef int size
    if tcp:
        limit = MAX_TCP
    elif request.has_edns and request.edns_size > MIN_UDP:
        limit = request.edns_size if request.edns_size < MAX_UDP else MAX_UDP
    if answer == NULL and not prepared.exists and not exists_otherwise(prepared, lookup):
        rcode = NXDOMAIN
    write_header(packet, QR | AA, rcode, request.has_edns)
    if answer != NULL and (request.qtype == TYPE_A or request.qtype == TYPE_TXT or request.qtype == TYPE_ANY):
        verdict.outcome = outcome.LISTED
        verdict.hits = texts_of(answer)
        verdict.hit_count = text_count(answer)
        size = write_listed(packet, request, &lookup.address, name, lookup.table, answer, now, limit)
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


cdef inline bint exists_otherwise(const Prepared* prepared, const Lookup* lookup) noexcept nogil:
    """Whether a name that is not listed exists because of what is listed below it, or was."""
    cdef uint32_t v4 = lookup.address.v4
    cdef uint64_t first
    if prepared.name != NULL:
        return prepared.name.exists
    if not lookup.address.version or not prepared.is_start:
        return False
    # Its four octets, of one digit each, read as the first four nibbles
    first = <uint64_t>(v4 >> 12 & 0xF000 | v4 >> 8 & 0xF00 | v4 >> 4 & 0xF0 | v4 & 0xF) << 48
    # Below 0.0.0.0 are the names of all mapped IPv4 addresses, of which some are listed.
    return not first or has_any6(lookup.table, first, first | ((<uint64_t>1 << 48) - 1))
