"""Packets of all kinds against the invariant of every answer.

The invariant: whatever bytes arrive, respond() raises nothing and gives no answer, or a well-formed one: an independent
client parses all of it; it has the ID and the opcode of what came, and QR set; it is no longer than the client takes.
No answer goes to less than a header, nor to what is an answer itself; all else is answered. The work is a few steps
a byte.
"""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import dns.flags
import dns.message
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dnsbl_server.answer.respond import Outcome, Reply, respond
from dnsbl_server.answer.snapshot import Identity, Snapshot
from dnsbl_server.dns._protocol import MAX_UDP
from dnsbl_server.dns.message import MessageError, parse_header, parse_query
from tests.asking import ZONE, header, name_of, name_wire, opt, option, question
from tests.conftest import NOW
from tests.profiles import examples

LISTS = "".join(
    f'  - {{name: l{number}, txt: "{number} {"x" * 300}", entries: [192.0.2.1, "2001:db8::/32"]}}\n'
    for number in range(6)
)
TEXT = f'zone: {ZONE}\nns: [ns1.example.org]\napex: {{a: [192.0.2.80], mx: ["10 mx.example.org"], txt: [Our list]}}\n'

APEX = name_of(ZONE)
LISTED = name_of(f"1.2.0.192.{ZONE}")
LISTED6 = name_of(".".join(reversed(f"{0x20010DB8 << 96 | 1:032x}")) + f".{ZONE}")
COOKIE = option(10, b"12345678")
RECORD = b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04\x7f\0\0\x02"
SOA = b"\xc0\x0c\0\x06\0\x01\0\0\0\0\0\x16\0\0" + bytes(20)


def one(*records: bytes, name: bytes = LISTED, qtype: int = 1, qclass: int = 1, flags: int = 0x0100) -> bytes:
    """One question with additional records."""
    return header(flags, (1, 0, 0, len(records))) + question(name, qtype, qclass) + b"".join(records)


PACKETS = {
    "A of a listed address": one(),
    "TXT of a listed address, too long for UDP": one(qtype=16),
    "TXT with EDNS, too long for UDP": one(opt(65535, flags=0x8000), qtype=16),
    "ANY of a listed IPv6 address": one(name=LISTED6, qtype=255),
    "TXT of a listed IPv6 address": one(opt(), name=LISTED6, qtype=16),
    "AAAA of a listed address": one(opt(512), qtype=28),
    "a part of an address": one(opt(options=COOKIE), name=name_of(f"0.192.{ZONE}"), qtype=2),
    "not listed": one(name=name_of(f"9.9.9.9.{ZONE}")),
    "upper case": one(name=name_of(f"1.2.0.192.{ZONE}".upper())),
    "SOA of the zone": one(name=APEX, qtype=6),
    "MX of the zone": one(opt(), name=APEX, qtype=15),
    "another zone": one(name=name_of("example.com")),
    "the root": one(opt(), name=b"\0", qtype=2),
    "a name of 255 bytes": one(opt(), name=name_wire(*[b"x" * 63] * 3, b"y" * 46, b"bl", b"example", b"org")),
    "bytes as labels": one(name=name_wire(b"\0\xff.", b"\xc0\x0c", b"bl", b"example", b"org")),
    "version.bind": one(opt(), name=name_of("version.bind"), qtype=16, qclass=3),
    "AXFR": one(name=APEX, qtype=252),
    "IXFR": header(0, (1, 0, 1, 0)) + question(APEX, 251) + SOA,
    "class ANY": one(qclass=255),
    "BADVERS": one(opt(version=1)),
    "two OPTs": one(opt(), opt()),
    "an option too long": one(opt(options=b"\0\x0a\xff\xff")),
    "another additional record": one(RECORD, opt()),
    "all flags": one(flags=0x07FF),
    "an update": header(5 << 11, (1, 0, 0, 0)) + question(APEX, 6),
    "an update with records": header(5 << 11, (1, 1, 1, 1)) + question(APEX, 6) + RECORD * 3,
    "a notification": header(4 << 11, (1, 1, 0, 0)) + question(APEX, 6) + SOA,
    "opcode 15": one(opt(), flags=15 << 11),
    "an answer": one(flags=0x8180),
    "no question": header(counts=(0, 0, 0, 0)),
    "no question but an OPT": header(counts=(0, 0, 0, 1)) + opt(options=COOKIE),
    "two questions": header(counts=(2, 0, 0, 0)) + question(LISTED) * 2,
    "counts of 65535": header(counts=(65535,) * 4) + question(LISTED),
    "a pointer as a name": one(name=b"\xc0\x0c"),
    "a pointer into the header": one(name=b"\xc0\x04"),
    "a label of 64": one(name=b"\x40" + b"x" * 64 + b"\0"),
    "a name of 256 bytes": one(name=name_wire(*[b"x" * 63] * 3, b"y" * 62)),
}
packets = pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS.keys())


