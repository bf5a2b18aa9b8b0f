"""The compiler: a RIB becomes a table.

Owns the merging. Each list is flattened (most specific first, exclusions cut out), the lists of the zone are laid over
each other, and every distinct outcome becomes one answer, with its successors where listings expire. The RIB's
`explain` and the table's `find` agree on every address at every time; tests hold them to it.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple
from zlib import crc32

from dnsbl_server.compiler._merge import flatten, intervals, lay_over, subtract
from dnsbl_server.compiler.rib import ListRib, ZoneRib
from dnsbl_server.model._spans import Spans, union
from dnsbl_server.model.address import BITS, INTERNET, LOOPBACK_FIRST, LOOPBACK_LAST
from dnsbl_server.model.listing import DEFAULT_CODE, DEFAULT_TEXT, TEST_REASON, Listing, describe_listing
from dnsbl_server.model.problem import Problems
from dnsbl_server.model.zone import Exclusion, Zone
from dnsbl_server.table._format import NO_LIST
from dnsbl_server.table._prints import fingerprints
from dnsbl_server.table.table import Answer, Intervals, pack


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
    layers = [_layers(own, number, chains) for number, own in enumerate(rib.lists)]
    for version in BITS:
        if _covers_internet(version, [layer[version] for layer in layers]):
            problems.error(zone.place, zone.name, f"its lists together cover the whole IPv{version} Internet")
            return None
    outcomes = _Outcomes(len(chains.chains))
    answers = _Answers(zone, chains, outcomes)
    addresses = {}
    columns = {}
    for version in BITS:
        merged = Spans(version)
        for own, layer in zip(rib.lists, layers, strict=True):
            # Layers can be large, and none is needed after this.
            kept = subtract(layer.pop(version), _union(version, own.list.exclusions))
            merged = lay_over(merged, kept, outcomes.combine)
            del kept
        merged = subtract(merged, _union(version, zone.exclusions))
        addresses[version] = merged.addresses()
        columns[version] = answers.intervals(merged)
        del merged
    _add_test_entries(columns[4], answers)
    counts = []
    current: list[tuple[int, Spans]] = []
    expired = 0
    for own in rib.lists:
        found = {version: chains.current(own, version) for version in BITS}
        v4, v6 = (sum(map(len, each)) for each in found.values())
        counts.append({"name": own.list.name, "v4": v4, "v6": v6})
        expired += own.list.size - v4 - v6
        seed = crc32(own.list.name.encode())
        current += ((seed, spans) for each in found.values() for spans in each)
    meta = {
        **_describe(zone),
        "serial": serial,
        "as_of": now,
        "sources": list(sources),
        "lists": counts,
        "expired": expired,
        "next_expiry": chains.next_expiry,
    }
    table = pack(meta, columns[4], columns[6], answers.records, fingerprints(current))
    return Compiled(table, addresses, expired)


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

    def current(self, own: ListRib, version: int) -> list[Spans]:
        """The entries of a list that have not expired."""
        written, *files = own.sources(version)
        entries = own.list.entries
        if self._is_any_over:
            written = Spans(version, (span for span in written if not self.is_over(entries[span[2]].listing)))
        if not any(files) or not self.is_over(own.list.listing):
            return [written, *files]
        return [written]

    @property
    def _is_any_over(self) -> bool:
        return any(0 < expires <= self.now for expires in self._expiries.values())

    @property
    def next_expiry(self) -> int:
        """When the next listing expires, in seconds since 1970; 0 is never."""
        return min((expires for expires in self._expiries.values() if expires > self.now), default=0)

    def begin(self, number: int, listings: Iterable[Listing]) -> "array[int]":
        """The numbers of the chains of listings that cover no other entry; -1 for one that is over."""
        roots = array("i")
        for listing in listings:
            if self.is_over(listing):
                roots.append(-1)
            else:
                roots.append(len(self.chains))
                self.chains.append((number, (listing,)))
        return roots

    def extend(self, number: int, listing: Listing, parent: int) -> int:
        """The number of the chain of a listing that expires, over the chain of the covering entry."""
        key = (number, id(listing), parent)
        known = self._numbers.get(key)
        if known is None:
            own = self.expiry(listing)
            later = tuple(under for under in self.chains[parent][1] if not 0 < self.expiry(under) <= own)
            self.chains.append((number, (listing, *later)))
            known = self._numbers[key] = len(self.chains) - 1
        return known


def _layers(own: ListRib, number: int, chains: _Chains) -> dict[int, Spans]:
    """The prefixes of list `number` for each version, flattened; the number of a span is that of its chain."""
    block_list = own.list
    # The distinct listings by id, and the number of each.
    distinct = {id(entry.listing): entry.listing for entry in block_list.entries}
    if any(block_list.files):
        distinct[id(block_list.listing)] = block_list.listing
    kinds = {key: kind for kind, key in enumerate(distinct)}
    listings = list(distinct.values())
    roots = chains.begin(number, listings)
    nested = bytes(chains.expiry(listing) > 0 for listing in listings)

    def extend(kind: int, parent: int) -> int:
        return chains.extend(number, listings[kind], parent)

    layers = {}
    for version in BITS:
        written = (kinds[id(entry.listing)] for entry in block_list.entries if entry.version == version)
        of_files = kinds.get(id(block_list.listing), 0)
        layers[version] = flatten(own.take_prefixes(version), array("I", written), of_files, roots, nested, extend)
    return layers


def _union(version: int, exclusions: Iterable[Exclusion]) -> Spans:
    """The excluded addresses of one version."""
    return union(version, [Spans(version, ((n.first, n.last, 0) for n, _, _ in exclusions if n.version == version))])


def _covers_internet(version: int, layers: Iterable[Spans]) -> bool:
    low, high = INTERNET[version]
    # 127.0.0.0/8 cannot be listed anyway.
    loopback = Spans(version, [(LOOPBACK_FIRST, LOOPBACK_LAST, 0)] if version == 4 else [])
    if loopback.addresses() + sum(layer.addresses() for layer in layers) < high - low + 1:
        return False
    covered = union(version, [loopback, *layers])
    return any(covered[at][1] >= high for at in covered.covering(low))


class _Outcomes:
    """The chains that hold for a span together, one for each list that covers it.

    The first numbers are those of the single chains, so that most spans keep their number.
    """

    def __init__(self, chains: int) -> None:
        self.chains: list[tuple[int, ...]] = [(chain,) for chain in range(chains)]
        self._numbers: dict[tuple[int, int], int] = {}

    def combine(self, under: int, over: int) -> int:
        """The number of what holds where a chain joins an outcome."""
        number = self._numbers.get((under, over))
        if number is None:
            self.chains.append((*self.chains[under], over))
            number = self._numbers[under, over] = len(self.chains) - 1
        return number


class _Answers:
    """The answers of a zone, each outcome once. Number 0 means not listed; number n is records[n - 1]."""

    def __init__(self, zone: Zone, chains: _Chains, outcomes: _Outcomes) -> None:
        self.zone = zone
        self.records: list[Answer] = []
        self._chains = chains
        self._outcomes = outcomes
        self._numbers: dict[Answer, int] = {}
        self._texts: dict[tuple[int, int], str] = {}

    def intervals(self, spans: Spans) -> Intervals:
        """The columns of a table from spans with the numbers of their outcomes; the spans are used up by it."""
        # What is not resolved yet has no answer, 0. An outcome that no span has is never resolved.
        numbers = array("I", bytes(4 * len(self._outcomes.chains)))
        return Intervals(*intervals(spans, numbers, self._resolve))

    def number_of(self, answer: Answer) -> int:
        number = self._numbers.get(answer)
        if number is None:
            self.records.append(answer)
            number = self._numbers[answer] = len(self.records)
        return number

    def _resolve(self, outcome: int) -> int:
        """The answer that holds now, with those that follow it; made from the last one backwards."""
        expiry = self._chains.expiry
        following = 0
        held = self._outcomes.chains[outcome]
        if len(held) == 1:
            # Nearly always: the listings of a single chain follow each other.
            number, chain = self._chains.chains[held[0]]
            for each in reversed(chain):
                text = (number, self._text(number, each))
                following = self.number_of(Answer(each.codes, (text,), each.ttl, expiry(each), following))
            return following
        chains = [self._chains.chains[chain] for chain in held]
        ends = sorted({expiry(listing) for _, chain in chains for listing in chain} - {0})
        # An answer holds from one end to the next; the one after the last end holds for ever.
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
        texts[DEFAULT_CODE].append(describe_listing(zone.name, "", DEFAULT_TEXT, test))
    assert isinstance(v4.firsts, array)
    assert isinstance(v4.lasts, array)
    at = bisect_right(v4.firsts, LOOPBACK_FIRST)
    for code in sorted(texts):
        number = answers.number_of(Answer((code,), tuple((NO_LIST, text) for text in texts[code]), zone.ttl))
        v4.firsts.insert(at, code)
        v4.lasts.insert(at, code)
        v4.answers.insert(at, number)
        at += 1
