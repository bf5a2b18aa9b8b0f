"""rspamd gives mail from listed addresses its symbols, and never switches the list off.

Its rbl module has contrib/rspamd-rbl.conf and contrib/rspamd-rbl_group.conf in local.d, beside Debian's own files, and
asks through an Unbound. It probes each list for 127.0.0.1, which must not be listed, and switches a list off that has
it. So it does where rbldnsd serves a file with 127.0.0.0/8, as published ones have it; not where this server does.
"""

import re
from contextlib import ExitStack
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import pytest

from e2e.conftest import LISTED, LISTED6, OURS, RANGED, THEIRS, UNLISTED, UNLISTED6, ZONE
from e2e.daemons import Daemon, until
from e2e.rspamd import DATE, RESOLVER, probes, rspamd, says, scan, unbound
from tests.serving import ServerProcess

# The special-use space that firehol_level1 holds, and two addresses.
FEED = f"0.0.0.0/8\n10.0.0.0/8\n127.0.0.0/8\n192.168.0.0/16\n{LISTED}\n{RANGED}\n"
FEED_ZONE = "zone: bl.example.org\nnegative_ttl: 2s\nfiles: [feed.txt]\n"


def through(address: str) -> list[str]:
    """A Received header that a mail brings along."""
    return [f"Received: from a.example.com (a.example.com [{address}]) by b.example.net; {DATE}"]


def probe_replies(resolver: Daemon) -> list[str]:
    """What the resolver replied to the probes."""
    return re.findall(rf" 1\.0\.0\.127\.{re.escape(ZONE)}\. A IN (\S+) ", resolver.output())


@pytest.fixture
def zone_file(zone_file: Path) -> Path:
    """With one more list, whose code contrib/rspamd-rbl.conf does not know."""
    more = "  - {name: other, code: 127.0.0.99, entries: [192.0.2.99]}\n"
    zone_file.write_text(zone_file.read_text() + more)
    return zone_file


def test_mail_from_listed_addresses_gets_symbols(server: ServerProcess, tmp_path: Path) -> None:
    assert server.host == OURS
    with unbound(tmp_path, OURS), rspamd(tmp_path):
        found = {
            what: scan(address, lines)
            for what, (address, lines) in {
                "IPv4": (LISTED, []),
                "a range": (RANGED, []),
                "IPv6": (LISTED6, []),
                "a code without a symbol": ("192.0.2.99", []),
                "received": (UNLISTED, through(LISTED)),
                "received over IPv6": (UNLISTED6, through(f"IPv6:{LISTED6}")),
                "received, a range": (UNLISTED, through(RANGED)),
                "both": (RANGED, through(LISTED)),
                "not IPv4": (UNLISTED, []),
                "not IPv6": (UNLISTED6, through(UNLISTED)),
            }.items()
        }
    assert found == {
        "IPv4": {"RBL_EXAMPLE_TRAPS": (4.0, [f"{LISTED}:from"])},
        "a range": {"RBL_EXAMPLE_DYNAMIC": (2.0, [f"{RANGED}:from"])},
        "IPv6": {"RBL_EXAMPLE_TRAPS": (4.0, [f"{LISTED6}:from"])},
        "a code without a symbol": {"RBL_EXAMPLE": (0.0, ["192.0.2.99:from:127.0.0.99"])},
        "received": {"RECEIVED_EXAMPLE_TRAPS": (1.0, [f"{LISTED}:received"])},
        "received over IPv6": {"RECEIVED_EXAMPLE_TRAPS": (1.0, [f"{LISTED6}:received"])},
        "received, a range": {"RECEIVED_EXAMPLE_DYNAMIC": (0.0, [f"{RANGED}:received"])},
        "both": {
            "RBL_EXAMPLE_DYNAMIC": (2.0, [f"{RANGED}:from"]),
            "RECEIVED_EXAMPLE_TRAPS": (1.0, [f"{LISTED}:received"]),
        },
        "not IPv4": {},
        "not IPv6": {},
    }


