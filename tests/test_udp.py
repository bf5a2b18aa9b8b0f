"""UDP: every kind of answer over real sockets, from the address that was asked, and none lost by a full socket."""

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from dnsbl_server.udp import UdpListener
from tests.answers import CASES, HEADER, MALFORMED, QUESTION, Case, message, reverse
from tests.serving import PATIENCE, ServerProcess, needs_ipv6


@pytest.fixture(scope="module", params=["127.0.0.1:0", pytest.param("[::1]:0", marks=needs_ipv6)])
def server(request: pytest.FixtureRequest, zones: Path) -> Iterator[ServerProcess]:
    with ServerProcess(str(zones), listen=(request.param,)) as process:
        yield process


def connect(host: str, port: int) -> socket.socket:
    """A client that takes answers from the asked address alone."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(PATIENCE)
    sock.connect((host, port))
    return sock


@pytest.mark.parametrize("case", CASES, ids=str)
def test_answer(server: ServerProcess, case: Case) -> None:
    case.check(dns.query.udp(case.query(), server.host, PATIENCE, server.port))


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed(server: ServerProcess, kind: str) -> None:
    packet, rcode = MALFORMED[kind]
    with closing(connect(server.host, server.port)) as client:
        client.send(packet)
        client.send(message(number=8))
        first = client.recv(65535)
        if rcode is not None:
            reply = dns.message.from_wire(first)
            assert (reply.id, reply.rcode()) == (7, rcode)
            assert reply.flags & dns.flags.QR
            assert reply.opcode() == int.from_bytes(packet[2:4]) >> 11 & 15
            first = client.recv(65535)
        # Whatever it was, the next query is answered, and nothing came in between.
        assert (HEADER.unpack_from(first)[0], dns.message.from_wire(first).rcode()) == (8, dns.rcode.NOERROR)


def test_question_comes_back_as_it_was_written(server: ServerProcess) -> None:
    question = QUESTION.replace(b"bl", b"bL").replace(b"test", b"TeSt")
    with closing(connect(server.host, server.port)) as client:
        client.send(message(question))
        reply = client.recv(65535)
    assert reply[HEADER.size :].startswith(question)
    assert HEADER.unpack_from(reply)[3] == 2


@pytest.mark.parametrize("flags", [0, dns.flags.RD, dns.flags.RD | dns.flags.AD | dns.flags.CD | dns.flags.RA])
def test_flags(server: ServerProcess, flags: int) -> None:
    query = dns.message.make_query(reverse("192.0.2.7"), "A")
    query.flags = dns.flags.Flag(flags)
    reply = dns.query.udp(query, server.host, PATIENCE, server.port)
    expected = dns.flags.QR | dns.flags.AA | flags & dns.flags.RD
    # CD may be copied (RFC 4035 section 3.1.6) or not.
    assert reply.flags & ~dns.flags.CD == expected


def test_no_edns_without_edns(server: ServerProcess) -> None:
    assert server.ask(reverse("192.0.2.7")).edns == -1


@pytest.mark.parametrize("do", [False, True])
@pytest.mark.parametrize("address", ["192.0.2.7", "198.51.100.1"])
def test_edns(server: ServerProcess, address: str, do: bool) -> None:
    reply = server.ask(reverse(address), use_edns=0, payload=4096, want_dnssec=do)
    assert (reply.edns, reply.payload, bool(reply.ednsflags & dns.flags.DO)) == (0, 1232, do)
    assert reply.options == ()


@pytest.mark.parametrize(
    ("address", "payload", "cut"),
    [
        ("192.0.2.2", None, True),
        ("192.0.2.2", 100, True),
        ("192.0.2.2", 900, True),
        ("192.0.2.2", 1232, False),
        ("192.0.2.2", 65535, False),
        ("192.0.2.1", None, True),
        ("192.0.2.1", 1232, True),
        ("192.0.2.1", 65535, True),
    ],
)
def test_too_long_is_truncated(server: ServerProcess, address: str, payload: int | None, cut: bool) -> None:
    options: dict[str, Any] = {} if payload is None else {"use_edns": 0, "payload": payload}
    reply = server.ask(reverse(address, "big.test"), "TXT", **options)
    assert bool(reply.flags & dns.flags.TC) == cut
    assert sum(map(len, reply.answer)) == (0 if cut else 2)
    assert len(reply.to_wire()) <= min(max(payload or 0, 512), 1232)


def test_many_at_once(server: ServerProcess) -> None:
    # More than the server takes in one go, fewer than a client's own buffer holds.
    numbers = range(1, 101)
    with closing(connect(server.host, server.port)) as client:
        for number in numbers:
            client.send(message(number=number))
        replies = [client.recv(65535) for _ in numbers]
    assert [HEADER.unpack_from(reply)[0] for reply in replies] == list(numbers)


@pytest.fixture(scope="module")
def wildcard(zones: Path) -> Iterator[dict[int, int]]:
    """The port of a server on every address, by the version of IP."""
    ipv6 = needs_ipv6.args[0]
    listen = ("0.0.0.0:0",) if ipv6 else ("0.0.0.0:0", "[::]:0")
    with ServerProcess(str(zones), listen=listen) as process:
        yield {6 if ":" in host else 4: port for host, port in process.endpoints}


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "127.0.0.77", pytest.param("::1", marks=needs_ipv6)])
def test_wildcard_answers_from_the_asked_address(wildcard: dict[int, int], address: str) -> None:
    with closing(connect(address, wildcard[6 if ":" in address else 4])) as client:
        for number in (1, 2):
            client.send(message(number=number))
            assert HEADER.unpack_from(client.recv(65535))[0] == number


class CloggedSocket(socket.socket):
    """A UDP socket that can be made to take no more.

    sent: the tries; ancillary: what the last of them had beside the packet.
    """

    error: OSError | None = None
    sent = 0
    ancillary: object = None

    def sendmsg(self, *args: Any) -> int:
        self.sent += 1
        self.ancillary = args[1]
        if self.error is not None:
            raise self.error
        return super().sendmsg(*args)


FULL = BlockingIOError(errno.EAGAIN, "full")


def run_listener(
    test: Callable[[CloggedSocket, UdpListener, socket.socket, list[bytes], list[None]], Any],
    bind: str = "127.0.0.1",
    ask: str = "127.0.0.1",
) -> None:
    """Run a coroutine function with a listener that echoes, its client, and what it has answered and dropped."""

    async def run() -> None:
        sock = CloggedSocket(socket.AF_INET6 if ":" in bind else socket.AF_INET, socket.SOCK_DGRAM)
        answered: list[bytes] = []
        dropped: list[None] = []

        def answer(packet: bytes) -> bytes | None:
            answered.append(packet)
            return packet if packet else None

        sock.setblocking(False)
        sock.bind((bind, 0))
        with closing(sock), closing(connect(ask, sock.getsockname()[1])) as client:
            listener = UdpListener(sock, answer, lambda: dropped.append(None))
            await test(sock, listener, client, answered, dropped)
            if sock.fileno() >= 0:
                listener.close()

    asyncio.run(asyncio.wait_for(run(), PATIENCE))


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop work until something is so; `run_listener` has the deadline."""
    while not condition():  # noqa: ASYNC110 - a socket tells no event
        await asyncio.sleep(0.001)


