"""Keeps a service supplied with the zones of a set of paths.

Owns the waiting: a look at the files when the watcher hints at a change, on a request, when the plan says that one is
due, and now and then in any case. What a look leads to, `plan` decides; `process` loads; the outcome is taken into
service in one step. A bad file never replaces a good one: a zone that does not load keeps its last good table.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, ParamSpec, Protocol, TypeVar

from dnsbl_server.model.feed import FeedSpec
from dnsbl_server.model.problem import Place, Problems, printable
from dnsbl_server.model.source import SourceState
from dnsbl_server.sources.files import Signature, signature
from dnsbl_server.supply.background import in_background
from dnsbl_server.supply.exchange import Job
from dnsbl_server.supply.paths import find_zone_files, look_at_path
from dnsbl_server.supply.plan import (
    Backoff,
    KnownFile,
    Look,
    Plan,
    after_crash,
    after_due_load,
    batches_after,
    first_batches,
    plan,
    seconds_to_next_look,
)
from dnsbl_server.supply.process import Delivery, LoaderError, LoaderProcess, LoaderWorkError
from dnsbl_server.supply.serial import ZoneVersion
from dnsbl_server.supply.status import ZoneStatus, log_outcomes
from dnsbl_server.supply.watch import Watcher, directories_of
from dnsbl_server.table.table import ZoneTable

log = logging.getLogger(__name__)

# Changes so close together are one; a file that never rests is loaded all the same. Seconds.
_QUIET = 0.2
_MAX_UNREST = 2.0
# How long to wait after a loader that failed.
RETRY = Backoff(first=2.0, longest=60.0)
# Seconds after which a look at the files is worth a line in the log.
_LOOK_PATIENCE = 10.0
_MODIFIED = 3  # in a signature

P = ParamSpec("P")
T = TypeVar("T")


class Service(Protocol):
    """What answers from the tables that it is given."""

    def adopt(self, tables: Sequence[ZoneTable]) -> None:
        """Answer from these tables from now on, one for each zone. Called in any thread, one at a time."""

    def retire(self) -> None:
        """Free the earlier tables that no thread answers from any more."""


class _Step(NamedTuple):
    """Files that were loaded together, and what came of them. started: on the monotonic clock."""

    files: Sequence[str]
    delivery: Delivery
    started: float
    has_crashed: bool = False


class Reloader:
    """Keeps a service supplied with the zones that a set of paths holds."""

    def __init__(
        self,
        paths: tuple[str, ...],
        service: Service,
        loader: LoaderProcess,
        poll: float,
        on_request: Callable[[bool], None] = lambda has_begun: None,
        on_feeds: Callable[[Sequence[FeedSpec]], None] = lambda feeds: None,
        files_below: tuple[str, ...] = (),
        backoff: Backoff = RETRY,
    ) -> None:
        """paths: zone files and directories; poll: seconds between two looks that nothing else asked for; on_request:
        called with True when a load of everything begins, and with False when it has ended; on_feeds: called with
        the feeds of all zone files, now and then, in the event loop; files_below: the
        directories that list files may be in, none: any.
        """
        self._state = ""
        self._on_request = on_request
        self._on_feeds = on_feeds
        # Of each zone file, as it was read last, whether it is served or not.
        self._sources: dict[str, tuple[SourceState, ...]] = {}
        self._paths = paths
        self._service = service
        self._loader = loader
        self._poll = poll
        self._backoff = backoff
        self._files_below = files_below
        self._known: dict[str, KnownFile] = {}
        self._watcher = Watcher(self._hint)
        self._wake = asyncio.Event()
        self._is_requested = False
        self._look_patience = _LOOK_PATIENCE
        self._kept: Mapping[str, str] = {}
        # The last one of every zone that was in service, so that one that comes back goes on with its serial.
        self._versions: dict[str, ZoneVersion] = {}
        # By zone file. Replaced as a whole, so that other threads may read it.
        self.statuses: Mapping[str, ZoneStatus] = {}

    @property
    def feeds(self) -> tuple[FeedSpec, ...]:
        """The feeds of all zone files."""
        return tuple(each.feed for states in self._sources.values() for each in states if each.feed)

    def request(self) -> None:
        """Load everything again, whether it seems changed or not."""
        self._is_requested = True
        self._wake.set()

    def _hint(self) -> None:
        self._wake.set()

    async def start(self, state: str = "") -> Problems:
        """The first load; what keeps the zones from being served, or nothing. Raises LoaderError.

        With anything in it, nothing is in service. state: the state directory, empty where there is none.
        """
        self._state = state
        problems = Problems()
        files = await self._look_in_background(find_zone_files, self._paths, problems)
        if problems.errors:
            return problems
        steps = [step async for step in self._load(files)]
        for step in steps:
            problems.extend(step.delivery.problems)
        if all(len(step.delivery.tables) == len(step.files) for step in steps):
            for step in steps:
                await in_background(self._take, step)
            self._watcher.watch(await self._look_in_background(self._directories))
            self._on_feeds(self.feeds)
            return Problems()
        return problems

    async def run(self) -> None:
        """Look at the files and load what has changed, until cancelled."""
        self._hint()  # what changed between the first load and the first watch
        while True:
            is_forced = await self._next()
            if is_forced:
                self._on_request(True)
            try:
                await self._look(is_forced)
            except Exception as error:
                # Whatever it is, what is in service stays in service.
                delay = self._backoff.delay
                self._backoff = self._backoff.failed(time.monotonic())
                message = str(error) if isinstance(error, LoaderError) else f"{type(error).__name__}: {error}"
                log.error("%s; all zones stay as they are; next try in %g seconds", message, delay)
                log.debug("the failed reload", exc_info=error)
            else:
                self._backoff = self._backoff.succeeded()
            if is_forced:
                self._on_request(False)

    def close_loader(self) -> None:
        """End a load that is under way; there is no other after it."""
        self._loader.close()

    async def close(self) -> None:
        """Stop watching, and end a load that is under way."""
        self.close_loader()
        await self._watcher.close()

    async def _next(self) -> bool:
        """Wait until a look is due; whether everything is to be loaded."""
        while (retry_at := self._backoff.retry_at) is not None:
            if self._backoff.is_due(time.monotonic(), self._is_requested):
                self._is_requested = False
                return True
            self._wake.clear()
            await self._woken(retry_at - time.monotonic())
        if not await self._woken(seconds_to_next_look(self._known, time.time(), self._poll)):
            return False
        since = time.monotonic()
        while not self._is_requested and time.monotonic() - since < _MAX_UNREST:
            self._wake.clear()
            if not await self._woken(_QUIET):
                break
        # From here on, whatever happens brings another look.
        self._wake.clear()
        is_forced, self._is_requested = self._is_requested, False
        return is_forced

    async def _woken(self, delay: float) -> bool:
        try:
            await asyncio.wait_for(self._wake.wait(), max(0.0, delay))
        except TimeoutError:
            return False
        return True

    async def _look(self, is_forced: bool) -> None:
        """Look at the files, and do what the plan makes of it."""
        self._service.retire()
        look = await self._look_in_background(look_at, self._paths, self._known)
        now = time.time()
        todo = plan(self._known, look, now, is_forced)
        for path, why in todo.kept.items():
            if self._kept.get(path) != why:
                log.error("%s: %s; its zones stay in service", printable(path), why)
        self._kept = todo.kept
        if not todo.is_empty:
            await self._carry_out(todo, look, now)
        if self._watcher.watch(await self._look_in_background(self._directories)):
            self._hint()

    async def _look_in_background(self, look: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """Look at files in a thread; when that takes long, say so once."""
        looking = asyncio.create_task(in_background(look, *arguments, **keywords))
        try:
            done, _ = await asyncio.wait((looking,), timeout=self._look_patience)
            if not done:
                paths = ", ".join(map(printable, self._paths))
                log.error("a file system does not answer (below %s, or of a list file); no zone is reloaded", paths)
                await asyncio.wait((looking,))
                log.info("the file system answers again")
            return looking.result()
        finally:
            looking.cancel()

    async def _carry_out(self, todo: Plan, look: Look, planned_at: float) -> None:
        started = time.monotonic()
        gone = todo.gone
        try:
            async for step in self._load(list(todo.load), gone, look.versions):
                await in_background(self._take, step, gone)
                gone = ()
                self._on_feeds(self.feeds)
        finally:
            for path in todo.due:
                if path in self._known:
                    self._known[path] = after_due_load(self._known[path], planned_at, time.monotonic() - started)
        if gone:
            await in_background(self._take, _Step((), Delivery((), Problems(), {}, {}), started), gone)
            self._on_feeds(self.feeds)

    async def _load(
        self, files: list[str], gone: Sequence[str] = (), versions: Mapping[str, Signature] | None = None
    ) -> AsyncIterator[_Step]:
        """Load files, as far as possible together; what is there can be taken into service at each step.

        versions: of all sources, as they were before.
        """
        before = {status.name: status.table.table for status in self.statuses.values() if status.table}
        waiting = deque(first_batches(files, self._known))
        failures = 0
        while waiting:
            batch = waiting.popleft()
            started = time.monotonic()
            try:
                delivery = await in_background(self._loader.run, self._job(batch, gone), before)
            except LoaderWorkError as failure:
                failures += 1
                if len(batch) > 1:
                    log.warning("%s: %s; the others are loaded without it", printable(failure.file), failure)
                    waiting.extendleft(reversed(batches_after(batch, failure.file, failures)))
                    continue
                yield _Step(batch, self._failed(batch[0], failure, versions or {}), started, has_crashed=True)
            except LoaderError:
                self._note_failure([*batch, *(path for each in waiting for path in each)])
                raise
            else:
                yield _Step(batch, delivery, started)

    def _job(self, files: Sequence[str], gone: Sequence[str]) -> Job:
        left = set(gone)
        served = {status.name: path for path, status in self.statuses.items() if status.table and path not in left}
        return Job(tuple(files), served, self._versions, self._files_below, self._state)

    def _failed(self, path: str, failure: LoaderWorkError, versions: Mapping[str, Signature]) -> Delivery:
        """What there is of a file whose loader failed (rule 16)."""
        problems = Problems()
        problems.error(Place(path), "", f"cannot be loaded: {failure}")
        known = self._known[path].sources if path in self._known else {}
        sources = {source: versions.get(source) for source in known} | dict(failure.sources)
        return Delivery((), problems, {path: sources}, {path: ()})

    def _note_failure(self, files: Sequence[str]) -> None:
        """Note that a load has failed of which nothing was learned."""
        failed = {
            path: replace(self.statuses[path], failures=self.statuses[path].failures + 1, last_succeeded=False)
            for path in files
            if path in self.statuses
        }
        self._known.update({path: replace(self._known[path], has_succeeded=False) for path in failed})
        self.statuses = {**self.statuses, **failed}

    def _take(self, step: _Step, gone: Sequence[str] = ()) -> None:
        """Take what was loaded into service, in one step, and log what changed.

        For a thread of its own, because 10,000 zones take a second; nothing else here runs meanwhile.
        """
        left = set(gone)
        before = self.statuses
        after = {path: status for path, status in before.items() if path not in left}
        tables = {table.file: table for table in step.delivery.tables}
        duration = time.monotonic() - step.started
        for path in step.files:
            old = after.get(path, ZoneStatus())
            if path in tables:
                counts = old.successes + 1, old.failures
                newest = _newest(step.delivery.sources[path].values())
                states = step.delivery.states[path]
                after[path] = ZoneStatus(tables[path], time.time(), duration, *counts, True, newest, states)
            else:
                after[path] = replace(old, failures=old.failures + 1, last_succeeded=False)
        if tables or left:
            self._service.adopt([status.table.table for status in after.values() if status.table])
        self.statuses = after
        for table in tables.values():
            info = table.table.info
            self._versions[info.zone] = ZoneVersion(info.serial, info.digest)
        known = {path: file for path, file in self._known.items() if path not in left}
        sources = {path: states for path, states in self._sources.items() if path not in left}
        # A loader that failed has read none.
        # Nor has one of a zone file that cannot be read, whose feeds are in service as they were.
        read = {path: states for path, states in step.delivery.states.items() if states or path in tables}
        self._sources = sources if step.has_crashed else sources | read
        self._known = known | {path: self._know(path, step, duration) for path in step.files}
        for problem in step.delivery.problems:
            log.log(logging.WARNING if problem.warning else logging.ERROR, "%s", problem)
        for name, count in step.delivery.problems.left_out.items():
            log.error("%s: %d more problems", printable(name), count)
        log_outcomes(step.files, before, after)

    def _know(self, path: str, step: _Step, duration: float) -> KnownFile:
        """What is known of a file that was loaded just now."""
        file = self._known.get(path, KnownFile({}, has_succeeded=False))
        sources = step.delivery.sources[path]
        if step.has_crashed:
            file = after_crash(file, sources, time.time(), duration)
            log.info("%s: tried again in %.0f s, or once it changes", printable(path), file.retry_at - time.time())
            return file
        status = self.statuses[path]
        due = min((state.due for state in step.delivery.states[path] if state.due), default=0.0)
        file = replace(file, sources=sources, has_succeeded=status.last_succeeded, crashes=0, source_due=due)
        if status.table is None:
            return file
        info = status.table.table.info
        return replace(file, made_at=info.as_of, next_expiry=float(info.next_expiry))

    def _directories(self) -> dict[str, tuple[int, int]]:
        """Where something happens when a zone file or list file changes, appears or goes."""
        sources = {source for file in self._known.values() for source in file.sources}
        # A name that cannot be in a directory makes the directory itself the place to watch.
        inside = [str(Path(path) / "*.yaml") for path in self._paths]
        return directories_of([*self._paths, *inside, *sources])


def _newest(versions: Iterable[Signature]) -> float:
    """When the newest of some files was written, in seconds since 1970."""
    return max((version[_MODIFIED] / 1e9 for version in versions if version), default=0.0)


def look_at(paths: Sequence[str], known: Mapping[str, KnownFile]) -> Look:
    """Look at the zone files that the paths hold, and at what the known ones were made from."""
    sources = {source for file in known.values() for source in file.sources}
    return Look(tuple(map(look_at_path, paths)), {source: signature(source) for source in sources})
