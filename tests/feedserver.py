"""An HTTP server on loopback that does what a test says, right or wrong: a function gets the request and a socket.

What it does is bytes on a socket, so that it can be wrong in ways that no HTTP library allows.
"""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Request:
    """A request: its path, and its headers with names in lower case."""

    path: str
    headers: dict[str, str]


Answer = Callable[[Request, socket.socket], None]


def reply(status: str = "200 OK", body: bytes = b"", **headers: str) -> Answer:
    """A whole answer. headers: with _ for -; Content-Length is right unless it is said."""
    fields = {name.replace("_", "-").title(): value for name, value in headers.items()}
    fields.setdefault("Content-Length", str(len(body)))

    def answer(_request: Request, connection: socket.socket) -> None:
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
        connection.sendall(f"HTTP/1.1 {status}\r\n{head}Connection: close\r\n\r\n".encode() + body)

    return answer


@dataclass
class FeedServer:
    """A server that is running. answer: what it does, replaced by the test; requests: what it was asked."""

    port: int
    scheme: str
    answer: Answer = field(default_factory=lambda: reply())
    requests: list[Request] = field(default_factory=list)

    def url(self, path: str = "/list.txt", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[FeedServer]:
    """A server on a free port of loopback. context: for TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = FeedServer(listener.getsockname()[1], "https" if context else "http")
        thread = threading.Thread(target=_accept, args=(listener, server, context))
        thread.start()
        try:
            yield server
        finally:
            # Waking up `accept` takes more than closing it.
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _accept(listener: socket.socket, server: FeedServer, context: ssl.SSLContext | None) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, suppress(OSError):
            connection.settimeout(20)
            _serve(context.wrap_socket(connection, server_side=True) if context else connection, server)


def _serve(connection: socket.socket, server: FeedServer) -> None:
    with connection:
        received = b""
        while b"\r\n\r\n" not in received:
            piece = connection.recv(65536)
            if not piece:
                return
            received += piece
        first, *lines = received.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        request = Request(first.split()[1], {name.lower(): value for name, value in headers.items()})
        server.requests.append(request)
        server.answer(request, connection)
