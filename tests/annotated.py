"""A format of list files that only the tests have: lines with a listing of their own, and exclusions.

192.0.2.0/24                                              with the listing of the list
192.0.2.7 | spam | 127.0.0.3,127.0.0.4 | 60 | 1795392000  with its own reason, codes, TTL and expiry (or -)
!192.0.2.9                                                excluded
end 3                                                     how many lines there are before this one
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from dnsbl_server.dns.name import parse_domains
from dnsbl_server.model.address import parse_net
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Problems
from dnsbl_server.model.subject import Subjects
from dnsbl_server.sources.entrytext import EntryText
from dnsbl_server.sources.listfile import Format, read_list_file
from dnsbl_server.sources.listreader import Accept, Reading, Sink
from dnsbl_server.sources.values import parse_code

ANNOTATED = Format(lambda sink, options: AnnotatedReader(sink))


def read_annotated(
    paths: Sequence[str],
    listing: Listing,
    problems: Problems,
    progress: Callable[[str, int], None],
    accept: Accept,
    text: EntryText,
    *_: Any,
) -> Reading:
    """Read list files as annotated ones, whatever their format is said to be."""
    return read_list_file(paths, listing, problems, progress, accept, text, ANNOTATED)


class AnnotatedReader:
    """Reads the format."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._line = 0
        self._has_ended = False

    def read(self, block: bytes, line: int) -> int:
        lines = block.decode().splitlines()
        for self._line, text in enumerate(lines, line):
            self._read_line(text)
        return len(lines)

    def next_file(self) -> None:
        pass

    def finish(self) -> None:
        if not self._has_ended:
            self._sink.fail(0, "the last line is missing")

    def _read_line(self, text: str) -> None:
        if text.startswith("end "):
            self._has_ended = int(text.removeprefix("end ")) == self._line - 1
            return
        written, *values = (value.strip() for value in text.removeprefix("!").split("|"))
        try:
            what = parse_domains(written) if ":" not in written and written[-1].isalpha() else parse_net(written)
        except ValueError as error:
            self._sink.error(self._line, text.index(written) + 1, written, str(error))
            return
        if text.startswith("!"):
            self._sink.exclude(what, self._line)
        elif values:
            self._sink.add(what, written, self._line, self._sink.number_of(self._listing(*values)))
        else:
            self._sink.add(what, written, self._line)

    def _listing(self, reason: str, codes: str, ttl: str, expires: str) -> Listing:
        return replace(
            self._sink.default,
            reason=reason,
            codes=tuple(map(parse_code, codes.split(","))),
            ttl=int(ttl),
            expires=None if expires == "-" else datetime.fromtimestamp(int(expires), UTC),
        )


def write_line(what: Subjects, listing: Listing | None) -> str:
    """The line of an entry; None is the listing of the list."""
    if listing is None:
        return str(what)
    codes = ",".join(f"127.0.0.{code & 255}" for code in listing.codes)
    return f"{what} | {listing.reason} | {codes} | {listing.ttl} | {listing.expires_at or '-'}"
