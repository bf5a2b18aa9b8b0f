"""DNS over TCP (RFC 7766): messages with a length in front, many on one connection.

Owns the connections: how many, how long they may be idle, and that none delays the others. A connection counts as
idle from its last whole query on, so sending byte by byte, or never reading, gains nothing. Knows no DNS
but the length.
"""

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from dnsbl_server.engine._view import MAX_QUERY

log = logging.getLogger(__name__)

# Queries answered in one go before others get their turn.
_BATCH = 16
# Unsent bytes per connection at which no more of its queries are answered until the client reads.
_MAX_UNSENT = 65536


class TcpLimits(NamedTuple):
    """max_connections: on all sockets together; idle_timeout: seconds."""

    max_connections: int
    idle_timeout: float


class TcpConnections:
    """All connections of the server, in the order of their last query: the longest idle first."""

    def __init__(self, answer: Callable[[bytes], bytes | None], limits: TcpLimits) -> None:
        self.answer = answer
        self.limits = limits
        self._open: OrderedDict[TcpConnection, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def protocol(self) -> asyncio.Protocol:
        """A protocol for a new connection, as asyncio's servers want it."""
        return TcpConnection(self)

    def add(self, connection: "TcpConnection") -> None:
        """Take a connection on. Over the limit, the client with the most loses the one that has been idle longest."""
        self._open[connection] = None
        if len(self._open) > self.limits.max_connections:
            clients = Counter(each.client for each in self._open)
            most = max(clients.values())
            oldest = next(each for each in self._open if clients[each.client] == most)
            self.remove(oldest)
            oldest.abort()

    def touch(self, connection: "TcpConnection") -> None:
        """Note that a connection has just had a query."""
        if connection in self._open:
            self._open.move_to_end(connection)

    def remove(self, connection: "TcpConnection") -> None:
        self._open.pop(connection, None)

    def close(self) -> None:
        for connection in list(self._open):
            connection.close()


class TcpConnection(asyncio.Protocol):
    """One connection."""

    def __init__(self, connections: TcpConnections) -> None:
        self.client = ""
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._can_write = True
        self._ended = False
        self._active = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._next: asyncio.Handle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.client = str((transport.get_extra_info("peername") or ("",))[0])
        transport.set_write_buffer_limits(high=_MAX_UNSENT)
        self._connections.add(self)
        if not transport.is_closing():
            self._timer = self._loop.call_later(self._connections.limits.idle_timeout, self._check_idle)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.remove(self)
        for handle in (self._timer, self._next):
            if handle is not None:
                handle.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._next is None:
            self._work()

    def eof_received(self) -> bool:
        """The client sends no more; what it asked is still answered (RFC 7766 section 6.2.4)."""
        self._ended = True
        if self._next is None and self._can_write:
            self._work()
        return True

    def pause_writing(self) -> None:
        self._can_write = False

    def resume_writing(self) -> None:
        self._can_write = True
        self._work()

    def abort(self) -> None:
        """Give the connection up at once, with what is not sent."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Answer what has arrived, and close."""
        transport = self._transport
        if transport is None:
            return
        while self._can_write and (message := self._take()) is not None:
            self._answer(transport, message)
        transport.close()

    def _answer(self, transport: asyncio.Transport, message: bytes) -> None:
        reply = self._connections.answer(message)
        if reply is not None:
            transport.write(len(reply).to_bytes(2) + reply)

    def _work(self) -> None:
        """Answer some of the queries that are here whole, and come back for the others."""
        self._next = None
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        for _ in range(_BATCH):
            if not self._can_write:
                transport.pause_reading()
                return
            message = self._take()
            if message is None:
                break
            self._active = self._loop.time()
            self._connections.touch(self)
            self._answer(transport, message)
        else:
            transport.pause_reading()
            self._next = self._loop.call_soon(self._work)
            return
        if transport.is_closing():
            return
        if self._ended:
            transport.close()
        else:
            transport.resume_reading()

    def _take(self) -> bytes | None:
        """The next whole message, or None where there is none yet."""
        received = self._received
        if len(received) < 2:
            return None
        size = int.from_bytes(received[:2])
        if size > MAX_QUERY:
            # The client has announced more than any query has.
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
