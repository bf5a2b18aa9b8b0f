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
    offsets   32 bits: where in `answers` each answer starts; number 0 means not listed
    answers   expires 64, next 32, ttl 32, codes and texts 16 each; the codes 32; per text list 16, length 16, offset 32
    texts     TXT answers, the listed address marked by a NUL
    prints    fingerprints of the entries (`_prints`): what a reload added and removed

An answer is good until it expires; `next` is the one that holds from then on, and has a smaller number. So a lookup is
right to the second, however long ago the table was made.
"""

import struct
from array import array
from typing import NamedTuple

from dnsbl_server.dns._protocol import CLASS_IN, TYPE_SOA
from dnsbl_server.dns.name import encode_name
from dnsbl_server.model.apex import Soa
from dnsbl_server.table._format import ADDRESS_BYTE

MAGIC = b"DNSBLTAB"
VERSION = 4
ADDRESS_MARK = chr(ADDRESS_BYTE)  # stands for the listed address in a text

SECTIONS = (
    *("meta", "name", "soa", "index4", "first4", "end4", "first6", "last6", "answer6"),
    *("offsets", "answers", "texts", "prints"),
)
INDEX_BITS = 16
HEADER = struct.Struct("<8sIIQ")
SECTION = struct.Struct("<QQ")
BODY = HEADER.size + len(SECTIONS) * SECTION.size
ANSWER = struct.Struct("<QIIHH")
TEXT = struct.Struct("<HHI")
# In front of the data of the SOA record: type, class, TTL, length.
SOA = struct.Struct("!HHIH")


class TableError(ValueError):
    """The buffer is no table that this version can use."""


class Answer(NamedTuple):
    """What a listed address is answered.

    codes: A records as numbers; texts: for each list that matches its number (or NO_LIST) and its text, with the
    listed address marked; ttl: seconds; expires: seconds since 1970, 0 is never; next: the answer from then on.
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


def encode_soa(soa: Soa, serial: int, negative_ttl: int) -> bytes:
    """The section `soa`. The TTL makes negative answers last for negative_ttl (RFC 2308 section 5)."""
    times = soa.refresh, soa.retry, soa.expire
    data = encode_name(soa.mname) + encode_name(soa.rname) + struct.pack("!5I", serial, *times, negative_ttl)
    return SOA.pack(TYPE_SOA, CLASS_IN, negative_ttl, len(data)) + data
