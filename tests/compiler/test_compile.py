"""RIB and table against a naive oracle: a scan over all entries for each address and each time."""

from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, summarize_address_range
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsbl_server.compiler.compile import compile_zone
from dnsbl_server.compiler.rib import ZoneRib
from dnsbl_server.model.address import Net, parse_address
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.model.zone import BlockList, Entry, Exclusion, Soa, Zone
from dnsbl_server.sources.values import parse_template
from dnsbl_server.table.table import NO_LIST, ZoneTable
from tests import oracle
from tests.conftest import NOW
from tests.profiles import examples

PLACE = Place("zone.yaml", 1, 1)
# Small windows of addresses, so that random nets overlap, touch and nest.
BASES = {4: 0xC6336400, 6: 0x20010DB8 << 96}
WINDOW = 64
EXPIRIES = (-5, 0, 10, 20, 30)
TIMES = (NOW, NOW + 9.5, NOW + 10, NOW + 20, NOW + 29, NOW + 31)


class Outcome(NamedTuple):
    """What an address is answered, without the texts' wording: the reasons stand for them."""

    codes: tuple[int, ...]
    ttl: int
    texts: tuple[tuple[int, str], ...]


@st.composite
def nets(draw: st.DrawFn) -> Net:
    version = draw(st.sampled_from((4, 6)))
    first = draw(st.integers(0, WINDOW - 1))
    size = draw(st.sampled_from((1, 1, 2, 4, 7, 16, 64)))
    last = min(first + size, WINDOW) - 1
    return Net(version, BASES[version] + first, BASES[version] + last)


@st.composite
def listings(draw: st.DrawFn) -> Listing:
    expires = draw(st.sampled_from((None, None, *EXPIRIES)))
    return Listing(
        codes=tuple(draw(st.lists(st.sampled_from((0x7F000002, 0x7F000003)), min_size=1, max_size=2, unique=True))),
        reason=draw(st.sampled_from(("spam", "ticket", "probe"))),
        ttl=draw(st.sampled_from((60, 300))),
        expires=None if expires is None else datetime.fromtimestamp(NOW + expires, UTC),
    )


def pieces(net: Net) -> list[tuple[int, int]]:
    """The prefixes of a net by another implementation: first address and size."""
    kind = IPv4Address if net.version == 4 else IPv6Address
    found = summarize_address_range(kind(net.first), kind(net.last))
    return [(int(each.network_address), each.num_addresses) for each in found]


@st.composite
def block_lists(draw: st.DrawFn, name: str) -> BlockList:
    default = draw(listings())
    entries: list[Entry] = []
    taken: set[tuple[int, int, int]] = set()
    for net in draw(st.lists(nets(), max_size=12)):
        own = {(net.version, *piece) for piece in pieces(net)}
        if not own & taken:  # one prefix stands in a list once
            taken |= own
            entries.append(Entry(*net, str(net), *PLACE, draw(st.one_of(st.just(default), listings()))))
    block_list = BlockList(name, PLACE, default, parse_template("{reason}"), tuple(entries), draw(exclusions()))
    return oracle.split(block_list, draw)


def exclusions() -> st.SearchStrategy[tuple[Exclusion, ...]]:
    return st.lists(nets().map(lambda net: Exclusion(net, str(net), PLACE)), max_size=3).map(tuple)


@st.composite
def zones(draw: st.DrawFn) -> Zone:
    lists = tuple(draw(block_lists(f"list{number}")) for number in range(draw(st.integers(1, 4))))
    return Zone("bl.example.org", PLACE, Soa("ns.example.org", "h.example.org"), lists, exclusions=draw(exclusions()))


