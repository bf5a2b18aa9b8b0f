"""Damaged tables: whatever is wrong in one, it is refused, or answers what its specification answers.

The invariant: a table whose bytes were changed anywhere, with its checksum and size put right again, so that only the
checks of what stands in it are left, is either refused with TableError, or every answer from it is that of `respond`.
That nothing is read out of bounds shows in the sanitized build: there is a second copy of each table that has every
section in a block of memory of its own.
"""

import struct
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsbl_server.answer import _probe
from dnsbl_server.answer._directory import Directory
from dnsbl_server.dns.reversed import query_name
from dnsbl_server.model.address import Address
from dnsbl_server.table import _sections
from dnsbl_server.table._format import NO_LIST, NODE_EXISTS, NODE_INNER, PAIR_SHIFT
from dnsbl_server.table.info import ListInfo
from dnsbl_server.table.layout import NODE, Answer, Intervals, Nodes, TableError, mark_of
from dnsbl_server.table.pack import pack
from dnsbl_server.table.siphash import hash_label
from dnsbl_server.table.table import ZoneTable
from tests.asking import header, name_of, opt, question
from tests.conftest import NOW
from tests.profiles import examples
from tests.sameness import Both
from tests.table.test_nodes import nodes_of
from tests.table.test_table import INFO, NO_V4, NO_V6, columns4, columns6

Sections = dict[str, bytes]

HEADER = struct.Struct("<8sIIQ")
PLACE = struct.Struct("<QQ")
NAMES = (
    *("meta", "name", "soa", "index4", "first4", "end4", "first6", "last6", "answer6", "nodes", "pairs"),
    *("offsets", "answers", "texts", "prints", "hashing", "slots"),
)
BODY = HEADER.size + len(NAMES) * PLACE.size
SOON = int(NOW) + 10
PLAIN = Answer((0x7F000002,), ((0, "\0 is listed"),), 300)
# Each is followed by the one before it.
CHAIN = (PLAIN, *(Answer((0x7F000002 + number,), ((1, "\0"),), 60, SOON - number, number) for number in range(1, 6)))
MANY_LISTS = tuple(ListInfo(f"list{number}", 1, 0, 0) for number in range(30))
ALL_LISTS = Answer(
    tuple(range(0x7F000002, 0x7F000020)), tuple((number, f"\0: {number} " * 9) for number in range(30)), 5
)
MIXED = (
    PLAIN,
    Answer((0x7F000003, 0x7F000009), ((0, "\0 is listed"), (1, "dynamic")), 60, SOON, 1),
    Answer((0x7F000004,), ((NO_LIST, ""),), 0, SOON + 10, 0),
)


# What answers of names show: a label, two, and in turn what is behind an expiry.
SHOWING = (
    Answer((0x7F000002,), ((0, f"{mark_of(1)} is listed"), (NO_LIST, "")), 300),
    Answer((0x7F000003,), ((1, f"{mark_of(2)} and {mark_of(1)}"),), 60, SOON, 1),
    Answer((0x7F000004,), ((0, "no mark"),), 60, SOON + 10, 2),
)
NAMED = {
    "com": (1, 0),
    "b.com": (2, 1),
    "a.b.com": (1, 2),
    "d.com": (0, 3),
    "c.c.d.com": (3, 3),
    "x.org": (0, 0),
    "a.net": (1, 0),
}
DEEP = {".".join("d" * number): (1, 1) for number in (1, 7, 30, 119)} | {f"{'x' * 63}.{'y' * 63}": (2, 1)}


def named(names: Mapping[str, tuple[int, int]], v4: Intervals = NO_V4, v6: Intervals = NO_V6, *more: Answer) -> bytes:
    """A table with names."""
    return pack(INFO, v4, v6, (*SHOWING, *more), b"", nodes_of(names), bytes(range(16)))


def hosts(count: int) -> list[tuple[int, int, int]]:
    """IPv4 hosts all over the address space, with the answers 1 to 3."""
    step = (1 << 32) // (count + 1)
    return [(number * step, number * step + number % 3, number % 3 + 1) for number in range(1, count + 1)]


