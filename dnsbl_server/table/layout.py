"""The layout of a table: one flat, pointer-free, read-only buffer for each zone.

Owns which sections there are, what stands in them, and what is fixed about them: `pack` writes them, `_sections` checks
them, `table` and `_search` read them. The numbers that compiled modules need too are in `_format`. Little-endian; all
offsets count from the start of the buffer.

    header    magic, version, CRC-32 of all that follows, size, then offset and length of each section
    meta      JSON: what the table says of its zone (`info`)
    name      the zone's name, wire form
    soa       the SOA record of negative answers behind its owner: type, class, TTL, length, data
    index4    for each value of an address's first bits (16, fewer in a small table) how many intervals start before it
    first4    32 bits: the first address of each IPv4 interval; sorted and disjoint
    end4      32 bits each: last address and number of the answer
    first6, last6, answer6    the same for IPv6, addresses of 16 bytes, big-endian; no index
    nodes     the tree of the domain names, labels from right to left: for each name and each name above one its value,
              the offset of its parent 32, length of the label 8, the label in lower case; not aligned. The root is
              first, parents stand before their children, depth first, siblings in the order of their labels
    pairs     32 bits each: the number of the answer of a name itself, and of all names below it that have no node
    offsets   32 bits: where in `answers` each answer starts; number 0 means not listed
    answers   expires 64, next 32, ttl 32, codes and texts 16 each; the codes 32; per text list 16, length 16, offset 32
    texts     TXT answers; a NUL stands for the address, and 1 and a number for so many last labels of the name
    prints    fingerprints of the entries (`_prints`): what a reload added and removed
    hashing   the key of the hashes of names, 16 bytes; the most labels of a name 32; how many bytes a value has 32
    slots     64 bits each: the upper half of the hash of a name (`siphash`) and the offset of its node, or 0

The value of a node is the number of its pair, shifted by two, with NODE_EXISTS where the name or one below it is
listed, and NODE_INNER where it has children. Both answers of a pair are complete, so a search needs only the closest
encloser of a name. A node is in the first free slot at or behind `(low half of the hash * count of slots) >> 32`. A
table without names has none of these four sections.

An answer is good until it expires; `next` is the one that holds from then on, and has a smaller number. So a lookup is
right to the second, however long ago the table was made.
"""

import struct
from array import array
from typing import NamedTuple

from dnsbl_server.dns._protocol import CLASS_IN, TYPE_SOA
from dnsbl_server.dns.name import encode_name
from dnsbl_server.model.apex import Soa
from dnsbl_server.table._format import ADDRESS_BYTE, LABELS_BYTE

MAGIC = b"DNSBLTAB"
VERSION = 5
ADDRESS_MARK = chr(ADDRESS_BYTE)  # stands for the listed address in a text
LABELS_MARK = chr(LABELS_BYTE)  # with the number of labels behind it, stands for the listed name

SECTIONS = (
    *("meta", "name", "soa", "index4", "first4", "end4", "first6", "last6", "answer6", "nodes", "pairs"),
    *("offsets", "answers", "texts", "prints", "hashing", "slots"),
)
INDEX_BITS = 16
HEADER = struct.Struct("<8sIIQ")
SECTION = struct.Struct("<QQ")
BODY = HEADER.size + len(SECTIONS) * SECTION.size
ANSWER = struct.Struct("<QIIHH")
TEXT = struct.Struct("<HHI")
# Behind the value of a node: its parent and the length of its label.
NODE = struct.Struct("<IB")
PAIR = struct.Struct("<II")
HASHING = struct.Struct("<16sII")
SLOT = struct.Struct("<Q")
# In front of the data of the SOA record: type, class, TTL, length.
SOA = struct.Struct("!HHIH")


class TableError(ValueError):
    """The buffer is no table that this version can use."""


class Answer(NamedTuple):
    """What a listed address is answered.

    codes: A records as numbers; texts: for each list that matches its number (or NO_LIST) and its text, with the
    listed address or name marked; ttl: seconds; expires: seconds since 1970, 0 is never; next: the answer from then on.
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


class Nodes(NamedTuple):
    """The tree of the domain names, in columns; nodes are numbered from 1 in their order, and the root is 0.

    labels: in lower case, each behind its length; parents: their numbers; at, below: the numbers of the answers of the
    name itself, and of all names below it that have no node, 0 for none. The last three: array "I".
    """

    labels: bytes
    parents: "array[int]"
    at: "array[int]"
    below: "array[int]"


def no_nodes() -> Nodes:
    """The tree of a zone without names."""
    return Nodes(b"", array("I"), array("I"), array("I"))


def mark_of(labels: int) -> str:
    """What stands in a text for the listed name, which has so many labels."""
    return LABELS_MARK + chr(labels)


def encode_soa(soa: Soa, serial: int, negative_ttl: int) -> bytes:
    """The section `soa`. The TTL makes negative answers last for negative_ttl (RFC 2308 section 5)."""
    times = soa.refresh, soa.retry, soa.expire
    data = encode_name(soa.mname) + encode_name(soa.rname) + struct.pack("!5I", serial, *times, negative_ttl)
    return SOA.pack(TYPE_SOA, CLASS_IN, negative_ttl, len(data)) + data
