"""Metrics and health: exact counts, labels that no client can multiply, and an HTTP server nobody holds up."""

import asyncio
import contextlib
import errno
import gzip
import http.client
import json
import random
import re
import signal
import socket
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import dns.message
import dns.query
import dns.rdatatype
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from dnsbl_server import __version__
from dnsbl_server import server as server_module
from dnsbl_server.config import Settings
from dnsbl_server.endpoint import Endpoint
from dnsbl_server.engine.listener import TcpListener
from dnsbl_server.engine.metrics import QueryCollector
from dnsbl_server.engine.service import QTYPE_LABELS, Counted, Counts, Service
from dnsbl_server.http import metrics
from dnsbl_server.http.metrics import MetricsServer
from dnsbl_server.server import Server
from dnsbl_server.supply.metrics import ZoneCollector
from dnsbl_server.supply.status import ZoneStatus
from tests.answers import MALFORMED, ZONE, message, reverse
from tests.reloading import wait_until
from tests.serving import PATIENCE, ServerProcess, StalledLoader, needs_ipv6

pytestmark = pytest.mark.server

Series = tuple[str, frozenset[tuple[str, str]]]


@pytest.fixture(scope="module")
def server(zones: Path) -> Iterator[ServerProcess]:
    with ServerProcess(str(zones), "--log-format", "json") as process:
        yield process


