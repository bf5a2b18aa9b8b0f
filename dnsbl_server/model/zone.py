"""What a zone is: the typed values that a zone file says, with nothing left to check.

Owns `Zone`, `BlockList`, `Entry`, `ListFile` and what they are made of. Nothing of it changes once it is made. Knows
neither YAML nor DNS messages.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from heapq import merge
from itertools import starmap
from typing import NamedTuple

from dnsbl_server.model._spans import Spans
from dnsbl_server.model.address import Net
from dnsbl_server.model.listing import DEFAULT_TTL, Listing, Text
from dnsbl_server.model.problem import Place

DEFAULT_NEGATIVE_TTL = 60


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
    """One net that is never listed, as written at one place."""

    net: Net
    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class ListFile:
    """What a list file lists. It can be millions of nets, so they are columns; an `Entry` is made when one is wanted.

    nets: the nets of each version in the order of the file, each with the number of its line.
    """

    path: str
    nets: Mapping[int, Spans]

    def __len__(self) -> int:
        return sum(len(spans) for spans in self.nets.values())

    def entry(self, version: int, row: int, listing: Listing) -> Entry:
        """One of the nets; its text is how we write it, and the place has no column."""
        first, last, line = self.nets[version][row]
        return Entry(version, first, last, str(Net(version, first, last)), self.path, line, 0, listing)

    def entries(self, listing: Listing) -> Iterator[Entry]:
        """All of them in the order of the file."""

        def of(version: int, spans: Spans) -> Iterator[Entry]:
            return (self.entry(version, row, listing) for row in range(len(spans)))

        return merge(*starmap(of, self.nets.items()), key=lambda entry: entry.line)


@dataclass(frozen=True, slots=True)
class BlockList:
    """A list of a zone, and what is never listed by it.

    entries: those that stand in the zone file, in order; files: the others, which all have the list's own listing.
    """

    name: str
    place: Place
    listing: Listing
    text: Text
    entries: tuple[Entry, ...]
    exclusions: tuple[Exclusion, ...] = ()
    files: tuple[ListFile, ...] = ()

    @property
    def size(self) -> int:
        """How many entries there are, those of the files too."""
        return len(self.entries) + sum(len(file) for file in self.files)

    def all_entries(self) -> Iterator[Entry]:
        """The entries, those of the files too: slow where there are many."""
        yield from self.entries
        for file in self.files:
            yield from file.entries(self.listing)


@dataclass(frozen=True, slots=True)
class Soa:
    """The SOA record without its serial (RFC 1035 section 3.3.13); times in seconds."""

    mname: str
    rname: str
    refresh: int = 3600
    retry: int = 600
    expire: int = 604800


@dataclass(frozen=True, slots=True)
class Apex:
    """What the zone's own name answers besides SOA and NS; mx: (preference, exchange)."""

    a: tuple[str, ...] = ()
    aaaa: tuple[str, ...] = ()
    mx: tuple[tuple[int, str], ...] = ()
    txt: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Zone:
    """One zone. name: lower case, without the final dot; ttl, negative_ttl: seconds."""

    name: str
    place: Place
    soa: Soa
    lists: tuple[BlockList, ...]
    description: str = ""
    ttl: int = DEFAULT_TTL
    negative_ttl: int = DEFAULT_NEGATIVE_TTL
    ns: tuple[str, ...] = ()
    apex: Apex = field(default_factory=Apex)
    exclusions: tuple[Exclusion, ...] = ()
