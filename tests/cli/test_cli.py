"""check, lookup and the options: exit statuses, what goes to which stream, the help, colours on a terminal alone."""

import json
import os
import pty
import select
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from dnsbl_server.cli.main import main
from dnsbl_server.config import DEFAULT_LISTEN, Settings
from tests.commands import ANY, BAD_LINES, COMMAND, ESCAPE, PLAIN, make_place, run, run_process
from tests.serving import PATIENCE


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_place(tmp_path_factory.mktemp("place"))


def test_check_good(place: Path) -> None:
    done = run(place, "check")
    assert (done.status, done.stderr) == (0, "")
    no_ns = "  no name servers (ns), which only a zone that is delegated to this server needs"
    assert done.stdout.splitlines() == [
        "bl.test (zones/bl.yaml)",
        no_ns,
        "  list traps: 4 entries",
        "  list six: 1 entry",
        "  of these expired and left out: 1",
        "  IPv4 addresses covered: 510",
        f"  IPv6 addresses covered: {2**96:.3g}",
        "other.test (zones/other.yml)",
        no_ns,
        "  list other.test: 1 entry",
        "  IPv4 addresses covered: 16,777,216",
        "2 good zones, 0 errors, 0 warnings",
    ]


def test_check_bad_shows_all_problems(place: Path) -> None:
    done = run(place, "check", "bad", "missing", "empty", "zones/bl.yaml")
    lines = [line for line in done.stderr.splitlines() if ": warning: " not in line]
    assert done.status == 1
    expected = [*(f"bad/{line}" for line in BAD_LINES), "missing: ", "empty: "]
    assert len(lines) == len(expected)
    assert all(any(line.startswith(start) for line in lines) for start in expected)
    assert done.stdout.splitlines()[-1].startswith("2 good zones, 6 errors, ")


@pytest.mark.parametrize(("arguments", "status"), [(("warned",), 0), (("warned", "--strict"), 1), (("zones",), 0)])
def test_check_warnings(place: Path, arguments: tuple[str, ...], status: int) -> None:
    done = run(place, "check", *arguments)
    warnings = 1 if "warned" in arguments else 0
    assert done.status == status
    assert done.stderr.count("warned/w.yaml:2:23: warning: 127.0.0.0/24: ") == warnings
    assert done.stdout.splitlines()[-1].endswith(f"0 errors, {warnings} warning{'' if warnings else 's'}")


def test_lookup_json(place: Path) -> None:
    done = run(place, "lookup", "--json", "192.0.2.70", "zones/bl.yaml")
    wide = {
        "net": "192.0.2.0/24",
        "place": "zones/bl.yaml:9:9",
        "file": "zones/bl.yaml",
        "line": 9,
        "reason": "spam",
        "codes": ["127.0.0.2", "127.0.0.9"],
        "listed": None,
        "expires": None,
        "expired": False,
    }
    narrow = {
        "net": "192.0.2.64/26",
        "place": "zones/bl.yaml:10:14",
        "line": 10,
        "reason": "ticket 1",
        "listed": "2020-01-01T00:00:00+00:00",
        "expires": "2199-01-01T12:00:00+00:00",
    }
    assert (done.status, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [
        {
            "zone": "bl.test",
            "address": "192.0.2.70",
            "listed": True,
            "test_entry": False,
            "query": "70.2.0.192.bl.test",
            "a": ["127.0.0.2", "127.0.0.9"],
            "txt": ["192.0.2.70: ticket 1"],
            "ttl": 3600,
            "excluded_by": None,
            "lists": [
                {"list": "traps", "listed": True, "entry": {**wide, **narrow}, "excluded_by": None, "others": [wide]}
            ],
        }
    ]


def test_lookup_json_not_listed(place: Path) -> None:
    done = run(place, "lookup", "--json", "203.0.113.25")
    first, second = json.loads(done.stdout)
    assert done.status == 1
    assert first["excluded_by"] == {
        "net": "203.0.113.25",
        "place": "zones/bl.yaml:2:10",
        "file": "zones/bl.yaml",
        "line": 2,
    }
    assert (first["listed"], first["a"], first["txt"], first["ttl"]) == (False, [], [], None)
    assert [each["net"] for each in first["lists"][0]["others"]] == ["203.0.113.0/24"]
    assert (second["zone"], second["listed"], second["lists"]) == ("other.test", False, [])


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        (
            "192.0.2.70",
            0,
            "is listed in bl.test|list traps|192.0.2.64/26|zones/bl.yaml:10:14|ticket 1|2020-01-01|2199-01-01"
            "|70.2.0.192.bl.test|127.0.0.2, 127.0.0.9|3600 s|192.0.2.70: ticket 1|less specific: 192.0.2.0/24",
        ),
        ("2001:DB8::7", 0, "2001:db8::7 is listed in bl.test|list six|zones/bl.yaml:18:|2001:db8::7 six"),
        ("::ffff:10.1.1.1", 0, "10.1.1.1 is not listed in bl.test|10.1.1.1 is listed in other.test|list other.test"),
        ("127.0.0.2", 0, "is listed in bl.test, as a test entry|is listed in other.test, as a test entry"),
        ("127.0.0.1", 1, "127.0.0.1 is not listed in bl.test|is not listed in other.test"),
        (
            "192.0.2.25",
            1,
            "is not listed in bl.test|excluded by 192.0.2.25, zones/bl.yaml:17:14|would list it: 192.0.2.0",
        ),
        ("198.51.100.7", 1, "is not listed in bl.test|expired: 198.51.100.7, zones/bl.yaml:15:15, until 2020-01-31"),
    ],
)
def test_lookup(place: Path, address: str, status: int, said: str) -> None:
    done = run(place, "lookup", address)
    assert (done.status, done.stderr) == (status, "")
    for part in said.split("|"):
        assert part in done.stdout


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_lookup_in_bad_zones(place: Path, flags: tuple[str, ...]) -> None:
    done = run(place, "lookup", "10.0.0.1", "bad", *flags)
    assert (done.status, done.stdout) == (2, "")
    assert all(f"bad/{line}" in done.stderr for line in BAD_LINES)