@pytest.fixture
def snapshot(snapshot_of: Callable[..., Snapshot]) -> Snapshot:
    nested = f"zone: nested.word.{ZONE}\nentries: [192.0.2.1]\n"
    return snapshot_of(f"{TEXT}lists:\n{LISTS}", nested, identity=Identity("dnsbl-server", "ns1"))


def allowed(packet: bytes) -> int:
    """How many bytes the answer over UDP may have: the client's size where all of its message can be read."""
    head = parse_header(packet)
    assert head is not None
    try:
        edns = parse_query(packet, head).edns
    except MessageError:
        return 512
    return max(512, min(edns.size, MAX_UDP)) if edns else 512


def check(snapshot: Snapshot, packet: bytes, tcp: bool = False) -> Reply:
    """The reply to a packet, which keeps the invariant."""
    reply = respond(snapshot, packet, NOW, tcp)
    answer = reply.packet
    if len(packet) < 12 or packet[2] & 0x80:
        assert answer is None
        assert reply.outcome == Outcome.DROPPED
        return reply
    assert answer is not None
    assert reply.outcome not in (Outcome.DROPPED, Outcome.SERVFAIL)
    assert len(answer) <= (65535 if tcp else allowed(packet))
    assert answer[:2] == packet[:2]
    assert answer[2] & 0xF8 == 0x80 | packet[2] & 0x78
    # dnspython has rules of its own for the sections of an update: it reads the answer as one to a query.
    message = dns.message.from_wire(answer[:2] + bytes([answer[2] & 0x87]) + answer[3:])
    assert message.flags & dns.flags.QR
    assert not message.flags & (dns.flags.RA | dns.flags.AD | dns.flags.CD | 0x40)
    assert bool(message.flags & dns.flags.RD) == bool(packet[2] & 1)
    if message.question:
        question_size = len(message.question[0].name.to_wire()) + 4  # type: ignore[arg-type]
        assert answer[12 : 12 + question_size] == packet[12 : 12 + question_size]
    return reply


@packets
@pytest.mark.parametrize("tcp", [False, True])
def test_a_whole_packet_is_answered_by_the_rules(snapshot: Snapshot, packet: bytes, tcp: bool) -> None:
    check(snapshot, packet, tcp)


@packets
def test_cut_at_every_byte(snapshot: Snapshot, packet: bytes) -> None:
    is_answer = bool(packet[2] & 0x80)
    for size in range(len(packet)):
        reply = check(snapshot, packet[:size])
        if size >= 12 and not is_answer:
            # A cut packet lacks what its header promises, whatever else is wrong with it.
            assert reply.outcome == (Outcome.NOTIMP if packet[2] & 0x78 else Outcome.FORMERR)


@packets
@pytest.mark.parametrize("more", [b"\0", b"\xff" * 4, opt(), b"\xc0\x0c", PACKETS["BADVERS"]])
def test_with_trailing_bytes(snapshot: Snapshot, packet: bytes, more: bytes) -> None:
    reply = check(snapshot, packet + more)
    assert reply.outcome in (Outcome.FORMERR, Outcome.NOTIMP, Outcome.DROPPED)


@packets
def test_every_bit_flipped(snapshot: Snapshot, packet: bytes) -> None:
    for at in range(len(packet)):
        for bit in (0x01, 0x10, 0x80, 0xFF):
            check(snapshot, packet[:at] + bytes([packet[at] ^ bit]) + packet[at + 1 :])


