"""The compiler: its tables against the naive oracle, counts, and the ends of the address space."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings

from dnsbl_server.compiler._merge import MAX_DEPTH
from dnsbl_server.compiler.compile import MAX_LISTS, compile_zone
from dnsbl_server.compiler.rib import ZoneRib
from dnsbl_server.model.address import Net, parse_address
from dnsbl_server.model.apex import Soa
from dnsbl_server.model.entry import NAMES, Entry
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.model.subject import Subject
from dnsbl_server.model.zone import BlockList, Zone
from dnsbl_server.sources.values import parse_template
from dnsbl_server.supply.load import LoadResult
from dnsbl_server.table._format import NO_LIST
from dnsbl_server.table.info import ListInfo
from dnsbl_server.table.table import ZoneTable
from tests import oracle
from tests.compiler.tables import find, loaded, reasons
from tests.conftest import NOW
from tests.profiles import examples

PLACE = Place("zone.yaml", 1, 1)


@given(oracle.zones())
@settings(max_examples=examples(1.2))
def test_find_agrees_with_a_linear_scan_at_every_edge_and_time(zone: Zone) -> None:
    problems = Problems()
    compiled = compile_zone(ZoneRib(zone, problems), 1, NOW, problems)
    assert compiled is not None
    assert not list(problems)
    table = ZoneTable(compiled.table)
    times = oracle.moments(zone)

    def check(subject: Subject, now: float) -> None:
        answer = table.find(subject, now)
        expected = oracle.say(zone, subject, now)
        assert (answer and (answer.codes, answer.texts, answer.ttl)) == expected
        if answer is None:
            return
        # The TTL of a client is cut at `expires`: nothing may change before it.
        assert answer.expires == 0 or answer.expires > now
        for later in times:
            if now < later and not 0 < answer.expires <= later:
                assert oracle.say(zone, subject, later) == expected
        # And something does change then.
        if answer.expires:
            assert table.find(subject, answer.expires) != answer

    oracle.for_all(zone, check)


@given(oracle.zones())
@settings(max_examples=examples(0.6))
def test_intervals_are_sorted_and_disjoint(zone: Zone) -> None:
    problems = Problems()
    compiled = compile_zone(ZoneRib(zone, problems), 1, NOW, problems)
    assert compiled is not None
    table = ZoneTable(compiled.table)
    for version in (4, 6):
        spans = list(table.intervals(version))
        assert all(first <= last for first, last in spans)
        assert all(before[1] < after[0] for before, after in pairwise(spans))
        # The only test entry is 127.0.0.2 and those of the codes; none of them is counted.
        tests = sum(first >> 24 == 127 for first, _ in spans) if version == 4 else 0
        assert sum(last - first + 1 for first, last in spans) - tests == compiled.addresses[version]


@settings(max_examples=examples(0.6))
@given(oracle.zones())
def test_counts_are_those_of_the_entries(zone: Zone) -> None:
    problems = Problems()
    compiled = compile_zone(ZoneRib(zone, problems), 7, NOW, problems, ["a.yaml", "feed.txt"])
    assert compiled is not None
    info = ZoneTable(compiled.table).info
    entries = [entry for block_list in zone.lists for entry in block_list.all_entries()]
    current = [entry for entry in entries if oracle.is_current(entry, NOW)]
    assert info.expired == compiled.expired == len(entries) - len(current)
    for counts, block_list in zip(info.lists, zone.lists, strict=True):
        own = [entry for entry in block_list.all_entries() if oracle.is_current(entry, NOW)]
        families = [entry.what.version if isinstance(entry.what, Net) else NAMES for entry in own]
        assert counts == ListInfo(block_list.name, *map(families.count, (4, 6, NAMES)))
    assert info.next_expiry == min((e.listing.expires_at for e in current if e.listing.expires_at), default=0)
    assert (info.serial, info.as_of, info.sources) == (7, NOW, ("a.yaml", "feed.txt"))
    assert (info.zone, info.ttl, info.negative_ttl) == (zone.name, zone.ttl, zone.negative_ttl)
    assert (info.soa, info.ns, info.apex) == (zone.soa, zone.ns, zone.apex)


EXPIRING = """\
txt: "{reason}"
entries:
  - {net: 192.0.2.0/24, reason: network}
  - {net: 192.0.2.0/25, reason: half, expires: 2026-11-23T00:00:20Z}
  - {net: 192.0.2.7, reason: host, expires: 2026-11-23T00:00:10Z}
  - {net: 192.0.2.8, reason: longer, expires: 2026-11-23T00:00:30Z}
  - {net: 192.0.2.9, reason: over, expires: 2026-11-22}
  - {net: 198.51.100.1, reason: alone, expires: 2026-11-23T00:00:10Z}
