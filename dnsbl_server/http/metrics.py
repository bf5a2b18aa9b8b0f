"""What can be read over HTTP: /metrics, for Prometheus, and /healthz.

Owns the HTTP server, in a thread of its own. The collectors that it is given make the metrics; it knows none but that
of the version.
"""

import socket
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.registry import Collector

from dnsbl_server.endpoint import Endpoint

# Seconds until a client that sends no request is cut off.
_CLIENT_TIMEOUT = 10


class _Build(Collector):
    def __init__(self, version: str) -> None:
        self._version = version

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily("dnsbl_build_info", "Always 1; the version is in the label", labels=("version",))
        build.add_metric((self._version,), 1)
        yield build


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
    def setup(self) -> None:
        """Begin with a client."""
        super().setup()
        self.connection.settimeout(_CLIENT_TIMEOUT)

    def log_message(self, *_: object) -> None:
        """Scrapes are not worth a line in the log."""


class MetricsServer:
    """Serves /metrics and /healthz on one endpoint from the moment it is made. Raises OSError when it cannot."""

    def __init__(
        self, endpoint: Endpoint, collectors: Iterable[Collector], is_ready: Callable[[], bool], version: str
    ) -> None:
        """collectors: make the metrics when they are scraped; is_ready: whether /healthz says so."""
        self._is_ready = is_ready
        registry = CollectorRegistry()
        for collector in (*collectors, _Build(version), PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
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
            if not self._is_ready():
                return _plain(start, "503 Service Unavailable", "the zones are being loaded\n")
            return _plain(start, "200 OK", "ok\n")
        return _plain(start, "404 Not Found", "there are /metrics and /healthz\n")


def _plain(start: Any, status: str, text: str, *headers: tuple[str, str]) -> Iterable[bytes]:
    body = text.encode()
    start(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), *headers])
    return [body]
