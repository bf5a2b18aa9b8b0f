"""The csv format of list files: a row a line, with columns by name or by number.

Owns its syntax, the keys of its items and how the line with the names of the columns is found. A line is a row: no
field has a newline. Rows in their plainest form are read by `_columns`; what any other row means, or what is wrong with
it, is decided here.
"""

import csv
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dnsbl_server.model.entry import NAMES
from dnsbl_server.model.problem import printable, shorten
from dnsbl_server.sources._columns import scan_columns
from dnsbl_server.sources.listreader import MAX_LINE, Sink
from dnsbl_server.sources.plain import rules_of
from dnsbl_server.sources.records import (
    FIELDS,
    LISTING_FIELDS,
    Records,
    as_text,
    check_entry_fields,
    key_of,
    parse_entry,
)
from dnsbl_server.sources.values import parse_bool

_WORDS = {"tab": "\t", "space": " ", "comma": ",", "semicolon": ";"}
_NONE = "none"
_MAX_COLUMN = 64
_SHOWN_COLUMNS = 20


class Dialect(NamedTuple):
    """How rows are written; quote and comment are empty where there is none."""

    delimiter: str = ","
    quote: str = '"'
    comment: str = "#"

    @property
    def skips_spaces(self) -> bool:
        """Whether spaces before a field mean nothing."""
        return self.delimiter not in " \t"


class CsvReader:
    """Reads a list file of rows."""

    def __init__(self, sink: Sink, options: Mapping[str, Any]) -> None:
        self._sink = sink
        self._columns: Mapping[str, tuple[str, ...]] = options["columns"]
        self._dialect = dialect_of(options)
        self._has_header: bool = options.get("header", has_names(self._columns))
        self._fields = [name for name in LISTING_FIELDS if name in self._columns]
        self._records = Records(sink, self._fields)
        self._kind = "net" if "net" in self._columns else "domain"
        if {"net", "domain"} <= self._columns.keys():
            self._kind = "either"
        # The numbers of the columns, from 0, once they are known.
        self._entry: tuple[int, ...] = ()
        self._listing: tuple[int, ...] = ()
        self._needed = 0
        self._is_begun = False
        self._is_refused = False
        # The last comment that names all columns, before the first row.
        self._header: list[str] = []

    def read(self, block: bytes, line: int) -> int:
        """Read a block of whole lines."""
        at = number = 0
        while not self._is_begun and at < len(block):
            end = block.find(b"\n", at) + 1 or len(block)
            if self._begin(block[at:end].rstrip(b"\r\n"), line + number):
                break
            at, number = end, number + 1
        rest = block[at:] if at else block
        if self._is_refused:
            return number + rest.count(b"\n") + (not rest.endswith(b"\n") and rest != b"")
        return number + self._scan(rest, line + number) if rest else number

    def next_file(self) -> None:
        """The next file has a header of its own."""
        self._is_begun = False
        self._header = []

    def finish(self) -> None:
        """Every row stands for itself: nothing is left to do."""

    def _begin(self, line: bytes, number: int) -> bool:
        """Read a line before the first row; whether it is that row."""
        text = as_text(line)
        if self._means_nothing(line.decode("latin-1")):
            names = self._names(text.lstrip(self._dialect.comment).lstrip())
            if self._has_header and has_names(self._columns) and not self._missing(names):
                self._header = names
            return False
        self._is_begun = True
        if self._has_header and not self._header:
            names = self._names(text)
            if missing := self._missing(names):
                shown = ", ".join(map(shorten, names[:_SHOWN_COLUMNS]))
                self._sink.fail(number, f"no column {' or '.join(missing)} in the header, which has {shown}")
                self._is_refused = True
            self._header = names
            self._find_columns()
            return False
        self._find_columns()
        return True

    def _means_nothing(self, text: str) -> bool:
        """Whether a line is empty, or just a comment."""
        text = text.lstrip(" \t\r")
        return not text or bool(self._dialect.comment and text.startswith(self._dialect.comment))

    def _names(self, text: str) -> list[str]:
        try:
            return [name.strip().lower() for name in cut_row(text, self._dialect)]
        except ValueError:
            return []

    def _missing(self, names: Sequence[str]) -> list[str]:
        wanted = dict.fromkeys(column for columns in self._columns.values() for column in columns)
        return [column for column in wanted if not column.isdigit() and column.lower() not in names]

    def _find_columns(self) -> None:
        if self._is_refused:
            return

        def index_of(column: str) -> int:
            return int(column) - 1 if column.isdigit() else self._header.index(column.lower())

        entry = self._columns["domain" if self._kind == "domain" else "net"]
        self._entry = tuple(map(index_of, entry))
        self._listing = tuple(index_of(self._columns[name][0]) for name in self._fields)
        self._needed = max(*self._entry, *self._listing, 0) + 1
        if self._needed > _MAX_COLUMN:
            self._sink.fail(0, f"needs column {self._needed}; the first {_MAX_COLUMN} are looked at")
            self._is_refused = True

    def _scan(self, block: bytes, line: int) -> int:
        sink, dialect = self._sink, self._dialect
        columns = (sink.v4, sink.v6, sink.names)
        numbers = (sink.numbers(4), sink.numbers(6), sink.numbers(NAMES))
        rules = rules_of(sink.text, takes_nets=self._kind != "domain", takes_names=self._kind != "net")
        layout = (
            ord(dialect.delimiter),
            ord(dialect.quote) if dialect.quote else -1,
            ord(dialect.comment) if dialect.comment else -1,
            dialect.skips_spaces,
        )
        first, last = self._entry if len(self._entry) == 2 else (self._entry[0], -1)
        known, number_of = self._records.known, self._records.number_of
        return scan_columns(
            *(block, line, MAX_LINE, columns, numbers, rules, layout, (first, last), self._listing),
            *(known, number_of, self._read_row),
        )

    def _read_row(self, number: int, line: bytes) -> None:
        """Read a row that `_columns` leaves to Python."""
        if len(line) > MAX_LINE:
            self._sink.error(number, 0, "", f"longer than {MAX_LINE} bytes")
            return
        text = line.decode("latin-1").removesuffix("\r")
        if self._means_nothing(text):
            return
        try:
            row = [field.encode("latin-1") for field in cut_row(text, self._dialect)]
            if len(row) < self._needed:
                message = f"has {len(row)} {'column' if len(row) == 1 else 'columns'}, and {self._needed} are needed"
                raise ValueError(message)
        except ValueError as error:
            self._sink.error(number, 0, as_text(line), str(error))
            return
        values = [as_text(row[column]) for column in self._entry]
        try:
            what = parse_entry(self._sink.text, self._kind, values)
        except ValueError as error:
            self._sink.error(number, 0, "-".join(filter(None, values)), str(error))
            return
        key = key_of([row[column] for column in self._listing])
        self._records.add(what, "-".join(filter(None, values)), number, key)


