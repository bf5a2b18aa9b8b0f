"""Fingerprints: the same in every process, different for what is different, and counted like multisets."""

from collections import Counter
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl_server.model._names import Names
from dnsbl_server.model._spans import Spans
from dnsbl_server.model.domain import AT, BELOW
from dnsbl_server.table._prints import count_changes, fingerprints
from dnsbl_server.table.siphash import hash_label


def prints_of(raw: bytes) -> list[int]:
    assert len(raw) % 3 == 0
    return [int.from_bytes(raw[at : at + 3], "little") for at in range(0, len(raw), 3)]


def raw_of(prints: list[int]) -> bytes:
    return b"".join(each.to_bytes(3, "little") for each in sorted(prints))


def expected(seed: int, version: int, first: int, last: int) -> int:
    """The fingerprint, written down again: tables of one version of the program are read by the next one."""
    mask = (1 << 64) - 1

    def mix(before: int, word: int) -> int:
        z = (before + word + 0x9E3779B97F4A7C15) & mask
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
        return z ^ z >> 31

    return reduce(mix, (version, first & mask, first >> 64, last & mask, last >> 64), seed) >> 40


@given(st.data())
def test_fingerprints_are_sorted_and_those_of_the_entries(data: st.DataObject) -> None:
    groups = []
    prints = []
    for _ in range(data.draw(st.integers(0, 3))):
        seed, version = data.draw(st.integers(0, (1 << 64) - 1)), data.draw(st.sampled_from((4, 6)))
        ends = st.integers(0, (1 << (32 if version == 4 else 128)) - 1)
        nets = [sorted(pair) for pair in data.draw(st.lists(st.tuples(ends, ends), max_size=20))]
        groups.append((seed, Spans(version, ((first, last, line) for line, (first, last) in enumerate(nets)))))
        prints += [expected(seed, version, first, last) for first, last in nets]
    assert prints_of(fingerprints(groups)) == sorted(prints)


def test_every_part_of_an_entry_counts() -> None:
    entries = [
        (1, 4, 5, 6),
        (2, 4, 5, 6),
        (1, 6, 5, 6),
        (1, 4, 4, 6),
        (1, 4, 5, 7),
        (1, 6, 5, 1 << 64),
        (1, 6, 1 << 64, 1 << 64),
    ]
    made = {fingerprints([(seed, Spans(version, [(first, last, 0)]))]) for seed, version, first, last in entries}
    assert len(made) == len(entries)
    # Where an entry stands does not.
    assert fingerprints([(1, Spans(4, [(5, 6, 99)]))]) == fingerprints([(1, Spans(4, [(5, 6, 0)]))])


def test_neighbours_are_spread_over_all_fingerprints() -> None:
    prints = prints_of(fingerprints([(7, Spans(4, ((number, number, 0) for number in range(1 << 16))))]))
    # Of 65,536 out of 16,777,216 some 128 fall on another one by chance.
    assert len(set(prints)) > (1 << 16) - 200
    per_part = Counter(each >> 20 for each in prints)
    assert len(per_part) == 16
    assert all(3_800 < count < 4_400 for count in per_part.values())


@pytest.mark.parametrize("count", [0, 1, 4095, 4097])
def test_sets_of_any_size_are_sorted(count: int) -> None:
    prints = prints_of(fingerprints([(1, Spans(4, ((number, number, 0) for number in range(count))))]))
    assert len(prints) == count
    assert prints == sorted(prints)


@given(*[st.lists(st.integers(0, 9) | st.integers(0, (1 << 24) - 1), max_size=20)] * 2)
def test_changes_are_counted_like_multisets(before: list[int], after: list[int]) -> None:
    added, removed = Counter(after) - Counter(before), Counter(before) - Counter(after)
    found = count_changes(raw_of(before), memoryview(raw_of(after)))
    assert found == (added.total(), removed.total())


def expected_of_name(seed: int, scope: int, name: str) -> int:
    """The fingerprint of a name, written down again: the key of its hash comes from the seed and from nothing else."""
    mask = (1 << 64) - 1
    z = (seed + 0x9E3779B97F4A7C15) & mask
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
    key = seed.to_bytes(8, "little") + (z ^ z >> 31).to_bytes(8, "little")
    return hash_label(key, scope, name.encode()) >> 40


names = st.lists(st.text("abcdefgh-_09", min_size=1, max_size=20), min_size=1, max_size=4).map(".".join)
entries = st.lists(st.tuples(names, st.integers(1, 3), st.integers(0, 9)), max_size=20)


@given(st.lists(st.tuples(st.integers(0, (1 << 64) - 1), entries), max_size=3))
def test_fingerprints_of_names_are_the_same_in_every_process(
    groups: list[tuple[int, list[tuple[str, int, int]]]],
) -> None:
    prints = [expected_of_name(seed, scope, name) for seed, rows in groups for name, scope, _ in rows]
    assert prints_of(fingerprints((seed, Names(rows)) for seed, rows in groups)) == sorted(prints)


def test_every_part_of_a_name_counts() -> None:
    rows = [(1, "a.b", AT), (2, "a.b", AT), (1, "a.b", BELOW), (1, "a.b", AT | BELOW), (1, "a.c", AT), (1, "ab", AT)]
    made = {fingerprints([(seed, Names([(name, scope, 0)]))]) for seed, name, scope in rows}
    assert len(made) == len(rows)
    # Where an entry stands does not.
    assert fingerprints([(1, Names([("a.b", AT, 99)]))]) == fingerprints([(1, Names([("a.b", AT, 0)]))])


def test_changes_among_nets_and_names_are_counted_together() -> None:
    def prints(first: int, names: range) -> bytes:
        column = Names((f"n{number}.example", AT, number) for number in names)
        return fingerprints([(1, Spans(4, [(first, first, 0), (9, 9, 0)])), (1, column), (2, column)])

    before, after = prints(5, range(100)), prints(6, range(3, 101))
    # One net for another, and on both lists three names less and one more.
    assert count_changes(before, after) == (3, 7)
    assert count_changes(after, before) == (7, 3)
