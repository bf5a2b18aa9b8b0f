"""The domain names of a zone: the entries of all its lists to the nodes of its table.

Owns which listings hold for a name, and which for all names below it. Within a list the more specific entry comes
first; exclusions of the zone and of a list hide all that is listed at or below them, and those of a list file the
entries of that file that are no more specific (see `ListFile`). `_trie` has the names, in order. What its nodes mean is
decided here, for distinct cases only: a rule is what is written of one name, and a state is what holds below a name.
"""

from array import array
from collections.abc import Iterable
from typing import NamedTuple

from dnsbl_server.compiler._trie import Trie
from dnsbl_server.compiler.answers import Answers, Overlaps
from dnsbl_server.compiler.chains import Chains
from dnsbl_server.compiler.layers import distinct_listings
from dnsbl_server.compiler.rib import ListRib, ZoneRib
from dnsbl_server.compiler.testentries import test_name_answer
from dnsbl_server.model._names import Names
from dnsbl_server.model.domain import AT, BELOW, INVALID, TEST, Domains
from dnsbl_server.model.entry import NAMES, Exclusion
from dnsbl_server.model.listing import OF_SUBJECT, Listing
from dnsbl_server.table.layout import Nodes, no_nodes

# In place of the number of a list: an exclusion of the zone, and the two names that come from code.
_ZONE = -1
_TEST = -2
_INVALID = -3
# In place of the number of a file: an exclusion of the list.
_LIST = -1
# A rule of one row is 3 * origin + scope; rules of several rows have the numbers from here on.
_JOINED = 1 << 31


class _Origin(NamedTuple):
    """What rows have in common. number: of the list; file: from 1, or 0; listing: None for an exclusion."""

    number: int
    file: int
    listing: Listing | None


class _Held(NamedTuple):
    """What holds a name: the number of its origin, and of how many labels its own name is."""

    origin: int
    labels: int


# By list what holds there, the most specific first; None where an exclusion hides all of it.
_State = dict[int, tuple[_Held, ...] | None]
_Key = tuple[tuple[int, tuple[_Held, ...] | None], ...]
# The numbers of the chains that hold together, one for each list; None for the test entry.
_Together = tuple[int, ...] | None


