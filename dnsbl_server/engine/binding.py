"""The sockets that queries come to, for UDP and TCP on each endpoint.

Owns their options, and that the port is nobody else's. Knows no DNS, and not who reads from them.
"""

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from dnsbl_server.endpoint import Endpoint

# Where any port will do: how many are tried until one is free for both UDP and TCP.
_ATTEMPTS = 20
# Linux, socket(7) and ip(7); Python has no names for them.
_SO_RCVBUFFORCE = 33
_IP_MTU_DISCOVER, _IP_PMTUDISC_PROBE = 10, 3


@dataclass(frozen=True, eq=False)
class BoundSockets:
    """The sockets of one endpoint, whose port is a real one: a UDP socket for each thread, and one for TCP."""

    endpoint: Endpoint
    udp: tuple[socket.socket, ...]
    tcp: socket.socket

    def close(self) -> None:
        """Close them all."""
        for sock in (*self.udp, self.tcp):
            sock.close()


def bind_sockets(endpoint: Endpoint, threads: int, receive_buffer: int) -> BoundSockets:
    """Bind the sockets of an endpoint. threads: those that answer UDP; receive_buffer: bytes. Raises OSError."""
    for attempt in range(_ATTEMPTS):
        try:
            return _bind_once(endpoint, threads, receive_buffer)
        except OSError as error:
            # For any port: the UDP port was free, and somebody has the TCP port of that number.
            if endpoint.port or error.errno != errno.EADDRINUSE or attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _bind_once(endpoint: Endpoint, threads: int, receive_buffer: int) -> BoundSockets:
    with ExitStack() as opened:
        first = opened.enter_context(_bind_udp(endpoint, receive_buffer, is_shared=False))
        bound = Endpoint(endpoint.address, first.getsockname()[1])
        tcp = opened.enter_context(_bind_tcp(bound))
        udp = (first, *_bind_others(first, bound, threads, receive_buffer, opened))
        opened.pop_all()
        return BoundSockets(bound, udp, tcp)


def _bind_others(
    first: socket.socket, endpoint: Endpoint, threads: int, receive_buffer: int, opened: ExitStack
) -> Iterator[socket.socket]:
    """The UDP sockets of the other threads.

    The first one was bound alone, which fails where anybody else has the port: from the moment on that two sockets
    share a port, each gets a part of the packets.
    """
    if threads > 1:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    for _ in range(threads - 1):
        yield opened.enter_context(_bind_udp(endpoint, receive_buffer, is_shared=True))


def _bind_udp(endpoint: Endpoint, receive_buffer: int, is_shared: bool) -> socket.socket:
    def set_options(sock: socket.socket) -> None:
        _set_receive_buffer(sock, receive_buffer)
        if sock.family == socket.AF_INET:
            # "Don't fragment", whatever ICMP says of the path (RFC 9715 section 3.1): answers fit all paths.
            sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_PROBE)
        if is_shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)

    return _bind(endpoint, socket.SOCK_DGRAM, set_options)


def _bind_tcp(endpoint: Endpoint) -> socket.socket:
    def set_options(sock: socket.socket) -> None:
        # A restart need not wait for the connections of the last run.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    return _bind(endpoint, socket.SOCK_STREAM, set_options)


def _bind(endpoint: Endpoint, kind: socket.SocketKind, set_options: Callable[[socket.socket], None]) -> socket.socket:
    family = socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        if family == socket.AF_INET6:
            # [::] is IPv6 alone; who wants both says 0.0.0.0 as well.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        set_options(sock)
        sock.bind((endpoint.address, endpoint.port))
    except BaseException:
        sock.close()
        raise
    return sock


def _set_receive_buffer(sock: socket.socket, size: int) -> None:
    """Room for what arrives while the server is busy; past the system's limit where that is allowed."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
