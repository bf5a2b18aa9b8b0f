"""EDNS (RFC 6891), the flags of the header, what is refused, and answers that are too long."""

from collections.abc import Callable

import dns.flags
import dns.message
import dns.rcode
import pytest

from dnsbl_server.answer.respond import Outcome, respond
from dnsbl_server.answer.snapshot import Identity, Snapshot
from tests.asking import RD, ZONE, ask, header, name_of, opt, option, padded, plain, question, send, texts, values
from tests.conftest import NOW

# Eight texts of about 200 bytes for one address, three for another: more than 1232 bytes, and more than 512.
LISTS = "".join(
    f'  - {{name: l{number}, txt: "{number} {"x" * 200}", entries: [192.0.2.8{", 192.0.2.3" * (number < 3)}]}}\n'
    for number in range(8)
)
TEXT = f"zone: {ZONE}\nns: [ns1.example.org]\nlists:\n{LISTS}"
NAMES = {"listed": "3.2.0.192", "not listed": "4.2.0.192", "nodata": "192", "word": "word"}
LISTED = question(name_of(f"3.2.0.192.{ZONE}"))


@pytest.fixture
def snapshot(snapshot_of: Callable[..., Snapshot]) -> Snapshot:
    return snapshot_of(TEXT, identity=Identity("dnsbl-server 1", "ns1"))


def with_opt(*records: bytes, name: str = f"3.2.0.192.{ZONE}", qtype: int = 1, flags: int = RD) -> bytes:
    return header(flags, (1, 0, 0, len(records))) + question(name_of(name), qtype) + b"".join(records)


@pytest.mark.parametrize("name", [*(f"{front}.{ZONE}" for front in NAMES.values()), ZONE, "example.com"])
@pytest.mark.parametrize("do", [0, 0x8000])
@pytest.mark.parametrize("size", [0, 512, 1232, 4096, 65535])
def test_an_opt_is_answered_with_an_opt(snapshot: Snapshot, name: str, do: int, size: int) -> None:
    _, answer = send(snapshot, with_opt(opt(size, flags=do | 0x7FFF), name=name))
    assert answer.edns == 0
    assert answer.payload == 1232
    assert answer.ednsflags & 0xFFFF == do
    assert answer.options == ()


@pytest.mark.parametrize("name", [*(f"{front}.{ZONE}" for front in NAMES.values()), ZONE, "example.com"])
def test_without_an_opt_there_is_none(snapshot: Snapshot, name: str) -> None:
    _, answer = send(snapshot, plain(name))
    assert answer.edns == -1
    assert not answer.additional


@pytest.mark.parametrize("version", [1, 2, 255])
@pytest.mark.parametrize("name", [f"3.2.0.192.{ZONE}", f"word.{ZONE}", "example.com"])
def test_other_versions_are_badvers(snapshot: Snapshot, version: int, name: str) -> None:
    reply, answer = send(snapshot, with_opt(opt(version=version, flags=0x8000), name=name))
    assert answer.rcode() == dns.rcode.BADVERS
    assert answer.edns == 0
    assert answer.ednsflags & 0x8000
    assert not answer.answer
    assert reply.outcome == Outcome.BADVERS


@pytest.mark.parametrize(
    "options",
    [
        option(3, b""),  # NSID
        option(8, b"\0\1\x18\0\xc0\0\2"),  # client subnet
        option(10, b"12345678"),  # cookie
        option(12, b"\0" * 400),  # padding
        option(65535, b"?"),
        option(0, b"") * 50,
        option(10, b"x"),  # a cookie of a wrong length is still an option
    ],
)
def test_options_change_nothing(snapshot: Snapshot, options: bytes) -> None:
    without, _ = send(snapshot, with_opt(opt()))
    reply, _ = send(snapshot, with_opt(opt(options=options)))
    assert reply == without
    assert reply.outcome == Outcome.LISTED


