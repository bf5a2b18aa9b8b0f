"""Plain lines of rbldnsd's files: what `Scanner` takes is what the rules in Python say of the line.

The invariant: for any bytes, a dataset that is read through the scanner has the rows, with the values, and the problems
that it has where every line is read in Python.
"""

from array import array
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dnsbl_server.model._names import Names
from dnsbl_server.model._spans import Spans
from dnsbl_server.model.problem import Problems
from dnsbl_server.sources._rbldnsd import Scanner, move_spans, whole_blocks
from dnsbl_server.sources.entrytext import EntryText
from dnsbl_server.sources.listreader import Sink
from dnsbl_server.sources.rbldnsd import DATASETS
from tests.profiles import examples
from tests.sources.reading import DEFAULT

PIECES = [
    *(
        b"1.2.3.4",
        b"1.2.3.0/24",
        b"1.2.3.4/24",
        b"10.0.0.0/8",
        b"0/0",
        b"127.0.0.2",
        b"01.2.3.4",
        b"255.255.255.255",
        b"1.2",
    ),
    *(
        b"a.com",
        b".a.com",
        b"*.a.com",
        b"A-_.Com",
        b"a..b.com",
        b"a.com.",
        b"com",
        b"1.2.3.4.com",
        b"a.1",
        b"x" * 64 + b".com",
    ),
    *(
        b" ",
        b"\t",
        b"\n",
        b"\n",
        b"\r\n",
        b"\0",
        b"!",
        b"#",
        b";",
        b"$1 x",
        b"#$1 y",
        b"$MAXRANGE4 200",
        b":",
        b":5",
        b":5:",
        b":",
    ),
    *(
        b":5:x $",
        b" text",
        b" :10.0.0.1:",
        b" # c",
        b"\xc3\xa9",
        b".",
        b"/",
        b"-",
        b"*",
        b"2001:db8::",
        b"999999999999",
    ),
]
BLOCKS = st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=30).map(b"".join)


def outcome(kind: str, block: bytes, is_scanned: bool) -> tuple[object, ...]:
    """The rows of a dataset with their kinds, and how the file is judged."""
    text = EntryText("bl.example.org", takes_suffixes=True)
    sink = Sink(["data"], DEFAULT, Problems(), lambda *_: True, text)
    reader: Any = DATASETS[kind](sink, {})
    lines = block.split(b"\n")
    if not lines[-1]:
        lines.pop()
    if is_scanned:
        assert reader.read(block, 1) == len(lines)
    else:
        for number, line in enumerate(lines, 1):
            reader._read_line(number, line)
    rows, kinds = list(reader.all_rows), reader.scanner.kinds.tolist()
    reader.finish()
    reading = sink.reading()
    entries = sorted(map(str, reading.file.entries(DEFAULT)))
    return rows, kinds, reading.verdict, reading.skipped, entries


@settings(max_examples=examples(150))
@given(kind=st.sampled_from(sorted(DATASETS)), block=BLOCKS)
@example(kind="ip4set", block=b"1.2.3.4\n:1.1.1.1:x\n1.2.3.4\n:5\n1.2.3.4")
@example(kind="ip4set", block=b"1.2.3.4\r\n1.2.3.5 x\r\n1.2.3.6 x\r\r\n1.2.3.7 x\r\n")
@example(kind="ip4set", block=b"$MAXRANGE4 1\n1.2.3.0/24\n1.2.3.4 x\n1.2.3.5 x\0y\n")
@example(kind="ip4tset", block=b"1.2.3.4\n1.2.3.0/24\n1.2.3.5/32\n1.2.3.6 x\n1.2.3.7 x\n")
@example(kind="dnset", block=b"a.com x\nb.com x\nB.com\n*.c.com x\n.d.com\n!e.com\n")
def test_the_scanner_reads_what_python_reads(kind: str, block: bytes) -> None:
    assert outcome(kind, block, is_scanned=True) == outcome(kind, block, is_scanned=False)


def test_a_million_lines_do_not_wait_for_python() -> None:
    """Lines with values that were seen before are not given to Python."""
    scanner = Scanner(Spans(4))
    scanner.values.update({b"": 2, b":5:x": 3})
    block = b"".join(
        b"10.0.%d.%d :5:x\n10.1.%d.%d # c\n" % (at >> 8, at & 255, at >> 8, at & 255) for at in range(9000)
    )
    other: list[bytes] = []
    assert scanner.scan(block, 1, 4096, lambda number, line: other.append(line)) == 18000
    assert (other, len(scanner.rows), scanner.kinds.tolist()) == ([], 18000, [3, 2] * 9000)


def test_names_do_not_wait_for_python() -> None:
    scanner = Scanner(Names())
    scanner.values[b""] = 2
    other: list[bytes] = []
    scanner.scan(b"a.com\n.B.com\n*.c.com\nlonger.com\n", 1, 9, lambda number, line: other.append(line))
    assert list(scanner.rows) == [("a.com", 1, 1), ("b.com", 1, 2), ("c.com", 1, 3)]
    assert (scanner.kinds.tolist(), other) == ([9, 11, 10], [b"longer.com"])


@pytest.mark.parametrize(
    ("net", "blocks"),
    [
        ((0, 0xFFFFFFFF), [(at << 24, (at << 24) | 0xFFFFFF) for at in range(256)]),
        ((0xFFFFFFFE, 0xFFFFFFFF), [(0xFFFFFFFE, 0xFFFFFFFE), (0xFFFFFFFF, 0xFFFFFFFF)]),
        ((0x010203FF, 0x01020500), [(0x010203FF, 0x010203FF), (0x01020400, 0x010204FF), (0x01020500, 0x01020500)]),
        ((0x01000000, 0x0101FFFF), [(0x01000000, 0x0100FFFF), (0x01010000, 0x0101FFFF)]),
    ],
)
def test_whole_blocks(net: tuple[int, int], blocks: list[tuple[int, int]]) -> None:
    rows, kinds = whole_blocks(Spans(4, [(*net, 7)]), array("I", [9]), 300)
    assert list(rows) == [(*block, 7) for block in blocks]
    assert kinds.tolist() == [9] * len(blocks)
    with pytest.raises(OverflowError):
        whole_blocks(Spans(4, [(*net, 7)]), array("I", [9]), len(blocks) - 1)


def test_rows_that_a_list_file_must_be_asked_for_are_not_moved() -> None:
    nets = [(1, 1), (1 << 24, 2 << 24), (0x7F000001, 0x7F000001), (5, 5), (6, 6), (7, 7)]
    rows = Spans(4, ((*net, at) for at, net in enumerate(nets)))
    into, other = Spans(4), list[tuple[int, int, int, int]]()
    kinds, numbers = array("I", [2, 2, 2, 0, 1, 3]), array("I", [0, 0, 8, 9])
    found = move_spans(rows, kinds, bytearray(6), numbers, into, lambda *row: other.append(row))
    assert (list(into), found.tolist()) == ([(1, 1, 0), (7, 7, 5)], [8, 9])
    assert [row[2:] for row in other] == [(1, 2), (2, 2), (3, 0), (4, 1)]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="kind"):
        move_spans(Spans(4, [(1, 1, 1)]), array("I"), bytearray(1), array("I"), Spans(4), print)
    with pytest.raises(ValueError, match="kind"):
        whole_blocks(Spans(6), array("I"), 1)
