"""The plain format: what a line means, and what is said of the lines that mean nothing."""

from ipaddress import IPv4Address

import pytest

from dnsbl_server.model.address import Net
from dnsbl_server.model.entry import ListFile
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Place, Problem, Problems
from dnsbl_server.model.subject import Subjects
from dnsbl_server.sources.entrytext import EntryText
from dnsbl_server.sources.listreader import MAX_LINE, MAX_SHOWN, Accept, Sink
from dnsbl_server.sources.plain import PlainReader
from tests.sources.formats import Row
from tests.sources.formats import read as read_format

A = int(IPv4Address("192.0.2.1"))
LISTING = Listing((0x7F000002,), "", 300)
# Version, first and last address, and the number of the line.
Line = tuple[int, int, int, int]


def single(number: int) -> Line:
    return 4, A, A, number


def read(data: bytes, problems: Problems, accept: Accept = lambda net, text, place: True) -> ListFile:
    sink = Sink(["list"], LISTING, problems, accept, EntryText("bl.example.org"))
    reader = PlainReader(sink, {})
    assert reader.read(data, 1) == data.count(b"\n") + bool(data and not data.endswith(b"\n"))
    reader.finish()
    return sink.reading().file


def lines_and_problems(data: bytes) -> tuple[list[Line], list[str]]:
    problems = Problems()
    file = read(data, problems)
    lines = [(*entry.what, entry.line) for entry in file.entries(LISTING) if isinstance(entry.what, Net)]
    return lines, [said(problem).removeprefix("list:") for problem in problems]


def said(problem: Problem) -> str:
    """What a bad line says, whether it is skipped or refuses its file."""
    return str(problem).replace("warning: ", "").replace("skipped: ", "")


GOOD: list[tuple[bytes, list[Line]]] = [
    (b"", []),
    (b"\n\n", []),
    (b"# one\n; two\n   # three\n", []),
    (b"192.0.2.1", [single(1)]),
    (b"192.0.2.1\n", [single(1)]),
    (b"\n192.0.2.1\n\n192.0.2.1\n", [single(2), single(4)]),
    (b"192.0.2.1\r\n192.0.2.1\r\n", [single(1), single(2)]),
    (b"\xef\xbb\xbf192.0.2.1\n", [single(1)]),
    (b"\xef\xbb\xbf192.0.2.1", [single(1)]),
    (b"  192.0.2.1\t# why\n", [single(1)]),
    (b"192.0.2.1;SBL123 # x\n", [single(1)]),
    (b"192.0.2.1 # caf\xc3\xa9 \xff\n", [single(1)]),
    (b"192.0.2.0/31\n", [(4, A - 1, A, 1)]),
    (b"192.0.2.1 - 192.0.2.3\n", [(4, A, A + 2, 1)]),
    (b"::ffff:192.0.2.1\n", [(4, A, A, 1)]),
    (b"2001:db8::/32\n", [(6, 0x20010DB8 << 96, (0x20010DB9 << 96) - 1, 1)]),
    (b"#" + b"x" * (MAX_LINE - 1) + b"\n192.0.2.1\n", [single(2)]),
]
BAD: list[tuple[bytes, list[Line], list[str] | None]] = [
    (
        b"192.0.2.1\n10.0.0.0/33\n192.0.2.1\n  192.0.2.1/24 # x\n",
        [single(1), single(3)],
        [
            "2:1: 10.0.0.0/33: prefix length must be 0 to 32",
            "4:3: 192.0.2.1/24: host bits are set; the network is 192.0.2.0/24",
        ],
    ),
    (b"192.0.2.1 192.0.2.2\n", [], ["1:1: 192.0.2.1 192.0.2.2: not an address, CIDR, range or domain name"]),
    (b"192.0.2.1,\n", [], ["1:1: 192.0.2.1,: not an address, CIDR, range or domain name"]),
    (b"0.0.0.0/0\n", [], ["1:1: 0.0.0.0/0: covers the whole IPv4 Internet"]),
    (b"192.0.2.1\0\n", [], ["1:1: 192.0.2.1\\x00: not an address, CIDR, range or domain name"]),
    (b"\x1b[31m\n", [], ["1:1: \\x1b[31m: not an address, CIDR, range or domain name"]),
    (b"x" * MAX_LINE + b"\n192.0.2.1\n", [single(2)], None),
    (b"192.0.2.1\n" + b"x" * (MAX_LINE + 1) + b"\n192.0.2.1\n", [single(1), single(3)], ["2: longer than"]),
    (b"1" * 3_000 * 20 + b"\n192.0.2.1\n192.0.2.1", [single(2), single(3)], ["1: longer than"]),
    (b"192.0.2.1\n" + b"1" * 60_000, [single(1)], ["2: longer than"]),
    (
        b"1" * 60_000 + b"\n" + b"2" * 60_000 + b"\n192.0.2.1\nx\n",
        [single(3)],
        ["1: longer than", "2: longer than", "4:1: x: not an address"],
    ),
]


