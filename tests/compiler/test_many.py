"""Many lists in a zone, and many files in a list: the work grows with their number, not with its square.

Work is counted, because time is not the same twice: calls of functions in Python, and the spans that are laid over.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from dnsbl_server.compiler._merge import lay_over
from dnsbl_server.model._spans import Spans
from dnsbl_server.supply.load import LoadResult
from tests.compiler.tables import HEAD, find, loaded
from tests.conftest import NOW


@contextmanager
def calls() -> Iterator[list[int]]:
    """How often functions in Python are entered, generators each time they go on."""
    counted = [0]

    def note(frame: FrameType, event: str, argument: object) -> None:
        counted[0] += event == "call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield counted
    finally:
        sys.setprofile(before)


@pytest.fixture
def laid(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many spans each call of `lay_over` got from the compiler."""
    found: list[int] = []

    def count(under: Spans, over: Spans, combine: Callable[[int, int], int]) -> Spans:
        found.append(len(under) + len(over))
        return lay_over(under, over, combine)

    monkeypatch.setattr("dnsbl_server.compiler.compile.lay_over", count)
    return found


def lists_of(count: int, entries: Callable[[int], str]) -> str:
    return "lists:\n" + "".join(f"  - {{name: l{number}, {entries(number)}}}\n" for number in range(count))


def one_each(number: int) -> str:
    """Two hosts of the list's own, of which one will expire."""
    host = f"10.{number >> 8}.{number & 255}"
    return f"entries: [{host}.1, {{net: {host}.9, expires: 2036-01-01}}]"


def test_the_work_grows_with_the_number_of_lists(load_texts: Callable[..., LoadResult]) -> None:
    counts = []
    for number in (100, 800):
        with calls() as counted:
            loaded(load_texts, lists_of(number, one_each))
        counts.append(counted[0])
    # Eight times as much, and something for the logarithm.
    assert counts[1] < 9 * counts[0]


def test_lists_are_laid_over_each_other_in_halves(load_texts: Callable[..., LoadResult], laid: list[int]) -> None:
    loaded(load_texts, lists_of(1024, lambda number: f"entries: [10.{number >> 8}.{number & 255}.1]"))
    # Each of 1,024 spans ten times; one after the other they are 524,799. IPv6 has none, and is as many steps.
    assert sum(laid) == 1024 * 10
    assert len(laid) == 2 * 1023


@pytest.mark.parametrize("place", [0, 1, 7, 14, 15])
def test_a_large_list_among_small_ones_is_copied_once_or_twice(
    load_texts: Callable[..., LoadResult], laid: list[int], place: int
) -> None:
    hosts = ", ".join(f"10.0.{number >> 7}.{2 * (number & 127)}" for number in range(1000))
    loaded(
        load_texts,
        lists_of(16, lambda number: f"entries: [{hosts if number == place else f'192.0.2.{2 * number}'}]"),
    )
    assert sum(size >= 1000 for size in laid) == (1 if place in (0, 15) else 2)


def test_what_many_lists_have_in_common_is_in_their_order(load_texts: Callable[..., LoadResult]) -> None:
    # Of 300 lists those that have 192.0.2.N are the ones that N divides, of different sizes.
    text = lists_of(
        300,
        lambda number: (
            "txt: '', entries: [" + ", ".join(f"192.0.2.{each}" for each in range(1, 100) if number % each == 0) + "]"
        ),
    )
    zone = loaded(load_texts, text)
    for each in range(1, 100):
        answer = find(zone, f"192.0.2.{each}")
        assert answer
        assert [number for number, _ in answer.texts] == list(range(0, 300, each))


def test_the_work_grows_with_the_number_of_files(tmp_path: Path, load_texts: Callable[..., LoadResult]) -> None:
    counts = []
    for number in (100, 800):
        for each in range(number):
            # Each host in two files.
            (tmp_path / f"{each}.txt").write_text(f"10.{each >> 9}.{each >> 1 & 255}.1\n")
        names = ", ".join(f"{tmp_path}/{each}.txt" for each in range(number))
        with calls() as counted:
            load = load_texts(f"{HEAD}files: [{names}]", now=NOW)
        counts.append(counted[0])
        assert len(load.problems.warnings) == number // 2
    assert counts[1] < 9 * counts[0]
