"""Public suffixes: the names below which different people register domains, like `com`, `co.uk` or `github.io`.

Owns the question whether a name is one, after Mozilla's Public Suffix List (https://publicsuffix.org), its private
section included; the publicsuffixlist library brings it along, and it is read when it is first asked for. A name of one
label is always one. So is the parent of a wildcard rule, as the list means it: whoever lists all below `ck` lists all
below every name that `*.ck` makes a public suffix. Knows no lists and no entries.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

from publicsuffixlist import PSLFILE

from dnsbl_server.dns.unicode import to_a_labels
from dnsbl_server.model._names import Names
from dnsbl_server.model.domain import BELOW

_ROOT = b""


class _Rules(NamedTuple):
    """The list, in lower case and A-labels. A name is a public suffix if it is among `names`, or one label below one of
    `parents`, and not among `exceptions`."""

    names: frozenset[bytes]
    parents: frozenset[bytes]
    exceptions: frozenset[bytes]


def is_public(name: str) -> bool:
    """Whether a name, in lower case and A-labels, is a public suffix."""
    rules = _rules()
    text = name.encode("ascii")
    return (text in rules.names or text.partition(b".")[2] in rules.parents) and text not in rules.exceptions


def public_rows(names: Names) -> list[int]:
    """The rows that mean all names below a public suffix, in order."""
    if not names.has_scope(BELOW):
        return []
    rules = _rules()
    return [row for row in names.rows_among(rules.names, rules.parents, BELOW) if is_public(names[row][0])]


@cache
def _rules() -> _Rules:
    names, parents, exceptions = set(), {_ROOT}, set()
    for line in Path(PSLFILE).read_text("utf-8").splitlines():
        # A rule ends at the first blank; what is not a rule is empty, or a comment.
        rule = line.partition(" ")[0]
        if not rule or rule.startswith("//"):
            continue
        if rule.startswith("!"):
            exceptions.add(_encode(rule[1:]))
            continue
        name = _encode(rule.removeprefix("*."))
        names.add(name)
        if rule.startswith("*."):
            parents.add(name)
    return _Rules(frozenset(names), frozenset(parents), frozenset(exceptions))


def _encode(name: str) -> bytes:
    return (name.lower() if name.isascii() else to_a_labels(name)).encode("ascii")
