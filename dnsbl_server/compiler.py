"""The compiler: a RIB becomes a table.

Owns the merging. Each list is flattened (most specific first, exclusions cut out), the lists of the zone are laid over
each other, and every distinct outcome becomes one answer, with its successors where listings expire. The RIB's
`explain` and the table's `find` agree on every address at every time; tests hold them to it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar
from zlib import crc32

from dnsbl_server.address import BITS, INTERNET, LOOPBACK_FIRST
from dnsbl_server.problem import Problems
from dnsbl_server.rib import Prefixes, ZoneRib
from dnsbl_server.table import NO_LIST, Answer, Intervals, pack
from dnsbl_server.values import parse_template
from dnsbl_server.zone import (
    DEFAULT_CODE,
    DEFAULT_TEXT,
    TEST_REASON,
    Entry,
    Exclusion,
    Listing,
    Zone,
    describe_listing,
)

# A first and last address and what holds for them; a list of spans is sorted and disjoint.
T = TypeVar("T")
Span = tuple[int, int, T]
# The numbers of the chains (see below) that hold for a span, one for each list that covers it.
Chains = tuple[int, ...]

_PRINT_MASK = (1 << 64) - 1
# Larger than any prefix as a number.
_PAST_ALL = 1 << 200


class Compiled(NamedTuple):
    """A table, how many addresses of each version it lists (test entries not counted), and the expired entries."""

    table: bytes
    addresses: dict[int, int]
    expired: int


def compile_zone(
    rib: ZoneRib, serial: int, now: float, problems: Problems, sources: Iterable[str] = ()
) -> Compiled | None:
    """Make the table of a zone as it is at `now` (seconds since 1970); entries that are expired by then are left out.

    None where the zone lists the whole Internet, which is a problem.
    """
    zone = rib.zone
    chains = _Chains(now)
    merged: dict[int, list[Span[Chains]]] = {}
    for version in (4, 6):
        layers = [
            _flatten(own.prefixes[version], BITS[version], number, chains) for number, own in enumerate(rib.lists)
        ]
        if _covers_internet(version, layers):
            problems.error(zone.place, zone.name, f"its lists together cover the whole IPv{version} Internet")
            return None
        merged[version] = []
        for own, spans in zip(rib.lists, layers, strict=True):
            kept = _subtract(spans, _union(version, own.list.exclusions))
            merged[version] = _lay_over(merged[version], kept)
        merged[version] = _subtract(merged[version], _union(version, zone.exclusions))
    answers = _Answers(zone, chains)
    v4 = answers.intervals(merged[4])
    v6 = answers.intervals(merged[6])
    _add_test_entries(v4, answers)
    counts = []
    prints: list[int] = []
    expired = 0
    for block_list in zone.lists:
        current = chains.current(block_list.entries)
        expired += len(block_list.entries) - len(current)
        v4_entries = sum(entry.version == 4 for entry in current)
        counts.append({"name": block_list.name, "v4": v4_entries, "v6": len(current) - v4_entries})
        prints += _fingerprints(block_list.name, current)
    meta = {
        **_describe(zone),
        "serial": serial,
        "as_of": now,
        "sources": list(sources),
        "lists": counts,
        "expired": expired,
        "next_expiry": chains.next_expiry,
    }
    addresses = {version: sum(last - first + 1 for first, last, _ in spans) for version, spans in merged.items()}
    return Compiled(pack(meta, v4, v6, answers.records, prints), addresses, expired)


def _describe(zone: Zone) -> dict[str, object]:
    soa, apex = zone.soa, zone.apex
    return {
        "zone": zone.name,
        "ttl": zone.ttl,
        "negative_ttl": zone.negative_ttl,
        "soa": [soa.mname, soa.rname, soa.refresh, soa.retry, soa.expire],
        "ns": zone.ns,
        "apex": {"a": apex.a, "aaaa": apex.aaaa, "mx": apex.mx, "txt": apex.txt},
    }


def _fingerprints(name: str, entries: Sequence[Entry]) -> list[int]:
    # Numbers hash to the same in every process of one Python, unlike text; hence the checksum of the name.
    of_list = crc32(name.encode())
    return [hash((of_list, entry[0], entry[1], entry[2])) & _PRINT_MASK for entry in entries]


class _Chains:
    """Which listing of one list holds when: the most specific entry's, and what it uncovers when it expires.

    A chain is a list's number and listings that expire one after the other, the last one perhaps never.
    """

    def __init__(self, now: float) -> None:
        self.now = now
        self.chains: list[tuple[int, tuple[Listing, ...]]] = []
        self._expiries: dict[int, int] = {}
        self._numbers: dict[tuple[int, int, int], int] = {}

    def expiry(self, listing: Listing) -> int:
        expires = self._expiries.get(id(listing))
        if expires is None:
            expires = self._expiries[id(listing)] = listing.expires_at
        return expires

    def is_over(self, listing: Listing) -> bool:
        return 0 < self.expiry(listing) <= self.now

    def current(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """The entries that have not expired."""
        listings = {id(entry.listing): entry.listing for entry in entries}
        over = {key for key, listing in listings.items() if self.is_over(listing)}
        return [entry for entry in entries if id(entry.listing) not in over] if over else entries

    @property
    def next_expiry(self) -> int:
        """When the next listing expires, in seconds since 1970; 0 is never."""
        return min((expires for expires in self._expiries.values() if expires > self.now), default=0)

    def extend(self, number: int, listing: Listing, parent: int) -> int:
        """The number of the chain of `listing` over that of the covering entry (-1: there is none)."""
        key = (number, id(listing), parent)
        known = self._numbers.get(key)
        if known is None:
            own = self.expiry(listing)
            beneath = self.chains[parent][1] if own and parent >= 0 else ()
            later = tuple(under for under in beneath if not 0 < self.expiry(under) <= own)
            self.chains.append((number, (listing, *later)))
            known = self._numbers[key] = len(self.chains) - 1
        return known


def _flatten(prefixes: Prefixes, bits: int, number: int, chains: _Chains) -> list[Span[int]]:
    """The prefixes of list `number` as spans, each with the chain that holds for it."""
    spans: list[Span[int]] = []
    # The entries that hold the current position, outermost first: last address and chain.
    stack: list[tuple[int, int]] = []
    position = 0
    # Neighbours mostly share their listing, and most entries lie in no other one.
    listing: Listing | None = None
    over = False
    root = -1
    keys = sorted(prefixes)
    for key, following in zip(keys, [*keys[1:], _PAST_ALL], strict=False):
        entry = prefixes[key]
        if entry.listing is not listing:
            listing = entry.listing
            over = chains.is_over(listing)
            root = -1 if over else chains.extend(number, listing, -1)
        if over:
            continue
        first = key >> 8
        while stack and stack[-1][0] < first:
            last, chain = stack.pop()
            if position <= last:
                spans.append((position, last, chain))
                position = last + 1
        if stack:
            if position < first:
                spans.append((position, first - 1, stack[-1][1]))
            chain = chains.extend(number, entry.listing, stack[-1][1])
        else:
            chain = root
        last = first | ((1 << (bits - (key & 0xFF))) - 1)
        if following >> 8 > last:
            # Nothing lies inside it.
            spans.append((first, last, chain))
            position = last + 1
        else:
            stack.append((last, chain))
            position = first
    while stack:
        last, chain = stack.pop()
        if position <= last:
            spans.append((position, last, chain))
            position = last + 1
    return spans


def _union(version: int, exclusions: Iterable[Exclusion]) -> list[tuple[int, int]]:
    """The excluded addresses of one version as sorted, disjoint spans."""
    nets = sorted((net.first, net.last) for net, _, _ in exclusions if net.version == version)
    return _join(nets)


def _join(nets: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in nets:
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def _covers_internet(version: int, layers: list[list[Span[int]]]) -> bool:
    low, high = INTERNET[version]
    size = high - low + 1 - (0x1000000 if version == 4 else 0)  # 127.0.0.0/8 cannot be listed anyway
    if sum(last - first + 1 for spans in layers for first, last, _ in spans) < size:
        return False
    nets = [(first, last) for spans in layers for first, last, _ in spans]
    if version == 4:
        nets.append((LOOPBACK_FIRST, LOOPBACK_FIRST | 0xFFFFFF))
    return any(first <= low and last >= high for first, last in _join(sorted(nets)))


def _subtract(spans: list[Span[T]], holes: list[tuple[int, int]]) -> list[Span[T]]:
    """The spans without the holes; both are sorted and disjoint."""
    if not holes:
        return spans
    kept: list[Span[T]] = []
    at = 0
    for first, last, held in spans:
        while at < len(holes) and holes[at][1] < first:
            at += 1
        hole = at
        while hole < len(holes) and holes[hole][0] <= last:
            if first < holes[hole][0]:
                kept.append((first, holes[hole][0] - 1, held))
            first = holes[hole][1] + 1
            hole += 1
        if first <= last:
            kept.append((first, last, held))
    return kept


def _lay_over(under: list[Span[Chains]], over: list[Span[int]]) -> list[Span[Chains]]:
    """Both layers in one: where they overlap, the chains add up."""
    if not under:
        alone = {chain: (chain,) for _, _, chain in over}
        return [(first, last, alone[chain]) for first, last, chain in over]
    merged: list[Span[Chains]] = []
    ours, theirs = iter(under), iter(over)
    a, b = next(ours, None), next(theirs, None)
    while a and b:
        if a[1] < b[0]:
            merged.append(a)
            a = next(ours, None)
        elif b[1] < a[0]:
            merged.append((b[0], b[1], (b[2],)))
            b = next(theirs, None)
        elif a[0] < b[0]:
            merged.append((a[0], b[0] - 1, a[2]))
            a = (b[0], a[1], a[2])
        elif b[0] < a[0]:
            merged.append((b[0], a[0] - 1, (b[2],)))
            b = (a[0], b[1], b[2])
        else:
            last = min(a[1], b[1])
            merged.append((a[0], last, (*a[2], b[2])))
            a = (last + 1, a[1], a[2]) if a[1] > last else next(ours, None)
            b = (last + 1, b[1], b[2]) if b[1] > last else next(theirs, None)
    while a:
        merged.append(a)
        a = next(ours, None)
    while b:
        merged.append((b[0], b[1], (b[2],)))
        b = next(theirs, None)
    return merged


class _Answers:
    """The answers of a zone, each outcome once. Number 0 means not listed; number n is records[n - 1]."""

    def __init__(self, zone: Zone, chains: _Chains) -> None:
        self.zone = zone
        self.records: list[Answer] = []
        self._chains = chains
        self._of_chains: dict[Chains, int] = {}
        self._numbers: dict[Answer, int] = {}
        self._texts: dict[tuple[int, int], str] = {}

    def intervals(self, spans: list[Span[Chains]]) -> Intervals:
        """The spans with the numbers of their answers; neighbours with one answer become one."""
        intervals = Intervals([], [], [])
        firsts, lasts, answers = intervals
        before: Chains = ()
        number = 0
        end = -2
        for first, last, held in spans:
            if held is not before:
                before = held
                known = self._of_chains.get(held)
                following = self._of_chains[held] = self._resolve(held) if known is None else known
                if following != number:
                    number = following
                    end = -2
            if first == end + 1:
                lasts[-1] = last
            else:
                firsts.append(first)
                lasts.append(last)
                answers.append(number)
            end = last
        return intervals

    def number_of(self, answer: Answer) -> int:
        number = self._numbers.get(answer)
        if number is None:
            self.records.append(answer)
            number = self._numbers[answer] = len(self.records)
        return number

    def _resolve(self, held: Chains) -> int:
        """The answer that holds now, with those that follow it; made from the last one backwards."""
        chains = [self._chains.chains[chain] for chain in held]
        expiry = self._chains.expiry
        ends = sorted({expiry(listing) for _, chain in chains for listing in chain} - {0})
        # An answer holds from one end to the next; the one after the last end holds for ever.
        following = 0
        for start, end in reversed(list(zip([0, *ends], [*ends, 0], strict=True))):
            listings = []
            for number, chain in chains:
                listing = next((each for each in chain if not 0 < expiry(each) <= start), None)
                if listing is not None:
                    listings.append((number, listing))
            following = self.number_of(self._answer(listings, end, following)) if listings else 0
        return following

    def _answer(self, listings: list[tuple[int, Listing]], expires: int, following: int) -> Answer:
        return Answer(
            codes=tuple(dict.fromkeys(code for _, listing in listings for code in listing.codes)),
            texts=tuple((number, self._text(number, listing)) for number, listing in listings),
            ttl=min(listing.ttl for _, listing in listings),
            expires=expires,
            next=following,
        )

    def _text(self, number: int, listing: Listing) -> str:
        text = self._texts.get((number, id(listing)))
        if text is None:
            block_list = self.zone.lists[number]
            text = describe_listing(self.zone.name, block_list.name, block_list.text, listing)
            self._texts[number, id(listing)] = text
        return text


def _add_test_entries(v4: Intervals, answers: _Answers) -> None:
    """127.0.0.2, and 127.0.0.N for each code 127.0.0.N of the zone, answer their own address (RFC 5782 section 5)."""
    zone = answers.zone
    texts: dict[int, list[str]] = {DEFAULT_CODE: []}
    for block_list in zone.lists:
        listings = {id(entry.listing): entry.listing for entry in block_list.entries}.values()
        codes = {code for listing in (block_list.listing, *listings) for code in listing.codes}
        for code in sorted(codes):
            if code >> 8 == LOOPBACK_FIRST >> 8:
                test = Listing((code,), TEST_REASON, zone.ttl)
                text = describe_listing(zone.name, block_list.name, block_list.text, test)
                texts.setdefault(code, []).append(text)
    if not texts[DEFAULT_CODE]:
        test = Listing((DEFAULT_CODE,), TEST_REASON, zone.ttl)
        texts[DEFAULT_CODE].append(describe_listing(zone.name, "", parse_template(DEFAULT_TEXT), test))
    at = bisect_right(v4.firsts, LOOPBACK_FIRST)
    for code in sorted(texts):
        number = answers.number_of(Answer((code,), tuple((NO_LIST, text) for text in texts[code]), zone.ttl))
        v4.firsts.insert(at, code)
        v4.lasts.insert(at, code)
        v4.answers.insert(at, number)
        at += 1
