"""The syntax of messages: what a query's bytes say, what is refused, and the frame of the answers."""

import dns.flags
import dns.message
import dns.rdatatype
import pytest

from dnsbl_server.dns._protocol import BADVERS, FORMERR, MAX_TCP, MAX_UDP, NOERROR, NXDOMAIN
from dnsbl_server.dns.message import (
    Edns,
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
from dnsbl_server.dns.name import encode_name, labels_of
from tests.asking import header, name_of, name_wire, opt, option, question

NAME = name_of("2.0.0.127.bl.example.org")
PLAIN = header() + question(NAME)
LONG = b"x" * 63
# Names of 255 and 256 bytes, the root included.
NAME_255 = name_wire(LONG, LONG, LONG, b"x" * 61)
NAME_256 = name_wire(LONG, LONG, LONG, b"x" * 62)


def parse(packet: bytes) -> Query:
    head = parse_header(packet)
    assert head is not None
    return parse_query(packet, head)


def with_additional(*records: bytes) -> bytes:
    return header(counts=(1, 0, 0, len(records))) + question(NAME) + b"".join(records)


@pytest.mark.parametrize("size", range(12))
def test_less_than_a_header_is_none(size: int) -> None:
    assert parse_header(PLAIN[:size]) is None


@pytest.mark.parametrize("opcode", range(16))
def test_the_header(opcode: int) -> None:
    head = parse_header(header(opcode << 11 | 0x8000, (1, 2, 3, 4), 0xBEEF))
    assert head == (0xBEEF, opcode << 11 | 0x8000, 1, 2, 3, 4)
    assert head.opcode == opcode


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        (b"\0", ()),
        (name_wire(b"a"), (b"a",)),
        (name_wire(b"MiXeD", b"bL"), (b"MiXeD", b"bL")),
        (name_wire(b"\0\xff.\n", b"\xc3("), (b"\0\xff.\n", b"\xc3(")),
        (name_wire(LONG), (LONG,)),
        (NAME_255, (LONG, LONG, LONG, b"x" * 61)),
        (name_wire(*[b"a"] * 127), (b"a",) * 127),
    ],
)
@pytest.mark.parametrize("qtype", [0, 1, 16, 255, 65535])
def test_a_question_is_read_as_it_was_written(name: bytes, labels: tuple[bytes, ...], qtype: int) -> None:
    query = parse(header() + question(name, qtype, 0xFFFE))
    assert query[1:] == (labels, qtype, 0xFFFE, None)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(NAME_256, id="256 bytes"),
        pytest.param(name_wire(*[b"a"] * 128), id="257 bytes"),
        pytest.param(bytes([64]) + b"x" * 64 + b"\0", id="label of 64"),
        pytest.param(bytes([128]) + b"x" * 128 + b"\0", id="label type 2"),
        pytest.param(bytes([191]) + b"x" * 191 + b"\0", id="label of 191"),
        pytest.param(b"\x01a\x41\x01a\0", id="extended label"),
        pytest.param(b"\xc0\x0c", id="pointer to itself"),
        pytest.param(b"\x01a\xc0\x0c", id="pointer to the name"),
        pytest.param(b"\xc0\x00", id="pointer into the header"),
        pytest.param(b"\xff\xff", id="pointer past the end"),
        pytest.param(b"\x01a\xc0", id="half a pointer"),
    ],
)
def test_a_broken_name_is_refused(name: bytes) -> None:
    with pytest.raises(MessageError):
        parse(header() + question(name))


@pytest.mark.parametrize("size", range(12, len(PLAIN)))
def test_a_cut_question_is_refused(size: int) -> None:
    with pytest.raises(MessageError):
        parse(PLAIN[:size])


@pytest.mark.parametrize("count", [0, 2, 65535])
def test_there_is_one_question(count: int) -> None:
    with pytest.raises(MessageError):
        parse(header(counts=(count, 0, 0, 0)) + question(NAME) * min(count, 2))