"""


@pytest.mark.parametrize(
    ("address", "seconds", "expected", "until"),
    [
        ("192.0.2.7", 0, ["host"], 10),
        ("192.0.2.7", 9.9, ["host"], 10),
        ("192.0.2.7", 10, ["half"], 20),
        ("192.0.2.7", 20, ["network"], 0),
        ("192.0.2.7", 1e9, ["network"], 0),
        ("192.0.2.8", 25, ["longer"], 30),
        ("192.0.2.8", 30, ["network"], 0),
        ("192.0.2.9", 0, ["half"], 20),
        ("192.0.2.200", 0, ["network"], 0),
        ("198.51.100.1", 9, ["alone"], 10),
        ("198.51.100.1", 10, [], 0),
    ],
)
def test_what_expires_uncovers_the_less_specific(
    load_texts: Callable[..., LoadResult], address: str, seconds: float, expected: list[str], until: int
) -> None:
    zone = loaded(load_texts, EXPIRING)
    answer = find(zone, address, NOW + seconds)
    assert reasons(answer) == expected
    assert answer is None or answer.expires == (NOW + until if until else 0)
    matches = zone.rib.explain(parse_address(address), NOW + seconds).deciding
    assert [match.entry.listing.reason for match in matches if match.entry] == expected


def test_a_table_has_the_counts_of_its_entries(load_texts: Callable[..., LoadResult]) -> None:
    more = "2001:db8::/64", "203.0.113.0-203.0.113.9", "{net: 203.0.113.99, expires: 2026-11-23}"
    text = EXPIRING + "".join(f"  - {entry}\n" for entry in more)
    zone = loaded(load_texts, text)
    info = ZoneTable(zone.compiled.table).info
    assert info.lists == (ListInfo("bl.example.org", 6, 1, 0),)
    assert info.entries == 7
    assert info.expired == zone.compiled.expired == 2
    assert info.next_expiry == NOW + 10
    assert zone.compiled.addresses == {4: 256 + 1 + 10, 6: 1 << 64}


@pytest.mark.parametrize(
    "inner", ["192.0.2.0", "192.0.2.255", "192.0.2.128/25", "192.0.2.254/31", "192.0.2.1-192.0.2.255"]
)
def test_no_address_counts_twice(load_texts: Callable[..., LoadResult], inner: str) -> None:
    zone = loaded(load_texts, f"entries:\n  - 192.0.2.0/24\n  - {{net: {inner}, reason: inside}}\n")
    assert zone.compiled.addresses == {4: 256, 6: 0}
    spans = list(ZoneTable(zone.compiled.table).intervals(4))
    assert all(before[1] < after[0] for before, after in pairwise(spans))


def test_an_entry_cut_at_the_test_addresses_counts_once(load_texts: Callable[..., LoadResult]) -> None:
    zone = loaded(load_texts, "entries: [126.255.255.255-128.0.0.0]\n")
    assert ZoneTable(zone.compiled.table).info.lists == (ListInfo("bl.example.org", 1, 0, 0),)
    assert zone.compiled.addresses[4] == 2


def test_what_expired_in_1970_is_expired(load_texts: Callable[..., LoadResult]) -> None:
    zone = loaded(load_texts, "entries:\n  - {net: 192.0.2.1, expires: 1970-01-01}\n")
    assert find(zone, "192.0.2.1") is None
    assert not zone.rib.explain(parse_address("192.0.2.1"), NOW).deciding
    assert zone.compiled.expired == 1


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "192.0.2.0", "192.0.2.3"]
)
def test_the_first_and_last_address_can_be_listed(load_texts: Callable[..., LoadResult], address: str) -> None:
    ends = '0.0.0.0, 255.255.255.255, "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 192.0.2.0/30'
    assert find(loaded(load_texts, f"entries: [{ends}]\n"), address) is not None


def test_lists_add_up_in_the_order_of_the_file(load_texts: Callable[..., LoadResult]) -> None:
    lists = """\
lists:
  - {name: z, code: [127.0.0.9, 127.0.0.2], txt: "z", entries: [192.0.2.0/24]}
  - {name: a, code: [127.0.0.2, 127.0.0.4], txt: "a", entries: [{net: 192.0.2.1, ttl: 10}]}
  - {name: m, code: 127.0.0.5, txt: "m", entries: [192.0.2.0/24], except: [192.0.2.1]}