def sixes(count: int) -> list[tuple[int, int, int]]:
    """IPv6 ranges, with the answers 1 to 3."""
    return [(number << 90, (number << 90) + number, number % 3 + 1) for number in range(1, count + 1)]


# Names of four octets that are the end of an IPv6 name too, as the first 16 bits of an address
BELOW = (0x0008, 0x8888)
TABLES = {
    "empty": pack(INFO, NO_V4, NO_V6, (), b""),
    "one address": pack(INFO, columns4((0xC0000201, 0xC0000201, 1)), NO_V6, (PLAIN,), b"\1\2\3"),
    "all of it": pack(INFO, columns4((0, 0xFFFFFFFF, 1)), columns6((0, (1 << 128) - 1, 1)), (PLAIN,), b""),
    "a chain of expiries": pack(INFO, columns4((9, 20, 6), (21, 21, 3)), columns6((9, 9, 6)), CHAIN, bytes(9)),
    "many lists": pack(replace(INFO, lists=MANY_LISTS), columns4((9, 9, 1)), columns6((9, 9, 1)), (ALL_LISTS,), b""),
    "IPv6": pack(
        INFO, columns4((0, 9, 1)), columns6(*((n << 90, (n << 90) + n, n % 3 + 1) for n in range(1, 40))), MIXED, b""
    ),
    "both": pack(INFO, columns4(*hosts(10)), columns6((0, 5, 1), (1 << 64, (1 << 64) + 1, 3)), MIXED, bytes(33)),
    "names": named(NAMED),
    "one name": named({"com": (1, 1)}),
    "names and addresses": named(
        NAMED, columns4((0, 9, 4)), columns6((9, 9, 4), (0x8888 << 112, 0x8888 << 112, 4)), PLAIN
    ),
    "deep names": named(DEEP),
    "many names": named({f"n{number}.tld{number % 40}": (number % 3, number % 4) for number in range(600)}),
    "an index of 10 bits": pack(INFO, columns4(*hosts(600)), NO_V6, MIXED, bytes(1800)),
    "an index of 16 bits": pack(INFO, columns4(*hosts(40000)), NO_V6, MIXED, b""),
}
SMALL = [shape for shape, buffer in TABLES.items() if len(buffer) < 10000]
# What they hold, and what may be below, above and beside it
NAMES_ASKED = (*NAMED, *DEEP, *(f"n{number}.tld{number}" for number in range(5)), "8.8.8.8", "8.8", "com.8.8.8")
# What stands at the border of something, or is no address, number or offset at all.
BORDERS = (
    0,
    1,
    2,
    3,
    7,
    255,
    256,
    65535,
    65536,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFE,
    0xFFFFFFFF,
    1 << 63,
    (1 << 64) - 1,
)


# Damage ---------------------------------------------------------------------------------------------------------------


def sections_of(buffer: bytes) -> Sections:
    """The sections of a table by name, as its directory says."""
    places = (PLACE.unpack_from(buffer, HEADER.size + number * PLACE.size) for number in range(len(NAMES)))
    return {name: buffer[at : at + size] for name, (at, size) in zip(NAMES, places, strict=True)}


def sealed(buffer: bytes | bytearray) -> bytes:
    """A table with the checksum and the size that it should have."""
    magic, version, _, _ = HEADER.unpack_from(buffer)
    rest = bytes(buffer[HEADER.size :])
    return HEADER.pack(magic, version, zlib.crc32(rest), len(buffer)) + rest


def assemble(sections: Mapping[str, bytes | bytearray]) -> bytes:
    """A table of these sections."""
    directory = bytearray()
    body = bytearray()
    for name in NAMES:
        directory += PLACE.pack(BODY + len(body), len(sections[name]))
        body += sections[name] + bytes(-len(sections[name]) % 8)
    return sealed(TABLES["empty"][: HEADER.size] + directory + body)