@pytest.mark.parametrize("more", [b"\0", b"\0" * 11, opt(), question(NAME)])
@pytest.mark.parametrize("packet", [PLAIN, with_additional(opt())])
def test_trailing_bytes_are_refused(packet: bytes, more: bytes) -> None:
    assert parse(packet)
    with pytest.raises(MessageError, match="after the last record"):
        parse(packet + more)


RECORD = b"\x01a\0" + b"\0\x01\0\x01\0\0\0\0\0\x04\x7f\0\0\x02"
POINTED = b"\xc0\x0c" + RECORD[3:]


@pytest.mark.parametrize(
    ("records", "edns"),
    [
        ((), None),
        ((opt(),), Edns(1232, 0, False)),
        ((opt(0),), Edns(0, 0, False)),
        ((opt(65535, 255, 0x8000),), Edns(65535, 255, True)),
        ((opt(512, 1, 0x7FFF),), Edns(512, 1, False)),
        ((opt(options=option(10, b"12345678") + option(65001, b"")),), Edns(1232, 0, False)),
        ((RECORD,), None),
        ((POINTED,), None),
        ((RECORD, opt(4096), POINTED), Edns(4096, 0, False)),
    ],
)
def test_the_additional_section(records: tuple[bytes, ...], edns: Edns | None) -> None:
    assert parse(with_additional(*records)).edns == edns


@pytest.mark.parametrize(
    "records",
    [
        pytest.param((opt(), opt()), id="two OPTs"),
        pytest.param((opt(), RECORD, opt()), id="two OPTs apart"),
        pytest.param((opt(owner=b"\x01a\0"),), id="OPT with a name"),
        pytest.param((opt(options=b"\0"),), id="option of one byte"),
        pytest.param((opt(options=b"\0\x0a\0"),), id="option of three bytes"),
        pytest.param((opt(options=b"\0\x0a\0\x01"),), id="option without its data"),
        pytest.param((opt(options=option(10, b"x" * 8) + b"\0\x0a\0\x09x"),), id="second option cut"),
        pytest.param((b"\xc0",), id="half a pointer"),
        pytest.param((b"\x40" + RECORD,), id="label type 1"),
        pytest.param((b"\x3f" + b"x" * 20,), id="name cut"),
        pytest.param((NAME_256 + RECORD[3:],), id="name of 256 bytes"),
    ],
)
def test_a_broken_additional_section_is_refused(records: tuple[bytes, ...]) -> None:
    with pytest.raises(MessageError):
        parse(with_additional(*records))


def test_a_cut_additional_section_is_refused() -> None:
    packet = with_additional(RECORD, opt(options=option(10, b"12345678")))
    for size in range(len(PLAIN), len(packet)):
        with pytest.raises(MessageError):
            parse(packet[:size])


@pytest.mark.parametrize(
    ("qtype", "counts", "accepted"),
    [
        (1, (1, 1, 0, 0), False),
        (1, (1, 0, 1, 0), False),
        (251, (1, 0, 1, 0), True),
        (251, (1, 1, 0, 0), False),
        (251, (1, 0, 2, 0), False),
        (1, (1, 0, 0, 1), True),
    ],
)
def test_records_before_the_additional_section(qtype: int, counts: tuple[int, int, int, int], accepted: bool) -> None:
    packet = header(counts=counts) + question(NAME, qtype) + RECORD * sum(counts[1:])
    if accepted:
        assert parse(packet).qtype == qtype
    else:
        with pytest.raises(MessageError):
            parse(packet)


@pytest.mark.parametrize(
    ("records", "limit"),
    [
        ((), 512),
        ((opt(0),), 512),
        ((opt(511),), 512),
        ((opt(513),), 513),
        ((opt(1232),), 1232),
        ((opt(1233),), 1232),
        ((opt(65535),), 1232),
    ],
)
def test_the_size_of_an_answer_over_udp(records: tuple[bytes, ...], limit: int) -> None:
    assert udp_limit(parse(with_additional(*records))) == limit


