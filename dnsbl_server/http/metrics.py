"""What can be read over HTTP: /metrics, for Prometheus, and /healthz.

Owns the HTTP server, in a thread of its own. The collectors that it is given make the metrics; it knows none but that
of the version.
"""

import contextlib
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.registry import Collector

from dnsbl_server.endpoint import Endpoint

# Seconds that a client has for its request and for reading the answer.
_CLIENT_TIMEOUT = 10
# Connections at the same time: enough for some scrapers and probes, and no more descriptors than the server has spare.
_MAX_CONNECTIONS = 32
# Seconds between two looks for connections that take too long, and after a connection that could not be accepted.
_LOOK = 0.1
_PAUSE = 0.1


class _Build(Collector):
    def __init__(self, version: str) -> None:
        self._version = version

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily("dnsbl_build_info", "Always 1; the version is in the label", labels=("version",))
        build.add_metric((self._version,), 1)
        yield build


class _Server(ThreadingWSGIServer):
    """One thread a connection, and one request on each. Too many connections, or one that takes too long, are cut."""

    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        # When each connection was accepted, by the monotonic clock; the oldest first.
        self._open: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        super().__init__(*arguments)

    def server_bind(self) -> None:
        """Bind as any socket server does; an HTTP server would ask the name service for its own name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; where there are too many, the oldest one gives way."""
        try:
            request, address = super().get_request()
        except OSError:
            # Out of descriptors or memory: the connection still waits, and would be found again at once.
            time.sleep(_PAUSE)
            raise
        with self._lock:
            self._open[request] = time.monotonic()
            while len(self._open) > _MAX_CONNECTIONS:
                self._cut(next(iter(self._open)))
        return request, address

    def service_actions(self) -> None:
        """Cut the connections that have taken too long; called at least every `_LOOK` seconds."""
        end = time.monotonic() - _CLIENT_TIMEOUT
        with self._lock:
            for request in [each for each, since in self._open.items() if since <= end]:
                self._cut(request)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def cut_all(self) -> None:
        """Cut all connections."""
        with self._lock:
            for request in list(self._open):
                self._cut(request)

    def _cut(self, request: socket.socket) -> None:
        """Make the thread of a connection return from whatever it waits for; it closes the socket."""
        del self._open[request]
        with contextlib.suppress(OSError):  # it is gone already
            # Nothing is sent any more to a client that does not read.
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.shutdown(socket.SHUT_RDWR)

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
        server_class = _Server6 if ":" in endpoint.address else _Server
        self._server = make_server(endpoint.address, endpoint.port, self._respond, server_class, _Handler)
        self.endpoint = Endpoint(endpoint.address, self._server.server_port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_LOOK,), daemon=True, name="metrics")
        self._thread.start()

    def close(self) -> None:
        """Stop serving; requests under way are cut."""
        self._server.shutdown()
        self._server.cut_all()
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
