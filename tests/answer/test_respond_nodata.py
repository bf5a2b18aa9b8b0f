"""Empty non-terminals: every part of a reversed address is NODATA, for every type (RFC 8020, RFC 9156)."""

from collections.abc import Callable

import dns.rcode
import pytest

from dnsbl_server.answer.respond import Outcome, respond
from dnsbl_server.answer.snapshot import Snapshot
from tests.asking import ZONE, ask, assert_negative, plain, values
from tests.conftest import NOW

NOERROR, NXDOMAIN = dns.rcode.NOERROR, dns.rcode.NXDOMAIN
TYPES = ("A", "AAAA", "TXT", "ANY", "NS", "SOA", "MX", "CNAME", "DS", "DNSKEY", "PTR", "HTTPS", "TYPE0", "TYPE65280")
TEXT = f'zone: {ZONE}\nentries: [192.0.2.0/24, 2.0.0.9, "2001:db8::1"]\n'
V6 = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
MAPPED = "1.0.2.0.0.0.0.c.f.f.f.f" + ".0" * 20


@pytest.fixture
def snapshot(snapshot_of: Callable[..., Snapshot]) -> Snapshot:
    return snapshot_of(TEXT)


def parts(reversed_address: str) -> list[str]:
    """All proper suffixes of a reversed address: what a resolver asks on its way down."""
    labels = reversed_address.split(".")
    return [".".join(labels[cut:]) for cut in range(1, len(labels))]


PARTIAL = [
    *parts("1.2.0.192"),
    *parts("255.255.255.255"),
    *parts("0.0.0.0"),
    *parts("1.0.0.127"),
    *parts("99.100.51.198"),
]
PARTIAL_V6 = [*parts(V6), *parts(V6.upper()), *parts(".".join("f" * 32)), *parts(MAPPED)]


@pytest.mark.parametrize("qtype", TYPES)
def test_parts_of_an_ipv4_address_are_nodata(snapshot: Snapshot, qtype: str) -> None:
    for name in PARTIAL:
        assert_negative(ask(snapshot, f"{name}.{ZONE}", qtype), NOERROR)


@pytest.mark.parametrize("qtype", TYPES)
def test_parts_of_an_ipv6_address_are_nodata(snapshot: Snapshot, qtype: str) -> None:
    for name in PARTIAL_V6:
        # Four digits are an IPv4 address as well; none of these is listed.
        assert_negative(ask(snapshot, f"{name}.{ZONE}", qtype), NOERROR)


def test_the_whole_addresses_behind_the_parts_are_listed(snapshot: Snapshot) -> None:
    for name in ("1.2.0.192", V6, V6.upper(), MAPPED):
        assert values(ask(snapshot, f"{name}.{ZONE}")) == ["127.0.0.2"]


@pytest.mark.parametrize("qtype", range(0, 65536, 257))
def test_no_type_makes_a_part_nxdomain(snapshot: Snapshot, qtype: int) -> None:
    reply = respond(snapshot, plain(f"0.192.{ZONE}", qtype), NOW)
    assert reply.packet is not None
    assert reply.packet[3] & 0xF == NOERROR
    assert reply.outcome == Outcome.NODATA


@pytest.mark.parametrize("transport", [False, True])
@pytest.mark.parametrize("octet", [*range(0, 256, 5), 9, 10, 99, 100, 199, 249])
def test_any_octet_is_a_part(snapshot: Snapshot, octet: int, transport: bool) -> None:
    assert_negative(ask(snapshot, f"{octet}.{ZONE}", tcp=transport), NOERROR)
    assert_negative(ask(snapshot, f"0.{octet}.255.{ZONE}", tcp=transport), NOERROR)


@pytest.mark.parametrize("nibble", "0123456789abcdefABCDEF")
def test_any_nibble_is_a_part(snapshot: Snapshot, nibble: str) -> None:
    assert_negative(ask(snapshot, f"{nibble}.{ZONE}"), NOERROR)
    assert_negative(ask(snapshot, ".".join(nibble * 31) + f".{ZONE}"), NOERROR)


