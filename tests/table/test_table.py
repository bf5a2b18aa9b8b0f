"""The flat table: what is written is found again, and a buffer with anything wrong is refused."""

import mmap
import struct
from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsbl_server.model.address import Address
from dnsbl_server.model.apex import Apex, Soa
from dnsbl_server.table._format import NO_LIST
from dnsbl_server.table.info import ListInfo, TableInfo
from dnsbl_server.table.layout import VERSION, Answer, Intervals, TableError
from dnsbl_server.table.pack import info_of, pack, with_serial
from dnsbl_server.table.table import ZoneTable
from tests.conftest import NOW
from tests.profiles import examples

INFO = TableInfo(
    zone="bl.example.org",
    ttl=300,
    negative_ttl=60,
    soa=Soa("ns1.example.org", "hostmaster.example.org"),
    ns=("ns1.example.org",),
    apex=Apex(a=("192.0.2.80",), mx=((10, "mx.example.org"),), txt=("a list",)),
    serial=7,
    as_of=NOW,
    sources=("bl.yaml",),
    lists=(ListInfo("traps", 3, 1, 0), ListInfo("dynamic", 0, 0, 0)),
    expired=2,
    next_expiry=int(NOW) + 10,
)
ANSWERS = (
    Answer((0x7F000002,), ((0, "\0 is listed"),), 300),
    Answer((0x7F000003, 0x7F000009), ((0, "\0 is listed"), (1, "dynamic")), 60, int(NOW) + 10, 1),
    Answer((0x7F000004,), ((NO_LIST, ""),), 0, int(NOW) + 20, 0),
)
# First and last address and number of the answer.
V4 = ((0, 0, 1), (10, 20, 2), (0xFFFFFFFF, 0xFFFFFFFF, 3))
V6 = ((0, 5, 1), (1 << 64, (1 << 64) + 1, 3), ((1 << 128) - 1, (1 << 128) - 1, 2))


def columns4(*spans: tuple[int, int, int]) -> Intervals:
    firsts, lasts, answers = (array("I", column) for column in zip(*spans, strict=True))
    return Intervals(firsts, lasts, answers)


def columns6(*spans: tuple[int, int, int]) -> Intervals:
    firsts, lasts = (b"".join(span[end].to_bytes(16) for span in spans) for end in (0, 1))
    return Intervals(firsts, lasts, array("I", (number for _, _, number in spans)))


NO_V4 = Intervals(array("I"), array("I"), array("I"))
NO_V6 = Intervals(b"", b"", array("I"))
PRINTS = b"\1\0\0\2\0\0\xff\xff\xff"
BUFFER = pack(INFO, columns4(*V4), columns6(*V6), ANSWERS, PRINTS)
INFO = replace(INFO, digest=info_of(BUFFER).digest)
HEADER = struct.Struct("<8sIIQ")


def lookups() -> list[tuple[int, int, int]]:
    """Version, address and number of the answer (0: none), at and next to every edge."""
    found = []
    for version, spans in ((4, V4), (6, V6)):
        edges = {edge + step for first, last, _ in spans for edge in (first, last) for step in (-1, 0, 1)}
        for number in sorted(edge for edge in edges if 0 <= edge < 1 << (32 if version == 4 else 128)):
            found.append((version, number, next((held for first, last, held in spans if first <= number <= last), 0)))
    return found


@pytest.mark.parametrize(("version", "number", "expected"), lookups())
def test_what_is_written_is_found(version: int, number: int, expected: int) -> None:
    answer = ZoneTable(BUFFER).find(Address(version, number), NOW)
    assert answer == (ANSWERS[expected - 1] if expected else None)


@pytest.mark.parametrize(
    ("number", "seconds", "expected"),
    [
        (10, 9.999, ANSWERS[1]),
        (10, 10, ANSWERS[0]),
        (10, 1e9, ANSWERS[0]),
        (0, 1e9, ANSWERS[0]),
        (0xFFFFFFFF, 19.5, ANSWERS[2]),
        (0xFFFFFFFF, 20, None),
        (0xFFFFFFFF, 21, None),
    ],
)
def test_an_answer_ends_and_the_next_one_follows(number: int, seconds: float, expected: Answer | None) -> None:
    assert ZoneTable(BUFFER).find(Address(4, number), NOW + seconds) == expected


def test_the_rest_of_a_table_comes_back() -> None:
    table = ZoneTable(BUFFER)
    assert table.info == INFO
    assert table.size == len(BUFFER)
    assert list(table.intervals(4)) == [(first, last) for first, last, _ in V4]
    assert list(table.intervals(6)) == [(first, last) for first, last, _ in V6]


def test_an_empty_table_finds_nothing() -> None:
    table = ZoneTable(pack(INFO, NO_V4, NO_V6, (), b""))
    assert [table.find(Address(version, number), NOW) for version in (4, 6) for number in (0, 1 << 31)] == [None] * 4
    assert list(table.intervals(4)) == list(table.intervals(6)) == []


