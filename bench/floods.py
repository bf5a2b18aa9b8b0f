"""What floods of TCP and of the metrics port cost others: plain UDP, and one good TCP client.

For each kind of flood a server of its own is started, with two threads and its metrics. A process floods it from
127.0.0.1 while 20,000 queries a second come over UDP in an open loop, and a client at 127.0.0.2 asks one query after
the other over one TCP connection. In the end, with the flood still going on, the server gets SIGTERM.

    none        no flood
    pipelined   480 connections, each full of queries for a long answer, and nothing is read
    empty       480 connections, each full of messages without a byte
    responses   480 connections, each full of messages with QR set, which get no answer
    large       480 connections, each full of queries of 65,535 bytes that are left to the slow path
    half        4,500 connections, each with half a message
    metrics     4,500 connections to the metrics port, each of which sends a byte every 4 seconds
    scrapes     as many scrapes as the metrics port takes, nothing of which is read
    query       a connection for each query
    reset       connections that are reset as soon as they are there

A connection that the server ends is opened again. Nothing of UDP may be lost or wrong, no query of the good client may
stay without its answer, its median has to be below 10 ms, and the server has to end within 5 seconds.

    python bench/floods.py [--seconds 5] [--only pipelined ...] [--rate 20000]

It needs two cores that have nothing else to do, and a C compiler.
"""

import argparse
import contextlib
import itertools
import os
import random
import re
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lists import IPV4, NOERROR, NXDOMAIN, A, Entries, message, record
from servers import Server, machine, say, start_dnsbl, workshop
from traffic import Traffic, build, send

_ZONE = "bl.example.org"
_HOSTS = 2000
_LONG = "x" * 1900
_PATIENCE = 10.0
_MOST_MEDIAN = 0.010
_MOST_STOP = 5.0
_FEW, _MANY = 480, 4500
_TXT, _SOA = 16, 6
_KINDS = ("none", "pipelined", "empty", "responses", "large", "half", "metrics", "scrapes", "query", "reset")


# The floods, each in a process of its own -----------------------------------------------------------------------------


class _Flood:
    """Connections that are kept open, with the same bytes sent on each as often as it takes them, or now and then."""

    def __init__(self, port: int, count: int, data: bytes, interval: float | None = None) -> None:
        self.opened = 0
        self._port = port
        self._count = count
        self._data = data
        self._interval = interval
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._sent: dict[int, float] = {}
        self._at: dict[int, int] = {}

    def run(self) -> None:
        """Flood until this process is ended."""
        while True:
            for _ in range(min(200, self._count - len(self._sockets))):
                self._open()
            for fd, _event in self._poll.poll(0.01, 200):
                self._send(fd)
            if self._interval is not None:
                end = time.monotonic() - self._interval
                for fd in [fd for fd, sent in self._sent.items() if sent <= end]:
                    self._send(fd)

    def _open(self) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            try:
                sock.connect(("127.0.0.1", self._port))
            except OSError as error:
                if not isinstance(error, BlockingIOError):
                    sock.close()
                    return
        fd = sock.fileno()
        self._sockets[fd] = sock
        self._at[fd] = 0
        # Errors and the end of a connection are always reported; room to write only to those that always write.
        self._poll.register(fd, select.EPOLLOUT if self._interval is None else select.EPOLLRDHUP)
        if self._interval is not None:
            self._sent[fd] = time.monotonic() - random.random() * self._interval
        self.opened += 1

    def _send(self, fd: int) -> None:
        sock = self._sockets[fd]
        try:
            if self._interval is not None:
                sock.send(self._data[:1])
                self._sent[fd] = time.monotonic()
            else:
                self._at[fd] = (self._at[fd] + sock.send(self._data[self._at[fd] :])) % len(self._data)
        except BlockingIOError:
            pass
        except OSError:
            self._poll.unregister(fd)
            del self._sockets[fd], self._at[fd]
            self._sent.pop(fd, None)
            sock.close()


def _connect_again_and_again(port: int, query: bytes, is_reset: bool) -> None:
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), _PATIENCE) as sock:
            if is_reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                sock.sendall(query)
                sock.recv(4096)


