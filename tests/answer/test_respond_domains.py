"""Domain names: every form of entry and every relation of a question to it, what exists, and what a text shows."""

from collections.abc import Callable, Iterator

import dns.rcode
import pytest
from hypothesis import HealthCheck, given, settings

from dnsbl_server.answer.respond import Outcome, respond
from dnsbl_server.answer.snapshot import Snapshot
from dnsbl_server.dns.name import labels_of
from dnsbl_server.dns.reversed import parse_reversed
from dnsbl_server.model.domain import Domain
from dnsbl_server.model.zone import Zone
from tests import oracle
from tests.asking import ZONE, ask, assert_negative, header, name_wire, plain, question, send, texts, values
from tests.conftest import NOW
from tests.profiles import examples
from tests.sameness import open_zone

NOERROR, NXDOMAIN = dns.rcode.NOERROR, dns.rcode.NXDOMAIN
SUFFIX = tuple(ZONE.encode().split(b"."))
LABEL = "l" * 63
# 238 characters, and with the zone behind it a name of 255 bytes.
LONG = ".".join([LABEL, LABEL, LABEL, "m" * 42, "com"])
DEEP = ".".join(["d"] * 117 + ["com"])
TEXT = f"""
zone: {ZONE}
except: [zone-out.example]
lists:
  - name: names
    txt: "{{what}} {{list}}: {{reason}}"
    reason: spam
    entries:
      - exact.example
      - "*.below.example"
      - .both.example
      - {{domain: other.example, code: 127.0.0.4, reason: own}}
      - deep.inside.both.example
      - more.zone-out.example
      - .zone-out.example
      - .holey.example
      - inside.hole.holey.example
      - xact.example
      - {{domain: soon.example, expires: 2026-11-23T00:10:00Z}}
      - {{domain: soon.both.example, reason: sooner, expires: 2026-11-23T00:10:00Z}}
      - UPPER.Example.
      - _dmarc.under_score.example
      - -x-.example
      - {LABEL}.example
      - {LONG}
      - {DEEP}
    except: [hole.holey.example, "*.half.holey.example"]
  - name: second
    code: 127.0.0.3
    txt: "{{domain}} {{list}}"
    entries: [.com, exact.example, .half.holey.example]
    public_suffixes: true
"""
NAMES_TEXT = "{name} names: spam"


@pytest.fixture
def snapshot(snapshot_of: Callable[..., Snapshot]) -> Snapshot:
    return snapshot_of(TEXT)


