"""A loader that fails costs the zone file that made it fail, and no other."""

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from dnsbl_server.engine.service import Service
from dnsbl_server.supply import plan as module
from dnsbl_server.supply.exchange import Job
from dnsbl_server.supply.process import Delivery, LoaderError, LoaderWorkError
from dnsbl_server.supply.reload import Reloader
from dnsbl_server.table.table import ZoneTable
from tests.reloading import count_lines, is_listed, rename_over, wait_until, zone_text
from tests.serving import ServerProcess
from tests.supply.test_reloader import FakeLoader, running, until

pytestmark = pytest.mark.clock


class Poisoned(FakeLoader):
    """Fails at the files that are named so; `jobs` has the names of the files of each run."""

    def __init__(self, *poison: str, most: int = 1 << 30) -> None:
        super().__init__()
        self.poison = set(poison)
        self.most = most
        self.jobs: list[str] = []

    def run(self, job: Job, before: Mapping[str, ZoneTable] | None = None) -> Delivery:
        names = [Path(file).stem for file in job.files]
        self.jobs.append(" ".join(names))
        for file, name in zip(job.files, names, strict=True):
            if name in self.poison or len(names) > self.most:
                raise LoaderWorkError("the loader was killed by signal 9", file, {file: _version(file)})
        return super().run(job, before)


def _version(file: str) -> tuple[int, int, int, int, int]:
    status = os.stat(file)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@pytest.fixture
def zones(tmp_path: Path) -> Path:
    directory = tmp_path / "zones"
    directory.mkdir()
    for name in "abcd":
        (directory / f"{name}.yaml").write_text(zone_text("192.0.2.1", zone=f"{name}.example"))
    return directory


def test_the_others_are_served_and_the_culprit_waits_for_its_time_or_a_change(
    zones: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "CRASH_DELAY", 1.0)
    loader = Poisoned()

    def entries(reloader: Reloader) -> dict[str, int]:
        return {Path(path).stem: status.entries for path, status in reloader.statuses.items()}

    async def main() -> None:
        async with running(zones, loader) as (reloader, _):
            loader.poison = {"b"}
            for name in "abcd":
                rename_over(zones / f"{name}.yaml", zone_text("192.0.2.1", "192.0.2.2", zone=f"{name}.example"))
            reloader.request()
            await until(lambda: entries(reloader) == {"a": 2, "b": 1, "c": 2, "d": 2}, "the others")
            await until(lambda: loader.jobs[-1] == "b", "the culprit alone")
            assert loader.jobs[1:] == ["a b c d", "a c d", "b"]
            # It is not in the way of other changes.
            rename_over(zones / "a.yaml", zone_text("192.0.2.1", zone="a.example"))
            await until(lambda: entries(reloader)["a"] == 1, "a change elsewhere")
            assert loader.jobs[4] == "a"
            await until(lambda: loader.jobs.count("b") == 2, "the next try")
            loader.poison = set()
            rename_over(zones / "b.yaml", zone_text("10.0.0.1", "10.0.0.2", "10.0.0.3", zone="b.example"))
            await until(lambda: entries(reloader)["b"] == 3, "the change of the culprit")

    asyncio.run(main())
    said = [record.getMessage() for record in caplog.records]
    culprit = str(zones / "b.yaml")
    assert f"{culprit}: the loader was killed by signal 9; the others are loaded without it" in said
    assert f"{culprit}: cannot be loaded: the loader was killed by signal 9" in said
    assert sum(line.startswith("zone b.example: not reloaded; the version of ") for line in said) == 2


def test_too_much_for_one_loader_is_halved(zones: Path) -> None:
    loader = Poisoned()

    async def main() -> None:
        for name in "efghij":
            (zones / f"{name}.yaml").write_text(zone_text("192.0.2.1", zone=f"{name}.example"))
        loader.most = 3
        async with running(zones, loader) as (reloader, _):
            assert len(reloader.statuses) == 10
            assert all(status.last_succeeded for status in reloader.statuses.values())

    asyncio.run(main())
    # Three suspects, and then halves of what is left.
    assert loader.jobs == ["a b c d e f g h i j", "b c d e f g h i j", "c d e f g h i j", *loader.jobs[3:]]
    assert len(loader.jobs) < 12


