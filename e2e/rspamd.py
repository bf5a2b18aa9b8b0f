"""An rspamd of the tests' own with the rbl module, the resolver it asks, and mail that is given to it to scan.

Its rbl module has files of contrib/ in local.d, beside Debian's own files. It probes each list: for 127.0.0.1, or for a
label of its own making where the list is not asked for addresses. What it finds there switches the list off.
"""

import json
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from e2e.conftest import ZONE
from e2e.daemons import PATIENCE, Daemon, accepts

CONTRIB = Path(__file__).parents[1] / "contrib"
RESOLVER = "127.0.0.1"
RSPAMD = "http://127.0.0.1:11333"

# Nobody else's lists exist here: every other name is answered at once.
UNBOUND = """\
server:
    interface: {resolver}
    directory: "{directory}"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    log-replies: yes
    module-config: "iterator"
    local-zone: "." static
    local-zone: "{zone}." transparent
{records}
remote-control:
    control-enable: no
stub-zone:
    name: "{zone}"
    stub-addr: {server}
"""

# Debian's files, of all modules only these; with the lists that Debian has there.
MAIN = """\
options {
    .include "$CONFDIR/options.inc"
    .include(priority=1,duplicate=merge) "$LOCAL_CONFDIR/local.d/options.inc"
}
.include "$CONFDIR/actions.conf"
.include "$CONFDIR/groups.conf"
.include "$CONFDIR/modules.d/rbl.conf"
.include "$CONFDIR/modules.d/dkim.conf"
modules { path = "${PLUGINSDIR}/rbl.lua"; }
logging { type = "console"; level = "info"; color = false; debug_modules = ["monitored", "rbl"]; }
worker "normal" { bind_socket = "127.0.0.1:11333"; count = 1; }
worker "controller" { bind_socket = "127.0.0.1:11334"; count = 1; }
"""

# Probes come at a quarter of a second and, while the list is well, ever slower; in life at a minute. The list of top
# level domains is compiled at each start, Debian's for minutes. A slow machine is no broken list.
OPTIONS = """\
monitoring_watch_interval = 0.25s;
dns { nameserver = ["%s"]; timeout = 10s; retransmits = 3; }
task_timeout = 50s;
url_tld = "$DBDIR/tld";
filters = "%s";
"""

DATE = "Mon, 23 Nov 2026 10:00:00 +0000"

Symbols = dict[str, tuple[float, list[str]]]


def unbound(tmp_path: Path, server: str, zone: str = ZONE, records: Sequence[str] = ()) -> Daemon:
    """An Unbound on 127.0.0.1 that knows a zone of a server. records: what there is besides, as in a zone file."""
    directory = tmp_path / "unbound"
    directory.mkdir()
    config = directory / "unbound.conf"
    local = "\n".join(f"    local-data: '{record}'" for record in records)
    config.write_text(UNBOUND.format(resolver=RESOLVER, directory=directory, zone=zone, server=server, records=local))
    # A copy: what Debian's AppArmor profile lets the installed program read is no directory of a test.
    program = shutil.copy("/usr/sbin/unbound", directory / "unbound")
    return Daemon([program, "-d", "-c", config], directory / "log", lambda: accepts(RESOLVER, 53))


def rspamd(tmp_path: Path, suffix: str | None = "", rbls: str = "", filters: str = "") -> Daemon:
    """An rspamd that scans on port 11333 of 127.0.0.1.

    suffix: of the two files of contrib/ that it has in local.d; None: neither. rbls: more of rbl.conf, behind the file.
    filters: the modules in C that it has.
    """
    directory = tmp_path / "rspamd"
    local = directory / "local.d"
    local.mkdir(parents=True)
    for name in ("rbl", "rbl_group") if suffix is not None else ():
        shutil.copy(CONTRIB / f"rspamd-{name}{suffix}.conf", local / f"{name}.conf")
    with (local / "rbl.conf").open("a") as file:
        file.write(rbls)
    (local / "options.inc").write_text(OPTIONS % (RESOLVER, filters))
    (directory / "tld").write_text("com\nexample\nnet\norg\n")
    config = directory / "rspamd.conf"
    config.write_text(MAIN)
    # As root, which it calls insecure: nobody else can read the directories of a test.
    command: list[str | Path] = ["rspamd", "-f", "--insecure", "-c", config]
    for variable in ("LOCAL_CONFDIR", "DBDIR", "RUNDIR", "LOGDIR"):
        command += ["--var", f"{variable}={directory}"]
    return Daemon(command, directory / "log", _scans)


def _scans() -> bool:
    try:
        with urllib.request.urlopen(f"{RSPAMD}/ping", timeout=1) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def scan(address: str, lines: Sequence[str] = (), body: str = "Test.", **envelope: str) -> Symbols:
    """The symbols of a mail that comes from an address, each with its score and what it was given for.

    lines: of the header, in front of the others. envelope: what the client said, by the name of rspamd's header.
    """
    message = [
        *lines,
        f"Date: {DATE}",
        "Message-ID: <1@example.com>",
        "From: a@example.com",
        "To: b@example.net",
        "Subject: Test",
        "",
        body,
        "",
    ]
    headers: Mapping[str, str] = {
        "IP": address,
        "Helo": "a.example.com",
        "From": "a@example.com",
        "Rcpt": "b@example.net",
        **envelope,
    }
    request = urllib.request.Request(f"{RSPAMD}/checkv2", "\r\n".join(message).encode(), dict(headers))
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        found = json.load(response)["symbols"]
    return {name: (symbol["score"], symbol.get("options", [])) for name, symbol in found.items()}


def probes(daemon: Daemon, zone: str = ZONE) -> list[str]:
    """What rspamd's probes of a list came to, in its words."""
    return re.findall(rf"dns callback for {re.escape(zone)} in [\d.]+: (.*)", daemon.output())


def says(daemon: Daemon, *texts: str) -> Callable[[], bool]:
    """Whether a line of its log holds all these."""
    return lambda: any(all(text in line for text in texts) for line in daemon.output().splitlines())
