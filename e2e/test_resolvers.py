"""Resolvers between the mail server and us: Unbound and BIND as strict as they can be made, and what they cache.

Unbound has `qname-minimisation-strict`, `harden-below-nxdomain` and `use-caps-for-id` (0x20), BIND has
`qname-minimization strict`; both validate, under a signed root. They come to the zone by the configuration in contrib/
or by a delegation, over IPv4 or IPv6. What they ask is read off the wire. The same with Debian's rbldnsd shows where
that fails: it denies the names between the zone and the address, and strict resolvers believe it.
"""

import ipaddress
import re
import time
from collections.abc import Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from prometheus_client.parser import text_string_to_metric_families

from e2e.conftest import LISTED, LISTED6, OURS, OURS6, RANGED, THEIRS, UNLISTED, UNLISTED6, ZONE
from e2e.daemons import Daemon, until
from e2e.resolvers import KINDS, ROUTES, Exchange, ancestors, ask, outcome, resolving, snippet, without
from tests.serving import ServerProcess

WORDY = "192.0.2.66"
TEXT = f"""\
zone: {ZONE}
ttl: 2m
negative_ttl: 1h
ns: [ns1.example.org]
apex: {{a: [192.0.2.80]}}
lists:
  - name: traps
    code: 127.0.0.2
    txt: "{{ip}} hit our spam traps"
    entries:
      - {LISTED}
      - "2001:db8:bad::/48"
  - name: dynamic
    code: 127.0.0.10
    txt: "{{ip}} is in a dynamic pool"
    entries:
      - 192.0.2.128/25
""" + "".join(
    f"""\
  - name: wordy{number}
    code: 127.0.0.{number}
    txt: "{{ip}} {number} {"wordy " * 38}"
    entries:
      - {WORDY}
"""
    for number in range(20, 28)
)
# The same for rbldnsd.
FOUR = f"""\
$SOA 120 ns1.example.org hostmaster.{ZONE} 0 3600 600 604800 3600
$NS 120 ns1.example.org
:127.0.0.2:$ hit our spam traps
127.0.0.2
{LISTED}
:127.0.0.10:$ is in a dynamic pool
192.0.2.128/25
""" + "".join(f":127.0.0.{number}:$ {number} {'wordy ' * 38}\n{WORDY}\n" for number in range(20, 28))
SIX = ":127.0.0.2:$ hit our spam traps\n2001:db8:bad::/48\n"


@pytest.fixture
def zone_file(tmp_path: Path) -> Path:
    path = tmp_path / "zones" / "bl.yaml"
    path.parent.mkdir()
    path.write_text(TEXT)
    return path


@pytest.fixture
def rbldnsd(tmp_path: Path) -> Iterator[Daemon]:
    """Debian's rbldnsd on `THEIRS`, with the data of our zone."""
    directory = tmp_path / "rbldnsd"
    directory.mkdir()
    for name, text in (("four", FOUR), ("six", SIX)):
        (directory / name).write_text(text)
        (directory / name).chmod(0o644)
    directory.chmod(0o755)
    # It takes on another user after it has gone to its directory.
    command: list[str | Path] = ["rbldnsd", "-n", "-u", "nobody", "-w", directory, "-b", f"{THEIRS}/53"]
    log = tmp_path / "rbldnsd.log"
    zones = [f"{ZONE}:ip4set:four", f"{ZONE}:ip6trie:six"]
    with Daemon([*command, *zones], log, lambda: " started " in log.read_text()) as daemon:
        yield daemon


def name_of(address: str) -> str:
    return ipaddress.ip_address(address).reverse_pointer.rsplit(".", 2)[0] + "." + ZONE


def negative_ttl(answer: dns.message.Message) -> int:
    """For how long the client may keep a negative answer: RFC 2308."""
    (soa,) = answer.authority
    assert soa.rdtype == dns.rdatatype.SOA
    return min(soa.ttl, int(soa[0].minimum))


