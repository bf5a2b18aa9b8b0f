"""List files: what a line means, and what damaged, foreign and hostile files are said to be."""

import gzip
import os
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsbl_server.model.address import Net
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import MAX_PER_FILE, Place, Problems
from dnsbl_server.sources import listfile
from dnsbl_server.sources.listfile import read_list_file
from dnsbl_server.sources.listreader import MAX_LINE

A = int(IPv4Address("192.0.2.1"))
LISTING = Listing((0x7F000002,), "", 300)
# Version, first and last address, and the number of the line.
Line = tuple[int, int, int, int]


def _read(path: Path) -> tuple[list[Line], list[str]]:
    problems = Problems()
    file = read_list_file(str(path), problems, lambda path, count: None, lambda net, text, place: True)
    entries = list(file.entries(LISTING))
    assert len(file) == len(entries)
    assert {(entry.file, entry.column) for entry in entries} <= {(str(path), 0)}
    lines = [(entry.version, entry.first, entry.last, entry.line) for entry in entries]
    return lines, [str(problem).removeprefix(str(path) + ":").strip() for problem in problems]


def _single(number: int) -> Line:
    return 4, A, A, number


GOOD: list[tuple[bytes, list[Line]]] = [
    (b"", []),
    (b"\n\n", []),
    (b"# one\n; two\n   # three\n", []),
    (b"192.0.2.1", [_single(1)]),
    (b"192.0.2.1\n", [_single(1)]),
    (b"\n192.0.2.1\n\n192.0.2.1\n", [_single(2), _single(4)]),
    (b"192.0.2.1\r\n192.0.2.1\r\n", [_single(1), _single(2)]),
    (b"\xef\xbb\xbf192.0.2.1\n", [_single(1)]),
    (b"\xef\xbb\xbf192.0.2.1", [_single(1)]),
    (b"  192.0.2.1\t# why\n", [_single(1)]),
    (b"192.0.2.1;SBL123 # x\n", [_single(1)]),
    (b"192.0.2.1 # caf\xc3\xa9 \xff\n", [_single(1)]),
    (b"192.0.2.0/31\n", [(4, A - 1, A, 1)]),
    (b"192.0.2.1 - 192.0.2.3\n", [(4, A, A + 2, 1)]),
    (b"::ffff:192.0.2.1\n", [(4, A, A, 1)]),
    (b"2001:db8::/32\n", [(6, 0x20010DB8 << 96, (0x20010DB9 << 96) - 1, 1)]),
    (b"#" + b"x" * (MAX_LINE - 1) + b"\n192.0.2.1\n", [_single(2)]),
]


@pytest.mark.parametrize("chunk", [1, 3, 7, 1 << 20])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("data", "lines"), GOOD)
def test_what_lines_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, lines: list[Line], packed: bool, chunk: int
) -> None:
    monkeypatch.setattr(listfile, "_CHUNK", chunk)
    path = tmp_path / "list"
    path.write_bytes(gzip.compress(data) if packed else data)
    assert _read(path) == (lines, [])


@pytest.mark.parametrize("chunk", [1, 100, 5000, 1 << 20])
@pytest.mark.parametrize(
    ("data", "lines", "problems"),
    [
        (
            b"192.0.2.1\n10.0.0.0/33\n192.0.2.1\n  192.0.2.1/24 # x\n",
            [_single(1), _single(3)],
            [
                "2:1: 10.0.0.0/33: prefix length must be 0 to 32",
                "4:3: 192.0.2.1/24: host bits are set; the network is 192.0.2.0/24",
            ],
        ),
        (b"192.0.2.1 192.0.2.2\n", [], ["1:1: 192.0.2.1 192.0.2.2: not an address, CIDR or range"]),
        (b"192.0.2.1,\n", [], ["1:1: 192.0.2.1,: not an address, CIDR or range"]),
        (b"0.0.0.0/0\n", [], ["1:1: 0.0.0.0/0: covers the whole IPv4 Internet"]),
        (b"192.0.2.1\0\n", [], ["1:1: 192.0.2.1\\x00: not an address, CIDR or range"]),
        (b"\x1b[31m\n", [], ["1:1: \\x1b[31m: not an address, CIDR or range"]),
        (b"x" * MAX_LINE + b"\n192.0.2.1\n", [_single(2)], None),
        (b"192.0.2.1\n" + b"x" * (MAX_LINE + 1) + b"\n192.0.2.1\n", [_single(1), _single(3)], ["2: longer than"]),
        (b"1" * 3_000 * 20 + b"\n192.0.2.1\n192.0.2.1", [_single(2), _single(3)], ["1: longer than"]),
        (b"192.0.2.1\n" + b"1" * 60_000, [_single(1)], ["2: longer than"]),
        (
            b"1" * 60_000 + b"\n" + b"2" * 60_000 + b"\n192.0.2.1\nx\n",
            [_single(3)],
            ["1: longer than", "2: longer than", "4:1: x: not an address"],
        ),
    ],
)
def test_each_bad_line_is_a_problem_with_its_number(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    chunk: int,
    data: bytes,
    lines: list[Line],
    problems: list[str] | None,
) -> None:
    monkeypatch.setattr(listfile, "_CHUNK", chunk)
    path = tmp_path / "list"
    path.write_bytes(data)
    read, found = _read(path)
    assert read == lines
    if problems is None:
        assert len(found) == 1
        assert found[0].startswith("1:1: xxx")
        return
    assert len(found) == len(problems)
    for said, expected in zip(sorted(found), sorted(problems), strict=True):
        assert said.startswith(expected)


