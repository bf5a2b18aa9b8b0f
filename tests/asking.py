"""What the tests of the answers share: a question to a snapshot, read back by an independent client (dnspython)."""

import struct

import dns.flags
import dns.message
import dns.rdatatype

from dnsbl_server.answer.respond import Reply, respond
from dnsbl_server.answer.snapshot import Snapshot
from tests.conftest import NOW

RD = 0x0100
ZONE = "bl.example.org"
ROOT = b"\0"


def name_wire(*labels: bytes) -> bytes:
    """The wire form of a name, whatever its labels are."""
    return b"".join(bytes([len(label)]) + label for label in labels) + ROOT


def name_of(text: str) -> bytes:
    return name_wire(*text.encode().split(b"."))


def header(flags: int = RD, counts: tuple[int, int, int, int] = (1, 0, 0, 0), ident: int = 0x1234) -> bytes:
    return struct.pack("!HH4H", ident, flags, *counts)


def question(name: bytes, qtype: int = 1, qclass: int = 1) -> bytes:
    return name + struct.pack("!HH", qtype, qclass)


def opt(size: int = 1232, version: int = 0, flags: int = 0, options: bytes = b"", owner: bytes = ROOT) -> bytes:
    return owner + struct.pack("!HHBBHH", 41, size, 0, version, flags, len(options)) + options


def option(code: int, data: bytes) -> bytes:
    return struct.pack("!HH", code, len(data)) + data


def padded(name: str, size: int, qtype: int = 1) -> bytes:
    """A whole query of so many bytes, by its padding option (RFC 7830)."""
    front = header(counts=(1, 0, 0, 1)) + question(name_of(name), qtype)
    return front + opt(options=option(12, bytes(size - len(front) - len(opt()) - 4)))


def plain(name: str, qtype: int = 1, qclass: int = 1) -> bytes:
    """A whole query without EDNS."""
    return header() + question(name_of(name), qtype, qclass)


def send(snapshot: Snapshot, packet: bytes, now: float = NOW, tcp: bool = False) -> tuple[Reply, dns.message.Message]:
    """What respond() says to a packet that must be answered, and the answer as a client reads it."""
    reply = respond(snapshot, packet, now, tcp)
    assert reply.packet is not None
    return reply, dns.message.from_wire(reply.packet)


def ask(
    snapshot: Snapshot, name: str, qtype: str = "A", now: float = NOW, tcp: bool = False, **options: object
) -> dns.message.Message:
    """Ask as dnspython does; options are those of make_query."""
    query = dns.message.make_query(name, qtype, **options)  # type: ignore[arg-type]
    _, answer = send(snapshot, query.to_wire(), now, tcp)
    assert query.is_response(answer)
    return answer


def values(answer: dns.message.Message) -> list[str]:
    """The data of the records of the answer section, as text."""
    return [str(rdata) for rrset in answer.answer for rdata in rrset]


def texts(answer: dns.message.Message) -> list[str]:
    """The TXT records of the answer section, their strings joined."""
    return [b"".join(rdata.strings).decode("ascii") for rrset in answer.answer for rdata in rrset]


def assert_negative(answer: dns.message.Message, rcode: int, ttl: int = 60, zone: str = ZONE) -> None:
    """No answer, and the SOA of the zone in AUTHORITY with the TTL of negative answers (RFC 2308 section 5)."""
    assert answer.rcode() == rcode
    assert answer.flags & dns.flags.AA
    assert not answer.answer
    (soa,) = answer.authority
    assert soa.rdtype == dns.rdatatype.SOA
    assert soa.name.to_text(omit_final_dot=True).lower() == zone
    assert soa.ttl == ttl
    assert soa[0].minimum == ttl
