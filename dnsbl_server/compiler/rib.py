"""The RIB: every listing of a zone, in trees that can explain themselves.

Owns which entry decides: within a list the most specific one, and of two that are as specific the earlier, unless the
list or the zone excludes the subject; an entry counts until it expires. Of nets the one with the fewest addresses is
the most specific, which for CIDRs is the longest prefix; of names the one with the most labels, and of one name the
entry that does not mean both it and all below it. Ranges may overlap; in a zone file one net, or name and scope, stands
in a list once. Belongs to the control plane: it answers `why is this listed?`, and the compiler makes the data plane's
tables from it.

The millions of entries of list files stay out of the trees: for one subject they are looked through.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import accumulate, pairwise
from typing import NamedTuple

from dnsbl_server.compiler.trees import SubjectTree, specificity
from dnsbl_server.model import _names
from dnsbl_server.model._names import Names
from dnsbl_server.model._spans import Spans, duplicates, sorted_spans
from dnsbl_server.model.address import BITS, LOOPBACK_FIRST, LOOPBACK_LAST, Address, Net
from dnsbl_server.model.domain import INVALID, TEST
from dnsbl_server.model.entry import NAMES, Entry, Exclusion, ListFile
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Problem, Problems, shorten
from dnsbl_server.model.subject import Subject
from dnsbl_server.model.zone import BlockList, Zone


class Match(NamedTuple):
    """What one list says of a subject.

    entry: the one that decides, None when nothing does; covering: all entries that hold the subject, the most specific
    first, expired and excluded ones too; exclusion: what takes the subject out of this list, be it an exclusion of the
    list or, where all entries are of files that exclude it, the most specific of theirs.
    """

    list: BlockList
    entry: Entry | None
    covering: tuple[Entry, ...]
    exclusion: Exclusion | None


class Explanation(NamedTuple):
    """What a zone says of a subject: a match for each list that holds it, and what takes it out of all of them."""

    matches: tuple[Match, ...]
    exclusion: Exclusion | None

    @property
    def deciding(self) -> tuple[Match, ...]:
        """The matches that make the subject listed; none when it is not."""
        return () if self.exclusion else tuple(match for match in self.matches if match.entry)


class ListRib:
    """One list of a zone: its entries by family (a version, or NAMES), each exactly once."""

    def __init__(self, block_list: BlockList, problems: Problems) -> None:
        self.list = block_list
        # The entries of the zone file by version; the number of each is its position.
        self.written = {version: Spans(version) for version in BITS}
        self.written_names = Names()
        for at, entry in enumerate(block_list.entries):
            what = entry.what
            if isinstance(what, Net):
                self.written[what.version].append(what.first, what.last, at)
            else:
                self.written_names.append(what.name, what.scope, at)
        # The row of the first entry of each source, and how many rows there are.
        self._starts = {version: [0, *accumulate(map(len, self.sources(version)))] for version in BITS}
        self._starts[NAMES] = [0, *accumulate(map(len, self.name_sources()))]
        self._spans = {version: sorted_spans(version, self.sources(version)) for version in BITS}
        self._report_duplicates(problems)

    def sources(self, version: int) -> list[Spans]:
        """Where the entries of a version come from: the zone file, and then each list file."""
        return [self.written[version], *(file.nets[version] for file in self.list.files)]

    def name_sources(self) -> list[Names]:
        """Where the names come from: the zone file, and then each list file."""
        return [self.written_names, *(file.names for file in self.list.files)]

    def take_spans(self, version: int) -> Spans:
        """The nets of the entries of a version, sorted; the number of each is a row of `sources`.

        They are many, so they are not kept here: the caller is their only owner, and a second call makes them anew.
        """
        return self._spans.pop(version, None) or sorted_spans(version, self.sources(version))

    def _place_of(self, family: int, row: int) -> tuple[int, int]:
        """Which of the sources of a family a row is in, and the row in that."""
        starts = self._starts[family]
        source = bisect_right(starts, row) - 1
        return source, row - starts[source]

    def _written_entry(self, family: int, row: int) -> Entry:
        """An entry of the zone file."""
        number = self.written_names[row][2] if family == NAMES else self.written[family][row][2]
        return self.list.entries[number]

    def _entry(self, family: int, row: int) -> Entry:
        """The entry of a row of the sources."""
        source, row = self._place_of(family, row)
        if source:
            return self.list.files[source - 1].entry(family, row, self.list.listing)
        return self._written_entry(family, row)

    def source_of(self, version: int, row: int) -> tuple[int, Listing]:
        """Which of `sources` a row is in, 0 for the zone file, and its listing."""
        source, row = self._place_of(version, row)
        if source:
            return source, self.list.files[source - 1].listing(version, row, self.list.listing)
        return source, self._written_entry(version, row).listing

    def _report_duplicates(self, problems: Problems) -> None:
        """An error for each entry of the zone file that stands there already, and a warning for each other source.

        Whoever writes a list file may repeat what is listed, by itself or elsewhere: that changes nothing.
        """
        repeated: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        counts: Counter[int] = Counter()
        for family in (*BITS, NAMES):
            if family == NAMES:
                laters, earliers = _names.duplicates(self.name_sources())
            else:
                laters, earliers = duplicates(self._spans[family])
            starts = self._starts[family] if laters else []
            for source, (start, end) in enumerate(pairwise(starts)):
                low, high = bisect_left(laters, start), bisect_left(laters, end)
                counts[source] += high - low
                # A file that stands in the list under two names has millions.
                shown = high if not source else min(high, low + 1)
                repeated[source] += ((family, laters[at], earliers[at]) for at in range(low, shown))
        for source, rows in sorted(repeated.items()):
            pairs = [(self._entry(family, later), self._entry(family, earlier)) for family, later, earlier in rows]
            pairs.sort(key=lambda pair: pair[0].place)
            if not source:
                for later, earlier in pairs:
                    problems.add(self._duplicate(later, earlier))
            elif pairs:
                later, earlier = pairs[0]
                count = counts[source]
                stands = "entry stands" if count == 1 else "entries stand"
                message = f"{count:,} {stands} in {self.list.name} already: {shorten(later.text)} at {earlier.place}"
                problems.warning(later.place, "", message)

    def _duplicate(self, later: Entry, earlier: Entry) -> Problem:
        message = f"listed twice in {self.list.name}, first at {earlier.place}"
        if earlier.text != later.text:
            message += f" as {shorten(earlier.text)}"
        return Problem(later.place, later.text, message)

    @cached_property
    def _tree(self) -> SubjectTree:
        """The entries of the zone file. Built when first asked: only an explanation needs them."""
        return SubjectTree((entry.what, entry) for entry in self.list.entries)

    @cached_property
    def _exclusions(self) -> SubjectTree:
        return SubjectTree((exclusion.what, exclusion) for exclusion in self.list.exclusions)

    def _covering(self, subject: Subject) -> list[tuple[Entry, Exclusion | None]]:
        """The entries that hold a subject, the most specific first, and then in the order of their sources.

        With the exclusion of its file that takes the subject out of the entry.
        """
        if has_test_entries(subject):
            return []  # where no file can list anything
        found: list[tuple[Entry, Exclusion | None]] = [(entry, None) for entry in self._tree.covering(subject)]
        for file in self.list.files:
            excluded = _nearest_exclusion(file, subject)
            for family, row in _rows_covering(file.nets, file.names, subject):
                entry = file.entry(family, row, self.list.listing)
                is_out = excluded is not None and specificity(excluded.what) <= specificity(entry.what)
                found.append((entry, excluded if is_out else None))
        return sorted(found, key=lambda each: specificity(each[0].what))

    def match(self, subject: Subject, now: float) -> Match | None:
        """What the list says of a subject at a time; None where no entry holds it."""
        covering = self._covering(subject)
        if not covering:
            return None
        entries = tuple(entry for entry, _ in covering)
        exclusions = self._exclusions.covering(subject)
        if exclusions:
            return Match(self.list, None, entries, exclusions[0])
        current = [each for each in covering if not 0 < each[0].listing.expires_at <= now]
        counting = [entry for entry, exclusion in current if exclusion is None]
        if counting:
            return Match(self.list, counting[0], entries, None)
        return Match(self.list, None, entries, current[0][1] if current else None)


def has_test_entries(subject: Subject) -> bool:
    """Whether a subject is kept for test entries, which come from code (RFC 5782 section 5)."""
    if isinstance(subject, Address):
        return subject.version == 4 and LOOPBACK_FIRST <= subject.number <= LOOPBACK_LAST
    return subject.name in (TEST, INVALID)


def _rows_covering(nets: Mapping[int, Spans], names: Names, subject: Subject) -> Iterator[tuple[int, int]]:
    """The rows of a file that hold a subject, each with its family."""
    if isinstance(subject, Address):
        return ((subject.version, row) for row in nets[subject.version].covering(subject.number))
    return ((NAMES, row) for row in names.covering(subject.name))


def _nearest_exclusion(file: ListFile, subject: Subject) -> Exclusion | None:
    """The most specific exclusion of a file that holds a subject; the first of several."""
    found = [file.exclusion(*place) for place in _rows_covering(file.excluded, file.excluded_names, subject)]
    return min(found, key=lambda exclusion: specificity(exclusion.what), default=None)


class ZoneRib:
    """A zone with its lists. What stands in a list twice is reported."""

    def __init__(self, zone: Zone, problems: Problems) -> None:
        self.zone = zone
        self.lists = [ListRib(block_list, problems) for block_list in zone.lists]

    @cached_property
    def _exclusions(self) -> SubjectTree:
        return SubjectTree((exclusion.what, exclusion) for exclusion in self.zone.exclusions)

    def explain(self, subject: Subject, now: float) -> Explanation:
        """Everything that bears on a subject at a time, in seconds since 1970."""
        matches = (block_list.match(subject, now) for block_list in self.lists)
        exclusions = self._exclusions.covering(subject)
        return Explanation(
            tuple(match for match in matches if match is not None), exclusions[0] if exclusions else None
        )
