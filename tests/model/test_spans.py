"""Spans in bulk against the same thing done address by address, or with Python's own integers, sets and sorting."""

import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl_server.compiler._merge import lay_over, subtract
from dnsbl_server.model._spans import Spans, duplicates, sorted_spans, union
from dnsbl_server.model.address import BITS

Triple = tuple[int, int, int]
LAST = {4: (1 << 32) - 1, 6: (1 << 128) - 1}
MIDDLE = {4: 1 << 31, 6: 1 << 64}
WINDOW = 40


def bases(version: int) -> list[int]:
    """Where small worlds are: at both ends of the family, and where the halves of a number meet."""
    return [0, MIDDLE[version] - WINDOW // 2, LAST[version] + 1 - WINDOW]


@st.composite
def triples(draw: st.DrawFn, version: int, base: int, size: int = 12) -> list[Triple]:
    """Spans of any order within a window, numbered 0 to 3."""
    offset = st.integers(0, WINDOW - 1)
    made = []
    for _ in range(draw(st.integers(0, size))):
        first, last = sorted((draw(offset), draw(offset)))
        made.append((base + first, base + last, draw(st.integers(0, 3))))
    return made


@st.composite
def worlds(draw: st.DrawFn) -> tuple[int, int]:
    version = draw(st.sampled_from((4, 6)))
    return version, draw(st.sampled_from(bases(version)))


def held(spans: Spans, base: int) -> list[int | None]:
    """The number at each address of the window, by looking at each span; and the rules of a layer hold."""
    found = list(spans)
    assert all(first <= last for first, last, _ in found)
    assert all(before[1] < after[0] for before, after in pairwise(found))
    return [
        next((number for first, last, number in found if first <= at <= last), None)
        for at in range(base, base + WINDOW)
    ]


def test_spans_keep_what_they_are_given() -> None:
    for version, last in LAST.items():
        given = [(0, 0, 0), (0, last, (1 << 32) - 1), (last, last, 7), (5, 6, 1)]
        spans = Spans(version, given)
        assert (spans.version, len(spans), list(spans)) == (version, 4, given)
        assert Spans(version, [(5, 6, 0), (8, 8, 1), (last, last, 2)]).addresses() == 4
        assert Spans(version, [(0, last, 0)]).addresses() == last + 1
        assert Spans(version, [(0, 9, 0), (10, last, 0)]).addresses() == last + 1
        assert Spans(version).addresses() == 0
        assert spans.covering(0) == [0, 1]
        assert spans.covering(6) == [1, 3]
        assert spans.covering(last) == [1, 2]
        for wrong in (-1, 4, 1 << 40):
            with pytest.raises((IndexError, OverflowError)):
                spans[wrong]
        assert len(spans) == 4


@pytest.mark.parametrize("version", [4, 6])
def test_what_does_not_fit_is_refused(version: int) -> None:
    spans = Spans(version)
    last = LAST[version]
    for wrong in ((-1, 0, 0), (0, last + 1, 0), (last + 1, last + 1, 0), (0, 0, -1), (0, 0, 1 << 32)):
        with pytest.raises(OverflowError):
            spans.append(*wrong)
    with pytest.raises(ValueError, match="ends before"):
        spans.append(2, 1, 0)
    for address in (-1, last + 1):
        with pytest.raises(OverflowError):
            spans.covering(address)
    with pytest.raises(ValueError, match="4 or 6"):
        Spans(5)
    assert len(spans) == 0


def test_families_do_not_mix() -> None:
    four, six = Spans(4, [(1, 1, 0)]), Spans(6, [(1, 1, 0)])
    mixes: list[Callable[[], object]] = [
        lambda: sorted_spans(4, [four, six]),
        lambda: union(6, [six, four]),
        lambda: subtract(four, six),
        lambda: lay_over(six, four, lambda under, over: 0),
    ]
    for mix in mixes:
        with pytest.raises(ValueError, match="two families"):
            mix()


@given(st.data(), worlds())
def test_sorted_spans_know_their_rows(data: st.DataObject, world: tuple[int, int]) -> None:
    version, _ = world
    sources = [data.draw(triples(*world)) for _ in range(data.draw(st.integers(1, 3)))]
    rows = [(first, last) for source in sources for first, last, _ in source]
    expected = sorted(((*span, row) for row, span in enumerate(rows)), key=lambda each: (each[0], -each[1], each[2]))
    assert list(sorted_spans(version, [Spans(version, source) for source in sources])) == expected


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("count", [0, 1, 2, 5000])
def test_sorting_agrees_with_python(version: int, count: int) -> None:
    chance = random.Random(count)
    nets = []
    for _ in range(count):
        bits = chance.choice((0, 0, 0, 4, 8, BITS[version] - 3))
        first = chance.getrandbits(BITS[version]) >> bits << bits
        # CIDRs, ranges, and many that start at one address.
        nets.append((first, min(first + chance.getrandbits(bits), LAST[version]), 0))
        nets.append((first, first | (1 << bits) - 1, 0))
    nets += nets[: count // 3]
    numbered = [(first, last, row) for row, (first, last, _) in enumerate(nets)]
    expected = sorted(numbered, key=lambda each: (each[0], -each[1], each[2]))
    assert list(sorted_spans(version, [Spans(version, nets)])) == expected
    # Sorted already, and backwards.
    for order in (expected, expected[::-1]):
        found = [each[:2] for each in sorted_spans(version, [Spans(version, order)])]
        assert found == [each[:2] for each in expected]


@given(st.data(), worlds())
def test_duplicates_are_found_as_by_a_dictionary(data: st.DataObject, world: tuple[int, int]) -> None:
    version, base = world
    rows = data.draw(triples(version, base, 20))
    rows += data.draw(st.lists(st.sampled_from(rows), max_size=8)) if rows else []
    holders: dict[tuple[int, int], int] = {}
    expected = []
    for row, (first, last, _) in enumerate(rows):
        holder = holders.setdefault((first, last), row)
        if holder != row:
            expected.append((row, holder))
    laters, earliers = duplicates(sorted_spans(version, [Spans(version, rows)]))
    assert list(zip(laters, earliers, strict=True)) == expected


def test_a_great_many_duplicates() -> None:
    rows = [(number % 10, number % 10, 0) for number in range(20_000)]
    laters, earliers = duplicates(sorted_spans(4, [Spans(4, rows)]))
    assert list(laters) == list(range(10, 20_000))
    assert list(earliers) == [number % 10 for number in range(10, 20_000)]


@given(st.data(), worlds())
def test_a_union_has_what_any_has_in_the_fewest_spans(data: st.DataObject, world: tuple[int, int]) -> None:
    version, base = world
    sources = [data.draw(triples(version, base, 5)) for _ in range(data.draw(st.integers(0, 3)))]
    joined = union(version, [Spans(version, source) for source in sources])
    expected = [
        0 if any(first <= at <= last for source in sources for first, last, _ in source) else None
        for at in range(base, base + WINDOW)
    ]
    assert held(joined, base) == expected
    assert all(before[1] + 1 < after[0] for before, after in pairwise(joined))
