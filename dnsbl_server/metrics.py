"""What Prometheus and whoever is on call can read: /metrics and /healthz.

Owns the names and labels of the metrics, and the HTTP server, in a thread of its own. Reads the counts of the service
and the states of the zones when it is asked; no value of a label comes from a client.
"""

import socket
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.registry import Collector

from dnsbl_server.config import Endpoint
from dnsbl_server.problem import printable
from dnsbl_server.reload import ZoneStatus
from dnsbl_server.respond import Outcome
from dnsbl_server.service import Counted, Service

# Seconds until a client that sends no request is cut off.
_CLIENT_TIMEOUT = 10

# Counted from the start for each zone, so that the first such query is an increase and not a new series.
_EXPECTED = tuple(
    (transport, qtype, outcome)
    for transport in ("udp", "tcp")
    for qtype in ("A", "TXT")
    for outcome in (Outcome.LISTED, Outcome.NOT_LISTED)
)

# Likewise what belongs to no zone, and should not happen.
_UNWANTED = tuple(
    Counted("", transport, "other", outcome)
    for transport in ("udp", "tcp")
    for outcome in (Outcome.DROPPED, Outcome.SERVFAIL)
)

Statuses = Callable[[], Mapping[str, ZoneStatus]]


class ServerCollector(Collector):
    """Makes the metrics of the server when they are scraped."""

    def __init__(self, service: Service, statuses: Statuses, version: str) -> None:
        self._service = service
        self._statuses = statuses
        self._version = version

    def collect(self) -> Iterator[Metric]:
        queries, hits = self._service.counts()
        statuses = self._statuses()
        for unwanted in _UNWANTED:
            queries.setdefault(unwanted, 0)
        for status in statuses.values():
            if status.table:
                for expected in _EXPECTED:
                    queries.setdefault(Counted(status.name, *expected), 0)
                for each in status.table.table.meta["lists"]:
                    hits.setdefault((status.name, each["name"]), 0)
        asked = CounterMetricFamily("dnsbl_queries", "Queries by what became of them", labels=Counted._fields)
        for labels, count in queries.items():
            asked.add_metric(labels, count)
        yield asked
        hit = CounterMetricFamily("dnsbl_hits", "Answers that a list had a part in", labels=("zone", "list"))
        for names, count in hits.items():
            hit.add_metric(names, count)
        yield hit
        yield from _of_zones(statuses)
        lost = CounterMetricFamily("dnsbl_udp_receive_drops", "Queries that found the receive buffer full")
        lost.add_metric((), self._service.receive_drops())
        yield lost
        connections = GaugeMetricFamily("dnsbl_tcp_connections", "Open TCP connections")
        connections.add_metric((), self._service.tcp_connections())
        yield connections
        build = GaugeMetricFamily("dnsbl_build_info", "Always 1; the version is in the label", labels=("version",))
        build.add_metric((self._version,), 1)
        yield build


def _of_zones(statuses: Mapping[str, ZoneStatus]) -> Iterable[Metric]:
    zone = ("zone",)
    entries = GaugeMetricFamily("dnsbl_zone_entries", "Entries in service", labels=("zone", "list", "family"))
    serial = GaugeMetricFamily("dnsbl_zone_serial", "Serial of the SOA record", labels=zone)
    loaded = GaugeMetricFamily("dnsbl_zone_loaded_timestamp_seconds", "When the data in service was read", labels=zone)
    reloads = CounterMetricFamily("dnsbl_zone_reloads", "Loads of the zone, by result", labels=("zone", "result"))
    success = GaugeMetricFamily("dnsbl_zone_last_reload_success", "Whether the last load worked", labels=zone)
    duration = GaugeMetricFamily("dnsbl_zone_reload_duration_seconds", "How long the last good load took", labels=zone)
    expired = GaugeMetricFamily("dnsbl_expired_entries", "Entries left out because they have expired", labels=zone)
    for path, status in statuses.items():
        # A file that never loaded has no zone; its name tells whoever is on call where to look.
        name = status.name or printable(Path(path).name)
        reloads.add_metric((name, "success"), status.successes)
        reloads.add_metric((name, "failure"), status.failures)
        success.add_metric((name,), status.last_succeeded)
        if status.table is None:
            continue
        meta = status.table.table.meta
        for each in meta["lists"]:
            entries.add_metric((name, each["name"], "ipv4"), each["v4"])
            entries.add_metric((name, each["name"], "ipv6"), each["v6"])
        serial.add_metric((name,), meta["serial"])
        loaded.add_metric((name,), status.loaded_at)
        duration.add_metric((name,), status.duration)
        expired.add_metric((name,), meta["expired"])
    return entries, serial, loaded, reloads, success, duration, expired


class _Server(ThreadingWSGIServer):
    """One thread a request, so that a slow scraper keeps none waiting."""

    request_queue_size = 128

    def server_bind(self) -> None:
        """Bind as any socket server does; an HTTP server would ask the name service for its own name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away or is too slow is not worth a line in the log."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = _CLIENT_TIMEOUT

    def log_message(self, *_: object) -> None:
        """Scrapes are not worth a line in the log."""


class MetricsServer:
    """Serves /metrics and /healthz on one endpoint from the moment it is made. Raises OSError when it cannot."""

    def __init__(self, endpoint: Endpoint, service: Service, statuses: Statuses, version: str) -> None:
        self._statuses = statuses
        registry = CollectorRegistry()
        registry.register(ServerCollector(service, statuses, version))
        for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
            registry.register(collector)
        self._metrics = make_wsgi_app(registry)
        server_class: type[WSGIServer] = _Server6 if ":" in endpoint.address else _Server
        self._server = make_server(endpoint.address, endpoint.port, self._respond, server_class, _Handler)
        self.endpoint = Endpoint(endpoint.address, self._server.server_port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True, name="metrics")
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _respond(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "HEAD":
            for _ in self._respond({**environ, "REQUEST_METHOD": "GET"}, start):
                pass  # the same headers, and no body
            return []
        if environ["REQUEST_METHOD"] != "GET":
            return _plain(start, "405 Method Not Allowed", "only GET and HEAD\n", ("Allow", "GET, HEAD"))
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            body: Iterable[bytes] = self._metrics(environ, start)
            return body
        if path == "/healthz":
            # From the first load on all zones are served, each at least with its last good version; a file that is
            # broken later is no reason to take this server out of service.
            if not self._statuses():
                return _plain(start, "503 Service Unavailable", "the zones are being loaded\n")
            return _plain(start, "200 OK", "ok\n")
        return _plain(start, "404 Not Found", "there are /metrics and /healthz\n")


def _plain(start: Any, status: str, text: str, *headers: tuple[str, str]) -> Iterable[bytes]:
    body = text.encode()
    start(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), *headers])
    return [body]
