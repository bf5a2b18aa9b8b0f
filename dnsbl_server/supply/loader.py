"""The loader process: zone files are read, checked and compiled outside the server.

Owns the border between control plane and data plane. The parent starts a process for each load; that reads the files,
seals each zone's table in memory of its own (memfd), sends it over a socket, and ends, and all its memory with it. A
loader that crashes, is killed, hangs or runs out of memory is one failed load; nothing in the server is touched.

    parent                                              child, at low priority
    request: files, zones served (JSON on stdin)   ->   load()
    table, sealed           <-  one message a zone  --  pack, seal
    report: problems, sources  <-  last message     --  exit
"""

import contextlib
import fcntl
import gc
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

from dnsbl_server.model.problem import Place, Problem, Problems
from dnsbl_server.sources.files import Signature, reason_of
from dnsbl_server.supply.load import load
from dnsbl_server.table.layout import TableError
from dnsbl_server.table.table import ZoneTable

_NICE = 10
_MAX_MESSAGE = 65536
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_LAST_WORDS = 500
_LAST_WISH = 2.0  # seconds that a loader has to end after its last message


class LoaderError(RuntimeError):
    """The loader process did not do its work; the text says what became of it."""


class SealedTable(NamedTuple):
    """A zone's table in sealed memory.

    file: the zone file; descriptor: the memory's; added, removed: entries, compared with the table before.
    """

    file: str
    table: ZoneTable
    descriptor: int
    added: int
    removed: int

    def close(self) -> None:
        """Give the descriptor back; the table stays readable for who holds it."""
        os.close(self.descriptor)


class Loaded(NamedTuple):
    """What a loader process found; see `load.Load`."""

    tables: list[SealedTable]
    problems: Problems
    sources: dict[str, dict[str, Signature]]


