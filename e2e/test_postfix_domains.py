"""Postfix refuses mail by the names in it, tells why, and takes and delivers the rest.

With `reject_rhsbl_sender`, `reject_rhsbl_helo` and `reject_rhsbl_reverse_client`, as contrib/postfix-main-domains.cf
has them, through an Unbound that also knows the names of the clients' addresses.
"""

import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path

import dns.rcode
import pytest

from e2e.conftest import LISTED, LISTED6, RANGED, UNLISTED, UNLISTED6
from e2e.daemons import Daemon, until
from e2e.domains import TEXT, ZONE, write_zone
from e2e.postfix import Postfix, resolve, resolver, send_mail
from tests.serving import ServerProcess

MAIN = "postfix-main-domains.cf"
ACCEPTED = "250 2.0.0 Ok: queued as "
# The names of the clients' addresses: none leads back to its address, and one address has none.
NAMES = {
    RANGED: "bad.example",
    LISTED: "mail.worse.example",
    LISTED6: "HOST.Below.example",
    UNLISTED6: "mail.good.worse.example",
}
RECORDS = [f"{ipaddress.ip_address(address).reverse_pointer} PTR {name}" for address, name in NAMES.items()]

SPAM = "{name} is named in unsolicited mail. https://dbl.example.org/?q={name}"
FEED = "{name} is in a feed"
# What is asked for, and the text of its answer; None: mail passes.
EXPECTED = {
    "bad.example": SPAM.format(name="bad.example"),
    "BAD.Example": SPAM.format(name="bad.example"),
    "mail.bad.example": None,
    "notbad.example": None,
    "worse.example": SPAM.format(name="worse.example"),
    "a.b.c.worse.example": SPAM.format(name="worse.example"),
    "good.worse.example": None,
    "mail.good.worse.example": None,
    "verygood.worse.example": SPAM.format(name="worse.example"),
    "below.example": None,
    "mail.below.example": SPAM.format(name="below.example"),
    "xn--bcher-kva.example": SPAM.format(name="xn--bcher-kva.example"),
    "fed.example": FEED.format(name="fed.example"),
    "mail.fed.example": FEED.format(name="fed.example"),
    # Listed with a code that the filter does not name.
    "mapped.example": None,
    "example.com": None,
    # Names of the zone itself.
    "invalid": None,
}


@pytest.fixture
def zone_file(tmp_path: Path) -> Path:
    return write_zone(tmp_path / "zones")


@pytest.fixture
def unbound(server: ServerProcess, tmp_path: Path) -> Iterator[Daemon]:
    with resolver(tmp_path / "unbound", zone=ZONE, records=RECORDS) as daemon:
        yield daemon


def refused(what: str, name: str, text: str) -> str:
    return f"554 5.7.1 Service unavailable; {what} [{name}] blocked using {ZONE}; {text}"


@pytest.mark.usefixtures("unbound")
def test_senders_are_refused_by_their_domain() -> None:
    with Postfix(main=MAIN) as postfix:
        for domain, text in EXPECTED.items():
            sender = f"someone@{domain}"
            outcome = send_mail(UNLISTED, f"from {sender}", sender=sender)
            if text is None:
                assert outcome.reply.startswith(ACCEPTED), outcome.dialogue
            else:
                assert outcome.reply == refused("Sender address", sender, text), outcome.dialogue
        # A bounce has no sender, and no domain to ask for.
        assert send_mail(UNLISTED, "from <>", sender="").reply.startswith(ACCEPTED)
        passed = [f"from someone@{domain}" for domain, text in EXPECTED.items() if text is None] + ["from <>"]
        until(lambda: len(postfix.delivered()) >= len(passed), "all mail is delivered")
        assert postfix.delivered() == sorted(passed)


@pytest.mark.usefixtures("unbound")
def test_clients_are_refused_by_the_name_they_say() -> None:
    with Postfix(main=MAIN):
        for name, text in EXPECTED.items():
            outcome = send_mail(UNLISTED, f"helo {name}", helo=name)
            if text is None:
                assert outcome.reply.startswith(ACCEPTED), outcome.dialogue
            else:
                assert outcome.reply == refused("Helo command", name, text), outcome.dialogue
        # An address instead of a name.
        assert send_mail(UNLISTED, "helo literal", helo=f"[{LISTED}]").reply.startswith(ACCEPTED)


@pytest.mark.usefixtures("unbound")
def test_clients_are_refused_by_the_name_of_their_address() -> None:
    with Postfix(main=MAIN):
        for address, name in NAMES.items():
            text = {
                RANGED: EXPECTED["bad.example"],
                LISTED: EXPECTED["worse.example"],
                LISTED6: EXPECTED["mail.below.example"],
                UNLISTED6: None,
            }[address]
            outcome = send_mail(address, f"from {address}")
            if text is None:
                assert outcome.reply.startswith(ACCEPTED), outcome.dialogue
            else:
                assert outcome.reply == refused("Unverified Client host", name, text), outcome.dialogue
        assert send_mail(UNLISTED, "no name").reply.startswith(ACCEPTED)


def test_postfix_follows_what_is_removed_and_added(zone_file: Path, server: ServerProcess, tmp_path: Path) -> None:
    short = TEXT.replace("\nttl: 2m\n", "\nttl: 2s\n")
    assert short != TEXT

    def write(text: str) -> None:
        beside = zone_file.with_suffix(".new")
        beside.write_text(text)
        os.replace(beside, zone_file)

    write(short)
    server.wait_for("reloaded, ")
    old, new = "a.worse.example", "mail.bad.example"
    with resolver(tmp_path / "unbound", zone=ZONE), Postfix(main=MAIN) as postfix:
        assert send_mail(UNLISTED, "old", f"x@{old}").reply.startswith("554 5.7.1 ")
        assert send_mail(UNLISTED, "new", f"x@{new}").reply.startswith(ACCEPTED)
        # A suffix goes, and a name becomes one.
        write(short.replace("      - .worse.example\n", "").replace("- bad.example\n", "- .bad.example\n"))
        server.wait_for("reloaded, ", 2)
        until(lambda: resolve(f"{old}.{ZONE}").rcode() == dns.rcode.NXDOMAIN, "the resolver has forgotten it")
        until(lambda: resolve(f"{new}.{ZONE}").answer, "the resolver has learned it")
        postfix.reload()
        until(lambda: send_mail(UNLISTED, "removed", f"x@{old}").reply.startswith(ACCEPTED), "the old one is accepted")
        text = EXPECTED["bad.example"]
        assert text is not None
        expected = refused("Sender address", f"x@{new}", text)
        until(lambda: send_mail(UNLISTED, "added", f"x@{new}").reply == expected, "the new one is refused")
