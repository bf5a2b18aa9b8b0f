"""The RIB: `explain` against a linear scan over the entries, and the refusal of what stands twice."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings

from dnsbl_server.compiler.rib import ZoneRib
from dnsbl_server.model.address import Net, parse_address, parse_net
from dnsbl_server.model.entry import Entry, Exclusion
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.model.subject import Subject
from dnsbl_server.model.zone import BlockList, Zone
from dnsbl_server.supply.load import LoadResult
from tests import oracle
from tests.conftest import NOW
from tests.profiles import examples

LISTING = Listing((0x7F000002,), "spam", 300)


def rib_of(zone: Zone) -> ZoneRib:
    problems = Problems()
    rib = ZoneRib(zone, problems)
    assert not list(problems)
    return rib


def zone_of(nets: list[str], excluded: tuple[str, ...] = (), zone_excluded: tuple[str, ...] = ()) -> Zone:
    """A zone of one list; entry n stands on line n."""

    def exclusions(texts: tuple[str, ...]) -> tuple[Exclusion, ...]:
        return tuple(Exclusion(parse_net(text), text, Place("x.yaml", 99)) for text in texts)

    entries = tuple(Entry(parse_net(net), net, "x.yaml", line, 5, LISTING) for line, net in enumerate(nets, 1))
    block_list = BlockList("traps", Place("x.yaml"), LISTING, oracle.REASON, entries, exclusions(excluded))
    return oracle.make_zone((block_list,), exclusions(zone_excluded))


@given(oracle.zones())
@settings(max_examples=examples(1.2))
def test_explain_agrees_with_a_linear_scan(zone: Zone) -> None:
    rib = rib_of(zone)

    def check(subject: Subject, now: float) -> None:
        explanation = rib.explain(subject, now)
        expected = oracle.deciding(zone, subject, now)
        assert [(match.list.name, match.entry) for match in explanation.deciding] == [
            (zone.lists[index].name, entry) for index, entry in expected
        ]
        held = {block_list.name: oracle.covering(block_list, subject) for block_list in zone.lists}
        assert {match.list.name: list(match.covering) for match in explanation.matches} == {
            name: entries for name, entries in held.items() if entries
        }
        assert bool(explanation.exclusion) == oracle.is_excluded(zone.exclusions, subject)
        for match in explanation.matches:
            current = [entry for entry in match.covering if oracle.is_current(entry, now)]
            by_file = [oracle.is_excluded_by_its_file(match.list, entry, subject) for entry in current]
            by_list = oracle.is_excluded(match.list.exclusions, subject)
            assert bool(match.exclusion) == (by_list or (bool(by_file) and all(by_file)))
            assert not (match.exclusion and match.entry)

    oracle.for_all(zone, check)


@pytest.mark.parametrize(
    ("nets", "address", "line"),
    [
        (["192.0.2.0/24", "192.0.2.128/25", "192.0.2.200"], "192.0.2.200", 3),
        (["192.0.2.200", "192.0.2.128/25", "192.0.2.0/24"], "192.0.2.201", 2),
        (["192.0.2.0/24", "192.0.2.128/25"], "192.0.2.127", 1),
        (["192.0.2.10-192.0.2.20", "192.0.2.0/24"], "192.0.2.10", 1),
        (["192.0.2.10-192.0.2.20", "192.0.2.0/24"], "192.0.2.20", 1),
        (["192.0.2.10-192.0.2.20", "192.0.2.0/24"], "192.0.2.9", 2),
        (["192.0.2.10-192.0.2.20", "192.0.2.0/24"], "192.0.2.21", 2),
        (["192.0.2.10-192.0.2.20"], "192.0.2.9", None),
        # The smaller one decides, however it is aligned; of two of one size the first.
        (["192.0.2.0-192.0.2.20", "192.0.2.10-192.0.2.29"], "192.0.2.15", 2),
        (["192.0.2.0-192.0.2.20", "192.0.2.10-192.0.2.30"], "192.0.2.15", 1),
        (["192.0.2.10-192.0.2.30", "192.0.2.0-192.0.2.20"], "192.0.2.15", 1),
        (["192.0.2.0-192.0.2.9", "192.0.2.4/30", "192.0.2.6-192.0.2.8"], "192.0.2.7", 3),
        (["192.0.2.0-192.0.2.127", "192.0.2.64-192.0.2.191"], "192.0.2.64", 1),
        (["192.0.2.10-192.0.2.20"], "192.0.2.21", None),
        (["0.0.0.0-0.0.0.1"], "0.0.0.0", 1),
        (["255.255.255.255"], "255.255.255.255", 1),
        (["255.255.255.255"], "255.255.255.254", None),
        (["2001:db8::/32", "2001:db8::/48"], "2001:db8::1", 2),
        (["2001:db8::/32", "2001:db8::/48"], "2001:db8:1::", 1),
        (["2001:db8::/32"], "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", None),
        (["2001:db8::/32"], "2001:db9::", None),
        (["2001:db8::5-2001:db8::7"], "2001:db8::7", 1),
        (["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 1),
        (["192.0.2.1"], "::ffff:192.0.2.1", 1),
        (["::ffff:192.0.2.0/120"], "192.0.2.255", 1),
        (["::ffff:192.0.2.0/120"], "::c000:2ff", None),
        (["192.0.2.1"], "::192.0.2.1", None),
    ],
)
def test_the_most_specific_entry_decides(nets: list[str], address: str, line: int | None) -> None:
    explanation = rib_of(zone_of(nets)).explain(parse_address(address), NOW)
    assert [match.entry.line for match in explanation.deciding if match.entry] == ([line] if line else [])


@pytest.mark.parametrize(
    ("excluded", "zone_excluded", "address", "listed"),
    [
        (("192.0.2.25",), (), "192.0.2.25", False),
        (("192.0.2.25",), (), "192.0.2.24", True),
        (("192.0.2.25",), (), "192.0.2.26", True),
        ((), ("192.0.2.25",), "192.0.2.25", False),
        ((), ("192.0.0.0/16",), "192.0.2.1", False),
        (("192.0.2.10-192.0.2.20",), (), "192.0.2.20", False),
        (("192.0.2.10-192.0.2.20",), (), "192.0.2.21", True),
        (("192.0.2.10-192.0.2.20",), (), "192.0.2.9", True),
        (("::ffff:192.0.2.25",), (), "192.0.2.25", False),
    ],
)
def test_an_exclusion_wins_over_any_entry(
    excluded: tuple[str, ...], zone_excluded: tuple[str, ...], address: str, listed: bool
) -> None:
    rib = rib_of(zone_of(["192.0.2.0/24", "192.0.2.25"], excluded, zone_excluded))
    explanation = rib.explain(parse_address(address), NOW)
    assert bool(explanation.deciding) == listed
    assert bool(explanation.exclusion) == (bool(zone_excluded) and not listed)


@pytest.mark.parametrize(
    ("nets", "value", "message"),
    [
        (["192.0.2.1", "192.0.2.1"], "192.0.2.1", "listed twice in traps, first at x.yaml:1:5"),
        (["192.0.2.0/24", "192.0.2.1", "192.0.2.0/24"], "192.0.2.0/24", "listed twice in traps, first at x.yaml:1:5"),
        (["192.0.2.1/32", "192.0.2.1"], "192.0.2.1", "listed twice in traps, first at x.yaml:1:5 as 192.0.2.1/32"),
        (
            ["192.0.2.0-192.0.2.255", "192.0.2.0/24"],
            "192.0.2.0/24",
            "listed twice in traps, first at x.yaml:1:5 as 192.0.2.0-192.0.2.255",
        ),
        (["2001:db8::1", "2001:DB8::1"], "2001:DB8::1", "listed twice in traps, first at x.yaml:1:5 as 2001:db8::1"),
        (
            ["::ffff:192.0.2.1", "192.0.2.1"],
            "192.0.2.1",
            "listed twice in traps, first at x.yaml:1:5 as ::ffff:192.0.2.1",
        ),
    ],
)
def test_a_duplicate_is_refused_with_both_places(nets: list[str], value: str, message: str) -> None:
    problems = Problems()
    ZoneRib(zone_of(nets), problems)
    (problem,) = problems.errors
    assert problem.place == Place("x.yaml", len(nets), 5)
    assert problem.value == value
    assert problem.message == message


def test_every_duplicate_is_reported_once() -> None:
    problems = Problems()
    ZoneRib(
        zone_of(["192.0.2.0/24", "192.0.2.0/24", "198.51.100.1-198.51.100.9", "198.51.100.1-198.51.100.9"]), problems
    )
    assert [problem.place.line for problem in problems.errors] == [2, 4]


@pytest.mark.parametrize(
    "nets",
    [
        ["192.0.2.0/24", "192.0.2.0/25", "192.0.2.0"],
        ["192.0.2.0/24", "192.0.3.0/24"],
        ["192.0.2.1", "::192.0.2.1"],
        ["0.0.0.1", "::1"],
        # Without 127.0.0.0/8 these are the same addresses.
        ["0.0.0.0/1", "0.0.0.0-126.255.255.255"],
        ["126.0.0.0/7", "126.0.0.0/8"],
        # Parts of these are the same CIDRs.
        ["0.0.0.0/1", "126.0.0.0/7"],
        ["192.0.2.2-192.0.2.9", "192.0.2.4-192.0.2.9"],
        ["192.0.2.0-192.0.2.9", "192.0.2.8-192.0.2.19"],
        ["2001:db8::1-2001:db8::9", "2001:db8::8-2001:db8::ffff"],
    ],
)
def test_what_only_overlaps_is_no_duplicate(nets: list[str]) -> None:
    assert rib_of(zone_of(nets))


def test_a_duplicate_in_a_file_names_both_places(load_texts: Callable[..., LoadResult]) -> None:
    load = load_texts("zone: bl.example.org\nentries:\n  - 192.0.2.0/24\n  - 198.51.100.7\n  - 192.0.2.0/24\n")
    (problem,) = load.problems.errors
    shown = str(problem)
    assert "z0.yaml:5:5: 192.0.2.0/24: listed twice" in shown
    assert "z0.yaml:3:5" in shown
    assert not load.zones


def test_what_files_repeat_is_counted_and_reported_once(load_texts: Callable[..., LoadResult], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("2001:db8::1\n192.0.2.1\n192.0.2.0/30\n192.0.2.1\n")
    (tmp_path / "b.txt").write_text("192.0.2.4-192.0.2.9\n# x\n192.0.2.4-192.0.2.9\n198.51.100.7/32\n2001:DB8::1\n")
    load = load_texts("zone: bl.example.org\nentries: [198.51.100.7]\nfiles: [a.txt, b.txt]\n")
    already = "in bl.example.org already:"
    assert [str(problem).replace(f"{tmp_path}/", "") for problem in load.problems] == [
        f"a.txt:4: warning: 1 entry stands {already} 192.0.2.1 at a.txt:2",
        f"b.txt:3: warning: 3 entries stand {already} 192.0.2.4-192.0.2.9 at b.txt:1",
    ]
    (loaded,) = load.zones.values()
    # The zone file comes before the list files, and these are in their order.
    (match,) = loaded.rib.explain(parse_address("198.51.100.7"), NOW).deciding
    assert match.entry is not None
    assert match.entry.file.endswith("z0.yaml")
    (match,) = loaded.rib.explain(parse_address("2001:db8::1"), NOW).deciding
    assert match.entry is not None
    assert match.entry.place == Place(str(tmp_path / "a.txt"), 1)


def test_a_file_listed_twice_over_is_one_warning(load_texts: Callable[..., LoadResult], tmp_path: Path) -> None:
    nets = "".join(f"10.0.{number >> 8}.{number & 255}\n2001:db8::{number:x}\n" for number in range(3_000))
    (tmp_path / "a.txt").write_text(nets)
    (tmp_path / "b.txt").write_text(nets)
    load = load_texts("zone: bl.example.org\nfiles: [a.txt, b.txt]\n")
    (problem,) = load.problems
    assert problem.warning
    assert problem.message.startswith("6,000 entries stand in bl.example.org already: 10.0.0.0 at ")


def test_entries_of_list_files_explain_themselves(load_texts: Callable[..., LoadResult], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("# x\n192.0.2.0/24\n192.0.2.8-192.0.2.19 ; x\n2001:db8::/64\n")
    (tmp_path / "b.txt").write_text("192.0.2.16-192.0.2.18\n")
    text = "entries: [192.0.2.0/25, {net: 192.0.2.17, reason: own}]\nfiles: [a.txt, b.txt]\nexcept: [192.0.2.9]\n"
    (loaded,) = load_texts("zone: bl.example.org\n" + text).zones.values()

    def covering(address: str) -> list[str]:
        (match,) = loaded.rib.explain(parse_address(address), NOW).matches
        assert match.entry is (None if match.exclusion else match.covering[0])
        return [f"{Path(entry.file).name}:{entry.line} {entry.text}" for entry in match.covering]

    below = ["z0.yaml:2 192.0.2.0/25", "a.txt:2 192.0.2.0/24"]
    assert covering("192.0.2.200") == below[1:]
    assert covering("192.0.2.9") == ["a.txt:3 192.0.2.8-192.0.2.19", *below]
    assert covering("192.0.2.17") == [
        "z0.yaml:2 192.0.2.17",
        "b.txt:1 192.0.2.16-192.0.2.18",
        "a.txt:3 192.0.2.8-192.0.2.19",
        *below,
    ]
    assert covering("192.0.2.18") == ["b.txt:1 192.0.2.16-192.0.2.18", "a.txt:3 192.0.2.8-192.0.2.19", *below]
    assert covering("2001:db8::ffff") == ["a.txt:4 2001:db8::/64"]
    assert loaded.rib.explain(parse_address("2001:db8:1::"), NOW).matches == ()


def test_the_same_net_may_stand_in_two_lists(load_texts: Callable[..., LoadResult]) -> None:
    lists = "".join(f"  - {{name: {name}, entries: [192.0.2.1]}}\n" for name in "ab")
    load = load_texts(f"zone: bl.example.org\nlists:\n{lists}")
    assert not load.problems.errors
    (loaded,) = load.zones.values()
    explanation = loaded.rib.explain(parse_address("192.0.2.1"), NOW)
    assert [match.list.name for match in explanation.deciding] == ["a", "b"]


def test_a_net_twice_in_a_list_names_both_places() -> None:
    listing = Listing((0x7F000002,), "", 300)
    one = Entry(Net(4, 1 << 24, 1 << 24), "1.0.0.0", "a.yaml", 3, 5, listing)
    two = one._replace(text="::ffff:1.0.0.0", file="feed.txt", line=7, column=0)
    block_list = BlockList("traps", Place("zone.yaml", 1, 1), listing, oracle.REASON, (one, two))
    problems = Problems()
    ZoneRib(oracle.make_zone((block_list,)), problems)
    said = "feed.txt:7: ::ffff:1.0.0.0: listed twice in traps, first at a.yaml:3:5 as 1.0.0.0"
    assert [str(problem) for problem in problems] == [said]


def test_nothing_in_the_loopback_network_is_explained() -> None:
    rib = rib_of(zone_of(["126.0.0.0/7", "0.0.0.0/1"]))
    assert [match.entry and match.entry.line for match in rib.explain(parse_address("126.1.2.3"), NOW).matches] == [1]
    for address in ("127.0.0.0", "127.0.0.2", "127.255.255.255"):
        assert rib.explain(parse_address(address), NOW).matches == ()
