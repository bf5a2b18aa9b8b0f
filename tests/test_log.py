"""The log: what does not fit is left out and counted, and nobody waits for it."""

import logging
import queue
from typing import Any

from dnsbl_server import log


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("test", logging.INFO, __file__, 1, text, (), None)


def test_lines_that_do_not_fit_are_counted_in_the_next_one() -> None:
    lines: queue.Queue[Any] = queue.Queue(1)
    handler = log._BoundedHandler(lines)
    for text in ("first", "second", "third"):
        handler.emit(record(text))
    assert lines.get_nowait().getMessage() == "first"
    handler.emit(record("fourth"))
    assert lines.get_nowait().getMessage() == "fourth (2 log lines before this one are lost)"
    handler.emit(record("fifth"))
    assert lines.get_nowait().getMessage() == "fifth"
