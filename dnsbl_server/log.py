"""The log: lines on standard error, as text or JSON.

Owns their form, and that a log which nobody reads never holds up the answers: a thread of its own writes them, and
lines that find the queue full are left out and counted. A record is one line, with its traceback some more; whatever
stands in it, names of files above all, no line holds a character that is not printable.
"""

import json
import logging
import os
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from logging.handlers import QueueHandler
from typing import Any

from dnsbl_server.model.problem import printable

# Lines that may wait to be written, and how long the end of the program waits for them, in seconds.
_MAX_WAITING = 10000
_END_PATIENCE = 0.5


@contextmanager
def logging_to_stderr(log_format: str, level: str) -> Iterator[None]:
    """Log to standard error until the end of the context.

    log_format: "text" or "json"; level: "debug", "info", "warning" or "error".
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonFormatter() if log_format == "json" else _TextFormatter())
    lines: queue.Queue[Any] = queue.Queue(_MAX_WAITING)
    logging.basicConfig(level=level.upper(), handlers=[_BoundedHandler(lines)], force=True)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    thread = threading.Thread(target=_write_log, args=(lines, handler), daemon=True, name="log")
    thread.start()
    try:
        yield
    finally:
        with suppress(queue.Full):
            lines.put_nowait(None)
        thread.join(_END_PATIENCE)
        if thread.is_alive():
            # It waits for a reader that does not come, with the locks that an orderly end would want.
            os._exit(2 if sys.exc_info()[0] else 0)


def _write_log(lines: "queue.Queue[Any]", handler: logging.Handler) -> None:
    while (record := lines.get()) is not None:
        handler.handle(record)


class _BoundedHandler(QueueHandler):
    """Hands lines over to the thread that writes them, and leaves out what does not fit; the next one says so."""

    left_out = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Leave the record as it is: it stays in this process, and the thread formats it."""
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        if self.left_out:
            record.msg = f"{record.msg} ({self.left_out} log lines before this one are lost)"
        try:
            self.queue.put_nowait(record)
            self.left_out = 0
        except queue.Full:
            self.left_out += 1


def _time_of(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{record.msecs:03.0f}Z"


def _trace_of(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    return (
        [printable(line) for line in formatter.formatException(record.exc_info).split("\n")] if record.exc_info else []
    )


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        lines = [f"{_time_of(record)} {record.levelname.lower():7} {printable(record.getMessage())}"]
        return "\n".join([*lines, *_trace_of(self, record)])


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time_of(record), "level": record.levelname.lower(), "message": printable(record.getMessage())}
        if record.exc_info:
            line["exception"] = "\n".join(_trace_of(self, record))
        return json.dumps(line)