@pytest.mark.parametrize(
    "records",
    [
        pytest.param((opt(), opt()), id="two OPTs"),
        pytest.param((opt(), opt(version=1)), id="two OPTs, one of another version"),
        pytest.param((opt(options=b"\0\x0a\0\x09x"),), id="option too long"),
        pytest.param((opt(options=b"\0\x0a"),), id="option without a length"),
        pytest.param((opt(owner=b"\1a\0"),), id="OPT with a name"),
        pytest.param((opt(), b"\0"), id="record cut"),
    ],
)
@pytest.mark.parametrize("tcp", [False, True])
def test_malformed_edns_is_formerr(snapshot: Snapshot, records: tuple[bytes, ...], tcp: bool) -> None:
    reply, answer = send(snapshot, with_opt(*records), tcp=tcp)
    assert answer.rcode() == dns.rcode.FORMERR
    assert reply.outcome == Outcome.FORMERR
    assert not answer.answer


RECORD = b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04\x7f\0\0\x02"
DO = opt(4096, flags=0x8000)


def message(*parts: bytes, counts: tuple[int, int, int, int] = (1, 0, 0, 1)) -> bytes:
    return header(RD, counts) + b"".join(parts)


# What is no query, and whether its OPT record can be read all the same.
NO_QUERIES = {
    "bytes behind the OPT": (message(LISTED, DO, b"\0"), True),
    "an OPT behind the last record": (message(LISTED, DO, DO), True),
    "two OPTs, the second without DO": (message(LISTED, DO, opt(), counts=(1, 0, 0, 2)), True),
    "two OPTs, the second broken": (message(LISTED, DO, opt(options=b"\0"), counts=(1, 0, 0, 2)), True),
    "two OPTs, the second with a name": (message(LISTED, DO, opt(owner=b"\1a\0"), counts=(1, 0, 0, 2)), True),
    "a cut record behind the OPT": (message(LISTED, DO, RECORD[:-1], counts=(1, 0, 0, 2)), True),
    "a record missing behind the OPT": (message(LISTED, DO, counts=(1, 0, 0, 2)), True),
    "an answer in a query": (message(LISTED, RECORD, DO, counts=(1, 1, 0, 1)), True),
    "authority in a query": (message(LISTED, RECORD, RECORD, DO, counts=(1, 0, 2, 1)), True),
    "no question": (message(DO, counts=(0, 0, 0, 1)), True),
    "two questions": (message(LISTED, b"\xc0\x0c\0\1\0\1", DO, counts=(2, 0, 0, 1)), True),
    "another version and bytes behind it": (message(LISTED, opt(4096, 1, 0x8000, b"?"), b"\0"), True),
    "no OPT": (message(LISTED, b"\0", counts=(1, 0, 0, 0)), False),
    "an option too long": (message(LISTED, opt(flags=0x8000, options=b"\0\x0a\0\x09x")), False),
    "an OPT with a name": (message(LISTED, opt(flags=0x8000, owner=b"\1a\0")), False),
    "an OPT among the answers": (message(LISTED, DO, counts=(1, 1, 0, 0)), False),
    "an OPT among the answers, and another": (message(LISTED, DO, DO, counts=(1, 1, 0, 1)), False),
    "a cut OPT": (message(LISTED, DO[:-1]), False),
    "a cut record in front of the OPT": (message(LISTED, RECORD[:-4], DO, counts=(1, 0, 0, 2)), False),
    "a broken question": (message(b"\xc0\x0c\0\1\0\1", DO), False),
    "a label of 64": (message(b"\x40" + b"x" * 64 + b"\0\0\1\0\1", DO), False),
    "a cut question": (message(LISTED[:-1]), False),
    "too few questions": (message(LISTED, DO, counts=(3, 0, 0, 1)), False),
    "an OPT that is not counted": (message(LISTED, DO, counts=(1, 0, 0, 0)), False),
}


