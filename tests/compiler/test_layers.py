"""The layers of a list: which listing each row has, and which entries have not expired."""

from datetime import UTC, datetime

import pytest

from dnsbl_server.compiler.chains import Chains
from dnsbl_server.compiler.layers import current, distinct_listings, layers_of
from dnsbl_server.compiler.rib import ListRib
from dnsbl_server.model.address import Net
from dnsbl_server.model.entry import Entry, ListFile
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.model.zone import BlockList
from tests import oracle
from tests.conftest import NOW

OVER = int(NOW) - 1
PAST = datetime.fromtimestamp(OVER, UTC)
LIST = Listing((0x7F000002,), "list", 300)
LIST_OVER = Listing((0x7F000002,), "list", 300, expires=PAST)
OWN = Listing((0x7F000002,), "own", 300)
OWN_OVER = Listing((0x7F000002,), "own", 300, expires=PAST)


def entry(host: int, listing: Listing) -> Entry:
    return Entry(Net(4, host, host), str(host), "x.yaml", host, 5, listing)


def rib_of(listing: Listing, entries: list[Entry], *files: ListFile) -> ListRib:
    block_list = BlockList("traps", Place("x.yaml"), listing, oracle.REASON, tuple(entries), (), files)
    return ListRib(block_list, Problems())


def file(listing: Listing, *lines: str) -> ListFile:
    return oracle.make_file("feed", "annotated", list(lines), listing)


def test_every_row_has_its_listing() -> None:
    plain = oracle.make_file("plain", "plain", ["0.0.0.10", "::1", "0.0.0.11"], LIST)
    own = file(LIST, "0.0.0.20", "0.0.0.21 | a | 127.0.0.2 | 300 | -", "0.0.0.22", "0.0.0.23 | b | 127.0.0.2 | 300 | -")
    between = oracle.make_file("between", "plain", ["0.0.0.25"], LIST)
    more = file(LIST, "0.0.0.26 | c | 127.0.0.2 | 300 | -")
    last = oracle.make_file("last", "plain", ["0.0.0.30"], LIST)
    rib = rib_of(LIST, [entry(1, OWN), entry(2, LIST)], plain, own, between, more, last)
    chains = Chains(NOW)
    layers = layers_of(rib, 7, chains)
    found = {}
    for first, end, number in layers[4]:
        held, (listing,), _ = chains.chains[number]
        assert held == 7
        found.update(dict.fromkeys(range(first, end + 1), listing.reason))
    reasons = {1: "own", 2: "list", 10: "list", 11: "list", 20: "list", 21: "a", 22: "list", 23: "b"}
    assert found == {**reasons, 25: "list", 26: "c", 30: "list"}
    assert [(first, end) for first, end, _ in layers[6]] == [(1, 1)]
    assert [listing.reason for listing in distinct_listings(rib.list)] == ["own", "list", "a", "b", "c"]


@pytest.mark.parametrize(
    ("listing", "entries", "lines", "expected"),
    [
        (LIST, [entry(1, LIST), entry(2, OWN)], ["0.0.0.9"], [1, 2, 9]),
        (LIST, [entry(1, LIST), entry(2, OWN_OVER)], ["0.0.0.9"], [1, 9]),
        (LIST_OVER, [entry(1, LIST_OVER), entry(2, OWN)], ["0.0.0.9"], [2]),
        (LIST, [], ["0.0.0.8", f"0.0.0.9 | x | 127.0.0.2 | 300 | {OVER}"], [8]),
        (LIST_OVER, [], ["0.0.0.8", "0.0.0.9 | x | 127.0.0.2 | 300 | -"], [9]),
        (LIST_OVER, [], ["0.0.0.8", f"0.0.0.9 | x | 127.0.0.2 | 60 | {OVER}"], []),
    ],
)
def test_what_has_not_expired(listing: Listing, entries: list[Entry], lines: list[str], expected: list[int]) -> None:
    rib = rib_of(listing, entries, file(listing, *lines))
    chains = Chains(NOW)
    layers_of(rib, 0, chains)
    assert [first for spans in current(rib, 4, chains) for first, _, _ in spans] == expected


def test_a_listing_that_no_entry_has_expires_nothing() -> None:
    ending = Listing((0x7F000002,), "list", 300, expires=datetime.fromtimestamp(NOW + 5, UTC))
    rib = rib_of(ending, [entry(1, OWN), entry(2, OWN_OVER)], file(ending, "0.0.0.9 | x | 127.0.0.2 | 300 | -"))
    chains = Chains(NOW)
    layers_of(rib, 0, chains)
    current(rib, 4, chains)
    assert chains.next_expiry == 0
