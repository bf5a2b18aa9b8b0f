"""The tree of domain names in a table: what is written, byte for byte, and that a name finds its closest encloser."""

import struct
from array import array
from collections.abc import Mapping
from mmap import MAP_PRIVATE, PROT_READ, mmap
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsbl_server.dns.name import labels_of
from dnsbl_server.model.domain import Domain
from dnsbl_server.table._format import NODE_EXISTS, NODE_INNER, PAIR_SHIFT
from dnsbl_server.table._nodes import lay_out
from dnsbl_server.table.layout import HASHING, NODE, PAIR, Answer, Nodes
from dnsbl_server.table.pack import TableSizeError, pack
from dnsbl_server.table.siphash import hash_label
from dnsbl_server.table.table import ZoneTable
from tests.conftest import NOW
from tests.profiles import examples
from tests.table.test_table import INFO, NO_V4, NO_V6

KEY = bytes(range(16))
ANSWERS = tuple(Answer((0x7F000001 + number,), ((0, f"answer {number}"),), 300) for number in range(1, 6))
# With a key of zeros their hashes have the same upper half, and in a small table they want the same slot.
SAME_TAG = ("n47015", "n68481")

Pair = tuple[int, int]


def nodes_of(names: Mapping[str, Pair]) -> Nodes:
    """The columns of a tree of names: for each the numbers of its own answer, and of the one of names below it.

    Names above them that are not given have for both what the closest given name has for names below it.
    """
    pairs = {tuple(reversed(labels_of(name))): pair for name, pair in names.items()}
    paths = sorted({path[:size] for path in pairs for size in range(1, len(path) + 1)})
    for path in paths:
        pairs.setdefault(path, (pairs.get(path[:-1], (0, 0))[1],) * 2)
    numbers = {path: number for number, path in enumerate(paths, 1)} | {(): 0}
    return Nodes(
        b"".join(bytes([len(path[-1])]) + path[-1] for path in paths),
        array("I", (numbers[path[:-1]] for path in paths)),
        array("I", (pairs[path][0] for path in paths)),
        array("I", (pairs[path][1] for path in paths)),
    )


def table_of(names: Mapping[str, Pair], key: bytes = KEY, answers: tuple[Answer, ...] = ANSWERS) -> bytes:
    return pack(INFO, NO_V4, NO_V6, answers, b"", nodes_of(names), key)


def test_what_is_written() -> None:
    names = {"b.com": (1, 2), "a.b.com": (3, 0), "d.com": (0, 2), "c.c.d.com": (1, 2), "x.org": (0, 0)}
    nodes, pairs, hashing, slots = lay_out(nodes_of(names), KEY)
    expected = (
        # Label, number of the parent, number of the pair, bits
        (b"", 0, 0, NODE_EXISTS | NODE_INNER),
        (b"com", 0, 0, NODE_EXISTS | NODE_INNER),
        (b"b", 1, 1, NODE_EXISTS | NODE_INNER),
        (b"a", 2, 2, NODE_EXISTS),
        (b"d", 1, 3, NODE_EXISTS | NODE_INNER),
        (b"c", 4, 4, NODE_EXISTS | NODE_INNER),
        (b"c", 5, 1, NODE_EXISTS),
        # Nothing is listed there, but something may be excluded.
        (b"org", 0, 0, NODE_INNER),
        (b"x", 7, 0, 0),
    )
    offsets: list[int] = []
    written = b""
    for label, parent, pair, bits in expected:
        offsets.append(len(written))
        written += bytes([pair << PAIR_SHIFT | bits]) + NODE.pack(offsets[parent], len(label)) + label
    assert nodes == written
    assert pairs == b"".join(PAIR.pack(*pair) for pair in ((0, 0), (1, 2), (3, 0), (0, 2), (2, 2)))
    assert hashing == HASHING.pack(KEY, 4, 1)
    # Each node but the root in the first slot for its hash that was free.
    count = len(slots) // 8
    hashes = [0]
    free = [0] * count
    for (label, parent, _, _), offset in zip(expected[1:], offsets[1:], strict=True):
        hashes.append(hash_label(KEY, hashes[parent], label))
        place = (hashes[-1] & 0xFFFFFFFF) * count >> 32
        while free[place]:
            place = (place + 1) % count
        free[place] = hashes[-1] >> 32 << 32 | offset
    assert slots == struct.pack(f"<{count}Q", *free)
    assert 3 * count >= 4 * 8


def test_a_tree_without_names_has_no_sections() -> None:
    none = pack(INFO, NO_V4, NO_V6, ANSWERS, b"", nodes_of({}))
    assert none == pack(INFO, NO_V4, NO_V6, ANSWERS, b"")
    assert ZoneTable(none).find_name((b"com",), NOW) == (None, False)


def test_equal_pairs_are_kept_once() -> None:
    distinct = {f"n{number}": (1 + number % 300, number // 300) for number in range(60_000)}
    _, pairs, _, _ = lay_out(nodes_of(distinct | {f"m{number}": (7, 5) for number in range(1000)}), KEY)
    assert pairs[:8] == bytes(8)
    assert len(set(PAIR.iter_unpack(pairs))) == len(pairs) // 8 == 60_001


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 63, 1000])
def test_slots_have_room(count: int) -> None:
    _, _, _, slots = lay_out(nodes_of({f"n{number}": (1, 0) for number in range(count)}), KEY)
    taken = sum(slot != (0,) for slot in struct.iter_unpack("<Q", slots))
    assert taken == count
    assert 4 * taken <= 3 * len(slots) // 8


