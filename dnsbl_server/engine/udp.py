"""UDP: the engine's threads, and the slow path for what they leave to it.

Owns the threads and their sockets from start to end. Each thread has a socket of its own on every endpoint. The slow
path has a bounded queue for each thread, and is answered on the event loop, a few packets at a time. Knows no DNS.
"""

import asyncio
import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence

from dnsbl_server.engine._view import Engine
from dnsbl_server.engine._worker import Worker

# Packets that may wait for the slow path, of all threads together and of one; more are dropped, and counted.
_QUEUE = 512
_LEAST_QUEUE = 8
# How many of them are answered before the event loop goes on.
_TURN = 8
# Seconds that are spent on those that still wait when the server stops.
_LAST_WORK = 0.3
# Linux numbers that Python's socket module does not name, or not everywhere (ip(7), linux/sock_diag.h).
_IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("=9I")  # the last one is SK_MEMINFO_DROPS


class UdpThreads:
    """Serves bound sockets until it is closed."""

    def __init__(
        self,
        engine: Engine,
        sockets: Sequence[Sequence[socket.socket]],
        answer: Callable[[bytes], bytes | None],
        dropped: Callable[[], None],
    ) -> None:
        """sockets: those of each thread; answer: the slow path, a packet to its answer; dropped: called for each
        packet of the slow path that got no answer. Raises OSError where the system has no room for so many threads.
        """
        capacity = _LEAST_QUEUE
        while 2 * capacity * len(sockets) <= _QUEUE:
            capacity *= 2
        self._sockets = [sock for each in sockets for sock in each]
        self._answer = answer
        self._dropped = dropped
        self._loop = asyncio.get_running_loop()
        self._notify = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._again: asyncio.Handle | None = None
        self._workers = [
            Worker(engine, [(sock.fileno(), _tell_address(sock)) for sock in each], capacity, self._notify)
            for each in sockets
        ]
        self._threads = [
            threading.Thread(target=worker.run, name=f"udp-{number}", daemon=True)
            for number, worker in enumerate(self._workers)
        ]
        self._turn = 0

    def start(self) -> None:
        """Begin to answer. Raises RuntimeError where the system allows no more threads."""
        self._loop.add_reader(self._notify, self._wake)
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Answer what has arrived already, as far as a moment allows, and close the sockets."""
        for worker in self._workers:
            worker.stop()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        self._loop.remove_reader(self._notify)
        if self._again is not None:
            self._again.cancel()
        end = time.monotonic() + _LAST_WORK
        for worker in self._workers:
            while time.monotonic() < end and self._answer_one(worker):
                pass
            while worker.take():
                self._dropped()
        os.close(self._notify)
        for sock in self._sockets:
            sock.close()

    def receive_drops(self) -> int:
        """How many packets the kernel had no room for, because they came faster than they were answered."""
        drops = 0
        for sock in self._sockets:
            with contextlib.suppress(OSError):  # it is closed
                drops += _MEMINFO.unpack(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))[-1]
        return drops

    def _wake(self) -> None:
        os.eventfd_read(self._notify)
        if self._again is None:
            self._answer_some()

    def _answer_some(self) -> None:
        """Answer some of the packets that wait, and come back for the others."""
        self._again = None
        answered = without = 0
        while answered < _TURN:
            # One after the other, so that none of the threads has to wait for all packets of another.
            self._turn = (self._turn + 1) % len(self._workers)
            if self._answer_one(self._workers[self._turn]):
                answered += 1
                without = 0
            elif (without := without + 1) == len(self._workers):
                return
        self._again = self._loop.call_soon(self._answer_some)

    def _answer_one(self, worker: Worker) -> bool:
        """Answer the packet that has waited the longest; whether there was one."""
        taken = worker.take()
        if taken is None:
            return False
        packet, route = taken
        answer = self._answer(packet)
        if answer is not None and not worker.send(answer, route):
            self._dropped()
        return True


def _tell_address(sock: socket.socket) -> bool:
    """Where a socket is bound to all addresses, make the kernel say which one a packet came to."""
    if sock.getsockname()[0] not in ("0.0.0.0", "::"):  # noqa: S104
        return False
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    return True
