"""The way to a path: the directories that it leads through, and the symbolic links in them.

Owns how links are followed, as the kernel does it. Looks, and reads no file.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# How many links are followed for one path, as the kernel does.
_MAX_LINKS = 40


class Step(NamedTuple):
    """A directory in which something happens when the path comes to mean something else.

    link_changed: where that is a symbolic link in it, when that was made or renamed, in nanoseconds since 1970; else 0.
    """

    directory: str
    link_changed: int = 0


def steps_to(path: str) -> Iterator[Step]:
    """The directories that hold a link on the way to an absolute path, and the one that holds what is at its end.

    Where the path does not exist, the last directory on the way that does; of a path to a directory, itself.
    """
    for _ in range(_MAX_LINKS):
        current = Path("/")
        parts = Path(path).parts[1:]
        for number, part in enumerate(parts):
            if part == "..":
                current = current.parent  # there is no link in it, so this is what the kernel does
                continue
            step = current / part
            try:
                status = os.lstat(step)
            except (OSError, ValueError):
                yield Step(str(current))
                return
            if stat.S_ISLNK(status.st_mode):
                yield Step(str(current), status.st_ctime_ns)
                try:
                    target = os.readlink(step)
                except OSError:
                    return  # replaced just now: there will be another hint
                path = str(current / target / Path(*parts[number + 1 :]))
                break
            if not stat.S_ISDIR(status.st_mode):
                yield Step(str(current))
                return
            current = step
        else:
            yield Step(str(current))
            return


def stand_in(path: str) -> str:
    """An absolute path with the same way: for all files that are in one directory, and are no links, the same one."""
    path = os.path.join(os.getcwd(), path)
    try:
        is_file = stat.S_ISREG(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return path
    # A name that cannot be in a directory.
    return os.path.join(os.path.dirname(path), "*") if is_file else path