def scrape(server: ServerProcess, prefix: str = "dnsbl_") -> dict[Series, float]:
    """All series whose names start so."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse_text(server.get("/metrics"))
        for sample in family.samples
        if sample.name.startswith(prefix)
    }


def counted(server: ServerProcess, metric: str, *labels: str) -> dict[tuple[str, ...], int]:
    """The counts that are not 0, by the values of these labels."""
    return {
        tuple(dict(pairs)[label] for label in labels): int(value)
        for (name, pairs), value in scrape(server, metric).items()
        if name == metric and value
    }


def queries(server: ServerProcess) -> dict[tuple[str, ...], int]:
    return counted(server, "dnsbl_queries_total", "zone", "transport", "qtype", "outcome")


def test_counts_are_exact(zones: Path) -> None:
    asked = [
        # name, type, outcome, zone, lists
        (reverse("192.0.2.7"), "A", "listed", "bl.test", ("traps",)),
        (reverse("192.0.2.7"), "TXT", "listed", "bl.test", ("traps",)),
        (reverse("192.0.2.200"), "A", "listed", "bl.test", ("traps", "dynamic")),
        (reverse("2001:db8:bad::1").upper(), "ANY", "listed", "bl.test", ("traps",)),
        (reverse("127.0.0.2"), "A", "listed", "bl.test", ()),
        (reverse("198.51.100.1"), "A", "not_listed", "bl.test", ()),
        (reverse("192.0.2.25"), "TXT", "not_listed", "bl.test", ()),
        ("www.bl.test", "TYPE65280", "not_listed", "bl.test", ()),
        (reverse("192.0.2.7"), "AAAA", "nodata", "bl.test", ()),
        ("2.0.192.bl.test", "A", "nodata", "bl.test", ()),
        ("bl.test", "SOA", "answered", "bl.test", ()),
        ("bl.test", "SRV", "nodata", "bl.test", ()),
        ("bl.test", "AXFR", "refused", "bl.test", ()),
        (reverse("192.0.2.7", "example.org"), "A", "refused", "", ()),
        (reverse("192.0.2.7", "big.test"), "A", "not_listed", "big.test", ()),
    ]
    expected: Counter[tuple[str, ...]] = Counter()
    hits: Counter[tuple[str, ...]] = Counter()
    with ServerProcess(str(zones)) as server:
        assert queries(server) == {}
        for number, (name, qtype, outcome, zone, lists) in enumerate(asked, 1):
            shown = "other" if qtype.startswith("TYPE") else qtype
            for transport in ("udp", "tcp"):
                for _ in range(number):
                    server.ask(name, qtype, tcp=transport == "tcp")
                expected[zone, transport, shown, outcome] += number
                for each in lists:
                    hits[zone, each] += number
        with closing(socket.socket(type=socket.SOCK_DGRAM)) as client:
            client.settimeout(PATIENCE)
            client.connect((server.host, server.port))
            outcomes: dict[int | None, str] = {None: "dropped", 1: "formerr", 4: "notimp", 5: "refused", 16: "badvers"}
            for packet, rcode in MALFORMED.values():
                client.send(packet)
                client.send(message(number=9))
                while client.recv(65535)[:2] != b"\0\x09":
                    pass
                # A type is counted where the question can be read.
                readable = rcode in (4, 16) and len(packet) > 20
                expected["", "udp", "A" if readable else "other", outcomes[rcode]] += 1
                expected["bl.test", "udp", "A", "listed"] += 1
                hits["bl.test", "traps"] += 1
        server.ask(reverse("192.0.2.1", "big.test"), "TXT")
        expected["big.test", "udp", "TXT", "truncated"] += 1
        assert queries(server) == expected
        big: dict[tuple[str, ...], int] = {("big.test", name): 1 for name in "abcd"}
        assert counted(server, "dnsbl_hits_total", "zone", "list") == {**hits, **big}


def test_clients_cannot_add_series(server: ServerProcess) -> None:
    rng = random.Random(5782)
    known = {*QTYPE_LABELS.values(), "TYPE65280"}

    def ask(name: str, qtype: str) -> None:
        query = dns.message.make_query(name, qtype, use_edns=0, payload=1232)
        dns.query.udp(query, server.host, PATIENCE, server.port)

    for qtype in known:
        for name in ("1.bl.test", "other.bl.test", "example.org", reverse("198.51.100.1")):
            ask(name, qtype)
    before = scrape(server)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789-_"
    for _ in range(1000):
        word = "x" + "".join(rng.choices(letters, k=rng.randint(1, 40)))
        ask(f"{word}.{rng.choice(['bl.test', 'example.org', 'test'])}", f"TYPE{rng.randrange(1, 65536)}")
    after = scrape(server)
    assert after.keys() == before.keys()
    asked = {series: after[series] - before[series] for series in after if series[0] == "dnsbl_queries_total"}
    assert sum(asked.values()) == 1000
    values: dict[str, set[str]] = {}
    for (name, labels), _ in after.items():
        for label, value in labels if name == "dnsbl_queries_total" else ():
            values.setdefault(label, set()).add(value)
    assert values["zone"] == {"", "bl.test", "big.test"}
    assert values["transport"] == {"udp", "tcp"}
    assert values["qtype"] <= {*QTYPE_LABELS.values(), "other"}
    assert len(values["outcome"]) <= 11


def test_series_exist_before_they_are_asked(zones: Path) -> None:
    with ServerProcess(str(zones)) as server:
        found = scrape(server)
    labels = frozenset({("zone", "bl.test"), ("transport", "udp"), ("qtype", "A"), ("outcome", "listed")})
    assert found["dnsbl_queries_total", labels] == 0
    assert found["dnsbl_hits_total", frozenset({("zone", "bl.test"), ("list", "dynamic")})] == 0


def test_metrics_of_zones(server: ServerProcess, zones: Path) -> None:
    def metric(name: str, **labels: str) -> float:
        return found[name, frozenset(labels.items())]

    now = time.time()
    found = scrape(server)
    assert metric("dnsbl_zone_entries", zone="bl.test", list="traps", family="ipv4") == 2
    assert metric("dnsbl_zone_entries", zone="bl.test", list="traps", family="ipv6") == 1
    assert metric("dnsbl_zone_entries", zone="bl.test", list="dynamic", family="ipv4") == 1
    assert metric("dnsbl_zone_entries", zone="bl.test", list="dynamic", family="ipv6") == 0
    status = (zones / "bl.yaml").stat()
    assert metric("dnsbl_zone_serial", zone="bl.test") == int(status.st_ctime)
    assert metric("dnsbl_zone_newest_source_timestamp_seconds", zone="bl.test") == status.st_mtime_ns / 1e9
    assert 0 <= now - metric("dnsbl_zone_loaded_timestamp_seconds", zone="bl.test") < 3600
    assert metric("dnsbl_zone_reloads_total", zone="bl.test", result="success") == 1
    assert metric("dnsbl_zone_reloads_total", zone="bl.test", result="failure") == 0
    assert metric("dnsbl_zone_last_reload_success", zone="bl.test") == 1
    assert 0 < metric("dnsbl_zone_reload_duration_seconds", zone="bl.test") < PATIENCE
    assert metric("dnsbl_expired_entries", zone="bl.test") == 0
    assert metric("dnsbl_tcp_connections") == 0
    assert metric("dnsbl_build_info", version=__version__) == 1


def test_process_metrics(server: ServerProcess) -> None:
    found = scrape(server, "process_")
    assert found["process_resident_memory_bytes", frozenset()] > 1 << 20
    assert found["process_open_fds", frozenset()] > 5


def fetch(server: ServerProcess, path: str = "/metrics", **headers: str) -> tuple[http.client.HTTPMessage, bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(server.metrics_url + path, headers=named)
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        return response.headers, response.read()


def test_text_format(server: ServerProcess) -> None:
    headers, body = fetch(server)
    assert headers.get_content_type() == "text/plain"
    families = {family.name: family for family in parse_text(body.decode())}
    ours = {name: family for name, family in families.items() if name.startswith("dnsbl_")}
    assert {name: family.type for name, family in ours.items()} == {
        "dnsbl_queries": "counter",
        "dnsbl_hits": "counter",
        "dnsbl_zone_entries": "gauge",
        "dnsbl_zone_serial": "gauge",
        "dnsbl_zone_newest_source_timestamp_seconds": "gauge",
        "dnsbl_zone_loaded_timestamp_seconds": "gauge",
        "dnsbl_zone_reloads": "counter",
        "dnsbl_zone_last_reload_success": "gauge",
        "dnsbl_zone_reload_duration_seconds": "gauge",
        "dnsbl_expired_entries": "gauge",
        "dnsbl_source_timestamp_seconds": "gauge",
        "dnsbl_source_entries": "gauge",
        "dnsbl_source_held_back": "gauge",
        "dnsbl_source_skipped_lines": "gauge",
        "dnsbl_feed_fetches": "counter",
        "dnsbl_feed_last_success_timestamp_seconds": "gauge",
        "dnsbl_feed_every_seconds": "gauge",
        "dnsbl_feed_failing": "gauge",
        "dnsbl_udp_receive_drops": "counter",
        "dnsbl_tcp_connections": "gauge",
        "dnsbl_build_info": "gauge",
    }
    assert all(family.documentation for family in families.values())


def test_openmetrics_format(server: ServerProcess) -> None:
    headers, body = fetch(server, Accept="application/openmetrics-text; version=1.0.0")
    assert headers.get_content_type() == "application/openmetrics-text"
    names = {family.name for family in parse_openmetrics(body.decode())}  # type: ignore[no-untyped-call]
    assert {"dnsbl_queries", "dnsbl_zone_serial"} <= names


def test_compressed(server: ServerProcess) -> None:
    headers, body = fetch(server, Accept_Encoding="gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert b"dnsbl_queries_total" in gzip.decompress(body)


def exchange(server: ServerProcess, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
    """What comes back byte for byte, without a client's idea of what a response has: status, headers, body."""
    host, port = server.metrics_url.removeprefix("http://").rsplit(":", 1)
    with socket.create_connection((host, int(port)), PATIENCE) as client:
        client.sendall(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        data = b"".join(iter(lambda: client.recv(65536), b""))
    head, _, body = data.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return (
        int(status.split()[1]),
        {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)},
        body,
    )