def scan(zone: Zone, version: int, number: int, now: float) -> tuple[Outcome | None, list[Entry]]:
    """The oracle: what is answered, and the deciding entry of each list."""

    def holds(net: Net) -> bool:
        return net.version == version and net.first <= number <= net.last

    deciding: list[tuple[int, Entry]] = []
    for index, block_list in enumerate(zone.lists):
        candidates = [
            (size, order, entry)
            for order, entry in enumerate(block_list.all_entries())
            for first, size in (pieces(entry.net) if entry.version == version else [])
            if first <= number < first + size
            and (entry.listing.expires is None or entry.listing.expires.timestamp() > now)
        ]
        excluded = [*block_list.exclusions, *zone.exclusions]
        if candidates and not any(holds(exclusion.net) for exclusion in excluded):
            deciding.append((index, min(candidates)[2]))
    if not deciding:
        return None, []
    codes = dict.fromkeys(code for _, entry in deciding for code in entry.listing.codes)
    texts = tuple((index, entry.listing.reason) for index, entry in deciding)
    return Outcome(tuple(codes), min(e.listing.ttl for _, e in deciding), texts), [entry for _, entry in deciding]


def compiled(zone: Zone) -> tuple[ZoneRib, ZoneTable]:
    problems = Problems()
    rib = ZoneRib(zone, problems)
    result = compile_zone(rib, 1, NOW, problems)
    assert result is not None
    assert not len(problems)
    return rib, ZoneTable(result.table)


@settings(max_examples=examples(1.2))
@given(zone=zones(), now=st.sampled_from(TIMES))
def test_rib_and_table_say_what_a_scan_says(zone: Zone, now: float) -> None:
    rib, table = compiled(zone)
    for version, base in BASES.items():
        for number in range(base - 1, base + WINDOW + 1):
            expected, deciding = scan(zone, version, number, now)
            answer = table.find(version, number, now)
            found = Outcome(answer.codes, answer.ttl, answer.texts) if answer else None
            assert found == expected
            explained = rib.explain(version, number, now)
            assert [match.entry for match in explained.deciding] == deciding


@settings(max_examples=examples(0.8))
@given(zone=zones(), number=st.integers(0, WINDOW - 1), version=st.sampled_from((4, 6)))
def test_an_answer_expires_when_it_changes_and_not_before(zone: Zone, number: int, version: int) -> None:
    _, table = compiled(zone)
    answer = table.find(version, BASES[version] + number, NOW)
    if answer is None:
        return
    ends = [NOW + each for each in EXPIRIES if each > 0]
    until = [end for end in ends if end < (answer.expires or float("inf"))]
    for end in until:
        assert table.find(version, BASES[version] + number, end) == answer
    if answer.expires:
        assert table.find(version, BASES[version] + number, answer.expires) != answer


@settings(max_examples=examples(0.6))
@given(zone=zones())
def test_counts_are_those_of_the_entries(zone: Zone) -> None:
    rib, table = compiled(zone)
    expired = [
        entry
        for block_list in zone.lists
        for entry in block_list.all_entries()
        if entry.listing.expires and entry.listing.expires.timestamp() <= NOW
    ]
    assert table.meta["expired"] == len(expired)
    for described, block_list in zip(table.meta["lists"], zone.lists, strict=True):
        for version in (4, 6):
            current = [e for e in block_list.all_entries() if e.version == version and e not in expired]
            assert described[f"v{version}"] == len(current)
    later = [e.listing.expires_at for each in zone.lists for e in each.all_entries() if e.listing.expires_at > NOW]
    assert table.meta["next_expiry"] == min(later, default=0)
    again = compile_zone(rib, 1, NOW, Problems())
    assert again is not None
    for version in (4, 6):
        covered = sum(
            scan(zone, version, number, NOW)[0] is not None for number in range(BASES[version], BASES[version] + WINDOW)
        )
        assert again.addresses[version] == covered


def zone_of(*entries: str, code: int = 0x7F000002, exclude: tuple[str, ...] = ()) -> Zone:
    listing = Listing((code,), "spam", 300)
    made = []
    for text in entries:
        version, number = parse_address(text)
        made.append(Entry(version, number, number, text, *PLACE, listing))
    excluded = tuple(Exclusion(Net(*parse_address(text), parse_address(text)[1]), text, PLACE) for text in exclude)
    block_list = BlockList("traps", PLACE, listing, parse_template("{ip}: {reason}"), tuple(made))
    return Zone("bl.example.org", PLACE, Soa("ns.example.org", "h.example.org"), (block_list,), exclusions=excluded)


