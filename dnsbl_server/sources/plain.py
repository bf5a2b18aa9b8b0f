"""The plain format of list files: one address, CIDR, range or domain name a line.

Owns its syntax: `#` and `;` start a comment, blank lines mean nothing. Every line is checked, and each bad one is a
problem with its line and column. Lines in their simplest form are read by `_scan`, a million of them in a tenth of a
second; what any other line means, or what is wrong with it, is decided here.
"""

from dnsbl_server.model.domain import AT, BELOW
from dnsbl_server.sources._scan import scan
from dnsbl_server.sources.entrytext import EntryText
from dnsbl_server.sources.listreader import MAX_LINE, Sink


class PlainReader:
    """Reads a plain list file."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def read(self, block: bytes, line: int) -> int:
        """Read a block of whole lines."""
        sink, text = self._sink, self._sink.text
        columns = (sink.v4, sink.v6, sink.names)
        rules = (text.takes_nets, scopes_of(text), text.longest, hashes_of(text))
        return scan(block, line, MAX_LINE, columns, *rules, self._read_line)

    def next_file(self) -> None:
        """Every line stands for itself."""

    def finish(self) -> None:
        """Every line stands for itself: nothing is left to do."""

    def _read_line(self, number: int, line: bytes) -> None:
        """Read a line that `_scan` leaves to Python."""
        if len(line) > MAX_LINE:
            self._sink.error(number, 0, "", f"longer than {MAX_LINE} bytes")
            return
        try:
            shown = line.decode("utf-8")
        except UnicodeDecodeError:
            shown = line.decode("latin-1")
        text = shown.split("#", 1)[0].split(";", 1)[0].strip()
        if not text:
            return
        try:
            what = self._sink.text.parse(text)
        except ValueError as error:
            self._sink.error(number, shown.index(text) + 1, text, str(error))
            return
        self._sink.add(what, text, number)


def scopes_of(text: EntryText) -> tuple[int, int, int]:
    """What `name`, `.name` and `*.name` mean in a line; 0 where a list takes no names."""
    if not text.takes_names:
        return 0, 0, 0
    return AT | BELOW if text.subdomains else AT, AT | BELOW, BELOW


def hashes_of(text: EntryText) -> tuple[int, bytes]:
    """How many characters a hash of the list has, and which; 0 where it has none."""
    return (text.hashing.size, text.hashing.alphabet.encode("ascii")) if text.hashing else (0, b"")
