"""Entries and list files: what one row of the columns is, and which listing it has."""

from array import array

from dnsbl_server.model._spans import Spans
from dnsbl_server.model.address import Net
from dnsbl_server.model.entry import Entry, ListFile
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Place

LIST, OWN = Listing((0x7F000002,), "list", 300), Listing((0x7F000003,), "own", 60)


def test_entries_come_in_the_order_of_the_file() -> None:
    file = ListFile("feed.txt", {4: Spans(4, [(1, 1, 1), (8, 15, 4)]), 6: Spans(6, [(7, 9, 2)])})
    assert len(file) == 3
    assert list(file.entries(LIST)) == [
        Entry(Net(4, 1, 1), "0.0.0.1", "feed.txt", 1, 0, LIST),
        Entry(Net(6, 7, 9), "::7-::9", "feed.txt", 2, 0, LIST),
        Entry(Net(4, 8, 15), "0.0.0.8/29", "feed.txt", 4, 0, LIST),
    ]
    assert file.listings_in_use(LIST) == (LIST,)
    assert [len(spans) for spans in file.excluded.values()] == [0, 0]


def test_an_entry_may_have_a_listing_of_its_own() -> None:
    nets = {4: Spans(4, [(1, 1, 1), (2, 2, 2)]), 6: Spans(6)}
    file = ListFile("feed.txt", nets, listings=(OWN,), numbers={4: array("I", [0, 1])})
    assert [entry.listing for entry in file.entries(LIST)] == [LIST, OWN]
    assert file.listings_in_use(LIST) == (LIST, OWN)
    assert ListFile("feed.txt", nets, listings=(OWN,), numbers={4: array("I", [1, 1])}).listings_in_use(LIST) == (OWN,)


def test_an_empty_file_uses_no_listing() -> None:
    file = ListFile("feed.txt", {4: Spans(4), 6: Spans(6)}, excluded={4: Spans(4, [(2, 3, 9)]), 6: Spans(6)})
    assert (len(file), file.listings_in_use(LIST)) == (0, ())
    exclusion = file.exclusion(4, 0)
    assert (exclusion.what, exclusion.text, exclusion.place) == (Net(4, 2, 3), "0.0.0.2/31", Place("feed.txt", 9))


def test_an_entry_knows_its_net_and_its_place() -> None:
    entry = Entry(Net(4, 1, 2), "x", "f.yaml", 3, 4, LIST)
    assert (entry.what, entry.place) == (Net(4, 1, 2), Place("f.yaml", 3, 4))
