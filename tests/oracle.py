"""The naive oracle of the tests: what a zone says of an address, found by looking at every entry.

Owns Hypothesis strategies for zones in a small world, where nearly everything overlaps. Shares no code with the trees
and the tables: most specific is the largest aligned block around the address that the entry holds whole.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from hypothesis import strategies as st

from dnsbl_server.model._spans import Spans
from dnsbl_server.model.address import Net
from dnsbl_server.model.listing import Listing, Text
from dnsbl_server.model.problem import Place
from dnsbl_server.model.zone import BlockList, Entry, Exclusion, ListFile, Soa, Zone
from tests.conftest import NOW

BITS = {4: 32, 6: 128}
CODES = tuple((127 << 24) | low for low in (2, 3, 4, 10))
TIMES = tuple(int(NOW) + offset for offset in (-86400, -1, 0, 1, 10, 20, 86400))
# Where the entries are: the ends of both address spaces and somewhere between; the length of the shortest prefix.
BASES = {4: (0, 0xC6336400, 0xFFFFFFC0), 6: (0, 0x20010DB8 << 96, (1 << 128) - 64)}
SHORTEST = {4: 3, 6: 16}
SIZE = 64


class Said(NamedTuple):
    """What the oracle says of an address at a time."""

    codes: tuple[int, ...]
    texts: tuple[tuple[int, str], ...]
    ttl: int


def block_length(net: Net, address: int) -> int:
    """The length of the shortest prefix that holds the address and lies in the net as a whole."""
    for length in range(BITS[net.version] + 1):
        host = (1 << (BITS[net.version] - length)) - 1
        if net.first <= address & ~host and address | host <= net.last:
            return length
    raise AssertionError("the net does not hold the address")


def blocks(net: Net) -> set[tuple[int, int]]:
    """The prefixes that make up a net, as (first address, length)."""
    found = set()
    address = net.first
    while address <= net.last:
        length = block_length(net, address)
        found.add((address, length))
        address += 1 << (BITS[net.version] - length)
    return found


def is_current(entry: Entry, now: float) -> bool:
    return entry.listing.expires is None or entry.listing.expires.timestamp() > now


def is_excluded(exclusions: tuple[Exclusion, ...], version: int, address: int) -> bool:
    return any(each.net.version == version and each.net.first <= address <= each.net.last for each in exclusions)


def covering(block_list: BlockList, version: int, address: int) -> list[Entry]:
    """The entries that hold an address, most specific first."""
    entries = block_list.all_entries()
    held = [each for each in entries if each.version == version and each.first <= address <= each.last]
    return sorted(held, key=lambda entry: -block_length(entry.net, address))


def deciding(zone: Zone, version: int, address: int, now: float) -> list[tuple[int, Entry]]:
    """The entry that decides in each list, with the number of the list; none where the address is not listed."""
    if is_excluded(zone.exclusions, version, address):
        return []
    found = []
    for number, block_list in enumerate(zone.lists):
        current = [entry for entry in covering(block_list, version, address) if is_current(entry, now)]
        if current and not is_excluded(block_list.exclusions, version, address):
            found.append((number, current[0]))
    return found


def say(zone: Zone, version: int, address: int, now: float) -> Said | None:
    """What a client is answered, with texts that are the reasons; None where the address is not listed."""
    found = deciding(zone, version, address, now)
    if not found:
        return None
    codes: list[int] = []
    for _, entry in found:
        codes += [code for code in entry.listing.codes if code not in codes]
    return Said(
        tuple(codes),
        tuple((number, entry.listing.reason) for number, entry in found),
        min(entry.listing.ttl for _, entry in found),
    )


def edges(zone: Zone) -> list[tuple[int, int]]:
    """Version and number of every address at and next to the edge of an entry or an exclusion."""
    nets = [entry.net for block_list in zone.lists for entry in block_list.all_entries()]
    nets += [each.net for block_list in zone.lists for each in block_list.exclusions]
    nets += [each.net for each in zone.exclusions]
    found = {(net.version, edge + step) for net in nets for edge in (net.first, net.last) for step in (-1, 0, 1)}
    return sorted((version, number) for version, number in found if 0 <= number < 1 << BITS[version])


def moments(zone: Zone) -> list[float]:
    """The time of the load and the times around each later expiry."""
    ends = {entry.listing.expires_at for block_list in zone.lists for entry in block_list.all_entries()} - {0}
    found = {NOW, NOW + 1e9} | {end + step for end in ends for step in (-0.5, 0, 0.5)}
    return sorted(moment for moment in found if moment >= NOW)


def make_net(version: int, text: tuple[int, int, int, int], is_prefix: bool) -> Net:
    """A net from raw numbers: base, two offsets and a prefix length."""
    base, start, end, length = text
    number = BASES[version][base] + start
    if not is_prefix:
        first, last = sorted((number, BASES[version][base] + end))
        return Net(version, first, last)
    host = (1 << (BITS[version] - length)) - 1
    return Net(version, number & ~host, number | host)


@st.composite
def nets(draw: st.DrawFn) -> Net:
    """Ranges and prefixes around the bases: half of the prefixes small, the others up to the largest."""
    version = draw(st.sampled_from((4, 4, 6)))
    offset = st.integers(0, SIZE - 1)
    bits = BITS[version]
    length = draw(st.integers(bits - 6, bits) | st.integers(SHORTEST[version], bits))
    raw = (draw(st.integers(0, 2)), draw(offset), draw(offset), length)
    return make_net(version, raw, draw(st.booleans()))


@st.composite
def listings(draw: st.DrawFn) -> Listing:
    expires = draw(st.none() | st.sampled_from(TIMES))
    return Listing(
        codes=tuple(draw(st.lists(st.sampled_from(CODES), min_size=1, max_size=3, unique=True))),
        reason=draw(st.sampled_from(("spam", "scan", "dynamic"))),
        ttl=draw(st.sampled_from((30, 300, 3600))),
        expires=None if expires is None else datetime.fromtimestamp(expires, UTC),
    )


@st.composite
def exclusions(draw: st.DrawFn) -> tuple[Exclusion, ...]:
    return tuple(
        Exclusion(net, str(net), Place("x.yaml", 900 + line))
        for line, net in enumerate(draw(st.lists(nets(), max_size=2)))
    )


@st.composite
def block_lists(draw: st.DrawFn, number: int) -> BlockList:
    shared = draw(listings())
    own: list[Listing] = draw(st.lists(listings(), max_size=3))
    entries: list[Entry] = []
    taken: set[tuple[int, int, int]] = set()
    for line, net in enumerate(draw(st.lists(nets(), max_size=8)), 1):
        keys = {(net.version, *block) for block in blocks(net)}
        listing = draw(st.sampled_from([shared, *own]))
        # The same prefix twice in a list is refused before anything is compiled.
        if not keys & taken:
            taken |= keys
            entries.append(Entry(*net, str(net), "x.yaml", 100 * number + line, 5, listing))
    name = f"list{number}"
    return split(BlockList(name, Place("x.yaml", 1), shared, REASON, tuple(entries), draw(exclusions())), draw)


def split(block_list: BlockList, draw: st.DrawFn) -> BlockList:
    """A list with some of its entries moved into list files, of which there are none, one or two."""
    nets = [{version: Spans(version) for version in BITS} for _ in range(draw(st.integers(0, 2)))]
    kept = []
    for line, entry in enumerate(block_list.entries, 1):
        # What stands in a list file has the listing of the list.
        target = draw(st.integers(-1, len(nets) - 1)) if entry.listing is block_list.listing else -1
        if target < 0:
            kept.append(entry)
        else:
            nets[target][entry.version].append(entry.first, entry.last, line)
    files = tuple(ListFile(f"{block_list.name}.{number}", each) for number, each in enumerate(nets))
    return replace(block_list, entries=tuple(kept), files=files)


@st.composite
def zones(draw: st.DrawFn) -> Zone:
    """A zone of one to three lists without duplicates, its texts the bare reasons."""
    count = draw(st.integers(1, 3))
    return make_zone(tuple(draw(block_lists(number)) for number in range(count)), draw(exclusions()))


REASON = Text(("", "reason", ""))


def make_zone(lists: tuple[BlockList, ...], excluded: tuple[Exclusion, ...] = ()) -> Zone:
    soa = Soa("ns.example.org", "hostmaster.example.org")
    return Zone("bl.example.org", Place("x.yaml", 1, 7), soa, lists, exclusions=excluded)


def for_all(zone: Zone, check: Callable[[int, int, float], None]) -> None:
    """Call `check(version, address, time)` at every edge and every moment of a zone."""
    for version, number in edges(zone):
        for moment in moments(zone):
            check(version, number, moment)