@pytest.mark.parametrize(
    ("name", "rcode"),
    [
        ("256", NXDOMAIN),
        ("00", NXDOMAIN),
        ("01", NXDOMAIN),
        ("0a", NXDOMAIN),
        ("g", NXDOMAIN),
        ("-1", NXDOMAIN),
        ("1000", NXDOMAIN),
        ("1.256", NXDOMAIN),
        ("256.1", NXDOMAIN),
        ("a.10", NXDOMAIN),
        ("10.a", NXDOMAIN),
        ("1.2.3.4.10", NXDOMAIN),
        ("10.1.2.3.4", NXDOMAIN),
        ("1.2.3.4.5", NOERROR),  # five nibbles
        (".".join("1" * 31), NOERROR),
        (".".join("1" * 32), NXDOMAIN),
        (".".join("1" * 33), NXDOMAIN),
        ("x.1", NXDOMAIN),
        ("x.0.192", NXDOMAIN),
        ("*", NXDOMAIN),
        ("*.192", NXDOMAIN),
        ("1.2.0.192.in-addr", NXDOMAIN),
    ],
)
@pytest.mark.parametrize("qtype", ["A", "TXT", "NS"])
def test_only_what_can_become_an_address_is_a_part(
    snapshot: Snapshot, name: str, rcode: dns.rcode.Rcode, qtype: str
) -> None:
    assert_negative(ask(snapshot, f"{name}.{ZONE}", qtype), rcode)


@pytest.mark.parametrize(
    ("name", "rcode"),
    [
        ("1.0.0.2", NOERROR),  # 2.0.0.1, and the start of 2001:db8::1, which is listed
        ("9.0.0.2", None),  # 2.0.0.9 is listed
        ("0.0.0.0", NOERROR),
        ("9.9.9.9", NXDOMAIN),
    ],
)
def test_four_digits_are_an_address_and_may_be_a_part(
    snapshot: Snapshot, name: str, rcode: dns.rcode.Rcode | None
) -> None:
    answer = ask(snapshot, f"{name}.{ZONE}")
    if rcode is None:
        assert values(answer) == ["127.0.0.2"]
    else:
        assert_negative(answer, rcode)
    assert_negative(ask(snapshot, f"{name}.{ZONE}", "AAAA"), NOERROR if rcode is None else rcode)
    assert values(ask(snapshot, f"{V6}.{ZONE}")) == ["127.0.0.2"]


@pytest.mark.parametrize("name", ["10.0.0.2", "1.0.0.20", "2.2.2.100", "100.51.100.198"])
def test_an_address_with_a_longer_octet_is_no_part(snapshot: Snapshot, name: str) -> None:
    assert_negative(ask(snapshot, f"{name}.{ZONE}"), NXDOMAIN)


@pytest.mark.parametrize(
    ("name", "qtype", "rcode", "zone"),
    [
        ("b.bl.example.org", "A", NOERROR, ZONE),  # above a nested zone, and a nibble
        ("word.bl.example.org", "A", NOERROR, ZONE),  # above a nested zone only
        ("word.bl.example.org", "NS", NOERROR, ZONE),
        ("WORD.bl.EXAMPLE.org", "TXT", NOERROR, ZONE),
        ("below.word.bl.example.org", "A", NOERROR, ZONE),
        ("other.word.bl.example.org", "A", NXDOMAIN, ZONE),
        ("ord.bl.example.org", "A", NXDOMAIN, ZONE),
        ("deep.below.word.bl.example.org", "TXT", NOERROR, "deep.below.word.bl.example.org"),
        ("deep.below.word.bl.example.org", "DS", NOERROR, ZONE),
        ("1.deep.below.word.bl.example.org", "A", NOERROR, "deep.below.word.bl.example.org"),
        ("word.deep.below.word.bl.example.org", "A", NXDOMAIN, "deep.below.word.bl.example.org"),
    ],
)
def test_names_above_a_nested_zone_are_nodata(
    snapshot_of: Callable[..., Snapshot], name: str, qtype: str, rcode: dns.rcode.Rcode, zone: str
) -> None:
    snapshot = snapshot_of(TEXT, "zone: deep.below.word.bl.example.org\nentries: [192.0.2.1]\n")
    assert_negative(ask(snapshot, name, qtype), rcode, zone=zone)


def test_names_above_a_zone_but_in_none_of_ours_are_refused(snapshot: Snapshot) -> None:
    for name in ("example.org", "org", "."):
        answer = ask(snapshot, name)
        assert answer.rcode() == dns.rcode.REFUSED
        assert not answer.authority


def test_a_zone_that_lists_nothing_has_the_same_parts(snapshot_of: Callable[..., Snapshot]) -> None:
    empty = snapshot_of(f"zone: {ZONE}\nentries: []\n")
    for name in (*PARTIAL, *PARTIAL_V6):
        # Nothing is listed below 2001:...
        is_address = name == "1.0.0.2"
        assert_negative(ask(empty, f"{name}.{ZONE}"), NXDOMAIN if is_address else NOERROR)
