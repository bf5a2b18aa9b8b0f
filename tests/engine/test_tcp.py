"""TCP: the answers of UDP over connections, many on each, and no client that can hold the server up."""

import asyncio
import contextlib
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import cast

import dns.flags
import dns.message
import dns.query
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl_server.engine.tcp import _LAST_WORK, TcpConnection, TcpConnections, TcpLimits, _OpenConnections
from tests.answers import BIG_TEXTS, CASES, HEADER, MALFORMED, Case, framed, message, reverse, unframed
from tests.asking import padded
from tests.serving import PATIENCE, ServerProcess, needs_ipv6

pytestmark = pytest.mark.server

NUMBERS = range(1, 301)
QUERIES = [message(number=number) for number in NUMBERS]
# A question with an answer of 1,900 bytes.
BIG_QUERY = dns.message.make_query(reverse("192.0.2.1", "big.test"), "TXT").to_wire()


@pytest.fixture(scope="module", params=["127.0.0.1:0", pytest.param("[::1]:0", marks=needs_ipv6)])
def server(request: pytest.FixtureRequest, zones: Path) -> Iterator[ServerProcess]:
    with ServerProcess(str(zones), listen=(request.param,)) as process:
        yield process


def start(zones: Path, settings: str) -> ServerProcess:
    config = zones / "settings"
    config.write_text(settings)
    return ServerProcess("--config", str(config), str(zones))


@pytest.fixture(scope="module")
def impatient(zones: Path) -> Iterator[ServerProcess]:
    """A server that cuts connections off after a second."""
    with start(zones, "tcp_idle_timeout: 1\n") as process:
        yield process


