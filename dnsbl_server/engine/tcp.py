"""DNS over TCP (RFC 7766): messages with a length in front, many on one connection.

Owns the connections: how many there may be and which one gives way, how long they may be idle, and whose turn it is.
A connection counts as idle from its last answer on, so sending byte by byte, or never reading, gains nothing. What was
just read waits in one queue of connections, and whoever sends more than is answered in a turn in another one, which
takes nothing from the first; in both the clients take turns, however many connections each has. What a connection has
sent beyond that stays with the kernel. `listener` accepts the connections. Knows no DNS but the length.
"""

import asyncio
import contextlib
import socket
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

# Queries of one connection that are answered before another connection gets its turn.
_BATCH = 4
# Seconds that the connections of each queue have before the event loop does something else.
_TURN = 0.001
# What is read from a connection in one go.
_READ = 16384
# Unsent bytes of a connection from which on none of its queries is answered until the client reads.
_MAX_UNSENT = 65536
# A message has a header (RFC 1035 section 4.1.1); a shorter one is the end of a connection.
_LEAST_MESSAGE = 12
# Seconds that are spent at the end on what has arrived already.
_LAST_WORK = 0.5


class TcpLimits(NamedTuple):
    """max_connections: on all sockets together; idle_timeout: seconds."""

    max_connections: int
    idle_timeout: float


class TcpConnections:
    """All connections of the server. For one event loop."""

    def __init__(self, answer: Callable[[bytes], bytes | None], limits: TcpLimits) -> None:
        """answer: makes the answer to a message; None where there is none."""
        self.answer = answer
        self.limits = limits
        self.buffer = memoryview(bytearray(_READ))
        self._open = _OpenConnections()
        # Those that were read from since they were served, and those that had more than one turn takes.
        self._fresh = _Queue()
        self._queue = _Queue()
        self._next: asyncio.Handle | None = None

    def __len__(self) -> int:
        return len(self._open)

    def protocol(self) -> asyncio.BufferedProtocol:
        """A protocol for a new connection, as asyncio's servers want it."""
        return TcpConnection(self)

    def add(self, connection: "TcpConnection") -> None:
        """Take a connection on. Over the limit, the client with the most loses the one that has been idle longest."""
        self._open.add(connection)
        if len(self._open) > self.limits.max_connections:
            self.give_way()

    def give_way(self) -> None:
        """Abort the connection that has been idle longest, of a client with the most; nothing where there is none."""
        if self._open:
            oldest = self._open.choose()
            self.remove(oldest)
            oldest.abort()

    def touch(self, connection: "TcpConnection") -> None:
        """Note that a query of a connection has just been answered."""
        self._open.touch(connection)

    def remove(self, connection: "TcpConnection") -> None:
        self._open.remove(connection)

    def wait(self, connection: "TcpConnection") -> None:
        """Give a connection that was just read from a place in the queue."""
        self._fresh.add(connection)
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._take_turns)

    def close(self) -> None:
        """Answer what has arrived, as far as the time allows, and close all connections."""
        if self._next is not None:
            self._next.cancel()
        now = asyncio.get_running_loop().time
        end = now() + _LAST_WORK
        while (self._fresh or self._queue) and now() < end:
            self._serve(self._fresh, end - now())
            self._serve(self._queue, end - now())
        for connection in self._open:
            connection.close()

    def _take_turns(self) -> None:
        self._next = None
        self._serve(self._fresh, _TURN)
        self._serve(self._queue, _TURN)
        if self._fresh or self._queue:
            self._next = asyncio.get_running_loop().call_soon(self._take_turns)

    def _serve(self, queue: "_Queue", seconds: float) -> None:
        """Give each connection of a queue one turn, for some seconds, but at least the first one."""
        now = asyncio.get_running_loop().time
        end = now() + seconds
        for _ in range(len(queue)):
            connection = queue.take()
            if connection.serve():
                self._queue.add(connection)
            if now() >= end:
                return


class _Queue:
    """Connections that wait for their turn. Each client has a turn after the other, and so have its connections."""

    def __init__(self) -> None:
        self._count = 0
        self._clients: OrderedDict[str, deque[TcpConnection]] = OrderedDict()

    def __len__(self) -> int:
        return self._count

    def add(self, connection: "TcpConnection") -> None:
        self._clients.setdefault(connection.client, deque()).append(connection)
        self._count += 1

    def take(self) -> "TcpConnection":
        """Take out the connection whose turn it is."""
        client, own = next(iter(self._clients.items()))
        connection = own.popleft()
        if own:
            self._clients.move_to_end(client)
        else:
            del self._clients[client]
        self._count -= 1
        return connection