@pytest.mark.parametrize("is_careless", [False, True], ids=["zone", "careless list file"])
def test_the_probe_stays_green(zone_file: Path, tmp_path: Path, is_careless: bool) -> None:
    if is_careless:
        zone_file.write_text(FEED_ZONE)
        (zone_file.parent / "feed.txt").write_text(FEED)
    with (
        ServerProcess(str(zone_file.parent), listen=(f"{OURS}:53",)) as server,
        unbound(tmp_path, OURS) as resolver,
        rspamd(tmp_path) as daemon,
    ):
        assert any("no file can list 127.0.0.0/8" in line for line in server.log) == is_careless
        asked = {"zone": ZONE, "transport": "udp", "qtype": "A", "outcome": "not_listed"}

        # Three bad ones in a row would switch the list off.
        until(lambda: len(probes(daemon)) >= 5, "rspamd has probed the list five times")
        until(lambda: server.metric("dnsbl_queries_total", **asked) >= 2, "two of them came to the server")

        assert set(probes(daemon)) == {"no records with this name"}
        assert set(probe_replies(resolver)) == {"NXDOMAIN"}
        assert not says(daemon, ZONE, "retries left")()
        assert not says(daemon, ZONE, "disable object")()
        assert bool(server.ask(f"3.2.1.10.{ZONE}").answer) == is_careless
        assert scan(LISTED) == {"RBL_EXAMPLE_TRAPS": (4.0, [f"{LISTED}:from"])}


def rbldnsd(tmp_path: Path, directory: Path) -> Daemon:
    """rbldnsd with the list file in a directory, which it takes for its root: it runs as a user of its own."""
    command: list[str | Path] = ["rbldnsd", "-n", "-t", "2", "-r", directory, "-b", f"{THEIRS}/53"]
    return Daemon([*command, f"{ZONE}:ip4trie:feed.txt"], tmp_path / "rbldnsd.log", lambda: is_listed_by(THEIRS))


def is_listed_by(where: str) -> bool:
    query = dns.message.make_query(f"7.2.0.192.{ZONE}", "A")
    try:
        answer = dns.query.udp(query, where, 1)
    except (OSError, dns.exception.Timeout):
        return False
    return bool(answer.answer)


def test_rspamd_switches_rbldnsd_off_for_the_same_file_and_us_on_again(zone_file: Path, tmp_path: Path) -> None:
    directory = zone_file.parent
    zone_file.write_text(FEED_ZONE)
    (directory / "feed.txt").write_text(FEED)
    with unbound(tmp_path, THEIRS) as resolver, ExitStack() as stack:
        with rbldnsd(tmp_path, directory):
            daemon = stack.enter_context(rspamd(tmp_path))
            until(says(daemon, f"invalid return on resolving {ZONE}, disable object"), "rspamd has given the list up")
            # The process that probes tells the one that scans.
            tag = re.findall(rf"<(\w+)>; monitored; .* {re.escape(ZONE)}, disable object", daemon.output())[0]
            until(says(daemon, "(normal)", f"status for {tag}", ": dead"), "its scanner knows")
            assert set(probe_replies(resolver)) == {"NOERROR"}
            until(lambda: is_listed_by(RESOLVER), "the resolver would have told")
            assert scan(LISTED) == {}
        with ServerProcess(str(directory), listen=(f"{THEIRS}:53",)) as server:
            until(says(daemon, f"restoring {ZONE} after"), "rspamd trusts the list again")
            until(says(daemon, "(normal)", f"status for {tag}", ": alive"), "its scanner knows")
            # An address that the resolver has no answer for from before.
            assert scan(RANGED) == {"RBL_EXAMPLE_TRAPS": (4.0, [f"{RANGED}:from"])}
            until(lambda: server.metric("dnsbl_hits_total", zone=ZONE) >= 1, "the answer was the server's")
