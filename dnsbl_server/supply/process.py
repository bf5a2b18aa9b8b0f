"""The server's side of a load: starts a loader process, receives what it sends, and ends it.

Owns what the server believes of a loader. A loader that crashes, is killed, hangs, runs out of memory or sends anything
but what its job asked for is one failed load, a LoaderError; nothing else in the server is touched, and no process and
no descriptor stays behind.

    this process                                              loader process (`loader`), at low priority
    job, in memory that is its standard input           ->    load_zones
    notice and table in sealed memory, for each zone    <-    pack, seal, send on its standard output, a socket
    notice and report in sealed memory                  <-    end
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from dnsbl_server.model.problem import Problems
from dnsbl_server.sources.files import Signature, reason_of
from dnsbl_server.supply.exchange import (
    ExchangeError,
    Job,
    Report,
    ReportNotice,
    TableNotice,
    decode_notice,
    decode_report,
    encode_job,
)
from dnsbl_server.supply.memory import MemoryFileError, check_sealed, create_memory, map_memory, read_sealed
from dnsbl_server.table.layout import TableError
from dnsbl_server.table.table import ZoneTable

_MAX_NOTICE = 65536
_MAX_REPORT = 1 << 28
# Of what a loader writes to its standard error, the last line is shown, and of that so many bytes.
_MAX_SHOWN = 500
# Seconds that a loader has to end by itself after its last message.
_END_PATIENCE = 2.0


class LoaderError(RuntimeError):
    """A loader process did not do its job; the text says what became of it."""


@dataclass(frozen=True, eq=False)
class SealedTable:
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


@dataclass(frozen=True)
class Delivery:
    """What a loader process made: the good tables, and its report in parts (see `Report`)."""

    tables: tuple[SealedTable, ...]
    problems: Problems
    sources: dict[str, dict[str, Signature]]


class LoaderProcess:
    """Runs loader processes, one at a time. timeout: seconds until one that hangs is killed."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def run(self, job: Job) -> Delivery:
        """Have a job done in a process of its own; blocks until that has ended. Raises LoaderError."""
        try:
            with contextlib.ExitStack() as stack:
                ours, theirs = map(stack.enter_context, socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
                # Files in memory: no pipe can fill up, and there may be no disk to write to.
                stdin = stack.enter_context(create_memory("dnsbl-loader-stdin", encode_job(job)))
                stderr = stack.enter_context(create_memory("dnsbl-loader-stderr"))
                process = _start(stdin, theirs, stderr, job)
                theirs.close()
                return self._await(job, process, ours, stderr)
        except OSError as error:
            name = f": {error.filename}" if error.filename else ""
            raise LoaderError(f"cannot start the loader: {reason_of(error)}{name}") from error

    def close(self) -> None:
        """End the process that runs now, and any that is started yet; their `run` raises LoaderError."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()

    def _await(self, job: Job, process: subprocess.Popen[bytes], ours: socket.socket, stderr: FileIO) -> Delivery:
        """What the process sends until it ends; one that does not end is killed."""
        self._process = process
        try:
            if self._closed:
                process.kill()
            delivery = _receive(job, ours, time.monotonic() + self._timeout)
            _wait(process)
            return delivery
        except TimeoutError as error:
            raise LoaderError(f"the loader took longer than {self._timeout:g} seconds and was killed") from error
        except (EOFError, ConnectionError) as error:
            # It is about to end; it has the time to write why.
            raise LoaderError(_describe_end(_wait(process), _last_line(stderr))) from error
        except (ExchangeError, MemoryFileError, TableError) as error:
            raise LoaderError(f"the loader sent something that is no table or report: {error}") from error
        except (OSError, MemoryError) as error:
            reason = reason_of(error) if isinstance(error, OSError) else "no memory left"
            raise LoaderError(f"cannot take what the loader sent: {reason}") from error
        finally:
            process.kill()
            process.wait()
            self._process = None


def _start(stdin: FileIO, stdout: socket.socket, stderr: FileIO, job: Job) -> subprocess.Popen[bytes]:
    # The process finds the package where this one found it, and nothing in the working directory.
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "dnsbl_server.supply.loader"],
        stdin=stdin,
        stdout=stdout.fileno(),
        stderr=stderr,
        pass_fds=list(job.tables.values()),
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    """The status of a process that is about to end; None where it does not."""
    try:
        return process.wait(_END_PATIENCE)
    except subprocess.TimeoutExpired:
        return None


def _receive(job: Job, ours: socket.socket, deadline: float) -> Delivery:
    """What a loader sends before a deadline on the monotonic clock.

    Raises ExchangeError, MemoryFileError or TableError where that is not what the job asked for, EOFError or
    ConnectionError where the loader ends before, TimeoutError, or OSError.
    """
    tables: list[SealedTable] = []
    try:
        while True:
            ours.settimeout(max(0.001, deadline - time.monotonic()))
            message, memory = _receive_message(ours)
            with memory:
                notice = decode_notice(message)
                if isinstance(notice, ReportNotice):
                    report = decode_report(read_sealed(memory, _MAX_REPORT))
                    _check_report(report, job)
                    sources = {file: dict(each) for file, each in report.sources.items()}
                    return Delivery(tuple(tables), report.problems, sources)
                table = _open_table(notice, memory)
                tables.append(table)
                _check_table(tables, job)
    except BaseException:
        for table in tables:
            table.close()
        raise


def _receive_message(ours: socket.socket) -> tuple[bytes, FileIO]:
    """One message, and the memory that comes with it."""
    message, descriptors, flags, _ = socket.recv_fds(ours, _MAX_NOTICE, 1, socket.MSG_CMSG_CLOEXEC)
    if not descriptors:
        if not message:
            raise EOFError
        raise ExchangeError("notice: without its memory")
    try:
        memory = FileIO(descriptors[0], "r")
    except OSError as error:
        # The descriptor of a directory.
        os.close(descriptors[0])
        raise MemoryFileError("not a file in memory") from error
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        memory.close()
        raise ExchangeError(f"notice: longer than {_MAX_NOTICE} bytes, or with more memory than one")
    return message, memory


def _open_table(notice: TableNotice, memory: FileIO) -> SealedTable:
    check_sealed(memory.fileno())
    try:
        content = map_memory(memory.fileno())
    except ValueError as error:
        raise TableError("empty") from error
    return SealedTable(notice.file, ZoneTable(content), os.dup(memory.fileno()), notice.added, notice.removed)


def _check_table(tables: list[SealedTable], job: Job) -> None:
    """Refuse the last of the tables where the job did not ask for it.

    A file makes one table, and a zone comes from one file: so a loader cannot use up the descriptors of the server, or
    put its table in the place of another file's.
    """
    *others, table = tables
    if table.file not in job.files:
        raise ExchangeError(f"notice.file: {table.file!a:.60} is not to be loaded")
    name = zone_of(table)
    for other in others:
        if table.file == other.file or name == zone_of(other):
            raise ExchangeError(f"notice.file: {table.file!a:.60} repeats a file or a zone")
    owner = job.served.get(name, table.file)
    if owner != table.file and owner not in job.files:
        raise ExchangeError(f"notice.file: {table.file!a:.60} has the zone of another file")


def _check_report(report: Report, job: Job) -> None:
    if report.sources.keys() != set(job.files):
        raise ExchangeError("report.sources: not those of the files of the job")


def zone_of(table: SealedTable) -> str:
    """The name of the zone that a table is of."""
    return table.table.info.zone


def _describe_end(status: int | None, last_line: str) -> str:
    if status is None:
        return "the loader stopped sending, did not end, and was killed"
    if status < 0:
        memory = " (out of memory?)" if status == -signal.SIGKILL else ""
        return f"the loader was killed by signal {-status}{memory}"
    return f"the loader ended with status {status}{': ' + last_line if last_line else ''}"


def _last_line(stderr: FileIO) -> str:
    stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - _MAX_SHOWN))
    lines = stderr.readall().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""
