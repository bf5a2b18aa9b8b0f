"""DNS messages: a query's bytes to what they ask, and an answer to bytes.

Owns the syntax of queries and the frame of every answer: header, question as it came, OPT, truncation. dnslib writes
the messages and reads the header. What follows the header is read here: dnslib refuses labels that are no UTF-8, takes
lengths up to 191 for a label's, and its cost for a hostile message grows with the square of its size. Knows no zones.

An answer has an OPT record wherever the query's OPT record can be read, also if the message is no query otherwise (RFC
6891 section 6.1.1). It can be read if it is whole, stands in the additional section with the root as its owner, its
options end where it does (version 0; other versions may have another form), and questions and records in front of it
can be passed over. So an OPT of ours answers a message that goes on behind its last record, has two OPT records (the
first one counts), no question or several, or records in front of the additional section. None answers a message whose
one question is no plain name, or where a record in front of the OPT record or a part of it is cut.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from dnslib import EDNS0, RD, RR, DNSHeader, DNSLabel, DNSQuestion, DNSRecord
from dnslib.label import DNSBuffer

from dnsbl_server.dns._protocol import (
    AA,
    CLASS_IN,
    HEADER_SIZE,
    MAX_LABEL,
    MAX_NAME,
    MAX_STRING,
    MAX_UDP,
    MIN_UDP,
    OPCODE,
    OPCODE_SHIFT,
    QR,
    TC,
    TYPE_IXFR,
    TYPE_OPT,
)
from dnsbl_server.dns._protocol import RD as RD_FLAG

_RECORD = struct.Struct("!HHIH")
_OPTION = struct.Struct("!HH")


class MessageError(ValueError):
    """The message is no query. edns: what its OPT record says, if that could be read (see the head of the module)."""

    def __init__(self, text: str, edns: "Edns | None" = None) -> None:
        super().__init__(text)
        self.edns = edns


class Header(NamedTuple):
    """The fixed part of a message (RFC 1035 section 4.1.1); counts per section."""

    id: int
    flags: int
    questions: int
    answers: int
    authority: int
    additional: int

    @property
    def opcode(self) -> int:
        return (self.flags & OPCODE) >> OPCODE_SHIFT


class Edns(NamedTuple):
    """What the OPT record of a query says (RFC 6891 section 6.1); size in bytes."""

    size: int
    version: int
    do: bool


class Query(NamedTuple):
    """A message that asks one question. labels: the name, as it was written, without the root."""

    header: Header
    labels: tuple[bytes, ...]
    qtype: int
    qclass: int
    edns: Edns | None


class Record(NamedTuple):
    """A record to send; rdata is its wire form, names in it uncompressed."""

    labels: tuple[bytes, ...]
    qtype: int
    ttl: int
    rdata: bytes
    qclass: int = CLASS_IN


def parse_header(packet: bytes) -> Header | None:
    """The header, or None where the packet is too short to have one."""
    if len(packet) < HEADER_SIZE:
        return None
    header = DNSHeader.parse(DNSBuffer(packet[:HEADER_SIZE]))
    return Header(header.id, header.bitmap, header.q, header.a, header.auth, header.ar)


def parse_query(packet: bytes, header: Header) -> Query:
    """Read the whole message behind its header. Raises MessageError.

    There is one question, with its name written out; records of other types than OPT are passed over; nothing follows
    the last record. A standard query has no answers, and an authority section only for IXFR (RFC 1995 section 3).
    """
    if header.questions == 1:
        labels, end = _parse_name(packet, HEADER_SIZE)
        end += 4
    else:
        labels, end = (), _skip_questions(packet, header.questions)
    if end > len(packet):
        raise MessageError("the question is cut short")
    edns, at = _read_records(packet, end, header.answers + header.authority, header.additional)
    if header.questions != 1:
        raise MessageError(f"{header.questions} questions, not 1", edns)
    qtype, qclass = struct.unpack_from("!HH", packet, end - 4)
    if header.opcode == 0 and (header.answers or header.authority > (qtype == TYPE_IXFR)):
        raise MessageError("a query with records in front of the additional section", edns)
    if at != len(packet):
        raise MessageError("bytes after the last record", edns)
    return Query(header, labels, qtype, qclass, edns)


def _skip_questions(packet: bytes, count: int) -> int:
    """The end of the last of so many questions, which are not read. Raises MessageError."""
    at = HEADER_SIZE
    for _ in range(count):
        at = _skip_name(packet, at)
        if not at:
            raise MessageError("a question is cut short")
        at += 4
    return at


def _read_records(packet: bytes, at: int, before: int, additional: int) -> tuple[Edns | None, int]:
    """The OPT record, and where the last record ends. before: how many records stand in front of the additional ones.

    Raises MessageError.
    """
    edns = None
    for number in range(before + additional):
        is_root = packet[at : at + 1] == b"\0"
        at = _skip_name(packet, at)
        if not at or at + _RECORD.size > len(packet):
            raise MessageError("a record is cut short", edns)
        rtype, rclass, ttl, length = _RECORD.unpack_from(packet, at)
        at += _RECORD.size
        if at + length > len(packet):
            raise MessageError("a record is cut short", edns)
        if rtype == TYPE_OPT:
            if edns is not None or number < before or not is_root:
                raise MessageError("two OPT records, or a misplaced one", edns)
            version = ttl >> 16 & 0xFF
            if not version and not _are_options(packet, at, at + length):  # another version may have another form
                raise MessageError("an EDNS option is cut short")
            edns = Edns(rclass, version, bool(ttl & 0x8000))
        at += length
    return edns, at


def _parse_name(packet: bytes, at: int) -> tuple[tuple[bytes, ...], int]:
    labels: list[bytes] = []
    start = at
    while at < len(packet):
        length = packet[at]
        at += 1
        if not length:
            return tuple(labels), at
        if length > MAX_LABEL:
            # A pointer has nothing to point at yet; the other values mean nothing (RFC 1035 section 4.1.4).
            raise MessageError("no plain label in the question")
        labels.append(packet[at : at + length])
        at += length
        if at - start > MAX_NAME - 1:
            raise MessageError("a name of more than 255 bytes")
    raise MessageError("the name is cut short")


def _skip_name(packet: bytes, at: int) -> int:
    """The end of a name that may be compressed, or 0."""
    start = at
    while at < len(packet) and at - start < MAX_NAME:
        length = packet[at]
        if length >= 0xC0:
            return at + 2
        if length > MAX_LABEL:
            break
        at += 1 + length
        if not length:
            return at
    return 0


def _are_options(packet: bytes, at: int, end: int) -> bool:
    """Whether the EDNS options end where their record does."""
    while at < end:
        if at + _OPTION.size > end:
            return False
        at += _OPTION.size + _OPTION.unpack_from(packet, at)[1]
    return at == end


def udp_limit(query: Query) -> int:
    """How many bytes the answer may have over UDP."""
    return min(max(query.edns.size, MIN_UDP), MAX_UDP) if query.edns else MIN_UDP


def build_error(header: Header, rcode: int, edns: Edns | None = None) -> bytes:
    """An answer without a question, to what is no query. edns: what could be read of the message's OPT record."""
    message = DNSRecord(_answer_header(header, rcode, 0))
    _add_opt(message, rcode, edns)
    return bytes(message.pack())


