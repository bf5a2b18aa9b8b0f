"""Plain lines: what `scan` takes is what the rules in Python say of the line, and what it does not take it hands over.

The invariant: for any bytes, the spans that `scan` adds and the lines that it hands over are together what reading
every line in Python gives.
"""

import random
from ipaddress import IPv4Address, IPv6Address
from socket import AF_INET6, inet_pton

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dnsbl_server.model._spans import Spans
from dnsbl_server.model.address import LOOPBACK_FIRST, LOOPBACK_LAST, MAPPED_FIRST, MAPPED_LAST, Net, parse_net
from dnsbl_server.sources._scan import scan
from dnsbl_server.sources.listable import LARGE_NET
from dnsbl_server.sources.listreader import MAX_LINE
from tests.profiles import examples

Row = tuple[int, int, int, int]


def scanned(block: bytes, line: int = 1, longest: int = MAX_LINE) -> tuple[list[Row], list[tuple[int, bytes]]]:
    """The nets that were taken (version, first, last, line) and the lines that were not."""
    v4, v6 = Spans(4), Spans(6)
    other: list[tuple[int, bytes]] = []
    count = scan(block, line, longest, v4, v6, lambda number, text: other.append((number, text)))
    assert count == block.count(b"\n") + (not block.endswith(b"\n") and block != b"")
    return [(spans.version, *span) for spans in (v4, v6) for span in spans], other


def meaning(line: bytes) -> Net | str | None:
    """What a line means by the rules in Python: a net, nothing, or what is wrong with it."""
    text = line.rstrip(b"\r").decode("latin-1").split("#", 1)[0].split(";", 1)[0].strip()
    if not text:
        return None
    try:
        return parse_net(text)
    except ValueError as error:
        return str(error)


def is_warned_of(net: Net) -> bool:
    """Whether a zone file says something of a net, or takes it only in part."""
    reserved = (LOOPBACK_FIRST, LOOPBACK_LAST) if net.version == 4 else (MAPPED_FIRST, MAPPED_LAST)
    return net.last - net.first >= LARGE_NET[net.version] or (net.first <= reserved[1] and net.last >= reserved[0])


def check(block: bytes) -> None:
    rows, other = scanned(block)
    lines = block.split(b"\n")
    handed_over = dict(other)
    assert [number for number, _ in other] == sorted(handed_over)
    taken = {line: Net(*net) for *net, line in rows}
    assert len(taken) == len(rows)
    for number, line in enumerate(lines, 1):
        if number in handed_over:
            assert handed_over[number] == line
            assert number not in taken
            continue
        assert len(line) <= MAX_LINE
        meant = meaning(line)
        assert taken.get(number) == meant
        assert meant is None or (isinstance(meant, Net) and not is_warned_of(meant))


