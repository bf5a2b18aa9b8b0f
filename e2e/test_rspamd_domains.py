"""rspamd gives mail that names listed domains and mail addresses its symbols, and never switches the list off.

Its rbl module has contrib/rspamd-rbl-domains.conf and contrib/rspamd-rbl_group-domains.conf in local.d, beside Debian's
own files, and asks through an Unbound. It probes such a list with random labels, of which none may be listed.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.conftest import LISTED, OURS, RANGED, UNLISTED
from e2e.daemons import Daemon, until
from e2e.dkim import Signer
from e2e.domains import TEXT, ZONE, write_zone
from e2e.resolvers import Wire
from e2e.rspamd import DATE, Symbols, probes, rspamd, says, scan, unbound
from tests.serving import ServerProcess

SUFFIX = "-domains"
# What rspamd calls base32 is neither that of RFC 4648 nor what is known as z-base-32, whose alphabet it has: it begins
# with the lowest bits of the first byte.
ALPHABET = "ybndrfg8ejkmcpqxot1uwisza345h769"
ADDRESS = "someone@mail.example"


def rspamd_base32(digest: bytes) -> str:
    number = int.from_bytes(digest, "little")
    return "".join(ALPHABET[number >> shift & 31] for shift in range(0, 8 * len(digest), 5))


def spam(*what: str) -> Symbols:
    return {"DBL_EXAMPLE_SPAM": (5.0, list(what))}


@pytest.fixture
def zone_file(tmp_path: Path) -> Path:
    # One more list, whose code contrib/rspamd-rbl-domains.conf does not know.
    more = "  - {name: other, code: 127.0.0.99, entries: [other.example]}\n"
    return write_zone(tmp_path / "zones", TEXT + more)


@pytest.fixture
def resolver(server: ServerProcess, tmp_path: Path) -> Iterator[Daemon]:
    with unbound(tmp_path, OURS, ZONE) as daemon:
        yield daemon


@pytest.mark.usefixtures("resolver")
def test_mail_that_names_listed_domains_gets_symbols(tmp_path: Path) -> None:
    phish = {"DBL_EXAMPLE_PHISH": (7.0, ["mapped.example:url"])}
    links = {
        "https://bad.example/x": spam("bad.example:url"),
        "https://WWW.Bad.Example:8080/?x=1#y": spam("bad.example:url"),
        "https://a.b.worse.example/": spam("worse.example:url"),
        "https://bücher.example/": spam("bücher.example:url"),
        "https://xn--bcher-kva.example/": spam("xn--bcher-kva.example:url"),
        "https://mail.fed.example/": spam("fed.example:url"),
        "https://mapped.example/": phish,
        "https://other.example/": {"DBL_EXAMPLE": (0.0, ["other.example:url:127.0.0.99"])},
        "write to x@bad.example": spam("bad.example:email"),
        "write to x@a.worse.example": spam("worse.example:email"),
        # Only below it is listed, and rspamd asks for the registrable domain.
        "https://a.below.example/": {},
        "https://below.example/": {},
        "https://notbad.example/": {},
        "https://good.example/ and https://192.0.2.7/ and x@good.example": {},
    }
    with rspamd(tmp_path, SUFFIX):
        found = {body: scan(UNLISTED, body=body) for body in links}
        assert found == links
        assert scan(UNLISTED, ["Reply-To: Bad <x@Bad.Example>"]) == spam("bad.example:replyto")
        names = {
            "bad.example": "bad.example",
            "BAD.Example": "BAD.Example",
            "mail.worse.example": "mail.worse.example",
            "a.below.example": "a.below.example",
            "mail.bad.example": None,
            "good.worse.example": None,
            "a.good.worse.example": None,
        }
        for name, what in names.items():
            helo = {"HELO_EXAMPLE_SPAM": (4.0, [f"{what}:helo"])} if what else {}
            assert scan(UNLISTED, Helo=name) == helo
            rdns = {"RDNS_EXAMPLE_SPAM": (4.0, [f"{what}:rdns"])} if what else {}
            assert scan(UNLISTED, Hostname=name) == rdns
        assert scan(UNLISTED, Helo="[192.0.2.7]") == {}


@pytest.mark.usefixtures("resolver")
def test_whole_host_names_are_found_too(tmp_path: Path) -> None:
    more = "rbls { example_domains { url_full_hostname = true; } }\n"
    links = {
        "https://www.bad.example/": {},
        "https://a.b.worse.example/": spam("a.b.worse.example:url"),
        "https://a.below.example/": spam("a.below.example:url"),
        "https://a.good.worse.example/": {},
    }
    with rspamd(tmp_path, SUFFIX, rbls=more):
        assert {body: scan(UNLISTED, body=body) for body in links} == links


def test_domains_that_signed_are_asked_for(server: ServerProcess, tmp_path: Path) -> None:
    assert server.host == OURS
    signers = {domain: Signer(tmp_path, domain) for domain in ("bad.example", "mail.worse.example", "good.example")}
    records = [signer.record for signer in signers.values()]
    body = "Test.\r\n"
    with unbound(tmp_path, OURS, ZONE, records), rspamd(tmp_path, SUFFIX, filters="dkim"):
        found = {}
        for domain, signer in signers.items():
            signature = signer.sign([f"Date: {DATE}", "From: a@example.com"], body)
            symbols = scan(UNLISTED, [signature])
            assert symbols["DKIM_TRACE"][1] == [f"{domain}:+"]
            found[domain] = {name: symbol for name, symbol in symbols.items() if "EXAMPLE" in name}
        assert found == {
            "bad.example": spam("bad.example:dkim"),
            # Of what signed, too, the registrable domain is asked for.
            "mail.worse.example": spam("worse.example:dkim"),
            "good.example": {},
        }
        # Whoever only says that a domain has signed it proves nothing.
        forged = signers["bad.example"].sign([f"Date: {DATE}", "From: b@example.com"], body)
        symbols = scan(UNLISTED, [forged])
        assert symbols["DKIM_TRACE"][1] == ["bad.example:-"]
        assert not [name for name in symbols if "EXAMPLE" in name]


@pytest.mark.usefixtures("resolver")
def test_mail_addresses_are_found_by_their_hash(tmp_path: Path) -> None:
    def listed(*what: str) -> Symbols:
        return {"EBL_EXAMPLE_SPAM": (5.0, list(what))}

    # rspamd asks for what it has made of the address.
    bodies = {
        f"write to {ADDRESS}": listed(f"{ADDRESS}:email"),
        "write to SomeOne@MAIL.example or else": listed(f"{ADDRESS}:email"),
        "write to someone+tag+x@mail.example": listed(f"{ADDRESS}:email"),
        "write to reply.to@mail.example": listed("reply.to@mail.example:email"),
        "write to Some.One+tag@GoogleMail.com": listed("someone@gmail.com:email"),
        "write to some.one@mail.example": {},
        "write to someone@a.mail.example": {},
        "write to someoneelse@mail.example": {},
    }
    with rspamd(tmp_path, SUFFIX):
        assert {body: scan(UNLISTED, body=body) for body in bodies} == bodies
        assert scan(UNLISTED, ["Reply-To: Some.One+x@gmail.com"]) == listed("someone@gmail.com:replyto")
        # Only what is written in lower case it takes for Gmail's here.
        assert scan(UNLISTED, ["Reply-To: someone@Googlemail.com"]) == {}


def test_each_hash_is_found_that_rspamd_asks_for(zone_file: Path, tmp_path: Path) -> None:
    """Those in hexadecimal, and those in what rspamd calls base32."""

    def digest(algorithm: str) -> bytes:
        return hashlib.new(algorithm, ADDRESS.encode()).digest()

    def rule(algorithm: str, encoding: str, code: int) -> str:
        symbol = f"{algorithm}_{encoding}".upper()
        asks = f'rbl = "{ZONE}"; checks = ["emails"]; hash = "{algorithm}"; hash_format = "{encoding}"'
        return f'{symbol} {{ {asks}; returncodes = {{ {symbol}_FOUND = "127.0.0.{code}"; }} }}\n'

    based = {"md5": 21, "sha1": 22, "sha256": 23}
    lists = "".join(
        f"  - {{name: {name}-base32, code: 127.0.0.{code}, hash: {name}, encoding: zbase32, entries: [{ADDRESS}]}}\n"
        for name, code in based.items()
    )
    zone_file.write_text(zone_file.read_text() + lists)
    rules = [rule(name, "base32", code) for name, code in based.items()]
    rules += [rule("md5", "hex", 6), rule("sha1", "hex", 5), rule("sha256", "hex", 7)]
    with (
        ServerProcess(str(zone_file.parent), listen=(f"{OURS}:53",)),
        unbound(tmp_path, OURS, ZONE),
        Wire(OURS) as wire,
        rspamd(tmp_path, SUFFIX, rbls=f"rbls {{\n{''.join(rules)}}}\n") as daemon,
    ):
        symbols = scan(UNLISTED, body=f"write to {ADDRESS}")
        assert set(symbols) == {
            "EBL_EXAMPLE_SPAM",
            "MD5_HEX_FOUND",
            "SHA1_HEX_FOUND",
            "MD5_BASE32_FOUND",
            "SHA1_BASE32_FOUND",
            "SHA256_BASE32_FOUND",
        }
        assert all(what == [f"{ADDRESS}:email"] for _, what in symbols.values())
        # It asks for no label that is too long.
        too_long = digest("sha256").hex()
        assert says(daemon, f"cannot send invalid DNS request {too_long}.{ZONE}")()
        found = {each.name.removesuffix(f".{ZONE}.") for each in wire.exchanges() if each.answers}
    assert found == {digest(name).hex() for name in ("md5", "sha1")} | {rspamd_base32(digest(name)) for name in based}


def test_the_probe_stays_green(server: ServerProcess, resolver: Daemon, tmp_path: Path) -> None:
    with rspamd(tmp_path, SUFFIX) as daemon:
        # Three bad ones in a row would switch the list off.
        until(lambda: len(probes(daemon, ZONE)) >= 5, "rspamd has probed the list five times")
        replies = dict(re.findall(rf" (\S+)\.{re.escape(ZONE)}\. A IN (\S+) ", resolver.output()))
        assert set(probes(daemon, ZONE)) == {"no records with this name"}
        assert not says(daemon, ZONE, "retries left")()
        assert not says(daemon, ZONE, "disable object")()
        assert scan(UNLISTED, body="https://bad.example/") == spam("bad.example:url")
    # Each probe had a name of its own.
    assert len(replies) >= 5
    assert set(replies.values()) == {"NXDOMAIN"}
    assert all(re.fullmatch(r"[\w-]{8,31}", label) for label in replies)
    assert not server.ask(f"invalid.{ZONE}").answer
    assert server.ask(f"test.{ZONE}").answer


def test_one_zone_lists_names_and_addresses(zone_file: Path, tmp_path: Path) -> None:
    more = f'  - {{name: addresses, code: 127.0.0.2, txt: "{{ip}} is listed", entries: [{LISTED}]}}\n'
    zone_file.write_text(zone_file.read_text() + more)
    rule = f'both {{ rbl = "{ZONE}"; checks = ["from", "urls"]; returncodes = {{ BOTH_SPAM = "127.0.0.2"; }} }}'
    with (
        ServerProcess(str(zone_file.parent), listen=(f"{OURS}:53",)),
        unbound(tmp_path, OURS, ZONE) as resolver,
        rspamd(tmp_path, None, rbls=f"rbls {{ {rule} }}\n") as daemon,
    ):
        found = {
            body: [sorted(what) for _, what in scan(address, body=body).values()]
            for address, body in (
                (LISTED, "https://www.bad.example/ and more"),
                (LISTED, "https://good.example/"),
                (UNLISTED, "https://worse.example/"),
                (UNLISTED, f"http://{LISTED}/"),
                (UNLISTED, f"http://{RANGED}/ https://good.example/"),
            )
        }
        assert found == {
            "https://www.bad.example/ and more": [[f"{LISTED}:from", "bad.example:url"]],
            "https://good.example/": [[f"{LISTED}:from"]],
            "https://worse.example/": [["worse.example:url"]],
            # An address in a link is asked for as that of a client.
            f"http://{LISTED}/": [["7.2.0.192:url"]],
            f"http://{RANGED}/ https://good.example/": [],
        }
        # A list that is asked for addresses is probed for 127.0.0.1, names or not.
        until(lambda: len(probes(daemon, ZONE)) >= 3, "rspamd has probed the list three times")
        assert set(probes(daemon, ZONE)) == {"no records with this name"}
        assert says(resolver, f" 1.0.0.127.{ZONE}. A IN NXDOMAIN ")()
        assert not says(daemon, ZONE, "retries left")()
