"""The compiled form of a zone: one flat, pointer-free, read-only buffer.

Owns the layout, writing it and looking addresses up in it. All lists of the zone are merged already: one search finds
the answer. Little-endian; all offsets count from the start of the buffer.

    header    magic, version, CRC-32 of all that follows, size, then offset and length of each section
    meta      JSON: what is asked rarely (apex, names of the lists, counts)
    name      the zone's name, wire form
    soa       the SOA record of negative answers behind its owner: type, class, TTL, length, data
    index4    for each value of an address's first bits (16, fewer in a small table) how many intervals start before it
    first4    32 bits: the first address of each IPv4 interval; sorted and disjoint
    end4      32 bits each: last address and number of the answer
    first6, last6, answer6    the same for IPv6, addresses of 16 bytes, big-endian; no index
    offsets   32 bits: where in `answers` each answer starts; number 0 means not listed
    answers   expires 64, next 32, ttl 32, codes and texts 16 each; the codes 32; per text list 16, length 16, offset 32
    texts     TXT answers, the client's address marked by a NUL
    prints    fingerprints of the entries (`_prints`): what a reload added and removed

An answer is good until it expires; `next` is the one that holds from then on, and has a smaller number. So a lookup is
right to the second, however long ago the table was made. `_sections` checks the sections when a table is opened, and
`_search` reads them for the engine.
"""

import json
import struct
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from mmap import mmap
from typing import Any, NamedTuple

from dnslib import CLASS, QTYPE

from dnsbl_server.dns.name import encode_name
from dnsbl_server.table._format import ADDRESS_BYTE
from dnsbl_server.table._prints import count_changes
from dnsbl_server.table._sections import Sections

MAGIC = b"DNSBLTAB"
VERSION = 2
ADDRESS_MARK = chr(ADDRESS_BYTE)  # stands in a text for the client's address

_SECTIONS = (
    *("meta", "name", "soa", "index4", "first4", "end4", "first6", "last6", "answer6"),
    *("offsets", "answers", "texts", "prints"),
)
_INDEX_BITS = 16
_HEADER = struct.Struct("<8sIIQ")
_SECTION = struct.Struct("<QQ")
_BODY = _HEADER.size + len(_SECTIONS) * _SECTION.size
_ANSWER = struct.Struct("<QIIHH")
_TEXT = struct.Struct("<HHI")
_SOA = struct.Struct("!HHIH")
# What a section raises that was written by nobody.
_WRONG_SECTION = (AttributeError, LookupError, RecursionError, TypeError, ValueError, struct.error)


class TableError(ValueError):
    """The buffer is no table that this version can use."""


class Answer(NamedTuple):
    """What a listed address is answered.

    codes: A records as numbers; texts: for each list that matches its number (or NO_LIST) and its text, with the
    client's address marked; ttl: seconds; expires: seconds since 1970, 0 is never; next: the answer from then on.
    """

    codes: tuple[int, ...]
    texts: tuple[tuple[int, str], ...]
    ttl: int
    expires: int = 0
    next: int = 0


class Intervals(NamedTuple):
    """Disjoint, sorted, inclusive intervals of addresses and the number of the answer of each, in columns.

    Addresses are numbers of 32 bits (array "I") for IPv4, and for IPv6 16 bytes each, big-endian; answers: array "I".
    """

    firsts: "array[int] | bytes | bytearray"
    lasts: "array[int] | bytes | bytearray"
    answers: "array[int]"


def pack(meta: Mapping[str, Any], v4: Intervals, v6: Intervals, answers: Sequence[Answer], prints: bytes) -> bytes:
    """Write a table.

    The answer with number n is `answers[n - 1]`; meta: what the compiler says of the zone; prints: a set of
    fingerprints.
    """
    offsets = array("I", [0])
    records = bytearray()
    texts = bytearray()
    places: dict[str, int] = {}
    for answer in answers:
        offsets.append(len(records))
        records += _ANSWER.pack(answer.expires, answer.next, answer.ttl, len(answer.codes), len(answer.texts))
        records += struct.pack(f"<{len(answer.codes)}I", *answer.codes)
        for number, text in answer.texts:
            offset = places.get(text)
            if offset is None:
                offset = places[text] = len(texts)
                texts += text.encode("ascii")
            records += _TEXT.pack(number, len(text), offset)
    firsts = array("I", v4.firsts)
    ends = array("I", bytes(8 * len(firsts)))
    ends[0::2] = array("I", v4.lasts)
    ends[1::2] = v4.answers
    sections = (
        *(json.dumps(meta).encode(), encode_name(meta["zone"]), _soa(meta)),
        *(_index(firsts), firsts, ends),
        *v6,
        *(offsets, records, texts, prints),
    )
    directory = bytearray()
    body: list[bytes | memoryview] = []
    size = _BODY
    for section in sections:
        content = memoryview(section).cast("B")
        directory += _SECTION.pack(size, len(content))
        padding = bytes(-len(content) % 8)
        body += (content, padding)
        size += len(content) + len(padding)
    checksum = zlib.crc32(directory)
    for part in body:
        checksum = zlib.crc32(part, checksum)
    # Put together in one step: the columns of a large list are there a second time already.
    return b"".join((_HEADER.pack(MAGIC, VERSION, checksum, size), directory, *body))


