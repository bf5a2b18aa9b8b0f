"""Keeps a service supplied with the zones of a set of paths.

Owns the waiting: a look at the files when the watcher hints at a change, on a request, when the plan says that one is
due, and now and then in any case. What a look leads to, `plan` decides; `process` loads; the outcome is taken into
service in one step. A bad file never replaces a good one: a zone that does not load keeps its last good table.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from dnsbl_server.model.problem import Problems, printable
from dnsbl_server.sources.files import signature
from dnsbl_server.supply.exchange import Job
from dnsbl_server.supply.load import find_zone_files
from dnsbl_server.supply.plan import Backoff, KnownFile, Look, Plan, after_due_load, plan, seconds_to_next_look
from dnsbl_server.supply.process import Delivery, LoaderError, LoaderProcess
from dnsbl_server.supply.status import ZoneStatus, log_outcomes
from dnsbl_server.supply.watch import Watcher, directories_of
from dnsbl_server.table.table import ZoneTable

log = logging.getLogger(__name__)

# Changes so close together are one; a file that never rests is loaded all the same. Seconds.
_QUIET = 0.2
_MAX_UNREST = 2.0
# How long to wait after a loader that failed.
RETRY = Backoff(first=2.0, longest=60.0)


class Service(Protocol):
    """What answers from the tables that it is given."""

    def adopt(self, tables: Sequence[ZoneTable]) -> None:
        """Answer from these tables from now on, one for each zone."""

    def retire(self) -> None:
        """Let go of earlier tables, as far as nobody answers from them any more."""


class Reloader:
    """Keeps a service supplied with the zones that a set of paths holds."""

    def __init__(
        self,
        paths: tuple[str, ...],
        service: Service,
        loader: LoaderProcess,
        poll: float,
        on_request: Callable[[bool], None] = lambda has_begun: None,
        files_below: tuple[str, ...] = (),
        backoff: Backoff = RETRY,
    ) -> None:
        """paths: zone files and directories; poll: seconds between two looks that nothing else asked for; on_request:
        called with True when a load of everything begins, and with False when it has ended; files_below: the
        directories that list files may be in, none: any.
        """
        self._on_request = on_request
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
        self._unreadable: set[str] = set()
        # By zone file. Replaced as a whole, so that other threads may read it.
        self.statuses: Mapping[str, ZoneStatus] = {}

    def request(self) -> None:
        """Load everything again, whether it seems changed or not."""
        self._is_requested = True
        self._wake.set()

    def _hint(self) -> None:
        self._wake.set()

    async def start(self) -> Problems:
        """The first load. With any error in the problems, nothing is in service. Raises LoaderError."""
        problems = Problems()
        started = time.monotonic()
        files = await asyncio.to_thread(find_zone_files, self._paths, problems)
        if problems.errors:
            return problems
        delivery = await self._load(files)
        if delivery.problems.errors:
            for table in delivery.tables:
                table.close()
            return delivery.problems
        self._take(files, delivery, started)
        self._watcher.watch(self._directories())
        return delivery.problems

    async def run(self) -> None:
        """Reload for ever."""
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
        problems = Problems()
        look = await asyncio.to_thread(look_at, self._paths, self._known, problems)
        for problem in problems:
            if str(problem) not in self._unreadable:
                log.error("%s; its zones stay in service", problem)
        self._unreadable = {str(problem) for problem in problems}
        now = time.time()
        todo = plan(self._known, look, now, is_forced)
        if not todo.is_empty:
            await self._carry_out(todo, now)
        if self._watcher.watch(self._directories()):
            self._hint()

    async def _carry_out(self, todo: Plan, planned_at: float) -> None:
        started = time.monotonic()
        files = list(todo.load)
        delivery = await self._load(files, todo.gone)
        for path in todo.due:
            self._known[path] = after_due_load(self._known[path], planned_at, time.monotonic() - started)
        self._take(files, delivery, started, todo.gone)

    async def _load(self, files: list[str], gone: Sequence[str] = ()) -> Delivery:
        if not files:
            return Delivery((), Problems(), {})
        in_service = {path: status.table for path, status in self.statuses.items() if status.table}
        served = {self.statuses[path].name: path for path in in_service if path not in gone}
        # With those of files that are gone: the zone may come back in another one, and its serial goes on.
        tables = {self.statuses[path].name: table.descriptor for path, table in in_service.items()}
        try:
            return await asyncio.to_thread(self._loader.run, Job(tuple(files), served, tables, self._files_below))
        except LoaderError:
            failed = {
                path: replace(status, failures=status.failures + 1, last_succeeded=False)
                for path, status in self.statuses.items()
                if path in files
            }
            self._known.update({path: replace(self._known[path], has_succeeded=False) for path in failed})
            self.statuses = {**self.statuses, **failed}
            raise

    def _take(self, files: list[str], delivery: Delivery, started: float, gone: Sequence[str] = ()) -> None:
        """Take what was loaded into service, in one step, and log what changed."""
        before = self.statuses
        after = {path: status for path, status in before.items() if path not in gone}
        tables = {table.file: table for table in delivery.tables}
        duration = time.monotonic() - started
        for path in files:
            old = after.get(path, ZoneStatus())
            if path in tables:
                after[path] = ZoneStatus(tables[path], time.time(), duration, old.successes + 1, old.failures, True)
            else:
                after[path] = replace(old, failures=old.failures + 1, last_succeeded=False)
        in_service = [status.table for status in after.values() if status.table]
        self._service.adopt([table.table for table in in_service])
        self.statuses = after
        known = {path: file for path, file in self._known.items() if path not in gone}
        self._known = known | {path: self._know(path, delivery) for path in files}
        for status in before.values():
            if status.table and all(status.table is not table for table in in_service):
                status.table.close()
        for problem in delivery.problems:
            log.log(logging.WARNING if problem.warning else logging.ERROR, "%s", problem)
        for name, count in delivery.problems.left_out.items():
            log.error("%s: %d more problems", printable(name), count)
        log_outcomes(files, before, after)

    def _know(self, path: str, delivery: Delivery) -> KnownFile:
        """What is known of a file that was loaded just now."""
        status = self.statuses[path]
        file = replace(
            self._known.get(path, KnownFile({}, has_succeeded=False)),
            sources=delivery.sources[path],
            has_succeeded=status.last_succeeded,
        )
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


def look_at(paths: Sequence[str], known: Mapping[str, KnownFile], problems: Problems) -> Look:
    """Look at the zone files that the paths hold, and at what the known ones were made from."""
    files = find_zone_files(paths, problems)
    sources = {source for file in known.values() for source in file.sources}
    return Look(tuple(files), not problems.errors, {source: signature(source) for source in sources})
