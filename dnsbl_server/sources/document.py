"""YAML text as nodes that know their places.

Owns what YAML we take: mappings, sequences and scalars, each with the line and column it starts at and, for a scalar,
its raw text (`1:20` stays "1:20"; no YAML type is ever guessed). Anchors, aliases, merge keys, tags and a second
document are refused with their place, so no document is larger than its text. Reads the parser's events one by one:
composing PyYAML's own nodes takes ten times as long. Knows nothing of zones.
"""

import codecs
from collections.abc import Callable
from typing import Any, NamedTuple

from yaml import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    MarkedYAMLError,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamStartEvent,
    YAMLError,
)
from yaml.cyaml import CSafeLoader
from yaml.reader import ReaderError

from dnsbl_server.model.problem import Place, Problems

# A zone file needs four levels; libyaml takes quadratic time on thousands of nested brackets.
MAX_DEPTH = 16
_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
# A zone file with ten million entries is about 200 MB; larger lists belong into list files.
MAX_SIZE = 1 << 30
EMPTY = "the file is empty"


class Scalar(NamedTuple):
    """A value: its raw text, where it starts (from 1), and whether it was written without quotes."""

    text: str
    line: int
    column: int
    plain: bool


class Sequence(NamedTuple):
    items: "list[Node]"
    line: int
    column: int


class Mapping(NamedTuple):
    """Keys and values in the order of the file; a key stands in it once."""

    fields: "dict[str, tuple[Scalar, Node]]"
    line: int
    column: int


Node = Scalar | Sequence | Mapping


def read_document(data: bytes, file: str, problems: Problems) -> Node | None:
    """Read one YAML document; None when it has a problem that leaves nothing to look at (it is in `problems`)."""
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        problems.error(Place(file, line, column), f"byte 0x{data[error.start]:02x}", "a zone file is UTF-8 text")
        return None
    builder = _Builder(file, problems)
    try:
        builder.build(text)
    except ReaderError as error:
        # libyaml counts the bytes of what it was given.
        position = len(text.encode()[: error.position].decode("utf-8", "ignore"))
        place = Place(file, text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position))
        problems.error(place, f"U+{ord(text[position]):04X}" if position < len(text) else "", "character not allowed")
        return None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        reason = (error.problem or "cannot be read").replace("\n", " ")
        context = f" ({error.context})" if error.context and error.context_mark else ""
        # Newer versions of libyaml have a limit of their own, and reach it before the first event is read.
        is_deep = "nesting depth" in reason
        problems.error(place, "", _TOO_DEEP if is_deep else f"not valid YAML: {reason}{context}")
        return None
    except YAMLError as error:
        problems.error(Place(file), "", f"not valid YAML: {error}")
        return None
    except _RefusedError:
        return None
    if builder.root is None:
        problems.error(Place(file, 1, 1), "", EMPTY)
    return builder.root


class _RefusedError(Exception):
    """Reading stops here; the reason is among the problems already."""


class _Builder:
    """Turns the events of one document into nodes."""

    def __init__(self, file: str, problems: Problems) -> None:
        self.root: Node | None = None
        self._file = file
        self._problems = problems
        # Open collections, innermost last, and for each the key that waits for its value.
        self._stack: list[Sequence | Mapping] = []
        self._keys: list[Scalar | None] = []
        self._documents = 0

    def build(self, text: str) -> None:
        parser = CSafeLoader(text)
        # Any: the types of the events know no marks, and looking into each one with isinstance would cost a third more.
        take: Callable[[], Any] = parser.get_event
        while (event := take()) is not None:
            kind = type(event)
            if kind is ScalarEvent:
                if event.anchor is not None or event.tag is not None:
                    self._refuse_properties(event)
                mark = event.start_mark
                self._place(Scalar(event.value, mark.line + 1, mark.column + 1, not event.style))
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                self._open(event)
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                self._stack.pop()
                self._keys.pop()
            elif kind is AliasEvent:
                self._refuse(event, f"*{event.anchor}", "aliases are not supported; write the value out")
            elif kind is DocumentStartEvent:
                self._documents += 1
                if self._documents > 1:
                    self._refuse(event, "---", "a file holds one document")
            elif kind is not DocumentEndEvent and kind is not StreamStartEvent:
                return

    def _open(self, event: Any) -> None:
        if event.anchor is not None or event.tag is not None:
            self._refuse_properties(event)
        mark = event.start_mark
        if len(self._stack) >= MAX_DEPTH:
            self._refuse(event, "", _TOO_DEEP)
        node: Mapping | Sequence
        if type(event) is MappingStartEvent:
            node = Mapping({}, mark.line + 1, mark.column + 1)
        else:
            node = Sequence([], mark.line + 1, mark.column + 1)
        self._place(node)
        self._stack.append(node)
        self._keys.append(None)

    def _place(self, node: Node) -> None:
        if not self._stack:
            # An empty document is one empty plain scalar.
            self.root = None if type(node) is Scalar and node.plain and not node.text else node
            return
        parent = self._stack[-1]
        if type(parent) is Sequence:
            parent.items.append(node)
            return
        assert type(parent) is Mapping
        key = self._keys[-1]
        if key is None:
            if type(node) is not Scalar:
                place = Place(self._file, node.line, node.column)
                self._problems.error(place, "", "a key is a word, not a list or a mapping")
                raise _RefusedError
            self._keys[-1] = node
            return
        self._keys[-1] = None
        first = parent.fields.get(key.text)
        if first is not None:
            place = Place(self._file, key.line, key.column)
            earlier = Place(self._file, first[0].line, first[0].column)
            self._problems.error(place, key.text, f"duplicate key, first at {earlier}")
        elif key.text == "<<" and key.plain:
            place = Place(self._file, key.line, key.column)
            self._problems.error(place, key.text, "merge keys are not supported; write the values out")
        else:
            parent.fields[key.text] = (key, node)

    def _refuse_properties(self, event: Any) -> None:
        if event.anchor is not None:
            self._refuse(event, f"&{event.anchor}", "anchors are not supported; write the value out")
        self._refuse(event, str(event.tag), "tags are not supported")

    def _refuse(self, event: Any, value: str, message: str) -> None:
        mark = event.start_mark
        self._problems.error(Place(self._file, mark.line + 1, mark.column + 1), value, message)
        raise _RefusedError
