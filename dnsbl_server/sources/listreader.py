"""Readers of list files: what every format has in common.

Owns the two sides that a format stands between. `ListReader` is what turns the bytes of one list file, already
decompressed and cut into blocks of whole lines, into entries, exclusions and problems; a `Sink` is what it puts them
into, which makes a `ListFile` of them. Knows no format, and nothing of files on disk.
"""

from array import array
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from dnsbl_server.model._names import Names
from dnsbl_server.model._spans import Spans
from dnsbl_server.model.address import BITS
from dnsbl_server.model.domain import BELOW, Domains
from dnsbl_server.model.entry import NAMES, ListFile, place_of
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Place, Problem, Problems
from dnsbl_server.model.subject import Subjects
from dnsbl_server.sources.entrytext import EntryText
from dnsbl_server.sources.suffixes import public_rows

# Bytes of a line. Of a longer one a block has at least one byte more than this, but maybe not all of it.
MAX_LINE = 4096
MAX_SHOWN = 5  # lines of a list file that are shown, of one kind of problem
# A file is taken with this many bad lines, and with this share of its lines. The number is for local files alone.
FEW_BAD_LINES = 5
FEW_BAD_SHARE = 0.01

_SHOWN_SUFFIXES = 3  # of those that are left out

# Whether something can be listed, from what it is, its text and its place; warns of what may not be meant.
Accept = Callable[[Subjects, str, Place], bool]


class ListReader(Protocol):
    """Reads one list file. Whatever it finds goes into the sink that it was made with; it never raises."""

    def read(self, block: bytes, line: int) -> int:
        """Read a block of whole lines, `line` being the number of the first; returns how many lines it has.

        Of a raw format it is any part of the file instead.
        """

    def next_file(self) -> None:
        """What follows is of the next one of several files that are read as one."""

    def finish(self) -> None:
        """Everything has been read."""


class Reading(NamedTuple):
    """What came of reading a list file.

    verdict: why it must not be used, empty where it may be; is_empty: whether that is because it has nothing, and
    nothing wrong either; skipped: how many of its lines cannot be read.
    """

    file: ListFile
    verdict: str = ""
    is_empty: bool = False
    skipped: int = 0


