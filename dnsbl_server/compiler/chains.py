"""Chains: which listing of a list holds when.

Owns what follows when a listing expires. Where entries of a list lie in each other the most specific one decides, and
when it expires it uncovers the next. A chain is a list's number and the listings that hold one after the other, the
last one perhaps without an end. Knows no addresses.
"""

from array import array
from collections.abc import Iterable

from dnsbl_server.model.listing import Listing


class Chains:
    """The chains of all lists of a zone, by number, and what is over at `now` (seconds since 1970)."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.chains: list[tuple[int, tuple[Listing, ...]]] = []
        self._expiries: dict[int, int] = {}
        self._numbers: dict[tuple[int, int, int], int] = {}
        self._stacks: dict[tuple[int, ...], int] = {}

    def expiry(self, listing: Listing) -> int:
        """When a listing ends, in seconds since 1970; 0 is never. Remembered, because a table asks for it often."""
        expires = self._expiries.get(id(listing))
        if expires is None:
            expires = self._expiries[id(listing)] = listing.expires_at
        return expires

    def is_over(self, listing: Listing) -> bool:
        """Whether a listing has expired."""
        return 0 < self.expiry(listing) <= self.now

    @property
    def is_any_over(self) -> bool:
        """Whether any listing that was asked for is over."""
        return any(0 < expires <= self.now for expires in self._expiries.values())

    @property
    def next_expiry(self) -> int:
        """When the next listing expires, in seconds since 1970; 0 is never."""
        return min((expires for expires in self._expiries.values() if expires > self.now), default=0)

    def begin(self, number: int, listings: Iterable[Listing]) -> "array[int]":
        """The numbers of the chains of listings that cover no other entry; -1 for one that is over."""
        roots = array("i")
        for listing in listings:
            if self.is_over(listing):
                roots.append(-1)
            else:
                roots.append(len(self.chains))
                self.chains.append((number, (listing,)))
        return roots

    def extend(self, number: int, listing: Listing, parent: int) -> int:
        """The number of the chain of a listing that expires, over the chain of the covering entry."""
        key = (number, id(listing), parent)
        known = self._numbers.get(key)
        if known is None:
            own = self.expiry(listing)
            later = tuple(under for under in self.chains[parent][1] if not 0 < self.expiry(under) <= own)
            self.chains.append((number, (listing, *later)))
            known = self._numbers[key] = len(self.chains) - 1
        return known

    def number_of(self, number: int, listings: Iterable[Listing]) -> int:
        """The number of the chain of listings that cover each other, the innermost first, none of which is over."""
        held: list[Listing] = []
        end = 0
        for listing in listings:
            expires = self.expiry(listing)
            # What covers another and ends no later than that never holds.
            if not held or not 0 < expires <= end:
                held.append(listing)
                end = expires
            if not expires:
                break
        key = (number, *map(id, held))
        known = self._stacks.get(key)
        if known is None:
            self.chains.append((number, tuple(held)))
            known = self._stacks[key] = len(self.chains) - 1
        return known
