"""The sockets that queries come to: their options, and that a port is nobody else's."""

import errno
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from dnsbl_server.endpoint import Endpoint
from dnsbl_server.engine import binding
from dnsbl_server.engine.binding import BoundSockets, bind_sockets
from tests.serving import PATIENCE, needs_ipv6

ANY = Endpoint("127.0.0.1", 0)
ANY6 = Endpoint("::1", 0)
SIZE = 65536
# Linux, ip(7).
IP_MTU_DISCOVER, IP_PMTUDISC_PROBE = 10, 3


@contextmanager
def bound(endpoint: Endpoint = ANY, threads: int = 2) -> Iterator[BoundSockets]:
    sockets = bind_sockets(endpoint, threads, SIZE)
    try:
        yield sockets
    finally:
        sockets.close()


@pytest.mark.parametrize("endpoint", [ANY, pytest.param(ANY6, marks=needs_ipv6)])
@pytest.mark.parametrize("threads", [1, 3])
def test_one_port_for_all(endpoint: Endpoint, threads: int) -> None:
    with bound(endpoint, threads) as sockets:
        assert len(sockets.udp) == threads
        assert sockets.endpoint.port > 0
        for sock in (*sockets.udp, sockets.tcp):
            assert sock.getsockname()[:2] == (endpoint.address, sockets.endpoint.port)
            assert not sock.getblocking()


def test_udp_answers_are_never_fragmented_on_their_way() -> None:
    # RFC 9715 section 3.1
    with bound() as sockets:
        for sock in sockets.udp:
            assert sock.getsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER) == IP_PMTUDISC_PROBE


def test_the_receive_buffer_is_as_large_as_asked() -> None:
    with bound() as sockets:
        for sock in sockets.udp:
            # The kernel doubles what is asked for (socket(7)).
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * SIZE


def test_a_restart_need_not_wait_for_old_connections() -> None:
    with bound() as sockets:
        port = sockets.endpoint.port
        sockets.tcp.listen()
        sockets.tcp.setblocking(True)
        with closing(socket.create_connection(("127.0.0.1", port), PATIENCE)) as client:
            accepted, _ = sockets.tcp.accept()
            # The side that closes first is the one that waits (TIME_WAIT).
            accepted.close()
            assert client.recv(1) == b""
    with bound(Endpoint("127.0.0.1", port)) as again:
        assert again.endpoint.port == port


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
@pytest.mark.parametrize("option", [0, socket.SO_REUSEPORT])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_port_that_another_program_has_is_an_error(kind: socket.SocketKind, option: int, threads: int) -> None:
    with closing(socket.socket(socket.AF_INET, kind)) as other:
        if option:
            other.setsockopt(socket.SOL_SOCKET, option, 1)
        other.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        with pytest.raises(OSError) as caught:
            bind_sockets(Endpoint("127.0.0.1", other.getsockname()[1]), threads, SIZE)
        assert caught.value.errno == errno.EADDRINUSE


def test_where_any_port_will_do_one_is_found_that_is_free_for_both(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    bind_tcp = binding._bind_tcp

    def taken_twice(endpoint: Endpoint) -> socket.socket:
        tried.append(endpoint.port)
        if len(tried) <= 2:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        return bind_tcp(endpoint)

    monkeypatch.setattr(binding, "_bind_tcp", taken_twice)
    with bound() as sockets:
        assert sockets.endpoint.port == tried[2]
    assert len(tried) == 3


@needs_ipv6
def test_all_ipv6_addresses_leave_the_ipv4_addresses_to_others() -> None:
    with bound(Endpoint("::", 0)) as sockets, bound(Endpoint("0.0.0.0", sockets.endpoint.port)) as others:
        assert others.endpoint.port == sockets.endpoint.port