@pytest.mark.parametrize(("packet", "is_read"), NO_QUERIES.values(), ids=NO_QUERIES.keys())
@pytest.mark.parametrize("opcode", [0, 2, 5])
@pytest.mark.parametrize("tcp", [False, True])
def test_no_query_is_answered_with_an_opt_where_its_own_is_read(
    snapshot: Snapshot, packet: bytes, is_read: bool, opcode: int, tcp: bool
) -> None:
    packet = packet[:2] + bytes([packet[2] | opcode << 3]) + packet[3:]
    reply = respond(snapshot, packet, NOW, tcp)
    if opcode and reply.qtype:
        return  # other opcodes have records in all sections: then it is no broken message
    rcode = dns.rcode.NOTIMP if opcode else dns.rcode.FORMERR
    # No question; of the flags RD and the opcode; DO copied, version 0, no options.
    front = packet[:2] + (0x8000 | opcode << 11 | RD | rcode).to_bytes(2) + bytes(7)
    expected = front + (b"\1" + opt(1232, 0, 0x8000) if is_read else b"\0")
    assert reply.packet == expected
    assert reply.outcome == (Outcome.NOTIMP if opcode else Outcome.FORMERR)


@pytest.mark.parametrize("size", [4095, 4096, 4097, 65534, 65535])
@pytest.mark.parametrize("name", [f"3.2.0.192.{ZONE}", ZONE])
def test_a_padded_query_of_any_size_is_answered(snapshot: Snapshot, size: int, name: str) -> None:
    packet = padded(name, size)
    assert len(packet) == size
    _, answer = send(snapshot, packet, tcp=True)
    assert answer.rcode() == dns.rcode.NOERROR
    assert answer.edns == 0


FLAGS = [0, RD, 0x0010, 0x0020, 0x0040, 0x0080, 0x0200, 0x0400, 0x000F, 0x07FF]


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize(
    ("name", "authoritative"),
    [*((f"{front}.{ZONE}", True) for front in NAMES.values()), (ZONE, True), ("example.com", False)],
)
def test_of_all_flags_only_rd_is_copied(snapshot: Snapshot, flags: int, name: str, authoritative: bool) -> None:
    _, answer = send(snapshot, header(flags) + question(name_of(name)))
    # AD and CD are clear in an authoritative answer (RFC 4035 section 3.1.6), Z always is.
    expected = dns.flags.QR | flags & dns.flags.RD | (dns.flags.AA if authoritative else 0)
    assert answer.flags & ~0xF == expected


@pytest.mark.parametrize("opcode", [1, 2, 3, 4, 5, 6, 15])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(LISTED, id="question"),
        pytest.param(b"", id="nothing"),
        pytest.param(LISTED + b"?", id="trailing byte"),
        pytest.param(b"\xff" * 30, id="broken"),
    ],
)
@pytest.mark.parametrize("flags", [0, RD, 0x07FF])
def test_other_opcodes_are_notimp(snapshot: Snapshot, opcode: int, body: bytes, flags: int) -> None:
    reply = respond(snapshot, header(opcode << 11 | flags) + body, NOW)
    assert reply.outcome == Outcome.NOTIMP
    assert reply.packet is not None
    assert reply.packet[:2] == b"\x12\x34"
    assert int.from_bytes(reply.packet[2:4]) == 0x8000 | opcode << 11 | flags & RD | dns.rcode.NOTIMP
    assert reply.packet[6:10] == bytes(4)


def test_notimp_with_an_opt_has_one(snapshot: Snapshot) -> None:
    _, answer = send(snapshot, with_opt(opt(), flags=2 << 11))
    assert answer.rcode() == dns.rcode.NOTIMP
    assert answer.edns == 0


@pytest.mark.parametrize("flags", [0x8000, 0x8180, 0x8400, 0xFFFF, 0xA800])
@pytest.mark.parametrize("body", [LISTED, b"", b"\xff"])
def test_an_answer_is_not_answered(snapshot: Snapshot, flags: int, body: bytes) -> None:
    for tcp in (False, True):
        assert respond(snapshot, header(flags) + body, NOW, tcp) == (None, Outcome.DROPPED, "", 0, ())