def test_equal_texts_are_kept_once() -> None:
    once, twice, other = (
        pack(INFO, NO_V4, NO_V6, [Answer((0x7F000002,), ((0, text),), 300) for text in texts], b"")
        for texts in (["x" * 400], ["x" * 400] * 2, ["x" * 400, "y" * 400])
    )
    assert len(twice) < len(once) + 100
    assert len(other) >= len(once) + 400


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([], [], (0, 0)),
        ([1, 2], [1, 2], (0, 0)),
        ([1, 1, 2], [1, 2, 2, 2], (2, 1)),
        ([1, 256, 65536], [0, 256, 65536, 65537], (2, 1)),
        ([1, 2], [2, 3, 4], (2, 1)),
        ([1], [], (0, 1)),
        ([], [(1 << 24) - 1], (1, 0)),
        (None, [1, 2], (2, 0)),
    ],
)
def test_changes_are_counted(before: list[int] | None, after: list[int], expected: tuple[int, int]) -> None:
    tables = [
        None
        if prints is None
        else ZoneTable(pack(INFO, NO_V4, NO_V6, (), b"".join(n.to_bytes(3, "little") for n in prints)))
        for prints in (before, after)
    ]
    assert tables[1] is not None
    assert tables[1].changes_since(tables[0]) == expected


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_a_flip_of_any_byte_is_refused(mask: int) -> None:
    damaged = bytearray(BUFFER)
    for at in range(len(BUFFER)):
        damaged[at] ^= mask
        with pytest.raises(TableError):
            ZoneTable(bytes(damaged))
        damaged[at] ^= mask
    assert ZoneTable(bytes(damaged)).info == INFO


def test_a_table_cut_anywhere_is_refused() -> None:
    for size in range(len(BUFFER)):
        with pytest.raises(TableError):
            ZoneTable(BUFFER[:size])


@pytest.mark.parametrize("more", [b"\0", b"\0" * 8, b"x" * 4096, BUFFER])
def test_a_longer_table_is_refused(more: bytes) -> None:
    with pytest.raises(TableError, match="damaged"):
        ZoneTable(BUFFER + more)


@pytest.mark.parametrize("version", [0, VERSION - 1, VERSION + 1, 0xFFFFFFFF])
def test_another_version_is_refused(version: int) -> None:
    magic, _, checksum, size = HEADER.unpack_from(BUFFER)
    with pytest.raises(TableError, match="version"):
        ZoneTable(HEADER.pack(magic, version, checksum, size) + BUFFER[HEADER.size :])


def test_another_magic_is_refused() -> None:
    with pytest.raises(TableError, match="not a table"):
        ZoneTable(BUFFER[:7] + b"?" + BUFFER[8:])


@given(st.binary(max_size=400))
@settings(max_examples=examples(0.5))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    for buffer in (data, BUFFER[:8] + data, BUFFER[: HEADER.size] + data):
        with pytest.raises(TableError):
            ZoneTable(buffer)


def test_a_mapped_file_and_a_view_are_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "table"
    path.write_bytes(BUFFER)
    with path.open("rb") as file:
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    for buffer in (mapped, memoryview(BUFFER), memoryview(bytearray(BUFFER))):
        table = ZoneTable(buffer)
        assert table.find(Address(4, 15), NOW) == ANSWERS[1]
        assert table.find(Address(6, 5), NOW) == ANSWERS[0]


def test_another_serial_changes_nothing_else() -> None:
    later = ZoneTable(with_serial(BUFFER, 4_000_000_000))
    assert later.info == replace(INFO, serial=4_000_000_000)
    assert later.find(Address(4, 15), NOW) == ANSWERS[1]
    assert with_serial(with_serial(BUFFER, 4_000_000_000), INFO.serial) == BUFFER


@pytest.mark.parametrize(
    ("change", "is_another"),
    [
        ({"serial": 8}, False),
        ({"as_of": NOW + 1, "sources": ("other.yaml",), "expired": 3, "next_expiry": 0}, False),
        ({"ttl": 301}, True),
        ({"ns": ()}, True),
        ({"soa": Soa("ns2.example.org", "hostmaster.example.org")}, True),
        ({"apex": Apex()}, True),
    ],
)
def test_the_digest_is_of_all_that_is_answered_but_the_serial(change: dict[str, Any], is_another: bool) -> None:
    digest = info_of(pack(replace(INFO, **change), columns4(*V4), columns6(*V6), ANSWERS, PRINTS)).digest
    assert (digest != INFO.digest) == is_another


def test_another_answer_interval_or_entry_makes_another_digest() -> None:
    contents = [
        (columns4(*V4), columns6(*V6), ANSWERS[::-1], PRINTS),
        (columns4(*V4[1:]), columns6(*V6), ANSWERS, PRINTS),
        (columns4(*V4), columns6(*V6[1:]), ANSWERS, PRINTS),
        (columns4(*V4), columns6(*V6), ANSWERS, b"abc"),
    ]
    digests = {info_of(pack(INFO, *each)).digest for each in contents} | {INFO.digest}
    assert len(digests) == len(contents) + 1
