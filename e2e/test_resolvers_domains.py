"""Strict resolvers between the mail server and a list of domain names: Unbound and BIND find every listed name.

They ask for the names above it first, and take an NXDOMAIN there for the end of it: RFC 8020. What they ask is read off
the wire. The same names in Debian's rbldnsd show where that fails.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.conftest import THEIRS, ZONE
from e2e.daemons import Daemon
from e2e.resolvers import KINDS, ROUTES, Exchange, ancestors, ask, outcome, resolving
from tests.serving import ServerProcess

# Of one label to five, the first a hash.
HASH = hashlib.sha1(b"someone@mail.example").hexdigest()
NAMES = (HASH, "bad.example", "www.shop.example", "a.b.deep.example", "one.two.three.four.example")
TEXT = f"""\
zone: {ZONE}
ttl: 2m
negative_ttl: 1h
ns: [ns1.example.org]
lists:
  - name: names
    code: 127.0.0.2
    txt: "{{domain}} is listed"
    entries:
      - bad.example
      - www.shop.example
      - a.b.deep.example
      - one.two.three.four.example
      - .worse.example
      - "*.below.example"
    except: [good.worse.example]
  - name: mails
    code: 127.0.0.5
    txt: mail address
    hash: sha1
    entries: [someone@mail.example]
"""
# The same for rbldnsd.
DNSET = f"""\
$SOA 120 ns1.example.org hostmaster.{ZONE} 0 3600 600 604800 3600
$NS 120 ns1.example.org
:127.0.0.2:$ is listed
bad.example
www.shop.example
a.b.deep.example
one.two.three.four.example
.worse.example
*.below.example
!.good.worse.example
:127.0.0.5:mail address
{HASH}
"""

Outcome = tuple[str, list[str]]
NODATA: Outcome = ("NOERROR", [])
NXDOMAIN: Outcome = ("NXDOMAIN", [])
# In an order in which a resolver learns of what there is not before it is asked for what there is.
EXPECTED = [
    ("invalid", "A", NXDOMAIN),
    ("test", "A", ("NOERROR", ["127.0.0.2", "127.0.0.5"])),
    ("other.example", "A", NXDOMAIN),
    ("a.other.example", "A", NXDOMAIN),
    ("bad.example", "A", ("NOERROR", ["127.0.0.2"])),
    ("bad.example", "TXT", ("NOERROR", ["bad.example is listed"])),
    ("bad.example", "AAAA", NODATA),
    ("www.bad.example", "A", NXDOMAIN),
    ("other.shop.example", "A", NXDOMAIN),
    ("www.shop.example", "A", ("NOERROR", ["127.0.0.2"])),
    ("a.b.deep.example", "A", ("NOERROR", ["127.0.0.2"])),
    ("b.deep.example", "A", NODATA),
    ("deep.example", "TXT", NODATA),
    ("c.b.deep.example", "A", NXDOMAIN),
    ("one.two.three.four.example", "A", ("NOERROR", ["127.0.0.2"])),
    ("one.two.three.four.example", "TXT", ("NOERROR", ["one.two.three.four.example is listed"])),
    ("good.worse.example", "A", NXDOMAIN),
    ("a.good.worse.example", "A", NXDOMAIN),
    ("worse.example", "A", ("NOERROR", ["127.0.0.2"])),
    ("a.b.c.worse.example", "A", ("NOERROR", ["127.0.0.2"])),
    ("a.b.c.worse.example", "TXT", ("NOERROR", ["worse.example is listed"])),
    ("below.example", "A", NODATA),
    ("a.below.example", "A", ("NOERROR", ["127.0.0.2"])),
    ("a.b.c.below.example", "A", ("NOERROR", ["127.0.0.2"])),
    ("example", "A", NODATA),
    (HASH, "A", ("NOERROR", ["127.0.0.5"])),
    (HASH.upper(), "TXT", ("NOERROR", ["mail address"])),
    (f"a.{HASH}", "A", NXDOMAIN),
    (f"f{HASH[1:]}", "A", NXDOMAIN),
]


@pytest.fixture
def zone_file(tmp_path: Path) -> Path:
    path = tmp_path / "zones" / "bl.yaml"
    path.parent.mkdir()
    path.write_text(TEXT)
    return path


@pytest.fixture
def rbldnsd(tmp_path: Path) -> Iterator[Daemon]:
    """Debian's rbldnsd on `THEIRS`, with the names of our zone."""
    directory = tmp_path / "rbldnsd"
    directory.mkdir()
    (directory / "names").write_text(DNSET)
    (directory / "names").chmod(0o644)
    directory.chmod(0o755)
    # It takes on another user after it has gone to its directory.
    command: list[str | Path] = ["rbldnsd", "-n", "-u", "nobody", "-w", directory, "-b", f"{THEIRS}/53"]
    log = tmp_path / "rbldnsd.log"
    with Daemon([*command, f"{ZONE}:dnset:names"], log, lambda: " started " in log.read_text()) as daemon:
        yield daemon