def _soa(meta: Mapping[str, Any]) -> bytes:
    mname, rname, *times = meta["soa"]
    negative_ttl = meta["negative_ttl"]
    data = encode_name(mname) + encode_name(rname) + struct.pack("!5I", meta["serial"], *times, negative_ttl)
    # The TTL makes negative answers last for negative_ttl (RFC 2308 section 5).
    return _SOA.pack(QTYPE.SOA, CLASS.IN, negative_ttl, len(data)) + data


def _index(firsts: "array[int]") -> "array[int]":
    """How many intervals start before each bucket of the address space, and in all; no larger than the table."""
    bits = min(_INDEX_BITS, len(firsts).bit_length())
    return array("I", [bisect_left(firsts, bucket << (32 - bits)) for bucket in range((1 << bits) + 1)])


class ZoneTable:
    """A table opened for lookups. The buffer is checked once, here, and must not change afterwards."""

    def __init__(self, buffer: bytes | memoryview | mmap) -> None:
        """Open a buffer. Raises TableError when it is damaged, cut, or of another version."""
        view = memoryview(buffer).toreadonly().cast("B")
        if len(view) < _BODY:
            raise TableError("shorter than its header")
        magic, version, checksum, size = _HEADER.unpack_from(view)
        if magic != MAGIC or version != VERSION:
            raise TableError("not a table of this version")
        if size != len(view) or zlib.crc32(view[_HEADER.size :]) != checksum:
            raise TableError("damaged")
        sections: dict[str, memoryview] = {}
        for number, name in enumerate(_SECTIONS):
            offset, length = _SECTION.unpack_from(view, _HEADER.size + number * _SECTION.size)
            if offset + length > size:
                raise TableError(f"section {name} passes the end")
            sections[name] = view[offset : offset + length]
        self.size: int = size
        try:
            self._open(sections)
        except _WRONG_SECTION as error:
            raise TableError(f"a section is not what it should be: {error}") from error

    def _open(self, sections: dict[str, memoryview]) -> None:
        self.meta: dict[str, Any] = json.loads(bytes(sections["meta"]))
        # The engine has the zone's name and its SOA record from the sections, and Python has them from here.
        if sections["name"] != encode_name(self.meta["zone"]) or sections["soa"] != _soa(self.meta):
            raise TableError("its name or its SOA record is not that of the zone")
        self.native = Sections(sections, len(self.meta["lists"]))
        self.soa = bytes(sections["soa"][_SOA.size :])
        self._first4 = sections["first4"].cast("I")
        self._end4 = sections["end4"].cast("I")
        self._first6 = sections["first6"]
        self._last6 = sections["last6"]
        self._answer6 = sections["answer6"].cast("I")
        self._offsets = sections["offsets"].cast("I")
        self._answers = sections["answers"]
        self._texts = sections["texts"]
        self._prints = sections["prints"]

    def find(self, version: int, number: int, now: float) -> Answer | None:
        """The answer for an address at a time (seconds since 1970), or None where it is not listed."""
        found = self._search4(number) if version == 4 else self._search6(number)
        while found:
            answer = self._answer(found)
            if not answer.expires or answer.expires > now:
                return answer
            found = answer.next
        return None

    def _search4(self, number: int) -> int:
        at = bisect_right(self._first4, number) - 1
        return self._end4[2 * at + 1] if at >= 0 and number <= self._end4[2 * at] else 0

    def _search6(self, number: int) -> int:
        address = number.to_bytes(16)
        at = bisect_right(range(len(self._answer6)), address, key=self._first6_at) - 1
        return self._answer6[at] if at >= 0 and address <= bytes(self._last6[16 * at : 16 * at + 16]) else 0

    def _first6_at(self, at: int) -> bytes:
        return bytes(self._first6[16 * at : 16 * at + 16])

    def _answer(self, number: int) -> Answer:
        at = self._offsets[number]
        expires, following, ttl, codes, texts = _ANSWER.unpack_from(self._answers, at)
        at += _ANSWER.size
        numbers = struct.unpack_from(f"<{codes}I", self._answers, at)
        at += 4 * codes
        described = []
        for _ in range(texts):
            block_list, length, offset = _TEXT.unpack_from(self._answers, at)
            at += _TEXT.size
            described.append((block_list, bytes(self._texts[offset : offset + length]).decode("ascii")))
        return Answer(numbers, tuple(described), ttl, expires, following)

    def intervals(self, version: int) -> Iterator[tuple[int, int]]:
        """The first and last address of every interval, in order."""
        if version == 4:
            yield from zip(self._first4, self._end4[::2], strict=True)
        else:
            for at in range(len(self._answer6)):
                yield int.from_bytes(self._first6_at(at)), int.from_bytes(self._last6[16 * at : 16 * at + 16])

    def changes_since(self, other: "ZoneTable | None") -> tuple[int, int]:
        """How many entries this table has that the other has not, and the other way round."""
        return count_changes(other._prints if other else b"", self._prints)
