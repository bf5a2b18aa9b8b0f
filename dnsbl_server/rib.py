"""The RIB: every listing of a zone, in radix trees that can explain themselves.

Owns which entry decides: within a list the most specific one, unless the list or the zone excludes the address; an
entry counts until it expires. Ranges become the fewest prefixes, and one prefix stands in a list once. Belongs to the
control plane: it answers `why is this address listed?`, and the compiler makes the data plane's tables from it.
"""

from functools import cached_property
from socket import AF_INET, AF_INET6
from typing import Any, NamedTuple

from pytricia import PyTricia

from dnsbl_server.address import BITS, format_prefix, prefixes, without_loopback
from dnsbl_server.problem import Problems
from dnsbl_server.zone import BlockList, Entry, Exclusion, Zone

# A prefix as one number, first << 8 | length: sorted, these come in the order of a walk through the tree.
Prefixes = dict[int, Entry]


class Match(NamedTuple):
    """What one list says of an address.

    entry: the one that decides, None when nothing does; covering: all entries that hold the address, most specific
    first, expired ones too; exclusion: what takes the address out of this list.
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

    def covering(self, number: int) -> list[Any]:
        """The values of all prefixes that hold the address, most specific first."""
        address = number.to_bytes(self._bytes)
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
        self.prefixes: dict[int, Prefixes] = {4: {}, 6: {}}
        for entry in block_list.entries:
            own = self.prefixes[entry.version]
            bits = BITS[entry.version]
            keys = (
                [entry.first << 8 | bits]
                if entry.first == entry.last
                else [first << 8 | length for net in without_loopback(entry.net) for first, length in prefixes(net)]
            )
            for key in keys:
                earlier = own.setdefault(key, entry)
                if earlier is not entry:
                    message = f"listed twice in {block_list.name}, first at {earlier.place}"
                    if earlier.net != entry.net:
                        shared = format_prefix(entry.version, key >> 8, key & 0xFF)
                        message += f" as {earlier.text}; both are made of {shared} and others"
                    elif earlier.text != entry.text:
                        message += f" as {earlier.text}"
                    problems.error(entry.place, entry.text, message)
                    break

    @cached_property
    def _trees(self) -> dict[int, Tree]:
        """Built when first asked: only an explanation needs them, and a million inserts take a second."""
        trees = {4: Tree(4), 6: Tree(6)}
        for version, own in self.prefixes.items():
            for key, entry in own.items():
                trees[version].insert(key >> 8, key & 0xFF, entry)
        return trees

    @cached_property
    def _exclusions(self) -> dict[int, Tree]:
        return exclusion_trees(self.list.exclusions)

    def match(self, version: int, number: int, now: float) -> Match | None:
        """What the list says of an address at a time; None where no entry holds the address."""
        covering = tuple(self._trees[version].covering(number))
        if not covering:
            return None
        exclusions = self._exclusions[version].covering(number)
        current = [entry for entry in covering if not entry.listing.expires_at or entry.listing.expires_at > now]
        entry = current[0] if current and not exclusions else None
        return Match(self.list, entry, covering, exclusions[0] if exclusions else None)


class ZoneRib:
    """A zone with its lists as radix trees. Prefixes that stand in a list twice are reported."""

    def __init__(self, zone: Zone, problems: Problems) -> None:
        self.zone = zone
        self.lists = [ListRib(block_list, problems) for block_list in zone.lists]

    @cached_property
    def _exclusions(self) -> dict[int, Tree]:
        return exclusion_trees(self.zone.exclusions)

    def explain(self, version: int, number: int, now: float) -> Explanation:
        """Everything that bears on an address at a time, in seconds since 1970."""
        matches = (block_list.match(version, number, now) for block_list in self.lists)
        exclusions = self._exclusions[version].covering(number)
        return Explanation(
            tuple(match for match in matches if match is not None), exclusions[0] if exclusions else None
        )


def exclusion_trees(exclusions: tuple[Exclusion, ...]) -> dict[int, Tree]:
    trees = {4: Tree(4), 6: Tree(6)}
    for exclusion in exclusions:
        for first, length in prefixes(exclusion.net):
            trees[exclusion.net.version].insert(first, length, exclusion)
    return trees