class _OpenConnections:
    """The open connections by client. Every operation takes constant time, however many there are."""

    def __init__(self) -> None:
        self._count = 0
        # Of each client, the one that has been idle longest first.
        self._clients: dict[str, OrderedDict[TcpConnection, None]] = {}
        # The clients with so many connections, the one that has been idle longest first.
        self._ranks: dict[int, OrderedDict[str, None]] = {}
        self._most = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> "Iterator[TcpConnection]":
        return iter([connection for own in self._clients.values() for connection in own])

    def add(self, connection: "TcpConnection") -> None:
        own = self._clients.setdefault(connection.client, OrderedDict())
        own[connection] = None
        self._rank(connection.client, len(own) - 1, len(own))
        self._count += 1

    def remove(self, connection: "TcpConnection") -> None:
        own = self._clients.get(connection.client)
        if own is None or connection not in own:
            return
        del own[connection]
        self._rank(connection.client, len(own) + 1, len(own))
        if not own:
            del self._clients[connection.client]
        self._count -= 1

    def touch(self, connection: "TcpConnection") -> None:
        own = self._clients.get(connection.client)
        if own is not None and connection in own:
            own.move_to_end(connection)
            self._ranks[len(own)].move_to_end(connection.client)

    def choose(self) -> "TcpConnection":
        """The connection that has been idle longest, of a client with the most connections."""
        client = next(iter(self._ranks[self._most]))
        return next(iter(self._clients[client]))

    def _rank(self, client: str, before: int, after: int) -> None:
        if before:
            del self._ranks[before][client]
            if not self._ranks[before]:
                del self._ranks[before]
        if after:
            self._ranks.setdefault(after, OrderedDict())[client] = None
        # A client has one more or one less than before, and so has the one with the most.
        self._most = max(self._most, after)
        if self._most not in self._ranks:
            self._most -= 1


class TcpConnection(asyncio.BufferedProtocol):
    """One connection."""

    def __init__(self, connections: TcpConnections) -> None:
        self.client = ""
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._can_write = True
        self._has_ended = False
        self._is_queued = False
        self._active = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.client = str((transport.get_extra_info("peername") or ("",))[0])
        with contextlib.suppress(OSError):  # it is gone again
            # An answer does not wait until the one before it is acknowledged; asyncio sets this only for sockets that
            # were made with the number of the protocol.
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_write_buffer_limits(high=_MAX_UNSENT)
        self._connections.add(self)
        if not transport.is_closing():
            self._timer = self._loop.call_later(self._connections.limits.idle_timeout, self._check_idle)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.remove(self)
        self._received.clear()
        if self._timer is not None:
            self._timer.cancel()

    def get_buffer(self, sizehint: int) -> memoryview:
        # One for all: what is read is taken out of it before anything else is read.
        return self._connections.buffer

    def buffer_updated(self, size: int) -> None:
        self._received += self._connections.buffer[:size]
        if self._is_queued and self._transport is not None:
            # Enough, until it is this connection's turn.
            self._transport.pause_reading()
        self._begin()

    def eof_received(self) -> bool:
        """The client sends no more; what it asked is still answered (RFC 7766 section 6.2.4)."""
        self._has_ended = True
        self._begin()
        return True

    def pause_writing(self) -> None:
        self._can_write = False

    def resume_writing(self) -> None:
        self._can_write = True
        self._begin()

    def abort(self) -> None:
        """Give the connection up at once, with what is not sent."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close the connection once what is answered has been sent."""
        if self._transport is not None:
            self._transport.close()

    def serve(self) -> bool:
        """Answer some of the queries that are here whole; whether to go on with this connection."""
        self._is_queued = False
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        now = self._loop.time
        end = now() + _TURN
        answers = bytearray()
        messages = 0
        has_more = True
        while messages < _BATCH and self._can_write and len(answers) < _MAX_UNSENT and now() < end:
            message = self._take()
            if message is None:
                has_more = False
                break
            messages += 1
            answer = self._connections.answer(message)
            if answer is not None:
                answers += len(answer).to_bytes(2) + answer
        if answers:
            self._active = now()
            self._connections.touch(self)
            transport.write(answers)
        if transport.is_closing():
            return False
        if has_more:
            transport.pause_reading()
            # Otherwise it goes on when the client has read.
            self._is_queued = self._can_write
            return self._is_queued
        if self._has_ended:
            transport.close()
        else:
            transport.resume_reading()
        return False

    def _begin(self) -> None:
        """Have the queries that have arrived answered when it is this connection's turn."""
        if not self._is_queued and self._can_write:
            self._is_queued = True
            self._connections.wait(self)

    def _take(self) -> bytes | None:
        """The next whole message, or None where there is none yet."""
        received = self._received
        if len(received) < 2:
            return None
        size = int.from_bytes(received[:2])
        if size < _LEAST_MESSAGE:
            self.abort()
            return None
        if len(received) < 2 + size:
            return None
        message = bytes(received[2 : 2 + size])
        del received[: 2 + size]
        return message

    def _check_idle(self) -> None:
        left = self._active + self._connections.limits.idle_timeout - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check_idle)
        else:
            self.abort()