class Client:
    """A connection that speaks the framing and nothing more."""

    def __init__(self, server: ServerProcess, receive_buffer: int | None = None, source: str = "") -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in server.host else socket.AF_INET)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            self.socket.bind((source, 0))
        self.socket.settimeout(PATIENCE)
        self.socket.connect((server.host, server.port))

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self) -> bytes:
        """The next message."""
        return self._exactly(int.from_bytes(self._exactly(2)))

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += (part := self.socket.recv(size - len(data)))
            assert part, "the server has closed the connection"
        return data

    def rest(self) -> bytes:
        """All that comes until the server closes the connection; a reset is an error."""
        data = bytearray()
        while part := self.socket.recv(65536):
            data += part
        return bytes(data)

    def is_answered(self) -> bool:
        self.send(framed(message(number=77)))
        return number_of(self.receive()) == 77

    def is_cut_off(self) -> bool:
        """Wait until the server has ended the connection, one way or another, with nothing sent before."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


def number_of(reply: bytes) -> int:
    return int(HEADER.unpack_from(reply)[0])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_answer_over_tcp(server: ServerProcess, case: Case) -> None:
    case.check(dns.query.tcp(case.query(), server.host, PATIENCE, server.port))


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed(server: ServerProcess, kind: str) -> None:
    packet, rcode = MALFORMED[kind]
    if len(packet) < 12:
        return  # over TCP that is the end of the connection
    with Client(server) as client:
        client.send(framed(packet, message(number=8)))
        replies = {number_of(reply): reply for reply in (client.receive() for _ in range(1 if rcode is None else 2))}
        if rcode is not None:
            assert dns.message.from_wire(replies.pop(7)).rcode() == rcode
        assert list(replies) == [8]


def test_answer_that_is_truncated_over_udp(server: ServerProcess) -> None:
    name = reverse("192.0.2.1", "big.test")
    assert server.ask(name, "TXT", use_edns=0, payload=65535).flags & dns.flags.TC
    reply = server.ask(name, "TXT", tcp=True)
    assert not reply.flags & dns.flags.TC
    texts = {b"".join(rdata.strings).decode() for rdata in reply.answer[0]}
    assert texts == set(BIG_TEXTS)


def test_the_size_of_edns_does_not_limit_tcp(server: ServerProcess) -> None:
    reply = server.ask(reverse("192.0.2.1", "big.test"), "TXT", tcp=True, use_edns=0, payload=512, want_dnssec=True)
    # The size is about UDP alone.
    assert len(reply.answer[0]) == len(BIG_TEXTS)
    assert (reply.edns, reply.payload, bool(reply.ednsflags & dns.flags.DO)) == (0, 1232, True)


@pytest.mark.parametrize("size", [1, 2, 7, 1000, len(framed(*QUERIES))])
def test_pipelining_in_segments_of_any_size(server: ServerProcess, size: int) -> None:
    data = framed(*QUERIES)
    with Client(server) as client:
        for at in range(0, len(data), size):
            client.send(data[at : at + size])
        replies = [client.receive() for _ in QUERIES]
    assert sorted(map(number_of, replies)) == list(NUMBERS)
    assert len({reply[2:] for reply in replies}) == 1


def test_half_a_query_holds_nobody_up(server: ServerProcess) -> None:
    data = framed(message())
    with ExitStack() as stack:
        for split in range(1, len(data)):
            slow = stack.enter_context(Client(server))
            slow.send(data[:split])
            with Client(server) as other:
                assert other.is_answered()
            slow.send(data[split:])
            assert number_of(slow.receive()) == 7


def test_answers_of_a_connection_wait_for_no_other_query(server: ServerProcess) -> None:
    with Client(server) as client:
        client.send(framed(message(number=1)) + framed(message(number=2))[:10])
        assert number_of(client.receive()) == 1
        client.send(framed(message(number=2))[10:])
        assert number_of(client.receive()) == 2


@pytest.mark.parametrize("count", [0, 1, 300])
@pytest.mark.parametrize("rest", [b"", b"\0", framed(message())[:-1]], ids=["whole", "half a length", "half a query"])
def test_half_closed_connection_gets_its_answers(server: ServerProcess, count: int, rest: bytes) -> None:
    with Client(server) as client:
        client.send(framed(*QUERIES[:count]) + rest)
        client.socket.shutdown(socket.SHUT_WR)
        assert [number_of(reply) for reply in unframed(client.rest())] == list(NUMBERS[:count])


def test_half_closed_connection_that_reads_late_gets_its_answers(server: ServerProcess) -> None:
    # The client takes little at once, so its end comes while the server cannot write.
    count = 1500
    with Client(server, receive_buffer=4096) as client:

        def send() -> None:
            client.send(framed(*[BIG_QUERY] * count))
            client.socket.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        answers = client.rest()
        sender.join(PATIENCE)
        assert sum(1 for _ in unframed(answers)) == count


@pytest.mark.parametrize("size", [0, 1, 11])
def test_message_without_a_header_ends_the_connection(server: ServerProcess, size: int) -> None:
    with Client(server) as bystander:
        assert bystander.is_answered()
        with Client(server) as client:
            client.send(framed(bytes(size)))
            assert client.is_cut_off()
        assert bystander.is_answered()


@pytest.mark.parametrize("size", [4096, 4097, 65534, 65535])
@pytest.mark.parametrize("name", [reverse("192.0.2.7"), "bl.test"])
def test_a_query_may_have_any_size(server: ServerProcess, size: int, name: str) -> None:
    with Client(server) as client:
        client.send(framed(*[padded(name, size)] * 3))
        for _ in range(3):
            answer = dns.message.from_wire(client.receive())
            assert answer.rcode() == dns.rcode.NOERROR
            assert answer.answer
        client.send(framed(message().ljust(size, b"\0")))
        assert dns.message.from_wire(client.receive()).rcode() == dns.rcode.FORMERR
        assert client.is_answered()


def test_reset_connection_is_forgotten(impatient: ServerProcess) -> None:
    for _ in range(20):
        with Client(impatient) as client:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, (1).to_bytes(4, "little") + bytes(4))
            client.send(framed(*QUERIES))
    wait_until(lambda: impatient.metric("dnsbl_tcp_connections") == 0)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came to be so"
        time.sleep(0.02)


def test_idle_connection_is_cut_off(impatient: ServerProcess) -> None:
    since = time.monotonic()
    with Client(impatient) as client:
        assert client.is_cut_off()
        assert time.monotonic() - since >= 0.9


def test_idle_connection_is_cut_off_after_an_answer(impatient: ServerProcess) -> None:
    with Client(impatient) as client:
        since = time.monotonic()
        assert client.is_answered()
        assert client.is_cut_off()
        assert time.monotonic() - since >= 0.9


def test_sending_byte_by_byte_is_idle(impatient: ServerProcess) -> None:
    end = time.monotonic() + PATIENCE
    with Client(impatient) as client, contextlib.suppress(ConnectionError):
        client.send((4000).to_bytes(2))
        while not select.select([client.socket], [], [], 0.05)[0]:
            assert time.monotonic() < end, "it is kept alive"
            client.send(b"\0")
        assert client.is_cut_off()


def test_clients_that_never_read_hold_nobody_up(impatient: ServerProcess) -> None:
    flood = framed(*[BIG_QUERY] * 200)
    with ExitStack() as stack:
        deaf = [stack.enter_context(Client(impatient, receive_buffer=4096)) for _ in range(3)]
        poll = select.poll()
        for client in deaf:
            client.socket.setblocking(False)
            poll.register(client.socket, 0)  # errors and the end of the connection are always told
        end = time.monotonic() + PATIENCE
        ended: set[int] = set()
        asked = 0
        while len(ended) < len(deaf):
            assert time.monotonic() < end, "it is never cut off"
            for client in deaf:
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    client.socket.send(flood)
            Case(reverse("192.0.2.7"), "TXT", answers=('TXT "192.0.2.7: spam"',)).check(
                impatient.ask(reverse("192.0.2.7"), "TXT", tcp=bool(asked % 2))
            )
            asked += 1
            ended |= {descriptor for descriptor, _ in poll.poll(20)}
        assert asked >= 4
    wait_until(lambda: impatient.metric("dnsbl_tcp_connections") == 0)


def test_connection_over_the_limit_ends_the_longest_idle_one(zones: Path) -> None:
    with start(zones, "tcp_connections: 3\ntcp_idle_timeout: 1h\n") as server, ExitStack() as stack:
        first, second, third = (stack.enter_context(Client(server)) for _ in range(3))
        # By age and by their last query they are in different orders.
        for client in (first, second, third, first):
            assert client.is_answered()
        fourth = stack.enter_context(Client(server))
        assert second.is_cut_off()
        for client in (fourth, third, first):
            assert client.is_answered()
        assert server.metric("dnsbl_tcp_connections") == 3
        fifth = stack.enter_context(Client(server))
        assert fourth.is_cut_off()
        for client in (third, first, fifth):
            assert client.is_answered()


def test_client_with_many_connections_takes_none_from_others(zones: Path) -> None:
    with start(zones, "tcp_connections: 3\ntcp_idle_timeout: 1h\n") as server, ExitStack() as stack:
        modest = stack.enter_context(Client(server, source="127.0.0.2"))
        assert modest.is_answered()
        greedy = [stack.enter_context(Client(server)) for _ in range(5)]
        for client in greedy[:3]:
            assert client.is_cut_off()
        # It has been idle for the longest, and is the only one of its client.
        for client in (modest, *greedy[3:]):
            assert client.is_answered()


class SkippingLoop(asyncio.SelectorEventLoop):
    """A loop whose time can be moved on."""

    skipped = 0.0

    def time(self) -> float:
        return super().time() + self.skipped


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def run_connections(
    limits: TcpLimits,
    test: Callable[[SkippingLoop, TcpConnections, int], Awaitable[None]],
    answer: Callable[[bytes], bytes | None] = lambda packet: packet,
) -> None:
    """Run a coroutine function with connections that echo, or answer otherwise, and their port."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SkippingLoop)
        connections = TcpConnections(answer, limits)
        listening = await loop.create_server(connections.protocol, "127.0.0.1", 0)
        async with listening:
            await test(loop, connections, listening.sockets[0].getsockname()[1])
            connections.close()

    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        runner.run(run())