def test_healthz_is_200_once_the_zones_are_served(server: ServerProcess) -> None:
    assert exchange(server, "GET", "/healthz")[0] == 200


@pytest.mark.parametrize("path", ["/", "/metrics/", "/healthz/x", "/favicon.ico", "/%00", "/" + "x" * 9999])
def test_unknown_path(server: ServerProcess, path: str) -> None:
    status, headers, body = exchange(server, "GET", path)
    assert (status, headers["content-type"]) == (404, "text/plain; charset=utf-8")
    assert b"/metrics" in body
    assert b"x" * 99 not in body


@pytest.mark.parametrize(("path", "expected"), [("/metrics", 200), ("/healthz", 200), ("/nowhere", 404)])
def test_head_is_get_without_the_body(server: ServerProcess, path: str, expected: int) -> None:
    status, headers, body = exchange(server, "HEAD", path)
    assert (status, body) == (expected, b"")
    assert headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/metrics"), ("PUT", "/metrics"), ("OPTIONS", "/metrics"), ("POST", "/healthz"), ("DELETE", "/nowhere")],
)
def test_other_methods_are_refused(server: ServerProcess, method: str, path: str) -> None:
    status, headers, _ = exchange(server, method, path)
    assert status == 405
    # RFC 9110 section 15.5.6
    assert headers["allow"] == "GET, HEAD"


