"""SpamAssassin, with contrib/spamassassin.cf as it is, scores mail by the codes of the zone.

It asks about the relay that gave the mail to ours, through an Unbound.
"""

from pathlib import Path

import pytest

from e2e.conftest import LISTED, LISTED6, RANGED, UNLISTED, UNLISTED6
from e2e.postfix import resolver
from e2e.spamassassin import SpamAssassin
from tests.serving import ServerProcess

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
def spamassassin(tmp_path: Path) -> SpamAssassin:
    return SpamAssassin(tmp_path, "spamassassin.cf")


def test_spamassassin_finds_nothing_wrong_with_the_rules(spamassassin: SpamAssassin) -> None:
    assert spamassassin.complaints() == (0, "")


@pytest.mark.parametrize(
    ("relay", "rules"),
    [
        (LISTED, {"RCVD_IN_EXAMPLE_TRAPS": "3"}),
        (LISTED6, {"RCVD_IN_EXAMPLE_TRAPS": "3"}),
        (RANGED, {"RCVD_IN_EXAMPLE_DYNAMIC": "1"}),
        (UNLISTED, {}),
        (UNLISTED6, {}),
    ],
)
def test_spamassassin_scores_the_relay_by_its_code(
    spamassassin: SpamAssassin, server: ServerProcess, tmp_path: Path, relay: str, rules: dict[str, str]
) -> None:
    # The relay before that, of which the answer would be the opposite, is not asked for: that line may be forged.
    before = LISTED if relay == UNLISTED else UNLISTED
    address = f"IPv6:{relay}" if ":" in relay else relay
    with resolver(tmp_path / "unbound"):
        found = spamassassin.scan(MESSAGE.format(relay=address, before=before))
    assert found == rules
    told, untold = ("listed", "not_listed") if rules else ("not_listed", "listed")
    assert server.metric("dnsbl_queries_total", qtype="A", outcome=told) >= 1
    assert server.metric("dnsbl_queries_total", qtype="A", outcome=untold) == 0
