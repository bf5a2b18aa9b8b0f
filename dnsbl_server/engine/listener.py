"""The listening sockets of TCP: connections are accepted, a few at a time.

Owns when the next connection is accepted: between a few of them the event loop does something else, and where no
descriptor is free it waits a moment, which is what asyncio's own servers do only after a traceback for each place of
the backlog. Knows what to do with a connection only as a function that makes a protocol.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

log = logging.getLogger(__name__)

# Connections that wait in the kernel until they are accepted.
_BACKLOG = 1024
# Connections that are accepted before the event loop does something else.
_TURN = 16
# Seconds until the next try where no descriptor was free, and from one line about that in the log to the next.
_PAUSE = 0.1
_SILENCE = 60.0
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class TcpListener:
    """Accepts the connections of one bound socket until it is closed. For one event loop."""

    def __init__(
        self, sock: socket.socket, protocol: Callable[[], asyncio.BaseProtocol], give_way: Callable[[], None]
    ) -> None:
        """protocol: makes one for each connection; give_way: called where no descriptor is free, to end another one.

        Raises OSError where the socket cannot listen.
        """
        self._socket = sock
        self._protocol = protocol
        self._give_way = give_way
        self._loop = asyncio.get_running_loop()
        self._beginning: set[asyncio.Task[object]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._reported = -_SILENCE
        sock.setblocking(False)
        sock.listen(_BACKLOG)
        self._loop.add_reader(sock, self._accept)

    def close(self) -> None:
        """Accept no more, and close the socket; the connections stay."""
        if self._pause is not None:
            self._pause.cancel()
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _accept(self) -> None:
        for _ in range(_TURN):
            try:
                accepted, _address = self._socket.accept()
            except OSError as error:
                # Others are those of a connection that has ended already (accept(2)), or there is none.
                if error.errno in _NO_ROOM:
                    self._wait_for_room(error)
                return
            accepted.setblocking(False)
            task = self._loop.create_task(self._begin(accepted))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)

    async def _begin(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, accepted)
        except BaseException:
            accepted.close()
            raise

    def _wait_for_room(self, error: OSError) -> None:
        """Have another connection give way; the one that waits would be found again at once."""
        if self._loop.time() - self._reported >= _SILENCE:
            self._reported = self._loop.time()
            log.error("cannot accept TCP connections: %s; the longest idle ones give way", error.strerror)
        self._give_way()
        self._loop.remove_reader(self._socket)
        self._pause = self._loop.call_later(_PAUSE, self._loop.add_reader, self._socket, self._accept)
