"""The drop format of list files: Spamhaus DROP, as JSON.

Owns its syntax: a JSON object a line, of a net (`cidr`) and its SBL number (`sblid`), which is the reason; and behind
them one line of metadata with how many there are. A file without it, or with another number, was cut, and is refused.
"""

import json
from collections.abc import Mapping
from typing import Any

from dnsbl_server.sources.listreader import MAX_LINE, Sink
from dnsbl_server.sources.records import Records, as_text, parse_entry

_HINT = 'a line is like {"cidr":"192.0.2.0/24","sblid":"SBL1"}'


class DropReader:
    """Reads a file of DROP."""

    def __init__(self, sink: Sink, options: Mapping[str, Any]) -> None:
        self._sink = sink
        self._records = Records(sink, ("reason",))
        self._begin()

    def _begin(self) -> None:
        self._count = 0
        self._line = 0
        self._has_metadata = False

    def read(self, block: bytes, line: int) -> int:
        """Read a block of whole lines."""
        lines = block.removesuffix(b"\n").split(b"\n")
        for self._line, each in enumerate(lines, line):
            if each.strip():
                self._read_line(each)
        return len(lines)

    def next_file(self) -> None:
        """Each file has metadata of its own."""
        self.finish()
        self._begin()

    def finish(self) -> None:
        """Everything has been read."""
        if not self._has_metadata:
            self._sink.fail(self._line, "the metadata in the last line is missing: the file is cut, or is not DROP")

    def _read_line(self, line: bytes) -> None:
        if self._has_metadata:
            self._sink.fail(self._line, "stands behind the metadata, which is the last line")
            return
        try:
            if len(line) > MAX_LINE:
                raise ValueError(f"longer than {MAX_LINE} bytes")
            found = _parse(line)
            if found.get("type") == "metadata":
                self._read_metadata(found)
                return
            self._count += 1
            cidr = found.get("cidr")
            if not isinstance(cidr, str):
                raise ValueError(f"no cidr; {_HINT}")
            what = parse_entry(self._sink.text, "net", [cidr])
        except ValueError as error:
            self._sink.error(self._line, 0, as_text(line[:MAX_LINE]), str(error))
            return
        number = found.get("sblid")
        reason = number.encode("utf-8", "replace") if isinstance(number, str) else b""
        self._records.add(what, cidr, self._line, reason.replace(b"\n", b" "))

    def _read_metadata(self, found: Mapping[str, Any]) -> None:
        self._has_metadata = True
        if found.get("records") != str(self._count):
            message = f"the metadata counts {str(found.get('records'))[:20]!r} records, and there are {self._count}"
            self._sink.fail(self._line, f"{message}: the file is cut")


def _parse(line: bytes) -> Mapping[str, Any]:
    try:
        # Numbers stay text: some are too long to be numbers.
        found = json.loads(as_text(line), parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"not a JSON object; {_HINT}")
    return found
