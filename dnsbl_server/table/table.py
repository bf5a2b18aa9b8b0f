"""A zone's table, opened: its checks, and lookups in it.

Owns what a table is refused for, and the search for an address or a name: all lists of the zone are merged already, so
one search finds the answer, and the answers that follow it make a lookup right to the second, however long ago the
table was made. It also tells which names exist. Knows no files. The layout is in `layout`.
"""

import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator

from dnsbl_server.dns.name import Labels, encode_name, labels_of
from dnsbl_server.model.domain import Domain
from dnsbl_server.model.subject import Subject
from dnsbl_server.table._format import NODE_EXISTS, PAIR_SHIFT
from dnsbl_server.table._prints import count_changes
from dnsbl_server.table._sections import Sections
from dnsbl_server.table.info import TableInfo, read_info
from dnsbl_server.table.layout import (
    ANSWER,
    BODY,
    HASHING,
    HEADER,
    MAGIC,
    NODE,
    PAIR,
    SECTION,
    SECTIONS,
    SOA,
    TEXT,
    VERSION,
    Answer,
    TableError,
    encode_soa,
)
from dnsbl_server.table.siphash import hash_label

# What reading a section raises whose content is wrong.
_WRONG_SECTION = (LookupError, TypeError, ValueError, struct.error)


class ZoneTable:
    """A table opened for lookups. The buffer is checked once, here, and must not change afterwards."""

    def __init__(self, buffer: bytes | memoryview) -> None:
        """Open a buffer. Raises TableError when it is damaged, too short, or of another version."""
        view = memoryview(buffer).toreadonly().cast("B")
        if len(view) < BODY:
            raise TableError("shorter than its header")
        magic, version, checksum, size = HEADER.unpack_from(view)
        if magic != MAGIC or version != VERSION:
            raise TableError("not a table of this version")
        if size != len(view) or zlib.crc32(view[HEADER.size :]) != checksum:
            raise TableError("damaged")
        sections: dict[str, memoryview] = {}
        for number, name in enumerate(SECTIONS):
            offset, length = SECTION.unpack_from(view, HEADER.size + number * SECTION.size)
            if offset + length > size:
                raise TableError(f"section {name} passes the end")
            sections[name] = view[offset : offset + length]
        self.size: int = size
        try:
            self._open(sections)
        except TableError:
            raise
        except _WRONG_SECTION as error:
            raise TableError(f"a section is not what it should be: {error}") from error

    def _open(self, sections: dict[str, memoryview]) -> None:
        self.info: TableInfo = read_info(bytes(sections["meta"]))
        # The engine reads the zone's name and its SOA record from the sections, and Python from the info.
        soa = encode_soa(self.info.soa, self.info.serial, self.info.negative_ttl)
        if sections["name"] != encode_name(self.info.zone) or sections["soa"] != soa:
            raise TableError("its name or its SOA record is not that of the zone")
        self.native = Sections(sections, len(self.info.lists))
        self.soa = bytes(sections["soa"][SOA.size :])
        self._first4 = sections["first4"].cast("I")
        self._end4 = sections["end4"].cast("I")
        self._first6 = sections["first6"]
        self._last6 = sections["last6"]
        self._answer6 = sections["answer6"].cast("I")
        self._offsets = sections["offsets"].cast("I")
        self._answers = sections["answers"]
        self._texts = sections["texts"]
        self._prints = sections["prints"]
        self._nodes = sections["nodes"]
        self._pairs = sections["pairs"]
        self._slots = sections["slots"].cast("Q")
        self._key, self._deepest, self._value_size = b"", 0, 0
        if self._slots:
            self._key, self._deepest, self._value_size = HASHING.unpack(sections["hashing"])

    def find(self, subject: Subject, now: float) -> Answer | None:
        """The answer for a subject at a time (seconds since 1970), or None where it is not listed."""
        if isinstance(subject, Domain):
            found = self._search_name(labels_of(subject.name))[0]
        else:
            found = self._search4(subject.number) if subject.version == 4 else self._search6(subject.number)
        return self._current(found, now)

    def find_name(self, labels: Labels, now: float) -> tuple[Answer | None, bool]:
        """As `find`, for labels of any bytes; and whether the name exists (RFC 8020).

        It does where it or a name below it has an answer, be that expired by now.
        """
        found, exists = self._search_name(labels)
        return self._current(found, now), exists

    @property
    def has_addresses(self) -> bool:
        """Whether the zone lists addresses: then it has the test entry 127.0.0.2 at least."""
        return len(self._first4) > 0

    def has_any6(self, first: int, last: int) -> bool:
        """Whether any IPv6 interval has an address of these."""
        at = bisect_right(range(len(self._answer6)), last.to_bytes(16), key=self._first6_at) - 1
        return at >= 0 and bytes(self._last6[16 * at : 16 * at + 16]) >= first.to_bytes(16)

    def _current(self, found: int, now: float) -> Answer | None:
        """The answer with a number, or the one that follows it by now."""
        while found:
            answer = self._answer(found)
            if not answer.expires or answer.expires > now:
                return answer
            found = answer.next
        return None

    def _search_name(self, labels: Labels) -> tuple[int, bool]:
        """The number of the answer that a name has at first, and whether the name exists."""
        if not self._slots:
            return 0, False
        node, hashed = 0, 0
        value = self._value(node)
        for depth, label in enumerate(reversed(labels), 1):
            hashed = hash_label(self._key, hashed, label)
            child = self._find_node(node, hashed, label.lower()) if depth <= self._deepest else 0
            if not child:
                _, below = PAIR.unpack_from(self._pairs, PAIR.size * (value >> PAIR_SHIFT))
                return below, below > 0
            node = child
            value = self._value(node)
        at, _ = PAIR.unpack_from(self._pairs, PAIR.size * (value >> PAIR_SHIFT))
        return at, bool(value & NODE_EXISTS)

    def _value(self, node: int) -> int:
        return int.from_bytes(self._nodes[node : node + self._value_size], "little")

    def _find_node(self, parent: int, hashed: int, label: bytes) -> int:
        """The offset of the node of a label below another one; 0 where there is none."""
        tag = hashed >> 32
        place = ((hashed & 0xFFFFFFFF) * len(self._slots)) >> 32
        while slot := self._slots[place]:
            offset = slot & 0xFFFFFFFF
            if slot >> 32 == tag:
                start = offset + self._value_size + NODE.size
                above, size = NODE.unpack_from(self._nodes, start - NODE.size)
                if above == parent and bytes(self._nodes[start : start + size]) == label:
                    return offset
            place = (place + 1) % len(self._slots)
        return 0

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
        expires, following, ttl, codes, texts = ANSWER.unpack_from(self._answers, at)
        at += ANSWER.size
        numbers = struct.unpack_from(f"<{codes}I", self._answers, at)
        at += 4 * codes
        shown = []
        for _ in range(texts):
            block_list, length, offset = TEXT.unpack_from(self._answers, at)
            at += TEXT.size
            shown.append((block_list, bytes(self._texts[offset : offset + length]).decode("ascii")))
        return Answer(numbers, tuple(shown), ttl, expires, following)

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
