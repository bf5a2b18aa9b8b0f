"""Compressed files: told by their first bytes, with several members; damaged ones are said to be that."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from dnsbl_server.sources import unpack
from dnsbl_server.sources.unpack import DamagedError, unpacked

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}
LINES = b"".join(b"192.0.2.%d\n" % (number % 256) for number in range(5_000))


def _read(path: Path, data: bytes, size: int = 1 << 20) -> bytes:
    path.write_bytes(data)
    with path.open("rb") as file:
        stream = unpacked(file)
        found = b""
        while piece := stream.read(size):
            assert len(piece) <= size
            found += piece
        assert stream.read(size) == b""
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "list"


@pytest.mark.parametrize("size", [1000, 1 << 20])
@pytest.mark.parametrize("kind", PACK)
def test_a_packed_file_is_unpacked(path: Path, kind: str, size: int) -> None:
    assert _read(path, PACK[kind](LINES), size) == LINES
    assert _read(path, PACK[kind](b""), size) == b""


@pytest.mark.parametrize("chunk", [1, 7, 1 << 18])
@pytest.mark.parametrize("kind", PACK)
def test_several_members_are_one_file(path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, chunk: int) -> None:
    monkeypatch.setattr(unpack, "_CHUNK", chunk)
    pack = PACK[kind]
    assert _read(path, pack(b"192.0.2.1\n19") + pack(b"") + pack(b"2.0.2.2\n")) == b"192.0.2.1\n192.0.2.2\n"


def test_the_padding_of_xz_is_passed_over(path: Path) -> None:
    data = lzma.compress(b"one") + bytes(8) + lzma.compress(b"two") + bytes(4)
    assert _read(path, data) == b"onetwo"


@pytest.mark.parametrize("kind", PACK)
def test_damaged_data_is_said_to_be_that(path: Path, kind: str) -> None:
    packed = PACK[kind](LINES)
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 0xFF
    head = 14
    for data in (packed[:-1], packed[: len(packed) // 2], packed[:head], bytes(flipped), packed + b"rubbish"):
        with pytest.raises(DamagedError, match=f"the {kind} data is damaged or cut short: "):
            _read(path, data)


def test_xz_cannot_ask_for_much_memory(path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 256 << 20}]
    with pytest.raises(DamagedError, match=r"[Mm]emory"):
        _read(path, lzma.compress(b"192.0.2.1\n", filters=filters))
    assert _read(path, lzma.compress(LINES, preset=9)) == LINES


@pytest.mark.parametrize(
    "data", [b"", b"B", b"BZh", b"BZh9 is no name", b"BZh9.example\n", b"\x1f", b"\xfd7zXZ", b"192.0.2.1\n"]
)
def test_other_files_are_left_as_they_are(path: Path, data: bytes) -> None:
    assert _read(path, data) == data