class Sink:
    """What a list file lists and excludes, and what is wrong with it, as its reader finds it.

    v4, v6, names: what is listed in columns, each with the number of its line. A reader may append to them itself where
    it knows that something can be listed: `accept` takes every net outside of 127.0.0.0/8 and ::/32 that is no larger
    than an IPv4 /16 or an IPv6 /32, and every name of two labels or more.
    """

    def __init__(
        self, paths: Sequence[str], default: Listing, problems: Problems, accept: Accept, text: EntryText
    ) -> None:
        """paths: the files that are read as one, mostly a single one; default: the listing of the list, for entries
        that say nothing of their own; text: how these are read.
        """
        self.default = default
        self.text = text
        self.v4 = Spans(4)
        self.v6 = Spans(6)
        self.names = Names()
        self._columns: dict[int, Spans | Names] = {4: self.v4, 6: self.v6, NAMES: self.names}
        self._paths = paths
        # Where the lines of the files after the first one begin: how many come before, and the path.
        self._parts: list[tuple[int, str]] = []
        self._problems = problems
        # What is shown of the lines that cannot be read, and of those that are left out; and how many there are.
        self._bad: list[Problem] = []
        self._bad_lines = 0
        self._left_out: list[Problem] = []
        self._lines_left_out = 0
        self._failure = ""
        self._accept = accept
        self._excluded = {version: Spans(version) for version in BITS}
        self._excluded_names = Names()
        # Equal listings are kept once; the number of one is its place here, from 1.
        self._listings: dict[Listing, int] = {}
        self._numbers: dict[int, array[int]] = {}

    def next_file(self, lines: int) -> None:
        """What follows is of the next file; lines: how many there were before."""
        self._parts.append((lines, self._paths[len(self._parts) + 1]))

    def place(self, line: int, column: int = 0) -> Place:
        """The place of a line."""
        return place_of(self._paths[0], self._parts, line, column)

    def number_of(self, listing: Listing) -> int:
        """The number of a listing, for `add`: 0 for that of the list."""
        if listing == self.default:
            return 0
        return self._listings.setdefault(listing, len(self._listings) + 1)

    def numbers(self, family: int) -> "array[int]":
        """The number of the listing of each row, of a version or of NAMES; who appends a row appends to this too."""
        numbers = self._numbers.setdefault(family, array("I"))
        _pad(numbers, len(self._columns[family]))
        return numbers

    def add(self, what: Subjects, text: str, line: int, listing: int = 0) -> None:
        """Take an entry, as far as it can be listed. text: as written; listing: a number that `number_of` gave."""
        if not self._accept(what, text, self.place(line)):
            return
        if listing:
            self.numbers(NAMES if isinstance(what, Domains) else what.version).append(listing)
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
        """Note what is wrong with a line, which is skipped; too many of them, and the file is not used.

        Only the first are shown: the path may be of a file that is none of ours.
        """
        self._bad_lines += 1
        if len(self._bad) < MAX_SHOWN:
            self._bad.append(Problem(self.place(line, column), value, message))

    def exclusion_error(self, line: int, column: int, value: str, message: str) -> None:
        """Note what is wrong with an exclusion: the file is not used, lest it list what it must not."""
        self.error(line, column, value, message)
        self._failure = self._failure or f"the exclusion in line {self.place(line).line} cannot be read"

    def left_out(self, line: int, value: str, message: str) -> None:
        """Note a line that is right, but cannot be said here."""
        self._lines_left_out += 1
        if len(self._left_out) < MAX_SHOWN:
            self._left_out.append(Problem(self.place(line), value, message, warning=True))

    def warning(self, line: int, column: int, value: str, message: str) -> None:
        """Note what may not be meant."""
        self._problems.add(Problem(self.place(line, column), value, message, warning=True))

    def fail(self, line: int, message: str) -> None:
        """Note that the file as a whole is wrong, and is not used. line: 0 where it is none of its lines."""
        if not self._failure:
            self._failure = f"line {self.place(line).line}: {message}" if line else message

    def reading(self, is_local: bool = True) -> Reading:
        """All that was put in, and whether it may be used. is_local: written here, and not fetched."""
        verdict = self._failure or self._too_many_bad(is_local)
        for problem in self._bad:
            message = problem.message if verdict else f"skipped: {problem.message}"
            self._problems.add(Problem(problem.place, problem.value, message, warning=not verdict))
        self._count_more(len(self._bad), self._bad_lines, "cannot be read", is_warning=not verdict)
        for problem in self._left_out:
            self._problems.add(problem)
        self._count_more(len(self._left_out), self._lines_left_out, "are left out", is_warning=True)
        file = self._list_file()
        is_empty = not verdict and not len(file)
        return Reading(file, verdict or ("it has no entries" if is_empty else ""), is_empty, self._bad_lines)

    def _too_many_bad(self, is_local: bool) -> str:
        rows = [*self._columns.values(), *self._excluded.values(), self._excluded_names]
        lines = sum(map(len, rows)) + self._lines_left_out + self._bad_lines
        if self._bad_lines and self._bad_lines == lines:
            return "none of its lines can be read"
        if self._bad_lines <= FEW_BAD_SHARE * lines or (is_local and self._bad_lines <= FEW_BAD_LINES):
            return ""
        return f"{self._bad_lines:,} of {lines:,} lines cannot be read"

    def _count_more(self, shown: int, count: int, what: str, is_warning: bool) -> None:
        if count > shown:
            message = f"and {count - shown:,} more {'line' if count == shown + 1 else 'lines'} that {what}"
            if count == shown + 1:
                message = message.replace(" are ", " is ")
            self._problems.add(Problem(Place(self._paths[0]), "", message, is_warning))

    def _list_file(self) -> ListFile:
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
        return ListFile(
            path=self._paths[0],
            nets={4: self.v4, 6: self.v6},
            names=names,
            listings=tuple(self._listings),
            numbers=self._numbers,
            excluded=self._excluded,
            excluded_names=self._excluded_names,
            parts=tuple(self._parts),
        )

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
        self._problems.warning(Place(self._paths[0]), "", message)
        if NAMES in self._numbers:
            numbers = self._numbers[NAMES]
            left_out = set(rows)
            self._numbers[NAMES] = array("I", (each for row, each in enumerate(numbers) if row not in left_out))
        return self.names.without(rows)


def _pad(numbers: "array[int]", count: int) -> None:
    """Give the nets that have no number yet the listing of the list."""
    numbers.frombytes(bytes(numbers.itemsize * (count - len(numbers))))
