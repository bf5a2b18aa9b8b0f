"""A stop takes at most five seconds and ends with status 0, whatever the disks do."""

import os
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.reloading import NEVER, is_listed, rename_over, wait_until, zone_text
from tests.serving import PATIENCE, ServerProcess

pytestmark = pytest.mark.server

# Seconds: what a stop may take, and what a busy machine needs besides.
LONGEST = 5.0
SLACK = 3.0


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hang") / "hang.so"
    source = Path(__file__).parent / "hang.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", path, source, "-ldl"], check=True, timeout=PATIENCE)
    return path


class Disk:
    """A file system that stops answering for paths that hold a text, when told to."""

    def __init__(self, library: Path, directory: Path, part: str) -> None:
        self._flag = directory / "hangs"
        preload = " ".join(filter(None, (os.environ.get("LD_PRELOAD"), str(library))))
        self.env = {"LD_PRELOAD": preload, "HANG_PATH": part, "HANG_FLAG": str(self._flag)}

    def stop(self) -> None:
        self._flag.touch()

    def go_on(self) -> None:
        self._flag.unlink()


def stops_in_time(server: ServerProcess) -> float:
    """Send SIGTERM; the seconds until the end, whose status must be 0."""
    began = time.monotonic()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0, "\n".join(server.log)
    took = time.monotonic() - began
    assert took < LONGEST + SLACK
    return took


@pytest.fixture
def zones(tmp_path: Path) -> Path:
    directory = tmp_path / "zones"
    directory.mkdir()
    (directory / "list.txt").write_text("192.0.2.1\n")
    (directory / "bl.yaml").write_text("zone: bl.example.org\nfiles: [list.txt]\n")
    return directory


def test_a_disk_that_hangs_stops_neither_the_answers_nor_the_end(tmp_path: Path, library: Path, zones: Path) -> None:
    disk = Disk(library, tmp_path, "/zones")
    config = tmp_path / "server.yaml"
    config.write_text(f"poll_interval: {NEVER}\n")
    with ServerProcess("--config", str(config), str(zones), env=disk.env) as server:
        disk.stop()
        server.signal(signal.SIGHUP)
        line = server.wait_for("a file system does not answer")
        assert str(zones) in line
        assert is_listed(server, "192.0.2.1")
        assert server.ask("1.2.0.192.bl.example.org", tcp=True).answer
        assert server.get("/healthz") == "ok\n"
        disk.go_on()
        server.wait_for("the file system answers again")
        rename_over(zones / "list.txt", "192.0.2.2\n")
        wait_until(lambda: is_listed(server, "192.0.2.2"), "the change after that")
        disk.stop()
        (zones / "hint").touch()
        server.signal(signal.SIGHUP)
        time.sleep(0.5)  # for it to begin to look; one that has not is no other case
        stops_in_time(server)


@pytest.mark.parametrize("part", ["/zones", "list.txt"])
def test_a_disk_that_hangs_at_the_first_load_does_not_stop_the_end(
    tmp_path: Path, library: Path, zones: Path, part: str
) -> None:
    disk = Disk(library, tmp_path, part)
    disk.stop()
    server = ServerProcess(str(zones), env=disk.env)
    with ExitStack() as stack:
        stack.push(server)
        server.wait_for("loading zones")
        time.sleep(0.5)
        stops_in_time(server)


# Whatever hangs in the end, here the event loop itself.
HANGING_CLOSE = """
import sys, time
if "serve" in sys.argv or "serve" in sys.orig_argv:
    from dnsbl_server.engine import udp
    udp.UdpThreads.close = lambda self: time.sleep(600)
"""


def test_the_process_ends_even_if_the_stop_never_does(tmp_path: Path, zones: Path) -> None:
    place = tmp_path / "python"
    place.mkdir()
    (place / "sitecustomize.py").write_text(HANGING_CLOSE)
    path = os.pathsep.join(filter(None, (str(place), os.environ.get("PYTHONPATH"))))
    with ServerProcess(str(zones), env={"PYTHONPATH": path}) as server:
        assert stops_in_time(server) > LONGEST - 1
        (line,) = [line for line in server.log if "the stop takes too long" in line]
        assert "still running: MainThread, " in line
        assert "udp-0" in line


def test_a_stop_takes_no_longer_than_it_must(zones: Path) -> None:
    (zones / "other.yaml").write_text(zone_text("192.0.2.1", zone="other.example.org"))
    with ServerProcess(str(zones)) as server:
        assert stops_in_time(server) < LONGEST - 1
        assert not any("too long" in line for line in server.log)