# What is asked for, the codes, and the texts.
LISTED: dict[str, tuple[list[str], list[str]]] = {
    "exact.example": (["127.0.0.2", "127.0.0.3"], ["exact.example names: spam", "exact.example second"]),
    "xact.example": (["127.0.0.2"], ["xact.example names: spam"]),
    "a.below.example": (["127.0.0.2"], ["below.example names: spam"]),
    "a.b.c.below.example": (["127.0.0.2"], ["below.example names: spam"]),
    "both.example": (["127.0.0.2"], ["both.example names: spam"]),
    "a.both.example": (["127.0.0.2"], ["both.example names: spam"]),
    "a.b.both.example": (["127.0.0.2"], ["both.example names: spam"]),
    "deep.inside.both.example": (["127.0.0.2"], ["deep.inside.both.example names: spam"]),
    "x.deep.inside.both.example": (["127.0.0.2"], ["both.example names: spam"]),
    "inside.both.example": (["127.0.0.2"], ["both.example names: spam"]),
    "soon.both.example": (["127.0.0.2"], ["soon.both.example names: sooner"]),
    "other.example": (["127.0.0.4"], ["other.example names: own"]),
    "holey.example": (["127.0.0.2"], ["holey.example names: spam"]),
    "x.holey.example": (["127.0.0.2"], ["holey.example names: spam"]),
    "half.holey.example": (["127.0.0.2", "127.0.0.3"], ["holey.example names: spam", "half.holey.example second"]),
    "x.half.holey.example": (["127.0.0.3"], ["half.holey.example second"]),
    "soon.example": (["127.0.0.2"], ["soon.example names: spam"]),
    "upper.example": (["127.0.0.2"], ["upper.example names: spam"]),
    "UPPER.EXAMPLE": (["127.0.0.2"], ["upper.example names: spam"]),
    "A.BOTH.eXample": (["127.0.0.2"], ["both.example names: spam"]),
    "_dmarc.under_score.example": (["127.0.0.2"], ["_dmarc.under_score.example names: spam"]),
    "-x-.example": (["127.0.0.2"], ["-x-.example names: spam"]),
    f"{LABEL}.example": (["127.0.0.2"], [f"{LABEL}.example names: spam"]),
    LONG: (["127.0.0.2", "127.0.0.3"], [f"{LONG} names: spam", "com second"]),
    DEEP: (["127.0.0.2", "127.0.0.3"], [f"{DEEP} names: spam", "com second"]),
    "com": (["127.0.0.3"], ["com second"]),
    "l.com": (["127.0.0.3"], ["com second"]),
    "7.2.0.192.com": (["127.0.0.3"], ["com second"]),
    "test": (["127.0.0.2", "127.0.0.4", "127.0.0.3"], ["test names: test entry (RFC 5782)", "test second"]),
}
# Not listed, but at or above something that is.
ABOVE = ("example", "below.example", "under_score.example")
# Neither.
ABSENT = (
    *("a.exact.example", "act.example", "exact.examples", "exact", "examplecom", "x.other.example", "org", "a.test"),
    *("zone-out.example", "more.zone-out.example", "x.zone-out.example", "hole.holey.example", "x.hole.holey.example"),
    *("inside.hole.holey.example", "aboth.example", "bothexample", "invalid", "a.invalid", "-x.example", "x-.example"),
    *(f"a.{LABEL}.example", f"{LABEL[1:]}.example", "7.2.0.192", "2.0.0.127", "1.0.0.127", "192", "8.8.8.8", "f"),
)


@pytest.mark.parametrize("name", LISTED)
def test_a_listed_name_has_its_codes_and_texts(snapshot: Snapshot, name: str) -> None:
    codes, shown = LISTED[name]
    assert values(ask(snapshot, f"{name}.{ZONE}", tcp=True)) == codes
    assert values(ask(snapshot, f"{name}.{ZONE}", "ANY", tcp=True)) == codes
    assert texts(ask(snapshot, f"{name}.{ZONE}", "TXT", tcp=True)) == shown
    for qtype in ("AAAA", "NS", "MX", "CNAME"):
        assert_negative(ask(snapshot, f"{name}.{ZONE}", qtype), NOERROR)


@pytest.mark.parametrize("name", ABOVE)
def test_a_name_above_a_listed_one_is_nodata(snapshot: Snapshot, name: str) -> None:
    for qtype in ("A", "TXT", "NS", "ANY"):
        assert_negative(ask(snapshot, f"{name}.{ZONE}", qtype), NOERROR)


@pytest.mark.parametrize("name", ABSENT)
def test_any_other_name_is_nxdomain(snapshot: Snapshot, name: str) -> None:
    for qtype in ("A", "TXT", "NS", "ANY"):
        assert_negative(ask(snapshot, f"{name}.{ZONE}", qtype), NXDOMAIN)


def test_what_is_above_a_name_of_118_labels_exists(snapshot: Snapshot) -> None:
    labels = DEEP.split(".")
    for at in range(1, len(labels)):
        assert values(ask(snapshot, f"{'.'.join(labels[at:])}.{ZONE}")) == ["127.0.0.3"]


def test_what_has_expired_since_the_load_is_nodata_or_uncovers_what_is_around_it(snapshot: Snapshot) -> None:
    later = NOW + 600
    assert_negative(ask(snapshot, f"soon.example.{ZONE}", now=later), NOERROR)
    assert texts(ask(snapshot, f"soon.both.example.{ZONE}", "TXT", later)) == ["both.example names: spam"]


