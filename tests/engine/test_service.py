"""The service: it answers from the snapshot it was given last, and counts under labels that no client chooses."""

import logging
from collections.abc import Callable
from typing import Any

import dns.message
import dns.rcode
import pytest

from dnsbl_server.answer.respond import Outcome
from dnsbl_server.answer.snapshot import Identity, Snapshot
from dnsbl_server.engine import service as service_module
from dnsbl_server.engine.service import QTYPE_LABELS, Counted, Service
from dnsbl_server.table.table import ZoneTable
from tests.asking import ZONE, header, name_of, name_wire, opt, plain, question

TEXT = f"""\
zone: {ZONE}
ns: [ns1.example.org]
lists:
  - {{name: traps, entries: [192.0.2.0/24]}}
  - {{name: dynamic, code: 127.0.0.10, entries: [192.0.2.128/25]}}
  - {{name: long, txt: "{"x" * 400}", entries: [192.0.2.200]}}
  - {{name: longer, txt: "{"y" * 400}", entries: [192.0.2.200]}}
"""


def tables_of(snapshot: Snapshot) -> list[ZoneTable]:
    return [zone.table for zone in snapshot.zones.values()]


@pytest.fixture
def service(snapshot_of: Callable[..., Snapshot]) -> Service:
    service = Service(identity=Identity("dnsbl-server"))
    service.adopt(tables_of(snapshot_of(TEXT)))
    return service


def ask(service: Service, packet: bytes, transport: str) -> bytes | None:
    """The answer over TCP, which the engine makes; for UDP, whose engine needs sockets, that of its specification."""
    return service.answer(packet) if transport == "tcp" else service.answer_slow_path(packet, "udp")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(
    ("packet", "zone", "qtype", "outcome"),
    [
        (plain(f"1.2.0.192.{ZONE}"), ZONE, "A", Outcome.LISTED),
        (plain(f"1.2.0.192.{ZONE}", 16), ZONE, "TXT", Outcome.LISTED),
        (plain(f"1.2.0.192.{ZONE}", 255), ZONE, "ANY", Outcome.LISTED),
        (plain(f"1.2.0.192.{ZONE}", 28), ZONE, "AAAA", Outcome.NODATA),
        (plain(f"1.2.0.192.{ZONE}", 65), ZONE, "HTTPS", Outcome.NODATA),
        (plain(f"1.2.0.192.{ZONE}", 65280), ZONE, "other", Outcome.NODATA),
        (plain(f"1.2.0.192.{ZONE}", 0), ZONE, "other", Outcome.NODATA),
        (plain(f"192.{ZONE}", 2), ZONE, "NS", Outcome.NODATA),
        (plain(f"1.3.0.192.{ZONE}"), ZONE, "A", Outcome.NOT_LISTED),
        (plain(f"1.3.0.192.{ZONE.upper()}"), ZONE, "A", Outcome.NOT_LISTED),
        (plain(f"2.0.0.127.{ZONE}"), ZONE, "A", Outcome.LISTED),
        (plain(ZONE, 6), ZONE, "SOA", Outcome.ANSWERED),
        (plain(ZONE, 252), ZONE, "AXFR", Outcome.REFUSED),
        (plain("example.com"), "", "A", Outcome.REFUSED),
        (plain("version.bind", 16, 3), "", "TXT", Outcome.ANSWERED),
        (header() + question(name_of(ZONE)) + b"?", "", "other", Outcome.FORMERR),
        (header(5 << 11) + question(name_of(ZONE), 6), "", "SOA", Outcome.NOTIMP),
        (header(5 << 11), "", "other", Outcome.NOTIMP),
        (header(0, (1, 0, 0, 1)) + question(name_of(ZONE)) + opt(version=1), "", "A", Outcome.BADVERS),
        (header(0x8000) + question(name_of(ZONE)), "", "other", Outcome.DROPPED),
        (b"", "", "other", Outcome.DROPPED),
    ],
)
def test_a_query_is_counted_once_under_its_labels(
    service: Service, transport: str, packet: bytes, zone: str, qtype: str, outcome: Outcome
) -> None:
    answer = ask(service, packet, transport)
    assert (answer is None) == (outcome == Outcome.DROPPED)
    assert service.counts().queries == {Counted(zone, transport, qtype, outcome): 1}
    ask(service, packet, transport)
    assert service.counts().queries == {Counted(zone, transport, qtype, outcome): 2}


@pytest.mark.parametrize(("transport", "outcome"), [("udp", Outcome.TRUNCATED), ("tcp", Outcome.LISTED)])
def test_what_is_cut_over_udp_is_whole_over_tcp(service: Service, transport: str, outcome: Outcome) -> None:
    ask(service, plain(f"200.2.0.192.{ZONE}", 16), transport)
    assert service.counts().queries == {Counted(ZONE, transport, "TXT", outcome): 1}


