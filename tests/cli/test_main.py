"""The program as a whole: version, help, and usage that is refused."""

from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from dnsbl_server.cli.main import main
from dnsbl_server.config import DEFAULT_LISTEN, Settings
from tests.commands import make_place, run_process


@pytest.mark.server
def test_version(tmp_path: Path) -> None:
    done = run_process(tmp_path, "--version")
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
        (("lookup",), ["WHAT", "--json", "default: zones"]),
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


@pytest.mark.server
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "zones"),
        ("check", "bad"),
        ("lookup", "192.0.2.1", "zones"),
        ("lookup", "198.18.0.1", "zones"),
        ("lookup", "--json", "192.0.2.1", "zones"),
        ("serve", "--help"),
        ("--version",),
    ],
)
def test_output_that_cannot_be_written(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    make_place(tmp_path)
    with Path("/dev/full").open("w") as full:
        done = run_process(tmp_path, *arguments, stdout=full)
    *problems, last = done.stderr.splitlines()
    assert (done.status, last) == (2, "dnsbl-server: cannot write the output: No space left on device")
    assert bool(problems) == ("bad" in arguments)


@pytest.mark.server
@pytest.mark.parametrize("arguments", [("check", "bad"), ("lookup", "192.0.2.1", "bad"), ("serve", "bad"), ("nope",)])
def test_problems_that_cannot_be_written(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    make_place(tmp_path)
    with Path("/dev/full").open("w") as full:
        done = run_process(tmp_path, *arguments, stderr=full)
    assert (done.status, done.stdout) == (2, "")


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
