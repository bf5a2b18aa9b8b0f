"""Every row of the table of answers, read with dnspython as an independent client."""

import struct
from collections.abc import Callable

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from dns.rcode import Rcode

from dnsbl_server.answer.respond import Outcome, Reply, respond
from dnsbl_server.answer.snapshot import Identity, Snapshot
from tests.conftest import NOW

ZONE = """
zone: bl.example.org
ttl: 5m
negative_ttl: 1m
ns: [ns1.example.org, ns2.example.org]
soa: {mname: ns1.example.org, rname: hostmaster.example.org, refresh: 1h, retry: 10m, expire: 1w}
apex: {a: [192.0.2.80], aaaa: ["2001:db8::80"], mx: [10 mx.example.org], txt: [Our list]}
except: [203.0.113.25]
lists:
  - name: traps
    txt: "{ip} trapped: {reason}"
    reason: spam
    entries:
      - 192.0.2.0/24
      - 203.0.113.10-203.0.113.40
      - "2001:db8:bad::/48"
      - {net: 198.51.100.64/26, reason: snowshoe, code: 127.0.0.3, ttl: 1h}
      - {net: 198.51.100.1, expires: 2026-11-23T00:00:30Z}
  - name: dynamic
    code: [127.0.0.10, 127.0.0.2]
    txt: "{ip} is dynamic"
    entries: [192.0.2.128/25]
"""
NESTED = "zone: sub.net.bl.example.org\nentries: [10.0.0.1]\n"


@pytest.fixture
def snapshot(snapshot_of: Callable[..., Snapshot]) -> Snapshot:
    return snapshot_of(ZONE, NESTED, identity=Identity("dnsbl-server", "ns1"))


def ask(snapshot: Snapshot, name: str, qtype: str = "A", now: float = NOW, **options: object) -> dns.message.Message:
    query = dns.message.make_query(name, qtype, **options)  # type: ignore[arg-type]
    packet = respond(snapshot, query.to_wire(), now, tcp=True).packet
    assert packet is not None
    response = dns.message.from_wire(packet)
    assert query.is_response(response)
    return response


def rdata(rrsets: list[dns.rrset.RRset]) -> list[str]:
    return [str(each) for rrset in rrsets for each in rrset]


LISTED = [
    ("7.2.0.192.bl.example.org", ["127.0.0.2"], ['"192.0.2.7 trapped: spam"'], 300),
    (
        "200.2.0.192.bl.example.org",
        ["127.0.0.2", "127.0.0.10"],
        ['"192.0.2.200 trapped: spam"', '"192.0.2.200 is dynamic"'],
        300,
    ),
    ("10.113.0.203.bl.example.org", ["127.0.0.2"], ['"203.0.113.10 trapped: spam"'], 300),
    ("40.113.0.203.BL.Example.ORG", ["127.0.0.2"], ['"203.0.113.40 trapped: spam"'], 300),
    ("127.100.51.198.bl.example.org", ["127.0.0.3"], ['"198.51.100.127 trapped: snowshoe"'], 3600),
    (
        f"{'0.' * 20}d.a.b.0.8.b.d.0.1.0.0.2.bl.example.org",
        ["127.0.0.2"],
        ['"2001:db8:bad:: trapped: spam"'],
        300,
    ),
    (
        f"7.0.2.0.0.0.0.c.F.f.f.f.{'0.' * 20}bl.example.org",
        ["127.0.0.2"],
        ['"192.0.2.7 trapped: spam"'],
        300,
    ),
    ("2.0.0.127.bl.example.org", ["127.0.0.2"], None, 300),
    ("3.0.0.127.bl.example.org", ["127.0.0.3"], None, 300),
    ("10.0.0.127.bl.example.org", ["127.0.0.10"], None, 300),
]


@pytest.mark.parametrize(("name", "codes", "texts", "ttl"), LISTED)
def test_a_listed_address_has_its_codes_texts_and_ttl(
    snapshot: Snapshot, name: str, codes: list[str], texts: list[str] | None, ttl: int
) -> None:
    for qtype in ("A", "ANY"):
        answer = ask(snapshot, name, qtype)
        assert answer.rcode() == Rcode.NOERROR
        assert answer.flags & dns.flags.AA
        assert rdata(answer.answer) == codes
        assert [rrset.rdtype for rrset in answer.answer] == [dns.rdatatype.A]
        assert answer.answer[0].ttl == ttl
        assert not answer.authority
    answer = ask(snapshot, name, "TXT")
    assert answer.answer[0].ttl == ttl
    if texts is not None:
        assert rdata(answer.answer) == texts


