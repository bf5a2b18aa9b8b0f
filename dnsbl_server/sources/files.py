"""Files on disk: opened without waiting, compared without reading.

Owns what a regular file is, which directories it may be in, the signature that tells one version of a file from
another, and the words for what the system refuses. Knows nothing of what stands in the files.
"""

import os
import stat
from collections.abc import Iterable, Sequence
from typing import IO

from dnsbl_server.model.problem import printable

# Device, inode, size, and the times of change of the content and of the inode in nanoseconds; None where there is no
# such file.
Signature = tuple[int, int, int, int, int] | None

_CHUNK = 1 << 20


class OutsideError(OSError):
    """A file is in none of the directories that it may be in."""


def open_regular(path: str, below: Sequence[str] = ()) -> IO[bytes]:
    """Open a regular file for reading, without ever waiting for a pipe or a device.

    below: directories, in one of which the file must be once all symbolic links are followed; none: it may be anywhere.
    Raises OutsideError where it is in none, OSError, its text saying what the path is where it is no such file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError:
        raise OSError(0, "no file has such a name") from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise OSError(0, "is a directory" if stat.S_ISDIR(mode) else "is not a regular file")
    if below and not _is_below(path, descriptor, below):
        os.close(descriptor)
        raise OutsideError(0, f"is in no directory of files_below: {', '.join(map(printable, below))}")
    return open(descriptor, "rb")


def _is_below(path: str, descriptor: int, directories: Iterable[str]) -> bool:
    """Whether an open file is in one of the directories, or somewhere below."""
    resolved = os.path.realpath(path)
    try:
        status = os.lstat(resolved)
    except OSError:
        return False
    # A link that was changed after the file was opened leads elsewhere.
    if not os.path.samestat(status, os.fstat(descriptor)):
        return False
    tops = map(os.path.realpath, directories)
    return any(os.path.commonpath((top, resolved)) == top for top in tops)


def read_at_most(stream: IO[bytes], limit: int) -> bytes:
    """The content of a file; of one that is larger than `limit` bytes a little more than that."""
    # As much as the file has, and not as much as it could have: reading a file takes no more memory than its size.
    wanted = min(os.fstat(stream.fileno()).st_size, limit) + 1
    parts = []
    size = 0
    while size <= limit and (part := stream.read(wanted)):
        parts.append(part)
        size += len(part)
        wanted = _CHUNK
    return parts[0] if len(parts) == 1 else b"".join(parts)


def signature(path: str) -> Signature:
    """What tells one version of a file from another without reading it."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def reason_of(error: OSError) -> str:
    """What an OSError says, in the words of a problem."""
    text = error.strerror or str(error) or type(error).__name__
    return text[:1].lower() + text[1:]
