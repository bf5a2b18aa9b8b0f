"""The sink of list readers: entries in columns, listings shared, exclusions, and problems with places."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl_server.model.address import parse_net
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.model.subject import Subjects
from dnsbl_server.sources.entrytext import EntryText
from dnsbl_server.sources.listreader import Sink

LISTING = Listing((0x7F000002,), "spam", 300)
OTHER = replace(LISTING, reason="scan")
THIRD = replace(LISTING, codes=(0x7F000003,))


def sink_of(problems: Problems | None = None) -> Sink:
    """A sink that takes everything but 192.0.2.66."""

    def accept(net: Subjects, text: str, place: Place) -> bool:
        return text != "192.0.2.66"

    return Sink(["list"], LISTING, Problems() if problems is None else problems, accept, EntryText("bl.example.org"))


def add(sink: Sink, text: str, line: int, listing: Listing = LISTING) -> None:
    sink.add(parse_net(text), text, line, sink.number_of(listing))


def test_without_own_listings_there_is_no_column() -> None:
    sink = sink_of()
    add(sink, "192.0.2.1", 1)
    add(sink, "2001:db8::/32", 2, replace(LISTING))
    file = sink.reading().file
    assert (file.numbers, file.listings) == ({}, ())
    assert file.listings_in_use(LISTING) == (LISTING,)
    assert list(file.nets[4]) == [(0xC0000201, 0xC0000201, 1)]
    assert list(file.nets[6]) == [(0x20010DB8 << 96, (0x20010DB9 << 96) - 1, 2)]
    assert [len(spans) for spans in file.excluded.values()] == [0, 0]


def test_equal_listings_are_shared() -> None:
    sink = sink_of()
    for line in range(1, 1001):
        add(sink, f"192.0.{line >> 8}.{line & 255}", line, replace(OTHER) if line % 2 else replace(THIRD))
    file = sink.reading().file
    assert file.listings == (OTHER, THIRD)
    assert len({id(entry.listing) for entry in file.entries(LISTING)}) == 2
    assert file.listings_in_use(LISTING) == (OTHER, THIRD)


def test_a_column_starts_when_it_is_needed() -> None:
    sink = sink_of()
    add(sink, "192.0.2.1", 1)
    # As a reader that appends to the columns itself.
    sink.v4.append(2, 2, 2)
    add(sink, "2001:db8::1", 3)
    add(sink, "192.0.2.4", 4, OTHER)
    add(sink, "192.0.2.5", 5)
    sink.v4.append(6, 6, 6)
    add(sink, "192.0.2.7", 7, OTHER)
    sink.v4.append(8, 8, 8)
    file = sink.reading().file
    assert {version: list(numbers) for version, numbers in file.numbers.items()} == {4: [0, 0, 1, 0, 0, 1, 0]}
    own = [entry.line for entry in file.entries(LISTING) if entry.listing is not LISTING]
    assert own == [4, 7]
    assert file.listings_in_use(LISTING) == (LISTING, OTHER)
    assert len(file) == 8


def test_what_is_not_accepted_leaves_nothing() -> None:
    sink = sink_of()
    add(sink, "192.0.2.66", 1, OTHER)
    add(sink, "192.0.2.1", 2, THIRD)
    add(sink, "192.0.2.2", 3)
    file = sink.reading().file
    assert [(entry.line, entry.listing) for entry in file.entries(LISTING)] == [(2, THIRD), (3, LISTING)]
    assert file.listings == (THIRD,)


def test_exclusions_and_problems_have_their_places() -> None:
    problems = Problems()
    sink = sink_of(problems)
    sink.exclude(parse_net("192.0.2.0/31"), 5)
    sink.exclude(parse_net("2001:db8::1"), 6)
    sink.error(7, 3, "x", "wrong")
    sink.warning(8, 0, "", "odd")
    file = sink.reading().file
    assert len(file) == 0
    assert file.exclusion(4, 0) == (parse_net("192.0.2.0/31"), "192.0.2.0/31", Place("list", 5))
    assert file.exclusion(6, 0) == (parse_net("2001:db8::1"), "2001:db8::1", Place("list", 6))
    assert {str(problem) for problem in problems} == {
        "list:7:3: warning: x: skipped: wrong",
        "list:8: warning: odd",
    }


@given(st.lists(st.tuples(st.sampled_from(["192.0.2.1", "2001:db8::1", "192.0.2.66"]), st.integers(0, 9)), max_size=20))
def test_every_entry_has_the_listing_it_came_with(rows: list[tuple[str, int]]) -> None:
    sink = sink_of()
    listings = [LISTING, *(replace(LISTING, ttl=ttl) for ttl in range(1, 10))]
    for line, (text, number) in enumerate(rows, 1):
        add(sink, text, line, listings[number])
    expected = [(line, listings[number]) for line, (text, number) in enumerate(rows, 1) if text != "192.0.2.66"]
    file = sink.reading().file
    assert [(entry.line, entry.listing) for entry in file.entries(LISTING)] == expected
    assert set(file.listings_in_use(LISTING)) == {listing for _, listing in expected}


@pytest.mark.parametrize("listing", [LISTING, replace(LISTING)])
def test_the_listing_of_the_list_is_number_0(listing: Listing) -> None:
    assert sink_of().number_of(listing) == 0