@pytest.mark.parametrize(
    ("qtype", "qclass"),
    [(251, 1), (252, 1), (1, 0), (1, 2), (1, 4), (1, 254), (1, 255), (1, 65535), (252, 255), (1, 3), (6, 3), (255, 3)],
)
@pytest.mark.parametrize("name", [ZONE, f"3.2.0.192.{ZONE}", "version.bind"])
@pytest.mark.parametrize("tcp", [False, True])
def test_transfers_and_other_classes_are_refused(
    snapshot: Snapshot, qtype: int, qclass: int, name: str, tcp: bool
) -> None:
    reply, answer = send(snapshot, plain(name, qtype, qclass), tcp=tcp)
    assert answer.rcode() == dns.rcode.REFUSED
    assert not answer.flags & dns.flags.AA
    assert not answer.answer
    assert not answer.authority
    assert reply.outcome == Outcome.REFUSED


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("version.bind", "dnsbl-server 1"),
        ("VERSION.Bind", "dnsbl-server 1"),
        ("version.server", "dnsbl-server 1"),
        ("id.server", "ns1"),
        ("ID.SERVER", "ns1"),
        ("hostname.bind", "ns1"),
        ("authors.bind", None),
        ("x.version.bind", None),
        ("bind", None),
        (f"3.2.0.192.{ZONE}", None),
        (ZONE, None),
    ],
)
def test_version_and_id_are_answered_in_class_ch(snapshot: Snapshot, name: str, text: str | None) -> None:
    packet = plain(name, 16, 3)
    reply, answer = send(snapshot, packet)
    assert texts(answer) == ([text] if text else [])
    assert answer.rcode() == (dns.rcode.NOERROR if text else dns.rcode.REFUSED)
    assert reply.packet is not None
    assert reply.packet[12 : len(packet)] == packet[12:]
    _, nameless = send(Snapshot(), packet)
    assert nameless.rcode() == dns.rcode.REFUSED
    _, address = send(snapshot, plain(name, 1, 3))
    assert address.rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize(
    ("records", "front", "tcp", "cut"),
    [
        ((), "3.2.0.192", False, True),
        ((opt(0),), "3.2.0.192", False, True),
        ((opt(512),), "3.2.0.192", False, True),
        ((opt(600),), "3.2.0.192", False, True),
        ((opt(1000),), "3.2.0.192", False, False),
        ((opt(1232),), "3.2.0.192", False, False),
        ((opt(1232),), "8.2.0.192", False, True),
        ((opt(65535),), "8.2.0.192", False, True),
        ((), "3.2.0.192", True, False),
        ((), "8.2.0.192", True, False),
        ((opt(512),), "8.2.0.192", True, False),
    ],
)
def test_long_answers(snapshot: Snapshot, records: tuple[bytes, ...], front: str, tcp: bool, cut: bool) -> None:
    packet = with_opt(*records, name=f"{front}.{ZONE}", qtype=16)
    reply, answer = send(snapshot, packet, tcp=tcp)
    assert reply.packet is not None
    assert bool(answer.flags & dns.flags.TC) == cut
    assert len(texts(answer)) == (0 if cut else int(front[0]))
    assert reply.outcome == (Outcome.TRUNCATED if cut else Outcome.LISTED)
    assert answer.edns == (0 if records else -1)
    assert answer.flags & dns.flags.AA
    assert answer.rcode() == dns.rcode.NOERROR
    if cut:
        assert len(reply.packet) <= 512
        assert not answer.authority


@pytest.mark.parametrize("tcp", [False, True])
def test_the_a_records_fit_anywhere(snapshot: Snapshot, tcp: bool) -> None:
    assert values(ask(snapshot, f"8.2.0.192.{ZONE}", tcp=tcp, use_edns=False)) == ["127.0.0.2"]


def test_an_answer_that_just_fits_is_not_cut(snapshot: Snapshot) -> None:
    whole = respond(snapshot, with_opt(opt(), qtype=16), NOW).packet
    assert whole is not None
    for spare in (-1, 0, 1):
        reply, answer = send(snapshot, with_opt(opt(len(whole) + spare), qtype=16))
        assert bool(answer.flags & dns.flags.TC) == (spare < 0)
        assert reply.packet is not None
        assert len(reply.packet) <= len(whole) + spare
