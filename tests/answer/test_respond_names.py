"""Names: their case and bytes go back as they came, any label is survived, and the SOA stands where it belongs."""

from collections.abc import Callable

import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dnsbl_server.answer.respond import Outcome, respond
from dnsbl_server.answer.snapshot import Snapshot
from tests.asking import ZONE, ask, assert_negative, header, name_wire, plain, question, send, texts, values
from tests.conftest import NOW
from tests.profiles import examples

TEXT = f"""
zone: {ZONE}
ttl: 5m
negative_ttl: 1m
soa: {{mname: ns1.example.org, rname: hostmaster.example.org, refresh: 2h, retry: 11m, expire: 9d}}
entries:
  - 192.0.2.0/24
  - "2001:db8::/64"
  - {{net: 198.51.100.1, ttl: 1h, expires: 2026-11-23T00:10:00Z}}
"""
LONG = b"x" * 63
SUFFIX = (b"bl", b"example", b"org")


@pytest.fixture
def snapshot(snapshot_of: Callable[..., Snapshot]) -> Snapshot:
    return snapshot_of(TEXT)


def swap(text: str, pattern: int) -> str:
    """The text with the case of letter n swapped where bit n of the pattern is set."""
    return "".join(each.swapcase() if pattern >> at & 1 else each for at, each in enumerate(text))


@given(pattern=st.integers(0, (1 << 100) - 1), qtype=st.sampled_from((1, 2, 6, 16, 28, 255)))
@settings(max_examples=examples(0.6), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_case_is_kept_byte_for_byte(snapshot: Snapshot, pattern: int, qtype: int) -> None:
    nibbles = ".".join(reversed(f"{0x20010DB8 << 96 | 0xABCDEF:032x}"))
    for name in ("7.2.0.192", "7.3.0.192", "0.192", nibbles, nibbles[4:], "some-word"):
        written = swap(f"{name}.{ZONE}", pattern)
        packet = plain(written, qtype)
        same = respond(snapshot, packet, NOW).packet
        lower = respond(snapshot, plain(written.lower(), qtype), NOW).packet
        assert same is not None
        assert lower is not None
        assert same[12 : len(packet)] == packet[12:]
        assert same[2:12] == lower[2:12]
        assert same.lower() == lower.lower()


def test_the_owners_of_records_have_the_case_of_the_question(snapshot: Snapshot) -> None:
    for name in ("7.2.0.192.bL.eXaMpLe.ORG", "BL.example.ORG"):
        answer = ask(snapshot, name, "A" if name.startswith("7") else "SOA")
        assert answer.answer[0].name.to_text(omit_final_dot=True) == name
    for name in ("7.3.0.192.bL.eXaMpLe.ORG", "192.bL.eXaMpLe.ORG"):
        assert ask(snapshot, name).authority[0].name.to_text(omit_final_dot=True) == "bL.eXaMpLe.ORG"


@pytest.mark.parametrize(
    "labels",
    [
        (b"\0",),
        (b"\xff" * 63,),
        (b".",),
        (b"1.2.0.192",),
        (b"7.2", b"0", b"192"),
        (b"\\",),
        (b"\xc0\x0c",),
        (b"@", b" ", b"\n", b"\x7f"),
        ("\u00e4".encode(), "\uff12".encode()),
        (b"\xb2",),
        (b"7", b"2", b"0", "\u0661".encode()),
        (b"+7", b"2", b"0", b"192"),
        (b" 7", b"2", b"0", b"192"),
        (b"7_0", b"2", b"0", b"192"),
        (b"7", b"2", b"0", b"192", b"_"),
        (b"0x7", b"2", b"0", b"192"),
        (b"07", b"2", b"0", b"192"),
        (b"263", b"2", b"0", b"192"),
        (LONG,),
        (LONG, LONG, LONG),
    ],
)
@pytest.mark.parametrize("qtype", [1, 16])
def test_odd_labels_are_nxdomain_and_go_back(snapshot: Snapshot, labels: tuple[bytes, ...], qtype: int) -> None:
    packet = header() + question(name_wire(*labels, *SUFFIX), qtype)
    reply, answer = send(snapshot, packet)
    assert_negative(answer, dns.rcode.NXDOMAIN)
    assert reply.packet is not None
    assert reply.packet[12 : len(packet)] == packet[12:]


@pytest.mark.parametrize(
    ("front", "outcome"),
    [
        pytest.param(name_wire(LONG, LONG, LONG, b"x" * 46)[:-1], Outcome.NOT_LISTED, id="255 bytes"),
        pytest.param(name_wire(LONG, LONG, LONG, b"x" * 47)[:-1], Outcome.FORMERR, id="256 bytes"),
        pytest.param(bytes([63]) + LONG, Outcome.NOT_LISTED, id="label of 63"),
        pytest.param(bytes([64]) + LONG + b"x", Outcome.FORMERR, id="label of 64"),
        pytest.param(name_wire(*[b"1"] * 119)[:-1], Outcome.NOT_LISTED, id="254 bytes of nibbles"),
        pytest.param(name_wire(*[b"1"] * 120)[:-1], Outcome.FORMERR, id="256 bytes of nibbles"),
    ],
)
def test_the_lengths_of_names(snapshot: Snapshot, front: bytes, outcome: Outcome) -> None:
    reply, answer = send(snapshot, header() + question(front + name_wire(*SUFFIX)))
    assert reply.outcome == outcome
    assert answer.rcode() == (dns.rcode.FORMERR if outcome == Outcome.FORMERR else dns.rcode.NXDOMAIN)


@pytest.mark.parametrize("name", [f"7.2.0.192.{ZONE}", f"0.192.{ZONE}", f"word.{ZONE}"])
@pytest.mark.parametrize("qtype", ["AAAA", "MX"])
def test_the_soa_of_negative_answers(snapshot_of: Callable[..., Snapshot], name: str, qtype: str) -> None:
    snapshot = snapshot_of(TEXT.replace("negative_ttl: 1m", "negative_ttl: 90s"))
    answer = ask(snapshot, name, qtype)
    rcode = dns.rcode.NXDOMAIN if name.startswith("word") else dns.rcode.NOERROR
    assert_negative(answer, rcode, 90)
    soa = answer.authority[0][0]
    assert str(soa).split()[:2] == ["ns1.example.org.", "hostmaster.example.org."]
    assert (soa.refresh, soa.retry, soa.expire, soa.minimum) == (7200, 660, 9 * 86400, 90)
    assert soa.serial == snapshot.find(SUFFIX).serial  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("left", "ttl"),
    [(600, 600), (599.5, 599), (60, 60), (10, 10), (1, 1), (0.5, 0)],
)
@pytest.mark.parametrize("qtype", ["A", "TXT", "ANY"])
def test_no_answer_outlives_its_listing(snapshot: Snapshot, left: float, ttl: int, qtype: str) -> None:
    now = NOW + 600 - left
    answer = ask(snapshot, f"1.100.51.198.{ZONE}", qtype, now)
    assert [rrset.ttl for rrset in answer.answer] == [ttl]
    assert ask(snapshot, f"7.2.0.192.{ZONE}", qtype, now).answer[0].ttl == 300


