"""Which zones are in service, and when they are loaded again.

Owns the rule that a bad file never replaces a good one: a zone that does not load keeps its last good table. Looks at
the files when the watcher hints at a change, on SIGHUP, when an entry expires, and now and then in any case; loads
those that differ, through the loader process, and takes the outcome into service in one step.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from dnsbl_server.model.listing import format_time
from dnsbl_server.model.problem import Problems, printable
from dnsbl_server.sources.files import Signature, signature
from dnsbl_server.supply.load import find_zone_files
from dnsbl_server.supply.loader import Loaded, Loader, LoaderError, SealedTable
from dnsbl_server.supply.watch import Watcher, directories_of
from dnsbl_server.table.table import ZoneTable

log = logging.getLogger(__name__)

# Changes so close together are one; a file that never rests is loaded all the same.
_QUIET = 0.2
_MAX_UNREST = 2.0
# After a loader that failed, the next one waits: seconds, doubled each time up to the second number.
_RETRY = (2.0, 60.0)
# Expiries may keep a loader busy for one part in so many of the time.
_EXPIRY_SHARE = 10


@dataclass(frozen=True)
class ZoneStatus:
    """What there is to say of a zone, or of a zone file that never loaded. Times in seconds (since 1970)."""

    table: SealedTable | None = None
    loaded_at: float = 0.0
    duration: float = 0.0
    successes: int = 0
    failures: int = 0
    last_succeeded: bool = False

    @property
    def name(self) -> str:
        return self.table.table.info.zone if self.table else ""

    @property
    def entries(self) -> int:
        return self.table.table.info.entries if self.table else 0


@dataclass
class _File:
    """A zone file: what it was when it was last tried, and what came of it."""

    status: ZoneStatus = field(default_factory=ZoneStatus)
    sources: dict[str, Signature] = field(default_factory=dict)
    tried_at: float = 0.0
    expiry_not_before: float = 0.0


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
        loader: Loader,
        poll: float,
        on_request: Callable[[bool], None] = lambda has_begun: None,
    ) -> None:
        """paths: zone files and directories; poll: seconds between two looks that nothing else asked for; on_request:
        told when a load of everything begins, and when it has ended.
        """
        self._on_request = on_request
        self._paths = paths
        self._service = service
        self._loader = loader
        self._poll = poll
        self._files: dict[str, _File] = {}
        self._watcher = Watcher(self._hint)
        self._wake = asyncio.Event()
        self._force = False
        self._unreadable: set[str] = set()
        self._retry_at = 0.0
        self._retry_delay = _RETRY[0]
        # By zone file. Replaced as a whole, so that other threads may read it.
        self.statuses: Mapping[str, ZoneStatus] = {}

    def request(self) -> None:
        """Load everything again, whether it seems changed or not."""
        self._force = True
        self._wake.set()

    def _hint(self) -> None:
        self._wake.set()

    async def start(self) -> Problems:
        """The first load. With any error in the problems, nothing is in service."""
        problems = Problems()
        started = time.monotonic()
        files = await asyncio.to_thread(find_zone_files, self._paths, problems)
        if problems.errors:
            return problems
        loaded = await self._load(files)
        if loaded.problems.errors:
            for table in loaded.tables:
                table.close()
            return loaded.problems
        self._take(files, loaded, started)
        self._watcher.watch(self._directories())
        return loaded.problems

    async def run(self) -> None:
        """Reload for ever."""
        self._hint()  # what changed between the first load and the first watch
        while True:
            force = await self._next()
            if force:
                self._on_request(True)
            try:
                await self._look(force)
            except Exception as error:
                # Whatever it is, what is in service stays in service.
                self._retry_at = time.monotonic() + self._retry_delay
                said = str(error) if isinstance(error, LoaderError) else f"{type(error).__name__}: {error}"
                log.error("%s; all zones stay as they are; next try in %g seconds", said, self._retry_delay)
                log.debug("the failed reload", exc_info=error)
                self._retry_delay = min(2 * self._retry_delay, _RETRY[1])
            else:
                self._retry_at, self._retry_delay = 0.0, _RETRY[0]
            if force:
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
        while self._retry_at:
            # After a failure everything is owed; only time or a request brings the next try.
            if self._force or time.monotonic() >= self._retry_at:
                self._force = False
                return True
            self._wake.clear()
            await self._woken(self._retry_at - time.monotonic())
        if not await self._woken(min([self._poll, *(due - time.time() for due in self._expiries().values())])):
            return False
        since = time.monotonic()
        while not self._force and time.monotonic() - since < _MAX_UNREST:
            self._wake.clear()
            if not await self._woken(_QUIET):
                break
        self._wake.clear()
        force, self._force = self._force, False
        return force

    async def _woken(self, delay: float) -> bool:
        try:
            await asyncio.wait_for(self._wake.wait(), max(0.0, delay))
        except TimeoutError:
            return False
        return True

    def _expiries(self) -> dict[str, float]:
        """When the next entry of each zone file expires and a load is due for it, in seconds since 1970."""
        return {
            path: max(float(due), file.expiry_not_before)
            for path, file in self._files.items()
            # One try for each: should the files be broken by then, the table still answers what is right.
            if file.status.table and (due := file.status.table.table.info.next_expiry) > file.tried_at
        }

    async def _look(self, force: bool) -> None:
        """Compare the files with what they were, and load those that differ."""
        self._service.retire()
        problems = Problems()
        files = await asyncio.to_thread(find_zone_files, self._paths, problems)
        if problems.errors:
            # A directory that cannot be read, or is suddenly empty, takes no zone out of service.
            for problem in problems:
                if str(problem) not in self._unreadable:
                    log.error("%s; its zones stay in service", problem)
            files = list(dict.fromkeys([*files, *self._files]))
        self._unreadable = {str(problem) for problem in problems}
        gone = [path for path in self._files if path not in files]
        now = time.time()
        due = {path for path, at in self._expiries().items() if at <= now}
        # The clock was ahead when these were made, and is right again: entries may be missing in them.
        due |= {
            path
            for path, each in self.statuses.items()
            if each.table and each.last_succeeded and each.table.table.info.as_of > now
        }
        changed = await asyncio.to_thread(self._changed, files)
        wanted = [path for path in files if force or path in changed or path in due]
        if not wanted and not gone:
            if self._watcher.watch(self._directories()):
                self._hint()
            return
        # What could not be served may have been in the way of another file, or the other way round.
        failed = {path for path, file in self._files.items() if not file.status.last_succeeded}
        wanted = [path for path in files if path in wanted or path in failed]
        started = time.monotonic()
        for path in due:
            self._files[path].tried_at = now
        loaded = await self._load(wanted, gone)
        for path in due:
            self._files[path].expiry_not_before = now + _EXPIRY_SHARE * (time.monotonic() - started)
        self._take(wanted, loaded, started, gone)
        if self._watcher.watch(self._directories()):
            self._hint()

    def _changed(self, files: list[str]) -> set[str]:
        known = {path: self._files[path].sources for path in files if path in self._files}
        return {
            path
            for path in files
            if path not in known or any(signature(source) != before for source, before in known[path].items())
        }

    async def _load(self, files: list[str], gone: list[str] | None = None) -> Loaded:
        if not files:
            return Loaded([], Problems(), {})
        kept = {path: file.status for path, file in self._files.items() if path not in (gone or [])}
        served = {status.name: path for path, status in kept.items() if status.table}
        # With those of files that are gone: the zone may come back in another one, and its serial goes on.
        all_statuses = [file.status for file in self._files.values()]
        descriptors = {status.name: status.table.descriptor for status in all_statuses if status.table}
        try:
            return await asyncio.to_thread(self._loader.run, files, served, descriptors)
        except LoaderError:
            for path in files:
                if path in self._files:
                    file = self._files[path]
                    file.status = replace(file.status, failures=file.status.failures + 1, last_succeeded=False)
            self._publish()
            raise

    def _take(self, files: list[str], loaded: Loaded, started: float, gone: list[str] | None = None) -> None:
        """Take what was loaded into service, in one step, and say what changed."""
        before = {path: file.status for path, file in self._files.items()}
        after = {path: file for path, file in self._files.items() if path not in (gone or [])}
        tables = {table.file: table for table in loaded.tables}
        duration = time.monotonic() - started
        for path in files:
            file = after.get(path, _File())
            old = file.status
            if path in tables:
                status = ZoneStatus(tables[path], time.time(), duration, old.successes + 1, old.failures, True)
            else:
                status = replace(old, failures=old.failures + 1, last_succeeded=False)
            after[path] = replace(file, status=status, sources=loaded.sources.get(path, file.sources))
        in_service = [file.status.table for file in after.values() if file.status.table]
        self._service.adopt([table.table for table in in_service])
        self._files = after
        for status in before.values():
            if status.table and all(status.table is not table for table in in_service):
                status.table.close()
        self._publish()
        for problem in loaded.problems:
            log.log(logging.WARNING if problem.warning else logging.ERROR, "%s", problem)
        for name, count in loaded.problems.left_out.items():
            log.error("%s: %d more problems", printable(name), count)
        for path in files:
            _log_outcome(path, before.get(path, ZoneStatus()), self._files[path].status)
        names = {file.status.name for file in self._files.values()}
        for status in before.values():
            if status.name and status.name not in names:
                log.warning("zone %s: withdrawn, its %d entries are no longer served", status.name, status.entries)
                names.add(status.name)

    def _publish(self) -> None:
        self.statuses = {path: file.status for path, file in self._files.items()}

    def _directories(self) -> dict[str, tuple[int, int]]:
        """Where something happens when a zone file or list file changes, appears or goes."""
        sources = {source for file in self._files.values() for source in file.sources}
        # A name that cannot be in a directory makes the directory itself the place to watch.
        inside = [str(Path(path) / "*.yaml") for path in self._paths]
        return directories_of([*self._paths, *inside, *sources])


def _log_outcome(path: str, before: ZoneStatus, after: ZoneStatus) -> None:
    table = after.table
    if not after.last_succeeded:
        if table is None:
            log.error("%s: not loaded; it has never been in service", path)
        else:
            since = format_time(datetime.fromtimestamp(int(after.loaded_at), UTC))
            log.error("zone %s: not reloaded; the version of %s stays in service", after.name, since)
        return
    assert table is not None
    took = f"in {after.duration:.2f} s, serial {table.table.info.serial}"
    if before.table is None or before.name != after.name:
        log.info("zone %s: loaded %d entries from %s %s", after.name, after.entries, path, took)
        return
    log.info(
        "zone %s: reloaded, %d -> %d entries (%d added, %d removed, %d expired) %s",
        after.name,
        before.entries,
        after.entries,
        table.added,
        table.removed,
        table.table.info.expired,
        took,
    )
