"""Compressed files, told by their first bytes: gzip, bzip2 and xz.

Owns which compressions there are, that a file may have several members one after the other, and that damaged data and
data that ends too early are one error. Knows no formats of list files, and sets no limit to what a file unpacks to: the
caller reads it in pieces.
"""

import bz2
import gzip
import lzma
import os
import re
import zlib
from collections.abc import Callable, Mapping
from typing import IO, Protocol

# What `xz -9` needs to unpack; a file may ask for up to 4 GiB.
XZ_MEMORY = 66 << 20
_CHUNK = 1 << 18

_GZIP = b"\x1f\x8b"
# bzip2's magic has no bytes that a text could not have, so the marks of a block or of the end count too.
_BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
_XZ = b"\xfd7zXZ\0"
_HEAD = 10


class DamagedError(Exception):
    """Compressed data that is damaged or cut short; its text says which kind it is, and what is wrong."""


class Stream(Protocol):
    """What can be read in pieces."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end. Raises OSError and DamagedError."""


class _Unpacker(Protocol):
    """One member, as `bz2` and `lzma` unpack it."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


def unpacked(file: IO[bytes]) -> Stream:
    """What a file holds, unpacked where it is compressed. It must be one that can be read at any position."""
    head = os.pread(file.fileno(), _HEAD, 0)
    if head.startswith(_GZIP):
        return _Gzip(file)
    if head.startswith(_XZ):
        return _Members(file, "xz")
    return _Members(file, "bzip2") if _BZIP2.match(head) else file


class _Gzip:
    """gzip, whose members the standard library joins and checks itself."""

    def __init__(self, file: IO[bytes]) -> None:
        self._stream = gzip.GzipFile(fileobj=file)

    def read(self, size: int, /) -> bytes:
        try:
            return self._stream.read(size)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise _damaged("gzip", error) from None


class _Members:
    """Members of bzip2 or xz, one after the other."""

    def __init__(self, file: IO[bytes], kind: str) -> None:
        self._file = file
        self._kind = kind
        self._unpacker = _UNPACKERS[kind]()

    def read(self, size: int, /) -> bytes:
        data = b""
        while True:
            if self._unpacker.eof and not (data := self._next_member()):
                return b""
            if not data and self._unpacker.needs_input:
                data = self._file.read(_CHUNK)
                if not data:
                    raise _damaged(self._kind, "it ends too early")
            try:
                found = self._unpacker.decompress(data, size)
            except (OSError, ValueError, lzma.LZMAError) as error:
                raise _damaged(self._kind, error) from None
            if found:
                return found
            data = b""

    def _next_member(self) -> bytes:
        """Begin with the next member; the bytes that it begins with, none where the file ends."""
        data = self._unpacker.unused_data
        while True:
            # xz fills up with zeros between its members, and behind the last one.
            data = data.lstrip(b"\0") if self._kind == "xz" else data
            if data:
                self._unpacker = _UNPACKERS[self._kind]()
                return data
            data = self._file.read(_CHUNK)
            if not data:
                return b""


_UNPACKERS: Mapping[str, Callable[[], _Unpacker]] = {
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY),
}


def _damaged(kind: str, error: Exception | str) -> DamagedError:
    return DamagedError(f"the {kind} data is damaged or cut short: {error}")