NOT_LISTED = [
    "1.113.0.9.bl.example.org",
    "9.113.0.203.bl.example.org",
    "41.113.0.203.bl.example.org",
    "25.113.0.203.bl.example.org",  # excluded
    "1.0.0.127.bl.example.org",
    f"1.0.0.0.0.0.f.7.f.f.f.f.{'0.' * 20}bl.example.org",  # ::ffff:127.0.0.1
    f"{'0.' * 31}1.bl.example.org",
    "11.2.3.4.5.bl.example.org",
    "256.2.0.192.bl.example.org",
    "01.2.0.192.bl.example.org",
    "7.2.0.192.x.bl.example.org",
    "www.bl.example.org",
    "_spf.bl.example.org",
    "DeadBeefXyz.bl.example.org",  # a probe of rspamd's
    f"g.{'0.' * 31}bl.example.org",
    f"{'0.' * 33}bl.example.org",
    "ff.bl.example.org",
    "net.sub.bl.example.org",
]


@pytest.mark.parametrize("name", NOT_LISTED)
@pytest.mark.parametrize("qtype", ["A", "TXT", "AAAA", "ANY", "NS"])
def test_not_listed(snapshot: Snapshot, name: str, qtype: str) -> None:
    answer = ask(snapshot, name, qtype)
    assert answer.rcode() == Rcode.NXDOMAIN
    assert_negative(answer)


NODATA = [
    *("192.bl.example.org", "0.192.bl.example.org", "2.0.192.bl.example.org", "127.bl.example.org"),
    *("99.bl.example.org", "255.254.253.bl.example.org"),  # nothing is listed below these, but names may exist
    *("2.bl.example.org", "a.bl.example.org", "F.bl.example.org"),
    *(f"{'0.' * count}bl.example.org" for count in range(1, 32)),
    "1.0.0.2.bl.example.org",  # 2.0.0.1, not listed; and the start of an IPv6 name
    "net.bl.example.org",  # above the zone sub.net.bl.example.org
]


@pytest.mark.parametrize("name", NODATA)
@pytest.mark.parametrize("qtype", ["A", "TXT", "AAAA", "ANY", "NS", "SOA", "DS", "TYPE65280"])
def test_empty_non_terminals_are_nodata(snapshot: Snapshot, name: str, qtype: str) -> None:
    answer = ask(snapshot, name, qtype)
    assert answer.rcode() == Rcode.NOERROR
    assert not answer.answer
    assert_negative(answer)


@pytest.mark.parametrize("qtype", ["AAAA", "MX", "NS", "SOA", "CNAME", "DS", "HTTPS", "TYPE65280"])
def test_a_listed_address_has_no_other_types(snapshot: Snapshot, qtype: str) -> None:
    answer = ask(snapshot, "7.2.0.192.bl.example.org", qtype)
    assert answer.rcode() == Rcode.NOERROR
    assert not answer.answer
    assert_negative(answer)


def assert_negative(answer: dns.message.Message) -> None:
    assert answer.flags & dns.flags.AA
    assert not answer.answer
    (soa,) = answer.authority
    assert soa.ttl == 60
    assert soa[0].minimum == 60


def test_an_address_that_could_start_an_ipv6_name_is_listed_when_it_is(snapshot_of: Callable[..., Snapshot]) -> None:
    answer = ask(snapshot_of("zone: bl.example.org\nentries: [2.0.0.1]\n"), "1.0.0.2.bl.example.org")
    assert rdata(answer.answer) == ["127.0.0.2"]


APEX = {
    "SOA": None,
    "ANY": None,
    "NS": ["ns1.example.org.", "ns2.example.org."],
    "A": ["192.0.2.80"],
    "AAAA": ["2001:db8::80"],
    "MX": ["10 mx.example.org."],
    "TXT": ['"Our list"'],
}


@pytest.mark.parametrize("qtype", [*APEX, "SRV", "DS", "DNSKEY"])
def test_the_apex_has_its_records_and_nodata_for_others(snapshot: Snapshot, qtype: str) -> None:
    answer = ask(snapshot, "BL.example.org", qtype)
    assert answer.rcode() == Rcode.NOERROR
    if qtype not in APEX:
        assert_negative(answer)
        return
    expected = APEX[qtype]
    if expected is None:
        (rrset,) = answer.answer
        serial = rrset[0].serial
        assert rdata(answer.answer) == [
            f"ns1.example.org. hostmaster.example.org. {serial} 3600 600 604800 60",
        ]
        assert serial > 1_700_000_000
    else:
        assert rdata(answer.answer) == expected


@pytest.mark.parametrize(
    ("qtype", "ttl"), [("NS", 300), ("A", 300), ("AAAA", 300), ("MX", 300), ("TXT", 300), ("SOA", 60), ("ANY", 60)]
)
def test_apex_records_have_the_ttl_of_the_zone_and_the_soa_that_of_negative_answers(
    snapshot: Snapshot, qtype: str, ttl: int
) -> None:
    assert [rrset.ttl for rrset in ask(snapshot, "bl.example.org", qtype).answer] == [ttl]


