"""The exclusions of list files: what they change in a layer.

Owns the rule that an exclusion of a file acts on the entries of that file alone: at an address, an entry of a file does
not count where the file has an exclusion that is as specific, or more (see `ListFile`). Only what lies inside of such
exclusions is looked at here, so they cost by their number and not by that of the entries; a list without them costs
nothing.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dnsbl_server.compiler._merge import lay_over, subtract
from dnsbl_server.compiler.chains import Chains
from dnsbl_server.compiler.rib import ListRib
from dnsbl_server.model._spans import Spans, sorted_prefixes, union
from dnsbl_server.model.listing import Listing


class _Prefix(NamedTuple):
    """One prefix of an entry or an exclusion of source `source`; listing: None for an exclusion."""

    first: int
    last: int
    source: int
    listing: Listing | None


def without_excluded(layer: Spans, own: ListRib, entries: Spans, version: int, number: int, chains: Chains) -> Spans:
    """The layer of list `number`, with what its files exclude put right; entries: the prefixes it was made from."""
    excluded = [file.excluded[version] for file in own.list.files]
    if not any(map(len, excluded)):
        return layer
    area = union(version, excluded)
    found = [
        _Prefix(first, last, source, None)
        for source, spans in enumerate(excluded, 1)
        for first, last, _ in sorted_prefixes(version, [spans])
    ]
    for first, last, row in _overlapping(entries, area):
        source, listing = own.source_of(version, row)
        found.append(_Prefix(first, last, source, listing))
    # As a walk through a tree meets them, outer ones first; of equal ones the exclusion is the innermost.
    found.sort(key=lambda each: (each.first, -each.last, each.listing is None, -each.source))
    inside = Spans(version)
    for first, last, stack in _parts(found):
        listings = _holding(stack, chains)
        if listings:
            inside.append(first, last, chains.number_of(number, listings))
    # Both have no address in common, so there is nothing to combine.
    inside = subtract(inside, subtract(inside, area))
    return lay_over(subtract(layer, area), inside, max)


def _overlapping(entries: Spans, area: Spans) -> Iterator[tuple[int, int, int]]:
    """The prefixes that have an address in the area; both are sorted by first address."""
    at = 0
    for span in entries:
        while at < len(area) and area[at][1] < span[0]:
            at += 1
        if at == len(area):
            return
        if area[at][0] <= span[1]:
            yield span


def _parts(found: Iterable[_Prefix]) -> Iterator[tuple[int, int, list[_Prefix]]]:
    """The parts of the address space, in order, each with the prefixes that hold it, outermost first."""
    stack: list[_Prefix] = []
    start = 0
    for each in found:
        while stack and stack[-1].last < each.first:
            if start <= stack[-1].last:
                yield start, stack[-1].last, stack
                start = stack[-1].last + 1
            stack.pop()
        if stack and start < each.first:
            yield start, each.first - 1, stack
        stack.append(each)
        start = each.first
    while stack:
        if start <= stack[-1].last:
            yield start, stack[-1].last, stack
            start = stack[-1].last + 1
        stack.pop()


def _holding(stack: list[_Prefix], chains: Chains) -> list[Listing]:
    """The listings that count and are not over, innermost first."""
    hidden = set()
    listings = []
    for each in reversed(stack):
        if each.listing is None:
            hidden.add(each.source)
        elif each.source not in hidden and not chains.is_over(each.listing):
            listings.append(each.listing)
    return listings