def count(server: ServerProcess, **labels: str) -> float:
    """How many queries have had these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(server.get("/metrics"))
        for sample in family.samples
        if sample.name == "dnsbl_queries_total" and labels.items() <= sample.labels.items()
    )


def empty(exchanges: list[Exchange]) -> list[Exchange]:
    return [each for each in exchanges if each.rcode == "NOERROR" and not each.answers]


EXPECTED = [
    (UNLISTED, "A", ("NXDOMAIN", [])),
    (UNLISTED, "TXT", ("NXDOMAIN", [])),
    (LISTED, "A", ("NOERROR", ["127.0.0.2"])),
    (LISTED, "AAAA", ("NOERROR", [])),
    (LISTED, "TXT", ("NOERROR", [f"{LISTED} hit our spam traps"])),
    (RANGED, "A", ("NOERROR", ["127.0.0.10"])),
    (UNLISTED6, "A", ("NXDOMAIN", [])),
    (LISTED6, "A", ("NOERROR", ["127.0.0.2"])),
    (LISTED6, "TXT", ("NOERROR", [f"{LISTED6} hit our spam traps"])),
    ("127.0.0.1", "A", ("NXDOMAIN", [])),
    ("127.0.0.2", "A", ("NOERROR", ["127.0.0.2"])),
    ("::ffff:127.0.0.1", "A", ("NXDOMAIN", [])),
    ("::ffff:127.0.0.2", "A", ("NOERROR", ["127.0.0.2"])),
]


@pytest.mark.parametrize("where", [OURS, OURS6])
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("kind", KINDS)
def test_listings_are_found_and_nothing_else(
    server: ServerProcess, tmp_path: Path, kind: str, route: str, where: str
) -> None:
    with resolving(tmp_path, kind, route, where) as wire:
        # The resolver validates, and now has a proof that there is nothing between a.example.org and what follows it:
        # ns.example.org or, where that exists, the zone.
        proof = ask("a.example.org")
        assert outcome(proof) == ("NXDOMAIN", [])
        assert proof.flags & dns.flags.AD
        seen: list[Exchange] = []
        for address, qtype, expected in EXPECTED:
            name = name_of(address)
            answer = ask(name, qtype)
            assert outcome(answer) == expected, f"{address} {qtype}"
            if not expected[1]:
                assert negative_ttl(answer) in range(3500, 3601)
            latest = wire.exchanges()
            seen += latest
            if (address, qtype) in ((UNLISTED, "A"), (LISTED, "A"), (LISTED6, "A"), ("127.0.0.1", "A")):
                # It did ask for what is in between, from the top, and for the name itself at last.
                asked = list(dict.fromkeys(each.below for each in seen if each.below in ancestors(name)))
                assert asked == sorted(asked, key=len)
                assert len(asked) >= 3
                assert f"{name}." in [each.name.lower() for each in latest]
        assert outcome(ask(ZONE, "A")) == ("NOERROR", ["192.0.2.80"])

        # We have counted what went over the wire.
        def is_counted() -> bool:
            seen.extend(wire.exchanges())
            return count(server, transport="udp", outcome="nodata") == len(empty(seen)) >= 9

        until(is_counted, "each NODATA is counted")

    assert all(each.is_echoed for each in seen)
    # No name was denied but those of the addresses that are not listed.
    unlisted = {f"{name_of(address)}." for address, _, (rcode, _) in EXPECTED if rcode == "NXDOMAIN"}
    assert {each.name.lower() for each in seen if each.rcode != "NOERROR"} == unlisted


@pytest.mark.parametrize("kind", KINDS)
def test_case_of_names_is_kept(server: ServerProcess, tmp_path: Path, kind: str) -> None:
    name = "7.2.0.192.bL.eXaMpLe.OrG"
    with resolving(tmp_path, kind, "stub", OURS) as wire:
        answer = ask(name)
        assert outcome(answer) == ("NOERROR", ["127.0.0.2"])
        assert answer.question[0].name.to_text() == f"{name}."
        assert outcome(ask(name_of(LISTED6))) == ("NOERROR", ["127.0.0.2"])
        seen = wire.exchanges()
    assert all(each.is_echoed for each in seen)
    assert any(each.name != each.name.lower() for each in seen)


@pytest.mark.parametrize("kind", KINDS)
def test_not_listed_is_cached(server: ServerProcess, zone_file: Path, tmp_path: Path, kind: str) -> None:
    name = name_of(UNLISTED)
    with resolving(tmp_path, kind, "stub", OURS) as wire:
        assert outcome(ask(name)) == ("NXDOMAIN", [])
        zone_file.write_text(TEXT.replace(f"- {LISTED}\n", f"- {LISTED}\n      - {UNLISTED}\n"))
        server.wait_for(f"zone {ZONE}: reloaded")
        assert outcome(ask(name, where=OURS)) == ("NOERROR", ["127.0.0.2"])
        wire.exchanges()

        answer = ask(name)
        assert outcome(answer) == ("NXDOMAIN", [])
        assert negative_ttl(answer) <= 3600
        assert wire.exchanges() == []


@pytest.mark.parametrize("kind", KINDS)
def test_an_addition_is_seen_after_negative_ttl(
    server: ServerProcess, zone_file: Path, tmp_path: Path, kind: str
) -> None:
    seconds = 4
    text = TEXT.replace("negative_ttl: 1h", f"negative_ttl: {seconds}s")
    zone_file.write_text(text)
    server.wait_for(f"zone {ZONE}: reloaded")
    name = name_of(UNLISTED)
    with resolving(tmp_path, kind, "stub", OURS):
        before = time.monotonic()
        answer = ask(name)
        after = time.monotonic()
        assert outcome(answer) == ("NXDOMAIN", [])
        assert negative_ttl(answer) == seconds
        zone_file.write_text(text.replace(f"- {LISTED}\n", f"- {LISTED}\n      - {UNLISTED}\n"))
        server.wait_for(f"zone {ZONE}: reloaded", count=2)
        # Resolvers count in whole seconds, so one may be missing or too many.
        while True:
            asked = time.monotonic()
            found = outcome(ask(name))
            if found == ("NOERROR", ["127.0.0.2"]):
                assert time.monotonic() > before + seconds - 1
                break
            assert found == ("NXDOMAIN", [])
            assert asked < after + seconds + 1.5
            time.sleep(0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_too_long_comes_over_tcp(server: ServerProcess, tmp_path: Path, kind: str) -> None:
    expected = [f"{WORDY} {number} {'wordy ' * 38}" for number in range(20, 28)]
    with resolving(tmp_path, kind, "stub", OURS) as wire:
        assert outcome(ask(name_of(WORDY), "TXT")) == ("NOERROR", expected)
        assert {each.below for each in wire.exchanges() if each.is_truncated} == {"66.2.0.192"}
    until(lambda: count(server, transport="udp", outcome="truncated"), "what was truncated is counted")
    until(lambda: count(server, transport="tcp", qtype="TXT", outcome="listed"), "what went over TCP is counted")


@pytest.mark.parametrize("kind", KINDS)
def test_the_zone_is_exempt_from_validation(server: ServerProcess, tmp_path: Path, kind: str) -> None:
    exemption = {"unbound": "domain-insecure", "named": "validate-except"}[kind]
    conf = without(snippet(f"{kind}.conf", OURS), exemption)
    with resolving(tmp_path, kind, "stub", OURS, conf=conf):
        assert outcome(ask(name_of(LISTED))) == ("SERVFAIL", [])


def test_unbound_lets_our_answers_pass_its_filter(server: ServerProcess, tmp_path: Path) -> None:
    conf = without(snippet("unbound.conf", OURS), "private-domain")
    with resolving(tmp_path, "unbound", "stub", OURS, conf=conf):
        assert not ask(name_of(LISTED)).answer


def test_unbound_and_the_server_on_one_host(zone_file: Path, tmp_path: Path) -> None:
    conf = snippet("unbound.conf", "127.0.0.1@5300")
    with ServerProcess(str(zone_file.parent), listen=("127.0.0.1:5300",)):
        with resolving(tmp_path / "without", "unbound", "stub", "127.0.0.1", conf=conf):
            assert outcome(ask(name_of(LISTED))) == ("SERVFAIL", [])
        conf, changed = re.subn(r"# (do-not-query-localhost:)", r"\1", conf)
        assert changed == 1
        with resolving(tmp_path / "with", "unbound", "stub", "127.0.0.1", conf=conf):
            assert outcome(ask(name_of(LISTED))) == ("NOERROR", ["127.0.0.2"])


def test_named_and_the_server_on_one_host(zone_file: Path, tmp_path: Path) -> None:
    stub, forward = snippet("named.conf", "127.0.0.1").split("// static-stub knows no port", 1)
    exemption, stub_zone = re.split(r"(?m)^(?=zone )", stub)
    assert "static-stub" in stub_zone
    conf = exemption + "".join(re.findall(r"(?m)^// ?( *(?:zone|type|forward|forwarders|\}).*\n)", forward))
    with (
        ServerProcess(str(zone_file.parent), listen=("127.0.0.1:5300",)),
        resolving(tmp_path, "named", "stub", "127.0.0.1", conf=conf),
    ):
        for address, qtype, expected in EXPECTED:
            assert outcome(ask(name_of(address), qtype)) == expected, f"{address} {qtype}"


# --- What the same resolvers make of rbldnsd.


@pytest.mark.usefixtures("rbldnsd")
@pytest.mark.parametrize("qtype", ["A", "NS", "TXT"])
def test_rbldnsd_denies_the_names_in_between(server: ServerProcess, qtype: str) -> None:
    for address in (LISTED, LISTED6, "127.0.0.2"):
        name = name_of(address)
        assert outcome(ask(name, where=THEIRS)) == outcome(ask(name, where=OURS)) == ("NOERROR", ["127.0.0.2"])
        for between in ancestors(name):
            assert outcome(ask(f"{between}.{ZONE}", qtype, THEIRS)) == ("NXDOMAIN", [])
            assert outcome(ask(f"{between}.{ZONE}", qtype, OURS)) == ("NOERROR", [])


@pytest.mark.usefixtures("rbldnsd")
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("kind", KINDS)
def test_strict_resolvers_do_not_find_what_rbldnsd_lists(tmp_path: Path, kind: str, route: str) -> None:
    name = name_of(LISTED)
    with resolving(tmp_path, kind, route, THEIRS) as wire:
        ask("a.example.org")
        # Each question gets one label further, and is answered with the denial that it meets there.
        denied: set[str] = set()
        for number in range(1, 4):
            assert outcome(ask(name)) == ("NXDOMAIN", [])
            denied |= {each.below for each in wire.exchanges() if each.rcode == "NXDOMAIN"}
            assert denied == set(ancestors(name)[:number])
        # Only a resolver that has all denials in its cache asks for the name itself.
        assert outcome(ask(name)) == ("NOERROR", ["127.0.0.2"])
        for address in (LISTED6, "127.0.0.2"):
            assert outcome(ask(name_of(address))) == ("NXDOMAIN", [])
        assert name_of(LISTED6) not in [each.below for each in wire.exchanges()]


@pytest.mark.usefixtures("rbldnsd")
@pytest.mark.parametrize("kind", KINDS)
def test_lenient_resolvers_find_it(tmp_path: Path, kind: str) -> None:
    with resolving(tmp_path, kind, "stub", THEIRS, is_strict=False) as wire:
        for address in (LISTED, LISTED6, "127.0.0.2"):
            assert outcome(ask(name_of(address))) == ("NOERROR", ["127.0.0.2"])
        # They too were told that there is nothing, and asked on all the same.
        assert ("192", "NXDOMAIN") in [(each.below, each.rcode) for each in wire.exchanges()]


@pytest.mark.usefixtures("rbldnsd")
@pytest.mark.parametrize("kind", KINDS)
def test_rbldnsd_leaves_out_what_is_too_long(tmp_path: Path, kind: str) -> None:
    with resolving(tmp_path, kind, "stub", THEIRS, is_strict=False) as wire:
        rcode, texts = outcome(ask(name_of(WORDY), "TXT"))
        assert rcode == "NOERROR"
        assert 0 < len(texts) < 8
        assert not [each for each in wire.exchanges() if each.is_truncated]
