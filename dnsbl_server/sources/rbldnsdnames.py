"""rbldnsd's dnset: domain names.

Owns how it writes names, and what decides: what is written of the very name, else the longest wildcard above it; an
exclusion among these wins, and else all their values hold together. So the name itself and what is below it are looked
at apart, and joined where they mean the same.
"""

import re
from array import array
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from dnsbl_server.dns.name import MAX_DOMAIN, parse_domain
from dnsbl_server.model._names import Names, duplicates
from dnsbl_server.model.domain import AT, BELOW, Domains
from dnsbl_server.model.entry import NAMES
from dnsbl_server.sources._rbldnsd import move_names
from dnsbl_server.sources.listreader import Sink
from dnsbl_server.sources.rbldnsddata import BLANKS, EXCLUDED, FIRST_VALUE, Dataset, now_utc
from dnsbl_server.sources.rbldnsdvalues import Specials, printable_of

_KEY = re.compile(rb"[^ \t]*")
_PART = re.compile(rb"\\([0-9]{3})|\\(.)|(\.)|([^\\])", re.DOTALL)


class Dnset(Dataset):
    """A dnset."""

    def __init__(
        self,
        sink: Sink,
        options: Mapping[str, Any],
        below: Specials | None = None,
        clock: Callable[[], datetime] = now_utc,
    ) -> None:
        self.rows = Names()
        super().__init__(sink, options, self.rows, below, clock)
        self.scanner.longest_name = sink.text.longest
        if not sink.text.takes_names:
            sink.fail(0, "the list takes no domain names: its txt has {ip}, or it has hash")

    def take_entry(self, number: int, text: bytes, is_excluded: bool) -> None:
        """Take a line. Raises ValueError."""
        key = _KEY.match(text)
        written = key[0] if key else b""
        scope, labels = parse_entry_name(written)
        kind = EXCLUDED if is_excluded else self.kind_of(text[len(written) :].strip(BLANKS), number)
        try:
            name = parse_domain(".".join(labels)).name
        except ValueError as error:
            self.sink.left_out(number, printable_of(written), f"left out: {error}")
            return
        if len(name) > min(self.sink.text.longest, MAX_DOMAIN):
            self.sink.left_out(number, printable_of(written), "left out: too long to be asked for")
            return
        self.rows.append(name, AT, number)
        self.scanner.kinds.append(4 * kind + scope)

    def finish(self) -> None:
        """Look at names that come several times, and put all into the sink."""
        kinds = self.scanner.kinds
        dropped = bytearray(len(self.rows))
        groups: dict[int, list[int]] = {}
        for later, earlier in zip(*duplicates([self.rows]), strict=True):
            groups.setdefault(earlier, [earlier]).append(later)
            dropped[earlier] = dropped[later] = True
        joined = [self._joined(rows, kinds) for rows in groups.values()]
        self.longest_subject = self.rows.longest()
        numbers = self.numbers()
        others: list[int] = []
        of_rows = self.sink.numbers(NAMES)
        of_rows.extend(move_names(self.rows, kinds, dropped, numbers, self.sink.names, others.append))
        for row in others:
            self._put(row, kinds[row] & 3, kinds[row] >> 2, numbers)
        for parts in joined:
            for row, scope, kind in parts:
                self._put(row, scope, kind, numbers)

    def _joined(self, rows: list[int], kinds: "array[int]") -> list[tuple[int, int, int]]:
        """What rows of one name mean together: (row, scope, kind)."""
        found = []
        for side in (AT, BELOW):
            ours = [row for row in rows if kinds[row] & side]
            if ours:
                found.append((ours[0], side, self.merged(kinds[row] >> 2 for row in ours)))
        if len(found) == 2 and found[0][2] == found[1][2]:
            return [(found[0][0], AT | BELOW, found[0][2])]
        return found

    def _put(self, row: int, scope: int, kind: int, numbers: "array[int]") -> None:
        name, _, line = self.rows[row]
        if kind >= FIRST_VALUE:
            what = Domains(name, scope)
            self.sink.add(what, str(what), line, numbers[kind])
            return
        # Either side is excluded by itself, so that neither is less specific than an entry for it alone.
        for side in (AT, BELOW):
            if scope & side:
                self.sink.exclude(Domains(name, side), line)


def parse_entry_name(text: bytes) -> tuple[int, list[str]]:
    """The scope and the labels of a name in lower case, as rbldnsd reads it. Raises ValueError."""
    scope = AT
    if text.startswith(b"*."):
        scope, text = BELOW, text[2:]
    elif text.startswith(b"."):
        scope, text = AT | BELOW, text[1:]
    labels = [b""]
    for code, character, dot, plain in _PART.findall(text):
        if dot:
            labels.append(b"")
        elif code and int(code) > 255:
            raise ValueError("no such byte: \\" + code.decode())
        else:
            labels[-1] += bytes([int(code)]) if code else character or plain
    labels = [label for label in labels if label]
    if not labels:
        raise ValueError("no name: nothing can list all names")
    if any(len(label) > 63 for label in labels):
        raise ValueError("a label is longer than 63 characters")
    # A dot inside of a label is no dot between two.
    return scope, [label.decode("latin-1").replace(".", "\\") for label in labels]
