"""SpamAssassin, with contrib/spamassassin.cf as it is, scores mail by the codes of the zone.

It asks about the relay that gave the mail to ours, through an Unbound. contrib/exim-acl.conf has no test here: Debian
cannot have Exim beside Postfix.
"""

import subprocess
from pathlib import Path

import pytest

from e2e.conftest import LISTED, LISTED6, MAIL, RANGED, UNLISTED, UNLISTED6
from e2e.daemons import PATIENCE
from e2e.postfix import CONTRIB, resolver
from tests.serving import ServerProcess

RULES = Path("/usr/share/spamassassin")
# Nothing of what Debian configures, so that no other rule has a part in it.
PLUGINS = """\
loadplugin Mail::SpamAssassin::Plugin::Check
loadplugin Mail::SpamAssassin::Plugin::DNSEval
"""
LOCAL = f"""\
dns_available yes
trusted_networks {MAIL}
internal_networks {MAIL}
use_bayes 0
rbl_timeout {PATIENCE:g}
clear_report_template
report _TESTSSCORES(,)_
"""
MESSAGE = """\
Received: from client.example.com (unknown [{relay}])
\tby mail.example.net (Postfix) with ESMTP id 1
\tfor <postmaster@example.net>; Mon, 23 Nov 2026 11:00:00 +0000 (UTC)
Received: from inner.example.com (unknown [{before}])
\tby client.example.com (Postfix) with ESMTP id 2
\tfor <postmaster@example.net>; Mon, 23 Nov 2026 10:59:00 +0000 (UTC)
From: someone@example.com
To: postmaster@example.net
Subject: a mail
Date: Mon, 23 Nov 2026 10:58:00 +0000
Message-ID: <1@example.com>

Hello.
"""


@pytest.fixture
def spamassassin(tmp_path: Path) -> list[str | Path]:
    """The beginning of a command."""
    rules, site = tmp_path / "rules", tmp_path / "site"
    rules.mkdir()
    site.mkdir()
    # It wants to know the top level domains, and that there are rules.
    (rules / "20_aux_tlds.cf").symlink_to(RULES / "20_aux_tlds.cf")
    (site / "init.pre").write_text(PLUGINS)
    (site / "local.cf").write_text(LOCAL)
    (site / "dnsbl_example.cf").write_text((CONTRIB / "spamassassin.cf").read_text())
    return ["spamassassin", "-x", f"--configpath={rules}", f"--siteconfigpath={site}"]


def test_spamassassin_finds_nothing_wrong_with_the_rules(spamassassin: list[str | Path]) -> None:
    done = subprocess.run([*spamassassin, "--lint"], capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("relay", "rules"),
    [
        (LISTED, "RCVD_IN_EXAMPLE_TRAPS=3"),
        (LISTED6, "RCVD_IN_EXAMPLE_TRAPS=3"),
        (RANGED, "RCVD_IN_EXAMPLE_DYNAMIC=1"),
        (UNLISTED, ""),
        (UNLISTED6, ""),
    ],
)
def test_spamassassin_scores_the_relay_by_its_code(
    spamassassin: list[str | Path], server: ServerProcess, tmp_path: Path, relay: str, rules: str
) -> None:
    # The relay before that, of which the answer would be the opposite, is not asked for: that line may be forged.
    before = LISTED if relay == UNLISTED else UNLISTED
    address = f"IPv6:{relay}" if ":" in relay else relay
    with resolver(tmp_path / "unbound"):
        done = subprocess.run(
            [*spamassassin, "-t"],
            input=MESSAGE.format(relay=address, before=before),
            capture_output=True,
            text=True,
            check=True,
            timeout=2 * PATIENCE,
        )
    print(done.stdout, done.stderr)
    found = [test for line in done.stdout.splitlines() for test in line.split(",") if test.startswith("RCVD_IN")]
    assert found == rules.split()
    told, untold = ("listed", "not_listed") if rules else ("not_listed", "listed")
    assert server.metric("dnsbl_queries_total", qtype="A", outcome=told) >= 1
    assert server.metric("dnsbl_queries_total", qtype="A", outcome=untold) == 0