@pytest.mark.parametrize(
    ("name", "qtype", "hits"),
    [
        (f"1.2.0.192.{ZONE}", 1, ["traps"]),
        (f"129.2.0.192.{ZONE}", 1, ["traps", "dynamic"]),
        (f"129.2.0.192.{ZONE}", 16, ["traps", "dynamic"]),
        (f"129.2.0.192.{ZONE}", 28, []),
        (f"1.3.0.192.{ZONE}", 1, []),
        (f"2.0.0.127.{ZONE}", 1, []),  # a test entry is of no list
        (ZONE, 6, []),
    ],
)
def test_hits_of_lists(service: Service, name: str, qtype: int, hits: list[str]) -> None:
    for _ in range(3):
        ask(service, plain(name, qtype), "udp")
        ask(service, plain(name, qtype), "tcp")
    assert service.counts().hits == {(ZONE, name): 6 for name in hits}


def test_no_client_can_make_a_label(service: Service) -> None:
    for number in range(0, 65536, 61):
        name = name_wire(str(number).encode(), *(label.encode() for label in ZONE.split(".")))
        for transport in ("udp", "tcp"):
            ask(service, header(number & 0x7FFF) + question(name, number), transport)
            ask(service, header(0) + question(name, 1, number), transport)
            ask(service, header(0) + question(name_wire(b"x%d" % number), number), transport)
    queries = service.counts().queries
    assert {counted.zone for counted in queries} == {"", ZONE}
    assert {counted.qtype for counted in queries} <= {*QTYPE_LABELS.values(), "other"}
    assert {counted.outcome for counted in queries} <= set(Outcome)
    assert len(QTYPE_LABELS) < 20
    assert len(queries) < 200
    # Both have counted the same.
    assert {each._replace(transport="tcp"): count for each, count in queries.items() if each.transport == "udp"} == {
        each: count for each, count in queries.items() if each.transport == "tcp"
    }


def test_the_types_are_counted_by_their_names() -> None:
    expected = {1: "A", 2: "NS", 6: "SOA", 15: "MX", 16: "TXT", 28: "AAAA", 65: "HTTPS", 252: "AXFR", 255: "ANY"}
    assert expected.items() <= QTYPE_LABELS.items()


def test_a_new_snapshot_answers_at_once(service: Service, snapshot_of: Callable[..., Snapshot]) -> None:
    packet = plain(f"1.2.0.192.{ZONE}")
    listed = service.answer(packet)
    service.adopt(tables_of(snapshot_of(f"zone: {ZONE}\nentries: [198.51.100.1]\n")))
    not_listed = service.answer(packet)
    assert listed is not None
    assert not_listed is not None
    assert dns.message.from_wire(listed).rcode() == dns.rcode.NOERROR
    assert dns.message.from_wire(not_listed).rcode() == dns.rcode.NXDOMAIN


def test_without_a_zone_all_is_refused() -> None:
    service = Service()
    answer = service.answer(plain(f"1.2.0.192.{ZONE}"))
    assert answer is not None
    assert dns.message.from_wire(answer).rcode() == dns.rcode.REFUSED


@pytest.fixture
def broken(service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    def fail(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(service_module, "respond", fail)
    return service


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("flags", [0, 0x0100, 0x2900])
def test_an_internal_error_is_servfail(
    broken: Service, caplog: pytest.LogCaptureFixture, transport: str, flags: int
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = broken.answer_slow_path(header(flags, ident=0xBEEF) + question(name_of(ZONE), 6), transport)
    assert answer is not None
    assert answer[:2] == b"\xbe\xef"
    assert int.from_bytes(answer[2:4]) == 0x8000 | flags | dns.rcode.SERVFAIL
    assert broken.counts().queries == {Counted("", transport, "other", Outcome.SERVFAIL): 1}
    assert not broken.counts().hits
    (record,) = caplog.records
    assert record.exc_info is not None
    assert "beef" in record.getMessage()


@pytest.mark.parametrize("packet", [b"", b"\x12\x34", header(0x8180) + question(name_of(ZONE))])
def test_an_internal_error_answers_no_answer(broken: Service, caplog: pytest.LogCaptureFixture, packet: bytes) -> None:
    assert broken.answer_slow_path(packet, "udp") is None
    assert len(caplog.records) == 1


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_what_could_not_be_sent_is_counted(service: Service, transport: str) -> None:
    service.count_dropped(transport)
    service.count_dropped(transport)
    assert service.counts().queries == {Counted("", transport, "other", Outcome.DROPPED): 2}


def test_counts_go_on_through_reloads(service: Service, snapshot_of: Callable[..., Snapshot]) -> None:
    packet = plain(f"1.2.0.192.{ZONE}")
    for _ in range(3):
        service.answer(packet)
        service.adopt(tables_of(snapshot_of(TEXT)))
    service.adopt(tables_of(snapshot_of("zone: other.example.org\nentries: [192.0.2.1]\n", TEXT)))
    service.answer(packet)
    service.answer(plain("1.2.0.192.other.example.org"))
    service.adopt([])
    assert service.counts().queries == {
        Counted(ZONE, "tcp", "A", Outcome.LISTED): 4,
        Counted("other.example.org", "tcp", "A", Outcome.LISTED): 1,
    }
    assert service.counts().hits == {(ZONE, "traps"): 4, ("other.example.org", "other.example.org"): 1}
