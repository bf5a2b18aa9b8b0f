"""Hints that files may have changed.

Owns which directories are watched for a set of paths: those that hold them, those that hold a symbolic link on the way
to them, and, where a path does not exist yet, the last directory on the way that does. A hint says no more than "look
again": whether a file has changed, its receiver finds out. Knows nothing of zones.
"""

import asyncio
import logging
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from watchfiles import awatch

log = logging.getLogger(__name__)

# How many links are followed for one path, as the kernel does.
_MAX_LINKS = 40
_STEP_MS = 50

# Directories by path, with device and inode: a directory that is replaced by another needs a new watch.
Directories = dict[str, tuple[int, int]]


def directories_of(paths: Iterable[str]) -> Directories:
    """The directories in which something happens when one of the paths comes to mean something else."""
    found: Directories = {}
    for path in paths:
        for directory in _watch_points(os.path.join(os.getcwd(), path)):
            try:
                status = os.stat(directory)
            except OSError:
                continue
            found[directory] = status.st_dev, status.st_ino
    return found


def _watch_points(path: str) -> Iterable[str]:
    for _ in range(_MAX_LINKS):
        current = Path("/")
        parts = Path(path).parts[1:]
        for number, part in enumerate(parts):
            if part == "..":
                current = current.parent  # there is no link in it, so this is what the kernel does
                continue
            step = current / part
            try:
                mode = os.lstat(step).st_mode
            except OSError:
                yield str(current)
                return
            if stat.S_ISLNK(mode):
                yield str(current)
                try:
                    target = os.readlink(step)
                except OSError:
                    return  # replaced just now: there will be another hint
                path = str(current / target / Path(*parts[number + 1 :]))
                break
            if not stat.S_ISDIR(mode):
                yield str(current)
                return
            current = step
        else:
            yield str(current)
            return


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
