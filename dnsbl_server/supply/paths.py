"""What the paths hold that the server was given: zone files by name, or in directories.

Owns which files are zone files, and what a look at a path says: the files, or why they cannot be told. Only a directory
that could be listed says which files it has; a path that cannot be looked at says nothing, and never "none". What
follows from that for zones in service is in `plan`. Reads no file.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass

from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.sources.files import reason_of

_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class PathLook:
    """What was seen of one path.

    files: the zone files that it means, in order; is_directory: whether they are in it, or it is the file itself;
    problem: why no files can be told, empty where they can.
    """

    path: str
    files: tuple[str, ...] = ()
    is_directory: bool = False
    problem: str = ""


def look_at_path(path: str) -> PathLook:
    """Look at one path: a directory means its *.yaml and *.yml files, anything else that is there means itself."""
    try:
        is_directory = stat.S_ISDIR(os.stat(path).st_mode)
        names = sorted(os.listdir(path)) if is_directory else []
    except (OSError, ValueError) as error:
        return PathLook(path, problem=_why(path, error))
    if not is_directory:
        return PathLook(path, (path,))
    files = [name for name in names if name.endswith(_SUFFIXES) and not name.startswith(".")]
    problem = "" if files else "the directory has no zone files (*.yaml, *.yml)"
    return PathLook(path, tuple(os.path.join(path, name) for name in files), True, problem)


def directory_of(path: str) -> str:
    """What the files in a directory have as their directory, when the directory is given as this path."""
    return os.path.dirname(os.path.join(path, "name"))


def find_zone_files(paths: Iterable[str], problems: Problems) -> list[str]:
    """The zone files that the paths mean; a path that means none is a problem."""
    found: dict[str, None] = {}
    for path in paths:
        look = look_at_path(path)
        if look.problem:
            problems.error(Place(path), "", look.problem)
        found.update(dict.fromkeys(look.files))
    return list(found)


def _why(path: str, error: OSError | ValueError) -> str:
    if isinstance(error, ValueError):
        return "no file has such a name"
    if isinstance(error, FileNotFoundError):
        return "a symbolic link to nothing" if os.path.islink(path) else "no such directory or zone file"
    return reason_of(error)
