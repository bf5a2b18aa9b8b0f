"""The reloader with loaders that fail on demand: when it tries again, and that nothing stops it."""

import asyncio
import gc
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from dnsbl_server.engine.service import Service
from dnsbl_server.model.address import Address
from dnsbl_server.supply import reload, watch
from dnsbl_server.supply.exchange import Job
from dnsbl_server.supply.load import load_zones
from dnsbl_server.supply.paths import PathLook, look_at_path
from dnsbl_server.supply.plan import Backoff
from dnsbl_server.supply.process import Delivery, LoaderError, LoaderProcess, SealedTable
from dnsbl_server.supply.reload import RETRY, Reloader
from dnsbl_server.table.table import ZoneTable
from tests.reloading import ZONE, rename_over, zone_text

pytestmark = pytest.mark.clock

PATIENCE = 30.0
NEVER = 3600.0


class FakeLoader(LoaderProcess):
    """Loads in this process, unless it is told to fail; `calls` has the time of each run."""

    def __init__(self) -> None:
        super().__init__(PATIENCE)
        self.failures: list[Exception] = []
        self.calls: list[float] = []
        # Called after the files were read, and before the server hears of it.
        self.before_the_end: Callable[[], object] = lambda: None

    def run(self, job: Job, before: Mapping[str, ZoneTable] | None = None) -> Delivery:
        self.calls.append(time.monotonic())
        if self.failures:
            raise self.failures.pop(0)
        result = load_zones(job.files, time.time(), lambda path, count: None, job.served, job.versions)
        tables = [SealedTable(file, ZoneTable(zone.compiled.table), 0, 0) for file, zone in result.zones.items()]
        self.before_the_end()
        return Delivery(tuple(tables), result.problems, result.sources, result.states)


def service_of(reloader: Reloader) -> Service:
    """The service that a reloader keeps supplied."""
    assert isinstance(reloader._service, Service)
    return reloader._service


@asynccontextmanager
async def running(
    directory: Path, loader: FakeLoader, backoff: Backoff = RETRY
) -> AsyncIterator[tuple[Reloader, asyncio.Task[None]]]:
    """A reloader that has had its first load, and the task that goes on with it."""
    reloader = Reloader((str(directory),), Service(), loader, NEVER, backoff=backoff)
    assert not (await reloader.start()).errors
    task = asyncio.create_task(reloader.run())
    try:
        yield reloader, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await reloader.close()


async def until(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    try:
        async with asyncio.timeout(patience):
            while not condition():  # noqa: ASYNC110 - not all conditions are of this loop
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"never came: {what}")


@pytest.fixture
def zones(tmp_path: Path) -> Path:
    directory = tmp_path / "zones"
    directory.mkdir()
    (directory / "bl.yaml").write_text(zone_text("192.0.2.1"))
    return directory


class SlowService(Service):
    """Takes tables into service only once the event loop has run meanwhile."""

    loop: asyncio.AbstractEventLoop

    def adopt(self, tables: Iterable[ZoneTable]) -> None:
        has_run = threading.Event()
        self.loop.call_soon_threadsafe(has_run.set)
        assert has_run.wait(PATIENCE), "the event loop stands still"
        super().adopt(tables)


def test_taking_into_service_leaves_the_event_loop_free(zones: Path) -> None:
    async def main() -> None:
        service = SlowService()
        service.loop = asyncio.get_running_loop()
        reloader = Reloader((str(zones),), service, FakeLoader(), NEVER)
        assert not (await reloader.start()).errors
        task = asyncio.create_task(reloader.run())
        try:
            added = zones / "other.yaml"
            added.write_text(zone_text("192.0.2.2", zone="other.example.org"))
            reloader.request()
            await until(lambda: len(reloader.statuses) == 2, "a new file")
            added.unlink()
            await until(lambda: len(reloader.statuses) == 1, "a file that is gone")
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await reloader.close()

    asyncio.run(main())


