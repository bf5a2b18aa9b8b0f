"""The exclusions of list files: they act on the entries of their file, and the smallest one decides."""

import pytest

from dnsbl_server.compiler._merge import MAX_DEPTH
from dnsbl_server.compiler.compile import compile_zone
from dnsbl_server.compiler.rib import ZoneRib
from dnsbl_server.model.address import Address, parse_address, parse_net
from dnsbl_server.model.entry import Entry, Exclusion
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.model.zone import BlockList, Zone
from dnsbl_server.table.table import ZoneTable
from tests import oracle
from tests.conftest import NOW

LISTING = Listing((0x7F000002,), "list", 300)
SOON = int(NOW) + 10
OVER = int(NOW) - 1


def own(net: str, reason: str, expires: int = 0) -> str:
    return f"{net} | {reason} | 127.0.0.2 | 300 | {expires or '-'}"


def zone_of(files: list[list[str]], entries: tuple[str, ...] = (), excluded: tuple[str, ...] = ()) -> Zone:
    """A zone of one list, with entries of the zone file whose reason is `zone`, and with these files."""
    listing = Listing((0x7F000002,), "zone", 300)
    block_list = BlockList(
        "traps",
        Place("x.yaml"),
        LISTING,
        oracle.REASON,
        tuple(Entry(parse_net(net), net, "x.yaml", line, 5, listing) for line, net in enumerate(entries, 1)),
        tuple(Exclusion(parse_net(net), net, Place("x.yaml", 9)) for net in excluded),
        tuple(oracle.make_file(f"feed{number}", "annotated", lines, LISTING) for number, lines in enumerate(files, 1)),
    )
    return oracle.make_zone((block_list,))


def reason(zone: Zone, address: str, now: float = NOW) -> str:
    """The reason of the entry that decides, by the table and by the RIB; empty where the address is not listed."""
    problems = Problems()
    rib = ZoneRib(zone, problems)
    compiled = compile_zone(rib, 1, NOW, problems)
    assert compiled is not None
    assert not list(problems)
    answer = ZoneTable(compiled.table).find(parse_address(address), now)
    found = [text for _, text in answer.texts] if answer else []
    deciding = rib.explain(parse_address(address), now).deciding
    assert found == [match.entry.listing.reason for match in deciding if match.entry]
    return found[0] if found else ""


@pytest.mark.parametrize(
    ("lines", "address", "expected"),
    [
        # A hole in a network.
        (["192.0.2.0/24", "!192.0.2.9"], "192.0.2.9", ""),
        (["192.0.2.0/24", "!192.0.2.9"], "192.0.2.8", "list"),
        (["192.0.2.0/24", "!192.0.2.9"], "192.0.2.10", "list"),
        (["!192.0.2.9", "192.0.2.0/24"], "192.0.2.9", ""),
        (["2001:db8::/32", "!2001:db8::/48"], "2001:db8::1", ""),
        (["2001:db8::/32", "!2001:db8::/48"], "2001:db8:1::", "list"),
        # An entry that is more specific than the exclusion is listed.
        (["192.0.2.9", "!192.0.2.0/24"], "192.0.2.9", "list"),
        (["192.0.2.9", "!192.0.2.0/24"], "192.0.2.8", ""),
        (["192.0.0.0/16", "!192.0.2.0/24", own("192.0.2.9", "host")], "192.0.2.9", "host"),
        (["192.0.0.0/16", "!192.0.2.0/24", own("192.0.2.9", "host")], "192.0.2.8", ""),
        (["192.0.0.0/16", "!192.0.2.0/24", "192.0.2.0/28", "!192.0.2.9"], "192.0.2.9", ""),
        (["192.0.0.0/16", "!192.0.2.0/24", "192.0.2.0/28", "!192.0.2.9"], "192.0.2.15", "list"),
        # At the ends of an exclusion, and what lies beside it.
        ([own("192.0.2.0", "host"), "!192.0.2.0/24"], "192.0.2.0", "host"),
        ([own("192.0.2.255", "host"), "!192.0.2.0/24"], "192.0.2.255", "host"),
        (["192.0.0.0/16", "!192.0.2.9", own("192.0.2.8", "host")], "192.0.2.8", "host"),
        (["192.0.0.0/16", "!192.0.2.9", own("192.0.2.10", "host")], "192.0.2.10", "host"),
        # Of two equal ones the exclusion decides.
        (["192.0.2.9", "!192.0.2.9"], "192.0.2.9", ""),
        (["!192.0.2.9", "192.0.2.9"], "192.0.2.9", ""),
        (["192.0.2.0/24", "!192.0.2.0-192.0.2.255"], "192.0.2.9", ""),
        # Of ranges, too, the one with the fewest addresses decides.
        (["192.0.2.0-192.0.2.4", "!192.0.2.0/30"], "192.0.2.3", ""),
        (["192.0.2.0-192.0.2.4", "!192.0.2.0/30"], "192.0.2.4", "list"),
        (["192.0.2.0-192.0.2.9", "!192.0.2.5-192.0.2.14"], "192.0.2.7", ""),
        (["192.0.2.0-192.0.2.9", "!192.0.2.5-192.0.2.15"], "192.0.2.7", "list"),
        (["192.0.2.0-192.0.2.9", "!192.0.2.5-192.0.2.13"], "192.0.2.7", ""),
        (["192.0.2.0-192.0.2.9", "!192.0.2.8/29"], "192.0.2.8", ""),
        (["192.0.2.0-192.0.2.6", "!192.0.2.0/29"], "192.0.2.6", "list"),
        # At the ends of the address space.
        (["0.0.0.0/1", "!0.0.0.0"], "0.0.0.0", ""),
        (["0.0.0.0/1", "!0.0.0.0"], "0.0.0.1", "list"),
        (["128.0.0.0/1", "!255.255.255.255"], "255.255.255.255", ""),
        (["128.0.0.0/1", "!255.255.255.255"], "255.255.255.254", "list"),
    ],
)
def test_the_most_specific_one_decides(lines: list[str], address: str, expected: str) -> None:
    assert reason(zone_of([lines]), address) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.9", "zone"),  # excluded by the file that lists the /24
        ("192.0.2.8", "one"),
        ("192.0.2.77", "two"),  # the other file's exclusion does not matter to it
        ("192.0.2.78", "zone"),  # nothing lists it more specifically
        ("198.51.100.1", "two"),  # only the file that does not list it excludes it
    ],
)
def test_an_exclusion_acts_on_its_file_alone(address: str, expected: str) -> None:
    one = [own("192.0.2.0/24", "one"), "!192.0.2.9", "!192.0.2.77", "!192.0.2.78", "!198.51.100.1"]
    two = [own("192.0.2.77", "two"), own("198.51.100.0/24", "two"), "!192.0.0.0/16"]
    assert reason(zone_of([one, two], ("192.0.0.0/16",)), address) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, "host"), (9, "host"), (10, "half"), (19, "half"), (20, ""), (1e9, "")]
)
def test_what_expires_uncovers_what_counts(seconds: float, expected: str) -> None:
    lines = [
        "192.0.0.0/16",
        "!192.0.2.0/24",
        own("192.0.2.0/25", "half", SOON + 10),
        own("192.0.2.0/28", "over", int(NOW) - 1),
        own("192.0.2.9", "host", SOON),
    ]
    assert reason(zone_of([lines]), "192.0.2.9", NOW + seconds) == expected


