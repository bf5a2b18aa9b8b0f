"""Entries: what a list is made of, each with the place where it is written.

Owns `Entry` and `Exclusion`, and `ListFile`, which holds millions of both in columns. Nothing of it changes once it is
made. Knows neither formats of files nor zones.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from heapq import merge
from itertools import starmap
from typing import NamedTuple

from dnsbl_server.model._names import Names
from dnsbl_server.model._spans import Spans
from dnsbl_server.model.address import BITS, Net
from dnsbl_server.model.domain import Domains
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Place
from dnsbl_server.model.provenance import UNSAID, Provenance
from dnsbl_server.model.subject import Subjects

# Stands for domain names where a version stands for addresses.
NAMES = 0


class Entry(NamedTuple):
    """What one entry lists, as written at one place."""

    what: Subjects
    text: str
    file: str
    line: int
    column: int
    listing: Listing

    @property
    def place(self) -> Place:
        return Place(self.file, self.line, self.column)


class Exclusion(NamedTuple):
    """What is not listed, as written at one place."""

    what: Subjects
    text: str
    place: Place


def _no_spans() -> Mapping[int, Spans]:
    return {version: Spans(version) for version in BITS}


@dataclass(frozen=True, slots=True)
class ListFile:
    """What a list file lists. It can be millions of nets and names, so they are columns; an `Entry` is made on demand.

    nets: the nets of each version in the order of the file, each with the number of its line; names: the domain names
    likewise; listings: the distinct listings that entries have of their own; numbers: for each version, and for NAMES,
    which listing each of them has, 0 is that of the list and n is `listings[n - 1]`; one without such entries is
    missing. excluded, excluded_names: what the file excludes, with the numbers of the lines. parts: where several files
    are read as one, those after the first, each with how many lines come before it; provenance: whose data it is.

    An exclusion acts on the entries of its file alone. Among these and the exclusions the one with the fewest
    addresses decides, and of two of one size the exclusion: for CIDRs the longest prefix, as in rbldnsd. Of names the
    more specific one decides.
    """

    path: str
    nets: Mapping[int, Spans]
    names: Names = field(default_factory=Names)
    listings: tuple[Listing, ...] = ()
    numbers: "Mapping[int, array[int]]" = field(default_factory=dict)
    excluded: Mapping[int, Spans] = field(default_factory=_no_spans)
    excluded_names: Names = field(default_factory=Names)
    parts: tuple[tuple[int, str], ...] = ()
    provenance: Provenance = UNSAID

    def __len__(self) -> int:
        return sum(len(spans) for spans in self.nets.values()) + len(self.names)

    @property
    def paths(self) -> tuple[str, ...]:
        """Where it is: a path, or a URL, and those that are read with it."""
        return self.path, *(path for _, path in self.parts)

    def place(self, line: int) -> Place:
        """Where a line is; they are numbered on through all files that are read as one."""
        return place_of(self.path, self.parts, line)

    def listing(self, family: int, row: int, default: Listing) -> Listing:
        """The listing of one row of a version, or of NAMES; `default` is that of the list."""
        number = self.numbers[family][row] if family in self.numbers else 0
        return self.listings[number - 1] if number else default

    def entry(self, family: int, row: int, default: Listing) -> Entry:
        """One row of a version, or of NAMES; its text is how we write it, and the place has no column."""
        what, line = _row(self.names if family == NAMES else self.nets[family], row)
        return Entry(what, str(what), *self.place(line), self.listing(family, row, default))

    def entries(self, default: Listing) -> Iterator[Entry]:
        """All of them in the order of the file."""

        def of(family: int, rows: Sized) -> Iterator[Entry]:
            return (self.entry(family, row, default) for row in range(len(rows)))

        paths = {path: at for at, path in enumerate(self.paths)}
        return merge(*starmap(of, self._columns()), key=lambda entry: (paths[entry.file], entry.line))

    def _columns(self) -> list[tuple[int, Spans | Names]]:
        return [*self.nets.items(), (NAMES, self.names)]

    def listings_in_use(self, default: Listing) -> tuple[Listing, ...]:
        """The distinct listings that entries of the file have; `default` is that of the list."""
        has_default = any(
            len(rows) and (family not in self.numbers or 0 in self.numbers[family]) for family, rows in self._columns()
        )
        return (default, *self.listings) if has_default else self.listings

    def exclusion(self, family: int, row: int) -> Exclusion:
        """One of the exclusions; its text is how we write it, and the place has no column."""
        what, line = _row(self.excluded_names if family == NAMES else self.excluded[family], row)
        return Exclusion(what, str(what), self.place(line))


def place_of(path: str, parts: Sequence[tuple[int, str]], line: int, column: int = 0) -> Place:
    """Where a line is of files that are read as one. parts: see `ListFile`."""
    for before, part in reversed(parts):
        if line > before:
            return Place(part, line - before, column)
    return Place(path, line, column)


def _row(rows: Spans | Names, row: int) -> tuple[Subjects, int]:
    """What a row means, and its number."""
    if isinstance(rows, Spans):
        first, last, number = rows[row]
        return Net(rows.version, first, last), number
    name, scope, number = rows[row]
    return Domains(name, scope), number
