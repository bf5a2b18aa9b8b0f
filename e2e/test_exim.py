"""Exim refuses mail from listed addresses and by the names in it, tells why, and takes the rest.

With contrib/exim-acl.conf and contrib/exim-acl-domains.conf as they are, through an Unbound.
"""

from pathlib import Path

import pytest

from e2e import domains
from e2e.conftest import LISTED, LISTED6, RANGED, UNLISTED, UNLISTED6, ZONE
from e2e.exim import Exim
from e2e.postfix import Outcome, resolver, send_mail

REASON = "{ip} hit our spam traps: unsolicited mail. Listed until further notice. https://bl.example.org/?ip={ip}"
ACCEPTED = "250 OK id="
SPAM = "{what} listed by dbl.example.org: {name} is named in unsolicited mail. https://dbl.example.org/?q={name}"
# What is asked for, and the listed name that matches.
REFUSED = {
    "bad.example": "bad.example",
    "BAD.Example": "bad.example",
    "worse.example": "worse.example",
    "a.b.worse.example": "worse.example",
    "mail.below.example": "below.example",
    "xn--bcher-kva.example": "xn--bcher-kva.example",
}
PASSED = ("mail.bad.example", "below.example", "good.worse.example", "a.good.worse.example", "example.com", "invalid")


def reply(outcome: Outcome) -> str:
    """The reply on one line: Exim breaks long ones."""
    return " ".join(outcome.reply.split())


@pytest.mark.usefixtures("server")
def test_mail_from_listed_addresses_is_refused(tmp_path: Path) -> None:
    with resolver(tmp_path / "unbound"), Exim("exim-acl.conf") as exim:
        for address in (LISTED, LISTED6):
            outcome = send_mail(address, "listed")
            assert reply(outcome) == f"550 listed by {ZONE}: {REASON.format(ip=address)}", outcome.dialogue
        for address in (UNLISTED, UNLISTED6, RANGED):
            outcome = send_mail(address, f"mail from {address}")
            assert outcome.reply.startswith(ACCEPTED), outcome.dialogue
        warning = f"X-DNSBL-Warning: {ZONE}: {RANGED} is in a dynamic pool"
        exim.wait_for_queued(f"Subject: mail from {RANGED}\n", warning)
        for address in (UNLISTED, UNLISTED6):
            exim.wait_for_queued(f"Subject: mail from {address}\n")
        assert sum("X-DNSBL-Warning" in mail for mail in exim.queued()) == 1


@pytest.mark.usefixtures("server")
class TestDomains:
    @pytest.fixture
    def zone_file(self, tmp_path: Path) -> Path:
        return domains.write_zone(tmp_path / "zones")

    def test_senders_are_refused_by_their_domain(self, tmp_path: Path) -> None:
        with resolver(tmp_path / "unbound", zone=domains.ZONE), Exim("exim-acl-domains.conf") as exim:
            for name, listed in REFUSED.items():
                outcome = send_mail(UNLISTED, "refused", sender=f"someone@{name}")
                text = SPAM.format(what="sender's domain", name=listed)
                assert reply(outcome) == f"550 {text}", outcome.dialogue
            for name in PASSED:
                outcome = send_mail(UNLISTED, "passed", sender=f"someone@{name}")
                assert outcome.reply.startswith(ACCEPTED), outcome.dialogue
            assert send_mail(UNLISTED, "a bounce", sender="").reply.startswith(ACCEPTED)
            assert send_mail(UNLISTED, "mapped", sender="x@mapped.example").reply.startswith(ACCEPTED)
            warning = "X-DNSBL-Warning: dbl.example.org: mapped.example is named in phishing. "
            exim.wait_for_queued("Subject: mapped\n", warning)
            assert sum("X-DNSBL-Warning" in mail for mail in exim.queued()) == 1

    def test_clients_are_refused_by_the_name_they_say(self, tmp_path: Path) -> None:
        with resolver(tmp_path / "unbound", zone=domains.ZONE), Exim("exim-acl-domains.conf"):
            for name, listed in REFUSED.items():
                outcome = send_mail(UNLISTED, "refused", helo=name)
                text = SPAM.format(what="name in HELO", name=listed)
                assert reply(outcome) == f"550 {text}", outcome.dialogue
            for name in (*PASSED, f"[{LISTED}]"):
                outcome = send_mail(UNLISTED, "passed", helo=name)
                assert outcome.reply.startswith(ACCEPTED), outcome.dialogue
