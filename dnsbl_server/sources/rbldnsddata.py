"""Datasets of rbldnsd: what all types have in common.

Owns what a line is (a special, a default, an exclusion, an entry), which value an entry has, and how values become
listings once all is read, since variables, the base template and the TTL hold for entries before them too. What decides
among entries is each type's own. Knows neither how addresses nor how names are written.
"""

import re
from array import array
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from dnsbl_server.model._names import Names
from dnsbl_server.model._spans import Spans
from dnsbl_server.model.address import Address
from dnsbl_server.model.listing import Listing
from dnsbl_server.sources._rbldnsd import Scanner
from dnsbl_server.sources.listreader import MAX_LINE, Sink
from dnsbl_server.sources.rbldnsdvalues import (
    FutureError,
    Specials,
    Value,
    cut,
    parse_default,
    parse_value,
    printable_of,
    template_of,
)

# The kinds of rows that list nothing; a value has a number from FIRST_VALUE on. `_rbldnsd` has the same.
EXCLUDED = 0
UNSAID = 1
FIRST_VALUE = 2
# In place of an A record: what the list says.
OF_LIST = -1

BLANKS = b" \t"
_SPECIAL = re.compile(rb"[#;:]?\$([^ \t]*)[ \t]*(.*)", re.DOTALL)


def now_utc() -> datetime:
    """The time now."""
    return datetime.now(UTC)


def split_special(text: bytes) -> tuple[str, str] | None:
    """The word and the rest of a special, from a line without blanks around it; None where it is none."""
    found = _SPECIAL.fullmatch(text)
    return (printable_of(found[1]), printable_of(found[2])) if found else None


def content_of(line: bytes) -> bytes:
    """A line without what rbldnsd does not read: behind a NUL, blanks around it, and the CR of a CRLF."""
    return line.split(b"\0", 1)[0].removesuffix(b"\r").strip(BLANKS)