def test_what_had_expired_at_the_load_is_nxdomain(snapshot_of: Callable[..., Snapshot]) -> None:
    late = snapshot_of(TEXT, now=NOW + 600)
    assert_negative(ask(late, f"soon.example.{ZONE}", now=NOW + 600), NXDOMAIN)


def test_a_dot_inside_of_a_label_separates_nothing(snapshot: Snapshot) -> None:
    for labels in ([b"exact.example"], [b"a.both", b"example"], [b"both.example"], [b"a", b"both.example"]):
        packet = header() + question(name_wire(*labels, *SUFFIX))
        assert send(snapshot, packet)[0].outcome == Outcome.NOT_LISTED


@pytest.mark.parametrize("byte", range(256))
def test_a_byte_more_makes_another_name(snapshot: Snapshot, byte: int) -> None:
    for label in (bytes([byte]) + b"exact", b"exact" + bytes([byte]), bytes([byte]) + b"xact", b"ex\0act"):
        is_listed = label.lower() in (b"exact", b"xact")
        reply, _ = send(snapshot, header() + question(name_wire(label, b"example", *SUFFIX)))
        assert reply.outcome == (Outcome.LISTED if is_listed else Outcome.NOT_LISTED)
        reply, _ = send(snapshot, header() + question(name_wire(label, b"both", b"example", *SUFFIX), 16))
        assert reply.outcome == Outcome.LISTED
        assert reply.packet is not None
        # Nothing of the client's is in the text, whose name is the listed one.
        assert reply.packet.endswith(b"\x18both.example names: spam")


