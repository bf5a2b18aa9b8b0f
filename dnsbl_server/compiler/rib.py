"""The RIB: every listing of a zone, in radix trees that can explain themselves.

Owns which entry decides: within a list the one with the fewest addresses, which for CIDRs is the longest prefix, and of
two of one size the earlier, unless the list or the zone excludes the address; an entry counts until it expires. Ranges
may overlap, but one net stands in a list once. Belongs to the control plane: it answers `why is this address listed?`,
and the compiler makes the data plane's tables from it.

The millions of entries of list files stay out of the trees: for one address they are looked through.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from functools import cached_property
from itertools import accumulate, islice, pairwise
from socket import AF_INET, AF_INET6
from typing import Any, NamedTuple

from pytricia import PyTricia

from dnsbl_server.model._spans import Spans, duplicates, sorted_spans
from dnsbl_server.model.address import BITS, LOOPBACK_FIRST, LOOPBACK_LAST, Net, cidrs_of
from dnsbl_server.model.entry import Entry, Exclusion, ListFile
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import MAX_PER_FILE, Problem, Problems, shorten
from dnsbl_server.model.subject import Subject
from dnsbl_server.model.zone import BlockList, Zone


class Match(NamedTuple):
    """What one list says of an address.

    entry: the one that decides, None when nothing does; covering: all entries that hold the address, the smallest
    first, expired and excluded ones too; exclusion: what takes the address out of this list, be it an exclusion of the
    list or, where all entries are of files that exclude it, the smallest of theirs.
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


class NetTree:
    """Nets of one address family, each with a value: CIDRs in a radix tree, other ranges in a column beside it."""

    def __init__(self, version: int) -> None:
        self._tree = PyTricia(BITS[version], AF_INET if version == 4 else AF_INET6)
        self._bytes = BITS[version] // 8
        self._ranges = Spans(version)
        self._values: list[tuple[Net, Any]] = []

    def insert(self, net: Net, value: object) -> None:
        """Add a net; of two equal CIDRs the first counts."""
        number = len(self._values)
        self._values.append((net, value))
        (first, length), *more = islice(cidrs_of(net), 2)
        prefix = (first.to_bytes(self._bytes), length)
        if more:
            self._ranges.append(net.first, net.last, number)
        elif not self._tree.has_key(prefix):
            self._tree.insert(prefix, number)

    def covering(self, subject: Subject) -> list[tuple[Net, Any]]:
        """The nets that hold a subject of this family, the smallest first, and of one size in their order."""
        address = subject.number.to_bytes(self._bytes)
        numbers = [self._ranges[row][2] for row in self._ranges.covering(subject.number)]
        key = self._tree.get_key(address)
        while key is not None:
            numbers.append(self._tree[key])
            key = self._tree.parent(key)
        return [self._values[number] for number in sorted(numbers, key=lambda each: (self._values[each][0].size, each))]


