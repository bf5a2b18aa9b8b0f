"""Feeds: which are due, and the fetcher processes that fetch them.

Owns the rules of when a feed is fetched; tests/supply/test_feeds.py has them by these numbers. The functions for them
are pure: what is known of the feeds and the time are arguments.

 1. A feed is due when its `not_before` has come, which its last fetch left (`fetch`); one that was never tried is due
    at once.
 2. The clock or `every` may have changed since: no feed waits longer than `every`, or a day where that is more, after
    its last try, and one that was tried at a time that has not come yet is due.
 3. A URL that several lists name is fetched once, as often as the one that wants it most often.
 4. At most PARALLEL are fetched at once, and none twice at once; the one that is due for longest comes first.
 5. A fetcher that ends badly, by itself or by its deadline, is one failed fetch.

What was fetched is a list file that the reloader watches; nothing here loads a zone. Knows nothing of HTTP.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence

from dnsbl_server.model.feed import FeedSpec
from dnsbl_server.model.problem import printable
from dnsbl_server.sources.feedstore import FeedBusyError, FeedMeta, data_path, locked, read_meta, shown_url, write_meta
from dnsbl_server.sources.files import Signature, reason_of, signature
from dnsbl_server.supply.background import in_background
from dnsbl_server.supply.failure import failed_fetch
from dnsbl_server.supply.process import environment

log = logging.getLogger(__name__)

PARALLEL = 4
# Seconds: how long a feed may wait after its last try at least (rule 2); until a fetcher is killed; between two looks
# when nothing is due; until one that was killed has ended.
_DAY = 86400.0
_PATIENCE = 660.0
_LONGEST_PAUSE = 300.0
_PAUSE_AFTER_ERROR = 5.0
_END_PATIENCE = 2.0
_SIZE = 2  # in a signature
# A failure that goes on is logged this often.
_REMIND = 3600.0


def distinct(specs: Iterable[FeedSpec]) -> dict[str, FeedSpec]:
    """The feeds by URL, each as often as it is wanted most often (rule 3)."""
    found: dict[str, FeedSpec] = {}
    for spec in specs:
        known = found.get(spec.url)
        if known is None or spec.every < known.every:
            found[spec.url] = spec
    return found


def due_at(spec: FeedSpec, meta: FeedMeta, now: float) -> float:
    """When a feed is due, in seconds since 1970 (rules 1 and 2)."""
    if meta.checked_at > now:
        return now
    return min(meta.not_before, meta.checked_at + max(spec.every, _DAY))


def to_start(
    specs: Mapping[str, FeedSpec], metas: Mapping[str, FeedMeta], running: Iterable[str], now: float
) -> list[FeedSpec]:
    """The feeds to fetch now, the one that is due for longest first (rule 4)."""
    busy = set(running)
    times = {url: due_at(spec, metas.get(url, FeedMeta()), now) for url, spec in specs.items() if url not in busy}
    due = sorted((at, url) for url, at in times.items() if at <= now)
    return [specs[url] for _, url in due[: max(0, PARALLEL - len(busy))]]


def seconds_to_next(
    specs: Mapping[str, FeedSpec], metas: Mapping[str, FeedMeta], running: Iterable[str], now: float
) -> float:
    """How long until another feed may be due."""
    busy = set(running)
    times = [due_at(spec, metas.get(url, FeedMeta()), now) - now for url, spec in specs.items() if url not in busy]
    return max(0.0, min([_LONGEST_PAUSE, *times]))


class FeedRunner:
    """Keeps the feeds of a server fetched, until it is closed."""

    def __init__(self) -> None:
        self._state = ""
        self._running: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._logged: dict[str, tuple[str, float]] = {}
        # By URL. Replaced as a whole, so that other threads may read them.
        self.metas: Mapping[str, FeedMeta] = {}
        self.specs: Mapping[str, FeedSpec] = {}

    def set_specs(self, specs: Sequence[FeedSpec]) -> None:
        """Fetch these feeds from now on, and no others."""
        self.specs = distinct(specs)
        self._wake.set()

    async def run(self, state: str) -> None:
        """Fetch what is due, until cancelled. state: the state directory."""
        self._state = state
        try:
            while True:
                self._wake.clear()
                try:
                    await self._look()
                except Exception as error:
                    # Whatever it is, the server goes on answering.
                    log.error("feeds are looked at again later: %s: %s", type(error).__name__, error)
                    await asyncio.sleep(_PAUSE_AFTER_ERROR)
                pause = seconds_to_next(self.specs, self.metas, self._running, time.time())
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), max(pause, 0.1) if self.specs else None)
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _look(self) -> None:
        missing = [url for url in self.specs if url not in self.metas]
        read = {url: await in_background(read_meta, self._state, url) for url in missing}
        # There may be others by now; those have woken us already.
        known = {**read, **self.metas}
        self.metas = {url: known[url] for url in self.specs if url in known}
        ready = {url: spec for url, spec in self.specs.items() if url in known}
        for spec in to_start(ready, self.metas, self._running, time.time()):
            task = asyncio.create_task(self._fetch(spec))
            self._running[spec.url] = task

    async def _fetch(self, spec: FeedSpec) -> None:
        """Fetch a feed in a process of its own."""
        path = data_path(self._state, spec.url)
        try:
            before = await in_background(signature, path)
            failure = await self._run_process(spec)
            if failure:
                await in_background(self._note_failure, spec, failure)
            meta = await in_background(read_meta, self._state, spec.url)
            after = await in_background(signature, path)
            if spec.url in self.specs:
                # What cannot be written there would be due again and again.
                started = self.metas.get(spec.url, FeedMeta())
                if meta.checked_at <= started.checked_at:
                    meta = failed_fetch(started, spec, failure or "is being fetched by another process", time.time())
                self.metas = {**self.metas, spec.url: meta}
                self._log(spec, meta, before, after)
        finally:
            del self._running[spec.url]
            self._wake.set()

    async def _run_process(self, spec: FeedSpec) -> str:
        """Run a fetcher; why it failed as a whole, empty where it did not."""
        job = {"state": self._state, "feed": {"url": spec.url, "every": spec.every, "secret": spec.secret}}
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "dnsbl_server.supply.fetcher"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=environment(),
                start_new_session=True,
            )
        except OSError as error:
            return f"cannot start the fetcher: {reason_of(error)}"
        try:
            _, said = await asyncio.wait_for(process.communicate(json.dumps(job).encode()), _PATIENCE)
        except TimeoutError:
            return f"the fetcher took longer than {_PATIENCE:g} seconds"
        finally:
            if process.returncode != 0:
                # With the program that it may wait for: both are a session of their own.
                with contextlib.suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), _END_PATIENCE)
        if process.returncode == -signal.SIGALRM:
            return "took too long, and the fetcher was ended"
        if process.returncode:
            lines = said.decode("utf-8", "replace").strip().splitlines()
            last = printable(lines[-1])[:200] if lines else ""
            return f"the fetcher ended with status {process.returncode}{': ' + last if last else ''}"
        return ""

    def _note_failure(self, spec: FeedSpec, failure: str) -> None:
        with contextlib.suppress(OSError, FeedBusyError), locked(self._state, spec.url):
            meta = failed_fetch(read_meta(self._state, spec.url), spec, failure, time.time())
            write_meta(self._state, spec.url, meta)

    def _log(self, spec: FeedSpec, meta: FeedMeta, before: Signature, after: Signature) -> None:
        name = shown_url(spec.url)
        error, at = self._logged.get(spec.url, ("", 0.0))
        now = time.monotonic()
        if meta.failures:
            if meta.error != error or now - at > _REMIND:
                again = max(0.0, meta.not_before - time.time())
                copy = "its last copy stays" if after else "there is no copy of it yet"
                log.error("feed %s: not fetched: %s; %s; next try in %.0f s", name, meta.error, copy, again)
                self._logged[spec.url] = meta.error, now
            return
        if error:
            log.info("feed %s: is fetched again", name)
            del self._logged[spec.url]
        if after and (before is None or after[_SIZE] != before[_SIZE] or after[1] != before[1]):
            log.info("feed %s: a new version of %d bytes", name, after[_SIZE])