def test_the_key_decides_the_slots_and_nothing_else() -> None:
    names = {f"n{number}.com": (1, 0) for number in range(50)}
    one, other = lay_out(nodes_of(names), KEY), lay_out(nodes_of(names), bytes(16))
    assert one[:2] == other[:2]
    assert one[3] != other[3]
    tables = [ZoneTable(table_of(names, key)) for key in (KEY, bytes(16))]
    assert tables[0].info == tables[1].info


SHORT = nodes_of({"a.com": (1, 1), "b.com": (1, 1)})
WRONG = {
    "no nodes": nodes_of({}),
    "no labels": SHORT._replace(labels=b""),
    "a label too few": SHORT._replace(labels=SHORT.labels[:-2]),
    "a label too many": SHORT._replace(labels=SHORT.labels + b"\1a"),
    "half a label": SHORT._replace(labels=SHORT.labels[:-1]),
    "a node that is its own parent": SHORT._replace(parents=array("I", [1, 1, 1])),
    "a parent behind its child": SHORT._replace(parents=array("I", [0, 3, 1])),
    "fewer answers than nodes": SHORT._replace(at=SHORT.at[1:]),
    "more answers than nodes": SHORT._replace(below=SHORT.below + SHORT.below),
    "more labels than a name has": nodes_of({".".join("a" * 128): (1, 1)}),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_columns_that_do_not_fit_each_other(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"columns of nodes|no node"):
        lay_out(WRONG[wrong], KEY)


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_key_has_16_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="fit each other"):
        lay_out(SHORT, bytes(size))


def test_the_most_that_a_table_can_hold() -> None:
    # The size alone decides: nothing of it is read.
    labels: Any = mmap(-1, 1 << 32, MAP_PRIVATE, PROT_READ)
    with pytest.raises(TableSizeError, match="domain names take more than 4 GiB"):
        pack(INFO, NO_V4, NO_V6, ANSWERS, b"", SHORT._replace(labels=labels))


def test_two_names_of_one_tag_are_kept_apart() -> None:
    hashes = [hash_label(bytes(16), 0, label.encode()) for label in SAME_TAG]
    assert len({hashed >> 32 for hashed in hashes}) == 1
    one, other = SAME_TAG
    both = ZoneTable(table_of({one: (1, 2), other: (3, 4)}, bytes(16)))
    assert [both.find(Domain(name), NOW) for name in (one, other, f"a.{one}", f"a.{other}")] == [
        ANSWERS[number] for number in (0, 2, 1, 3)
    ]
    for listed, missing in (SAME_TAG, SAME_TAG[::-1]):
        table = ZoneTable(table_of({listed: (1, 1)}, bytes(16)))
        assert table.find_name(labels_of(listed), NOW) == (ANSWERS[0], True)
        assert table.find_name(labels_of(missing), NOW) == (None, False)


LABELS = ("a", "b", "ab", "aa", "com", "-", "_", "0", "x" * 8, "x" * 63, "y" * 62)


@st.composite
def trees(draw: st.DrawFn) -> dict[str, Pair]:
    """Names of a few labels, with pairs of answers; some of both are 0."""
    names = st.lists(st.sampled_from(LABELS), min_size=1, max_size=3).map(".".join)
    number = st.integers(0, len(ANSWERS))
    return draw(st.dictionaries(names, st.tuples(number, number), min_size=1, max_size=20))


@given(trees(), st.binary(min_size=16, max_size=16))
@settings(max_examples=examples(2))
def test_a_name_finds_its_closest_encloser(names: dict[str, Pair], key: bytes) -> None:
    table = ZoneTable(table_of(names, key))
    listed = {name for name, (at, below) in names.items() if at or below}
    fronts = ("", "q.", "a.", "b.com.", "xy")
    asked = {f"{front}{name}"[at:] for name in names for front in fronts for at in (0, 1, 2)}
    for name in filter(None, (each.removeprefix(".") for each in asked)):
        above = [other for other in names if f".{name}".endswith(f".{other}")]
        closest = max(above, key=len, default=None)
        number = 0 if closest is None else names[closest][closest != name]
        # A name above a given one has a node, and so has the answer of names below the closest given one.
        is_above = any(f".{other}".endswith(f".{name}") for other in listed)
        expected = (ANSWERS[number - 1] if number else None, number > 0 or is_above)
        assert table.find_name(labels_of(name), NOW) == expected
        assert table.find_name(labels_of(name.upper()), NOW) == expected
        assert table.find(Domain(name), NOW) == expected[0]


@pytest.mark.parametrize(("pairs", "size"), [(2, 1), (64, 1), (65, 2), (16_384, 2), (16_385, 3)])
def test_a_value_has_as_many_bytes_as_the_pairs_need(pairs: int, size: int) -> None:
    names = {f"n{number}": (number, 0) for number in range(1, pairs)}
    assert HASHING.unpack(lay_out(nodes_of(names), KEY)[2])[2] == size
    answers = [Answer((0x7F000000 + number,), ((0, ""),), 300) for number in range(1, pairs)]
    table = ZoneTable(pack(INFO, NO_V4, NO_V6, answers, b"", nodes_of(names), KEY))
    for number in {1, 2, pairs // 2, pairs - 1} - {pairs}:
        answer, exists = table.find_name((b"n%d" % number,), NOW)
        assert exists == (number < pairs)
        assert answer == (answers[number - 1] if number < pairs else None)
