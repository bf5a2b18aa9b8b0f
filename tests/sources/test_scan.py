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

from dnsbl_server.model._names import Names
from dnsbl_server.model._spans import Spans
from dnsbl_server.model.address import LOOPBACK_FIRST, LOOPBACK_LAST, MAPPED_FIRST, MAPPED_LAST, Net
from dnsbl_server.model.domain import Domains
from dnsbl_server.model.hashing import Hashing
from dnsbl_server.model.subject import Subjects
from dnsbl_server.sources._scan import scan
from dnsbl_server.sources.entrytext import EntryText
from dnsbl_server.sources.listable import LARGE_NET
from dnsbl_server.sources.listreader import MAX_LINE
from dnsbl_server.sources.plain import hashes_of, scopes_of
from tests.profiles import examples

Row = tuple[int, int, int, int]
Other = tuple[int, bytes]
ZONE = "bl.example.org"
PLAIN = EntryText(ZONE)
HASHES = EntryText(ZONE, hashing=Hashing("md5", "hex"))
# Lists that take what others do not, or mean something else by it.
TEXTS = (
    *(PLAIN, EntryText(ZONE, subdomains=True), HASHES, EntryText(ZONE, hashing=Hashing("md5", "zbase32"))),
    *(EntryText(ZONE, placeholders=frozenset({name})) for name in ("ip", "domain")),
    EntryText("z" * 200),
)


def scan_into(
    columns: tuple[Spans, Spans, Names], block: bytes, line: int, longest: int, text: EntryText
) -> list[Other]:
    """Scan as the plain format does; the lines that were handed over."""
    other: list[Other] = []
    scopes = scopes_of(text)
    count = scan(
        block,
        line,
        longest,
        columns,
        text.takes_nets,
        scopes,
        text.longest,
        hashes_of(text),
        lambda *each: other.append(each),
    )
    assert count == block.count(b"\n") + (not block.endswith(b"\n") and block != b"")
    return other


def scanned(block: bytes, line: int = 1, longest: int = MAX_LINE) -> tuple[list[Row], list[Other]]:
    """The nets that were taken (version, first, last, line) and the lines that were not."""
    v4, v6, names = Spans(4), Spans(6), Names()
    other = scan_into((v4, v6, names), block, line, longest, PLAIN)
    assert not len(names)
    return [(spans.version, *span) for spans in (v4, v6) for span in spans], other


def meaning(line: bytes, text: EntryText) -> Subjects | str | None:
    """What a line means by the rules in Python: an entry, nothing, or what is wrong with it."""
    try:
        shown = line.decode()
    except UnicodeDecodeError:
        shown = line.decode("latin-1")
    written = shown.split("#", 1)[0].split(";", 1)[0].strip()
    if not written:
        return None
    try:
        return text.parse(written)
    except ValueError as error:
        return str(error)


def is_warned_of(what: Subjects) -> bool:
    """Whether a zone file says something of an entry, or takes it only in part."""
    if isinstance(what, Domains):
        return what.name in ("test", "invalid")
    reserved = (LOOPBACK_FIRST, LOOPBACK_LAST) if what.version == 4 else (MAPPED_FIRST, MAPPED_LAST)
    return what.last - what.first >= LARGE_NET[what.version] or (what.first <= reserved[1] and what.last >= reserved[0])


def check(block: bytes) -> None:
    for text in TEXTS:
        check_as(block, text)


def check_as(block: bytes, text: EntryText) -> None:
    columns = Spans(4), Spans(6), Names()
    other = scan_into(columns, block, 1, MAX_LINE, text)
    lines = block.split(b"\n")
    handed_over = dict(other)
    assert [number for number, _ in other] == sorted(handed_over)
    v4, v6, names = columns
    found: list[tuple[int, Subjects]] = [(line, Net(4, first, last)) for first, last, line in v4]
    found += [(line, Net(6, first, last)) for first, last, line in v6]
    found += [(line, Domains(name, scope)) for name, scope, line in names]
    taken = dict(found)
    assert len(taken) == len(found)
    for number, line in enumerate(lines, 1):
        if number in handed_over:
            assert handed_over[number] == line
            assert number not in taken
            continue
        assert len(line) <= MAX_LINE
        meant = meaning(line, text)
        assert taken.get(number) == meant
        assert meant is None or (not isinstance(meant, str) and not is_warned_of(meant))


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
    v4, names = Spans(4), Names()

    def add(number: int, line: bytes) -> None:
        v4.append(number, number, number)
        names.append("a.example", 1, number)

    # So many that the memory of the spans and names moves.
    block = b"x\n192.0.2.1\nb.example\n" * 5_000
    scan(block, 1, MAX_LINE, (v4, Spans(6), names), True, (1, 3, 2), 253, (0, b""), add)
    assert [number for _, _, number in v4] == [number for number in range(1, 15_001) if number % 3]
    assert [number for _, _, number in names] == [number for number in range(1, 15_001) if number % 3 != 2]


