"""Hints that files may have changed.

Owns which directories are watched for a set of paths: those that hold them, those that hold a symbolic link on the way
to them, and, where a path does not exist yet, the last directory on the way that does. A hint says no more than "look
again": whether a file has changed, its receiver finds out. Knows nothing of zones.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from contextlib import suppress

from watchfiles import awatch

from dnsbl_server.supply.way import stand_in, steps_to

log = logging.getLogger(__name__)

_STEP_MS = 50

# Directories by path, with device and inode: a directory that is replaced by another needs a new watch.
Directories = dict[str, tuple[int, int]]


def directories_of(paths: Iterable[str]) -> Directories:
    """The directories in which something happens when one of the paths comes to mean something else."""
    found: Directories = {}
    for path in dict.fromkeys(map(stand_in, paths)):
        for step in steps_to(path):
            if step.directory in found:
                continue
            with suppress(OSError):
                status = os.stat(step.directory)
                found[step.directory] = status.st_dev, status.st_ino
    return found


class Watcher:
    """Calls `changed` on the running loop whenever something happens in the watched directories."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._directories: Directories = {}
        self._task: asyncio.Task[None] | None = None
        self._failed = False

    def watch(self, directories: Directories) -> bool:
        """Watch these directories and no others; whether that is a change, after which one look is owed."""
        changed = directories != self._directories
        if changed:
            self._failed = False
        if changed or self._task is None or self._task.done():
            if self._task is not None:
                self._task.cancel()
            self._directories = directories
            self._task = asyncio.create_task(self._run(list(directories)))
        return changed

    async def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, directories: list[str]) -> None:
        if not directories:
            return
        try:
            changes = awatch(
                *directories,
                watch_filter=None,
                debounce=4 * _STEP_MS,
                step=_STEP_MS,
                recursive=False,
                ignore_permission_denied=True,
            )
            async for _ in changes:
                self._changed()
        except (OSError, RuntimeError) as error:
            # Too many watches, a directory that has just gone: tried again when the next look is due.
            if not self._failed:
                log.warning("cannot watch %s, only looking now and then: %s", ", ".join(directories), error)
            self._failed = True
