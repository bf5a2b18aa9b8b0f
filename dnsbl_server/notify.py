"""Messages to the service manager: ready, reloading, stopping (systemd's sd_notify protocol).

Owns the messages and the way to NOTIFY_SOCKET. Without that variable, and when nobody listens there, nothing happens.
Knows nothing of the server's work.
"""

import logging
import os
import socket
import time

log = logging.getLogger(__name__)


class ServiceManager:
    """The service manager that started this process, if one did. Takes NOTIFY_SOCKET out of the environment."""

    def __init__(self) -> None:
        path = os.environ.pop("NOTIFY_SOCKET", "")
        # An abstract socket is written with @ for its zero byte.
        self._address = f"\0{path[1:]}" if path.startswith("@") else path

    def ready(self, status: str) -> None:
        """The service is up, or up again after a reload. status: a line for people."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """A reload was asked for and has begun; `ready` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            log.warning("cannot tell the service manager %s: %s", lines[0], error)
