"""Entries: what a list is made of, each with the place where it is written.

Owns `Entry` and `Exclusion`, and `ListFile`, which holds millions of both in columns. Nothing of it changes once it is
made. Knows neither formats of files nor zones.
"""

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from heapq import merge
from itertools import starmap
from typing import NamedTuple

from dnsbl_server.model._spans import Spans
from dnsbl_server.model.address import BITS, Net
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Place


class Entry(NamedTuple):
    """One listed net, as written at one place."""

    version: int
    first: int
    last: int
    text: str
    file: str
    line: int
    column: int
    listing: Listing

    @property
    def net(self) -> Net:
        return Net(self.version, self.first, self.last)

    @property
    def place(self) -> Place:
        return Place(self.file, self.line, self.column)


class Exclusion(NamedTuple):
    """One net that is not listed, as written at one place."""

    net: Net
    text: str
    place: Place


def _no_spans() -> Mapping[int, Spans]:
    return {version: Spans(version) for version in BITS}


@dataclass(frozen=True, slots=True)
class ListFile:
    """What a list file lists. It can be millions of nets, so they are columns; an `Entry` is made when one is wanted.

    nets: the nets of each version in the order of the file, each with the number of its line; listings: the distinct
    listings that entries have of their own; numbers: for each version which listing each of the nets has, 0 is that of
    the list and n is `listings[n - 1]`; a version without such entries is missing. excluded: the nets that the file
    excludes, with the numbers of their lines.

    An exclusion acts on the entries of its file alone. Among these and the exclusions the one with the fewest
    addresses decides, and of two of one size the exclusion: for CIDRs the longest prefix, as in rbldnsd.
    """

    path: str
    nets: Mapping[int, Spans]
    listings: tuple[Listing, ...] = ()
    numbers: "Mapping[int, array[int]]" = field(default_factory=dict)
    excluded: Mapping[int, Spans] = field(default_factory=_no_spans)

    def __len__(self) -> int:
        return sum(len(spans) for spans in self.nets.values())

    def listing(self, version: int, row: int, default: Listing) -> Listing:
        """The listing of one of the nets; `default` is that of the list."""
        number = self.numbers[version][row] if version in self.numbers else 0
        return self.listings[number - 1] if number else default

    def entry(self, version: int, row: int, default: Listing) -> Entry:
        """One of the nets; its text is how we write it, and the place has no column."""
        first, last, line = self.nets[version][row]
        net = Net(version, first, last)
        return Entry(*net, str(net), self.path, line, 0, self.listing(version, row, default))

    def entries(self, default: Listing) -> Iterator[Entry]:
        """All of them in the order of the file."""

        def of(version: int, spans: Spans) -> Iterator[Entry]:
            return (self.entry(version, row, default) for row in range(len(spans)))

        return merge(*starmap(of, self.nets.items()), key=lambda entry: entry.line)

    def listings_in_use(self, default: Listing) -> tuple[Listing, ...]:
        """The distinct listings that entries of the file have; `default` is that of the list."""
        has_default = any(
            len(spans) and (version not in self.numbers or 0 in self.numbers[version])
            for version, spans in self.nets.items()
        )
        return (default, *self.listings) if has_default else self.listings

    def exclusion(self, version: int, row: int) -> Exclusion:
        """One of the exclusions; its text is how we write it, and the place has no column."""
        first, last, line = self.excluded[version][row]
        net = Net(version, first, last)
        return Exclusion(net, str(net), Place(self.path, line))
