"""A query's bytes to an answer's bytes.

Owns what is answered to what. Pure: no socket, no clock, no global; the time is an argument. Every transport, the
command line and the tests get their answers here, and nothing a client sends makes it raise.
"""

import re
from enum import StrEnum
from typing import NamedTuple

from dnsbl_server.answer import _outcome
from dnsbl_server.answer.snapshot import ServedZone, Snapshot
from dnsbl_server.dns._protocol import (
    BADVERS,
    CLASS_CH,
    CLASS_IN,
    FORMERR,
    MAX_TCP,
    NOERROR,
    NOTIMP,
    NXDOMAIN,
    QR,
    REFUSED,
    TYPE_A,
    TYPE_ANY,
    TYPE_AXFR,
    TYPE_DS,
    TYPE_IXFR,
    TYPE_SOA,
    TYPE_TXT,
)
from dnsbl_server.dns.message import (
    MessageError,
    Query,
    Record,
    build_answer,
    build_error,
    encode_text,
    parse_header,
    parse_query,
    udp_limit,
)
from dnsbl_server.dns.name import Labels
from dnsbl_server.dns.reversed import parse_reversed
from dnsbl_server.table._format import NO_LIST
from dnsbl_server.table.layout import ADDRESS_MARK, LABELS_MARK, Answer
from dnsbl_server.table.table import ZoneTable

_NAME = re.compile(f"{LABELS_MARK}(.)", re.DOTALL)
_VERSION_NAMES = ((b"version", b"bind"), (b"version", b"server"))
_ID_NAMES = ((b"id", b"server"), (b"hostname", b"bind"))


class Outcome(StrEnum):
    """What became of a query; the values are those of the metric label."""

    LISTED = "listed"
    NOT_LISTED = "not_listed"
    NODATA = "nodata"
    ANSWERED = "answered"  # with records of the zone's own name, or of the server itself
    REFUSED = "refused"
    FORMERR = "formerr"
    NOTIMP = "notimp"
    BADVERS = "badvers"
    TRUNCATED = "truncated"
    SERVFAIL = "servfail"
    DROPPED = "dropped"


# By the number that the compiled modules have for each.
OUTCOMES = tuple(sorted(Outcome, key=lambda outcome: getattr(_outcome, outcome.name)))


class Reply(NamedTuple):
    """The answer, and what there is to count.

    packet: None where no answer is sent; zone: "" where no zone of ours was asked; qtype: 0 where none could be read;
    hits: the names of the lists that made the answer.
    """

    packet: bytes | None
    outcome: Outcome
    zone: str = ""
    qtype: int = 0
    hits: tuple[str, ...] = ()


class _Found(NamedTuple):
    """What a zone has for a name and type, before it is a message."""

    outcome: Outcome
    rcode: int = NOERROR
    answers: tuple[Record, ...] = ()
    hits: tuple[str, ...] = ()


def respond(snapshot: Snapshot, packet: bytes, now: float, tcp: bool = False) -> Reply:
    """Answer one message. now: seconds since 1970; tcp: the answer may be 65,535 bytes long."""
    header = parse_header(packet)
    if header is None or header.flags & QR:
        return Reply(None, Outcome.DROPPED)
    try:
        query = parse_query(packet, header)
    except MessageError as error:
        if header.opcode:
            return Reply(build_error(header, NOTIMP, error.edns), Outcome.NOTIMP)
        return Reply(build_error(header, FORMERR, error.edns), Outcome.FORMERR)
    limit = MAX_TCP if tcp else udp_limit(query)
    if header.opcode:
        return Reply(build_answer(query, NOTIMP, limit)[0], Outcome.NOTIMP, "", query.qtype)
    if query.edns and query.edns.version:
        return Reply(build_answer(query, BADVERS, limit)[0], Outcome.BADVERS, "", query.qtype)
    labels = tuple(label.lower() for label in query.labels)
    if query.qclass == CLASS_CH:
        return _respond_chaos(snapshot, query, labels, limit)
    zone = snapshot.find(labels) if query.qclass == CLASS_IN else None
    if zone is not None and query.qtype == TYPE_DS and labels == zone.labels:
        # The DS record of a zone would stand in the zone above it (RFC 4035 section 3.1.4.1).
        zone = snapshot.find(labels[1:]) or zone
    if zone is None or query.qtype in (TYPE_AXFR, TYPE_IXFR):
        return Reply(build_answer(query, REFUSED, limit)[0], Outcome.REFUSED, zone.name if zone else "", query.qtype)
    found = _find(snapshot, zone, query, labels, now)
    authority = () if found.answers else (_soa(zone, query),)
    answer, truncated = build_answer(query, found.rcode, limit, True, found.answers, authority)
    return Reply(answer, Outcome.TRUNCATED if truncated else found.outcome, zone.name, query.qtype, found.hits)


