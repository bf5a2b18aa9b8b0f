"""Chains: which listing of a list holds when.

Owns what follows when a listing expires. Where several entries of a list hold a subject the most specific one decides,
and when it expires it uncovers the next one. Knows no addresses and no names.
"""

from array import array
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dnsbl_server.model.listing import Listing


class Chain(NamedTuple):
    """The listings of list `number` that hold one after the other, the last one perhaps without an end.

    labels: of how many labels the listed name of each is; none at all where addresses are listed.
    """

    number: int
    listings: tuple[Listing, ...]
    labels: tuple[int, ...] = ()


class Chains:
    """The chains of all lists of a zone, by number, and what is over at `now` (seconds since 1970)."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.chains: list[Chain] = []
        # Whether any listing that was asked for is over.
        self.is_any_over = False
        self._expiries: dict[int, int] = {}
        self._numbers: dict[tuple[int, tuple[int, ...], tuple[int, ...]], int] = {}

    def expiry(self, listing: Listing) -> int:
        """When a listing ends, in seconds since 1970; 0 is never. Remembered, because a table asks for it often."""
        expires = self._expiries.get(id(listing))
        if expires is None:
            expires = self._expiries[id(listing)] = listing.expires_at
            self.is_any_over |= 0 < expires <= self.now
        return expires

    def is_over(self, listing: Listing) -> bool:
        """Whether a listing has expired."""
        return 0 < self.expiry(listing) <= self.now

    @property
    def next_expiry(self) -> int:
        """When the next listing expires, in seconds since 1970; 0 is never."""
        return min((expires for expires in self._expiries.values() if expires > self.now), default=0)

    def begin(self, number: int, listings: Iterable[Listing]) -> "array[int]":
        """The numbers of the chains of single listings; -1 for one that is over."""
        roots = array("i")
        for listing in listings:
            if self.is_over(listing):
                roots.append(-1)
            else:
                roots.append(len(self.chains))
                self.chains.append(Chain(number, (listing,)))
        return roots

    def number_of(self, number: int, listings: Sequence[Listing], labels: Sequence[int] = ()) -> int:
        """The number of the chain of listings that hold a subject together, that of the most specific entry first.

        None of them is over. labels: as in `Chain`.
        """
        held: list[int] = []
        end = 0
        for at, listing in enumerate(listings):
            expires = self.expiry(listing)
            # What another comes before, and ends no later than that, never holds.
            if not held or not 0 < expires <= end:
                held.append(at)
                end = expires
            if not expires:
                break
        chain = Chain(number, tuple(listings[at] for at in held), tuple(labels[at] for at in held) if labels else ())
        key = (number, chain.labels, tuple(map(id, chain.listings)))
        known = self._numbers.get(key)
        if known is None:
            self.chains.append(chain)
            known = self._numbers[key] = len(self.chains) - 1
        return known
