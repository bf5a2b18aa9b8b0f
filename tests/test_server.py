"""The life of a server in one process: what its end leaves behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import PATIENCE

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