def test_a_name_of_255_bytes_below_a_suffix(snapshot: Snapshot) -> None:
    free = 255 - len(f"both.example.{ZONE}") - 2
    for front in ([b"q"] * (free // 2), [b"q" * 63] * 3):
        labels = [*front, b"both", b"example", *SUFFIX]
        reply, answer = send(snapshot, header() + question(name_wire(*labels), 16))
        assert reply.hits == ("names",)
        assert texts(answer) == ["both.example names: spam"]
    assert len(name_wire(*[b"q"] * (free // 2), b"both", b"example", *SUFFIX)) in (254, 255)


def test_addresses_and_names_in_one_zone(snapshot_of: Callable[..., Snapshot]) -> None:
    entries = '192.0.2.1, "fe80::1", bad.example, {domain: .zz.b}, {domain: f}, 2.0.0.9'
    mixed = snapshot_of(f'zone: {ZONE}\ntxt: "{{what}}!"\nentries: [{entries}]\n')
    nibbles = ".".join(reversed(f"{0xFE80 << 112 | 1:032x}"))
    for name, text in (
        ("1.2.0.192", "192.0.2.1"),
        (nibbles, "fe80::1"),
        ("bad.example", "bad.example"),
        ("a.zz.b", "zz.b"),
        # A part of an IPv6 name can be a listed name too.
        ("f", "f"),
        ("test", "test"),
        ("2.0.0.127", "127.0.0.2"),
    ):
        assert texts(ask(mixed, f"{name}.{ZONE}", "TXT")) == [f"{text}!"]
    for name in ("b", "e.f", "0.e.f", "192", "2.0.192", "example", "0.0.2"):
        assert_negative(ask(mixed, f"{name}.{ZONE}"), NOERROR)
    for name in ("2.2.0.192", ".".join("f" * 32), "x.f", "a.b", "c.example", "invalid"):
        expected = NOERROR if name == "a.b" else NXDOMAIN
        assert_negative(ask(mixed, f"{name}.{ZONE}"), expected)


@pytest.mark.parametrize(
    ("name", "rcode"),
    [
        ("8.8.8.8", NXDOMAIN),
        ("1.1.1.1", NXDOMAIN),
        ("1.0.0.3", NXDOMAIN),
        ("8.8.8.88", NXDOMAIN),
        # The end of the name of 2001:db8::1, and of 2a..., where nothing with a letter is an octet.
        ("1.0.0.2", NOERROR),
        ("2.0.0.2", NXDOMAIN),
        ("3.0.0.2", NOERROR),
        ("4.0.0.2", NOERROR),
        ("5.0.0.2", NXDOMAIN),
        # That of mapped addresses.
        ("0.0.0.0", NOERROR),
        ("0.0.0.1", NXDOMAIN),
    ],
)
def test_a_whole_ipv4_name_exists_only_above_a_listed_ipv6_address(
    snapshot_of: Callable[..., Snapshot], name: str, rcode: int
) -> None:
    entries = '"2001:db8::1", "2003:ffff:ffff:ffff:ffff:ffff:ffff:ffff-2004::", 192.0.2.1'
    v6 = snapshot_of(f"zone: {ZONE}\nentries: [{entries}]\n")
    for qtype in ("A", "TXT", "NS", "ANY"):
        assert_negative(ask(v6, f"{name}.{ZONE}", qtype), rcode)


def test_an_expired_ipv6_listing_leaves_it_open(snapshot_of: Callable[..., Snapshot]) -> None:
    text = f'zone: {ZONE}\nentries: [{{net: "2001:db8::1", expires: 2026-11-23T00:10:00Z}}]\n'
    assert_negative(ask(snapshot_of(text), f"1.0.0.2.{ZONE}", now=NOW + 700), NOERROR)
    assert_negative(ask(snapshot_of(text, now=NOW + 600), f"1.0.0.2.{ZONE}", now=NOW + 700), NXDOMAIN)


def test_a_zone_of_names_has_no_test_addresses_and_no_parts(snapshot: Snapshot) -> None:
    for name in ("2.0.0.127", "0.0.127", "127", "1.0.0.127", ".".join("0" * 31), ".".join("0" * 32)):
        assert_negative(ask(snapshot, f"{name}.{ZONE}"), NXDOMAIN)


def test_a_zone_of_addresses_has_no_test_name(snapshot_of: Callable[..., Snapshot]) -> None:
    plain_zone = snapshot_of(f"zone: {ZONE}\nentries: [192.0.2.1]\n")
    for name in ("test", "invalid", "example.com"):
        assert_negative(ask(plain_zone, f"{name}.{ZONE}"), NXDOMAIN)


def every_name(zone: Zone) -> Iterator[str]:
    """Names in and around a zone: those at edges, and all above them."""
    for subject in oracle.edges(zone):
        if isinstance(subject, Domain):
            labels = subject.name.split(".")
            yield from (".".join(labels[at:]) for at in range(len(labels)))
    yield from ("test", "invalid", "a.test", "a.invalid", "com")


@given(oracle.zones())
@settings(max_examples=examples(0.8), suppress_health_check=list(HealthCheck))
def test_names_exist_as_a_linear_scan_says(zone: Zone) -> None:
    table = open_zone(zone)
    if table is None or not any(block_list.has_names for block_list in zone.lists):
        return
    snapshot = Snapshot([table])
    for name in set(every_name(zone)):
        if len(name) + len(zone.name) > 250:
            continue
        said = oracle.say(zone, Domain(name), NOW)
        reply = respond(snapshot, plain(f"{name}.{zone.name}"), NOW)
        if name == "test" or said:
            expected = Outcome.LISTED
        elif oracle.exists(zone, name) or (table.has_addresses and parse_reversed(labels_of(name)).partial):
            expected = Outcome.NODATA
        else:
            expected = Outcome.NOT_LISTED
        assert reply.outcome in (expected, Outcome.TRUNCATED), name
        # RFC 8020: what is above a name that exists, exists.
        if expected != Outcome.NOT_LISTED:
            for at in range(1, name.count(".") + 1):
                above = respond(snapshot, plain(f"{name.split('.', at)[-1]}.{zone.name}"), NOW)
                assert above.outcome != Outcome.NOT_LISTED


def test_labels_of_the_zone_itself_are_not_looked_up(snapshot: Snapshot) -> None:
    assert labels_of(ZONE) == SUFFIX
    assert send(snapshot, plain(f"exact.example.{ZONE}.{ZONE}"))[0].outcome == Outcome.NOT_LISTED
