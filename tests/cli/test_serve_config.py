"""A configuration file as `serve` takes it: each mistake a message with its place, and status 2."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from dnsbl_server.cli.main import main
from tests.commands import ANY, run_process


@pytest.fixture(autouse=True)
def _no_zones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are no zones here, so that no server comes up where a bad file is taken for a good one."""
    monkeypatch.chdir(tmp_path)


def serve(text: str) -> list[str]:
    """Try to serve with a bad configuration file: the lines that are shown."""
    Path("bad.conf").write_text(text)
    done = CliRunner().invoke(main, ["serve", "--config", "bad.conf"])
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == 2
    assert "dnsbl-server: " not in done.output, "the file was taken, and something later failed"
    return done.output.splitlines()


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("nope: 1", "1:1: nope: ", "unknown key"),
        ("log_level: info\nmetrics: off\n'': 1", "3:1: ", "unknown key"),
        ("log_level: info\nlog_level: info", "2:1: log_level: ", "duplicate key"),
        ("- a", "1:1: ", "mapping"),
        ("a", "1:1: ", "mapping"),
        ("log_level: [", "2:1: ", "not valid YAML"),
        ("\n\nlog_level: loud", "3:12: loud: ", "'info'"),
        ("log_level:", "1:11: ", ""),
        ("log_level: [info]", "1:12: ", ""),
        ("log_format: xml", "1:13: xml: ", "'json'"),
        ("tcp_connections: abc", "1:18: abc: ", "integer"),
        ("tcp_connections: 1.5", "1:18: 1.5: ", "integer"),
        ("tcp_connections: 0", "1:18: 0: ", "1"),
        ("tcp_connections: 50001", "1:18: 50001: ", "50000"),
        ("tcp_connections:", "1:17: ", ""),
        ("tcp_idle_timeout: 2x", "1:19: 2x: ", "not a duration"),
        ("tcp_idle_timeout: 0", "1:19: 0: ", "1"),
        ("tcp_idle_timeout: 2h", "1:19: 2h: ", "3600"),
        ("tcp_idle_timeout: [1]", "1:19: ", ""),
        ("receive_buffer: 1", "1:17: 1: ", "4096"),
        ("listen: 127.0.0.1", "1:9: 127.0.0.1: ", "ADDRESS:PORT"),
        ('listen:\n  - 127.0.0.1:53\n  - "::1:53"', "3:5: ::1:53: ", "brackets"),
        ("listen: []", "1:9: ", ""),
        ("listen:", "1:8: ", ""),
        ("listen: {a: b}", "1:9: ", ""),
        ("metrics: none", "1:10: none: ", "ADDRESS:PORT"),
        ("metrics:", "1:9: ", ""),
        ("zones: [a, [b]]", "1:12: ", ""),
        ("zones: []", "1:8: ", ""),
        ("zones:", "1:7: ", ""),
        ("version_text:", "1:14: ", ""),
        ("server_id:", "1:11: ", ""),
        # Taken as a path, it would end the loader.
        ('zones: ["a\\0b"]', "1:9: a", ""),
        ("version_text: \u00e9", "1:15: \u00e9: ", "ASCII"),
        ("server_id: " + "x" * 256, "1:12: ", "255"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(text: str, place: str, said: str) -> None:
    (line,) = serve(text)
    assert line.startswith(f"bad.conf:{place}")
    assert said in line


@pytest.mark.parametrize(
    "text",
    [
        "listen: [[a]]",
        'listen: [["127.0.0.1", "99999"]]',
        'listen: [["nonsense", "5"]]',
        "listen: [{address: 127.0.0.1, port: 53}]",
        "listen: [{a: b}]",
        "metrics: [a]",
        'metrics: ["127.0.0.1", "99999"]',
        "metrics: {a: b}",
    ],
)
def test_endpoint_in_pieces(text: str) -> None:
    lines = serve(text)
    assert lines
    for line in lines:
        assert line.startswith("bad.conf:1:")
        # The key is a good one; its value is not.
        assert "unknown key" not in line


def test_all_mistakes_at_once() -> None:
    lines = serve("log_level: loud\nnope: 1\ntcp_connections: 0\nlisten: [a, b]\n")
    places = ["1:12", "2:1", "3:18", "4:10", "4:13"]
    assert sorted(line.removeprefix("bad.conf:").partition(": ")[0] for line in lines) == places


@pytest.mark.parametrize("path", ["missing.conf", ".", "/dev/zero"])
def test_a_file_that_cannot_be_read_is_named(path: str) -> None:
    done = CliRunner().invoke(main, ["serve", "--config", path])
    assert done.exit_code == 2
    (line,) = done.output.splitlines()
    assert line.startswith(f"{path}: ")


@pytest.mark.server
def test_file_of_comments_is_a_good_one(tmp_path: Path) -> None:
    (tmp_path / "good.conf").write_text("# log_level: debug\n")
    # That the zones are not there shows that the settings were taken.
    done = run_process(tmp_path, "serve", "--config", "good.conf", *ANY)
    assert done.status == 2
    assert "dnsbl-server: the zones have errors" in done.stderr