def test_slow_clients_hold_no_scrape_up(server: ServerProcess) -> None:
    host, port = server.metrics_url.removeprefix("http://").rsplit(":", 1)
    slow = [socket.create_connection((host, int(port)), PATIENCE) for _ in range(4)]
    for client in slow:
        client.sendall(b"GET /met")
    assert "dnsbl_build_info" in server.get("/metrics")
    assert server.get("/healthz") == "ok\n"
    # They are all still there: they were not given up for that.
    for client in slow:
        client.sendall(b"rics HTTP/1.0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.0 200 OK")
        client.close()


def test_clients_that_break_off_leave_no_trace_in_the_log(zones: Path) -> None:
    with ServerProcess(str(zones), "--log-format", "json") as server:
        host, port = server.metrics_url.removeprefix("http://").rsplit(":", 1)
        for sent in (b"", b"GET /met", b"GET /metrics HTTP/1.0\r\n\r\n", b"\xff\0\r\n\r\n", b"GET\r\n\r\n") * 3:
            with socket.create_connection((host, int(port)), PATIENCE) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, (1).to_bytes(4, "little") + bytes(4))
                client.sendall(sent)
            server.get("/metrics")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        for line in server.log:
            json.loads(line)


@needs_ipv6
def test_ipv6_endpoint(zones: Path) -> None:
    with ServerProcess(str(zones), "--metrics", "[::1]:0") as server:
        assert re.fullmatch(r"http://\[::1\]:[0-9]+", server.metrics_url)
        assert server.metric("dnsbl_build_info") == 1
        assert server.get("/healthz") == "ok\n"


def test_metrics_off(zones: Path) -> None:
    with ServerProcess(str(zones), "--metrics", "off") as server:
        server.ask(reverse("192.0.2.7"))
        assert server.metrics_url == ""
        listening = {
            line.split()[9] for line in Path("/proc/net/tcp").read_text().splitlines() if line.split()[3] == "0A"
        }
        links = [link.readlink().name for link in Path(f"/proc/{server.pid}/fd").iterdir()]
        assert sum(f"socket:[{inode}]" in links for inode in listening) == len(server.endpoints)


@contextmanager
def metrics_server(statuses: Callable[[], dict[str, ZoneStatus]]) -> Iterator[str]:
    server = MetricsServer(
        Endpoint("127.0.0.1", 0), (QueryCollector(Service()), ZoneCollector(statuses)), lambda: bool(statuses()), "1"
    )
    try:
        yield f"http://{server.endpoint}"
    finally:
        server.close()


def status_of(url: str) -> int:
    host = url.removeprefix("http://")
    with closing(http.client.HTTPConnection(host, timeout=PATIENCE)) as connection:
        connection.request("GET", "/healthz")
        return connection.getresponse().status


def test_start_asks_no_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    # The name servers of the machine may ask this very server, which is not answering yet.
    asked = []

    def ask(name: str = "") -> str:
        asked.append(name)
        return "host"

    monkeypatch.setattr(socket, "getfqdn", ask)
    with metrics_server(dict):
        assert asked == []


def test_close_ends_the_thread() -> None:
    before = threading.active_count()
    with metrics_server(dict):
        assert threading.active_count() > before
    assert threading.active_count() == before


