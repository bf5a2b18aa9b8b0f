"""Files on disk: opened without waiting, compared without reading.

Owns what a regular file is, the signature by which the versions of a file differ, and the words for what the system
refuses. Knows nothing of what the files hold.
"""

import os
import stat
from typing import IO

# Device, inode, size, and the times of change of the content and of the inode in nanoseconds; None where there is no
# such file.
Signature = tuple[int, int, int, int, int] | None


def open_regular(path: str) -> IO[bytes]:
    """Open a regular file for reading, without ever waiting for a pipe or a device.

    Raises OSError, its text saying what the path is where it is no file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError:
        raise OSError(0, "no file has such a name") from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise OSError(0, "is a directory" if stat.S_ISDIR(mode) else "is not a regular file")
    return open(descriptor, "rb")


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
