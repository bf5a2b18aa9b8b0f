"""Many zones in one server: a zone needs no descriptor, and no time that grows with the number of the others."""

import resource
import signal
import time
from pathlib import Path

import pytest

from tests.reloading import descriptors_of, wait_until
from tests.serving import ServerProcess

pytestmark = pytest.mark.server


def _fill(directory: Path, count: int) -> None:
    directory.mkdir()
    for number in range(count):
        (directory / f"{number}.yaml").write_text(f"zone: z{number}.example.org\nentries: [192.0.2.1]\n")


def _reload(server: ServerProcess, count: int, patience: float = 60.0) -> float:
    """Send SIGHUP, and wait until all zones are loaded again; the seconds that took."""
    began = time.monotonic()
    before = server.metric("dnsbl_zone_reloads_total", zone="z0.example.org", result="success")
    server.signal(signal.SIGHUP)

    def is_done() -> bool:
        text = server.get("/metrics").splitlines()
        done = 'result="success",zone="z'
        return sum(done in line and float(line.split()[-1]) > before for line in text) == count

    wait_until(is_done, "the reload of all zones", patience)
    return time.monotonic() - began


def test_hundreds_of_zones_need_no_descriptors(tmp_path: Path) -> None:
    count, limit = 400, 200
    _fill(tmp_path / "zones", count)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    config = tmp_path / "server.yaml"
    config.write_text("tcp_connections: 20\nthreads: 1\n")
    server = ServerProcess("--config", str(config), str(tmp_path / "zones"), descriptors=limit)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits
    with server:
        before = descriptors_of(server.pid)
        assert before < 100
        for _ in range(2):
            _reload(server, count)
        assert server.ask(f"1.2.0.192.z{count - 1}.example.org").answer
        wait_until(lambda: descriptors_of(server.pid) <= before + 2, "as few descriptors as before")


@pytest.mark.long
def test_ten_thousand_zones_start_and_reload(tmp_path: Path) -> None:
    count = 10_000
    _fill(tmp_path / "zones", count)
    began = time.monotonic()
    with ServerProcess(str(tmp_path / "zones")) as server:
        started = time.monotonic() - began
        assert server.ask(f"1.2.0.192.z{count - 1}.example.org").answer
        assert descriptors_of(server.pid) < 100
        reloaded = _reload(server, count, 120.0)
        assert max(started, reloaded) < 60, (started, reloaded)