def test_health_while_the_zones_are_loaded(zones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stall = StalledLoader(tmp_path)
    monkeypatch.setenv("PYTHONPATH", stall.env["PYTHONPATH"])
    listen = (Endpoint("127.0.0.1", 0),)

    async def run() -> None:
        server = Server(Settings(zones=(str(zones),), listen=listen, metrics=Endpoint("127.0.0.1", 0)))
        running = asyncio.create_task(server.run())
        await asyncio.to_thread(stall.wait)
        url = f"http://{server.metrics_endpoint}"
        assert await asyncio.to_thread(status_of, url) == 503
        stall.release()
        await server.ready.wait()
        assert await asyncio.to_thread(status_of, url) == 200
        server.stop()
        await running

    asyncio.run(asyncio.wait_for(run(), PATIENCE))


def test_health_does_not_suffer_from_a_bad_file(tmp_path: Path) -> None:
    (tmp_path / "bl.yaml").write_text(ZONE)
    with ServerProcess(str(tmp_path)) as server:
        (tmp_path / "bl.yaml").write_text("zone: [\n")
        (tmp_path / "other.yaml").write_text("oops")
        server.wait_for("other.yaml: not loaded")
        server.wait_for("stays in service")
        # All that was ever good is served, so this server is as good as any.
        assert server.get("/healthz") == "ok\n"
        assert server.metric("dnsbl_zone_last_reload_success", zone="bl.test") == 0
        assert server.metric("dnsbl_zone_last_reload_success", zone="other.yaml") == 0
        assert server.metric("dnsbl_zone_reloads_total", zone="bl.test", result="failure") >= 1


def test_a_client_that_sends_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert metrics._CLIENT_TIMEOUT <= 60
    monkeypatch.setattr(metrics, "_CLIENT_TIMEOUT", 0.2)
    with metrics_server(dict) as url:
        host, port = url.removeprefix("http://").rsplit(":", 1)
        for begun in (b"", b"GET /met"):
            with socket.create_connection((host, int(port)), PATIENCE) as client:
                client.sendall(begun)
                assert client.recv(100) == b""


def connect(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").rsplit(":", 1)
    return socket.create_connection((host, int(port)), PATIENCE)


def is_cut(client: socket.socket) -> bool:
    """Wait until the server has cut a connection."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_client_has_only_so_much_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_CLIENT_TIMEOUT", 0.5)
    with metrics_server(dict) as url, ExitStack() as stack:
        silent = stack.enter_context(closing(connect(url)))
        dripping = stack.enter_context(closing(connect(url)))
        since = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() < since + PATIENCE:
                dripping.sendall(b"x")
                time.sleep(0.01)
        assert time.monotonic() < since + PATIENCE
        assert is_cut(silent)
        assert status_of(url) == 503


def test_too_many_connections_take_none_from_a_scraper() -> None:
    with metrics_server(dict) as url, ExitStack() as stack:
        before = threading.active_count()
        slow = [stack.enter_context(closing(connect(url))) for _ in range(2 * metrics._MAX_CONNECTIONS)]
        for client in slow[: metrics._MAX_CONNECTIONS]:
            assert is_cut(client)
        # Of those that are left one gives way.
        assert status_of(url) == 503
        assert is_cut(slow[metrics._MAX_CONNECTIONS])
        most = before + metrics._MAX_CONNECTIONS + 1
        wait_until(lambda: threading.active_count() <= most, "the end of the threads of those that were cut")
        slow[-1].sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert slow[-1].recv(100).startswith(b"HTTP/1.0 503")


def test_a_client_that_does_not_read_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_CLIENT_TIMEOUT", 0.5)
    service = Service()
    tables = 20_000
    monkeypatch.setattr(
        service, "counts", lambda: Counts(Counter({Counted(f"z{n}", "", "", ""): n for n in range(tables)}), Counter())
    )
    server = MetricsServer(Endpoint("127.0.0.1", 0), (QueryCollector(service),), lambda: True, "1")
    before = threading.active_count()
    with closing(server), closing(socket.socket()) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(PATIENCE)
        client.connect((server.endpoint.address, server.endpoint.port))
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        wait_until(lambda: threading.active_count() > before, "the thread of the connection")
        wait_until(lambda: threading.active_count() == before, "the end of that thread")


def test_out_of_descriptors_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0

    def accept(_: socket.socket) -> NoReturn:
        nonlocal tries
        tries += 1
        raise OSError(errno.EMFILE, "too many open files")

    pauses: list[float] = []
    sleep = time.sleep

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        sleep(0.01)

    monkeypatch.setattr(time, "sleep", pause)
    with metrics_server(dict) as url:
        with monkeypatch.context() as failing:
            failing.setattr(socket.socket, "accept", accept)
            with closing(connect(url)):
                wait_until(lambda: tries >= 3, "three tries")
        # Each try that fails is followed by a pause.
        assert pauses.count(metrics._PAUSE) >= 2
        assert status_of(url) == 503


def test_healthy_only_once_tcp_is_accepted(zones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[int] = []

    async def run() -> None:
        settings = Settings(zones=(str(zones),), listen=(Endpoint("127.0.0.1", 0),), metrics=Endpoint("127.0.0.1", 0))
        server = Server(settings)

        def listen(*arguments: Any) -> TcpListener:
            assert server.reloader is not None
            assert server.reloader.statuses
            found.append(status_of(f"http://{server.metrics_endpoint}"))
            return TcpListener(*arguments)

        monkeypatch.setattr(server_module, "TcpListener", listen)
        running = asyncio.create_task(server.run())
        await server.ready.wait()
        found.append(await asyncio.to_thread(status_of, f"http://{server.metrics_endpoint}"))
        server.stop()
        await running

    asyncio.run(asyncio.wait_for(run(), PATIENCE))
    assert found == [503, 200]
