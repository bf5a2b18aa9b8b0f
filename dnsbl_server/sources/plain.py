"""The plain format of list files: one address, CIDR, range or domain name a line.

Owns its syntax: `#` and `;` start a comment, which may be the reason of the entry before it; blank lines mean nothing.
Every line is checked, and each bad one is a problem with its line and column. Lines in their simplest form are read by
`_scan` and `_columns`, a million of them in a tenth of a second; what any other line means, or what is wrong with it,
is decided here.
"""

from collections.abc import Mapping
from typing import Any

from dnsbl_server.model.domain import AT, BELOW
from dnsbl_server.model.entry import NAMES
from dnsbl_server.sources._columns import scan_comments
from dnsbl_server.sources._scan import scan
from dnsbl_server.sources.entrytext import EntryText
from dnsbl_server.sources.listreader import MAX_LINE, Sink
from dnsbl_server.sources.records import Records
from dnsbl_server.sources.values import one_of

_COMMENT = "comment"
_BLANKS = b" \t\r"
# What a line may have: from `takes_nets` to `hashes` of `scan`.
Rules = tuple[bool, tuple[int, int, int], int, tuple[int, bytes]]


class PlainReader:
    """Reads a plain list file."""

    def __init__(self, sink: Sink, options: Mapping[str, Any]) -> None:
        self._sink = sink
        self._records = Records(sink, ("reason",)) if options.get("reason") == _COMMENT else None

    def read(self, block: bytes, line: int) -> int:
        """Read a block of whole lines."""
        sink, text = self._sink, self._sink.text
        columns = (sink.v4, sink.v6, sink.names)
        if self._records is None:
            return scan(block, line, MAX_LINE, columns, *rules_of(text), self._read_line)
        numbers = (sink.numbers(4), sink.numbers(6), sink.numbers(NAMES))
        known, number_of = self._records.known, self._records.number_of
        return scan_comments(block, line, MAX_LINE, columns, numbers, rules_of(text), known, number_of, self._read_line)

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
        if self._records is None:
            self._sink.add(what, text, number)
        else:
            self._records.add(what, text, number, comment_of(line))


def comment_of(line: bytes) -> bytes:
    """The comment of a line, without the characters that begin it and without blanks around it."""
    behind = min((at for at in (line.find(b"#"), line.find(b";")) if at >= 0), default=len(line))
    return line[behind:].lstrip(b"#;" + _BLANKS).rstrip(_BLANKS)


def rules_of(text: EntryText, takes_nets: bool = True, takes_names: bool = True) -> Rules:
    """What `_scan` takes in a list, as far as a column has nets and names."""
    scopes, hashes = (scopes_of(text), hashes_of(text)) if takes_names else ((0, 0, 0), (0, b""))
    return takes_nets and text.takes_nets, scopes, text.longest, hashes


def scopes_of(text: EntryText) -> tuple[int, int, int]:
    """What `name`, `.name` and `*.name` mean in a line; 0 where a list takes no names."""
    if not text.takes_names:
        return 0, 0, 0
    return AT | BELOW if text.subdomains else AT, AT | BELOW, BELOW


def hashes_of(text: EntryText) -> tuple[int, bytes]:
    """How many characters a hash of the list has, and which; 0 where it has none."""
    return (text.hashing.size, text.hashing.alphabet.encode("ascii")) if text.hashing else (0, b"")


PLAIN_KEYS = {"reason": one_of((_COMMENT,))}