def test_the_table_has_every_outcome(snapshot: Snapshot) -> None:
    seen = {check(snapshot, packet).outcome for packet in PACKETS.values()}
    assert seen == set(Outcome) - {Outcome.SERVFAIL}


@given(packet=st.binary(max_size=200), tcp=st.booleans())
@settings(max_examples=examples(2), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_bytes(snapshot: Snapshot, packet: bytes, tcp: bool) -> None:
    check(snapshot, packet, tcp)


@given(flags=st.integers(0, 0x7FFF), counts=st.tuples(*[st.integers(0, 3)] * 4), body=st.binary(max_size=100))
@settings(max_examples=examples(2), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_bytes_behind_a_header(
    snapshot: Snapshot, flags: int, counts: tuple[int, int, int, int], body: bytes
) -> None:
    check(snapshot, header(flags, counts) + body)


@given(
    labels=st.lists(st.binary(min_size=1, max_size=63), max_size=4),
    qtype=st.integers(0, 65535) | st.sampled_from((1, 16, 255)),
    qclass=st.just(1) | st.integers(0, 65535),
    edns=st.none() | st.builds(opt, st.integers(0, 65535), st.sampled_from((0, 0, 1)), st.integers(0, 65535)),
)
@settings(max_examples=examples(2), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_questions(snapshot: Snapshot, labels: list[bytes], qtype: int, qclass: int, edns: bytes | None) -> None:
    name = name_wire(*labels)[:-1] + APEX
    records = [edns] if edns else []
    reply = check(snapshot, one(*records, name=name, qtype=qtype, qclass=qclass))
    assert (reply.outcome == Outcome.FORMERR) == (len(name) > 255)


@given(data=st.data())
@settings(max_examples=examples(2), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mutated_packets(snapshot: Snapshot, data: st.DataObject) -> None:
    packet = bytearray(data.draw(st.sampled_from(list(PACKETS.values()))))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(packet)))
        end = data.draw(st.integers(at, min(len(packet), at + 8)))
        packet[at:end] = data.draw(st.binary(max_size=8))
    check(snapshot, bytes(packet), data.draw(st.booleans()))


def fill(packet: bytes, more: bytes) -> bytes:
    """The packet with the same bytes behind it again and again, to the largest size a message can have."""
    return (packet + more * (65535 // len(more) + 1))[:65535]


HOSTILE = {
    "labels of one byte": fill(header(), b"\x01a"),
    "labels of 63 bytes": fill(header(), b"\x3f" + b"x" * 63),
    "records with the root as name": fill(header(counts=(1, 0, 0, 65535)) + question(LISTED), b"\0" + RECORD[2:]),
    "the smallest records": fill(header(counts=(1, 0, 0, 65535)) + question(LISTED), b"\0\0\x01\0\x01" + bytes(6)),
    "records with names of 255 bytes": fill(
        header(counts=(1, 0, 0, 65535)) + question(LISTED), name_wire(*[b"a"] * 127) + RECORD[2:]
    ),
    "empty options": fill(one(opt(options=option(1, b"") * 16000)), b"\0"),
    "empty options and no more": one(opt(options=option(1, b"") * 16000)),
    "pointers": fill(header(), b"\xc0\x0c"),
    "questions": fill(header(counts=(65535, 0, 0, 0)), question(b"\0")),
    "zeros": fill(header(), b"\0"),
    "ones": fill(header(), b"\xff"),
    "an update of records": fill(header(5 << 11, (1, 65535, 65535, 65535)) + question(LISTED), RECORD),
}


def count_lines(call: Callable[[], object]) -> int:
    """How many lines of Python a call runs: a measure of its work that is the same on every machine."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("packet", HOSTILE.values(), ids=HOSTILE.keys())
def test_the_work_is_a_few_steps_a_byte(snapshot: Snapshot, packet: bytes) -> None:
    assert 64000 < len(packet) <= 65535
    check(snapshot, packet, tcp=True)
    assert count_lines(lambda: respond(snapshot, packet, NOW, True)) < 5 * len(packet)
