"""Layers of spans against the same thing done address by address."""

from array import array
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl_server.compiler._merge import MAX_DEPTH, DepthError, flatten, intervals, lay_over, look_up, subtract
from dnsbl_server.model._spans import Spans, sorted_spans
from dnsbl_server.model.address import BITS
from tests.model.test_spans import LAST, MIDDLE, WINDOW, Triple, held, triples, worlds


@st.composite
def layers(draw: st.DrawFn, version: int, base: int) -> list[Triple]:
    """Spans that are sorted and disjoint."""
    edges = sorted(draw(st.sets(st.integers(0, WINDOW), max_size=12)))
    spans = [(base + first, base + end - 1) for first, end in pairwise(edges)]
    kept = draw(st.lists(st.booleans(), min_size=len(spans), max_size=len(spans)))
    return [(*span, draw(st.integers(0, 3))) for span, keep in zip(spans, kept, strict=True) if keep]


# What is asked of a kind in `flatten`: its number outside of others (-1: left out), and whether it knows what it is in.
ROOTS = array("i", [10, -1, 12, 13])
NESTED = bytes([0, 0, 0, 1])


@given(st.data(), worlds())
def test_flattening_agrees_with_looking_at_each_address(data: st.DataObject, world: tuple[int, int]) -> None:
    version, base = world
    rows = data.draw(triples(version, base, 20))
    kinds = array("I", (number for _, _, number in rows[: len(rows) // 2]))
    default = data.draw(st.integers(0, 3))
    asked: list[tuple[int, ...]] = []

    def number_of(together: Sequence[int]) -> int:
        return 100 + sum(kind << 2 * place for place, kind in enumerate(together))

    def combine(together: tuple[int, ...]) -> int:
        asked.append(together)
        return number_of(together)

    def kind_of(row: int) -> int:
        return kinds[row] if row < len(kinds) else default

    spans: dict[tuple[int, int], int] = {}
    for row, (first, last, _) in enumerate(rows):
        spans.setdefault((first, last), row)  # of equal ones the first counts
    expected: list[int | None] = []
    for at in range(base, base + WINDOW):
        held_by = sorted((last - first, row) for (first, last), row in spans.items() if first <= at <= last)
        held_kinds = [kind_of(row) for _, row in held_by if ROOTS[kind_of(row)] >= 0]
        together = []
        for kind in held_kinds:
            together.append(kind)
            if not NESTED[kind]:
                break
        if not together:
            expected.append(None)
        elif len(together) == 1:
            expected.append(ROOTS[together[0]])
        else:
            expected.append(number_of(together))
    layer = flatten(sorted_spans(version, [Spans(version, rows)]), kinds, default, ROOTS, NESTED, combine)
    assert held(layer, base) == expected
    assert all(len(together) > 1 and set(together[:-1]) == {3} for together in asked)


@pytest.mark.parametrize("version", [4, 6])
def test_flattening_prefixes_nested_as_deep_as_can_be(version: int) -> None:
    bits = BITS[version]
    for address in (0, LAST[version], MIDDLE[version]):
        nets = []
        for length in range(bits + 1):
            host = (1 << bits - length) - 1
            nets.append((address & ~host, address | host, 0))
        kinds = array("I", range(bits + 1))
        roots = array("i", range(bits + 1))
        layer = flatten(sorted_spans(version, [Spans(version, nets)]), kinds, 0, roots, bytes(bits + 1), lambda _: -1)
        assert sorted(number for _, _, number in layer) == list(range(bits + 1))
        assert layer.addresses() == LAST[version] + 1
        (at,) = layer.covering(address)
        assert layer[at] == (address, address, bits)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("shape", ["crossing", "nested", "from one address"])
def test_one_address_is_held_so_often_and_not_more(version: int, shape: str) -> None:
    def spans(count: int) -> Spans:
        made = {
            "crossing": [(at, at + 1000, 0) for at in range(count)],
            "nested": [(at, 10_000 - at, 0) for at in range(count)],
            "from one address": [(7, 7 + at, 0) for at in range(count)],
        }
        # What is over does not count.
        return sorted_spans(version, [Spans(version, [*made[shape], (0, 5_000, 0), (0, 6_000, 0)])])

    def flattened(count: int) -> Spans:
        kinds = array("I", [0] * count + [1, 1])
        return flatten(spans(count), kinds, 0, array("i", [5, -1]), bytes(2), lambda _: -1)

    # They have one number, so it is one span.
    first, last, number = next(iter(flattened(MAX_DEPTH)))
    assert (first, number) == ({"crossing": 0, "nested": 0, "from one address": 7}[shape], 5)
    assert last == {"crossing": 1255, "nested": 10_000, "from one address": 7 + 255}[shape]
    with pytest.raises(DepthError) as raised:
        flattened(MAX_DEPTH + 1)
    assert raised.value.args == (version, {"crossing": 256, "nested": 256, "from one address": 7}[shape])


def test_flattening_refuses_what_is_not_as_it_should_be() -> None:
    inside = sorted_spans(4, [Spans(4, [(0, 255, 0), (7, 7, 0)])])
    kinds = array("I")

    def fail(together: tuple[int, ...]) -> int:
        raise LookupError("no such thing")

    with pytest.raises(LookupError):
        flatten(inside, kinds, 0, array("i", [1]), b"\1", fail)
    with pytest.raises(OverflowError):
        flatten(inside, kinds, 0, array("i", [1]), b"\1", lambda together: -1)
    with pytest.raises(IndexError):
        flatten(inside, kinds, 1, array("i", [1]), b"\1", lambda together: 1)
    with pytest.raises(ValueError, match="same kinds"):
        flatten(inside, kinds, 0, array("i", [1]), b"", lambda together: 1)
    with pytest.raises(ValueError, match="not sorted"):
        flatten(Spans(4, [(200 - at, 1000, 0) for at in range(200)]), kinds, 0, array("i", [1]), b"\0", fail)


@given(st.data(), worlds())
def test_subtracting_agrees_with_looking_at_each_address(data: st.DataObject, world: tuple[int, int]) -> None:
    version, base = world
    layer, holes = (Spans(version, data.draw(layers(*world))) for _ in range(2))
    expected = [
        number if hole is None else None for number, hole in zip(held(layer, base), held(holes, base), strict=True)
    ]
    assert held(subtract(layer, holes), base) == expected


@given(st.data(), worlds())
def test_laying_over_agrees_with_looking_at_each_address(data: st.DataObject, world: tuple[int, int]) -> None:
    version, base = world
    under, over = (Spans(version, data.draw(layers(*world))) for _ in range(2))
    expected = [
        b if a is None else a if b is None else 1000 + 10 * a + b
        for a, b in zip(held(under, base), held(over, base), strict=True)
    ]
    assert held(lay_over(under, over, lambda a, b: 1000 + 10 * a + b), base) == expected


def test_laying_over_with_more_pairs_than_are_remembered() -> None:
    count = 30_000
    under = Spans(4, [(4 * at, 4 * at + 2, at) for at in range(count)])
    over = Spans(4, [(4 * at + 1, 4 * at + 3, at * 7 % 9973) for at in range(count)])
    known: dict[tuple[int, int], int] = {}
    layer = lay_over(under, over, lambda a, b: known.setdefault((a, b), (1 << 32) - 1 - len(known)))
    both = [number for first, last, number in layer if first % 4 == 1]
    assert both == [known[at, at * 7 % 9973] for at in range(count)]


def numbers_of(column: "array[int] | bytearray") -> list[int]:
    if isinstance(column, array):
        return list(column)
    return [int.from_bytes(column[at : at + 16]) for at in range(0, len(column), 16)]


@given(st.data(), worlds())
def test_intervals_join_neighbours_with_one_answer(data: st.DataObject, world: tuple[int, int]) -> None:
    version, base = world
    layer = Spans(version, data.draw(layers(*world)))
    answers = array("I", [0, 5, 0, 0])
    before = held(layer, base)
    numbers = {number for number in before if number is not None}
    asked: list[int] = []

    def resolve(number: int) -> int:
        asked.append(number)
        return 5 + number // 2

    firsts, lasts, found = intervals(layer, answers, resolve)
    assert len(layer) == 0
    assert sorted(asked) == sorted(numbers - {1})
    spans = list(zip(numbers_of(firsts), numbers_of(lasts), found, strict=True))
    assert [
        next((number for first, last, number in spans if first <= at <= last), None)
        for at in range(base, base + WINDOW)
    ] == [None if number is None else 5 + number // 2 if number != 1 else 5 for number in before]
    assert all(a[1] + 1 < b[0] or a[2] != b[2] for a, b in pairwise(spans))


def test_intervals_of_ipv6_are_big_endian() -> None:
    firsts, lasts, answers = intervals(
        Spans(6, [(1, 1 << 127, 0), (LAST[6], LAST[6], 0)]), array("I", [3]), lambda _: 0
    )
    assert firsts == (1).to_bytes(16) + LAST[6].to_bytes(16)
    assert lasts == (1 << 127).to_bytes(16) + LAST[6].to_bytes(16)
    assert answers == array("I", [3, 3])


def test_a_number_without_an_answer_is_refused() -> None:
    with pytest.raises(IndexError):
        intervals(Spans(4, [(1, 1, 2)]), array("I", [0, 0]), lambda number: 1)


def test_each_number_has_its_value() -> None:
    values = array("I", [7, 0, (1 << 32) - 1])
    assert look_up(array("I", [2, 0, 0, 1]), values) == array("I", [(1 << 32) - 1, 7, 7, 0])
    assert look_up(array("I"), values) == look_up(array("I"), array("I")) == array("I")
    for wrong in (3, (1 << 32) - 1):
        with pytest.raises(IndexError):
            look_up(array("I", [0, wrong]), values)
