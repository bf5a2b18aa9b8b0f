"""List files: opened, decompressed and cut into blocks, whatever their format; and damaged and hostile ones."""

import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl_server.model.address import Net
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.model.subject import Subjects
from dnsbl_server.sources import listfile
from dnsbl_server.sources.entrytext import EntryText
from dnsbl_server.sources.listfile import FORMATS, Format, read_list_file
from dnsbl_server.sources.listreader import MAX_LINE
from tests.annotated import ANNOTATED, AnnotatedReader
from tests.sources.test_plain import BAD, GOOD, Line, said, single

TEXT = EntryText("bl.example.org")
LISTING = Listing((0x7F000002,), "", 300)


def _quiet(path: str, count: int) -> None:
    pass


def _all(net: Subjects, text: str, place: Place) -> bool:
    return True


def _read(path: Path) -> tuple[list[Line], list[str]]:
    problems = Problems()
    reading = read_list_file([str(path)], LISTING, problems, _quiet, _all, TEXT)
    file = reading.file
    entries = list(file.entries(LISTING))
    assert len(file) == len(entries)
    assert {(entry.file, entry.column) for entry in entries} <= {(str(path), 0)}
    lines = [(*entry.what, entry.line) if isinstance(entry.what, Net) else (0, 0, 0, entry.line) for entry in entries]
    failed = [reading.verdict] if reading.verdict and not reading.is_empty and " lines " not in reading.verdict else []
    return lines, failed + [said(problem).removeprefix(str(path) + ":").strip() for problem in problems]


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
@pytest.mark.parametrize(("data", "lines", "problems"), BAD)
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
    for each, expected in zip(sorted(found), sorted(problems), strict=True):
        assert each.startswith(expected)


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
    assert _read(path) == ([single(1), single(2)], [])


def test_one_endless_line_in_gzip_is_one_problem(tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(b"1" * 20_000_000, 1))
    lines, problems = _read(path)
    assert lines == []
    assert problems == [f"1: longer than {MAX_LINE} bytes"]


@pytest.mark.parametrize("length", [MAX_LINE + 1, MAX_LINE + 50, 10_000, 25_000])
def test_what_stands_behind_a_line_much_too_long_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    monkeypatch.setattr(listfile, "_CHUNK", 5_000)
    path = tmp_path / "list"
    path.write_bytes(b"192.0.2.1\n" + b"1" * length + b"\n192.0.2.3\n192.0.2.4\n" + b"#\n" * 4_000 + b"192.0.2.5")
    lines, problems = _read(path)
    assert [(first & 0xFF, line) for _, first, _, line in lines] == [(1, 1), (3, 3), (4, 4), (5, 4_005)]
    assert problems == [f"2: longer than {MAX_LINE} bytes"]


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
    read_list_file([str(path)], LISTING, Problems(), lambda path, count: told.append((path, count)), _all, TEXT)
    counts = [count for _, count in told]
    assert {file for file, _ in told} == {str(path)}
    assert counts == sorted(counts)
    assert 10 <= counts[-1] <= 11


@given(data=st.binary(max_size=100) | st.text("0123456789abcdef.:/-#; \r\n", max_size=80).map(str.encode))
def test_any_bytes_are_nets_or_problems(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.txt"
    path.write_bytes(data)
    lines, problems = _read(path)
    data = data.removeprefix(b"\xef\xbb\xbf")
    meant = [line.split(b"#")[0].split(b";")[0].strip() for line in data.split(b"\n")]
    assert len(lines) + len(problems) <= max(1, len(meant))
    assert lines or problems or not any(text.decode("latin-1").strip() for text in meant)


@pytest.mark.parametrize("chunk", [1, 3, 1 << 20])
def test_a_format_is_read_by_its_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(listfile, "_CHUNK", chunk)
    path = tmp_path / "list"
    path.write_bytes(b"192.0.2.0/24\n192.0.2.7 | spam | 127.0.0.3 | 60 | -\n!192.0.2.9\nend 3")
    problems = Problems()
    file = read_list_file([str(path)], LISTING, problems, _quiet, _all, TEXT, ANNOTATED).file
    assert not list(problems)
    own = Listing((0x7F000003,), "spam", 60)
    assert [(each.text, each.line, each.listing) for each in file.entries(LISTING)] == [
        ("192.0.2.0/24", 1, LISTING),
        ("192.0.2.7", 2, own),
    ]
    assert [str(file.exclusion(4, row).place) for row in range(len(file.excluded[4]))] == [f"{path}:3"]
    # A reader can say at the end that something is missing.
    path.write_bytes(b"192.0.2.0/24\n")
    reading = read_list_file([str(path)], LISTING, problems, _quiet, _all, TEXT, ANNOTATED)
    assert reading.verdict == "the last line is missing"


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize(("chunk", "size"), [(7, 7), (1 << 20, 33)])
def test_a_raw_format_gets_the_file_as_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compress: Callable[[bytes], bytes], chunk: int, size: int
) -> None:
    monkeypatch.setattr(listfile, "_CHUNK", chunk)
    blocks: list[tuple[bytes, int]] = []

    class RawReader(AnnotatedReader):
        def read(self, block: bytes, line: int) -> int:
            blocks.append((block, line))
            return block.count(b"\n")

        def finish(self) -> None:
            pass

    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_bytes(compress(b"one\ntwo\n" + b"x" * 25))
    raw = Format(lambda sink, options: RawReader(sink), is_raw=True)
    reading = read_list_file([str(path) for path in paths], LISTING, Problems(), _quiet, _all, TEXT, raw)
    assert b"".join(block for block, _ in blocks) == (b"one\ntwo\n" + b"x" * 25) * 2
    assert max(len(block) for block, _ in blocks) == size
    # The last line of a file is one, though it has no newline.
    assert blocks[-1][1] in (4, 6)
    assert reading.file.parts == ((3, str(paths[1])),)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_limits_hold_for_every_compression(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compress: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(listfile, "MAX_SIZE", 1 << 20)
    path = tmp_path / "list"
    cases: tuple[tuple[str, bytes, dict[str, Any]], ...] = (
        ("plain", b"192.0.2.1\n" * 200_000, {}),
        ("json", b"[" + b" " * 2_000_000 + b"]", {"fields": {"net": ("ip",)}}),
    )
    for name, data, options in cases:
        path.write_bytes(compress(data))
        reading = read_list_file([str(path)], LISTING, Problems(), _quiet, _all, TEXT, FORMATS[name], options)
        assert "unpacks to more than" in reading.verdict
    path.write_bytes(compress(b"192.0.2.1\n" * 2_000)[:-1])
    reading = read_list_file([str(path)], LISTING, Problems(), _quiet, _all, TEXT)
    assert "damaged or cut short" in reading.verdict