def show(question: str, exchanges: list[Exchange]) -> None:
    """Write down what a question to the resolver made it ask."""
    print(question)
    for each in exchanges:
        print(f"    {each.name} {each.qtype}: {each.rcode}, {each.answers} answers")


def assert_minimised(name: str, exchanges: list[Exchange]) -> None:
    """For the names above it, from the top, the resolver did ask: for all, or for three, which is enough for BIND."""
    between = ancestors(f"{name}.{ZONE}")
    asked = list(dict.fromkeys(each.below for each in exchanges if each.below in between))
    assert asked == between[: len(asked)]
    assert len(asked) >= min(3, len(between))


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("kind", KINDS)
def test_listed_names_are_found_and_nothing_else(server: ServerProcess, tmp_path: Path, kind: str, route: str) -> None:
    with resolving(tmp_path, kind, route, server.host) as wire:
        seen: list[Exchange] = []
        for name, qtype, expected in EXPECTED:
            answer = ask(f"{name}.{ZONE}", qtype)
            latest = wire.exchanges()
            show(f"{name} {qtype}", latest)
            seen += latest
            assert outcome(answer) == expected, f"{name} {qtype}"
    assert all(each.is_echoed for each in seen)
    for name in ("www.shop.example", "a.b.deep.example", "one.two.three.four.example", "a.b.c.below.example"):
        assert_minimised(name, seen)
    # Nothing was denied but names that are not listed, and have nothing listed below them.
    unlisted = {name for name, _, expected in EXPECTED if expected == NXDOMAIN}
    denied = {each.below for each in seen if each.rcode != "NOERROR"}
    assert denied <= unlisted
    # A name below a denied one need not be asked for: RFC 8020.
    assert unlisted - denied <= {"a.other.example", "a.good.worse.example"}


@pytest.mark.parametrize("kind", KINDS)
def test_each_name_is_found_at_the_first_question(server: ServerProcess, tmp_path: Path, kind: str) -> None:
    for number, name in enumerate(NAMES):
        with resolving(tmp_path / str(number), kind, "stub", server.host) as wire:
            answer = ask(f"{name}.{ZONE}")
            exchanges = wire.exchanges()
            show(name, exchanges)
            assert outcome(answer)[0] == "NOERROR"
            assert len(answer.answer) == 1
        assert_minimised(name, exchanges)
        assert {(each.rcode, each.answers) for each in exchanges if each.below != name} <= {("NOERROR", 0)}


# --- What the same resolvers make of rbldnsd.


@pytest.mark.usefixtures("rbldnsd")
@pytest.mark.parametrize("qtype", ["A", "NS", "TXT"])
def test_rbldnsd_denies_the_names_in_between(server: ServerProcess, qtype: str) -> None:
    for name in NAMES[1:]:
        for where in (THEIRS, server.host):
            assert outcome(ask(f"{name}.{ZONE}", where=where)) == ("NOERROR", ["127.0.0.2"])
        for between in ancestors(f"{name}.{ZONE}"):
            assert outcome(ask(f"{between}.{ZONE}", qtype, THEIRS)) == NXDOMAIN
            assert outcome(ask(f"{between}.{ZONE}", qtype, server.host)) == NODATA


@pytest.mark.usefixtures("rbldnsd")
@pytest.mark.parametrize("kind", KINDS)
def test_strict_resolvers_do_not_find_what_rbldnsd_lists(tmp_path: Path, kind: str) -> None:
    with resolving(tmp_path, kind, "stub", THEIRS) as wire:
        for name in NAMES[1:]:
            answer = ask(f"{name}.{ZONE}")
            show(name, wire.exchanges())
            assert outcome(answer) == NXDOMAIN
        # A single label has nothing in between.
        assert outcome(ask(f"{HASH}.{ZONE}")) == ("NOERROR", ["127.0.0.5"])