@pytest.mark.parametrize(("data", "lines"), GOOD)
def test_what_lines_mean(data: bytes, lines: list[Line]) -> None:
    # The byte order mark belongs to the file, not to its lines.
    assert lines_and_problems(data.removeprefix(b"\xef\xbb\xbf")) == (lines, [])


@pytest.mark.parametrize(("data", "lines", "problems"), BAD)
def test_each_bad_line_is_a_problem(data: bytes, lines: list[Line], problems: list[str] | None) -> None:
    read, found = lines_and_problems(data)
    assert read == lines
    if problems is None:
        problems = ["1:1: xxx"]
    assert len(found) == len(problems)
    for said, expected in zip(found, problems, strict=True):
        assert said.startswith(expected)


PAGE = b"<!DOCTYPE html>\n<html><head><title>503 Service Unavailable</title></head>\n<body>Try again</body></html>\n"


def test_a_web_page_in_place_of_a_list_is_refused_line_by_line() -> None:
    lines, problems = lines_and_problems(PAGE)
    assert lines == []
    assert [problem.split(": ")[0] for problem in problems] == ["1:1", "2:1", "3:1"]
    assert all(problem.endswith("not an address, CIDR, range or domain name") for problem in problems)


def test_a_list_of_rubbish_does_not_fill_the_memory() -> None:
    lines, problems = lines_and_problems(b"rubbish\n" * 5_000)
    assert lines == []
    assert len(problems) == MAX_SHOWN + 1
    assert problems[-1].endswith("and 4,995 more lines that cannot be read")


def test_every_line_says_what_is_odd_or_wrong() -> None:
    data = b"x\n127.0.0.1\n" + b"y" * 5_000 + b"\n192.0.2.1\n10.0.0.0/7\nz\n"
    problems = Problems()

    def accept(net: Subjects, text: str, place: Place) -> bool:
        problems.warning(place, text, "odd")
        return text != "127.0.0.1"

    file = read(data, problems, accept)
    assert sorted(problem.place.line for problem in problems) == [1, 2, 3, 5, 6]
    assert [entry.line for entry in file.entries(LISTING)] == [4, 5]


def test_a_list_file_knows_its_entries() -> None:
    data = b"2001:DB8::/48\n192.0.2.4-192.0.2.7\n\n192.0.2.8-192.0.2.10\n2001:db8:1::1\n"
    file = read(data, Problems())
    assert [(entry.line, entry.text, entry.listing) for entry in file.entries(LISTING)] == [
        (1, "2001:db8::/48", LISTING),
        (2, "192.0.2.4/30", LISTING),
        (4, "192.0.2.8-192.0.2.10", LISTING),
        (5, "2001:db8:1::1", LISTING),
    ]
    assert (len(file), len(file.nets[4]), len(file.nets[6])) == (4, 2, 2)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"192.0.2.1 ; SBL123", "SBL123"),
        (b"192.0.2.1;SBL123", "SBL123"),
        (b"192.0.2.1 # why # so; yes \r", "why # so; yes"),
        (b"192.0.2.1 ## ;# why", "why"),
        (b"192.0.2.1", "of the list"),
        (b"192.0.2.1 #", "of the list"),
        (b"192.0.2.1 ; ", "of the list"),
        (b"\x0b192.0.2.1 # not plain", "not plain"),
    ],
)
def test_a_comment_is_the_reason_where_an_item_says_so(line: bytes, reason: str) -> None:
    found = read_format("plain", line + b"\n# not of an entry\n", reason="comment")
    assert (found.rows, found.said) == ([Row("192.0.2.1", 1, reason)], [])
    assert read_format("plain", line).rows == [Row("192.0.2.1", 1)]


def test_a_bad_line_with_a_comment_is_skipped() -> None:
    found = read_format("plain", b"192.0.2.1 # x\n192.0.2.1/24 # y\n10.0.0.0/8 # z\n", reason="comment")
    assert found.rows == [Row("192.0.2.1", 1, "x"), Row("10.0.0.0/8", 3, "z")]
    assert found.reading.skipped == 1
