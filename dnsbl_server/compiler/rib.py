"""The RIB: every listing of a zone, in radix trees that can explain themselves.

Owns which entry decides: within a list the most specific one, unless the list or the zone excludes the address; an
entry counts until it expires. Ranges become the fewest prefixes, and one prefix stands in a list once. Belongs to the
control plane: it answers `why is this address listed?`, and the compiler makes the data plane's tables from it.

The millions of entries of list files stay out of the trees: for one address they are looked through.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cached_property
from socket import AF_INET, AF_INET6
from typing import Any, NamedTuple

from pytricia import PyTricia

from dnsbl_server.model._spans import Spans, duplicates, sorted_prefixes
from dnsbl_server.model.address import BITS, LOOPBACK_FIRST, LOOPBACK_LAST, Net, cidrs_of, without_loopback
from dnsbl_server.model.entry import Entry, Exclusion, ListFile
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import MAX_PER_FILE, Problem, Problems
from dnsbl_server.model.subject import Subject
from dnsbl_server.model.zone import BlockList, Zone


class Match(NamedTuple):
    """What one list says of an address.

    entry: the one that decides, None when nothing does; covering: all entries that hold the address, most specific
    first, expired and excluded ones too; exclusion: what takes the address out of this list, be it an exclusion of the
    list or, where all entries are of files that exclude it, the one that excludes the most specific entry.
    """

    list: BlockList
    entry: Entry | None
    covering: tuple[Entry, ...]
    exclusion: Exclusion | None


class Explanation(NamedTuple):
    """What a zone says of an address: a match for each list that holds it, and what takes it out of all of them."""

    matches: tuple[Match, ...]
    exclusion: Exclusion | None

    @property
    def deciding(self) -> tuple[Match, ...]:
        """The matches that make the address listed; none when it is not."""
        return () if self.exclusion else tuple(match for match in self.matches if match.entry)


class Tree:
    """A radix tree of one address family."""

    def __init__(self, version: int) -> None:
        self._tree = PyTricia(BITS[version], AF_INET if version == 4 else AF_INET6)
        self._bytes = BITS[version] // 8

    def insert(self, first: int, length: int, value: object) -> None:
        self._tree.insert((first.to_bytes(self._bytes), length), value)

    def covering(self, subject: Subject) -> list[Any]:
        """The values of all prefixes that hold a subject of this family, most specific first."""
        address = subject.number.to_bytes(self._bytes)
        values = []
        key = self._tree.get_key(address)
        while key is not None:
            values.append(self._tree[key])
            key = self._tree.parent(key)
        return values


class ListRib:
    """One list of a zone: its prefixes per address version, each exactly once."""

    def __init__(self, block_list: BlockList, problems: Problems) -> None:
        self.list = block_list
        # The entries of the zone file by version; the number of each is its position.
        self.written = {
            version: Spans(
                version, ((e.first, e.last, at) for at, e in enumerate(block_list.entries) if e[0] == version)
            )
            for version in BITS
        }
        self._prefixes = {version: self._sorted_prefixes(version) for version in BITS}
        self._report_duplicates(problems)

    def sources(self, version: int) -> list[Spans]:
        """Where the entries of a version come from: the zone file, and then each list file."""
        return [self.written[version], *(file.nets[version] for file in self.list.files)]

    def take_prefixes(self, version: int) -> Spans:
        """The prefixes of a version, sorted like a walk through the tree; the number of each is a row of `sources`.

        They are many, so they are not kept here: the caller is their only owner, and a second call makes them anew.
        """
        return self._prefixes.pop(version, None) or self._sorted_prefixes(version)

    def _sorted_prefixes(self, version: int) -> Spans:
        hole = (LOOPBACK_FIRST, LOOPBACK_LAST) if version == 4 else None
        return sorted_prefixes(version, self.sources(version), hole)

    def _place_of(self, version: int, row: int) -> tuple[int, int]:
        """Which of `sources` a row is in, and the row in that."""
        for number, source in enumerate(self.sources(version)):
            if row < len(source):
                return number, row
            row -= len(source)
        raise IndexError("no such row")

    def _entry(self, version: int, row: int) -> Entry:
        """The entry of a row of `sources`."""
        source, row = self._place_of(version, row)
        if source:
            return self.list.files[source - 1].entry(version, row, self.list.listing)
        return self.list.entries[self.written[version][row][2]]

    def source_of(self, version: int, row: int) -> tuple[int, Listing]:
        """Which of `sources` a row is in, 0 for the zone file, and its listing."""
        source, row = self._place_of(version, row)
        if source:
            return source, self.list.files[source - 1].listing(version, row, self.list.listing)
        return source, self.list.entries[self.written[version][row][2]].listing

    def _report_duplicates(self, problems: Problems) -> None:
        """One problem for each entry that has a prefix of an earlier one, in the order of the files."""
        found: list[list[Problem]] = [[] for _ in self.sources(4)]
        left_out = [0] * len(found)
        for version in BITS:
            laters, earliers, shared = duplicates(self._prefixes[version])
            start = 0
            for number, source in enumerate(self.sources(version) if laters else []):
                low, high = bisect_left(laters, start), bisect_left(laters, start + len(source))
                start += len(source)
                # A file that stands in the list twice under two names has millions; a thousand of them are shown.
                shown = min(high, low + MAX_PER_FILE)
                left_out[number] += high - shown
                for at in range(low, shown):
                    later, earlier = self._entry(version, laters[at]), self._entry(version, earliers[at])
                    found[number].append(self._duplicate(later, earlier, shared[at]))
        for each, more in zip(found, left_out, strict=True):
            for problem in sorted(each, key=lambda problem: problem.place):
                problems.add(problem)
            if more:
                problems.leave_out(each[0].place.file, more)

    def _duplicate(self, later: Entry, earlier: Entry, shared: tuple[int, int, int]) -> Problem:
        message = f"listed twice in {self.list.name}, first at {earlier.place}"
        if earlier.net != later.net:
            prefix = Net(later.version, shared[0], shared[1])
            message += f" as {earlier.text}; both are made of {prefix} and others"
        elif earlier.text != later.text:
            message += f" as {earlier.text}"
        return Problem(later.place, later.text, message)

    @cached_property
    def _trees(self) -> dict[int, Tree]:
        """The entries of the zone file, by prefix. Built when first asked: only an explanation needs them."""
        trees = {4: Tree(4), 6: Tree(6)}
        for entry in self.list.entries:
            for first, length in _cidrs_of_entry(entry):
                trees[entry.version].insert(first, length, (length, entry))
        return trees

    @cached_property
    def _exclusions(self) -> dict[int, Tree]:
        return _exclusion_trees(self.list.exclusions)

    def _covering(self, subject: Subject) -> list[tuple[int, Entry, Exclusion | None]]:
        """The entries that hold a subject, most specific first.

        With the length of the prefix, and the exclusion of its file that takes the subject out of the entry.
        """
        version, number = subject
        found: list[tuple[int, Entry, Exclusion | None]] = [
            (length, entry, None) for length, entry in self._trees[version].covering(subject)
        ]
        for file in self.list.files:
            excluded = _most_specific_exclusion(file, subject)
            for row in file.nets[version].covering(number):
                entry = file.entry(version, row, self.list.listing)
                length = _length_at(_cidrs_of_entry(entry), subject)
                if length is not None:
                    found.append((length, entry, excluded[1] if excluded and excluded[0] >= length else None))
        return sorted(found, key=lambda each: -each[0])

    def match(self, subject: Subject, now: float) -> Match | None:
        """What the list says of a subject at a time; None where no entry holds it."""
        covering = self._covering(subject)
        if not covering:
            return None
        entries = tuple(entry for _, entry, _ in covering)
        exclusions = self._exclusions[subject.version].covering(subject)
        if exclusions:
            return Match(self.list, None, entries, exclusions[0])
        current = [each for each in covering if not each[1].listing.expires_at or each[1].listing.expires_at > now]
        counting = [entry for _, entry, exclusion in current if exclusion is None]
        if counting:
            return Match(self.list, counting[0], entries, None)
        return Match(self.list, None, entries, current[0][2] if current else None)


def _length_at(cidrs: Iterable[tuple[int, int]], subject: Subject) -> int | None:
    """The length of the one of several disjoint CIDRs that holds a subject."""
    for first, length in cidrs:
        if first <= subject.number < first + (1 << BITS[subject.version] - length):
            return length
    return None


def _most_specific_exclusion(file: ListFile, subject: Subject) -> tuple[int, Exclusion] | None:
    """The most specific exclusion of a file that holds a subject, after the length of its prefix."""
    found = []
    for row in file.excluded[subject.version].covering(subject.number):
        exclusion = file.exclusion(subject.version, row)
        length = _length_at(cidrs_of(exclusion.net), subject)
        assert length is not None
        found.append((length, exclusion))
    return max(found, key=lambda each: each[0], default=None)


def _cidrs_of_entry(entry: Entry) -> Iterator[tuple[int, int]]:
    """The prefixes of an entry outside of 127.0.0.0/8, where nothing can be listed."""
    for net in without_loopback(entry.net):
        yield from cidrs_of(net)


class ZoneRib:
    """A zone with its lists as radix trees. Prefixes that stand in a list twice are reported."""

    def __init__(self, zone: Zone, problems: Problems) -> None:
        self.zone = zone
        self.lists = [ListRib(block_list, problems) for block_list in zone.lists]

    @cached_property
    def _exclusions(self) -> dict[int, Tree]:
        return _exclusion_trees(self.zone.exclusions)

    def explain(self, subject: Subject, now: float) -> Explanation:
        """Everything that bears on a subject at a time, in seconds since 1970."""
        matches = (block_list.match(subject, now) for block_list in self.lists)
        exclusions = self._exclusions[subject.version].covering(subject)
        return Explanation(
            tuple(match for match in matches if match is not None), exclusions[0] if exclusions else None
        )


def _exclusion_trees(exclusions: tuple[Exclusion, ...]) -> dict[int, Tree]:
    """The exclusions by prefix."""
    trees = {4: Tree(4), 6: Tree(6)}
    for exclusion in exclusions:
        for first, length in cidrs_of(exclusion.net):
            trees[exclusion.net.version].insert(first, length, exclusion)
    return trees
