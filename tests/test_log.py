"""The log: what does not fit is left out and counted, and nobody waits for it."""

import json
import logging
import queue
from typing import Any

import pytest

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


HOSTILE = "a\nb\x1b[2J\u2028\udcff.yaml"
SHOWN = r"a\nb\x1b[2J\u2028\udcff.yaml"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_name_breaks_a_line_or_reaches_the_terminal(log_format: str, capfd: pytest.CaptureFixture[str]) -> None:
    with log.logging_to_stderr(log_format, "info"):
        logging.getLogger("test").info("%s: not loaded", HOSTILE)
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            logging.getLogger("test").exception("failed")
    first, *others = capfd.readouterr().err.splitlines()
    assert all(line.isprintable() for line in (first, *others))
    if log_format == "text":
        assert first.endswith(f"info    {SHOWN}: not loaded")
        assert others[0].endswith("error   failed")
        assert others[1] == "Traceback (most recent call last):"
        # The exception's own line break makes a line, and no more than that.
        assert others[-2:] == ["ValueError: a", r"b\x1b[2J\u2028\udcff.yaml"]
    else:
        assert json.loads(first)["message"] == f"{SHOWN}: not loaded"
        (failed,) = others
        assert "\x1b" not in json.loads(failed)["exception"]
