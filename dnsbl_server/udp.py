"""Datagrams in, datagrams out.

Owns one bound UDP socket. Answers come from the address that was asked, also on a wildcard address. When the socket
takes no more, reading stops until it does: what waits, waits in the kernel. Knows no DNS.
"""

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Callable

log = logging.getLogger(__name__)

# Packets taken in one go, so that a flood on one socket leaves the others their turn.
_BATCH = 64
# How many more are answered before the socket is closed.
_LAST_BATCHES = 100
# The longest message that is a query; more is cut off, and so answered with FORMERR.
_MAX_PACKET = 4096
# Linux numbers that Python's socket module does not name everywhere (ip(7), ipv6(7)).
_IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)
_PKTINFO4 = struct.Struct("=I4s4s")
_PKTINFO6 = struct.Struct("=16sI")
_ANCILLARY = socket.CMSG_SPACE(_PKTINFO6.size)

Ancillary = list[tuple[int, int, bytes]]


class UdpListener:
    """Serves a bound, non-blocking UDP socket on the running loop."""

    def __init__(
        self, sock: socket.socket, answer: Callable[[bytes], bytes | None], dropped: Callable[[], None]
    ) -> None:
        """answer: makes the answer to a packet; dropped: told of each answer that could not be sent."""
        self._socket = sock
        self._answer = answer
        self._dropped = dropped
        self._loop = asyncio.get_running_loop()
        self._waiting: tuple[bytes, Ancillary, object] | None = None
        if sock.getsockname()[0] in ("0.0.0.0", "::"):  # noqa: S104
            if sock.family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        self._loop.add_reader(sock, self._read)

    def close(self) -> None:
        """Answer what has arrived already, and close the socket."""
        for _ in range(_LAST_BATCHES):
            if self._waiting is not None or not self._read():
                break
        if self._waiting is not None:
            self._dropped()
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()

    def _read(self) -> bool:
        """Answer what has arrived, a batch at the most; whether there may be more."""
        for _ in range(_BATCH):
            try:
                packet, ancillary, _, client = self._socket.recvmsg(_MAX_PACKET, _ANCILLARY)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError as error:
                log.debug("receive: %s", error)
                return False
            reply = self._answer(packet)
            if reply is not None and not self._send(reply, _reply_from(ancillary), client):
                return False
        return True

    def _send(self, packet: bytes, ancillary: Ancillary, client: object) -> bool:
        try:
            self._socket.sendmsg([packet], ancillary, 0, client)  # type: ignore[arg-type]
        except (BlockingIOError, InterruptedError):
            self._waiting = packet, ancillary, client
            self._loop.remove_reader(self._socket)
            self._loop.add_writer(self._socket, self._resume)
            return False
        except OSError as error:
            # The client's address cannot be sent to: port 0, a route that is gone.
            log.debug("send to %s: %s", client, error)
            self._dropped()
        return True

    def _resume(self) -> None:
        self._loop.remove_writer(self._socket)
        self._loop.add_reader(self._socket, self._read)
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._send(*waiting)


def _reply_from(ancillary: Ancillary) -> Ancillary:
    """What makes the kernel send from the address that a packet came to."""
    for level, kind, data in ancillary:
        with contextlib.suppress(struct.error):
            if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
                _, local, _ = _PKTINFO4.unpack(data)
                return [(level, kind, _PKTINFO4.pack(0, local, bytes(4)))]
            if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
                address, interface = _PKTINFO6.unpack(data)
                # Only a link-local address (fe80::/10) says nothing without its interface.
                link_local = address[0] == 0xFE and address[1] & 0xC0 == 0x80
                return [(level, kind, _PKTINFO6.pack(address, interface if link_local else 0))]
    return []
