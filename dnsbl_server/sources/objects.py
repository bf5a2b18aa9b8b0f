"""The json format of list files: an array of objects, or an object a line.

Owns its syntax, the keys of its items, and how the array is found in an object that holds it. Objects are decoded one
by one and none of them is kept, so that a line of any length costs the memory of one object. Each has the number of the
line that it begins in.
"""

import codecs
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dnsbl_server.sources.listreader import Sink
from dnsbl_server.sources.records import (
    FIELDS,
    LISTING_FIELDS,
    Records,
    check_entry_fields,
    key_of,
    parse_entry,
)

# Characters of one object, and of one value that stands before the array.
MAX_OBJECT = 1 << 20
_SHOWN = 200

_BLANKS = " \t\r\n"
_BEHIND_NUMBER = f"{_BLANKS},]}}"
_NOT_BLANK = re.compile(r"[^ \t\r\n]")
# Numbers stay text: they are times and ports, and some are too long to be numbers.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


class _CutError(Exception):
    """What has been read does not hold all of the next value, or has an error there, as the text says."""


class JsonReader:
    """Reads a list file of JSON."""

    def __init__(self, sink: Sink, options: Mapping[str, Any]) -> None:
        self._sink = sink
        fields: Mapping[str, Sequence[str]] = options["fields"]
        both = {"net", "domain"} <= fields.keys()
        self._kind = "either" if both else "net" if "net" in fields else "domain"
        self._entry = [_path(each) for each in fields["domain" if self._kind == "domain" else "net"]]
        own = [name for name in LISTING_FIELDS if name in fields]
        self._own = [_path(fields[name][0]) for name in own]
        self._records = Records(sink, own)
        self._path = _path(options["items"]) if "items" in options else ()
        self._begin()

    def _begin(self) -> None:
        """Begin with a file."""
        # What has been read, where it has not been understood yet, and the line of that place (0: nothing was read).
        self._text = ""
        self._at = 0
        self._line = 0
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        # The keys that lead to the array, and have not been found yet.
        self._missing = list(self._path)
        self._state = self._find_beginning
        self._is_last = False
        self._needs_comma = False
        # The last character that means something.
        self._last = ""

    def read(self, block: bytes, line: int) -> int:
        """Read any part of the file, which begins in line `line`; returns how many lines end in it."""
        self._line = self._line or line
        self._read(self._decoder.decode(block))
        return block.count(b"\n")

    def next_file(self) -> None:
        """Each file is a whole one."""
        self.finish()
        self._begin()

    def finish(self) -> None:
        """Everything has been read."""
        self._is_last = True
        self._read(self._decoder.decode(b"", final=True))
        if self._state in (self._find_beginning, self._find_array, self._read_items):
            self._fail("the file ends before its array does: it is cut" if self._last else "the file is empty")
        elif self._state == self._skip_rest and self._path and self._last != "}":
            self._fail("the file ends before its object does: it is cut")

    def _read(self, text: str) -> None:
        self._text = self._text[self._at :] + text
        self._at = 0
        if stripped := text.rstrip(_BLANKS):
            self._last = stripped[-1]
        state = None
        while state != self._state:
            state = self._state
            try:
                state()
            except _CutError as error:
                if self._is_last and _NOT_BLANK.search(self._text, self._at):
                    self._fail(f"no JSON, or cut: {error}")

    def _fail(self, message: str) -> None:
        """The file cannot be understood from here on."""
        self._sink.fail(self._line, message)
        self._state = self._drop

    def _drop(self) -> None:
        self._at = len(self._text)

    def _go_to(self, at: int) -> None:
        """What stands before a position has been understood."""
        self._line += self._text.count("\n", self._at, at)
        self._at = at

    def _find_beginning(self) -> None:
        self._go_to(_behind_blanks(self._text, self._at))
        character = self._text[self._at]
        if self._missing:
            self._state = self._find_array
        elif character == "[":
            self._go_to(self._at + 1)
            self._state = self._read_items
        elif character == "{":
            self._state = self._read_lines
        else:
            self._fail("no JSON: neither an array nor an object begins here")

    # An object that holds the array

    def _find_array(self) -> None:
        """Follow the path to the array, as far as what has been read goes."""
        while self._missing and self._state == self._find_array:
            self._find_key()
        if self._state == self._find_array:
            self._go_to(_behind_blanks(self._text, self._at))
            if self._text[self._at] != "[":
                self._fail(f"{'.'.join(self._path)} is no array")
                return
            self._go_to(self._at + 1)
            self._state = self._read_items

    def _find_key(self) -> None:
        """Go to the value of the next key of the path, or behind a value that is none of it."""
        text = self._text
        at = _behind_blanks(text, self._at)
        if text[at] != ("," if self._needs_comma else "{"):
            self._go_to(at)
            self._fail(f"no {self._missing[0]} here; items says that the array is in {'.'.join(self._path)}")
            return
        at = _behind_blanks(text, at + 1)
        key, at = self._decode(at)
        at = _behind_blanks(text, at)
        if not isinstance(key, str) or text[at] != ":":
            self._fail("no JSON: a key and its value should stand here")
            return
        at = _behind_blanks(text, at + 1)
        is_found = key == self._missing[0]
        if is_found:
            self._missing.pop(0)
        else:
            _, at = self._decode(at)
        self._needs_comma = not is_found
        self._go_to(at)

    def _decode(self, at: int) -> tuple[Any, int]:
        """The value that begins at a position, and where it ends."""
        try:
            value, end = _DECODER.raw_decode(self._text, at)
        except RecursionError:
            self._fail("no JSON: nested too deeply")
            raise _CutError from None
        except json.JSONDecodeError as error:
            if len(self._text) - at > MAX_OBJECT:
                self._fail(f"no JSON, or a value of more than {MAX_OBJECT:,} characters: {error.msg}")
            raise _CutError(error.msg) from None
        # A number may go on: 12 of 12.5, of which `12.` has come.
        is_whole = self._text[at] in '"[{' or self._text[end : end + 1] in _BEHIND_NUMBER
        if not (is_whole and end < len(self._text)) and not self._is_last:
            raise _CutError("it may go on")
        return value, end

    # The array

    def _read_items(self) -> None:
        """Read the items of the array that have come."""
        text = self._text
        while True:
            at = _behind_blanks(text, self._at)
            if text[at] == "]":
                self._go_to(at + 1)
                self._state = self._skip_rest
                return
            if self._needs_comma:
                if text[at] != ",":
                    self._go_to(at)
                    self._fail("no JSON: a comma should stand here")
                    return
                at = _behind_blanks(text, at + 1)
            value, end = self._decode(at)
            self._needs_comma = True
            self._go_to(at)
            self._read_object(value, self._line)
            self._go_to(end)

    def _skip_rest(self) -> None:
        """What stands behind the array: the rest of the objects that hold it, and nothing where none does."""
        if not self._path and _NOT_BLANK.search(self._text, self._at):
            self._fail("something stands behind the array")
        self._go_to(len(self._text))

    # An object a line

    def _read_lines(self) -> None:
        end = len(self._text) if self._is_last else self._text.rfind("\n") + 1
        if end > self._at:
            for number, line in enumerate(self._text[self._at : end].split("\n"), self._line):
                if line.strip():
                    self._read_one(line, number)
            self._go_to(end)
        if len(self._text) - self._at > MAX_OBJECT:
            self._fail(f"a line of more than {MAX_OBJECT:,} characters")

    def _read_one(self, line: str, number: int) -> None:
        try:
            value, end = _DECODER.raw_decode(line, _behind_blanks(line, 0))
            if line[end:].strip():
                raise ValueError("something stands behind the object")
        except (ValueError, RecursionError, _CutError) as error:
            hint = "; items says where an array is in one object" if line.strip() == "{" else ""
            self._sink.error(number, 0, line[:_SHOWN].strip(), f"not a JSON object: {str(error)[:_SHOWN]}{hint}")
            return
        self._read_object(value, number)

    # Objects

    def _read_object(self, value: Any, line: int) -> None:
        if not isinstance(value, dict):
            self._sink.error(line, 0, str(value)[:_SHOWN], "not a JSON object")
            return
        written = ""
        try:
            values = [_at(value, path) for path in self._entry]
            written = "-".join(filter(None, values))
            what = parse_entry(self._sink.text, self._kind, values)
            key = key_of([_at(value, path).encode("utf-8", "replace").replace(b"\n", b" ") for path in self._own])
        except ValueError as error:
            self._sink.error(line, 0, written, str(error))
            return
        self._records.add(what, written, line, key)


