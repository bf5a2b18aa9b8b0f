"""Readers of list files: what every format has in common.

Owns the two sides that a format stands between. `ListReader` is what turns the bytes of one list file, already
decompressed and cut into blocks of whole lines, into entries, exclusions and problems; a `Sink` is what it puts them
into, which makes a `ListFile` of them. Knows no format, and nothing of files on disk.
"""

from array import array
from collections.abc import Callable
from typing import Protocol

from dnsbl_server.model._names import Names
from dnsbl_server.model._spans import Spans
from dnsbl_server.model.address import BITS
from dnsbl_server.model.domain import BELOW, Domains
from dnsbl_server.model.entry import NAMES, ListFile
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.model.subject import Subjects
from dnsbl_server.sources.entrytext import EntryText
from dnsbl_server.sources.suffixes import public_rows

# Bytes of a line. Of a longer one a block has at least one byte more than this, but maybe not all of it.
MAX_LINE = 4096
MAX_BAD_LINES = 5  # of a list file that are shown

_SHOWN_SUFFIXES = 3  # of those that are left out

# Whether something can be listed, from what it is, its text and its place; warns of what may not be meant.
Accept = Callable[[Subjects, str, Place], bool]


class ListReader(Protocol):
    """Reads one list file. Whatever it finds goes into the sink that it was made with; it never raises."""

    def read(self, block: bytes, line: int) -> int:
        """Read a block of whole lines, `line` being the number of the first; returns how many lines it has."""

    def finish(self) -> None:
        """Everything has been read."""


class Sink:
    """What a list file lists and excludes, and what is wrong with it, as its reader finds it.

    v4, v6, names: what is listed in columns, each with the number of its line. A reader may append to them itself where
    it knows that something can be listed: `accept` takes every net outside of 127.0.0.0/8 and ::/32 that is no larger
    than an IPv4 /16 or an IPv6 /32, and every name of two labels or more.
    """

    def __init__(self, path: str, default: Listing, problems: Problems, accept: Accept, text: EntryText) -> None:
        """default: the listing of the list, for entries that say nothing of their own; text: how these are read."""
        self.default = default
        self.text = text
        self.v4 = Spans(4)
        self.v6 = Spans(6)
        self.names = Names()
        self._columns: dict[int, Spans | Names] = {4: self.v4, 6: self.v6, NAMES: self.names}
        self._path = path
        self._problems = problems
        self._bad_lines = 0
        self._accept = accept
        self._excluded = {version: Spans(version) for version in BITS}
        self._excluded_names = Names()
        # Equal listings are kept once; the number of one is its place here, from 1.
        self._listings: dict[Listing, int] = {}
        self._numbers: dict[int, array[int]] = {}

    def number_of(self, listing: Listing) -> int:
        """The number of a listing, for `add`: 0 for that of the list."""
        if listing == self.default:
            return 0
        return self._listings.setdefault(listing, len(self._listings) + 1)

    def add(self, what: Subjects, text: str, line: int, listing: int = 0) -> None:
        """Take an entry, as far as it can be listed. text: as written; listing: a number that `number_of` gave."""
        if not self._accept(what, text, Place(self._path, line)):
            return
        family = NAMES if isinstance(what, Domains) else what.version
        if listing:
            numbers = self._numbers.setdefault(family, array("I"))
            _pad(numbers, len(self._columns[family]))
            numbers.append(listing)
        if isinstance(what, Domains):
            self.names.append(what.name, what.scope, line)
        else:
            (self.v4 if what.version == 4 else self.v6).append(what.first, what.last, line)

    def exclude(self, what: Subjects, line: int) -> None:
        """Take an exclusion: see `ListFile` for what it does. One that is too long to be asked for does nothing."""
        if isinstance(what, Domains):
            if len(what.name) <= self.text.longest:
                self._excluded_names.append(what.name, what.scope, line)
        else:
            self._excluded[what.version].append(what.first, what.last, line)

    def error(self, line: int, column: int, value: str, message: str) -> None:
        """Note what is wrong with a line. Only the first are shown: the path may be of a file that is none of ours."""
        self._bad_lines += 1
        if self._bad_lines <= MAX_BAD_LINES:
            self._problems.error(Place(self._path, line, column), value, message)

    def warning(self, line: int, column: int, value: str, message: str) -> None:
        self._problems.warning(Place(self._path, line, column), value, message)

    def list_file(self) -> ListFile:
        """All that was put in."""
        if self._bad_lines > MAX_BAD_LINES:
            more = self._bad_lines - MAX_BAD_LINES
            message = f"and {more:,} more {'line' if more == 1 else 'lines'} that cannot be read"
            self._problems.error(Place(self._path), "", message)
        for family, numbers in self._numbers.items():
            _pad(numbers, len(self._columns[family]))
        names = self.names if self.text.takes_suffixes else self._without_suffixes()
        used = set[int]().union(*self._numbers.values()) - {0}
        if len(used) < len(self._listings):
            # Entries that were not accepted left listings that nothing has.
            kept = {number: at for at, number in enumerate(sorted(used), 1)}
            self._listings = {listing: kept[number] for listing, number in self._listings.items() if number in kept}
            for family, numbers in self._numbers.items():
                self._numbers[family] = array("I", (kept.get(number, 0) for number in numbers))
        nets = {4: self.v4, 6: self.v6}
        listings = tuple(self._listings)
        return ListFile(self._path, nets, names, listings, self._numbers, self._excluded, self._excluded_names)

    def _without_suffixes(self) -> Names:
        """The names without those that mean all under a public suffix: that lists everybody, and no feed may do it."""
        rows = public_rows(self.names)
        if not rows:
            return self.names
        shown = []
        for row in rows[:_SHOWN_SUFFIXES]:
            name, scope, line = self.names[row]
            shown.append(f"{Domains(name, scope | BELOW)} (line {line})")
        more = f" and {len(rows) - len(shown):,} more" if len(rows) > len(shown) else ""
        message = (
            f"{len(rows):,} {'entry' if len(rows) == 1 else 'entries'} left out that list all names under a public "
            f"suffix: {', '.join(shown)}{more}; public_suffixes: true takes them"
        )
        self._problems.warning(Place(self._path), "", message)
        if NAMES in self._numbers:
            numbers = self._numbers[NAMES]
            left_out = set(rows)
            self._numbers[NAMES] = array("I", (each for row, each in enumerate(numbers) if row not in left_out))
        return self.names.without(rows)


def _pad(numbers: "array[int]", count: int) -> None:
    """Give the nets that have no number yet the listing of the list."""
    numbers.frombytes(bytes(numbers.itemsize * (count - len(numbers))))