async def echo(stream: Stream, data: bytes) -> None:
    reader, writer = stream
    writer.write(framed(data))
    assert await asyncio.wait_for(reader.readexactly(2 + len(data)), PATIENCE) == framed(data)


async def rest_of(stream: Stream) -> bytes:
    return await asyncio.wait_for(stream[0].read(), PATIENCE)


def test_queries_keep_a_connection_alive() -> None:
    async def alive(loop: SkippingLoop, connections: TcpConnections, port: int) -> None:
        stream = await asyncio.open_connection("127.0.0.1", port)
        with closing(stream[1]):
            for _ in range(5):
                loop.skipped += 900
                await echo(stream, b"some long query")
            assert len(connections) == 1
            loop.skipped += 1000
            assert await rest_of(stream) == b""
            assert len(connections) == 0

    run_connections(TcpLimits(10, 1000), alive)


def test_half_queries_do_not_keep_a_connection_alive() -> None:
    async def dripping(loop: SkippingLoop, _: TcpConnections, port: int) -> None:
        stream = await asyncio.open_connection("127.0.0.1", port)
        other = await asyncio.open_connection("127.0.0.1", port)
        with closing(stream[1]), closing(other[1]):
            await echo(stream, b"some long query")
            stream[1].write(b"\x10\0")
            for _step in range(3):
                loop.skipped += 300
                stream[1].write(b"x")
                await echo(other, b"the bytes before this are read")
            loop.skipped += 100
            with contextlib.suppress(ConnectionError):
                assert await rest_of(stream) == b""
            await echo(other, b"it is still alive")

    run_connections(TcpLimits(10, 1000), dripping)