@pytest.mark.parametrize("number", range(len(NAMES)))
def test_a_section_that_passes_the_end_is_refused(number: int) -> None:
    buffer = bytearray(TABLES["both"])
    at = HEADER.size + number * PLACE.size
    offset, _ = PLACE.unpack_from(buffer, at)
    PLACE.pack_into(buffer, at, offset, len(buffer) - offset + 1)
    with pytest.raises(TableError, match=f"^section {NAMES[number]} passes the end$"):
        ZoneTable(sealed(buffer))


def flip(random: Random, buffer: bytes) -> bytes:
    """Bytes changed anywhere."""
    damaged = bytearray(buffer)
    for _ in range(random.choice((1, 1, 2, 8))):
        damaged[random.randrange(HEADER.size, len(damaged))] ^= random.choice((1, 2, 0x10, 0x80, 0xFF))
    return sealed(damaged)


def put_word(random: Random, buffer: bytes) -> bytes:
    """Numbers put over aligned words of a section."""
    sections = {name: bytearray(section) for name, section in sections_of(buffer).items()}
    for _ in range(random.choice((1, 1, 2, 5))):
        section = sections[random.choice([name for name in NAMES[1:] if sections[name]])]
        size = random.choice((1, 2, 4, 4, 4, 8))
        at = random.randrange(0, len(section), size)
        near = int.from_bytes(section[at : at + size], "little") + random.choice((-1, 1, size, -size))
        other = random.choice([len(each) for each in sections.values()]) + random.choice((-20, -8, -1, 0, 1))
        number = random.choice((random.choice(BORDERS), near, other, other // 4, random.getrandbits(8 * size)))
        word = (number % (1 << 8 * size)).to_bytes(size, "little")
        section[at : at + size] = word[: len(section) - at]
    return assemble(sections)


def swap_words(random: Random, buffer: bytes) -> bytes:
    """Two words of a section in each other's place."""
    sections = {name: bytearray(section) for name, section in sections_of(buffer).items()}
    section = sections[random.choice([name for name in NAMES if len(sections[name]) >= 16])]
    size = random.choice((4, 8, 16))
    one, other = (random.randrange(0, len(section) - size + 1, size) for _ in range(2))
    section[one : one + size], section[other : other + size] = (
        section[other : other + size],
        section[one : one + size],
    )
    return assemble(sections)


def resize(random: Random, buffer: bytes) -> bytes:
    """Sections that are longer or shorter."""
    sections = sections_of(buffer)
    for _ in range(random.choice((1, 1, 2, 3))):
        name = random.choice(NAMES)
        step = random.choice((1, 4, 8, 16)) * random.choice((1, 1, 2, 9))
        kept = max(0, len(sections[name]) - step)
        grown = sections[name] + random.choice((bytes(step), random.randbytes(step), sections[name][-step:]))
        sections[name] = random.choice((sections[name][:kept], sections[name][step:], b"", grown))
    return assemble(sections)


def swap(random: Random, buffer: bytes) -> bytes:
    """A section in the place of another one, or in both."""
    sections = sections_of(buffer)
    one, other = random.sample(NAMES, 2)
    sections[one], sections[other] = sections[other], random.choice((sections[one], sections[other]))
    return assemble(sections)


def misplace(random: Random, buffer: bytes) -> bytes:
    """A directory that is wrong."""
    damaged = bytearray(buffer)
    for _ in range(random.choice((1, 1, 2))):
        at = HEADER.size + random.randrange(len(NAMES)) * PLACE.size
        offset, size = PLACE.unpack_from(damaged, at)
        step = random.choice((-16, -8, -4, -1, 1, 4, 8, 16))
        offset, size = random.choice(
            (
                (offset + step, size),
                (offset, size + step),
                (offset + step, size - step),
                (random.randrange(0, len(buffer), 8), size),
                (random.choice(BORDERS), size),
                (offset, random.choice(BORDERS)),
                (len(buffer) - size, size),
            )
        )
        PLACE.pack_into(damaged, at, offset % (1 << 64), size % (1 << 64))
    return sealed(damaged)


DAMAGES: tuple[Callable[[Random, bytes], bytes], ...] = (flip, put_word, put_word, swap_words, resize, swap, misplace)


# What must hold -------------------------------------------------------------------------------------------------------


def memory_of(sections: Mapping[str, bytes]) -> dict[str, memoryview]:
    """Each section in a block of memory of its own, which has not a byte more."""
    return {name: memoryview(array("B", section)[:]) for name, section in sections.items()}


def packets(random: Random, table: ZoneTable, count: int) -> Iterator[bytes]:
    """Queries for addresses at and around the intervals of a table, and for others."""
    zone = table.info.zone
    edges = [
        Address(version, (edge + step) % (1 << (32 if version == 4 else 128)))
        for version in (4, 6)
        for interval in islice(table.intervals(version), 50)
        for edge in interval
        for step in (-1, 0, 1)
    ]
    for _ in range(count):
        anywhere = (Address(4, random.getrandbits(32)), Address(6, random.getrandbits(128)))
        address = random.choice([*edges, *anywhere])
        if address.version == 4 and random.random() < 0.2:
            address = Address(6, 0xFFFF << 32 | address.number)
        name = name_of(query_name(address, zone).rstrip("."))
        if random.random() < 0.5:
            labels = random.choice(NAMES_ASKED).split(".")
            labels[random.randrange(len(labels))] = random.choice(("com", "q", *labels))
            labels = [*random.choice(((), ("q",), ("a", "b"))), *labels]
            name = name_of(".".join([*labels, zone])[-253:].lstrip("."))
        has_edns = random.random() < 0.5
        edns = opt(random.choice((512, 1232, 4096)), flags=random.choice((0, 0x8000))) if has_edns else b""
        yield header(counts=(1, 0, 0, has_edns)) + question(name, random.choice((1, 16, 16, 255, 28))) + edns


def check(random: Random, buffer: bytes, count: int = 12) -> bool:
    """Fail unless a table is refused, or answers what it should; whether it is taken."""
    with suppress(ValueError):
        # The checks themselves must not read behind a section either.
        _sections.Sections(memory_of(sections_of(buffer)), 2)
    try:
        table = ZoneTable(buffer)
    except TableError:
        return False
    both = Both([table])
    apart = Directory([_sections.Sections(memory_of(sections_of(buffer)), len(table.info.lists))])
    for packet in packets(random, table, count):
        now = random.choice((NOW, SOON - 2.5, float(SOON), SOON + 10.0, 0.0, 1e12))
        tcp = random.random() < 0.3
        both.check(packet, now, tcp)
        assert _probe.answer(apart, packet, now, tcp) == _probe.answer(both.directory, packet, now, tcp)
    table.changes_since(ZoneTable(TABLES["both"]))
    return True


@pytest.mark.parametrize("shape", TABLES)
def test_a_table_put_together_again_is_the_same(shape: str) -> None:
    assert assemble(sections_of(TABLES[shape])) == TABLES[shape]
    assert check(Random(1), TABLES[shape], 200)


# In a quick run every third byte.
EVERY = 4 - min(3, examples(0.03))


@pytest.mark.parametrize("shape", SMALL)
@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_every_byte_changed(shape: str, mask: int) -> None:
    random = Random(mask)
    damaged = bytearray(TABLES[shape])
    taken = 0
    for at in range(0, len(damaged), EVERY):
        damaged[at] ^= mask
        taken += check(random, sealed(damaged), 2)
        damaged[at] ^= mask
    assert 0 < taken < len(damaged) // EVERY


@pytest.mark.parametrize("damage", sorted({damage.__name__: damage for damage in DAMAGES}))
@given(shape=st.sampled_from(SMALL), seed=st.integers(0, 1 << 63))
@settings(max_examples=examples(2))
def test_any_damage_of_one_kind(damage: str, shape: str, seed: int) -> None:
    random = Random(seed)
    for _ in range(10):
        check(random, globals()[damage](random, TABLES[shape]))


@given(shape=st.sampled_from(list(TABLES)), seed=st.integers(0, 1 << 63))
@settings(max_examples=examples(2))
def test_damages_of_all_kinds(shape: str, seed: int) -> None:
    random = Random(seed)
    for _ in range(3):
        buffer = TABLES[shape]
        for _ in range(random.randint(1, 4)):
            buffer = random.choice(DAMAGES)(random, buffer)
        check(random, buffer)


def changed(shape: str, **changes: Callable[[bytes], bytes]) -> bytes:
    """A table with some of its sections changed."""
    sections = sections_of(TABLES[shape])
    return assemble({**sections, **{name: change(sections[name]) for name, change in changes.items()}})


def over(at: int, word: bytes) -> Callable[[bytes], bytes]:
    return lambda section: section[:at] + word + section[at + len(word) :]


def shorter(count: int) -> Callable[[bytes], bytes]:
    return lambda section: section[:-count]


def make(*answers: Answer, v4: Intervals = NO_V4, v6: Intervals = NO_V6) -> bytes:
    return pack(INFO, v4, v6, answers, b"")


def columns(tree: Nodes, at: int = 0, below: int = 0) -> bytes:
    """A table of a tree that is made by hand, whose last node has these answers."""
    answers = array("I", [*[0] * (len(tree.parents) - 1), at]), array("I", [*[0] * (len(tree.parents) - 1), below])
    return pack(INFO, NO_V4, NO_V6, SHOWING, b"", tree._replace(at=answers[0], below=answers[1]))


def tree_of(*nodes: tuple[bytes, int]) -> Nodes:
    """A tree of labels with the numbers of their parents, in this order."""
    labels = b"".join(bytes([len(label)]) + label for label, _ in nodes)
    none = array("I", bytes(4 * len(nodes)))
    return Nodes(labels, array("I", [parent for _, parent in nodes]), none, none)


def value_of(shape: str, label: bytes, change: Callable[[int], int]) -> bytes:
    """A table with the value of a node changed."""
    nodes = sections_of(TABLES[shape])["nodes"]
    at = nodes.index(bytes([len(label)]) + label) - 5
    return changed(shape, nodes=over(at, bytes([change(nodes[at])])))


def slots_of(shape: str, change: Callable[[list[int]], list[int]]) -> bytes:
    """A table with its slots changed."""
    slots = change(list(memoryview(sections_of(TABLES[shape])["slots"]).cast("Q")))
    return changed(shape, slots=lambda section: array("Q", slots).tobytes())


def without_last(slots: list[int]) -> list[int]:
    """The last node that is in a slot in none."""
    last = max(number for number, slot in enumerate(slots) if slot)
    return [*slots[:last], 0, *slots[last + 1 :]]


def once_more(slots: list[int]) -> list[int]:
    """The first node that is in a slot in a second one, too."""
    taken = next(slot for slot in slots if slot)
    free = slots.index(0)
    return [*slots[:free], taken, *slots[free + 1 :]]


def row_of(count: int) -> bytes:
    """A table whose slots are taken one after the other, as many of them."""
    key = bytes(range(16))
    slots = count + (count + 1) // 2 + 1
    near = (f"n{number}" for number in range(1 << 20))
    chosen = (name for name in near if (hash_label(key, 0, name.encode()) & 0xFFFFFFFF) * slots >> 32 < count // 8)
    return named(dict.fromkeys(islice(chosen, count), (1, 0)))


def crowded() -> bytes:
    """A table whose slots are right, but too few."""
    key = sections_of(TABLES["names"])["hashing"][:16]
    nodes = sections_of(TABLES["names"])["nodes"]
    hashes: dict[int, int] = {}
    at = 0
    while at < len(nodes):
        parent, size = NODE.unpack_from(nodes, at + 1)
        hashes[at] = hash_label(key, hashes[parent], nodes[at + 1 + NODE.size :][:size]) if at else 0
        at += 1 + NODE.size + size
    del hashes[0]
    slots = [0] * (len(hashes) + 1)
    for offset, hashed in hashes.items():
        place = (hashed & 0xFFFFFFFF) * len(slots) >> 32
        while slots[place]:
            place = (place + 1) % len(slots)
        slots[place] = hashed >> 32 << 32 | offset
    return changed("names", slots=lambda section: array("Q", slots).tobytes())


# Each breaks one rule, and no other that is looked at before it.
REFUSED = {
    "IPv4: the end before the start": make(PLAIN, v4=columns4((20, 10, 1))),
    "IPv4: two with an address in common": make(PLAIN, v4=columns4((0, 10, 1), (10, 20, 1))),
    "IPv4: one in another": make(PLAIN, v4=columns4((0, 30, 1), (10, 20, 1))),
    "IPv4: not sorted": make(PLAIN, v4=columns4((20, 30, 1), (0, 10, 1))),
    "IPv4: answer 0": make(PLAIN, v4=columns4((0, 10, 0))),
    "IPv4: an answer behind the last": make(PLAIN, v4=columns4((0, 10, 2))),
    "IPv4: fewer ends than starts": changed("both", end4=shorter(8)),
    "IPv4: fewer starts than ends": changed("both", first4=shorter(4), index4=over(0, bytes(8))),
    "IPv6: the end before the start": make(PLAIN, v6=columns6((20, 10, 1))),
    "IPv6: two with an address in common": make(PLAIN, v6=columns6((0, 10, 1), (10, 20, 1))),
    "IPv6: one in another": make(PLAIN, v6=columns6((0, 30, 1), (10, 20, 1))),
    "IPv6: not sorted": make(PLAIN, v6=columns6((20, 30, 1), (0, 10, 1))),
    "IPv6: answer 0": make(PLAIN, v6=columns6((0, 10, 0))),
    "IPv6: an answer behind the last": make(PLAIN, v6=columns6((0, 10, 2))),
    "IPv6: fewer ends than starts": changed("both", last6=shorter(16)),
    "IPv6: fewer answers than intervals": changed("both", answer6=shorter(4)),
    "the index: one too many": changed("one address", index4=over(0, b"\1")),
    "the index: its end too low": changed("one address", index4=over(8, b"\0")),
    "the index: its end too high": changed("one address", index4=over(8, b"\2")),
    "the index: no power of two": changed("both", index4=shorter(4)),
    "the index: none": changed("empty", index4=lambda section: b""),
    "the index: 17 bits": changed("empty", index4=lambda section: bytes(4 * ((1 << 17) + 1))),
    "answers: no numbers": changed("empty", offsets=lambda section: b""),
    "answers: behind their section": changed("both", offsets=over(4, b"\xff\xff\xff\xff")),
    "answers: at its end": changed("all of it", answers=shorter(len(sections_of(TABLES["all of it"])["answers"]) - 12)),
    "answers: a text cut": changed("one address", answers=shorter(1)),
    "answers: a text that is read for a long time": make(*[PLAIN._replace(texts=((0, "x" * 60_000),) * 1000)] * 100),
    "answers: no codes": make(PLAIN._replace(codes=())),
    "answers: no texts": make(PLAIN._replace(texts=())),
    "answers: followed by itself": make(PLAIN._replace(expires=SOON, next=1)),
    "answers: followed by a later one": make(PLAIN._replace(expires=SOON, next=2), PLAIN),
    "texts: of a list that is none": make(PLAIN._replace(texts=((2, ""),))),
    "texts: cut": changed("one address", texts=shorter(1)),
    "texts: not ASCII": changed("one address", texts=over(3, b"\x80")),
    "texts: half a mark": make(PLAIN._replace(texts=((0, "x\1"),))),
    "texts: a mark of no labels": make(PLAIN._replace(texts=((0, "\1\0"),))),
    "IPv4: an answer that shows labels": make(SHOWING[0], v4=columns4((0, 10, 1))),
    "IPv4: an answer that shows labels later": make(*SHOWING, v4=columns4((0, 10, 3))),
    "IPv6: an answer that shows labels": make(SHOWING[0], v6=columns6((0, 10, 1))),
    "names: an answer that shows an address": named({"com": (4, 0)}, NO_V4, NO_V6, PLAIN),
    "names: an answer that shows an address later": named(
        {"com": (0, 5)}, NO_V4, NO_V6, PLAIN, PLAIN._replace(expires=SOON, next=4, texts=((0, ""),))
    ),
    "names: more labels than there are": named({"com": (2, 0)}),
    "names: more labels than there are, of names below": named({"com": (0, 2)}),
    "names: more labels than there are, later": named({"com": (3, 0)}),
    "names: answer of the name behind the last": named({"com": (4, 0)}),
    "names: answer of names below behind the last": named({"com": (0, 4)}),
    "nodes: none": changed("names", nodes=lambda section: b""),
    "nodes: half a root": changed("names", nodes=lambda section: section[:5]),
    "nodes: without pairs": changed("names", pairs=lambda section: b""),
    "nodes: without a key": changed("names", hashing=lambda section: b""),
    "nodes: without slots": changed("names", slots=lambda section: b""),
    "nodes: without a key and slots": changed("names", hashing=lambda section: b"", slots=lambda section: b""),
    "nodes: pairs alone": changed("empty", pairs=lambda section: bytes(8)),
    "nodes: a key alone": changed("empty", hashing=lambda section: bytes(24)),
    "nodes: slots alone": changed("empty", slots=lambda section: bytes(8)),
    "nodes: a key that is too short": changed("names", hashing=shorter(8)),
    "nodes: a key that is too long": changed("names", hashing=lambda section: section + bytes(8)),
    "nodes: values without bytes": changed("names", hashing=over(20, b"\0")),
    "nodes: values of five bytes": changed("names", hashing=over(20, b"\5")),
    "nodes: values of another size": changed("names", hashing=over(20, b"\2")),
    "nodes: the deepest deeper": changed("names", hashing=over(16, b"\5")),
    "nodes: the deepest less deep": changed("names", hashing=over(16, b"\3")),
    "nodes: the root with a parent": changed("names", nodes=over(1, b"\1")),
    "nodes: the root with a label": changed("names", nodes=over(5, b"\1")),
    "nodes: the root with a pair": changed("names", nodes=over(0, b"\7")),
    "nodes: something in the first pair": changed("names", pairs=over(0, b"\1")),
    "nodes: something in the first pair, for names below": changed("names", pairs=over(4, b"\1")),
    "nodes: cut in a label": changed("names", nodes=shorter(1)),
    "nodes: cut before a label": changed("one name", nodes=shorter(4)),
    "nodes: something behind them": changed("names", nodes=lambda section: section + b"\0" * 8),
    "nodes: an empty label": columns(tree_of((b"", 0))),
    "nodes: a label of 64 bytes": columns(tree_of((b"x" * 64, 0))),
    "nodes: a label in upper case": columns(tree_of((b"Com", 0))),
    "nodes: a label with a dot": columns(tree_of((b"a.b", 0))),
    "nodes: a label with a byte over 127": columns(tree_of((b"a\x80", 0))),
    "nodes: siblings not sorted": columns(tree_of((b"b", 0), (b"a", 0))),
    "nodes: siblings not sorted, of other lengths": columns(tree_of((b"ab", 0), (b"a", 0))),
    "nodes: siblings with one label": columns(tree_of((b"a", 0), (b"a", 0))),
    "nodes: not depth first": columns(tree_of((b"a", 0), (b"b", 0), (b"c", 1))),
    "nodes: a parent that is none": changed("names", nodes=over(7, b"\1")),
    "nodes: their own parents": changed("names", nodes=over(7, b"\x06")),
    "nodes: a name that is too long": named({".".join(["x" * 63, "y" * 63, "z" * 63, "w" * 47]): (1, 0)}),
    "nodes: a name that is too deep": named({".".join("d" * 120): (1, 0)}),
    "nodes: a pair that is none": value_of("names", b"com", lambda value: value + (5 << PAIR_SHIFT)),
    "nodes: children that are not said": value_of("names", b"com", lambda value: value & ~NODE_INNER),
    "nodes: a listed name that does not exist": value_of("one name", b"com", lambda value: value & ~NODE_EXISTS),
    "nodes: a name that does not exist above one": value_of("names", b"net", lambda value: value & ~NODE_EXISTS),
    "slots: another key": changed("names", hashing=over(0, b"\7")),
    "slots: all of them empty": slots_of("names", lambda slots: [0] * len(slots)),
    "slots: one of them empty": slots_of("names", without_last),
    "slots: too many in a row": row_of(560),
    "slots: a node twice": slots_of("many names", once_more),
    "slots: another tag": slots_of("names", lambda slots: [slot ^ (slot > 0) << 40 for slot in slots]),
    "slots: another node": slots_of("names", lambda slots: [slot ^ (slot > 0) << 1 for slot in slots]),
    "slots: in other places": slots_of("many names", lambda slots: [slots[-1], *slots[:-1]]),
    "slots: none free": slots_of("one name", lambda slots: [slot for slot in slots if slot]),
    "slots: more than three of four taken": crowded(),
    "half an item": changed("one address", answer6=lambda section: b"\0\0\0"),
    "the name: another": changed("one address", name=over(1, b"cl")),
    "the name: in upper case": pack(replace(INFO, zone="BL.example.org"), NO_V4, NO_V6, (), b""),
    "the name: the root": pack(replace(INFO, zone=""), NO_V4, NO_V6, (), b""),
    "the SOA record: another TTL": changed("one address", soa=over(7, b"\0")),
    "the SOA record: longer than it says": changed("one address", soa=lambda section: section + b"\0"),
    "the meta: no JSON": changed("one address", meta=lambda section: b"[" * 100000),
    "the meta: a list": changed("one address", meta=lambda section: b"[]"),
}


@pytest.mark.parametrize("rule", REFUSED)
def test_what_breaks_a_rule_is_refused(rule: str) -> None:
    assert not check(Random(rule), REFUSED[rule])


def test_sections_start_at_multiples_of_eight() -> None:
    damaged = bytearray(TABLES["one address"])
    at = HEADER.size + NAMES.index("texts") * PLACE.size
    offset, size = PLACE.unpack_from(damaged, at)
    PLACE.pack_into(damaged, at, offset + 4, size - 4)
    with pytest.raises(TableError, match="multiple of eight"):
        ZoneTable(sealed(damaged))


EXTREMES = {
    "a text of 65535 bytes": Answer((0x7F000002,), ((0, "x" * 65535),), 300),
    "a text of addresses": Answer((0x7F000002,), ((0, "\0" * 1700),), 300),
    "texts of more than any message has": Answer((0x7F000002,), ((0, "x" * 500),) * 132, 300),
    "codes as many as a message has": Answer((0x7F000002,) * 4092, ((0, ""),), 300),
    "codes of more than any message has": Answer((0x7F000002,) * 4200, ((0, ""),), 300),
    "an expiry as late as can be": Answer((0x7F000002,), ((0, ""),), 0xFFFFFFFF, (1 << 64) - 1),
    "an expiry behind the ends of numbers": Answer((0x7F000002,), ((0, ""),), 0xFFFFFFFF, 1 << 53 | 1),
}


@pytest.mark.parametrize("extreme", EXTREMES)
def test_what_no_compiler_writes(extreme: str) -> None:
    table = pack(INFO, columns4((0, 0xFFFFFFFF, 1)), columns6((0, (1 << 128) - 1, 1)), (EXTREMES[extreme],), b"")
    assert check(Random(extreme), table, 60)


def test_half_as_many_slots_in_a_row_are_no_sign_of_damage() -> None:
    assert ZoneTable(row_of(280)).has_addresses is False