def test_the_first_start_names_the_file_and_all_other_problems(zones: Path) -> None:
    (zones / "c.yaml").write_text(zone_text("10.0.0.0/33"))

    async def main() -> list[str]:
        service = Service()
        reloader = Reloader((str(zones),), service, Poisoned("b"), 3600.0)
        problems = await reloader.start()
        assert not service.snapshot.zones
        await reloader.close()
        return [str(problem) for problem in problems.errors]

    said = asyncio.run(main())
    assert f"{zones / 'b.yaml'}: cannot be loaded: the loader was killed by signal 9" in said
    assert any(line.startswith(f"{zones / 'c.yaml'}:3:5: 10.0.0.0/33: ") for line in said)
    assert len(said) == 2


def test_a_loader_that_cannot_begin_is_charged_to_no_file(zones: Path) -> None:
    loader = Poisoned()

    async def main() -> None:
        async with running(zones, loader) as (reloader, _):
            loader.failures = [LoaderError("cannot start the loader")]
            reloader.request()
            await until(lambda: not loader.failures, "the failure")
            await until(lambda: all(each.successes == 2 for each in reloader.statuses.values()), "the next try")
            assert loader.jobs == ["a b c d"] * 3

    asyncio.run(main())


# What a zone file can make of its loader: the name of the file says which.
POISON = """
import os, signal, sys, time
if "dnsbl_server.supply.loader" in sys.orig_argv:
    import dnsbl_server.supply.load as module
    read = module.read_zone_file

    def poisoned(path, *arguments):
        if "killed" in path:
            os.kill(os.getpid(), signal.SIGKILL)
        if "hangs" in path:
            time.sleep(600)
        if "memory" in path:
            hoard = []
            while True:
                hoard.append(bytearray(1 << 20))
        if "garbage" in path:
            os.write(1, b"garbage")
            time.sleep(600)
        if "overflow" in path:
            raise OverflowError("int too large")
        return read(path, *arguments)

    module.read_zone_file = poisoned
"""


@pytest.mark.server
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("killed", "cannot be loaded: the loader was killed by signal 9 (out of memory?)"),
        ("hangs", "cannot be loaded: the loader took longer than 5 seconds and was killed"),
        ("memory", "cannot be read: it takes more memory than there is"),
        ("garbage", "cannot be loaded: the loader sent something that is no table or report"),
        ("overflow", "cannot be read: OverflowError: int too large"),
    ],
)
def test_a_hostile_zone_file_holds_up_no_other(tmp_path: Path, kind: str, said: str) -> None:
    zones, place, config = tmp_path / "zones", tmp_path / "python", tmp_path / "server.yaml"
    for directory in (zones, place):
        directory.mkdir()
    (place / "sitecustomize.py").write_text(POISON)
    config.write_text("poll_interval: 1h\nload_timeout: 5\nload_memory: 1610612736\n")
    env = {"PYTHONPATH": os.pathsep.join(filter(None, (str(place), os.environ.get("PYTHONPATH"))))}
    (zones / "good.yaml").write_text(zone_text("192.0.2.1"))
    with ServerProcess("--config", str(config), str(zones), env=env) as server:
        (zones / f"{kind}.yaml").write_text(zone_text("192.0.2.1", zone="poison.example.org"))
        rename_over(zones / "good.yaml", zone_text("192.0.2.2"))
        wait_until(lambda: is_listed(server, "192.0.2.2"), "the other zone")
        server.wait_for(f"{zones / kind}.yaml: {said}")
        rename_over(zones / "good.yaml", zone_text("192.0.2.3"))
        wait_until(lambda: is_listed(server, "192.0.2.3"), "the next change")
        assert server.metric("dnsbl_zone_last_reload_success", zone="bl.example.org") == 1
        assert server.metric("dnsbl_zone_last_reload_success", zone=f"{kind}.yaml") == 0
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert not count_lines(server, "Traceback")
