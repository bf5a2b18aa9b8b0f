"""The server's side of a load: starts a loader process, receives what it sends, and ends it.

Owns what the server believes of a loader, and the limits of one: time and memory. A loader that crashes, is killed,
hangs, runs out of memory or sends anything but what its job asked for is one failed load, a LoaderError; nothing else
in the server is touched, and no process and no descriptor stays behind.

    this process                                              loader process (`loader`), at low priority
    job, in memory that is its standard input           ->    load_zones
    notice of progress, for each file                   <-    begins with a file
    notice and table in sealed memory, for each zone    <-    pack, seal, send on its standard output, a socket
    notice and report in sealed memory                  <-    end
"""

import contextlib
import errno
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from dnsbl_server.model.problem import Problems, printable
from dnsbl_server.model.source import SourceState
from dnsbl_server.sources.files import Signature, reason_of
from dnsbl_server.supply._mapping import map_memory
from dnsbl_server.supply.exchange import (
    ExchangeError,
    Job,
    ProgressNotice,
    Report,
    ReportNotice,
    decode_notice,
    decode_report,
    encode_job,
)
from dnsbl_server.supply.memory import MemoryFileError, check_sealed, create_memory, read_sealed
from dnsbl_server.table.layout import TableError
from dnsbl_server.table.table import ZoneTable

log = logging.getLogger(__name__)

_MAX_NOTICE = 65536
_MAX_REPORT = 1 << 28
# Of what a loader writes to its standard error, the last line is shown, and of that so many bytes.
_MAX_SHOWN = 500
# Seconds that a loader has to end by itself after its last message.
_END_PATIENCE = 2.0


class LoaderError(RuntimeError):
    """A loader process did not do its job; the text says what became of it."""


class LoaderWorkError(LoaderError):
    """A loader process failed in its work.

    file: the zone file that it was at; sources: the files of it that it had begun with, and their versions.
    """

    def __init__(self, message: str, file: str, sources: Mapping[str, Signature]) -> None:
        super().__init__(message)
        self.file = file
        self.sources = sources


@dataclass(frozen=True, eq=False)
class SealedTable:
    """A zone's table in sealed memory.

    file: the zone file; added, removed: entries, compared with the table before.
    """

    file: str
    table: ZoneTable
    added: int
    removed: int


@dataclass(frozen=True)
class Delivery:
    """What a loader process made: the good tables, and its report in parts (see `Report`)."""

    tables: tuple[SealedTable, ...]
    problems: Problems
    sources: dict[str, dict[str, Signature]]
    states: Mapping[str, tuple[SourceState, ...]]


class _Course:
    """Where a loader stands: the zone file that it is at, what it has begun with, and the time that is left for it."""

    def __init__(self, timeout: float, files: Iterable[str]) -> None:
        self._timeout = timeout
        self._files = frozenset(files)
        self._spent: dict[str, float] = defaultdict(float)
        self._since = time.monotonic()
        self._sources: dict[str, dict[str, Signature]] = defaultdict(dict)
        self.file = ""

    def note(self, notice: ProgressNotice) -> None:
        """The loader begins with a file."""
        if notice.file not in self._files:
            raise ExchangeError(f"notice.file: {notice.file!a:.60} is not to be loaded")
        now = time.monotonic()
        self._spent[self.file] += now - self._since
        self._since = now
        self.file = notice.file
        self._sources[notice.file].setdefault(notice.source, notice.version)

    def seconds_left(self) -> float:
        """Until the zone file has taken all its time; its reading and its compiling count together."""
        return self._timeout - self._spent[self.file] - (time.monotonic() - self._since)

    def failure(self, message: str) -> LoaderError:
        """What there is to say when the loader fails now."""
        return LoaderWorkError(message, self.file, self._sources[self.file]) if self.file else LoaderError(message)


