"""SpamAssassin, with contrib/spamassassin-domains.cf as it is, scores mail by the names and mail addresses in it.

It asks about links (`urirhssub`), the envelope sender (`check_rbl_envfrom`) and hashes of mail addresses (HashBL),
through an Unbound.
"""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.conftest import OURS
from e2e.daemons import Daemon
from e2e.domains import ZONE, write_zone
from e2e.postfix import resolver
from e2e.resolvers import Wire
from e2e.spamassassin import SpamAssassin
from tests.serving import ServerProcess

RULES, PLUGINS = "spamassassin-domains.cf", ("HashBL", "URIDNSBL")
# The top level domain of these tests is none of those that it knows.
SETTINGS = "util_rb_tld example\n"
SPAM_LINK, PHISH_LINK = {"URIBL_EXAMPLE_SPAM": "3"}, {"URIBL_EXAMPLE_PHISH": "5"}
SENDER, ADDRESS = {"FROM_IN_EXAMPLE_SPAM": "2"}, {"HASHBL_EXAMPLE_SPAM": "3"}


def message(body: str = "Hello.", sender: str = "x@good.example", author: str = "x@good.example") -> str:
    return f"""\
Return-Path: <{sender}>
Received: from client.example.com (unknown [203.0.113.9])
\tby mail.example.net (Postfix) with ESMTP id 1
\tfor <postmaster@example.net>; Mon, 23 Nov 2026 11:00:00 +0000 (UTC)
From: {author}
To: postmaster@example.net
Subject: a mail
Date: Mon, 23 Nov 2026 10:58:00 +0000
Message-ID: <1@example.com>
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

{body}
"""


@pytest.fixture
def zone_file(tmp_path: Path) -> Path:
    return write_zone(tmp_path / "zones")


@pytest.fixture
def unbound(server: ServerProcess, tmp_path: Path) -> Iterator[Daemon]:
    with resolver(tmp_path / "unbound", zone=ZONE) as daemon:
        yield daemon


def test_spamassassin_finds_nothing_wrong_with_the_rules(tmp_path: Path) -> None:
    complaints = SpamAssassin(tmp_path, RULES, PLUGINS, SETTINGS).complaints()
    assert complaints == (0, ""), complaints[1]


@pytest.mark.usefixtures("unbound")
def test_links_are_scored_by_their_domain(tmp_path: Path) -> None:
    spamassassin = SpamAssassin(tmp_path, RULES, PLUGINS, SETTINGS)
    links = {
        "http://bad.example/x": SPAM_LINK,
        # It asks for the registrable domain, in lower case.
        "https://WWW.Bad.Example/": SPAM_LINK,
        "https://a.b.worse.example/ and https://below.example/": SPAM_LINK,
        "https://xn--bcher-kva.example/": SPAM_LINK,
        "https://mail.fed.example/": SPAM_LINK,
        "https://mapped.example/ and https://bad.example": SPAM_LINK | PHISH_LINK,
        "https://good.example/ https://a.below.example/ https://notbad.example/ https://192.0.2.7/": {},
    }
    assert {body: spamassassin.scan(message(body)) for body in links} == links


@pytest.mark.usefixtures("unbound")
def test_envelope_senders_are_scored_by_their_domain(tmp_path: Path) -> None:
    spamassassin = SpamAssassin(tmp_path, RULES, PLUGINS, SETTINGS)
    senders = {
        "Someone@Bad.Example": SENDER,
        # It asks for the whole domain.
        "x@a.b.worse.example": SENDER,
        "x@mail.below.example": SENDER,
        "x@mail.bad.example": {},
        "x@good.worse.example": {},
        "x@good.example": {},
    }
    assert {sender: spamassassin.scan(message(sender=sender)) for sender in senders} == senders


@pytest.mark.usefixtures("unbound")
def test_mail_addresses_are_found_by_their_hash(tmp_path: Path) -> None:
    spamassassin = SpamAssassin(tmp_path, RULES, PLUGINS, SETTINGS)
    bodies = {
        "write to someone@mail.example": ADDRESS,
        "write to SomeOne+tag@MAIL.example or else": ADDRESS,
        "write to reply.to@mail.example": ADDRESS,
        "write to someone@googlemail.com": ADDRESS,
        # Unlike rspamd it leaves the dots where they are.
        "write to some.one@gmail.com": {},
        "write to some.one@mail.example, someone@a.mail.example, x@good.example": {},
    }
    assert {body: spamassassin.scan(message(body)) for body in bodies} == bodies
    assert spamassassin.scan(message(author="Someone <someone@mail.example>")) == ADDRESS


@pytest.mark.usefixtures("unbound")
def test_each_hash_is_found_that_spamassassin_asks_for(tmp_path: Path) -> None:
    def digest(name: str) -> bytes:
        return hashlib.new(name, b"someone@mail.example").digest()

    rules = "".join(
        f"header {name}_FOUND eval:check_hashbl_emails('{ZONE}', '{name.lower()}', 'body', '^127\\.0\\.0\\.{code}$')\n"
        f"tflags {name}_FOUND net\n"
        for name, code in {"SHA1": 5, "MD5": 6, "SHA256": 7}.items()
    )
    spamassassin = SpamAssassin(tmp_path, RULES, PLUGINS, SETTINGS + rules)
    with Wire(OURS) as wire:
        found = spamassassin.scan(message("write to Someone@Mail.example"))
        asked = {each.name.removesuffix(f".{ZONE}.") for each in wire.exchanges() if each.answers}
    assert found == ADDRESS | {"SHA1_FOUND": "1", "MD5_FOUND": "1", "SHA256_FOUND": "1"}
    base32 = base64.b32encode(digest("sha256")).decode().rstrip("=").lower()
    assert asked == {digest("md5").hex(), digest("sha1").hex(), base32}
