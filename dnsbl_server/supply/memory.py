"""Files in memory (memfd): how a table gets from the loader process to the server without a copy.

Owns how they are made, sealed and checked; `_mapping` maps them. A sealed one cannot be changed or cut by anybody any
more, so what has been checked once stays right, and reading it cannot fail. Knows nothing of what they hold.
"""

import fcntl
import os
from io import FileIO

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class MemoryFileError(ValueError):
    """A descriptor that is not that of a sealed file in memory, or of one that is too large."""


def create_memory(name: str, data: bytes = b"") -> FileIO:
    """A new file in memory that holds the data, at its start. name: what /proc shows. Raises OSError."""
    memory = FileIO(os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "r+")
    view = memoryview(data)
    while view:
        view = view[memory.write(view) :]
    memory.seek(0)
    return memory


def create_sealed(name: str, data: bytes) -> FileIO:
    """A new sealed file in memory that holds the data. Raises OSError."""
    memory = create_memory(name, data)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)
    return memory


def check_sealed(descriptor: int) -> None:
    """Make sure that a descriptor from elsewhere is that of a sealed file in memory. Raises MemoryFileError."""
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
    except OSError:
        # Pipes, sockets, devices and files on disk have no seals.
        raise MemoryFileError("not a file in memory") from None
    if seals & _SEALS != _SEALS:
        raise MemoryFileError("not sealed")


def read_sealed(memory: FileIO, limit: int) -> bytes:
    """All that a sealed file in memory from elsewhere holds. limit: bytes. Raises MemoryFileError."""
    check_sealed(memory.fileno())
    size = os.fstat(memory.fileno()).st_size
    if size > limit:
        raise MemoryFileError(f"{size} bytes, more than {limit}")
    memory.seek(0)
    return memory.readall()