def test_the_exclusions_of_the_list_come_on_top() -> None:
    zone = zone_of([["192.0.2.0/24", "!192.0.2.9"]], excluded=("192.0.2.8",))
    assert [reason(zone, f"192.0.2.{host}") for host in (7, 8, 9)] == ["list", "", ""]


def test_an_exclusion_is_explained_with_its_place() -> None:
    zone = zone_of([["192.0.2.0/24", own("192.0.2.8/31", "pair", int(NOW) - 5), "!192.0.0.0/16", "!192.0.2.9"]])
    rib = ZoneRib(zone, Problems())
    (match,) = rib.explain(parse_address("192.0.2.9"), NOW).matches
    assert (match.entry, [entry.line for entry in match.covering]) == (None, [2, 1])
    assert match.exclusion == Exclusion(parse_net("192.0.2.9"), "192.0.2.9", Place("feed1", 4))
    (match,) = rib.explain(parse_address("192.0.2.10"), NOW).matches
    assert (match.entry and match.entry.line, match.exclusion) == (1, None)


def test_an_excluded_entry_is_still_an_entry() -> None:
    zone = zone_of([["192.0.2.0/24", "192.0.2.9", "!192.0.2.9", "!198.51.100.0/24", own("198.51.100.1", "over", OVER)]])
    compiled = compile_zone(ZoneRib(zone, Problems()), 1, NOW, Problems())
    assert compiled is not None
    table = ZoneTable(compiled.table)
    assert (table.info.entries, table.info.expired) == (2, 1)
    assert compiled.addresses == {4: 255, 6: 0}
    assert table.find(Address(4, 0xC0000209), NOW) is None


def test_what_only_exclusions_hold_lists_nothing() -> None:
    compiled = compile_zone(ZoneRib(zone_of([["!192.0.2.9", "!2001:db8::/32"]]), Problems()), 1, NOW, Problems())
    assert compiled is not None
    assert compiled.addresses == {4: 0, 6: 0}


def test_exclusions_that_cross_are_limited_too() -> None:
    def compiled(count: int) -> tuple[bool, list[str]]:
        crossing = [f"!10.0.{at >> 8}.{at & 255}-10.1.{at >> 8}.{at & 255}" for at in range(count)]
        problems = Problems()
        zone = zone_of([["10.0.0.0/8", *crossing, *crossing]])
        return compile_zone(ZoneRib(zone, problems), 1, NOW, problems) is not None, [str(each) for each in problems]

    assert compiled(MAX_DEPTH - 1) == (True, [])
    assert compiled(MAX_DEPTH) == (
        False,
        ["x.yaml: traps: more than 256 entries hold 10.0.0.255; of one list at most so many hold an address"],
    )
