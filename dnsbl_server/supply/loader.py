"""The loader process: zone files are read, checked and compiled outside the server.

Owns what this process does from start to end: it takes a job from standard input (`exchange`), seals each zone's table
in memory of its own, sends it over the socket that is its standard output, sends a report, and ends, and all its memory
with it. Its other side is `process`. Imports nothing that it does not need: a server starts one for every change.
"""

import contextlib
import errno
import gc
import os
import socket
import sys
import time
from pathlib import Path

from dnsbl_server.sources.files import signature
from dnsbl_server.sources.kept import KeptVersions
from dnsbl_server.supply.exchange import (
    Job,
    ProgressNotice,
    Report,
    ReportNotice,
    TableNotice,
    decode_job,
    encode_notice,
    encode_report,
)
from dnsbl_server.supply.load import load_zones
from dnsbl_server.supply.memory import create_sealed

_NICE = 10
_OOM_SCORE_ADJ = 1000  # the first to be killed (proc(5))
_PAUSE = 0.01


def main() -> None:
    """Do one job. Does not return."""
    # Everything made here lives until the end; looking for cycles in it would double the time.
    gc.disable()
    _yield_to_the_server()
    job = decode_job(sys.stdin.buffer.read())
    with socket.socket(fileno=sys.stdout.fileno()) as server:
        _load_and_send(job, server)
    # Freeing millions of objects one by one would take longer than making them.
    sys.stderr.flush()
    os._exit(0)


def _yield_to_the_server() -> None:
    """Let the server have the processor first, and the kernel end this process first when memory runs out."""
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE_ADJ))


def _load_and_send(job: Job, server: socket.socket) -> None:
    zone_files = frozenset(job.files)
    at = ""

    def tell(path: str, count: int) -> None:
        """Tell the server which file is begun with, so that it knows what to leave out should this process fail."""
        nonlocal at
        if count == 0:
            at = path if path in zone_files else at
            server.send(encode_notice(ProgressNotice(at, path, signature(path))))

    result = load_zones(job.files, time.time(), tell, job.served, job.versions, job.files_below, _kept(job))
    for file in result.starved:
        if len(job.files) > 1:
            # By itself it may have memory enough.
            tell(file, 0)
            raise MemoryError
    for file, zone in result.zones.items():
        _send(server, TableNotice(file), zone.compiled.table)
    _send(server, ReportNotice(), encode_report(Report(result.problems, result.sources, result.states)))


def _kept(job: Job) -> KeptVersions | None:
    return KeptVersions(job.state, may_write=True) if job.state else None


def _send(server: socket.socket, notice: TableNotice | ReportNotice, content: bytes) -> None:
    with create_sealed("dnsbl-table", content) as memory:
        while True:
            try:
                socket.send_fds(server, [encode_notice(notice)], [memory.fileno()])
                return
            except OSError as error:
                # As many descriptors are on their way as one process may have: the server is about to take some.
                if error.errno != errno.ETOOMANYREFS:
                    raise
                time.sleep(_PAUSE)


if __name__ == "__main__":
    main()