def _flood(kind: str, port: int, metrics: int) -> None:
    """Flood until this process is ended."""
    query = _framed(message(f"1.2.0.192.{_ZONE}", _TXT))
    if kind in ("query", "reset"):
        for _ in range(3):
            threading.Thread(target=_connect_again_and_again, args=(port, query, kind == "reset"), daemon=True).start()
        _connect_again_and_again(port, query, kind == "reset")
    response = bytearray(message(f"1.2.0.192.{_ZONE}", A))
    response[2] |= 0x80
    floods = {
        "pipelined": (port, _FEW, query * 500, None),
        "empty": (port, _FEW, bytes(65536), None),
        "responses": (port, _FEW, _framed(bytes(response)) * 500, None),
        "large": (port, _FEW, _framed(_padded(message(_ZONE, _SOA))), None),
        "half": (port, _MANY, query[:9], 3600.0),
        "metrics": (metrics, _MANY, b"GET /metrics HTTP/1.1\r\n", 4.0),
        "scrapes": (metrics, _FEW, b"GET /metrics HTTP/1.0\r\n\r\n", None),
    }
    _Flood(*floods[kind]).run()


def _framed(packet: bytes) -> bytes:
    return len(packet).to_bytes(2) + packet


def _padded(packet: bytes) -> bytes:
    """A query with an OPT record of empty options, of as many bytes as a message can have."""
    options = bytes(4) * ((65535 - len(packet) - 11) // 4)
    return packet[:11] + b"\1" + packet[12:] + b"\0" + struct.pack("!HHIH", 41, 1232, 0, len(options)) + options


# The good client and what is measured ---------------------------------------------------------------------------------


class _Good(threading.Thread):
    """Asks one query after the other over one TCP connection, from an address of its own."""

    def __init__(self, port: int, seconds: float) -> None:
        super().__init__()
        self._port = port
        self._end = time.monotonic() + seconds
        self.times: list[float] = []
        self.lost = 0

    def run(self) -> None:
        while time.monotonic() < self._end:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(_PATIENCE)
                sock.bind(("127.0.0.2", 0))
                try:
                    sock.connect(("127.0.0.1", self._port))
                    self._ask(sock)
                except OSError:
                    self.lost += 1

    def _ask(self, sock: socket.socket) -> None:
        for number in itertools.count():
            if time.monotonic() >= self._end:
                return
            query = message(f"1.2.0.192.{_ZONE}", A)
            query = (number & 0xFFFF).to_bytes(2) + query[2:]
            begun = time.perf_counter()
            sock.sendall(_framed(query))
            answer = sock.recv(65537)
            if answer[2:4] != query[:2] or answer[8:10] != b"\0\1":
                raise OSError("the connection was ended, or the answer is another one's")
            self.times.append(time.perf_counter() - begun)
            time.sleep(0.001)


class _Result(NamedTuple):
    """What became of the others during a flood. Times in seconds; cpu: of one core; most: descriptors of the server."""

    kind: str
    udp: Traffic
    times: list[float]
    lost: int
    cpu: float
    most: int
    memory: int
    stop: float
    tracebacks: int

    def is_good(self) -> bool:
        udp = self.udp.lost - self.udp.dropped <= 0 and not self.udp.wrong
        tcp = not self.lost and bool(self.times) and statistics.median(self.times) < _MOST_MEDIAN
        return udp and tcp and self.stop < _MOST_STOP and not self.tracebacks


@contextlib.contextmanager
def _flooding(kind: str, server: Server, metrics: int) -> Iterator[None]:
    if kind == "none":
        yield
        return
    command = [sys.executable, __file__, "--flood", kind, str(server.port), str(metrics)]
    with subprocess.Popen(command) as process:
        try:
            time.sleep(1)
            yield
        finally:
            process.kill()


def _measure(kind: str, directory: Path, program: Path, queries: Path, options: argparse.Namespace) -> _Result:
    with start_dnsbl(directory, os.sched_getaffinity(0), 2, metrics="127.0.0.1:0") as server:
        server.wait_until_listed(message(f"1.2.0.192.{_ZONE}", A))
        metrics = _metrics_port(server)
        with _flooding(kind, server, metrics):
            good = _Good(server.port, options.seconds)
            before, begun = sum(server.cpu()), time.monotonic()
            good.start()
            watch = _Watch(server)
            watch.start()
            (udp,) = send(program, server.port, options.seconds, [f"{queries}@{options.rate}"])
            cpu = (sum(server.cpu()) - before) / (time.monotonic() - begun)
            good.join()
            watch.stop()
            memory = server.memory()
            begun = time.monotonic()
            server.signal(signal.SIGTERM)
            server.wait()
            stop = time.monotonic() - begun
        tracebacks = server.log.read_text().count("Traceback")
    return _Result(kind, udp, sorted(good.times), good.lost, cpu, watch.most, memory, stop, tracebacks)


class _Watch(threading.Thread):
    """The most descriptors that a server has."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server
        self._ended = threading.Event()
        self.most = 0

    def run(self) -> None:
        while not self._ended.wait(0.2):
            self.most = max(self.most, len(os.listdir(f"/proc/{self._server.pid}/fd")))

    def stop(self) -> None:
        self._ended.set()
        self.join()


def _metrics_port(server: Server) -> int:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if found := re.search(r"metrics on http://127\.0\.0\.1:(\d+)/", server.log.read_text()):
            return int(found[1])
        time.sleep(0.01)
    sys.exit(f"it has no metrics; it says:\n{server.log.read_text()[-2000:]}")


def _write(directory: Path) -> bytes:
    """Write the zone; the queries for it, of which half are listed."""
    entries = Entries(IPV4, _HOSTS)
    directory.mkdir()
    (directory / "hosts.txt").write_text("".join(f"{line}\n" for line in entries.lines()))
    (directory / "bl.yaml").write_text(
        f"zone: {_ZONE}\nlists:\n  - {{name: hosts, files: [hosts.txt]}}\n"
        + "".join(f"  - {{name: l{n}, txt: {_LONG[:400]}, entries: [192.0.2.1]}}\n" for n in range(4))
    )
    queries = [record(entries.name(host), A, NOERROR) for host in entries.hosts]
    queries += [record(entries.name(host), A, NXDOMAIN) for host in range(201 << 24, (201 << 24) + _HOSTS)]
    random.Random(1).shuffle(queries)
    return b"".join(queries)


def main() -> int:
    """Measure each kind of flood, and print a table; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=int, default=20_000, help="queries a second over UDP")
    parser.add_argument("--only", nargs="+", choices=_KINDS, default=_KINDS)
    parser.add_argument("--flood", nargs=3, metavar=("KIND", "PORT", "METRICS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.flood:
        kind, port, metrics = options.flood
        _flood(kind, int(port), int(metrics))
    results = []
    with workshop() as directory:
        program, _ = build(directory)
        queries = directory / "queries"
        queries.write_bytes(_write(directory / "zones"))
        for kind in options.only:
            say(f"flood: {kind}")
            results.append(_measure(kind, directory / "zones", program, queries, options))
            say(_row(results[-1]))
    print(
        "| flood | UDP sent | lost | wrong | UDP p50 | p99 | TCP asked | lost | TCP median | p99 | longest | cores "
        "| descriptors | memory | SIGTERM |"
    )
    print("|" + "---|" * 15)
    for result in results:
        print(_row(result))
    print(f"\n{machine()}")
    return 0 if all(result.is_good() for result in results) else 1


def _row(result: _Result) -> str:
    times = result.times or [float("nan")]
    udp = result.udp
    cells = (
        *(result.kind, f"{udp.sent:,}", udp.lost, udp.wrong, f"{udp.p50 / 1000:.2f} ms", f"{udp.p99 / 1000:.1f} ms"),
        *(f"{len(result.times):,}", result.lost, _ms(statistics.median(times)), _ms(times[len(times) * 99 // 100])),
        *(_ms(times[-1]), f"{result.cpu:.2f}", result.most, f"{result.memory >> 20} MB", f"{result.stop:.2f} s"),
    )
    return f"| {' | '.join(map(str, cells))} |" + (f" {result.tracebacks} tracebacks" if result.tracebacks else "")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


if __name__ == "__main__":
    sys.exit(main())