@pytest.mark.parametrize("records", [(), (opt(),)])
@pytest.mark.parametrize("spare", [-1, 0, 1])
def test_an_answer_is_cut_when_it_passes_the_limit(records: tuple[bytes, ...], spare: int) -> None:
    query = parse(with_additional(*records))
    answers = [Record(query.labels, 16, 300, encode_text("x" * 300))] * 3
    whole, cut = build_answer(query, NOERROR, MAX_TCP, True, answers)
    assert not cut
    packet, cut = build_answer(query, NOERROR, len(whole) + spare, True, answers)
    assert cut == (spare < 0)
    message = dns.message.from_wire(packet)
    assert bool(message.flags & 0x0200) == cut
    assert len(message.answer) == (0 if cut else 1)
    assert (message.edns, message.payload) == ((0, MAX_UDP) if records else (-1, 0))
    assert message.question[0].name.to_text() == "2.0.0.127.bl.example.org."


@pytest.mark.parametrize("do", [False, True])
def test_the_opt_of_an_answer_has_our_size_and_the_do_of_the_query(do: bool) -> None:
    query = parse(with_additional(opt(4096, flags=0x8000 * do)))
    answer = dns.message.from_wire(build_answer(query, BADVERS, 512)[0])
    assert (answer.edns, answer.payload, answer.ednsflags & 0xFFFF) == (0, MAX_UDP, 0x8000 * do)
    assert answer.rcode() == BADVERS


def test_an_answer_has_the_question_and_the_records_as_they_are() -> None:
    query = parse(header(0x0110) + question(NAME))
    one = Record(query.labels, 1, 60, b"\x7f\0\0\2")
    two = Record(labels_of("Example.org"), 16, 70, b"\1x")
    packet, is_cut = build_answer(query, NXDOMAIN, 512, True, (one,), (two,))
    answer = dns.message.from_wire(packet)
    assert not is_cut
    assert answer.flags == dns.flags.QR | dns.flags.AA | dns.flags.RD | NXDOMAIN
    assert answer.edns == -1
    assert [str(rrset) for rrset in answer.question] == ["2.0.0.127.bl.example.org. IN A"]
    assert [str(rrset) for rrset in answer.answer] == ["2.0.0.127.bl.example.org. 60 IN A 127.0.0.2"]
    assert [str(rrset) for rrset in answer.authority] == ['Example.org. 70 IN TXT "x"']
    assert not build_answer(query, NXDOMAIN, 512)[0][2] & 0x04


def test_more_than_a_tcp_message_is_cut() -> None:
    query = parse(PLAIN)
    answers = [Record(query.labels, 16, 300, encode_text("x" * 500))] * 200
    packet, cut = build_answer(query, NOERROR, MAX_TCP, True, answers)
    assert cut
    assert len(packet) <= 512


def test_an_error_keeps_id_opcode_and_rd_only() -> None:
    head = parse_header(header(0x7FFF, (9, 9, 9, 9), 0xABCD))
    assert head is not None
    assert build_error(head, FORMERR) == bytes.fromhex("abcd f901 0000 0000 0000 0000")


@pytest.mark.parametrize(
    ("name", "wire"), [("", b"\0"), ("org", b"\x03org\0"), ("bl.example.org", b"\x02bl\x07example\x03org\0")]
)
def test_a_name_in_wire_form(name: str, wire: bytes) -> None:
    assert encode_name(name) == wire
    assert name_wire(*labels_of(name)) == wire


@pytest.mark.parametrize(
    ("size", "strings"), [(0, [0]), (1, [1]), (255, [255]), (256, [255, 1]), (510, [255, 255]), (511, [255, 255, 1])]
)
def test_a_text_is_cut_into_strings(size: int, strings: list[int]) -> None:
    data = encode_text("x" * size)
    assert data == b"".join(bytes([length]) + b"x" * length for length in strings)
