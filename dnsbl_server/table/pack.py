"""Writing a table: what the compiler made, put into the layout with a checksum and a digest of the content.

Owns the order of writing, how one table gets another serial, that equal texts stand in a table once, the index over
IPv4, and how much a table can hold. Knows no listings.
"""

import struct
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b

from dnsbl_server.dns.name import encode_name
from dnsbl_server.table._nodes import lay_out
from dnsbl_server.table.info import TableInfo, answered_part, read_info, write_info
from dnsbl_server.table.layout import (
    ANSWER,
    BODY,
    HEADER,
    INDEX_BITS,
    MAGIC,
    SECTION,
    SECTIONS,
    TEXT,
    VERSION,
    Answer,
    Intervals,
    Nodes,
    encode_soa,
)

_Section = bytes | bytearray | memoryview | array  # type: ignore[type-arg]
# Of answers, and of texts: what an offset of 32 bits reaches (see `layout`).
MAX_SECTION = 1 << 32


class TableSizeError(ValueError):
    """There is more to write than a table can hold; the text says of what."""


def pack(
    info: TableInfo,
    v4: Intervals,
    v6: Intervals,
    answers: Sequence[Answer],
    prints: bytes,
    names: Nodes | None = None,
    key: bytes = bytes(16),
) -> bytes:
    """Write a table.

    The answer with number n is `answers[n - 1]`; info: what the table says of the zone; prints: a set of
    fingerprints; key: of the hashes of names, which nobody must know who can choose names. Raises TableSizeError.
    """
    offsets = array("I", [0])
    records = bytearray()
    texts = bytearray()
    places: dict[str, int] = {}
    for answer in answers:
        if len(records) >= MAX_SECTION:
            raise TableSizeError("its different answers take more than 4 GiB")
        offsets.append(len(records))
        records += ANSWER.pack(answer.expires, answer.next, answer.ttl, len(answer.codes), len(answer.texts))
        records += struct.pack(f"<{len(answer.codes)}I", *answer.codes)
        for number, text in answer.texts:
            offset = places.get(text)
            if offset is None:
                offset = places[text] = len(texts)
                if offset + len(text) > MAX_SECTION:
                    raise TableSizeError("its different texts take more than 4 GiB")
                texts += text.encode("ascii")
            records += TEXT.pack(number, len(text), offset)
    firsts = array("I", v4.firsts)
    ends = array("I", bytes(8 * len(firsts)))
    ends[0::2] = array("I", v4.lasts)
    ends[1::2] = v4.answers
    nodes: _Section = b""
    pairs: _Section = b""
    found: list[_Section] = [b"", b""]
    if names and names.parents:
        try:
            nodes, pairs, *found = lay_out(names, key)
        except OverflowError as error:
            raise TableSizeError(str(error)) from None
    columns: list[_Section] = [_index(firsts), firsts, ends, *v6, nodes, pairs, offsets, records, texts, prints]
    # The key is another one in every table, and what is answered the same.
    digest = blake2b(answered_part(info), digest_size=16)
    for column in columns:
        digest.update(len(column).to_bytes(8))
        digest.update(column)
    return _put_together(replace(info, digest=digest.hexdigest()), [*columns, *found])


def info_of(table: bytes) -> TableInfo:
    """What a table says of its zone."""
    offset, size = SECTION.unpack_from(table, HEADER.size)
    return read_info(table[offset : offset + size])


def with_serial(table: bytes, serial: int) -> bytes:
    """The table with another serial."""
    view = memoryview(table)
    places = [SECTION.unpack_from(table, HEADER.size + number * SECTION.size) for number in range(len(SECTIONS))]
    columns = [view[offset : offset + size] for offset, size in places[SECTIONS.index("index4") :]]
    return _put_together(replace(info_of(table), serial=serial), columns)


def _put_together(info: TableInfo, columns: Iterable[_Section]) -> bytes:
    """The table of these columns, behind the sections that come from the info."""
    soa = encode_soa(info.soa, info.serial, info.negative_ttl)
    sections: list[_Section] = [write_info(info), encode_name(info.zone), soa, *columns]
    directory = bytearray()
    body: list[bytes | memoryview] = []
    size = BODY
    for section in sections:
        content = memoryview(section).cast("B")
        directory += SECTION.pack(size, len(content))
        padding = bytes(-len(content) % 8)
        body += (content, padding)
        size += len(content) + len(padding)
    checksum = zlib.crc32(directory)
    for part in body:
        checksum = zlib.crc32(part, checksum)
    # Put together in one step: the columns of a large list are there a second time already.
    return b"".join((HEADER.pack(MAGIC, VERSION, checksum, size), directory, *body))


def _index(firsts: "array[int]") -> "array[int]":
    """How many intervals start before each bucket of the address space, and in all; no larger than the table."""
    bits = min(INDEX_BITS, len(firsts).bit_length())
    return array("I", [bisect_left(firsts, bucket << (32 - bits)) for bucket in range((1 << bits) + 1)])