def test_lookup_of_no_address(place: Path) -> None:
    done = run(place, "lookup", "192.0.2.256")
    assert (done.status, done.stdout) == (2, "")
    assert "192.0.2.256: an octet must be 0 to 255" in done.stderr


def test_lookup_of_a_network_says_that_it_takes_addresses() -> None:
    done = CliRunner().invoke(main, ["lookup", "192.0.2.0/24"])
    assert done.exit_code == 2
    # The same words as for an entry would say that this is no CIDR.
    assert "192.0.2.0/24: not an address, CIDR or range" not in done.output


@pytest.mark.server
def test_version(place: Path) -> None:
    done = run_process(place, "--version")
    assert (done.status, done.stdout, done.stderr) == (0, f"dnsbl-server {version('dnsbl-server')}\n", "")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ((), ["serve", "check", "lookup", "--version"]),
        (
            ("serve",),
            ["--listen", "--metrics", "--config", "--log-format", "[text|json]", "--log-level", "zones", "SIGHUP"],
        ),
        (("check",), ["--strict", "default: zones", "1"]),
        (("lookup",), ["ADDRESS", "--json", "default: zones"]),
    ],
)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help(command: tuple[str, ...], said: list[str], flag: str) -> None:
    done = CliRunner().invoke(main, [*command, flag])
    assert done.exit_code == 0
    text = " ".join(done.output.split())
    assert [each for each in said if each not in text] == []
    assert max(map(len, done.output.splitlines())) <= 80


def test_help_tells_the_real_defaults() -> None:
    text = " ".join(CliRunner().invoke(main, ["serve", "--help"]).output.split())
    assert f"[default: {DEFAULT_LISTEN[0]} and {DEFAULT_LISTEN[1]}]" in text
    assert f"[default: {Settings().metrics}]" in text
    assert f"[default: {Settings().log_format}]" in text
    assert f"[default: {Settings().log_level}]" in text


@pytest.mark.parametrize(
    "arguments", [("nope",), ("serve", "--nope"), ("lookup",), ("check", "--json"), ("serve", "--log-format", "xml")]
)
def test_bad_usage(arguments: tuple[str, ...]) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert "Usage: " in done.output


@pytest.mark.parametrize("flag", ["--listen", "--metrics"])
@pytest.mark.parametrize(
    "value",
    [
        "",
        "127.0.0.1",
        "127.0.0.1:",
        ":53",
        "53",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:+5",
        "127.0.0.1: 5",
        "127.0.0.1:\u0665",
        "::1:53",
        "::1",
        "[::1]",
        "[::1]53",
        "[127.0.0.1]:53",
        "localhost:53",
        "127.1:53",
        "127.0.0.256:53",
    ],
)
def test_bad_endpoint(flag: str, value: str) -> None:
    done = CliRunner().invoke(main, ["serve", flag, value, "missing"])
    assert done.exit_code == 2
    assert f"Invalid value for '{flag}': {value}: " in done.output
    assert "127.0.0.1:5300" not in done.output


def terminal(place: Path, *arguments: str, stdout: bool) -> tuple[int, str, str]:
    """Run a command on a terminal: the exit status, what stands there, and the standard output where it is a pipe."""
    ours, theirs = pty.openpty()
    shown = b""
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=theirs if stdout else subprocess.PIPE,
        stderr=theirs,
        cwd=place,
        env={**PLAIN, "TERM": "xterm-256color"},
    ) as process:
        os.close(theirs)
        while select.select([ours], [], [], PATIENCE)[0]:
            try:
                part = os.read(ours, 65536)
            except OSError:
                break  # EIO: nobody has it open any more
            shown += part
        os.close(ours)
        piped = process.stdout.read() if process.stdout else b""
        return process.wait(PATIENCE), shown.decode(), piped.decode()


@pytest.mark.parametrize(
    ("arguments", "status", "colour"),
    [
        (("check", "zones"), 0, "32"),
        (("check", "warned"), 0, "33"),
        (("check", "bad"), 1, "31"),
        (("lookup", "192.0.2.7"), 0, "1;31"),
        (("lookup", "192.0.2.25"), 1, "32"),
        (("serve", *ANY, "bad"), 2, "31"),
    ],
)
@pytest.mark.server
def test_colours_on_a_terminal(place: Path, arguments: tuple[str, ...], status: int, colour: str) -> None:
    returned, shown, _ = terminal(place, *arguments, stdout=True)
    assert returned == status
    assert f"{ESCAPE}[{colour}m" in shown
    assert shown.count(ESCAPE) % 2 == 0


@pytest.mark.server
def test_colours_on_the_stream_that_is_a_terminal(place: Path) -> None:
    returned, shown, piped = terminal(place, "check", "bad", stdout=False)
    assert returned == 1
    assert f"{ESCAPE}[31m" in shown
    assert ESCAPE not in piped
    assert "1 good zone" in piped


@pytest.mark.server
def test_json_has_no_colours_on_a_terminal(place: Path) -> None:
    _, shown, _ = terminal(place, "lookup", "--json", "192.0.2.7", stdout=True)
    assert ESCAPE not in shown
    assert json.loads(shown)[0]["listed"] is True
