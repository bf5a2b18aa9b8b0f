"""The compiler: a RIB becomes a table.

Owns the order of the steps. The addresses of each list are flattened (`layers`: the smallest entry decides, exclusions
are cut out) and the lists of the zone laid over each other; the names of all lists become one tree (`names`). Every
distinct combination of listings becomes one answer (`answers`), and the test entries are added. The RIB's `explain` and
the table's `find` agree on every address and name at every time; tests hold them to it.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from os import urandom
from typing import NamedTuple
from zlib import crc32

from dnsbl_server.compiler._merge import MAX_DEPTH, DepthError, lay_over, subtract
from dnsbl_server.compiler.answers import Answers, Overlaps
from dnsbl_server.compiler.chains import Chains
from dnsbl_server.compiler.layers import current, current_names, layers_of
from dnsbl_server.compiler.names import NameLayers
from dnsbl_server.compiler.rib import ZoneRib
from dnsbl_server.compiler.testentries import add_test_entries
from dnsbl_server.model._names import Names
from dnsbl_server.model._spans import Spans, union
from dnsbl_server.model.address import BITS, INTERNET, LOOPBACK_FIRST, LOOPBACK_LAST, Address, Net
from dnsbl_server.model.entry import Exclusion
from dnsbl_server.model.problem import Problems
from dnsbl_server.table._format import NO_LIST
from dnsbl_server.table._prints import fingerprints
from dnsbl_server.table.info import ListInfo, TableInfo
from dnsbl_server.table.pack import TableSizeError, pack

# A text has the number of its list, and NO_LIST is none.
MAX_LISTS = NO_LIST


class Compiled(NamedTuple):
    """A table, and what it lists: addresses of each version, test entries not counted, and entries that are names.

    expired: how many entries were left out.
    """

    table: bytes
    addresses: dict[int, int]
    names: int
    expired: int


def compile_zone(
    rib: ZoneRib, serial: int, now: float, problems: Problems, sources: Iterable[str] = ()
) -> Compiled | None:
    """Make the table of a zone as it is at `now` (seconds since 1970); entries that are expired by then are left out.

    None where it cannot be served, which is a problem: the zone lists the whole Internet, or an address too often, or
    has more than a table can hold.
    """
    zone = rib.zone
    if len(rib.lists) > MAX_LISTS:
        problems.error(zone.place, zone.name, f"has {len(rib.lists)} lists; a zone has at most {MAX_LISTS}")
        return None
    chains = Chains(now)
    layers = []
    for number, own in enumerate(rib.lists):
        try:
            layers.append(layers_of(own, number, chains))
        except DepthError as error:
            held = f"more than {MAX_DEPTH} entries hold {Address(*error.args)}"
            message = f"{held}; of one list at most so many hold an address"
            problems.error(own.list.place, own.list.name, message)
    if len(layers) < len(rib.lists):
        return None
    for version in BITS:
        if _covers_internet(version, [layer[version] for layer in layers]):
            problems.error(zone.place, zone.name, f"its lists together cover the whole IPv{version} Internet")
            return None
    names = NameLayers(rib, chains)
    overlaps = Overlaps(len(chains.chains))
    answers = Answers(zone, chains, overlaps)
    addresses = {}
    columns = {}
    for version in BITS:
        sizes = [len(layer[version]) for layer in layers]
        # Layers can be large, and none is needed after this.
        kept = (
            subtract(layer.pop(version), _union(version, own.list.exclusions))
            for own, layer in zip(rib.lists, layers, strict=True)
        )
        merged = _lay_together(kept, sizes, overlaps.combine) if sizes else Spans(version)
        merged = subtract(merged, _union(version, zone.exclusions))
        addresses[version] = merged.addresses()
        columns[version] = answers.intervals(merged)
        del merged
    if any(each.has_addresses for each in zone.lists):
        add_test_entries(columns[4], answers)
    nodes = names.nodes(overlaps, answers)
    answers.report_too_large(problems)
    counts = []
    served: list[tuple[int, Spans | Names]] = []
    for own in rib.lists:
        seed = crc32(own.list.name.encode())
        found = (current(own, 4, chains), current(own, 6, chains), current_names(own, chains))
        counts.append(ListInfo(own.list.name, *(sum(map(len, each)) for each in found)))
        served += ((seed, column) for each in found for column in each)
    info = TableInfo(
        zone=zone.name,
        ttl=zone.ttl,
        negative_ttl=zone.negative_ttl,
        soa=zone.soa,
        ns=zone.ns,
        apex=zone.apex,
        serial=serial,
        as_of=now,
        sources=tuple(sources),
        lists=tuple(counts),
        expired=sum(each.size for each in zone.lists) - sum(each.entries for each in counts),
        next_expiry=chains.next_expiry,
    )
    try:
        table = pack(info, columns[4], columns[6], answers.records, fingerprints(served), nodes, urandom(16))
    except TableSizeError as error:
        problems.error(zone.place, zone.name, f"{error}; a zone can be split into several")
        return None
    return Compiled(table, addresses, sum(each.names for each in counts), info.expired)


def _lay_together(layers: Iterator[Spans], sizes: Sequence[int], combine: Callable[[int, int], int]) -> Spans:
    """The next `len(sizes)` layers, at least one, in one: each over those before it; sizes: the spans of each, about.

    Laid one by one over what has grown, many would take the square of their number. In halves of the spans each span is
    copied as often as its layer's share of them can be doubled, and a large layer among small ones once or twice.
    """
    if len(sizes) == 1:
        return next(layers)
    # A layer without spans is work too.
    ends = list(accumulate(size + 1 for size in sizes))
    middle = max(1, bisect_right(ends, ends[-1] / 2))
    under = _lay_together(layers, sizes[:middle], combine)
    return lay_over(under, _lay_together(layers, sizes[middle:], combine), combine)


def _union(version: int, exclusions: Iterable[Exclusion]) -> Spans:
    """The excluded addresses of one version."""
    nets = (each.what for each in exclusions if isinstance(each.what, Net))
    return union(version, [Spans(version, ((n.first, n.last, 0) for n in nets if n.version == version))])


def _covers_internet(version: int, layers: Iterable[Spans]) -> bool:
    low, high = INTERNET[version]
    # 127.0.0.0/8 cannot be listed anyway.
    loopback = Spans(version, [(LOOPBACK_FIRST, LOOPBACK_LAST, 0)] if version == 4 else [])
    if loopback.addresses() + sum(layer.addresses() for layer in layers) < high - low + 1:
        return False
    covered = union(version, [loopback, *layers])
    return any(covered[at][1] >= high for at in covered.covering(low))
