"""The entries of one list as layers: for each address the number of the chain that holds there.

Owns the kinds of entries: those that share a listing are of one kind, so that millions of rows need a number each and
no more. What the exclusions of list files change is in `exclusions`. Takes 127.0.0.0/8 out, where no file can list
anything. The exclusions of the list itself are the caller's.
"""

from array import array
from collections.abc import Callable

from dnsbl_server.compiler._merge import flatten, look_up, subtract
from dnsbl_server.compiler.chains import Chains
from dnsbl_server.compiler.exclusions import without_excluded
from dnsbl_server.compiler.rib import ListRib
from dnsbl_server.model._names import Names
from dnsbl_server.model._spans import Spans
from dnsbl_server.model.address import BITS, LOOPBACK_FIRST, LOOPBACK_LAST, Net
from dnsbl_server.model.entry import NAMES, Entry, ListFile
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.zone import BlockList

_LOOPBACK = Spans(4, [(LOOPBACK_FIRST, LOOPBACK_LAST, 0)])


def distinct_listings(block_list: BlockList) -> list[Listing]:
    """The listings that entries of a list have, each object once."""
    distinct = {id(entry.listing): entry.listing for entry in block_list.entries}
    for file in block_list.files:
        distinct.update((id(listing), listing) for listing in file.listings_in_use(block_list.listing))
    return list(distinct.values())


def layers_of(own: ListRib, number: int, chains: Chains) -> dict[int, Spans]:
    """The entries of list `number` for each version, flattened; the number of a span is that of its chain.

    Raises DepthError.
    """
    block_list = own.list
    if not any(len(spans) for version in BITS for spans in own.sources(version)):
        return {version: Spans(version) for version in BITS}
    listings = distinct_listings(block_list)
    kinds = {id(listing): kind for kind, listing in enumerate(listings)}
    roots = chains.begin(number, listings)
    nested = bytes(chains.expiry(listing) > 0 for listing in listings)
    of_list = kinds.get(id(block_list.listing), 0)
    known: dict[tuple[int, ...], int] = {}

    def combine(together: tuple[int, ...]) -> int:
        found = known.get(together)
        if found is None:
            found = known[together] = chains.number_of(number, [listings[kind] for kind in together])
        return found

    layers = {}
    for version in BITS:
        rows = _kinds_of_rows(block_list, version, kinds, of_list)
        entries = own.take_spans(version)
        layer = flatten(entries, rows, of_list, roots, nested, combine)
        layer = without_excluded(layer, own, entries, version, number, chains)
        # Only here, so that an entry keeps its size.
        layers[version] = subtract(layer, _LOOPBACK) if version == 4 else layer
        # They can be large, and the next version has its own.
        del entries, rows, layer
    return layers


def _kinds_of_rows(block_list: BlockList, version: int, kinds: dict[int, int], of_list: int) -> "array[int]":
    """The kind of each row, as far as it is not that of the list for all rows that follow."""
    rows = array("I", (kinds[id(entry.listing)] for entry in block_list.entries if _is_of(entry, version)))
    missing = 0
    for file in block_list.files:
        if version not in file.numbers:
            missing += len(file.nets[version])
            continue
        rows.extend(array("I", [of_list]) * missing)
        missing = 0
        of_file = array("I", (of_list, *(kinds[id(listing)] for listing in file.listings)))
        rows.extend(look_up(file.numbers[version], of_file))
    return rows


def _is_of(entry: Entry, version: int) -> bool:
    return isinstance(entry.what, Net) and entry.what.version == version


def current_names(own: ListRib, chains: Chains) -> list[Names]:
    """The domain names of a list that have not expired."""
    written, *files = own.name_sources()
    if not chains.is_any_over:
        return [written, *files]
    entries = own.list.entries
    found = [Names(each for each in written if not chains.is_over(entries[each[2]].listing))]
    for names, file in zip(files, own.list.files, strict=True):
        numbers = file.numbers.get(NAMES, array("I", bytes(4)) * len(names))
        listings = (own.list.listing, *file.listings)
        over = {number for number in set(numbers) if chains.is_over(listings[number])}
        rows = [row for row, number in enumerate(numbers) if number in over] if over else []
        found.append(names.without(rows) if rows else names)
    return found


def current(own: ListRib, version: int, chains: Chains) -> list[Spans]:
    """The entries of a list that have not expired."""
    written, *files = own.sources(version)
    if not chains.is_any_over:
        return [written, *files]
    entries = own.list.entries
    found = [Spans(version, (span for span in written if not chains.is_over(entries[span[2]].listing)))]
    for file in own.list.files:
        found += _current_of_file(file, version, own.list.listing, chains.is_over)
    return found


def _current_of_file(file: ListFile, version: int, default: Listing, is_over: Callable[[Listing], bool]) -> list[Spans]:
    nets = file.nets[version]
    numbers = file.numbers.get(version)
    if numbers is None:
        return [] if len(nets) and is_over(default) else [nets]
    over = [0 in numbers and is_over(default), *map(is_over, file.listings)]
    if not any(over):
        return [nets]
    return [Spans(version, (span for span, number in zip(nets, numbers, strict=True) if not over[number]))]