def cut_row(text: str, dialect: Dialect) -> list[str]:
    """The fields of a row. Raises ValueError."""
    if "\0" in text or "\r" in text:
        raise ValueError("not a row of fields: it has a control character")
    quoting = {"quotechar": dialect.quote} if dialect.quote else {"quoting": csv.QUOTE_NONE}
    reader = csv.reader(
        [text], delimiter=dialect.delimiter, skipinitialspace=dialect.skips_spaces, strict=True, **quoting
    )
    try:
        return next(reader, [])
    except csv.Error as error:
        raise ValueError(f"not a row of fields: {printable(str(error))}") from None


def dialect_of(options: Mapping[str, Any]) -> Dialect:
    """How the rows of an item are written."""
    default = Dialect()
    return Dialect(*(options.get(name, getattr(default, name)) for name in Dialect._fields))


def has_names(columns: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether a column is given by its name."""
    return any(not column.isdigit() for each in columns.values() for column in each)


def parse_character(text: str) -> str:
    """A character of ASCII, or one of some words. Raises ValueError."""
    found = _WORDS.get(text, text)
    if len(found) != 1 or not (found == "\t" or " " <= found <= "~"):
        raise ValueError(f"one character of ASCII, or one of {', '.join(_WORDS)}")
    return found


def parse_optional_character(text: str) -> str:
    """As `parse_character`, or `none`. Raises ValueError."""
    return "" if text == _NONE else parse_character(text)


CSV_KEYS = {
    "delimiter": parse_character,
    "quote": parse_optional_character,
    "comment": parse_optional_character,
    "header": parse_bool,
}
CSV_MAPS = {"columns": FIELDS}


def check_csv(options: Mapping[str, Any]) -> None:
    """Raises ValueError for keys that do not go together."""
    columns = options.get("columns")
    if columns is None:
        raise ValueError("format: csv needs columns, like columns: {net: ip, reason: threat}")
    check_entry_fields(columns, "columns")
    for column in (column for each in columns.values() for column in each):
        if column.isdigit() and not (column.isascii() and 1 <= int(column[:6]) <= _MAX_COLUMN):
            raise ValueError(f"columns are numbered from 1 to {_MAX_COLUMN}")
    if has_names(columns) and not options.get("header", True):
        raise ValueError("with header: false, columns are given by number")
    dialect = dialect_of(options)
    used = [character for character in dialect if character]
    if len(used) != len(set(used)):
        raise ValueError("delimiter, quote and comment are three characters")