def test_close_sends_what_is_answered() -> None:
    async def close(_: SkippingLoop, connections: TcpConnections, port: int) -> None:
        stream = await asyncio.open_connection("127.0.0.1", port)
        with closing(stream[1]):
            data = framed(*QUERIES[:10])
            stream[1].write(data)
            assert await asyncio.wait_for(stream[0].readexactly(2), PATIENCE) == data[:2]
            connections.close()
            assert await rest_of(stream) == data[2:]

    run_connections(TcpLimits(10, 1000), close)


async def all_are_queued(connections: TcpConnections, count: int) -> None:
    for _ in range(100_000):
        if len(connections._queue) == count:
            return
        await asyncio.sleep(0)
    pytest.fail(f"{len(connections._queue)} connections wait for their turn, not {count}")


def test_answers_do_not_wait_for_acknowledgements() -> None:
    async def check(_: SkippingLoop, connections: TcpConnections, port: int) -> None:
        stream = await asyncio.open_connection("127.0.0.1", port)
        with closing(stream[1]):
            await echo(stream, b"some long query")
            (connection,) = connections._open
            assert connection._transport is not None
            sock = connection._transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    run_connections(TcpLimits(10, 1000), check)


def test_close_takes_no_longer_than_it_may() -> None:
    answered = 0

    def answer(packet: bytes) -> bytes | None:
        nonlocal answered
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SkippingLoop)
        answered += 1
        loop.skipped += 0.02
        return None

    async def close(loop: SkippingLoop, connections: TcpConnections, port: int) -> None:
        streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        with ExitStack() as stack:
            for reader_and_writer in streams:
                stack.enter_context(closing(reader_and_writer[1]))
                reader_and_writer[1].write(framed(*QUERIES))
            await all_are_queued(connections, len(streams))
            before, now = answered, loop.time()
            connections.close()
            assert loop.time() - now < 2 * _LAST_WORK
            assert 0 < answered - before < 2 * _LAST_WORK / 0.02
            for each in streams:
                assert await rest_of(each) == b""

    run_connections(TcpLimits(100, 1000), close, answer)