PAGE = b"<!DOCTYPE html>\n<html><head><title>503 Service Unavailable</title></head>\n<body>Try again</body></html>\n"


def test_a_web_page_in_place_of_a_list_is_refused_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(PAGE)
    lines, problems = _read(path)
    assert lines == []
    assert [problem.split(": ")[0] for problem in problems] == ["1:1", "2:1", "3:1"]
    assert all(problem.endswith("not an address, CIDR or range") for problem in problems)


def test_a_list_of_rubbish_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(b"rubbish\n" * 5_000)
    lines, problems = _read(path)
    assert lines == []
    assert len(problems) == MAX_PER_FILE


PACKED = gzip.compress(b"192.0.2.1\n" * 1_000, mtime=0)


@pytest.mark.parametrize(
    "data",
    [
        PACKED[:-1],
        PACKED[:-9],
        PACKED[:12],
        PACKED[:2],
        PACKED[:-8] + bytes(8),
        PACKED[:-4] + bytes(4),
        PACKED[:10] + b"\xff" * 20,
        PACKED + b"rubbish",
        b"\x1f\x8b" + b"x" * 100,
    ],
    ids=["cut-last", "cut-trailer", "cut-body", "cut-header", "checksum", "length", "body", "trailing", "header"],
)
def test_damaged_gzip_is_said_to_be_that(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "list.gz"
    path.write_bytes(data)
    _, problems = _read(path)
    assert len(problems) == 1
    assert "the gzip data is damaged or cut short" in problems[0]


def test_several_gzip_members_are_one_list(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(gzip.compress(b"192.0.2.1\n19") + gzip.compress(b"2.0.2.1\n"))
    assert _read(path) == ([_single(1), _single(2)], [])


def test_one_endless_line_in_gzip_is_one_problem(tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(b"1" * 20_000_000, 1))
    lines, problems = _read(path)
    assert lines == []
    assert problems == [f"1: longer than {MAX_LINE} bytes"]


def test_a_bomb_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listfile, "MAX_SIZE", 1 << 20)
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress((b"#" * 4000 + b"\n") * 1000, 1))
    lines, problems = _read(path)
    assert lines == []
    assert len(problems) == 1
    assert "unpacks to more than" in problems[0]


def test_what_is_no_file_is_a_problem(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert _read(fifo) == ([], ["is not a regular file"])
    assert _read(tmp_path) == ([], ["is a directory"])
    assert _read(tmp_path / "none") == ([], ["no such file or directory"])
    assert _read(loop) == ([], ["too many levels of symbolic links"])


def test_progress_tells_how_many_lines_were_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listfile, "_CHUNK", 20)
    path = tmp_path / "list"
    path.write_bytes(b"192.0.2.1\n" * 10)
    told: list[tuple[str, int]] = []
    read_list_file(str(path), Problems(), lambda path, count: told.append((path, count)), lambda net, text, place: True)
    counts = [count for _, count in told]
    assert {file for file, _ in told} == {str(path)}
    assert counts == sorted(counts)
    assert 10 <= counts[-1] <= 11


@settings(deadline=None)
@given(data=st.binary(max_size=100) | st.text("0123456789abcdef.:/-#; \r\n", max_size=80).map(str.encode))
def test_any_bytes_are_nets_or_problems(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.txt"
    path.write_bytes(data)
    lines, problems = _read(path)
    data = data.removeprefix(b"\xef\xbb\xbf")
    meant = [line.split(b"#")[0].split(b";")[0].strip() for line in data.split(b"\n")]
    assert len(lines) + len(problems) <= max(1, len(meant))
    assert lines or problems or not any(text.decode("latin-1").strip() for text in meant)


def test_problems_come_in_the_order_of_the_lines(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(b"x\n127.0.0.1\n" + b"y" * 5_000 + b"\n192.0.2.1\n10.0.0.0/7\nz\n")
    problems = Problems()

    def accept(net: Net, text: str, place: Place) -> bool:
        problems.warning(place, text, "odd")
        return text != "127.0.0.1"

    file = read_list_file(str(path), problems, lambda path, count: None, accept)
    assert [problem.place.line for problem in problems] == [1, 2, 3, 5, 6]
    assert [entry.line for entry in file.entries(LISTING)] == [4, 5]


def test_a_list_file_knows_its_entries(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(b"2001:DB8::/48\n192.0.2.4-192.0.2.7\n\n192.0.2.8-192.0.2.10\n2001:db8:1::1\n")
    file = read_list_file(str(path), Problems(), lambda path, count: None, lambda net, text, place: True)
    assert [(entry.line, entry.text, entry.listing) for entry in file.entries(LISTING)] == [
        (1, "2001:db8::/48", LISTING),
        (2, "192.0.2.4/30", LISTING),
        (4, "192.0.2.8-192.0.2.10", LISTING),
        (5, "2001:db8:1::1", LISTING),
    ]
    assert (len(file), len(file.nets[4]), len(file.nets[6])) == (4, 2, 2)
