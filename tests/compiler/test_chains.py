"""Chains: what follows when a listing expires, and what is over already."""

from datetime import UTC, datetime

import pytest

from dnsbl_server.compiler.chains import Chains
from dnsbl_server.model.listing import Listing
from tests.conftest import NOW


def ending(seconds: float | None, reason: str = "spam") -> Listing:
    expires = None if seconds is None else datetime.fromtimestamp(NOW + seconds, UTC)
    return Listing((0x7F000002,), reason, 300, expires=expires)


ENDLESS, OVER, SOON, LATER = ending(None), ending(0), ending(10), ending(20)


@pytest.mark.parametrize(
    ("seconds", "is_over"), [(None, False), (-1, True), (0, True), (1, False), (20, False), (-NOW, True)]
)
def test_what_is_over(seconds: float | None, is_over: bool) -> None:
    chains = Chains(NOW)
    assert not chains.is_any_over
    assert chains.is_over(ending(seconds)) == chains.is_any_over == is_over


def test_the_next_expiry_is_of_what_is_not_over() -> None:
    chains = Chains(NOW)
    assert chains.next_expiry == 0
    chains.begin(0, [ENDLESS, OVER])
    assert chains.next_expiry == 0
    chains.begin(0, [LATER, SOON])
    assert chains.next_expiry == int(NOW) + 10


def test_each_listing_begins_a_chain_of_its_own_unless_it_is_over() -> None:
    chains = Chains(NOW)
    assert list(chains.begin(3, [ENDLESS, OVER, SOON])) == [0, -1, 1]
    assert list(chains.begin(4, [ENDLESS])) == [2]
    assert chains.chains == [(3, (ENDLESS,), ()), (3, (SOON,), ()), (4, (ENDLESS,), ())]


@pytest.mark.parametrize(
    ("listings", "chain"),
    [
        ([ENDLESS], (ENDLESS,)),
        ([ENDLESS, SOON], (ENDLESS,)),
        ([SOON, ENDLESS, LATER], (SOON, ENDLESS)),
        ([SOON, LATER, ENDLESS], (SOON, LATER, ENDLESS)),
        ([LATER, SOON], (LATER,)),
        ([LATER, SOON, ENDLESS], (LATER, ENDLESS)),
        ([SOON, ending(10, "same")], (SOON,)),
    ],
)
def test_the_chain_of_listings_that_hold_an_address_together(
    listings: list[Listing], chain: tuple[Listing, ...]
) -> None:
    chains = Chains(NOW)
    number = chains.number_of(5, listings)
    assert chains.chains[number] == (5, chain, ())
    assert chains.number_of(5, listings) == number
    assert chains.number_of(6, listings) != number