@pytest.mark.parametrize(
    "name", ["example.org", "org", ".", "bl.example.com", "xbl.example.org", "7.2.0.192.bl2.example.org"]
)
def test_foreign_names_are_refused(snapshot: Snapshot, name: str) -> None:
    answer = ask(snapshot, name)
    assert answer.rcode() == Rcode.REFUSED
    assert not answer.flags & dns.flags.AA
    assert not answer.answer
    assert not answer.authority


def test_the_longest_zone_answers(snapshot: Snapshot) -> None:
    assert rdata(ask(snapshot, "1.0.0.10.sub.net.bl.example.org").answer) == ["127.0.0.2"]
    answer = ask(snapshot, "7.2.0.192.sub.net.bl.example.org")
    assert answer.rcode() == Rcode.NXDOMAIN
    assert str(answer.authority[0].name) == "sub.net.bl.example.org."


def test_ds_of_a_nested_zone_is_the_business_of_the_zone_above(snapshot: Snapshot) -> None:
    answer = ask(snapshot, "sub.net.bl.example.org", "DS")
    assert answer.rcode() == Rcode.NOERROR
    assert str(answer.authority[0].name) == "bl.example.org."


@pytest.mark.parametrize("name", ["version.bind", "version.server", "id.server", "hostname.bind"])
def test_no_resolver_keeps_what_a_server_says_of_itself(snapshot: Snapshot, name: str) -> None:
    (rrset,) = ask(snapshot, name, "TXT", rdclass="CH").answer
    assert (rrset.ttl, rrset.rdclass) == (0, dns.rdataclass.CH)


def test_what_a_server_says_of_itself_is_authoritative(snapshot: Snapshot) -> None:
    assert ask(snapshot, "version.bind", "TXT", rdclass="CH").flags & dns.flags.AA


@pytest.mark.parametrize(
    ("qtype", "rdclass"), [("AXFR", "IN"), ("IXFR", "IN"), ("A", "HS"), ("A", "ANY"), ("A", "NONE")]
)
def test_transfers_and_other_classes_are_refused(snapshot: Snapshot, qtype: str, rdclass: str) -> None:
    assert ask(snapshot, "bl.example.org", qtype, rdclass=rdclass).rcode() == Rcode.REFUSED


@pytest.mark.parametrize(("left", "ttl"), [(30, 30), (29.5, 29), (1.2, 1), (0.5, 0)])
def test_no_ttl_outlives_the_listing(snapshot: Snapshot, left: float, ttl: int) -> None:
    name = "1.100.51.198.bl.example.org"
    for qtype in ("A", "TXT"):
        assert ask(snapshot, name, qtype, now=NOW + 30 - left).answer[0].ttl == ttl
    assert ask(snapshot, name, now=NOW + 30).rcode() == Rcode.NXDOMAIN


# EDNS, flags and sizes


@pytest.mark.parametrize("do", [False, True])
def test_opt_is_answered_without_options(snapshot: Snapshot, do: bool) -> None:
    options = [
        dns.edns.GenericOption(dns.edns.OptionType.NSID, b""),
        dns.edns.GenericOption(dns.edns.OptionType.PADDING, b"x"),
    ]
    answer = ask(snapshot, "7.2.0.192.bl.example.org", use_edns=0, payload=4096, want_dnssec=do, options=options)
    assert (answer.edns, answer.payload, answer.options) == (0, 1232, ())
    assert bool(answer.ednsflags & dns.flags.DO) == do
    assert ask(snapshot, "7.2.0.192.bl.example.org", use_edns=False).edns == -1


def test_other_edns_versions_are_badvers(snapshot: Snapshot) -> None:
    answer = ask(snapshot, "7.2.0.192.bl.example.org", use_edns=1)
    assert answer.rcode() == Rcode.BADVERS
    assert answer.edns == 0
    assert not answer.answer


@pytest.mark.parametrize("name", ["7.2.0.192.bl.example.org", "www.bl.example.org", "example.com"])
@pytest.mark.parametrize("flags", [0x0000, 0x0100, 0x07F0, 0x0130])
def test_flags_of_the_answer(snapshot: Snapshot, name: str, flags: int) -> None:
    packet = bytearray(dns.message.make_query(name, "A").to_wire())
    packet[2:4] = struct.pack("!H", flags)
    reply = respond(snapshot, bytes(packet), NOW).packet
    assert reply is not None
    (got,) = struct.unpack("!H", reply[2:4])
    authoritative = 0 if name == "example.com" else 0x0400
    assert got & 0xFFF0 == 0x8000 | authoritative | flags & 0x0100


