"""What one client does is not what others pay for: connections, signals at the wrong time, a log that nobody reads."""

import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import dns.message
import dns.query
import pytest

from tests.reloading import wait_until
from tests.serving import PATIENCE, ServerProcess

pytestmark = pytest.mark.server

QUERY = dns.message.make_query("2.0.0.127.bl.example.org", "A").to_wire()
LIMIT = 8


def write_zone(directory: Path, *entries: str) -> None:
    directory.mkdir(exist_ok=True)
    text = "zone: bl.example.org\nentries:\n" + "".join(f"  - {entry}\n" for entry in entries)
    (directory / "bl.yaml").write_text(text)


def connect(server: ServerProcess, source: str) -> socket.socket:
    sock = socket.create_connection((server.host, server.port), PATIENCE, (source, 0))
    sock.sendall(struct.pack("!H", len(QUERY)) + QUERY)
    assert sock.recv(4096)
    return sock


def is_open(sock: socket.socket) -> bool:
    try:
        sock.sendall(struct.pack("!H", len(QUERY)) + QUERY)
        return bool(sock.recv(4096))
    except ConnectionError:
        return False


def test_the_client_with_the_most_connections_loses_one(tmp_path: Path) -> None:
    write_zone(tmp_path / "zones", "192.0.2.1")
    config = tmp_path / "server.yaml"
    config.write_text(f"tcp_connections: {LIMIT}\ntcp_idle_timeout: 1h\n")
    with ServerProcess("--config", str(config), str(tmp_path / "zones")) as server:
        quiet = connect(server, "127.0.0.2")
        greedy = [connect(server, "127.0.0.3") for _ in range(2 * LIMIT)]
        assert is_open(quiet)
        assert [is_open(sock) for sock in greedy] == [False] * (LIMIT + 1) + [True] * (LIMIT - 1)
        assert server.metric("dnsbl_tcp_connections") == LIMIT
        for sock in (quiet, *greedy):
            sock.close()


def test_signals_while_it_stops_change_nothing(tmp_path: Path) -> None:
    write_zone(tmp_path / "zones", "192.0.2.1")
    with ServerProcess(str(tmp_path / "zones")) as server:
        server.signal(signal.SIGTERM)
        server.wait_for("stopping")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            server.signal(number)
        assert server.wait() == 0


def test_a_log_that_nobody_reads_holds_nothing_up(tmp_path: Path) -> None:
    zones = tmp_path / "zones"
    write_zone(zones, "192.0.2.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "dnsbl_server", "serve", "--metrics", "off", "--listen", f"127.0.0.1:{port}"]
    server = subprocess.Popen([*command, str(zones)], stderr=writer)
    os.close(writer)
    try:
        log = b""
        while b"ready: " not in log:
            log += os.read(reader, 4096)
        query = dns.message.make_query("9.2.0.192.bl.example.org", "A")
        # Far more than the pipe takes: each of these lines is a problem, and a line of the log.
        for number in range(5):
            bad = zones / f"bad{number}.yaml"
            bad.write_text("entries:\n" + "".join(f"  - oops{line}\n" for line in range(1000)))
        write_zone(zones, "192.0.2.9")
        wait_until(lambda: dns.query.udp(query, "127.0.0.1", PATIENCE, port).rcode() == 0, "the change")
        server.terminate()
        assert server.wait(PATIENCE) == 0
    finally:
        server.kill()
        server.wait()
        os.close(reader)