@pytest.mark.parametrize(
    ("address", "code", "listed"),
    [
        ("127.0.0.2", 0x7F000002, True),
        ("127.0.0.2", 0x7F00000A, True),  # always, whatever the codes
        ("127.0.0.10", 0x7F00000A, True),
        ("127.0.0.10", 0x7F000002, False),
        ("127.0.0.1", 0x7F000002, False),
        ("127.0.0.1", 0x7F00000A, False),
        ("127.0.1.10", 0x7F00010A, False),  # only codes 127.0.0.N have a test address
        ("::ffff:127.0.0.2", 0x7F000002, True),
        ("::ffff:127.0.0.1", 0x7F000002, False),
        ("127.255.255.254", 0x7F000002, False),
    ],
)
@pytest.mark.parametrize("exclude", [(), ("127.0.0.2", "127.0.0.10")])
def test_test_entries_come_from_the_codes(address: str, code: int, listed: bool, exclude: tuple[str, ...]) -> None:
    _, table = compiled(zone_of("192.0.2.1", code=code, exclude=exclude))
    version, number = parse_address(address)
    answer = table.find(version, number, NOW)
    assert (answer is not None) == listed
    if answer is not None:
        assert answer.codes == (number,)
        assert [index for index, _ in answer.texts] == [NO_LIST]
        assert "test entry" in answer.texts[0][1]


def test_a_prefix_twice_in_a_list_names_both_places() -> None:
    listing = Listing((0x7F000002,), "", 300)
    one = Entry(4, 1 << 24, 1 << 24, "1.0.0.0", "a.yaml", 3, 5, listing)
    two = one._replace(text="::ffff:1.0.0.0", file="feed.txt", line=7, column=0)
    block_list = BlockList("traps", PLACE, listing, parse_template(""), (one, two))
    problems = Problems()
    ZoneRib(Zone("bl.example.org", PLACE, Soa("a", "b"), (block_list,)), problems)
    said = "feed.txt:7: ::ffff:1.0.0.0: listed twice in traps, first at a.yaml:3:5 as 1.0.0.0"
    assert [str(problem) for problem in problems] == [said]


@pytest.mark.parametrize(
    ("halves", "refused"),
    [
        ([Net(4, 0, (1 << 31) - 1), Net(4, 1 << 31, (1 << 32) - 1)], True),
        ([Net(4, 1 << 24, (127 << 24) - 1), Net(4, 128 << 24, (224 << 24) - 1)], True),
        ([Net(4, 1 << 24, (127 << 24) - 1), Net(4, 128 << 24, (224 << 24) - 2)], False),
        ([Net(6, 0x2000 << 112, (0x3000 << 112) - 1), Net(6, 0x3000 << 112, (0x4000 << 112) - 1)], True),
        ([Net(6, 0x2000 << 112, (0x3000 << 112) - 1)], False),
    ],
)
@pytest.mark.parametrize("in_two_lists", [False, True])
def test_the_whole_internet_cannot_be_listed_in_parts(halves: list[Net], refused: bool, in_two_lists: bool) -> None:
    listing = Listing((0x7F000002,), "", 300)
    entries = [Entry(*net, str(net), *PLACE, listing) for net in halves]
    groups = [[entry] for entry in entries] if in_two_lists else [entries]
    lists = tuple(
        BlockList(f"list{number}", PLACE, listing, parse_template(""), tuple(group))
        for number, group in enumerate(groups)
    )
    problems = Problems()
    zone = Zone("bl.example.org", PLACE, Soa("a", "b"), lists)
    result = compile_zone(ZoneRib(zone, problems), 1, NOW, problems)
    assert (result is None) == refused
    assert bool(problems.errors) == refused
