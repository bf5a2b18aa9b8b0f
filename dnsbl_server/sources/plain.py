"""The plain format of list files: one address, CIDR or range a line.

Owns its syntax: `#` and `;` start a comment, blank lines mean nothing. Every line is checked, and each bad one is a
problem with its line and column. Lines in their simplest form are read by `_scan`, a million of them in a tenth of a
second; what any other line means, or what is wrong with it, is decided here.
"""

from dnsbl_server.model.address import parse_net
from dnsbl_server.sources._scan import scan
from dnsbl_server.sources.listreader import MAX_LINE, Sink


class PlainReader:
    """Reads a plain list file."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def read(self, block: bytes, line: int) -> int:
        """Read a block of whole lines."""
        return scan(block, line, MAX_LINE, self._sink.v4, self._sink.v6, self._read_line)

    def finish(self) -> None:
        """Every line stands for itself: nothing is left to do."""

    def _read_line(self, number: int, line: bytes) -> None:
        """Read a line that `_scan` leaves to Python."""
        if len(line) > MAX_LINE:
            self._sink.error(number, 0, "", f"longer than {MAX_LINE} bytes")
            return
        shown = line.rstrip(b"\r").decode("latin-1")
        text = shown.split("#", 1)[0].split(";", 1)[0].strip()
        if not text:
            return
        try:
            net = parse_net(text)
        except ValueError as error:
            self._sink.error(number, shown.index(text) + 1, text, str(error))
            return
        self._sink.add(net, text, number)