def test_after_its_expiry_an_address_is_not_listed(snapshot: Snapshot) -> None:
    for now in (NOW + 600, NOW + 600.5, NOW + 1e8):
        assert_negative(ask(snapshot, f"1.100.51.198.{ZONE}", now=now), dns.rcode.NXDOMAIN)


def test_a_long_ttl_of_an_entry_is_kept(snapshot: Snapshot) -> None:
    assert ask(snapshot, f"1.100.51.198.{ZONE}", now=NOW - 86400).answer[0].ttl == 3600


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("7.2.0.192", "192.0.2.7"),
        ("7.0.2.0.0.0.0.c.f.f.f.f" + ".0" * 20, "192.0.2.7"),
        ("7.0.2.0.0.0.0.C.F.F.f.f" + ".0" * 20, "192.0.2.7"),
        (".".join(reversed(f"{(0x20010DB8 << 96) | 0xA0:032x}")), "2001:db8::a0"),
    ],
)
def test_a_text_names_the_address(snapshot: Snapshot, name: str, address: str) -> None:
    assert texts(ask(snapshot, f"{name}.{ZONE}", "TXT"))[0].startswith(f"{address} is listed in {ZONE}")
    assert values(ask(snapshot, f"{name}.{ZONE}")) == values(ask(snapshot, f"{name}.{ZONE}", "ANY")) == ["127.0.0.2"]


@pytest.mark.parametrize("suffix", ["f.f.f.e" + ".0" * 20, "0.0.0.0" + ".0" * 20, "f.f.f.f" + ".0" * 19 + ".1"])
def test_only_the_mapped_prefix_is_ipv4(snapshot: Snapshot, suffix: str) -> None:
    assert_negative(ask(snapshot, f"7.0.2.0.0.0.0.c.{suffix}.{ZONE}"), dns.rcode.NXDOMAIN)


@pytest.mark.parametrize("form", ["1.0.0.127", "1.0.0.0.0.0.f.7.f.f.f.f" + ".0" * 20])
def test_the_test_addresses(snapshot: Snapshot, form: str) -> None:
    assert_negative(ask(snapshot, f"{form}.{ZONE}"), dns.rcode.NXDOMAIN)
    assert values(ask(snapshot, f"2{form[1:]}.{ZONE}")) == ["127.0.0.2"]
    assert len(texts(ask(snapshot, f"2{form[1:]}.{ZONE}", "TXT"))) == 1


def test_every_other_type_of_a_listed_address_is_nodata(snapshot: Snapshot) -> None:
    # OPT (41) and the types of transfers and transactions (249 to 252) are no data.
    for qtype in {*range(300), *range(300, 65536, 997)} - {1, 16, 251, 252, 255}:
        reply, answer = send(snapshot, plain(f"7.2.0.192.{ZONE}", qtype))
        assert_negative(answer, dns.rcode.NOERROR)
        assert reply.outcome == Outcome.NODATA
        assert not reply.hits