"""
    answer = find(loaded(load_texts, lists), "192.0.2.1")
    assert answer is not None
    assert answer.codes == (0x7F000009, 0x7F000002, 0x7F000004)
    assert answer.texts == ((0, "z"), (1, "a"))
    assert answer.ttl == 10


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ((["192.0.2.1"], ["192.0.2.1"]), (["192.0.2.1"], []), (0, 1)),
        ((["192.0.2.1"], []), (["192.0.2.1"], ["192.0.2.1"]), (1, 0)),
        ((["192.0.2.1"], []), ([], ["192.0.2.1"]), (1, 1)),
        ((["192.0.2.1"], ["192.0.2.1"]), (["192.0.2.1"], ["192.0.2.1"]), (0, 0)),
    ],
)
def test_one_net_in_two_lists_is_two_entries_to_a_reload(
    load_texts: Callable[..., LoadResult],
    before: tuple[list[str], list[str]],
    after: tuple[list[str], list[str]],
    changes: tuple[int, int],
) -> None:
    tables = []
    for one, two in (before, after):
        zone = loaded(load_texts, f"lists:\n  - {{name: a, entries: {one}}}\n  - {{name: b, entries: {two}}}\n")
        tables.append(ZoneTable(zone.compiled.table))
    assert tables[1].changes_since(tables[0]) == changes


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
    entries = [Entry(net, str(net), *PLACE, listing) for net in halves]
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


def test_ranges_that_cross_are_all_listed(load_texts: Callable[..., LoadResult]) -> None:
    nets = ["0.0.0.0/1", "126.0.0.0/7", "192.0.2.0-192.0.2.20", "192.0.2.10-192.0.2.29"]
    zone = loaded(load_texts, "".join(["entries:\n", *(f"  - {{net: {net}, reason: '{net}'}}\n" for net in nets)]))
    answers = {
        "126.0.0.1": nets[1],  # the smaller one, with or without 127.0.0.0/8
        "125.255.255.255": nets[0],
        "192.0.2.9": nets[2],
        "192.0.2.10": nets[3],
        "192.0.2.29": nets[3],
    }
    for address, net in answers.items():
        assert net in reasons(find(zone, address))[0]
    assert zone.compiled.addresses[4] == (127 << 24) + 30


def test_ranges_that_cross_too_often_are_refused(load_texts: Callable[..., LoadResult], tmp_path: Path) -> None:
    lines = [f"2001:db8::{at:x}-2001:db8::ffff:{at:x}\n" for at in range(MAX_DEPTH + 1)]
    (tmp_path / "crossing.txt").write_text("".join(lines))
    load = load_texts("zone: bl.example.org\nlists: [{name: feed, files: [crossing.txt]}]\n")
    (problem,) = load.problems.errors
    assert problem.place == Place(str(tmp_path / "z0.yaml"), 2, 16)
    assert str(problem).endswith(
        "feed: more than 256 entries hold 2001:db8::100; of one list at most so many hold an address"
    )
    (tmp_path / "crossing.txt").write_text("".join(lines[:-1]))
    assert loaded(load_texts, "files: [crossing.txt]\n").compiled.addresses[6] == 0xFFFF0000 + MAX_DEPTH


@pytest.mark.parametrize("in_yaml", [False, True])
def test_ranges_are_kept_as_ranges(load_texts: Callable[..., LoadResult], tmp_path: Path, in_yaml: bool) -> None:
    # Each of these is made of some 220 CIDRs.
    nets = [f"2001::{at:x}-3fff:{at:x}:ffff:ffff:ffff:ffff:ffff:fffe" for at in range(1, 200)]
    (tmp_path / "ranges.txt").write_text("\n".join(nets))
    text = "entries:\n" + "".join(f"  - {net}\n" for net in nets) if in_yaml else "files: [ranges.txt]\n"
    zone = loaded(load_texts, text)
    own = zone.rib.lists[0]
    assert [len(own.take_spans(version)) for version in (4, 6)] == [0, len(nets)]
    assert len(list(ZoneTable(zone.compiled.table).intervals(6))) == 1
    (match,) = zone.rib.explain(parse_address("2001:1::"), NOW).matches
    assert match.entry is not None
    assert match.entry.text == nets[0]
    assert len(match.covering) == len(nets)


def _refusals(load_texts: Callable[..., LoadResult], lists: int) -> list[str]:
    """What is said of a zone with so many lists, each of one address with a reason of its own."""
    rows = "".join(
        f'  - {{name: l{number}, txt: "reason {number:020}", entries: [192.0.2.{number}]}}\n' for number in range(lists)
    )
    load = load_texts(f"zone: bl.example.org\nlists:\n{rows}")
    assert bool(load.zones) != bool(load.problems.errors)
    return [problem.message for problem in load.problems.errors]


def test_a_zone_has_no_more_lists_than_a_text_can_tell_apart(
    monkeypatch: pytest.MonkeyPatch, load_texts: Callable[..., LoadResult]
) -> None:
    assert MAX_LISTS == NO_LIST
    monkeypatch.setattr("dnsbl_server.compiler.compile.MAX_LISTS", 3)
    assert _refusals(load_texts, 3) == []
    assert _refusals(load_texts, 4) == ["has 4 lists; a zone has at most 3"]


@pytest.mark.parametrize(("most", "what"), [(50, "different texts"), (540, "different answers")])
def test_what_a_table_cannot_hold_is_refused(
    monkeypatch: pytest.MonkeyPatch, load_texts: Callable[..., LoadResult], most: int, what: str
) -> None:
    # The answers of twenty lists take 640 bytes, their texts 540.
    assert _refusals(load_texts, 20) == []
    monkeypatch.setattr("dnsbl_server.table.pack.MAX_SECTION", most)
    refusals = _refusals(load_texts, 20)
    assert refusals == [f"its {what} take more than 4 GiB; a zone can be split into several"]
