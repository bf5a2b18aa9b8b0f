"""How many queries a second, and how much CPU for each, beside rbldnsd.

Both servers have the same list of random addresses and run pinned to one core, the load to the other. The load is a
closed loop: so many queries in flight on one socket, half of them for listed addresses. The runs take turns; what
counts is the median, and of the comparison the ratio. All traffic is on loopback, and every run ends by its clock.

    python bench/answers.py [--hosts 100000] [--seconds 3] [--rounds 5]

Needs rbldnsd in the path (Debian: apt-get install rbldnsd) and two cores.
"""

import argparse
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dns.message

_WINDOW = 64
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run the comparison and print it as a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rbldnsd = shutil.which("rbldnsd")
    if rbldnsd is None or (os.cpu_count() or 1) < 2:
        sys.exit("needs rbldnsd in the path and two cores")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        hosts = _write_lists(directory, options.hosts)
        packets = _queries(hosts)
        ports = {"dnsbl-server": _free_port(), "rbldnsd": _free_port()}
        serve = [sys.executable, "-m", "dnsbl_server", "serve", "--metrics", "off", "--log-level", "error"]
        listen = f"127.0.0.1:{ports['dnsbl-server']}"
        bind = f"127.0.0.1/{ports['rbldnsd']}"
        commands = {
            "dnsbl-server": [*serve, "--listen", listen, str(directory / "bl.yaml")],
            "rbldnsd": [rbldnsd, "-n", "-q", "-w", name, "-b", bind, "bl.example.org:ip4set:hosts.txt"],
        }
        servers = {which: subprocess.Popen(command) for which, command in commands.items()}
        try:
            os.sched_setaffinity(0, {1})
            for which, server in servers.items():
                _wait_until_served(ports[which], packets[0])
                os.sched_setaffinity(server.pid, {0})
            runs: dict[str, list[tuple[float, float, float]]] = {which: [] for which in servers}
            for _ in range(options.rounds):
                for which, server in servers.items():
                    runs[which].append(_run(server.pid, ports[which], packets, options.seconds))
        finally:
            for server in servers.values():
                server.kill()
                server.wait()
    _print_table(runs)


def _write_lists(directory: Path, count: int) -> list[int]:
    hosts = random.Random(1).sample(range(1 << 24, 127 << 24), 2 * count)
    listed = "".join(socket.inet_ntoa(host.to_bytes(4)) + "\n" for host in hosts[:count])
    (directory / "hosts.txt").write_text(listed)
    (directory / "bl.yaml").write_text("zone: bl.example.org\nfiles: [hosts.txt]\n")
    return hosts


def _queries(hosts: list[int]) -> list[bytes]:
    """Queries for listed and unlisted addresses in turn."""
    half = len(hosts) // 2
    chosen = [host for pair in zip(hosts[:half], hosts[half:], strict=True) for host in pair][:20000]
    names = (".".join(map(str, reversed(host.to_bytes(4)))) + ".bl.example.org" for host in chosen)
    return [dns.message.make_query(name, "A").to_wire() for name in names]


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _wait_until_served(port: int, packet: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.settimeout(0.2)
        for _ in range(300):
            try:
                sock.send(packet)
                sock.recv(2048)
            except OSError:
                time.sleep(0.1)
                continue
            return
    sys.exit(f"no answer on port {port}")


def _run(pid: int, port: int, packets: list[bytes], seconds: float) -> tuple[float, float, float]:
    """Queries a second, and user and system CPU in microseconds for each."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.settimeout(1)
        sent = answered = 0
        before = _cpu(pid)
        start = time.perf_counter()
        while time.perf_counter() - start < seconds:
            while sent - answered < _WINDOW:
                sock.send(packets[sent % len(packets)])
                sent += 1
            sock.recv(2048)
            answered += 1
        elapsed = time.perf_counter() - start
        user, system = (1e6 * (b - a) / _TICKS / answered for a, b in zip(before, _cpu(pid), strict=True))
    return answered / elapsed, user, system


def _cpu(pid: int) -> tuple[int, int]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]), int(fields[12])


def _print_table(runs: dict[str, list[tuple[float, float, float]]]) -> None:
    print("| server | queries/s | CPU for a query | of it user |")
    print("|---|---|---|---|")
    for which, results in runs.items():
        rate, user, system = (statistics.median(column) for column in zip(*results, strict=True))
        print(f"| {which} | {rate:,.0f} | {user + system:.1f} us | {user:.1f} us |")
    pairs = zip(runs["dnsbl-server"], runs["rbldnsd"], strict=True)
    ratios = [(ours[1] + ours[2]) / (theirs[1] + theirs[2]) for ours, theirs in pairs]
    print(f"\nCPU for a query, dnsbl-server to rbldnsd: {statistics.median(ratios):.1f} to 1")


if __name__ == "__main__":
    main()