class ListRib:
    """One list of a zone: its entries per address version, each net exactly once."""

    def __init__(self, block_list: BlockList, problems: Problems) -> None:
        self.list = block_list
        # The entries of the zone file by version; the number of each is its position.
        self.written = {
            version: Spans(
                version, ((e.first, e.last, at) for at, e in enumerate(block_list.entries) if e[0] == version)
            )
            for version in BITS
        }
        # The row of the first entry of each source, and how many rows there are.
        self._starts = {version: [0, *accumulate(map(len, self.sources(version)))] for version in BITS}
        self._spans = {version: sorted_spans(version, self.sources(version)) for version in BITS}
        self._report_duplicates(problems)

    def sources(self, version: int) -> list[Spans]:
        """Where the entries of a version come from: the zone file, and then each list file."""
        return [self.written[version], *(file.nets[version] for file in self.list.files)]

    def take_spans(self, version: int) -> Spans:
        """The nets of the entries of a version, sorted; the number of each is a row of `sources`.

        They are many, so they are not kept here: the caller is their only owner, and a second call makes them anew.
        """
        return self._spans.pop(version, None) or sorted_spans(version, self.sources(version))

    def _place_of(self, version: int, row: int) -> tuple[int, int]:
        """Which of `sources` a row is in, and the row in that."""
        starts = self._starts[version]
        source = bisect_right(starts, row) - 1
        return source, row - starts[source]

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
        """One problem for each entry that has the net of an earlier one, in the order of the files."""
        found: list[list[Problem]] = [[] for _ in self.sources(4)]
        left_out = [0] * len(found)
        for version in BITS:
            laters, earliers = duplicates(self._spans[version])
            starts = self._starts[version] if laters else []
            for number, (start, end) in enumerate(pairwise(starts)):
                low, high = bisect_left(laters, start), bisect_left(laters, end)
                # A file that stands in the list twice under two names has millions; a thousand of them are shown.
                shown = min(high, low + MAX_PER_FILE)
                left_out[number] += high - shown
                for at in range(low, shown):
                    later, earlier = self._entry(version, laters[at]), self._entry(version, earliers[at])
                    found[number].append(self._duplicate(later, earlier))
        for each, more in zip(found, left_out, strict=True):
            for problem in sorted(each, key=lambda problem: problem.place):
                problems.add(problem)
            if more:
                problems.leave_out(each[0].place.file, more)

    def _duplicate(self, later: Entry, earlier: Entry) -> Problem:
        message = f"listed twice in {self.list.name}, first at {earlier.place}"
        if earlier.text != later.text:
            message += f" as {shorten(earlier.text)}"
        return Problem(later.place, later.text, message)

    @cached_property
    def _trees(self) -> dict[int, NetTree]:
        """The entries of the zone file. Built when first asked: only an explanation needs them."""
        return net_trees((entry.net, entry) for entry in self.list.entries)

    @cached_property
    def _exclusions(self) -> dict[int, NetTree]:
        return net_trees((exclusion.net, exclusion) for exclusion in self.list.exclusions)

    def _covering(self, subject: Subject) -> list[tuple[Entry, Exclusion | None]]:
        """The entries that hold a subject, the smallest first, and of one size in the order of `sources`.

        With the exclusion of its file that takes the subject out of the entry.
        """
        version, number = subject
        if version == 4 and LOOPBACK_FIRST <= number <= LOOPBACK_LAST:
            return []  # where no file can list anything
        found: list[tuple[Entry, Exclusion | None]] = [
            (entry, None) for _, entry in self._trees[version].covering(subject)
        ]
        for file in self.list.files:
            excluded = _smallest_exclusion(file, subject)
            for row in file.nets[version].covering(number):
                entry = file.entry(version, row, self.list.listing)
                is_out = excluded is not None and excluded.net.size <= entry.net.size
                found.append((entry, excluded if is_out else None))
        return sorted(found, key=lambda each: each[0].net.size)

    def match(self, subject: Subject, now: float) -> Match | None:
        """What the list says of a subject at a time; None where no entry holds it."""
        covering = self._covering(subject)
        if not covering:
            return None
        entries = tuple(entry for entry, _ in covering)
        exclusions = self._exclusions[subject.version].covering(subject)
        if exclusions:
            return Match(self.list, None, entries, exclusions[0][1])
        current = [each for each in covering if not 0 < each[0].listing.expires_at <= now]
        counting = [entry for entry, exclusion in current if exclusion is None]
        if counting:
            return Match(self.list, counting[0], entries, None)
        return Match(self.list, None, entries, current[0][1] if current else None)


def _smallest_exclusion(file: ListFile, subject: Subject) -> Exclusion | None:
    """The exclusion of a file with the fewest addresses that holds a subject; the first of several."""
    rows = file.excluded[subject.version].covering(subject.number)
    found = (file.exclusion(subject.version, row) for row in rows)
    return min(found, key=lambda exclusion: exclusion.net.size, default=None)


class ZoneRib:
    """A zone with its lists. Nets that stand in a list twice are reported."""

    def __init__(self, zone: Zone, problems: Problems) -> None:
        self.zone = zone
        self.lists = [ListRib(block_list, problems) for block_list in zone.lists]

    @cached_property
    def _exclusions(self) -> dict[int, NetTree]:
        return net_trees((exclusion.net, exclusion) for exclusion in self.zone.exclusions)

    def explain(self, subject: Subject, now: float) -> Explanation:
        """Everything that bears on a subject at a time, in seconds since 1970."""
        matches = (block_list.match(subject, now) for block_list in self.lists)
        exclusions = self._exclusions[subject.version].covering(subject)
        return Explanation(
            tuple(match for match in matches if match is not None), exclusions[0][1] if exclusions else None
        )


def net_trees(nets: Iterable[tuple[Net, object]]) -> dict[int, NetTree]:
    """A tree for each version, of nets with their values."""
    trees = {version: NetTree(version) for version in BITS}
    for net, value in nets:
        trees[net.version].insert(net, value)
    return trees
