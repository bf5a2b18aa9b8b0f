"""Rows and lines with comments: what `_columns` takes is what the rules in Python say of the line.

The invariant: for any bytes and any way to cut rows, reading with `_columns` gives what reading every line in Python
does: the same entries with the same listings, and the same lines that cannot be read. Only the warning of a reason that
is cut or has other characters may be of a line that cannot be read.
"""

import random
from array import array
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dnsbl_server.model._names import Names
from dnsbl_server.model._spans import Spans
from dnsbl_server.model.hashing import Hashing
from dnsbl_server.sources import plain, rows
from dnsbl_server.sources._columns import scan_columns, scan_comments
from dnsbl_server.sources.entrytext import EntryText
from dnsbl_server.sources.listreader import MAX_LINE
from tests.profiles import examples
from tests.sources.formats import TEXT, read

TEXTS = (
    *(TEXT, EntryText("bl.example.org", subdomains=True), EntryText("bl.example.org", hashing=Hashing("md5", "hex"))),
    *(EntryText("bl.example.org", placeholders=frozenset({name})) for name in ("ip", "domain")),
    EntryText("bl.example.org", reason_room=5),
)
COLUMNS = (
    {"net": ("1",)},
    {"net": ("2",), "reason": ("1",)},
    {"net": ("1", "2"), "reason": ("3",)},
    {"domain": ("1",), "reason": ("2",)},
    {"net": ("1",), "domain": ("1",), "listed": ("2",), "expires": ("3",), "code": ("4",), "reason": ("5",)},
)