@pytest.mark.parametrize(
    "name", ["7.2.0.192.Bl.eXAMPLE.oRG", "wWw.bL.example.org", "2.0.192.BL.Example.org", "Foo.Net"]
)
def test_the_question_goes_back_byte_for_byte(snapshot: Snapshot, name: str) -> None:
    packet = dns.message.make_query(name, "A", use_edns=False).to_wire()
    reply = respond(snapshot, packet, NOW).packet
    assert reply is not None
    assert reply[12 : len(packet)] == packet[12:]


BIG = "zone: bl.example.org\nlists:\n" + "".join(
    f"  - {{name: list{number}, entries: [192.0.2.1], txt: '{number:03}{'x' * 247}'}}\n" for number in range(8)
)


@pytest.mark.parametrize(
    ("payload", "lists", "cut"),
    [
        (None, 1, False),
        (None, 2, True),
        (512, 2, True),
        (100, 2, True),
        (1232, 4, False),
        (1232, 5, True),
        (4096, 5, True),
    ],
)
def test_what_is_too_long_for_udp_is_cut(
    snapshot_of: Callable[..., Snapshot], payload: int | None, lists: int, cut: bool
) -> None:
    text = BIG.split("  - {name: list" + str(lists))[0]
    snapshot = snapshot_of(text)
    edns = {"use_edns": 0, "payload": payload} if payload else {"use_edns": False}
    query = dns.message.make_query("1.2.0.192.bl.example.org", "TXT", **edns)
    reply = respond(snapshot, query.to_wire(), NOW)
    assert reply.packet is not None
    assert len(reply.packet) <= min(max(payload or 512, 512), 1232)
    answer = dns.message.from_wire(reply.packet)
    assert bool(answer.flags & dns.flags.TC) == cut
    assert reply.outcome == (Outcome.TRUNCATED if cut else Outcome.LISTED)
    assert len(rdata(answer.answer)) == (0 if cut else lists)
    assert answer.edns == (0 if payload else -1)
    whole = respond(snapshot, query.to_wire(), NOW, tcp=True).packet
    assert whole is not None
    assert len(rdata(dns.message.from_wire(whole).answer)) == lists


def test_long_texts_come_in_several_strings(snapshot_of: Callable[..., Snapshot]) -> None:
    snapshot = snapshot_of(f"zone: bl.example.org\nentries: [192.0.2.1]\ntxt: '{'a' * 255}{'b' * 245}'\n")
    (record,) = ask(snapshot, "1.2.0.192.bl.example.org", "TXT").answer[0]
    assert record.strings == (b"a" * 255, b"b" * 245)


# What is counted


@pytest.mark.parametrize(
    ("name", "qtype", "counted"),
    [
        ("200.2.0.192.bl.example.org", "A", (Outcome.LISTED, "bl.example.org", 1, ("traps", "dynamic"))),
        ("7.2.0.192.bl.example.org", "TXT", (Outcome.LISTED, "bl.example.org", 16, ("traps",))),
        ("7.2.0.192.bl.example.org", "AAAA", (Outcome.NODATA, "bl.example.org", 28, ())),
        ("2.0.0.127.bl.example.org", "A", (Outcome.LISTED, "bl.example.org", 1, ())),
        ("1.1.1.1.bl.example.org", "A", (Outcome.NOT_LISTED, "bl.example.org", 1, ())),
        ("1.1.1.19.bl.example.org", "A", (Outcome.NOT_LISTED, "bl.example.org", 1, ())),
        ("bl.example.org", "NS", (Outcome.ANSWERED, "bl.example.org", 2, ())),
        ("bl.example.org", "SRV", (Outcome.NODATA, "bl.example.org", 33, ())),
        ("example.com", "A", (Outcome.REFUSED, "", 1, ())),
        ("bl.example.org", "AXFR", (Outcome.REFUSED, "bl.example.org", 252, ())),
    ],
)
def test_what_is_counted_of_a_query(snapshot: Snapshot, name: str, qtype: str, counted: tuple[object, ...]) -> None:
    reply = respond(snapshot, dns.message.make_query(name, qtype).to_wire(), NOW)
    assert (reply.outcome, reply.zone, reply.qtype, reply.hits) == counted


def test_the_outcomes_are_named_as_the_metric_names_them() -> None:
    assert sorted(Outcome) == [
        *("answered", "badvers", "dropped", "formerr", "listed", "nodata", "not_listed", "notimp"),
        *("refused", "servfail", "truncated"),
    ]
    assert all(outcome.value == outcome.name.lower() for outcome in Outcome)


@pytest.mark.parametrize("packet", [b"", b"\0" * 11, b"\0\0\x80" + b"\0" * 9, b"\0\0\x80\0\0\1" + b"\0" * 20])
def test_no_answer(snapshot: Snapshot, packet: bytes) -> None:
    assert respond(snapshot, packet, NOW) == Reply(None, Outcome.DROPPED)
