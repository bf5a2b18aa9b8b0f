"""The life of a server in one process: what it needs to start, when it says that it is ready, what its end leaves."""

import asyncio
import errno
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dnsbl_server import server
from dnsbl_server.config import Settings
from dnsbl_server.endpoint import Endpoint
from dnsbl_server.notify import ServiceManager
from dnsbl_server.server import Server, StartError
from tests.serving import PATIENCE, needs_ipv6

# Stops a server, and sends every signal that it handles while it stops and after.
STOP = """
import asyncio, os, signal, sys
from dnsbl_server.config import Settings
from dnsbl_server.endpoint import Endpoint
from dnsbl_server.server import Server
from dnsbl_server.supply.reload import Reloader

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
close = Reloader.close
sent = []

async def close_slowly(reloader):
    # The last thing that a stop does.
    for number in SIGNALS:
        os.kill(os.getpid(), number)
        sent.append(number)
    await asyncio.sleep(0)
    await close(reloader)

Reloader.close = close_slowly

async def main():
    server = Server(Settings(zones=(sys.argv[1],), listen=(Endpoint("127.0.0.1", 0),), metrics=None))
    running = asyncio.create_task(server.run())
    await server.ready.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await running

asyncio.run(main())
print(len(sent))
"""


@pytest.mark.server
def test_signals_are_ignored_while_it_stops(zones: Path) -> None:
    done = subprocess.run([sys.executable, "-c", STOP, str(zones)], capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr


DEFAULTS = (Endpoint("127.0.0.1", 0), Endpoint("::1", 0))


def without(monkeypatch: pytest.MonkeyPatch, *families: socket.AddressFamily, code: int) -> None:
    """Take families of addresses from this machine."""
    make = socket.socket.__init__

    def refuse(self: socket.socket, family: int = -1, *arguments: int, **keywords: int) -> None:
        if family in families:
            raise OSError(code, "no such addresses")
        make(self, family, *arguments, **keywords)

    monkeypatch.setattr(socket.socket, "__init__", refuse)


async def run_until_ready(served: Server) -> list[str]:
    """Run a server until it is ready, and stop it; where it listens."""
    running = asyncio.create_task(served.run())
    ready = asyncio.create_task(served.ready.wait())
    await asyncio.wait((running, ready), timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    served.stop()
    ready.cancel()
    await running
    return [endpoint.address for endpoint in (*served.endpoints, *filter(None, [served.metrics_endpoint]))]


@needs_ipv6
@pytest.mark.server
@pytest.mark.parametrize("code", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
@pytest.mark.parametrize(
    ("gone", "found", "said"),
    [
        ((), ["127.0.0.1", "::1", "127.0.0.1"], []),
        ((socket.AF_INET6,), ["127.0.0.1", "127.0.0.1"], ["no IPv6 loopback address; not listening on [::1]:0"]),
        (
            (socket.AF_INET,),
            ["::1", "::1"],
            ["no IPv4 loopback address; metrics are on [::1]:0 instead", "no IPv4 loopback address; not listening on"],
        ),
    ],
)
def test_the_default_start_takes_the_family_that_is_there(
    zones: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    gone: tuple[socket.AddressFamily, ...],
    found: list[str],
    said: list[str],
    code: int,
) -> None:
    monkeypatch.setattr(server, "DEFAULT_LISTEN", DEFAULTS)
    monkeypatch.setattr(server, "DEFAULT_METRICS", DEFAULTS[0])
    without(monkeypatch, *gone, code=code)
    served = Server(Settings(zones=(str(zones),), listen=DEFAULTS, metrics=DEFAULTS[0], threads=1))
    assert asyncio.run(run_until_ready(served)) == found
    for line in said:
        assert line in caplog.text
    assert caplog.text.count("this machine has no") == len(said)


@pytest.mark.parametrize("listen", [DEFAULTS, DEFAULTS[:1]])
def test_an_address_that_was_asked_for_must_be_there(
    zones: Path, monkeypatch: pytest.MonkeyPatch, listen: tuple[Endpoint, ...]
) -> None:
    monkeypatch.setattr(server, "DEFAULT_LISTEN", DEFAULTS)
    without(monkeypatch, socket.AF_INET, socket.AF_INET6, code=errno.EAFNOSUPPORT)
    with pytest.raises(StartError, match="neither an IPv4 nor" if listen == DEFAULTS else r"cannot listen on 127\.0"):
        asyncio.run(Server(Settings(zones=(str(zones),), listen=listen, metrics=None)).run())


@pytest.mark.server
def test_ready_is_said_once_tcp_accepts(zones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accepting: dict[str, bool] = {}

    async def main() -> None:
        served = Server(Settings(zones=(str(zones),), listen=DEFAULTS[:1], metrics=None, threads=1))

        def note(what: str) -> None:
            with socket.socket() as client:
                # The kernel takes a connection as soon as somebody listens.
                accepting[what] = client.connect_ex(served.endpoints[0]) == 0

        monkeypatch.setattr(ServiceManager, "ready", lambda manager, status: note("systemd"))
        set_ready = served.ready.set

        def note_and_set() -> None:
            note("healthz")
            set_ready()

        monkeypatch.setattr(served.ready, "set", note_and_set)
        monkeypatch.setattr(server.log, "info", lambda text, *_: note(text) if text.startswith("ready") else None)
        await run_until_ready(served)

    asyncio.run(main())
    assert len(accepting) == 3
    assert all(accepting.values()), accepting