def test_an_error_in_between_comes_through() -> None:
    def fail(number: int, line: bytes) -> None:
        raise LookupError(line)

    v4 = Spans(4)
    columns = (v4, Spans(6), Names())
    with pytest.raises(LookupError):
        scan(b"192.0.2.1\nx\n192.0.2.2\n", 1, MAX_LINE, columns, True, (1, 3, 2), 253, (0, b""), fail)
    assert list(v4) == [(0xC0000201, 0xC0000201, 1)]


def test_there_are_so_many_lines_and_no_more() -> None:
    last = (1 << 32) - 1
    assert scanned(b"192.0.2.1", last) == ([(4, 0xC0000201, 0xC0000201, last)], [])
    with pytest.raises(OverflowError):
        scanned(b"\n192.0.2.1", last)


def test_the_families_cannot_be_swapped() -> None:
    with pytest.raises(ValueError, match="families"):
        scan_into((Spans(6), Spans(4), Names()), b"", 1, MAX_LINE, PLAIN)


LONG_LABEL = "x" * 63
# 238 characters: the longest name below ZONE.
LONG_NAME = ".".join([LONG_LABEL] * 3 + ["y" * 42, "com"])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("example.com", ("example.com", 1)),
        (".example.com", ("example.com", 3)),
        ("*.example.com", ("example.com", 2)),
        (" \tEXAMPLE.Com. # x", ("example.com", 1)),
        ("a-b.-c-._d.e2#x", ("a-b.-c-._d.e2", 1)),
        ("1.2.3.4.example.com;", ("1.2.3.4.example.com", 1)),
        ("192.0.2.1.in-addr.arpa\r", ("192.0.2.1.in-addr.arpa", 1)),
        ("xn--bcher-kva.example", ("xn--bcher-kva.example", 1)),
        ("be.ef", ("be.ef", 1)),
        (f"{LONG_LABEL}.com", (f"{LONG_LABEL}.com", 1)),
        (LONG_NAME, (LONG_NAME, 1)),
        (f"*.{LONG_NAME}.", (LONG_NAME, 2)),
    ],
)
def test_plain_names_are_taken(line: str, expected: tuple[str, int]) -> None:
    names = Names()
    for end in ("", "\n"):
        assert scan_into((Spans(4), Spans(6), names), (line + end).encode(), 7, MAX_LINE, PLAIN) == []
    assert list(names) == [(*expected, 7)] * 2
    check(line.encode())


@pytest.mark.parametrize(
    "line",
    [
        *(
            "com",
            ".com",
            "*.com",
            "example",
            "test",
            ".test",
            "invalid",
            "example.com..",
            "..example.com",
            "a..com",
            ".",
        ),
        *("*", "*.", "*example.com", "a.*.com", "*.*.example.com", ".*.example.com", "**.example.com", "example.1com"),
        *(
            "1.2.3.4x",
            "192.0.2.1-x.2",
            "10.0.0.xx",
            "192.0.2.lO",
            ".1.2.3.ab",
            "1.2.3.ab.",
            "example.c\xf6m",
            "b\xfccher.example",
            "exa mple.com",
            "example.com/24",
            "a:b.com",
        ),
        *("a@example.com", "example.com,", "http://example.com", "example.com:80", "exam\0ple.com", "example.com\0"),
        *(f"{LONG_LABEL}x.com", f"x{LONG_NAME}", f"{LONG_LABEL}.{LONG_NAME}", "example.com x", "example.com\v"),
    ],
)
def test_other_names_are_handed_over_whole(line: str) -> None:
    names = Names()
    assert scan_into((Spans(4), Spans(6), names), line.encode(), 1, MAX_LINE, PLAIN) == [(1, line.encode())]
    check(line.encode())
    check(line.encode("latin-1"))


def test_hashes_are_taken_in_either_case_and_nothing_else() -> None:
    names = Names()
    md5 = "0123456789ABCDEF" * 2
    lines = [md5, md5[1:], md5 + "0", md5[1:] + "g", "192.0.2.1", "example.com", f"{md5}.com", f" {md5.lower()} ; x"]
    other = scan_into((Spans(4), Spans(6), names), "\n".join(lines).encode(), 1, MAX_LINE, HASHES)
    assert list(names) == [(md5.lower(), 1, 1), (md5.lower(), 1, 8)]
    assert [number for number, _ in other] == [2, 3, 4, 5, 6, 7]


# What names are made of, right and slightly wrong.
LABELS = st.sampled_from(
    ("a", "com", "1", "25", "b2", "_x", "-", "9", "1.2.3.4", "", "*", "x" * 63, "x" * 64, "\xfc", "ab" * 16)
)
NAMES = st.tuples(
    st.sampled_from(("", "", ".", "*.", "*", " ")),
    st.lists(LABELS, max_size=5).map(".".join),
    st.sampled_from(("", ".", " ", "#")),
).map("".join)


@settings(max_examples=examples(5))
@given(st.lists(NAMES, max_size=4).map("\n".join), st.sampled_from(("utf-8", "latin-1")))
def test_lines_of_names_mean_what_python_says(text: str, encoding: str) -> None:
    check(text.encode(encoding))
    check(text.upper().encode("utf-8"))


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