class Dataset:
    """Reads one dataset. Use a subclass, which says what an entry is.

    rows: of the dataset, spans or names, whose kinds are in the scanner; specials: what it says of all of them.
    """

    longest_subject = 0  # characters of what is put in place of `$`

    def __init__(
        self,
        sink: Sink,
        options: Mapping[str, Any],
        rows: Spans | Names,
        below: Specials | None = None,
        clock: Callable[[], datetime] = now_utc,
    ) -> None:
        """options: of the item; below: what stands before all sections of a combined file."""
        self.sink = sink
        self.all_rows: Spans | Names = rows
        self.clears_host_bits = "host_bits" in options
        self.specials = Specials(below=below)
        self.scanner = Scanner(rows)
        self._clock = clock
        self._default = Value(OF_LIST, b"")
        self._kinds: dict[tuple[Value, ...], int] = {}
        self._is_unprintable = self._is_cut = False
        if below is not None:
            self.specials.largest = self.scanner.largest = below.largest

    def read(self, block: bytes, line: int) -> int:
        """Read a block of whole lines."""
        return self.scanner.scan(block, line, MAX_LINE, self._read_line)

    def next_file(self) -> None:
        """The default value begins anew."""
        self._default = Value(OF_LIST, b"")
        self.scanner.values.clear()

    def finish(self) -> None:
        """Everything has been read."""
        raise NotImplementedError

    def take_entry(self, number: int, text: bytes, is_excluded: bool) -> None:
        """Take the line of an entry, or an exclusion without its mark. Raises ValueError."""
        raise NotImplementedError

    def is_default(self, text: bytes) -> bool:
        """Whether a line sets the default value."""
        return text.startswith(b":")

    def set_default(self, text: bytes) -> None:
        """Set the default value for what follows in this file. Raises ValueError."""
        self._default = parse_default(text)
        self.scanner.values.clear()

    def kind_of(self, text: bytes, number: int) -> int:
        """The kind of a value, as it is written. Raises ValueError."""
        if text[:1] in b"#;":
            text = b""
        value = parse_value(text, self._default)
        reason = why_unsaid(value.code)
        if reason:
            self.sink.left_out(number, printable_of(text), reason)
            return UNSAID
        kind = self.kind_of_values((value,))
        self.scanner.values[text] = kind
        return kind

    def kind_of_values(self, values: tuple[Value, ...]) -> int:
        """The kind of values that hold together."""
        return self._kinds.setdefault(values, len(self._kinds) + FIRST_VALUE)

    def merged(self, kinds: Iterable[int]) -> int:
        """What rows for the same mean together: an exclusion wins, and else all values hold."""
        found = list(dict.fromkeys(kinds))
        if EXCLUDED in found:
            return EXCLUDED
        known = list(self._kinds)
        values = [value for kind in found if kind != UNSAID for value in known[kind - FIRST_VALUE]]
        return self.kind_of_values(tuple(dict.fromkeys(values))) if values else UNSAID

    def numbers(self) -> "array[int]":
        """The number of the listing of each kind."""
        numbers = array("I", bytes(4 * FIRST_VALUE))
        for values in self._kinds:
            numbers.append(self.sink.number_of(self._listing(values)))
        if self._is_unprintable:
            self.sink.warning(0, 0, "", "some texts have bytes that are no printable ASCII; each is shown as ?")
        if self._is_cut:
            self.sink.warning(0, 0, "", "some texts are too long, and cut to 500 bytes")
        return numbers

    def _listing(self, values: tuple[Value, ...]) -> Listing:
        default = self.sink.default
        codes: list[int] = []
        for value in values:
            codes += default.codes if value.code == OF_LIST else (value.code,)
        # Of several texts the first that there is: a list has one text.
        texts = [text for value in values if (text := template_of(self._printable(value.text), self.specials))]
        template = texts[0] if texts else None
        if template is not None:
            shorter = cut(template, self.longest_subject)
            self._is_cut |= shorter != template
            template = shorter
        ttl = self.specials.seconds() or default.ttl
        unique = tuple(dict.fromkeys(codes))
        return Listing(unique, default.reason, ttl, None, self.specials.ends(), template)

    def _printable(self, text: bytes) -> str:
        shown = printable_of(text)
        self._is_unprintable |= shown.encode() != text
        return shown

    def _read_line(self, number: int, line: bytes) -> None:
        """Read a line that `_rbldnsd` leaves to Python."""
        if line.split(b"\0", 1)[0].endswith(b"\r") and not self.scanner.takes_cr:
            self.scanner.takes_cr = True
            self.sink.warning(number, 0, "", "the line ends with CR LF, which rbldnsd does not take; taken as LF")
        text = content_of(line)
        if not text:
            return
        special = split_special(text)
        try:
            if special is not None:
                self._take_special(number, *special)
            elif self.is_default(text):
                self.set_default(text)
            elif text[:1] not in b"#;":
                self._take(number, text)
        except FutureError as error:
            self.sink.fail(number, str(error))
        except ValueError as error:
            self.sink.error(number, 0, printable_of(text), str(error))

    def _take(self, number: int, text: bytes) -> None:
        if not text.startswith(b"!"):
            self.take_entry(number, text, False)
            return
        try:
            self.take_entry(number, text[1:].lstrip(BLANKS), True)
        except ValueError as error:
            self.sink.exclusion_error(number, 0, printable_of(text), str(error))

    def _take_special(self, number: int, word: str, rest: str) -> None:
        if not self.specials.take(word, rest, self._clock()):
            self.sink.warning(number, 0, f"${word}", "unknown special, skipped as rbldnsd does")
        self.scanner.largest = self.specials.largest


def why_unsaid(code: int) -> str:
    """Why an A record cannot be a code here; empty where it can."""
    if code == OF_LIST or (code >> 24 == 127 and code != 0x7F000001 and code >> 8 != 0x7FFFFF):
        return ""
    return f"left out: {Address(4, code)} is no code, which clients would take for an error or not know"
