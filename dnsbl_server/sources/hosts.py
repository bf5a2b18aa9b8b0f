"""The hosts format of list files: `0.0.0.0 name`, as a hosts file blocks names.

Owns its syntax and the names that every hosts file has, which are passed over. A line may have several names.
"""

import re
from collections.abc import Mapping
from typing import Any

from dnsbl_server.sources.listreader import MAX_LINE, Sink
from dnsbl_server.sources.records import as_text, parse_entry

# The addresses that block a name: the unspecified ones, and this machine.
_BLOCKING = re.compile(r"0\.0\.0\.0|::|::1|127(?:\.[0-9]{1,3}){3}", re.ASCII)
_ADDRESS = re.compile(r"(?=[0-9a-f]*[.:])[0-9a-f.:]+(?:%\S+)?", re.ASCII | re.IGNORECASE)
_USUAL = re.compile(r"localhost|localhost\.localdomain|local|broadcasthost|ip6-\S+|0\.0\.0\.0", re.IGNORECASE)


class HostsReader:
    """Reads a hosts file."""

    def __init__(self, sink: Sink, options: Mapping[str, Any]) -> None:
        self._sink = sink

    def read(self, block: bytes, line: int) -> int:
        """Read a block of whole lines."""
        lines = block.removesuffix(b"\n").split(b"\n")
        for number, each in enumerate(lines, line):
            self._read_line(number, each)
        return len(lines)

    def next_file(self) -> None:
        """Every line stands for itself."""

    def finish(self) -> None:
        """Every line stands for itself: nothing is left to do."""

    def _read_line(self, number: int, line: bytes) -> None:
        if len(line) > MAX_LINE:
            self._sink.error(number, 0, "", f"longer than {MAX_LINE} bytes")
            return
        written = as_text(line)
        text = written.partition("#")[0]
        if not text.strip():
            return
        address, *names = text.split()
        names = [name for name in names if not _USUAL.fullmatch(name)]
        if not _ADDRESS.fullmatch(address):
            self._sink.error(number, 1, address, "not an address; a line is like 0.0.0.0 name.example")
        elif not names:
            if len(text.split()) == 1:
                self._sink.error(number, 1, address, "no name behind the address")
        elif not _BLOCKING.fullmatch(address):
            self._sink.left_out(number, text.strip(), "gives the name an address, and does not block it")
        else:
            self._list(number, written, names)

    def _list(self, number: int, written: str, names: list[str]) -> None:
        for name in names:
            try:
                what = parse_entry(self._sink.text, "domain", [name])
            except ValueError as error:
                self._sink.error(number, written.index(name) + 1, name, str(error))
            else:
                self._sink.add(what, name, number)