def _respond_chaos(snapshot: Snapshot, query: Query, labels: Labels, limit: int) -> Reply:
    text = None
    if query.qtype == TYPE_TXT:
        if labels in _VERSION_NAMES:
            text = snapshot.identity.version
        elif labels in _ID_NAMES:
            text = snapshot.identity.server_id
    if text is None:
        return Reply(build_answer(query, REFUSED, limit)[0], Outcome.REFUSED, "", query.qtype)
    record = Record(query.labels, TYPE_TXT, 0, encode_text(text), CLASS_CH)
    answer, truncated = build_answer(query, NOERROR, limit, True, (record,))
    return Reply(answer, Outcome.TRUNCATED if truncated else Outcome.ANSWERED, "", query.qtype)


def _find(snapshot: Snapshot, zone: ServedZone, query: Query, labels: Labels, now: float) -> _Found:
    if labels == zone.labels:
        return _find_apex(zone, query)
    front = labels[: -len(zone.labels)]
    answer, exists = _look_up(zone.table, front, now)
    if answer:
        return _find_listed(query, zone, front, answer, now)
    if exists or snapshot.has_zone_at_or_below(labels):
        return _Found(Outcome.NODATA)
    return _Found(Outcome.NOT_LISTED, NXDOMAIN)


def _look_up(table: ZoneTable, front: Labels, now: float) -> tuple[Answer | None, bool]:
    """The answer of what stands in front of a zone's name, and whether the name exists without one (RFC 8020).

    Where a zone lists addresses, every part of a reversed address exists: a resolver that takes an NXDOMAIN for all
    names below it must not hide what is listed later. Of all other names those exist that are listed, or above one.
    """
    if not table.has_addresses:
        return table.find_name(front, now)
    address, partial = parse_reversed(front)
    if address is None:
        answer, exists = table.find_name(front, now)
        return answer, exists or partial
    # Clients take NODATA for the name of a whole address as an error. It may also be the end of an IPv6 name.
    return table.find(address, now), partial and _is_above_listed(table, front)


def _is_above_listed(table: ZoneTable, front: Labels) -> bool:
    """Whether anything is listed below a name of four octets, read as the end of an IPv6 name."""
    first = int(b"".join(reversed(front)), 16) << 112
    # Below 0.0.0.0 are the names of all mapped IPv4 addresses, of which some are listed.
    return not first or table.has_any6(first, first | ((1 << 112) - 1))


def _find_apex(zone: ServedZone, query: Query) -> _Found:
    if query.qtype in (TYPE_SOA, TYPE_ANY):
        return _Found(Outcome.ANSWERED, answers=(_soa(zone, query),))
    data = zone.apex.get(query.qtype, [])
    answers = tuple(Record(query.labels, query.qtype, zone.ttl, each) for each in data)
    return _Found(Outcome.ANSWERED if answers else Outcome.NODATA, answers=answers)


def _find_listed(query: Query, zone: ServedZone, front: Labels, answer: Answer, now: float) -> _Found:
    if query.qtype not in (TYPE_A, TYPE_TXT, TYPE_ANY):
        return _Found(Outcome.NODATA)
    # Nothing is kept by a resolver for longer than it holds.
    ttl = min(answer.ttl, int(answer.expires - now)) if answer.expires else answer.ttl
    if query.qtype == TYPE_TXT:
        rtype = TYPE_TXT
        data = [encode_text(_fill_in(text, front)) for _, text in answer.texts]
    else:
        rtype = TYPE_A
        data = [code.to_bytes(4) for code in answer.codes]
    answers = tuple(Record(query.labels, rtype, ttl, each) for each in data)
    hits = tuple(zone.lists[number] for number, _ in answer.texts if number != NO_LIST)
    return _Found(Outcome.LISTED, answers=answers, hits=hits)


def _fill_in(text: str, front: Labels) -> str:
    """A text with the listed address or name that the labels in front of the zone's name were found by."""
    if ADDRESS_MARK in text:
        text = text.replace(ADDRESS_MARK, str(parse_reversed(front).address))
    # The last labels of the name are those of the listed one, as they were found by them.
    return _NAME.sub(lambda mark: b".".join(front[-ord(mark[1]) :]).decode("ascii"), text)


def _soa(zone: ServedZone, query: Query) -> Record:
    """The SOA record with the TTL that makes negative answers last for negative_ttl (RFC 2308 section 5)."""
    owner = query.labels[len(query.labels) - len(zone.labels) :]
    return Record(owner, TYPE_SOA, zone.negative_ttl, zone.soa)