def numbered(count: int) -> list[bytes]:
    return [number.to_bytes(2) for number in range(count)]


def test_full_socket_loses_nothing() -> None:
    async def full(
        sock: CloggedSocket, _: UdpListener, client: socket.socket, answered: list[bytes], dropped: list[None]
    ) -> None:
        packets = numbered(150)
        sock.error = FULL
        for packet in packets:
            client.send(packet)
        # It goes on trying with the one answer that it has, and takes no more.
        await until(lambda: sock.sent >= 5)
        assert answered == packets[:1]
        sock.error = None
        await until(lambda: len(answered) == len(packets))
        assert [client.recv(100) for _ in packets] == packets
        assert dropped == []

    run_listener(full)


def test_socket_that_is_full_again_and_again_loses_nothing() -> None:
    async def stutter(
        sock: CloggedSocket, _: UdpListener, client: socket.socket, answered: list[bytes], dropped: list[None]
    ) -> None:
        packets = numbered(30)
        received = []
        for packet in packets:
            sock.error = FULL
            before = sock.sent
            client.send(packet)
            await until(lambda before=before: sock.sent > before)  # type: ignore[misc]
            sock.error = None
            received.append(await asyncio.to_thread(client.recv, 100))
        assert received == packets
        assert answered == packets
        assert dropped == []

    run_listener(stutter)


def test_answer_that_cannot_be_sent_is_counted() -> None:
    async def refuse(
        sock: CloggedSocket, _: UdpListener, client: socket.socket, answered: list[bytes], dropped: list[None]
    ) -> None:
        sock.error = OSError(errno.EINVAL, "port 0")
        client.send(b"1")
        client.send(b"2")
        await until(lambda: len(answered) == 2)
        sock.error = None
        client.send(b"3")
        assert await asyncio.to_thread(client.recv, 100) == b"3"
        assert len(dropped) == 2

    run_listener(refuse)


def test_what_gets_no_answer_is_not_sent() -> None:
    async def silence(
        sock: CloggedSocket, _: UdpListener, client: socket.socket, answered: list[bytes], dropped: list[None]
    ) -> None:
        client.send(b"")
        client.send(b"1")
        assert await asyncio.to_thread(client.recv, 100) == b"1"
        assert (answered, sock.sent, dropped) == ([b"", b"1"], 1, [])

    run_listener(silence)


@pytest.mark.parametrize("count", [1, 150])
def test_close_answers_what_has_arrived(count: int) -> None:
    async def close(
        sock: CloggedSocket, listener: UdpListener, client: socket.socket, answered: list[bytes], _: list[None]
    ) -> None:
        packets = numbered(count)
        for packet in packets:
            client.send(packet)
        listener.close()
        assert answered == packets
        assert [client.recv(100) for _ in packets] == packets

    run_listener(close)


def test_close_with_a_full_socket_counts_what_it_drops() -> None:
    async def close(
        sock: CloggedSocket, listener: UdpListener, client: socket.socket, answered: list[bytes], dropped: list[None]
    ) -> None:
        sock.error = FULL
        client.send(b"1")
        await until(lambda: sock.sent >= 1)
        listener.close()
        assert answered == [b"1"]
        assert len(dropped) == 1

    run_listener(close)


@pytest.mark.parametrize(
    ("bind", "ask", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", []),
        # The interface is left to the kernel: the way back need not be the way here.
        ("0.0.0.0", "127.0.0.2", [(socket.IPPROTO_IP, 8, bytes(4) + b"\x7f\0\0\2" + bytes(4))]),
        pytest.param("::1", "::1", [], marks=needs_ipv6),
        pytest.param(
            "::", "::1", [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, bytes(15) + b"\1" + bytes(4))], marks=needs_ipv6
        ),
    ],
)
def test_source_of_the_answer(bind: str, ask: str, expected: object) -> None:
    async def echo(
        sock: CloggedSocket, _: UdpListener, client: socket.socket, answered: list[bytes], dropped: list[None]
    ) -> None:
        client.send(b"1")
        await until(lambda: sock.sent == 1)
        assert sock.ancillary == expected
        assert (answered, dropped) == ([b"1"], [])

    run_listener(echo, bind, ask)
