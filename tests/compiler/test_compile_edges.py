"""The compiler where it is easily wrong: ends of the address space, expiry, counts, and where the test entries end."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings

from dnsbl_server.compiler.compile import compile_zone
from dnsbl_server.compiler.rib import ZoneRib
from dnsbl_server.model.address import parse_address
from dnsbl_server.model.problem import Problems
from dnsbl_server.model.zone import Zone
from dnsbl_server.supply.load import CompiledZone, LoadResult
from dnsbl_server.table.table import Answer, ZoneTable
from tests import oracle
from tests.conftest import NOW

HEAD = "zone: bl.example.org\n"


@given(oracle.zones())
@settings(max_examples=120, deadline=None)
def test_find_agrees_with_a_linear_scan_at_every_edge_and_time(zone: Zone) -> None:
    problems = Problems()
    compiled = compile_zone(ZoneRib(zone, problems), 1, NOW, problems)
    assert compiled is not None
    assert not list(problems)
    table = ZoneTable(compiled.table)
    times = oracle.moments(zone)

    def check(version: int, number: int, now: float) -> None:
        answer = table.find(version, number, now)
        expected = oracle.say(zone, version, number, now)
        assert (answer and (answer.codes, answer.texts, answer.ttl)) == expected
        if answer is None:
            return
        # The TTL of a client is cut at `expires`: nothing may change before it.
        assert answer.expires == 0 or answer.expires > now
        for later in times:
            if now < later and not 0 < answer.expires <= later:
                assert oracle.say(zone, version, number, later) == expected

    oracle.for_all(zone, check)


@given(oracle.zones())
@settings(max_examples=60, deadline=None)
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


def loaded(load_texts: Callable[..., LoadResult], text: str, now: float = NOW) -> CompiledZone:
    load = load_texts(HEAD + text, now=now)
    assert not load.problems.errors
    (zone,) = load.zones.values()
    return zone


def find(zone: CompiledZone, address: str, now: float = NOW) -> Answer | None:
    return ZoneTable(zone.compiled.table).find(*parse_address(address), now)


def reasons(answer: Answer | None) -> list[str]:
    return [text for _, text in answer.texts] if answer else []


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
    matches = zone.rib.explain(*parse_address(address), NOW + seconds).deciding
    assert [match.entry.listing.reason for match in matches if match.entry] == expected


def test_counts(load_texts: Callable[..., LoadResult]) -> None:
    more = "2001:db8::/64", "203.0.113.0-203.0.113.9", "{net: 203.0.113.99, expires: 2026-11-23}"
    text = EXPIRING + "".join(f"  - {entry}\n" for entry in more)
    zone = loaded(load_texts, text)
    meta = ZoneTable(zone.compiled.table).meta
    assert meta["lists"] == [{"name": "bl.example.org", "v4": 6, "v6": 1}]
    assert meta["expired"] == zone.compiled.expired == 2
    assert meta["next_expiry"] == NOW + 10
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
    assert ZoneTable(zone.compiled.table).meta["lists"] == [{"name": "bl.example.org", "v4": 1, "v6": 0}]
    assert zone.compiled.addresses[4] == 2


def test_what_expired_in_1970_is_expired(load_texts: Callable[..., LoadResult]) -> None:
    zone = loaded(load_texts, "entries:\n  - {net: 192.0.2.1, expires: 1970-01-01}\n")
    assert find(zone, "192.0.2.1") is None
    assert not zone.rib.explain(*parse_address("192.0.2.1"), NOW).deciding
    assert zone.compiled.expired == 1


CODES = """\
lists:
  - {name: a, code: 127.0.0.2, txt: "a {ip}", entries: [126.0.0.0-128.255.255.255, 192.0.2.1]}
  - {name: b, code: [127.0.0.10, 127.0.5.9], txt: "b {ip}", entries: [192.0.2.1]}
  - name: c
    code: 127.0.0.4
    txt: "c {ip}"
    entries:
      - {net: 192.0.2.2, code: 127.0.0.200}
      - {net: 192.0.2.3, code: 127.0.0.3, expires: 2020-01-01}
    except: [127.0.0.0/8]
"""


@pytest.mark.parametrize("form", ["{}", "::ffff:{}"])
@pytest.mark.parametrize(
    ("address", "codes"),
    [
        ("127.0.0.1", ()),
        ("127.0.0.2", ("127.0.0.2",)),
        ("127.0.0.4", ("127.0.0.4",)),
        ("127.0.0.10", ("127.0.0.10",)),
        ("127.0.0.200", ("127.0.0.200",)),
        ("127.0.0.0", ()),
        ("127.0.0.5", ()),
        ("127.0.0.9", ()),
        ("127.0.0.255", ()),
        ("127.0.5.9", ()),
        ("127.0.5.1", ()),
        ("127.255.255.254", ()),
        ("127.255.255.255", ()),
        ("126.255.255.255", ("127.0.0.2",)),
        ("128.0.0.0", ("127.0.0.2",)),
        ("125.255.255.255", ()),
        ("129.0.0.0", ()),
    ],
)
def test_no_other_loopback_address_is_listed(
    load_texts: Callable[..., LoadResult], form: str, address: str, codes: tuple[str, ...]
) -> None:
    answer = find(loaded(load_texts, CODES), form.format(address))
    assert (answer.codes if answer else ()) == tuple(parse_address(code)[1] for code in codes)


def test_a_test_entry_has_the_texts_of_the_lists_with_its_code(load_texts: Callable[..., LoadResult]) -> None:
    zone = loaded(
        load_texts,
        'lists:\n  - {name: a, txt: "a", entries: [192.0.2.1]}\n  - {name: b, txt: "b", entries: [192.0.2.1]}\n',
    )
    assert reasons(find(zone, "127.0.0.2")) == ["a", "b"]


def test_test_entries_outlive_everything(load_texts: Callable[..., LoadResult]) -> None:
    zone = loaded(load_texts, "except: [0.0.0.0/1]\nentries:\n  - {net: 192.0.2.1, expires: 2020-01-01}\n")
    answer = find(zone, "127.0.0.2", NOW + 1e9)
    assert answer is not None
    assert answer.expires == 0


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