def build_answer(
    query: Query,
    rcode: int,
    limit: int,
    authoritative: bool = False,
    answers: Sequence[Record] = (),
    authority: Sequence[Record] = (),
) -> tuple[bytes, bool]:
    """The answer, and whether it is truncated, because it would be longer than `limit` bytes (RFC 2181 section 9)."""
    flags = AA if authoritative else 0
    # Where the data alone is too long it need not be put together; more than 65,535 bytes could not be.
    if sum(len(record.rdata) for record in (*answers, *authority)) <= limit:
        packet = _pack(query, rcode, flags, answers, authority)
        if len(packet) <= limit:
            return packet, False
    return _pack(query, rcode, flags | TC, (), ()), True


def _answer_header(header: Header, rcode: int, flags: int) -> DNSHeader:
    kept = header.flags & (OPCODE | RD_FLAG)
    return DNSHeader(id=header.id, bitmap=QR | kept | flags | rcode & 0xF)


def _pack(query: Query, rcode: int, flags: int, answers: Sequence[Record], authority: Sequence[Record]) -> bytes:
    message = DNSRecord(_answer_header(query.header, rcode, flags))
    message.add_question(DNSQuestion(DNSLabel(query.labels), query.qtype, query.qclass))
    message.add_answer(*map(_rr, answers))
    message.add_auth(*map(_rr, authority))
    _add_opt(message, rcode, query.edns)
    return bytes(message.pack())


def _add_opt(message: DNSRecord, rcode: int, edns: Edns | None) -> None:
    """Answer an OPT record by one of version 0, with its DO bit (RFC 6891 section 6.1)."""
    if edns:
        message.add_ar(EDNS0(udp_len=MAX_UDP, ext_rcode=rcode >> 4, flags="do" if edns.do else ""))


def _rr(record: Record) -> RR:
    return RR(DNSLabel(record.labels), record.qtype, record.qclass, record.ttl, RD(record.rdata))


def encode_text(text: str) -> bytes:
    """The data of a TXT record: the text in strings of at most 255 bytes (RFC 1035 section 3.3.14)."""
    data = text.encode("ascii")
    parts = [data[at : at + MAX_STRING] for at in range(0, len(data), MAX_STRING)] or [b""]
    return b"".join(bytes([len(part)]) + part for part in parts)