def in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every line be read in Python."""

    def one_by_one(block: bytes, line: int, *rest: Any) -> int:
        lines = block.removesuffix(b"\n").split(b"\n")
        for number, each in enumerate(lines, line):
            rest[-1](number, each)
        return len(lines)

    monkeypatch.setattr(rows, "scan_columns", one_by_one)
    monkeypatch.setattr(plain, "scan_comments", one_by_one)


def without_reasons(said: list[str]) -> list[str]:
    return [each for each in said if "of a reason;" not in each and "a reason is printable" not in each]


def check(block: bytes, **options: Any) -> None:
    """Read a block both ways, as csv where there are columns."""
    name = "csv" if "columns" in options else "plain"
    for text in TEXTS:
        native = read(name, block, text=text, **options)
        with pytest.MonkeyPatch.context() as monkeypatch:
            in_python(monkeypatch)
            expected = read(name, block, text=text, **options)
        assert native.rows == expected.rows
        assert without_reasons(native.said) == without_reasons(expected.said)
        assert native.verdict == expected.verdict


def scanned(block: bytes, first: int = 0, last: int = -1, fields: tuple[int, ...] = (1,), **rules: Any) -> Any:
    """The entries, the numbers, the keys and the lines that are handed over."""
    v4, v6, names = Spans(4), Spans(6), Names()
    numbers = array("I"), array("I"), array("I")
    known: dict[bytes, int] = {}
    other: list[tuple[int, bytes]] = []

    def number_of(key: bytes, line: int) -> int:
        known[key] = len(known) + 1
        return known[key]

    taken = rules.get("rules", (True, (1, 3, 2), 253, (0, b"")))
    layout = rules.get("layout", (ord(","), ord('"'), ord("#"), True))
    scan_columns(
        *(block, 1, rules.get("longest", MAX_LINE), (v4, v6, names), numbers, taken, layout, (first, last), fields),
        *(known, number_of, lambda *each: other.append(each)),
    )
    entries = [*v4, *v6, *names]
    return entries, [list(each) for each in numbers], list(known), other


A, B = 0xC0000201, 0xC0000202


@pytest.mark.parametrize(
    ("row", "span", "key"),
    [
        (b"192.0.2.1,why", (A, A), b"why"),
        (b'"192.0.2.1","why, so"\r', (A, A), b"why, so"),
        (b" 192.0.2.1 , why ", (A, A), b"why "),
        (b'192.0.2.1, "why" ', None, b""),
        (b'192.0.2.1,"a""b"', None, b""),
        (b'192.0.2.1,"open', None, b""),
        (b'192.0.2.1,wh"y"', (A, A), b'wh"y"'),
        (b"192.0.2.1,", (A, A), b""),
        (b"192.0.2.1,#;", (A, A), b"#;"),
        (b"192.0.2.1#,x", None, b""),
        (b"192.0.2.1;,x", None, b""),
        (b"192.0.2.1", None, b""),
        (b",why", None, b""),
        (b"192.0.2.1,\0", None, b""),
        (b"192.0.2.1,a\rb", None, b""),
        (b"127.0.0.1,x", None, b""),
        (b"192.0.2.1/24,x", None, b""),
        (b"192.0.2.1,x,y,z", (A, A), b"x"),
        (b"192.0.2.1,\xff\xfe", (A, A), b"\xff\xfe"),
    ],
)
def test_rows_are_taken_or_handed_over_whole(row: bytes, span: tuple[int, int] | None, key: bytes) -> None:
    for data in (row, row + b"\n"):
        entries, numbers, keys, other = scanned(data)
        if span is None:
            assert (entries, numbers, other) == ([], [[], [], []], [(1, row)])
        else:
            assert (entries, numbers, keys, other) == ([(*span, 1)], [[1], [], []], [key], [])


@pytest.mark.parametrize("line", [b"", b" \t\r", b"# 192.0.2.1,x", b" #"])
def test_lines_that_mean_nothing_are_passed_over(line: bytes) -> None:
    assert scanned(line + b"\n" + line) == ([], [[], [], []], [], [])


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (b"192.0.2.1,192.0.2.2", (A, B)),
        (b'"192.0.2.1", 192.0.2.1 ', (A, A)),
        (b"192.0.0.0,192.0.255.255", (0xC0000000, 0xC000FFFF)),
        (b"192.0.0.0,192.1.0.0", None),
        (b"192.0.2.2,192.0.2.1", None),
        (b"192.0.2.1,", None),
        (b",192.0.2.1", None),
        (b"192.0.2.1,192.0.2.2/32", None),
        (b"192.0.2.1,192.0.2.2 x", None),
        (b"126.255.255.255,127.0.0.0", None),
        (b"127.255.255.255,128.0.0.0", None),
        (b"2001:db8::,2001:db8::1", None),
    ],
)
def test_two_columns_are_a_range(row: bytes, expected: tuple[int, int] | None) -> None:
    entries, _, _, other = scanned(row, last=1, fields=())
    assert entries == ([(*expected, 1)] if expected else [])
    assert other == ([] if expected else [(1, row)])
    check(row, columns={"net": ("1", "2")})


def test_rows_that_were_handed_over_and_taken_have_their_numbers() -> None:
    v4, v6, names = Spans(4), Spans(6), Names()
    numbers = array("I"), array("I"), array("I")

    def other(number: int, line: bytes) -> None:
        v4.append(number, number, number)
        names.append("a.example", 1, number)

    block = b"?,x\n192.0.2.1,a\nb.example,b\n2001:db8::1,c\n" * 3_000
    known = {b"a": 7, b"b": 8, b"c": 9, b"x": 1}
    scan_columns(
        *(block, 1, MAX_LINE, (v4, v6, names), numbers, (True, (1, 3, 2), 253, (0, b""))),
        *((44, 34, 35, True), (0, -1), (1,), known, lambda *_: -1, other),
    )
    assert (len(v4), len(v6), len(names)) == (6_000, 3_000, 6_000)
    assert [list(each) for each in numbers] == [[0, 7] * 3_000, [9] * 3_000, [0, 8] * 3_000]


def test_a_row_whose_listing_is_wrong_is_handed_over() -> None:
    other: list[tuple[int, bytes]] = []
    columns = (Spans(4), Spans(6), Names())
    numbers = array("I"), array("I"), array("I")
    rules: Any = (True, (1, 3, 2), 253, (0, b""))
    count = scan_comments(
        b"192.0.2.1 # x\n",
        5,
        MAX_LINE,
        columns,
        numbers,
        rules,
        {b"x": -1},
        lambda *_: -1,
        lambda *each: other.append(each),
    )
    assert (count, other, len(columns[0])) == (1, [(5, b"192.0.2.1 # x")], 0)


def test_what_cannot_be_is_refused() -> None:
    for wrong in ({"first": -1}, {"first": 64}, {"fields": (-1,)}, {"fields": (64,)}, {"last": 64}):
        with pytest.raises(ValueError, match="no such column"):
            scanned(b"192.0.2.1,x", **wrong)
    with pytest.raises(ValueError, match="too many fields"):
        scanned(b"192.0.2.1,x", fields=tuple(range(9)))
    rules: Any = (True, (1, 3, 2), 253, (0, b""))
    numbers = array("I"), array("I"), array("I")
    for columns, wrong_numbers, message in (
        ((Spans(6), Spans(4), Names()), numbers, "families"),
        ((Spans(4), Spans(6), Names()), (array("I"), array("Q"), array("I")), "type"),
    ):
        with pytest.raises(ValueError, match=message):
            scan_comments(b"", 1, MAX_LINE, columns, wrong_numbers, rules, {}, lambda *_: 0, lambda *_: None)
    with pytest.raises(OverflowError):
        scan_comments(
            b"\n\n",
            (1 << 32) - 1,
            MAX_LINE,
            (Spans(4), Spans(6), Names()),
            numbers,
            rules,
            {},
            lambda *_: 0,
            lambda *_: None,
        )
    # A caller whose numbers are ahead of the rows
    with pytest.raises(ValueError, match="two numbers"):
        scan_comments(
            b"192.0.2.1", 1, MAX_LINE, (Spans(4), Spans(6), Names()), (array("I", [1]), *numbers[1:]), rules, {b"": 0},
            lambda *_: 0, lambda *_: None,
        )  # fmt: skip


def test_a_row_longer_than_allowed_is_handed_over() -> None:
    for longest, count in ((13, 1), (12, 0)):
        entries, _, _, other = scanned(b"192.0.2.1,why", longest=longest)
        assert (len(entries), len(other)) == (count, 1 - count)
    # So many columns that those behind the last that is looked at are only counted.
    assert len(scanned(b"192.0.2.1" + b"," * 300)[0]) == 1


ENTRIES = st.sampled_from(
    (
        *("192.0.2.1", "192.0.2.0/24", "10.0.0.0/8", "192.0.2.1-192.0.2.9", "127.0.0.1", "2001:db8::/32", "::1", "x"),
        *("a.example", "*.a.example", "A.Example.", "com", "test", "192.0.2.300", "", " ", "a@b.example", "ab" * 16),
        *("192.0.2.1 # x", "192.0.2.1;x", "caf\xe9.example", "1.2.3.4.a.example", "\x85192.0.2.1", "\x0b"),
    )
)
VALUES = st.sampled_from(
    (
        *("", "why", "SBL1", "caf\xe9", "\xff\xfe", "2026-11-20", "1790000000", "2022-06-04 21:24:53", "30d", "never"),
        *("127.0.0.3", "127.0.0.1", "192.0.2.1", "a reason that is longer", 'say "so"', "a;b", "#", "\x0b x \x0b", "-"),
    )
)
QUOTES = st.sampled_from(("", "", '"', "'", '""', ' "'))
BLANKS = st.sampled_from(("", "", "", " ", "  ", "\t", "\r", "\0", "\x0b", "\x1c", "\x85"))


@st.composite
def fields(draw: st.DrawFn) -> str:
    """A field, right or slightly wrong."""
    quote = draw(QUOTES)
    end = quote if draw(st.integers(0, 9)) else draw(QUOTES)
    return draw(BLANKS) + quote + draw(ENTRIES | VALUES) + end.strip() + draw(BLANKS)


@st.composite
def blocks(draw: st.DrawFn, delimiter: str) -> str:
    """Rows, mostly with as many fields as are needed."""
    row = st.lists(fields(), min_size=1, max_size=6).map(delimiter.join)
    comment = st.sampled_from(("", " ", "# x", " #", "\x0b#,192.0.2.1", ";"))
    return "\n".join(draw(st.lists(row | row | comment, max_size=5))) + draw(st.sampled_from(("", "\n", "\r\n")))


@settings(max_examples=examples(1), deadline=None)
@given(st.data(), st.sampled_from(COLUMNS), st.sampled_from(("utf-8", "latin-1")))
def test_rows_mean_what_python_says(data: st.DataObject, columns: dict[str, tuple[str, ...]], encoding: str) -> None:
    delimiter = data.draw(st.sampled_from((",", ";", "\t", " ", "|")))
    options = {"delimiter": delimiter, "quote": data.draw(st.sampled_from(('"', '"', "'", "")))}
    options["comment"] = data.draw(st.sampled_from(("#", "#", "!", "")))
    check(data.draw(blocks(delimiter)).encode(encoding, "replace"), columns=columns, **options)


@settings(max_examples=examples(1), deadline=None)
@given(
    st.lists(st.tuples(BLANKS, ENTRIES, BLANKS, st.sampled_from(("", "#", ";", "##; ")), VALUES, BLANKS), max_size=5)
)
@example([("", "192.0.2.1", " ", "#", "why", "\r")])
def test_comments_mean_what_python_says(lines: list[tuple[str, ...]]) -> None:
    text = "\n".join("".join(line) for line in lines)
    check(text.encode("latin-1"), reason="comment")
    check(text.encode("utf-8"), reason="comment")


def test_damaged_rows_mean_what_python_says() -> None:
    chance = random.Random(11)
    seed = b'"192.0.2.1","why",2026-11-20\n192.0.2.0/24,,\na.example,b,c\n2001:db8::1,"x, y",1790000000\n'
    for _ in range(examples(3)):
        data = bytearray(seed)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data))
            data[at : at + chance.randint(0, 2)] = chance.choice(
                (b",", b'"', b"", b"\r", b"\0", b" ", b"\xff", b"#", b"\n")
            )
        check(bytes(data), columns=COLUMNS[0])
        check(bytes(data), columns={"net": ("1",), "reason": ("2",), "listed": ("3",)})
        check(bytes(data), reason="comment")
