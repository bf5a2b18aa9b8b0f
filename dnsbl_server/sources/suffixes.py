"""Public suffixes: the names below which different people register domains, like `com`, `co.uk` or `github.io`.

Owns the question whether a name is one, after Mozilla's list, which comes with the publicsuffixlist library; every name
of one label counts, and the list's private section too. It is read when it is first asked for.
"""

from functools import cache
from importlib.resources import files
from typing import NamedTuple

from publicsuffixlist import PublicSuffixList

from dnsbl_server.model._names import Names
from dnsbl_server.model.domain import BELOW


class _Candidates(NamedTuple):
    """What may be a public suffix: these names, and what is one label below the parents."""

    names: frozenset[bytes]
    parents: frozenset[bytes]


def is_public(name: str) -> bool:
    """Whether a name, in lower case and A-labels, is a public suffix."""
    return _suffixes().is_public(name)


def public_rows(names: Names) -> list[int]:
    """The rows that mean all names below a public suffix."""
    if not names.has_scope(BELOW):
        return []
    candidates = _candidates()
    rows = names.rows_among(candidates.names, candidates.parents, BELOW)
    return [row for row in rows if is_public(names[row][0])]


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


@cache
def _candidates() -> _Candidates:
    names, parents = set(), {b""}
    text = files("publicsuffixlist").joinpath("public_suffix_list.dat").read_text("utf-8")
    for line in text.splitlines():
        rule = line.partition(" ")[0].lower()
        if not rule or rule.startswith("//"):
            continue
        name = rule.removeprefix("!").removeprefix("*.").encode("idna")
        names.add(name)
        if rule.startswith("*."):
            parents.add(name)
    return _Candidates(frozenset(names), frozenset(parents))