@pytest.mark.parametrize(
    ("line", "net"),
    [
        ("192.0.2.1", ("192.0.2.1", "192.0.2.1")),
        ("0.0.0.0", ("0.0.0.0", "0.0.0.0")),
        ("255.255.255.255", ("255.255.255.255", "255.255.255.255")),
        (" \t192.0.2.1 \r", ("192.0.2.1", "192.0.2.1")),
        ("192.0.2.1#why", ("192.0.2.1", "192.0.2.1")),
        ("192.0.2.1 ; \xff", ("192.0.2.1", "192.0.2.1")),
        ("192.0.2.0/24", ("192.0.2.0", "192.0.2.255")),
        ("192.0.2.1/32", ("192.0.2.1", "192.0.2.1")),
        ("192.0.0.0/16", ("192.0.0.0", "192.0.255.255")),
        ("192.0.2.1-192.0.2.1", ("192.0.2.1", "192.0.2.1")),
        ("192.0.2.1 -\t192.0.2.9 # x", ("192.0.2.1", "192.0.2.9")),
        ("255.255.255.0-255.255.255.255", ("255.255.255.0", "255.255.255.255")),
        ("0.0.0.0-0.0.255.255", ("0.0.0.0", "0.0.255.255")),
        ("2001:db8::", ("2001:db8::", "2001:db8::")),
        ("2001:DB8::A/128", ("2001:db8::a", "2001:db8::a")),
        ("2001:db8::/32", ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")),
        ("1:2:3:4:5:6:7:8 # x", ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8")),
        ("1::8", ("1::8", "1::8")),
        ("1:2:3:4:5:6:7::", ("1:2:3:4:5:6:7:0", "1:2:3:4:5:6:7:0")),
        ("0:1::", ("0:1::", "0:1::")),
        ("::2:3:4:5:6:7:8", ("0:2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8")),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",) * 2),
    ],
)
def test_plain_lines_are_taken(line: str, net: tuple[str, str]) -> None:
    kind = IPv6Address if ":" in line else IPv4Address
    expected = (6 if ":" in line else 4, *(int(kind(end)) for end in net), 7)
    for end in ("", "\n"):
        assert scanned((line + end).encode("latin-1"), 7) == ([expected], [])


@pytest.mark.parametrize("line", ["", " ", "\t\r", "#", ";", "# x", "  ; 192.0.2.1", "#\xff\0"])
def test_lines_without_a_net_are_passed_over(line: str) -> None:
    assert scanned((line + "\n" + line).encode("latin-1")) == ([], [])


NOT_PLAIN = """
1.2.3
1.2.3.4.5
1.2.3.256
1.2.3.04
01.2.3.4
1.2.3.1111
1..2.3
.1.2.3.4
1.2.3.4.
1.2.3.4/
1.2.3.4/33
1.2.3.0/024
1.2.3.0/24x
1.2.3.0/1234
1.2.3.4/24
1.2.3.4 /32
1.2.3.4/ 32
1.2.3.0/24-1.2.4.0
10.0.0.0/8
10.0.0.0/15
0.0.0.0/0
1.2.3.4-
1.2.3.4-1.2.3
1.2.3.4-1.2.3.3
1.2.3.4-1.2.3.5-1.2.3.6
1.2.3.4-1.2.3.5/32
1.2.3.4-::1
1.2.3.4-1.3.3.4
1.2.3.4 1.2.3.5
1.2.3.4,
-1.2.3.4
127.0.0.1
127.255.255.0/24
126.255.255.255-127.0.0.0
127.255.255.255-128.0.0.0
1.2.3.4\v
\v1.2.3.4
1.2.3.4\0
\ufffe1.2.3.4
::
::1
::/64
::ffff:1.2.3.4
::ffff:102:304
0:0:1::
1::1.2.3.4
1:2:3:4:5:6:7
1:2:3:4:5:6:7:8:9
1:2:3:4:5:6:7:8::
::1:2:3:4:5:6:7:8
1::2:3:4:5:6:7:8
1::2::3
1:::2
:1::2
1:2:3:4:5:6:7:
1::2:
1::%eth0
12345::
1::g
1::/
1::/129
1::/31
1::/0128
1::1/64
1::-1::5
1::1::/64
""".strip().split("\n")


@pytest.mark.parametrize("line", NOT_PLAIN)
def test_other_lines_are_handed_over_whole(line: str) -> None:
    raw = f" {line} # why\r".encode("utf-8", "surrogateescape")
    assert scanned(b"\n" + raw + b"\n192.0.2.1") == ([(4, 0xC0000201, 0xC0000201, 3)], [(2, raw)])
    check(raw)
    check(line.encode())


def test_a_line_longer_than_allowed_is_handed_over_whatever_it_holds() -> None:
    for length, taken in ((20, True), (21, False)):
        line = b"192.0.2.1 #" + b"x" * (length - 11)
        rows, other = scanned(line + b"\n192.0.2.1\n", longest=20)
        assert (len(rows), len(other)) == ((2, 0) if taken else (1, 1))


def test_what_is_handed_over_may_add_spans() -> None:
    v4, v6 = Spans(4), Spans(6)
    # So many that the memory of the spans moves.
    block = b"x\n192.0.2.1\n" * 5_000
    scan(block, 1, MAX_LINE, v4, v6, lambda number, line: v4.append(number, number, number))
    assert [number for _, _, number in v4] == list(range(1, 10_001))


def test_an_error_in_between_comes_through() -> None:
    def fail(number: int, line: bytes) -> None:
        raise LookupError(line)

    v4, v6 = Spans(4), Spans(6)
    with pytest.raises(LookupError):
        scan(b"192.0.2.1\nx\n192.0.2.2\n", 1, MAX_LINE, v4, v6, fail)
    assert list(v4) == [(0xC0000201, 0xC0000201, 1)]


def test_there_are_so_many_lines_and_no_more() -> None:
    last = (1 << 32) - 1
    assert scanned(b"192.0.2.1", last) == ([(4, 0xC0000201, 0xC0000201, last)], [])
    with pytest.raises(OverflowError):
        scanned(b"\n192.0.2.1", last)


def test_the_families_cannot_be_swapped() -> None:
    with pytest.raises(ValueError, match="families"):
        scan(b"", 1, MAX_LINE, Spans(6), Spans(4), lambda number, line: None)


# What lines are made of, right and slightly wrong.
NUMBERS = st.integers(0, 260).map(str) | st.sampled_from(("00", "01", "256", "1000", ""))
OCTETS = st.lists(NUMBERS, min_size=3, max_size=5).map(".".join) | st.integers(0, 2**32 - 1).map(
    lambda number: str(IPv4Address(number))
)
GROUPS = st.text("0123456789abcdefABCDEFg", max_size=5)
COLONS = st.lists(GROUPS, min_size=1, max_size=10).map(":".join) | st.integers(0, 2**128 - 1).map(
    lambda number: str(IPv6Address(number))
)
ADDRESSES = OCTETS | COLONS | st.tuples(COLONS, OCTETS).map(":".join)
BLANKS = st.text(" \t\r\v\f\x1c\x85\xa0", max_size=2)
LENGTHS = st.integers(0, 135).map(str) | st.sampled_from(("", "032", "24 ", "+24", "2\xb2"))
LINES = st.tuples(
    BLANKS,
    ADDRESSES,
    st.just("")
    | st.tuples(st.just("/"), LENGTHS).map("".join)
    | st.tuples(BLANKS, st.just("-"), BLANKS, ADDRESSES).map("".join),
    BLANKS,
    st.sampled_from(("", "", "#", "; x", "x", "\0", "-", "/", ".", ":")),
).map("".join)


@st.composite
def real_nets(draw: st.DrawFn) -> str:
    """CIDRs without host bits, and small ranges: the other strategies seldom make one."""
    version = draw(st.sampled_from((4, 6)))
    bits, kind = (32, IPv4Address) if version == 4 else (128, IPv6Address)
    number, length = draw(st.integers(0, 2**bits - 1)), draw(st.integers(0, bits))
    if draw(st.booleans()):
        return f"{kind(number >> bits - length << bits - length)}/{length}"
    return f"{kind(number)}-{kind(min(2**bits - 1, number + draw(st.integers(0, 1 << 17))))}"


@settings(max_examples=examples(5))
@given(st.lists(LINES | real_nets(), max_size=5).map("\n".join))
@example("126.0.0.0/8\n127.0.0.0/16\n126.255.0.0/16\n128.0.0.0/16")
def test_lines_of_nets_mean_what_python_says(text: str) -> None:
    check(text.encode("latin-1"))


@settings(max_examples=examples(5))
@given(LINES | real_nets(), st.data())
def test_damaged_lines_mean_what_python_says(line: str, data: st.DataObject) -> None:
    raw = bytearray(line, "latin-1")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 1))] = data.draw(
            st.binary(max_size=1) | st.sampled_from((b":", b".", b"0"))
        )
    check(bytes(raw))


@given(st.binary(max_size=200) | st.text("0123456789abcdef.:/-#; \r\n", max_size=200).map(str.encode))
def test_any_bytes_mean_what_python_says(block: bytes) -> None:
    check(block)


def test_addresses_of_ipv6_are_those_of_inet_pton() -> None:
    chance = random.Random(6)
    taken = 0
    for _ in range(examples(300)):
        groups = [f"{chance.getrandbits(chance.choice((0, 4, 16, 16))):x}" for _ in range(chance.randint(1, 9))]
        for _ in range(chance.choice((0, 1, 1, 2))):
            groups[chance.randrange(len(groups))] = ""
        text = ":".join(groups)
        text = chance.choice(("", "", ":")) + text + chance.choice(("", "", ":"))
        rows, other = scanned(text.encode())
        assert len(rows) + len(other) == bool(text)
        try:
            number = int.from_bytes(inet_pton(AF_INET6, text))
        except OSError:
            assert rows == []
            continue
        assert rows == ([(6, number, number, 1)] if number >> 96 else [])
        taken += len(rows)
    assert taken > examples(30)