class LoaderProcess:
    """Runs loader processes, one at a time.

    timeout: seconds until one is killed that is at one zone file; memory: bytes that one may have, None without limit.
    """

    def __init__(self, timeout: float, memory: int | None = None) -> None:
        self._timeout = timeout
        self._memory = memory
        self._process: subprocess.Popen[bytes] | None = None
        # Killed, and not ended yet: they wait for a file system that does not answer.
        self._stuck: list[subprocess.Popen[bytes]] = []
        self._closed = False

    def run(self, job: Job, before: Mapping[str, ZoneTable] | None = None) -> Delivery:
        """Have a job done in a process of its own; blocks until that has ended.

        before: the tables in service by zone, with which the new ones are compared. Raises LoaderError.
        """
        self._stuck = [each for each in self._stuck if each.poll() is None]
        try:
            with contextlib.ExitStack() as stack:
                ours, theirs = map(stack.enter_context, socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
                # Files in memory: no pipe can fill up, and there may be no disk to write to.
                stdin = stack.enter_context(create_memory("dnsbl-loader-stdin", encode_job(job)))
                stderr = stack.enter_context(create_memory("dnsbl-loader-stderr"))
                process = _start(stdin, theirs, stderr)
                theirs.close()
                return self._await(job, before or {}, process, ours, stderr)
        except OSError as error:
            name = f": {error.filename}" if error.filename else ""
            raise LoaderError(f"cannot start the loader: {reason_of(error)}{name}") from error

    def close(self) -> None:
        """End the process that runs now, and any that is started yet; their `run` raises LoaderError."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()

    def _await(
        self,
        job: Job,
        before: Mapping[str, ZoneTable],
        process: subprocess.Popen[bytes],
        ours: socket.socket,
        stderr: FileIO,
    ) -> Delivery:
        """What the process sends until it ends; one that does not end is killed."""
        self._process = process
        course = _Course(self._timeout, job.files)
        try:
            if self._memory is not None:
                _limit_memory(process.pid, self._memory)
            if self._closed:
                process.kill()
            delivery = _receive(job, before, ours, course)
            _wait(process)
            return delivery
        except TimeoutError as error:
            raise course.failure(f"the loader took longer than {self._timeout:g} seconds and was killed") from error
        except (EOFError, ConnectionError) as error:
            # It is about to end; it has the time to write why.
            message = _describe_end(_wait(process), _last_line(stderr))
            raise (LoaderError("the server is stopping") if self._closed else course.failure(message)) from error
        except (ExchangeError, MemoryFileError, TableError) as error:
            raise course.failure(f"the loader sent something that is no table or report: {error}") from error
        except (OSError, MemoryError) as error:
            reason = reason_of(error) if isinstance(error, OSError) else "no memory left"
            raise LoaderError(f"cannot take what the loader sent: {reason}") from error
        finally:
            process.kill()
            if _wait(process) is None:
                log.error("loader process %d cannot be killed; it waits for a file system", process.pid)
                self._stuck.append(process)
            self._process = None


def _limit_memory(pid: int, size: int) -> None:
    """Let a process have so many bytes of memory of its own; the pages of files that it shares do not count."""
    with contextlib.suppress(OSError):  # it has ended
        _, hard = resource.prlimit(pid, resource.RLIMIT_DATA)
        limit = size if hard == resource.RLIM_INFINITY else min(size, hard)
        resource.prlimit(pid, resource.RLIMIT_DATA, (limit, limit))


def environment() -> dict[str, str]:
    """That of a child process: it finds the package where this one found it, and nothing in the working directory."""
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path}


def _start(stdin: FileIO, stdout: socket.socket, stderr: FileIO) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "dnsbl_server.supply.loader"],
        stdin=stdin,
        stdout=stdout.fileno(),
        stderr=stderr,
        env=environment(),
        start_new_session=True,
    )


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    """The status of a process that is about to end; None where it does not."""
    try:
        return process.wait(_END_PATIENCE)
    except subprocess.TimeoutExpired:
        return None


def _receive(job: Job, before: Mapping[str, ZoneTable], ours: socket.socket, course: _Course) -> Delivery:
    """What a loader sends as long as time is left.

    Raises ExchangeError, MemoryFileError or TableError where that is not what the job asked for, EOFError or
    ConnectionError where the loader ends before, TimeoutError, or OSError.
    """
    checks = _Checks(job)
    tables: list[SealedTable] = []
    while True:
        left = course.seconds_left()
        if left <= 0:
            raise TimeoutError
        ours.settimeout(left)
        message, memory = _receive_message(ours)
        if memory is None:
            notice = decode_notice(message)
            if not isinstance(notice, ProgressNotice):
                raise ExchangeError("notice: without its memory")
            course.note(notice)
            continue
        with memory:
            notice = decode_notice(message)
            if isinstance(notice, ProgressNotice):
                raise ExchangeError("notice: of progress, and with memory")
            if isinstance(notice, ReportNotice):
                report = decode_report(read_sealed(memory, _MAX_REPORT))
                checks.check_report(report)
                sources = {file: dict(each) for file, each in report.sources.items()}
                return Delivery(tuple(tables), report.problems, sources, report.states)
            table = _open_table(memory)
            checks.check_table(notice.file, table.info.zone)
            tables.append(SealedTable(notice.file, table, *table.changes_since(before.get(table.info.zone))))


def _receive_message(ours: socket.socket) -> tuple[bytes, FileIO | None]:
    """One message, and the memory that comes with it."""
    message, descriptors, flags, _ = socket.recv_fds(ours, _MAX_NOTICE, 1, socket.MSG_CMSG_CLOEXEC)
    if not descriptors:
        if not message:
            raise EOFError
        if flags & socket.MSG_CTRUNC:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return message, None
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


def _open_table(memory: FileIO) -> ZoneTable:
    check_sealed(memory.fileno())
    try:
        content = map_memory(memory.fileno())
    except ValueError as error:
        raise TableError("empty") from error
    except OSError as error:
        # ENOMEM: each table is a mapping, and a reload of all has two for each zone.
        raise OSError(error.errno, "no more memory can be mapped; see vm.max_map_count") from error
    return ZoneTable(content)


class _Checks:
    """What a loader may send for a job.

    A file makes one table, and a zone comes from one file: so a loader cannot use up the memory of the server, or put
    its table in the place of another file's.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._files = frozenset(job.files)
        self._seen: set[str] = set()
        self._zones: set[str] = set()

    def check_table(self, file: str, zone: str) -> None:
        """Refuse a table that the job did not ask for."""
        if file not in self._files:
            raise ExchangeError(f"notice.file: {file!a:.60} is not to be loaded")
        if file in self._seen or zone in self._zones:
            raise ExchangeError(f"notice.file: {file!a:.60} repeats a file or a zone")
        owner = self._job.served.get(zone, file)
        if owner != file and owner not in self._files:
            raise ExchangeError(f"notice.file: {file!a:.60} has the zone of another file")
        self._seen.add(file)
        self._zones.add(zone)

    def check_report(self, report: Report) -> None:
        """Refuse a report of other files."""
        for field, files in (("sources", report.sources.keys()), ("states", report.states.keys())):
            if files != self._files:
                raise ExchangeError(f"report.{field}: not those of the files of the job")


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
    return printable(lines[-1]) if lines else ""
