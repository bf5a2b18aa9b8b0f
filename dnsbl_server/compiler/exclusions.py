"""The exclusions of list files: what they change in a layer.

Owns the rule that an exclusion of a file acts on the entries of that file alone: at an address, an entry of a file does
not count where the file has an exclusion that is as small, or smaller (see `ListFile`). Only what lies inside of such
exclusions is looked at here, so they cost by their number and not by that of the entries; a list without them costs
nothing.
"""

from bisect import insort
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dnsbl_server.compiler._merge import MAX_DEPTH, DepthError, lay_over, subtract
from dnsbl_server.compiler.chains import Chains
from dnsbl_server.compiler.rib import ListRib
from dnsbl_server.model._spans import Spans, union
from dnsbl_server.model.listing import Listing


class _Span(NamedTuple):
    """An entry or an exclusion of source `source`; row: that of an entry; listing: None for an exclusion."""

    first: int
    last: int
    row: int
    source: int
    listing: Listing | None


def without_excluded(layer: Spans, own: ListRib, entries: Spans, version: int, number: int, chains: Chains) -> Spans:
    """The layer of list `number`, with what its files exclude put right; entries: the sorted spans it was made from.

    Raises DepthError.
    """
    excluded = [file.excluded[version] for file in own.list.files]
    if not any(map(len, excluded)):
        return layer
    area = union(version, excluded)
    # What a file excludes twice is one exclusion.
    found = list({_Span(*span[:2], 0, source, None) for source, spans in enumerate(excluded, 1) for span in spans})
    for first, last, row in _overlapping(entries, area):
        source, listing = own.source_of(version, row)
        found.append(_Span(first, last, row, source, listing))
    inside = Spans(version)
    for first, last, held in _parts(version, found):
        listings = _holding(held, chains)
        if listings:
            inside.append(first, last, chains.number_of(number, listings))
    # Both have no address in common, so there is nothing to combine.
    inside = subtract(inside, subtract(inside, area))
    return lay_over(subtract(layer, area), inside, max)


def _overlapping(entries: Spans, area: Spans) -> Iterator[tuple[int, int, int]]:
    """The entries that have an address in the area; both are sorted by first address."""
    at = 0
    for span in entries:
        while at < len(area) and area[at][1] < span[0]:
            at += 1
        if at == len(area):
            return
        if area[at][0] <= span[1]:
            yield span


def _parts(version: int, found: list[_Span]) -> Iterator[tuple[int, int, list[_Span]]]:
    """The parts of the address space, in order, each with what holds it.

    The smallest comes first, and of one size the exclusions. Raises DepthError.
    """
    held: list[_Span] = []
    start = 0
    for each in sorted(found, key=lambda each: each.first):
        while held and (end := min(other.last for other in held)) < each.first:
            if start <= end:
                yield start, end, held
            start = end + 1
            held = [other for other in held if other.last > end]
        if held and start < each.first:
            yield start, each.first - 1, held
        if len(held) == MAX_DEPTH:
            raise DepthError(version, each.first)
        insort(held, each, key=lambda each: (each.last - each.first, each.listing is not None, each.row))
        start = each.first
    while held:
        end = min(other.last for other in held)
        if start <= end:
            yield start, end, held
        start = end + 1
        held = [other for other in held if other.last > end]


def _holding(held: Iterable[_Span], chains: Chains) -> list[Listing]:
    """The listings that count and are not over, in the same order."""
    hidden = set()
    listings = []
    for each in held:
        if each.listing is None:
            hidden.add(each.source)
        elif each.source not in hidden and not chains.is_over(each.listing):
            listings.append(each.listing)
    return listings