def test_a_failing_loader_is_tried_again_and_later_each_time(zones: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = str(zones / "bl.yaml")
    loader = FakeLoader()

    async def main() -> None:
        async with running(zones, loader, Backoff(0.1, 0.4)) as (reloader, _):
            before = reloader.statuses[file]
            loader.failures = [LoaderError("the loader is on strike") for _ in range(5)]
            reloader.request()
            await until(lambda: not loader.failures, "five failures")
            status = reloader.statuses[file]
            assert status.table is before.table
            assert (status.successes, status.last_succeeded) == (1, False)
            await until(lambda: reloader.statuses[file].last_succeeded, "the end of the strike")
            assert reloader.statuses[file].successes == 2
            assert reloader.statuses[file].failures == 5
            # After a success the delays begin anew.
            loader.failures = [LoaderError("the loader is on strike again")]
            reloader.request()
            await until(lambda: reloader.statuses[file].successes == 3, "the next success")

    asyncio.run(main())
    said = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert [line.rpartition("next try in ")[2] for line in said] == [
        f"{delay} seconds" for delay in ("0.1", "0.2", "0.4", "0.4", "0.4", "0.1")
    ]
    assert all("on strike" in line and "all zones stay as they are" in line for line in said)
    calls = loader.calls[1:7]
    gaps = [after - before for before, after in pairwise(calls)]
    for gap, delay in zip(gaps, (0.1, 0.2, 0.4, 0.4, 0.4), strict=True):
        assert gap >= 0.9 * delay


def test_zones_stay_in_service_while_the_loader_fails(zones: Path) -> None:
    loader = FakeLoader()

    async def main() -> None:
        async with running(zones, loader, Backoff(0.05, 0.05)) as (reloader, _):
            snapshot = service_of(reloader).snapshot
            loader.failures = [LoaderError("no")] * 3
            rename_over(zones / "bl.yaml", zone_text("192.0.2.2"))
            await until(lambda: len(loader.failures) == 1, "failures")
            assert service_of(reloader).snapshot is snapshot
            await until(lambda: service_of(reloader).snapshot is not snapshot, "the new zone")
            (zone,) = service_of(reloader).snapshot.zones.values()
            assert zone.table.find(Address(4, 0xC0000202), time.time())

    asyncio.run(main())


def test_a_request_whose_load_failed_is_not_forgotten(zones: Path) -> None:
    file = str(zones / "bl.yaml")
    loader = FakeLoader()

    async def main() -> None:
        async with running(zones, loader, Backoff(1.0, 1.0)) as (reloader, _):
            loader.failures = [LoaderError("no")]
            reloader.request()
            await until(lambda: not reloader.statuses[file].last_succeeded, "the failure")
            # Something happens that changes nothing, before the next try is due.
            (zones / "README").write_text("text")
            await until(lambda: reloader.statuses[file].last_succeeded, "the next try", 6.0)

    asyncio.run(main())


def test_an_expiry_whose_load_failed_is_not_forgotten(zones: Path) -> None:
    loader = FakeLoader()
    expires = int(time.time()) + 2
    stamp = f"{datetime.fromtimestamp(expires, UTC):%Y-%m-%dT%H:%M:%SZ}"
    (zones / "bl.yaml").write_text(zone_text("{net: 192.0.2.1, expires: '" + stamp + "'}", "192.0.2.2"))

    async def main() -> None:
        async with running(zones, loader, Backoff(1.0, 1.0)) as (reloader, _):
            loader.failures = [LoaderError("no")]
            await until(lambda: not loader.failures, "the failure")
            (zones / "README").write_text("text")
            await until(lambda: next(iter(reloader.statuses.values())).entries == 1, "the next try", 6.0)
            assert next(iter(reloader.statuses.values())).last_succeeded

    asyncio.run(main())


def test_after_a_success_only_what_changed_is_loaded(zones: Path) -> None:
    file = str(zones / "bl.yaml")
    loader = FakeLoader()

    async def main() -> None:
        async with running(zones, loader, Backoff(0.05, 0.05)) as (reloader, _):
            (zones / "dyn.yaml").write_text(zone_text("192.0.2.1", zone="dyn.example.org"))
            await until(lambda: len(reloader.statuses) == 2, "the second zone")
            loader.failures = [LoaderError("no")]
            reloader.request()
            await until(lambda: reloader.statuses[file].successes == 2, "the load that was asked for")
            rename_over(zones / "dyn.yaml", zone_text("192.0.2.2", "192.0.2.3", zone="dyn.example.org"))
            await until(lambda: reloader.statuses[str(zones / "dyn.yaml")].entries == 2, "the change")
            assert reloader.statuses[file].successes == 2

    asyncio.run(main())


def test_an_unforeseen_error_does_not_stop_the_reloads(zones: Path) -> None:
    file = str(zones / "bl.yaml")
    loader = FakeLoader()

    async def main() -> None:
        async with running(zones, loader, Backoff(0.05, 0.05)) as (reloader, task):
            loader.failures = [RuntimeError("can't start new thread")]
            reloader.request()
            await until(lambda: task.done() or reloader.statuses[file].successes == 2, "the next try")
            # When this task ends, the whole server ends.
            assert not task.done()

    asyncio.run(main())


def test_a_broken_zone_is_not_loaded_again_and_again_because_an_entry_expired(zones: Path) -> None:
    loader = FakeLoader()
    expires = int(time.time()) + 2
    stamp = f"{datetime.fromtimestamp(expires, UTC):%Y-%m-%dT%H:%M:%SZ}"
    (zones / "bl.yaml").write_text(zone_text("{net: 192.0.2.1, expires: '" + stamp + "'}"))

    async def main() -> None:
        async with running(zones, loader) as (reloader, _):
            rename_over(zones / "bl.yaml", zone_text("10.0.0.0/33"))
            await until(lambda: len(loader.calls) == 2, "the broken file")
            await until(lambda: time.time() > expires + 1, "the expiry")
            (status,) = reloader.statuses.values()
            assert status.name == ZONE
            # Once more because it is due is fair.
            assert len(loader.calls) <= 4

    asyncio.run(main())


def test_an_expiry_is_one_reload(zones: Path) -> None:
    loader = FakeLoader()
    expires = int(time.time()) + 2
    stamp = f"{datetime.fromtimestamp(expires, UTC):%Y-%m-%dT%H:%M:%SZ}"
    (zones / "bl.yaml").write_text(zone_text("{net: 192.0.2.1, expires: '" + stamp + "'}", "192.0.2.2"))

    async def main() -> None:
        async with running(zones, loader) as (reloader, _):
            await until(lambda: len(loader.calls) > 1, "the reload")
            assert time.time() >= expires
            await until(lambda: next(iter(reloader.statuses.values())).entries == 1, "one entry less")
            await until(lambda: time.time() > expires + 1, "a second more")
            assert len(loader.calls) == 2

    asyncio.run(main())


def test_entries_that_expire_one_after_the_other_leave_the_loader_time_to_rest(zones: Path) -> None:
    loader = FakeLoader()
    expires = int(time.time()) + 1
    stamps = [f"{datetime.fromtimestamp(expires + number, UTC):%Y-%m-%dT%H:%M:%SZ}" for number in range(4)]
    (zones / "bl.yaml").write_text(
        zone_text(
            *(f"{{net: 192.0.2.{number}, expires: '{stamp}'}}" for number, stamp in enumerate(stamps)), "10.0.0.1"
        )
    )

    async def main() -> None:
        async with running(zones, loader) as (reloader, _):
            # Each takes a fifth of a second, so the next one comes two seconds later at the earliest (rule 5).
            loader.before_the_end = lambda: time.sleep(0.2)
            await until(lambda: next(iter(reloader.statuses.values())).entries == 1, "all expired")

    asyncio.run(main())
    assert len(loader.calls) >= 3
    assert all(after - before >= 2.0 for before, after in pairwise(loader.calls[1:]))


def test_a_clock_that_is_set_back_is_one_reload(zones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = FakeLoader()
    real = time.time
    ahead = [3600.0]
    monkeypatch.setattr(time, "time", lambda: real() + ahead[0])
    stamp = f"{datetime.fromtimestamp(int(real()) + 1800, UTC):%Y-%m-%dT%H:%M:%SZ}"
    (zones / "bl.yaml").write_text(zone_text("{net: 192.0.2.1, expires: '" + stamp + "'}", "192.0.2.2"))

    async def main() -> None:
        async with running(zones, loader) as (reloader, _):
            assert next(iter(reloader.statuses.values())).entries == 1, "to that clock, the entry has expired"
            ahead[0] = 0.0
            (zones / "README").write_text("a hint")
            await until(lambda: next(iter(reloader.statuses.values())).entries == 2, "the entry that came back")
            for number in range(3):
                (zones / f"README{number}").write_text("a hint")
                await asyncio.sleep(0.5)
            assert len(loader.calls) == 2

    asyncio.run(main())


def test_a_change_that_comes_while_loading_is_loaded_too(zones: Path) -> None:
    loader = FakeLoader()

    async def main() -> None:
        async with running(zones, loader) as (reloader, _):

            def change() -> None:
                """Once the file was read, and the watcher has seen it change before the load has ended."""
                loader.before_the_end = lambda: None
                rename_over(zones / "bl.yaml", zone_text("192.0.2.1", "192.0.2.2", "192.0.2.3"))
                end = time.monotonic() + PATIENCE
                while not reloader._wake.is_set() and time.monotonic() < end:
                    time.sleep(0.01)

            loader.before_the_end = change
            rename_over(zones / "bl.yaml", zone_text("192.0.2.1", "192.0.2.2"))
            await until(lambda: next(iter(reloader.statuses.values())).entries == 2, "the first change")
            await until(lambda: next(iter(reloader.statuses.values())).entries == 3, "the second change")

    asyncio.run(main())


def test_without_watches_it_does_not_spin(
    zones: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "OS file watch limit reached")

    monkeypatch.setattr(watch, "awatch", refuse)
    looks: list[float] = []

    def counted(path: str) -> PathLook:
        looks.append(time.monotonic())
        return look_at_path(path)

    monkeypatch.setattr(reload, "look_at_path", counted)
    loader = FakeLoader()

    async def main() -> None:
        async with running(zones, loader) as (reloader, _):
            await until(lambda: bool(looks), "the first look")
            start = time.monotonic()
            await until(lambda: time.monotonic() > start + 2.0, "two seconds")
            # What can still be seen is seen, when asked.
            rename_over(zones / "bl.yaml", zone_text("192.0.2.1", "192.0.2.2"))
            reloader.request()
            await until(lambda: next(iter(reloader.statuses.values())).entries == 2, "the reload")

    asyncio.run(main())
    assert len(looks) <= 5
    assert caplog.text.count("cannot watch") <= 5


def test_closing_while_nothing_happens_and_before_the_start(zones: Path) -> None:
    async def main() -> None:
        reloader = Reloader((str(zones),), Service(), FakeLoader(), NEVER)
        await reloader.close()
        async with running(zones, FakeLoader()) as (_, task):
            assert not task.done()
        assert task.cancelled()

    asyncio.run(main())


def test_a_first_load_with_errors_serves_nothing(zones: Path) -> None:
    (zones / "bad.yaml").write_text(zone_text("10.0.0.0/33", zone="bad.example.org"))

    async def main() -> None:
        service = Service()
        reloader = Reloader((str(zones),), service, FakeLoader(), NEVER)
        before = len(os.listdir("/proc/self/fd"))
        problems = await reloader.start()
        assert [problem.place.line for problem in problems.errors] == [3]
        assert not service.snapshot.zones
        assert not reloader.statuses

        def is_closed() -> bool:
            gc.collect()
            return len(os.listdir("/proc/self/fd")) <= before

        # The thread that has loaded them lets go of them a moment after it has told.
        await until(is_closed, "the tables that are not served")
        await reloader.close()

    asyncio.run(main())