def test_floods_leave_their_turn_to_others() -> None:
    flood = 0

    def answer(packet: bytes) -> bytes | None:
        nonlocal flood
        if packet.startswith(b"a good"):
            return packet
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SkippingLoop)
        flood += 1
        loop.skipped += 0.0002
        return None

    async def ask(_: SkippingLoop, connections: TcpConnections, port: int) -> None:
        streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(100)]
        with ExitStack() as stack:
            for each in streams:
                stack.enter_context(closing(each[1]))
                each[1].write(framed(*QUERIES * 10))
            good = await asyncio.open_connection("127.0.0.1", port)
            stack.enter_context(closing(good[1]))
            await all_are_queued(connections, len(streams))
            before = flood
            for _query in range(10):
                await echo(good, b"a good query")
            # Of each connection that floods a hundred thousand bytes wait; not one of its rounds comes in between.
            assert flood - before < 10 * len(streams)
            assert sum(bool(each._received) for each in connections._open) >= len(streams)

    run_connections(TcpLimits(200, 100_000), ask, answer)


@pytest.mark.parametrize("is_more", [False, True], ids=["one query each", "many queries each"])
def test_a_client_with_queries_that_take_long_leaves_others_their_turn(is_more: bool) -> None:
    took = 0.003

    def answer(packet: bytes) -> bytes | None:
        if packet.startswith(b"a good"):
            return packet
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SkippingLoop)
        loop.skipped += took
        return None

    async def ask(loop: SkippingLoop, _: TcpConnections, port: int) -> None:
        streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(100)]
        with ExitStack() as stack:
            for each in streams:
                stack.enter_context(closing(each[1]))
            good = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
            stack.enter_context(closing(good[1]))
            await echo(good, b"a good query")
            for _query in range(5):
                for each in streams:
                    each[1].write(framed(*QUERIES[: 50 if is_more else 1]))
                before = loop.skipped
                await echo(good, b"a good query")
                # A turn of the other client in each queue, for each round of the loop that this client here takes too.
                assert loop.skipped - before <= len(streams) * took / 4

    run_connections(TcpLimits(200, 100_000), ask, answer)


def test_a_turn_ends_with_its_time() -> None:
    async def ask(_: SkippingLoop, connections: TcpConnections, port: int) -> None:
        stream = await asyncio.open_connection("127.0.0.1", port)
        with closing(stream[1]):
            stream[1].write(framed(*QUERIES[:4]))
            await all_are_queued(connections, 1)
            (connection,) = connections._open
            # All four would fit into one turn.
            assert connection._received
            assert await asyncio.wait_for(stream[0].readexactly(len(framed(*QUERIES[:4]))), PATIENCE)

    def answer(packet: bytes) -> bytes | None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SkippingLoop)
        loop.skipped += 0.01
        return packet

    run_connections(TcpLimits(200, 100_000), ask, answer)


class Peer:
    """Stands for a connection."""

    def __init__(self, client: str) -> None:
        self.client = client


@given(st.lists(st.tuples(st.sampled_from("art"), st.sampled_from("wxyz"), st.integers(0, 5)), max_size=60))
def test_who_gives_way(steps: list[tuple[str, str, int]]) -> None:
    """One of a client with the most connections, and of its connections the one that has been idle longest."""
    connections = _OpenConnections()
    expected: list[TcpConnection] = []  # the one that has been idle longest first
    for step, client, number in steps:
        own = [each for each in expected if each.client == client]
        if step == "a":
            connection = cast(TcpConnection, Peer(client))
            connections.add(connection)
            expected.append(connection)
        elif own:
            connection = own[number % len(own)]
            expected.remove(connection)
            if step == "t":
                connections.touch(connection)
                expected.append(connection)
            else:
                connections.remove(connection)
                connections.remove(connection)
                connections.touch(connection)
        assert len(connections) == len(expected)
        assert set(connections) == set(expected)
        if expected:
            count = Counter(each.client for each in expected)
            chosen = connections.choose()
            assert count[chosen.client] == max(count.values())
            assert chosen is next(each for each in expected if each.client == chosen.client)