def _behind_blanks(text: str, at: int) -> int:
    """Where the next character is that means something."""
    found = _NOT_BLANK.search(text, at)
    if found is None:
        raise _CutError("it ends here")
    return found.start()


def _at(value: Mapping[str, Any], path: Sequence[str]) -> str:
    """The text of a value inside of an object; empty where there is none. Raises ValueError for one that is no text."""
    found: Any = value
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    if found is None:
        return ""
    if not isinstance(found, str):
        raise ValueError(f"{'.'.join(path)} is not a single value")
    return found.strip()


def _path(text: str) -> tuple[str, ...]:
    return tuple(text.split("."))


def parse_path(text: str) -> str:
    """The way to a value: keys with dots between them. Raises ValueError."""
    if not all(text.split(".")):
        raise ValueError("keys with dots between them, like data.list")
    return text


JSON_KEYS = {"items": parse_path}
JSON_MAPS = {"fields": FIELDS}


def check_json(options: Mapping[str, Any]) -> None:
    """Raises ValueError for keys that do not go together."""
    fields = options.get("fields")
    if fields is None:
        raise ValueError("format: json needs fields, like fields: {net: ip_address, reason: malware}")
    check_entry_fields(fields, "fields")
    for each in fields.values():
        for path in each:
            parse_path(path)
