"""Nodes to values: the keys of a mapping, the items of a list, the value of a scalar.

Owns the messages for a node of the wrong shape and for an unknown key. Every problem is noted at the place of the node
it is about, and reading goes on with a default. Knows no keys of its own.
"""

import difflib
from collections.abc import Callable, Iterable
from typing import TypeVar

from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.sources.document import Mapping, Node, Scalar, Sequence

T = TypeVar("T")
Fields = dict[str, tuple[Scalar, Node]]


class NodeReader:
    """Reads the nodes of one file into values, and collects the problems."""

    def __init__(self, file: str, problems: Problems) -> None:
        self.file = file
        self.problems = problems
        # The nodes, by id, that were reported already for not being lists.
        self._no_lists: set[int] = set()

    def at(self, node: Node) -> Place:
        return Place(self.file, node.line, node.column)

    def error(self, node: Node, message: str, value: str | None = None) -> None:
        if value is None:
            value = node.text if isinstance(node, Scalar) else ""
        self.problems.error(self.at(node), value, message)

    def fields(self, node: Node, known: Iterable[str], what: str) -> Fields | None:
        """The keys and values of a mapping; unknown keys are reported and left out."""
        if not isinstance(node, Mapping):
            self.error(node, f"{what} is a mapping with the keys {', '.join(known)}")
            return None
        known = tuple(known)
        fields: Fields = {}
        for name, (key, value) in node.fields.items():
            if name in known:
                fields[name] = (key, value)
                continue
            close = difflib.get_close_matches(name.lower(), known, 1) if len(name) <= 40 else []
            hint = f"did you mean {close[0]}?" if close else f"{what} has {', '.join(known)}"
            self.error(key, f"unknown key; {hint}")
        return fields

    def value(self, node: Node, parse: Callable[[str], T]) -> T | None:
        """The value of a scalar, or None where it has a problem."""
        if not isinstance(node, Scalar):
            self.error(node, "expected a single value")
            return None
        if node.plain and not node.text:
            self.error(node, "the value is missing")
            return None
        try:
            return parse(node.text)
        except ValueError as error:
            self.error(node, str(error))
            return None

    def one(self, fields: Fields, name: str, parse: Callable[[str], T], default: T) -> T:
        if name not in fields:
            return default
        value = self.value(fields[name][1], parse)
        return default if value is None else value

    def items(self, fields: Fields, name: str) -> list[Node]:
        """The nodes of a list; one value stands for a list of one, and nothing for an empty list."""
        if name not in fields:
            return []
        node = fields[name][1]
        if isinstance(node, Sequence):
            return node.items
        if isinstance(node, Scalar):
            return [] if node.plain and not node.text else [node]
        if id(node) not in self._no_lists:
            self._no_lists.add(id(node))
            self.error(node, f"{name} is a list")
        return []

    def many(self, fields: Fields, name: str, parse: Callable[[str], T]) -> tuple[T, ...]:
        values: dict[T, Node] = {}
        for node in self.items(fields, name):
            value = self.value(node, parse)
            if value is None:
                continue
            if value in values:
                self.error(node, f"stands twice, first at {self.at(values[value])}")
            values.setdefault(value, node)
        return tuple(values)