class NameLayers:
    """The names of all lists of a zone that has any: which chains hold where."""

    def __init__(self, rib: ZoneRib, chains: Chains) -> None:
        self._chains = chains
        self._origins: list[_Origin] = []
        # Each is a rule with one row more.
        self._joined: list[tuple[int, int]] = []
        self._states: list[_State] = [{}]
        self._numbers_of_states: dict[_Key, int] = {(): 0}
        # Of each distinct node: what holds for the name, and for all names below it.
        self._values: dict[tuple[_Together, _Together], int] = {}
        self._chains_of: dict[tuple[_Held, ...], int | None] = {}
        self._templates = [own.list.template for own in rib.lists]
        self._files_exclude = [any(len(file.excluded_names) for file in own.list.files) for own in rib.lists]
        self._trie = Trie()
        if not any(own.list.has_names for own in rib.lists):
            return
        for number, own in enumerate(rib.lists):
            self._add_list(number, own)
        self._exclude(_ZONE, rib.zone.exclusions)
        self._add(Names([(TEST, AT, 0)]), None, [_Origin(_TEST, 0, None)])
        self._add(Names([(INVALID, AT, 0)]), None, [_Origin(_INVALID, 0, None)])
        self._trie.walk(self._combine)

    def nodes(self, overlaps: Overlaps, answers: Answers) -> Nodes:
        """The nodes of the table."""
        if not self._values:
            return no_nodes()
        test = test_name_answer(answers)
        columns = []
        for side in (0, 1):
            held = [each[side] for each in self._values]
            numbers = answers.of_names(overlaps.number_of(each) if each else None for each in held)
            columns.append(array("I", (test if each is None else at for each, at in zip(held, numbers, strict=True))))
        return self._trie.nodes(*columns)

    def _add_list(self, number: int, own: ListRib) -> None:
        written, *files = own.name_sources()
        if len(written):
            listings = distinct_listings(own.list)
            kinds = {id(listing): kind for kind, listing in enumerate(listings)}
            of_rows = array("I", (kinds[id(own.list.entries[at].listing)] for _, _, at in written))
            self._add(written, of_rows, [_Origin(number, 0, listing) for listing in listings])
        for at, (names, file) in enumerate(zip(files, own.list.files, strict=True), 1):
            # Where no file excludes anything, it does not matter which one an entry is from.
            source = at if self._files_exclude[number] else 0
            origins = [_Origin(number, source, listing) for listing in (own.list.listing, *file.listings)]
            self._add(names, file.numbers.get(NAMES), origins)
            self._add(file.excluded_names, None, [_Origin(number, source, None)])
        self._exclude(number, own.list.exclusions)

    def _exclude(self, number: int, exclusions: Iterable[Exclusion]) -> None:
        found = [each.what for each in exclusions if isinstance(each.what, Domains)]
        self._add(Names((*what, 0) for what in found), None, [_Origin(number, _LIST, None)])

    def _add(self, names: Names, kinds: "array[int] | None", origins: list[_Origin]) -> None:
        """Add rows, each with the origin that it has by its kind."""
        if not len(names):
            return
        used = set(kinds or ())
        if kinds is None or len(kinds) < len(names):
            used.add(0)
        rules = array("I")
        for kind, origin in enumerate(origins):
            is_over = origin.listing is not None and (kind not in used or self._chains.is_over(origin.listing))
            at = len(self._origins) + kind
            rules.extend(0 if is_over else 3 * at + scope for scope in (1, 2, 3))
        self._origins += origins
        self._trie.add(names, kinds, rules, self._join)

    def _rows_of(self, rule: int) -> list[int]:
        """The rules of single rows that a rule is made of, in their order."""
        rows = []
        while rule >= _JOINED:
            rule, row = self._joined[rule - _JOINED]
            rows.append(row)
        if rule:
            rows.append(rule)
        return rows[::-1]

    def _join(self, rule: int, row: int) -> int:
        """The number of a rule with one row more."""
        self._joined.append((rule, row))
        return _JOINED + len(self._joined) - 1

    def _combine(self, state: int, rule: int, labels: int) -> tuple[int, int]:
        """The value of a node, and the state below it, from the state that it is in and its rule."""
        around = self._states[state]
        rows = [divmod(row - 1, 3) for row in self._rows_of(rule)]
        written = [(self._origins[origin], origin, scope + 1) for origin, scope in rows]
        kinds = {origin.number for origin, _, _ in written}
        at = self._together(self._inside(around, written, AT, labels))
        within = self._inside(around, written, BELOW, labels)
        if _TEST in kinds:
            at = None
        elif _INVALID in kinds:
            at = ()
        key = tuple(sorted(within.items())) if within is not around else None
        if key is not None:
            state = self._numbers_of_states.setdefault(key, len(self._states))
            if state == len(self._states):
                self._states.append(within)
        return self._values.setdefault((at, self._together(within)), len(self._values)), state

    def _inside(self, around: _State, written: list[tuple[_Origin, int, int]], side: int, labels: int) -> _State:
        """What holds for a name itself (AT) or for those below it (BELOW), with what is written of it on top."""
        ours = [each for each in written if each[2] & side and each[0].number >= _ZONE]
        if not ours or _ZONE in around:
            return around
        # What means both sides is less specific; of what is as specific the exclusions come first.
        ours.sort(key=lambda each: (each[2] == AT | BELOW, each[0].listing is not None))
        of_lists: dict[int, list[tuple[_Origin, int, int]]] = {}
        for each in ours:
            of_lists.setdefault(each[0].number, []).append(each)
        if _ZONE in of_lists:
            return {_ZONE: None}
        found: _State = dict(around)
        for number, of_list in of_lists.items():
            under = found.get(number, ())
            if under is None or any(origin.file == _LIST for origin, _, _ in of_list):
                found[number] = None
                continue
            held = (*(_Held(at, labels if self._shows_name(origin) else 0) for origin, at, _ in of_list), *under)
            found[number] = held if self._files_exclude[number] else self._until_endless(held)
        return found

    def _shows_name(self, origin: _Origin) -> bool:
        """Whether the text of a listing has the listed name in it."""
        own = origin.listing.text if origin.listing else None
        return not (own or self._templates[origin.number]).placeholders.isdisjoint(OF_SUBJECT)

    def _until_endless(self, held: tuple[_Held, ...]) -> tuple[_Held, ...]:
        """What holds, up to the first listing without an end: what comes behind that never decides."""
        for at, each in enumerate(held, 1):
            listing = self._origins[each.origin].listing
            if listing is not None and not self._chains.expiry(listing):
                return held[:at]
        return held

    def _together(self, state: _State) -> _Together:
        """The chains that hold, in the order of their lists."""
        found = (self._chain_of(number, held) for number, held in sorted(state.items()) if held)
        return tuple(chain for chain in found if chain is not None)

    def _chain_of(self, number: int, held: tuple[_Held, ...]) -> int | None:
        """The chain of what holds in a list; None where all of it is excluded by its files."""
        if held in self._chains_of:
            return self._chains_of[held]
        hidden = set()
        counting: list[tuple[Listing, int]] = []
        for each in held:
            origin = self._origins[each.origin]
            if origin.listing is None:
                hidden.add(origin.file)
            elif origin.file not in hidden:
                counting.append((origin.listing, each.labels))
        chain = None
        if counting:
            listings, labels = zip(*counting, strict=True)
            chain = self._chains.number_of(number, listings, labels)
        self._chains_of[held] = chain
        return chain
