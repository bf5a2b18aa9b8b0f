"""Trees of what entries and exclusions mean, with a value each: which of them hold an address or a name.

Owns the order of what holds one subject, the most specific first. Nets are in radix trees (pytricia), names in a
dictionary that is asked label by label. Knows no lists.
"""

from collections.abc import Iterable
from itertools import islice
from socket import AF_INET, AF_INET6
from typing import Any

from pytricia import PyTricia

from dnsbl_server.model._spans import Spans
from dnsbl_server.model.address import BITS, Address, Net, cidrs_of
from dnsbl_server.model.domain import AT, BELOW, Domains
from dnsbl_server.model.subject import Subject, Subjects


def specificity(what: Subjects) -> tuple[int, int]:
    """What entries that hold one subject are ordered by: the smaller, the more specific."""
    if isinstance(what, Net):
        return what.size, 0
    return -what.labels, int(what.scope == AT | BELOW)


class NetTree:
    """Nets of one address family, each with a value: CIDRs in a radix tree, other ranges in a column beside it."""

    def __init__(self, version: int) -> None:
        self._tree = PyTricia(BITS[version], AF_INET if version == 4 else AF_INET6)
        self._bytes = BITS[version] // 8
        self._ranges = Spans(version)
        self._values: list[tuple[Net, Any]] = []

    def insert(self, net: Net, value: object) -> None:
        """Add a net; of two equal CIDRs the first counts."""
        number = len(self._values)
        self._values.append((net, value))
        (first, length), *more = islice(cidrs_of(net), 2)
        prefix = (first.to_bytes(self._bytes), length)
        if more:
            self._ranges.append(net.first, net.last, number)
        elif not self._tree.has_key(prefix):
            self._tree.insert(prefix, number)

    def covering(self, number: int) -> list[Any]:
        """The values of the nets that hold an address of this family, the smallest first, then in their order."""
        address = number.to_bytes(self._bytes)
        numbers = [self._ranges[row][2] for row in self._ranges.covering(number)]
        key = self._tree.get_key(address)
        while key is not None:
            numbers.append(self._tree[key])
            key = self._tree.parent(key)
        numbers.sort(key=lambda each: (self._values[each][0].size, each))
        return [self._values[number][1] for number in numbers]


class SubjectTree:
    """Nets and names, each with a value; it can be asked for both kinds of subjects."""

    def __init__(self, values: Iterable[tuple[Subjects, object]]) -> None:
        self._nets = {version: NetTree(version) for version in BITS}
        self._names: dict[str, list[tuple[Domains, Any]]] = {}
        for what, value in values:
            if isinstance(what, Domains):
                self._names.setdefault(what.name, []).append((what, value))
            else:
                self._nets[what.version].insert(what, value)

    def covering(self, subject: Subject) -> list[Any]:
        """The values of what holds a subject, the most specific first, and of what is as specific in their order."""
        if isinstance(subject, Address):
            return self._nets[subject.version].covering(subject.number)
        found = []
        name = subject.name
        while name:
            held = [each for each in self._names.get(name, ()) if each[0].holds(subject)]
            found += sorted(held, key=lambda each: specificity(each[0]))
            name = name.partition(".")[2]
        return [value for _, value in found]
