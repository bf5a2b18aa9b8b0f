"""Readers of list files: what every format has in common.

Owns the two sides that a format stands between. `ListReader` is what turns the bytes of one list file, already
decompressed and cut into blocks of whole lines, into entries, exclusions and problems; a `Sink` is what it puts them
into, which makes a `ListFile` of them. Knows no format, and nothing of files on disk.
"""

from array import array
from collections.abc import Callable
from typing import Protocol

from dnsbl_server.model._spans import Spans
from dnsbl_server.model.address import BITS, Net
from dnsbl_server.model.entry import ListFile
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Place, Problems

# Bytes of a line. Of a longer one a block has at least one byte more than this, but maybe not all of it.
MAX_LINE = 4096
MAX_BAD_LINES = 5  # of a list file that are shown

# Whether a net can be listed, from the net, its text and its place; warns of what may not be meant.
Accept = Callable[[Net, str, Place], bool]


class ListReader(Protocol):
    """Reads one list file. Whatever it finds goes into the sink that it was made with; it never raises."""

    def read(self, block: bytes, line: int) -> int:
        """Read a block of whole lines, `line` being the number of the first; returns how many lines it has."""

    def finish(self) -> None:
        """Everything has been read."""


class Sink:
    """What a list file lists and excludes, and what is wrong with it, as its reader finds it.

    v4, v6: the nets in columns, each with the number of its line. A reader may append to them itself where it knows
    that a net can be listed: `accept` takes every net outside of 127.0.0.0/8 and ::/32 that is no larger than an IPv4
    /16 or an IPv6 /32.
    """

    def __init__(self, path: str, default: Listing, problems: Problems, accept: Accept) -> None:
        """default: the listing of the list, which entries have that say nothing of their own."""
        self.default = default
        self.v4 = Spans(4)
        self.v6 = Spans(6)
        self._nets = {4: self.v4, 6: self.v6}
        self._path = path
        self._problems = problems
        self._bad_lines = 0
        self._accept = accept
        self._excluded = {version: Spans(version) for version in BITS}
        # Equal listings are kept once; the number of one is its place here, from 1.
        self._listings: dict[Listing, int] = {}
        self._numbers: dict[int, array[int]] = {}

    def number_of(self, listing: Listing) -> int:
        """The number of a listing, for `add`: 0 for that of the list."""
        if listing == self.default:
            return 0
        return self._listings.setdefault(listing, len(self._listings) + 1)

    def add(self, net: Net, text: str, line: int, listing: int = 0) -> None:
        """Take an entry, as far as it can be listed. text: as written; listing: a number that `number_of` gave."""
        if not self._accept(net, text, Place(self._path, line)):
            return
        nets = self._nets[net.version]
        if listing:
            numbers = self._numbers.setdefault(net.version, array("I"))
            _pad(numbers, len(nets))
            numbers.append(listing)
        nets.append(net.first, net.last, line)

    def exclude(self, net: Net, line: int) -> None:
        """Take an exclusion: see `ListFile` for what it does."""
        self._excluded[net.version].append(net.first, net.last, line)

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
        for version, numbers in self._numbers.items():
            _pad(numbers, len(self._nets[version]))
        used = set[int]().union(*self._numbers.values()) - {0}
        if len(used) < len(self._listings):
            # Entries that were not accepted left listings that nothing has.
            kept = {number: at for at, number in enumerate(sorted(used), 1)}
            self._listings = {listing: kept[number] for listing, number in self._listings.items() if number in kept}
            for version, numbers in self._numbers.items():
                self._numbers[version] = array("I", (kept.get(number, 0) for number in numbers))
        return ListFile(self._path, self._nets, tuple(self._listings), self._numbers, self._excluded)


def _pad(numbers: "array[int]", count: int) -> None:
    """Give the nets that have no number yet the listing of the list."""
    numbers.frombytes(bytes(numbers.itemsize * (count - len(numbers))))
