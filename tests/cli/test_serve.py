"""serve: what keeps it from starting, what ends it, and what it writes to its log."""

import json
import os
import re
import signal
import socket
import subprocess
from contextlib import ExitStack, closing, suppress
from datetime import datetime
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import pytest

from tests.answers import ZONE, reverse
from tests.commands import ANY, BAD_LINES, COMMAND, Done, make_place, run_process
from tests.reloading import rename_over, wait_until
from tests.serving import PATIENCE, ServerProcess, StalledLoader, needs_ipv6

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_place(tmp_path_factory.mktemp("place"))


def serve(place: Path, *arguments: str) -> Done:
    """A server that is not to come up."""
    done = run_process(place, "serve", *arguments)
    assert (done.status, done.stdout) == (2, "")
    return done


def test_serve_bad_zones(place: Path) -> None:
    lines = serve(place, *ANY, "bad").stderr.splitlines()
    for start in BAD_LINES:
        assert sum(line.startswith(f"bad/{start}") for line in lines) == 1
    assert lines[-1] == "dnsbl-server: the zones have errors; nothing is served"


@pytest.mark.parametrize("path", ["missing", "empty"])
def test_serve_no_zones(place: Path, path: str) -> None:
    assert f"\n{path}: " in serve(place, *ANY, path).stderr


@pytest.mark.parametrize("kind", ["udp", "tcp", "metrics"])
def test_serve_on_a_port_that_is_taken(place: Path, kind: str) -> None:
    with closing(socket.socket(type=socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)) as other:
        other.bind(("127.0.0.1", 0))
        if kind != "udp":
            other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        flags = ("--metrics", taken) if kind == "metrics" else ("--listen", taken)
        said = serve(place, *ANY[2 if kind != "metrics" else 0 :][:2], *flags).stderr
    purpose = "metrics" if kind == "metrics" else "DNS"
    assert said.startswith(f"dnsbl-server: cannot listen on {taken} for {purpose}: another program has this port")


@pytest.mark.parametrize("flag", ["--listen", "--metrics"])
def test_serve_on_an_address_that_is_not_there(place: Path, flag: str) -> None:
    said = serve(place, *ANY, flag, "203.0.113.99:0").stderr
    assert "cannot listen on 203.0.113.99:0" in said
    assert "this machine does not have that address" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_a_server(place: Path, number: signal.Signals) -> None:
    with ServerProcess("zones", cwd=place) as server, socket.create_connection((server.host, server.port), PATIENCE):
        assert server.ask(reverse("192.0.2.7")).answer
        # Neither clients of DNS nor of the metrics are waited for.
        address, _, port = server.metrics_url.removeprefix("http://").partition(":")
        with socket.create_connection((address, int(port)), PATIENCE) as scraper:
            scraper.sendall(b"GET /met")
            server.signal(number)
            assert server.wait() == 0
        assert server.log[-1].endswith("stopping")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_a_server_that_is_loading(place: Path, tmp_path: Path, number: signal.Signals) -> None:
    stall = StalledLoader(tmp_path)
    server = ServerProcess("zones", cwd=place, env=stall.env)
    with ExitStack() as stack:
        stack.push(server)
        stall.wait()
        server.signal(number)
        assert server.wait() == 0
    assert "loading zones" in server.log[-1]
    assert not any(Path(f"/proc/{pid}").exists() for pid in stall.pids())


@needs_ipv6
def test_every_listen_flag_is_served(place: Path) -> None:
    with ServerProcess("zones", cwd=place, listen=("127.0.0.1:0", "127.0.0.2:0", "[::1]:0")) as server:
        assert [host for host, _ in server.endpoints] == ["127.0.0.1", "127.0.0.2", "::1"]


def test_every_line_of_a_json_log_is_an_object(tmp_path: Path) -> None:
    zone = tmp_path / "bl.yaml"
    zone.write_text(ZONE)
    with ServerProcess("--log-format", "json", str(zone)) as server:
        zone.write_text('zone: "a\\nb"\n')
        server.wait_for("stays in service")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        lines = [json.loads(line) for line in server.log]
    assert all(line.keys() == {"time", "level", "message"} for line in lines)
    assert {"info", "error"} <= {line["level"] for line in lines} <= {"info", "warning", "error"}
    assert all(datetime.fromisoformat(line["time"]).utcoffset() is not None for line in lines)
    assert lines[-1]["message"] == "stopping"


def test_every_line_of_a_text_log_has_time_and_level(place: Path) -> None:
    with ServerProcess("zones", cwd=place) as server:
        lines = list(server.log)
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (info|warning)  *\S", line) for line in lines)


def test_log_level(place: Path, tmp_path: Path) -> None:
    stall = StalledLoader(tmp_path)
    server = ServerProcess("zones", "--log-level", "warning", cwd=place, env=stall.env)
    with ExitStack() as stack:
        stack.push(server)
        stall.wait()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    # At the usual level, that it loads would be a line.
    assert not any(" info " in line for line in server.log)


def _udp_port_of(pid: int) -> int | None:
    """The port that a process has bound for UDP; None while it has none."""
    held = set()
    for each in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # closed meanwhile
            held.add(os.readlink(f"/proc/{pid}/fd/{each}"))
    for line in Path(f"/proc/{pid}/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        if f"socket:[{fields[9]}]" in held:
            return int(fields[1].rpartition(":")[2], 16)
    return None


def test_a_full_disk_below_the_log_stops_nothing(tmp_path: Path) -> None:
    zone = tmp_path / "bl.yaml"
    zone.write_text("zone: bl.test\nentries: [192.0.2.1]\n")
    command = [*COMMAND, "serve", "--listen", "127.0.0.1:0", "--metrics", "off", "--log-level", "debug", str(zone)]

    def is_listed(address: str) -> bool:
        query = dns.message.make_query(reverse(address), "A")
        try:
            return bool(dns.query.udp(query, "127.0.0.1", 0.5, port).answer)
        except (dns.exception.Timeout, OSError):
            return False

    with Path("/dev/full").open("w") as full, subprocess.Popen(command, stdout=full, stderr=full) as server:
        try:
            wait_until(lambda: _udp_port_of(server.pid) is not None, "a port")
            port = _udp_port_of(server.pid) or 0
            wait_until(lambda: is_listed("192.0.2.1"), "the first load")
            zone.write_text("zone: [")  # problems to say
            rename_over(zone, "zone: bl.test\nentries: [192.0.2.2]\n")
            wait_until(lambda: is_listed("192.0.2.2"), "a reload")
            server.terminate()
            assert server.wait(PATIENCE) == 0
        finally:
            server.kill()