class Loader:
    """Runs loader processes, one at a time. timeout: seconds until one that hangs is killed."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def run(self, files: list[str], served: Mapping[str, str], descriptors: Mapping[str, int]) -> Loaded:
        """Load zone files in a process of their own; blocks until it has ended.

        served: zones in service and their files; descriptors: their tables' memory. Raises LoaderError.
        """
        try:
            with contextlib.ExitStack() as stack:
                ours, theirs = map(stack.enter_context, socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
                request = {"files": files, "served": served, "tables": descriptors, "socket": theirs.fileno()}
                # Files in memory: no pipe can fill up, and there may be no disk to write to.
                stdin = stack.enter_context(_memory("dnsbl-loader-stdin", json.dumps(request).encode()))
                stderr = stack.enter_context(_memory("dnsbl-loader-stderr"))
                process = self._start(stdin, stderr, [theirs.fileno(), *descriptors.values()])
                theirs.close()
                return self._await(process, ours, stderr)
        except OSError as error:
            name = f": {error.filename}" if error.filename else ""
            raise LoaderError(f"cannot start the loader: {reason_of(error)}{name}") from error

    def _start(self, stdin: FileIO, stderr: FileIO, descriptors: list[int]) -> subprocess.Popen[bytes]:
        # The child finds the package where this process found it, and nothing in the working directory.
        package = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "dnsbl_server.supply.loader"],
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            pass_fds=descriptors,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )

    def _await(self, process: subprocess.Popen[bytes], ours: socket.socket, stderr: FileIO) -> Loaded:
        """What the process sends until it ends; one that does not end is killed."""
        self._process = process
        try:
            if self._closed:
                process.kill()
            loaded = _receive(ours, time.monotonic() + self._timeout)
            _wait(process)
            return loaded
        except TimeoutError as error:
            raise LoaderError(f"the loader took longer than {self._timeout:g} seconds and was killed") from error
        except (EOFError, ConnectionError) as error:
            # On its way out, it has the time to say why.
            raise LoaderError(_obituary(_wait(process), _last_words(stderr))) from error
        except Exception as error:
            raise LoaderError(f"the loader sent something that is no table or report: {error}") from error
        finally:
            process.kill()
            process.wait()
            self._process = None

    def close(self) -> None:
        """End the process that runs now, and any that is started yet; their `run` raises LoaderError."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    """The status of a process that is about to end; None where it does not."""
    try:
        return process.wait(_LAST_WISH)
    except subprocess.TimeoutExpired:
        return None


def _receive(ours: socket.socket, deadline: float) -> Loaded:
    """The tables and the report that a loader sends before a deadline on the monotonic clock."""
    tables: list[SealedTable] = []
    try:
        while True:
            ours.settimeout(max(0.001, deadline - time.monotonic()))
            message, descriptors, _, _ = socket.recv_fds(ours, _MAX_MESSAGE, 1)
            if not message:
                raise EOFError
            if not descriptors:
                raise ValueError("a message without its memory")
            with FileIO(descriptors[0], "r") as memory:
                said = json.loads(message)
                if "file" not in said:
                    memory.seek(0)
                    return Loaded(tables, *_read_report(json.loads(memory.readall())))
                tables.append(_open_table(said, memory))
    except BaseException:
        for table in tables:
            table.close()
        raise


def _open_table(said: dict[str, Any], memory: FileIO) -> SealedTable:
    if fcntl.fcntl(memory, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
        raise TableError("the table is not sealed")
    table = ZoneTable(mmap.mmap(memory.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ))
    return SealedTable(said["file"], table, os.dup(memory.fileno()), said["added"], said["removed"])


def _read_report(report: dict[str, Any]) -> tuple[Problems, dict[str, dict[str, Signature]]]:
    problems = Problems()
    for (file, line, column), value, message, warning in report["problems"]:
        problems.add(Problem(Place(file, line, column), value, message, warning))
    for file, count in report["left_out"].items():
        problems.leave_out(file, count)
    sources = {
        file: {source: tuple(known) if known else None for source, known in each.items()}
        for file, each in report["sources"].items()
    }
    return problems, sources


def _obituary(status: int | None, last_words: str) -> str:
    if status is None:
        return "the loader stopped sending, did not end, and was killed"
    if status < 0:
        memory = " (out of memory?)" if status == -signal.SIGKILL else ""
        return f"the loader was killed by signal {-status}{memory}"
    return f"the loader ended with status {status}{': ' + last_words if last_words else ''}"


def _last_words(stderr: Any) -> str:
    stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - _LAST_WORDS))
    lines = stderr.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""


def main() -> int:
    """The child: load what the request on standard input names, and send it over the socket it names."""
    # Everything made here lives until the end; looking for cycles in it would double the time.
    gc.disable()
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    with contextlib.suppress(OSError):
        # When memory runs out, the kernel ends the loader and not the server.
        Path("/proc/self/oom_score_adj").write_text("1000")
    request = json.load(sys.stdin)
    previous = {
        name: ZoneTable(mmap.mmap(descriptor, 0, mmap.MAP_SHARED, mmap.PROT_READ))
        for name, descriptor in request["tables"].items()
    }
    with socket.socket(fileno=request["socket"]) as parent:
        result = load(request["files"], time.time(), lambda path, count: None, request["served"], previous)
        for file, loaded in result.zones.items():
            table = loaded.compiled.table
            added, removed = ZoneTable(table).changes_since(previous.get(loaded.zone.name))
            with _seal(table) as memory:
                said = {"file": file, "added": added, "removed": removed}
                socket.send_fds(parent, [json.dumps(said).encode()], [memory.fileno()])
        report = {
            "problems": [[each.place, each.value, each.message, each.warning] for each in result.problems],
            "left_out": result.problems.left_out,
            "sources": result.sources,
        }
        with _seal(json.dumps(report).encode()) as memory:
            socket.send_fds(parent, [b"{}"], [memory.fileno()])
    # Freeing millions of objects one by one would take longer than making them.
    sys.stderr.flush()
    os._exit(0)


def _memory(name: str, data: bytes = b"") -> FileIO:
    """A file in memory that holds the data, at its start."""
    memory = FileIO(os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "r+")
    view = memoryview(data)
    while view:
        view = view[memory.write(view) :]
    memory.seek(0)
    return memory


def _seal(data: bytes) -> FileIO:
    memory = _memory("dnsbl-table", data)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)
    return memory


if __name__ == "__main__":
    sys.exit(main())
