"""The naive oracle of the tests: what a zone says of an address or a name, found by looking at every entry.

Owns Hypothesis strategies for zones in a small world, where nearly everything overlaps, also with list files whose
entries have listings of their own and that exclude. Shares no code with the trees and the tables: of the entries that
hold an address the one with the fewest addresses decides, of those that hold a name the one with the longest name, and
of those that are as specific the first.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from hypothesis import strategies as st

from dnsbl_server.model._names import Names
from dnsbl_server.model._spans import Spans
from dnsbl_server.model.address import Address, Net
from dnsbl_server.model.apex import Soa
from dnsbl_server.model.domain import AT, BELOW, Domain, Domains
from dnsbl_server.model.entry import NAMES, Entry, Exclusion, ListFile
from dnsbl_server.model.listing import Listing, Template
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.model.subject import Subject, Subjects
from dnsbl_server.model.zone import BlockList, Zone
from dnsbl_server.sources.entrytext import EntryText
from dnsbl_server.sources.listfile import FORMATS
from dnsbl_server.sources.listreader import Sink
from tests.annotated import AnnotatedReader, write_line
from tests.conftest import NOW

BITS = {4: 32, 6: 128}
CODES = tuple((127 << 24) | low for low in (2, 3, 4, 10))
TIMES = tuple(int(NOW) + offset for offset in (-86400, -1, 0, 1, 10, 20, 86400))
# Where the entries are: the ends of both address spaces and somewhere between; the length of the shortest prefix.
BASES = {4: (0, 0xC6336400, 0xFFFFFFC0), 6: (0, 0x20010DB8 << 96, (1 << 128) - 64)}
SHORTEST = {4: 3, 6: 16}
TEXT = EntryText("bl.example.org", takes_suffixes=True)
LABELS = ("a", "b", "ab", "0", "_x-", "test", "y" * 63)
SIZE = 64
MAX_LISTED = 238  # characters of a name that fits below `bl.example.org`


class Said(NamedTuple):
    """What the oracle says of an address at a time."""

    codes: tuple[int, ...]
    texts: tuple[tuple[int, str], ...]
    ttl: int


def size(what: Subjects) -> tuple[int, int]:
    """How much an entry means: the less, the more specific it is."""
    if isinstance(what, Net):
        return what.last - what.first + 1, 0
    return -len(what.name.split(".")), 1 if str(what).startswith(".") else 0


def is_current(entry: Entry, now: float) -> bool:
    return entry.listing.expires is None or entry.listing.expires.timestamp() > now


def is_excluded(exclusions: tuple[Exclusion, ...], subject: Subject) -> bool:
    return any(holds(each.what, subject) for each in exclusions)


def holds(what: Subjects, subject: Subject) -> bool:
    """Whether a net has an address; or whether a name is that of an entry, or below it, whichever the entry means."""
    if isinstance(what, Net):
        return (
            isinstance(subject, Address)
            and what.version == subject.version
            and what.first <= subject.number <= what.last
        )
    if not isinstance(subject, Domain):
        return False
    written = str(what)
    if written.startswith("*."):
        return subject.name.endswith(written[1:])
    if written.startswith("."):
        return f".{subject.name}".endswith(written)
    return subject.name == written


def covering(block_list: BlockList, subject: Subject) -> list[Entry]:
    """The entries that hold a subject, the most specific first."""
    held = [entry for entry in block_list.all_entries() if holds(entry.what, subject)]
    return sorted(held, key=lambda entry: size(entry.what))


def exclusions_of(file: ListFile) -> list[Exclusion]:
    """What a list file excludes."""
    families: dict[int, Spans | Names] = {**file.excluded, NAMES: file.excluded_names}
    return [file.exclusion(family, row) for family, rows in families.items() for row in range(len(rows))]


def is_excluded_by_its_file(block_list: BlockList, entry: Entry, subject: Subject) -> bool:
    """Whether the file that an entry comes from excludes a subject by what is no less specific than the entry."""
    found = [each.what for file in block_list.files if file.path == entry.file for each in exclusions_of(file)]
    return any(holds(what, subject) and size(what) <= size(entry.what) for what in found)


def deciding(zone: Zone, subject: Subject, now: float) -> list[tuple[int, Entry]]:
    """The entry that decides in each list, with the number of the list; none where the subject is not listed."""
    if is_excluded(zone.exclusions, subject) or subject in (Domain("test"), Domain("invalid")):
        return []
    found = []
    for number, block_list in enumerate(zone.lists):
        counting = [
            entry
            for entry in covering(block_list, subject)
            if is_current(entry, now) and not is_excluded_by_its_file(block_list, entry, subject)
        ]
        if counting and not is_excluded(block_list.exclusions, subject):
            found.append((number, counting[0]))
    return found


def say(zone: Zone, subject: Subject, now: float) -> Said | None:
    """What a client is answered, with texts that are the reasons; None where the subject is not listed."""
    found = deciding(zone, subject, now)
    if not found:
        return None
    codes: list[int] = []
    for _, entry in found:
        codes += [code for code in entry.listing.codes if code not in codes]
    return Said(
        tuple(codes),
        tuple((number, entry.listing.reason) for number, entry in found),
        min(entry.listing.ttl for _, entry in found),
    )


def meant(zone: Zone) -> list[Subjects]:
    """What the entries and exclusions of a zone mean."""
    found = [entry.what for block_list in zone.lists for entry in block_list.all_entries()]
    found += [each.what for block_list in zone.lists for each in block_list.exclusions]
    found += [each.what for block_list in zone.lists for file in block_list.files for each in exclusions_of(file)]
    return [*found, *(each.what for each in zone.exclusions)]


def edges(zone: Zone) -> list[Subject]:
    """Every address at and next to the edge of an entry or an exclusion, and names at, above, below and beside them."""
    nets = [what for what in meant(zone) if isinstance(what, Net)]
    found = {Address(net.version, edge + step) for net in nets for edge in (net.first, net.last) for step in (-1, 0, 1)}
    names = {what.name for what in meant(zone) if isinstance(what, Domains)}
    names |= {name.split(".", at)[-1] for name in names for at in range(name.count(".") + 1)}
    names |= {f"{label}.{name}" for name in names for label in ("a", "ab", "zz.a", "q9")} | {"zz"}
    names -= {"test", "invalid"}  # which come from code
    return [*sorted(each for each in found if 0 <= each.number < 1 << BITS[each.version]), *map(Domain, sorted(names))]


def exists(zone: Zone, name: str) -> bool:
    """Whether a name exists in a zone of names that was loaded now: whether it or one below it is listed."""
    below = [each for each in edges(zone) if isinstance(each, Domain) and f".{each.name}".endswith(f".{name}")]
    return name == "test" or any(say(zone, each, NOW) for each in below)


def moments(zone: Zone) -> list[float]:
    """The time of the load and the times around each later expiry."""
    ends = {entry.listing.expires_at for block_list in zone.lists for entry in block_list.all_entries()} - {0}
    found = {NOW, NOW + 1e9} | {end + step for end in ends for step in (-0.5, 0, 0.5)}
    return sorted(moment for moment in found if moment >= NOW)


def make_net(version: int, text: tuple[int, int, int, int], is_prefix: bool) -> Net:
    """A net from raw numbers: base, two offsets and a prefix length."""
    base, start, end, length = text
    number = BASES[version][base] + start
    if not is_prefix:
        first, last = sorted((number, BASES[version][base] + end))
        return Net(version, first, last)
    host = (1 << (BITS[version] - length)) - 1
    return Net(version, number & ~host, number | host)


@st.composite
def nets(draw: st.DrawFn) -> Net:
    """Ranges and prefixes around the bases: half of the prefixes small, the others up to the largest."""
    version = draw(st.sampled_from((4, 4, 6)))
    offset = st.integers(0, SIZE - 1)
    bits = BITS[version]
    length = draw(st.integers(bits - 6, bits) | st.integers(SHORTEST[version], bits))
    raw = (draw(st.integers(0, 2)), draw(offset), draw(offset), length)
    return make_net(version, raw, draw(st.booleans()))


@st.composite
def listings(draw: st.DrawFn) -> Listing:
    expires = draw(st.none() | st.sampled_from(TIMES))
    return Listing(
        codes=tuple(draw(st.lists(st.sampled_from(CODES), min_size=1, max_size=3, unique=True))),
        reason=draw(st.sampled_from(("spam", "scan", "dynamic"))),
        ttl=draw(st.sampled_from((30, 300, 3600))),
        expires=None if expires is None else datetime.fromtimestamp(expires, UTC),
    )


@st.composite
def names(draw: st.DrawFn) -> Domains:
    """Names of a few labels, in every scope."""
    labels = draw(st.lists(st.sampled_from(LABELS), max_size=4))
    name = ".".join([*labels, draw(st.sampled_from(("com", "a", "test", "invalid", "x" * 63)))])
    while len(name) > MAX_LISTED:
        name = name.partition(".")[2]
    return Domains(name, draw(st.sampled_from((AT, BELOW, AT | BELOW))))


@st.composite
def exclusions(draw: st.DrawFn, subjects: st.SearchStrategy[Subjects]) -> tuple[Exclusion, ...]:
    return tuple(
        Exclusion(what, str(what), Place("x.yaml", 900 + line))
        for line, what in enumerate(draw(st.lists(subjects, max_size=2)))
    )


@st.composite
def block_lists(draw: st.DrawFn, number: int, subjects: st.SearchStrategy[Subjects]) -> BlockList:
    shared = draw(listings())
    own: list[Listing] = draw(st.lists(listings(), max_size=3))
    entries: list[Entry] = []
    taken: set[Subjects] = set()
    for line, what in enumerate(draw(st.lists(subjects, max_size=10)), 1):
        listing = draw(st.sampled_from([shared, *own]))
        # The same twice in a list is refused before anything is compiled.
        if what not in taken:
            taken.add(what)
            entries.append(Entry(what, str(what), "x.yaml", 100 * number + line, 5, listing))
    name = f"list{number}"
    made = BlockList(name, Place("x.yaml", 1), shared, REASON, tuple(entries), draw(exclusions(subjects)))
    return split(made, draw, subjects)


def split(block_list: BlockList, draw: st.DrawFn, subjects: st.SearchStrategy[Subjects]) -> BlockList:
    """A list with some of its entries moved into list files, of which there are none, one or two."""
    kinds = draw(st.lists(st.sampled_from(("plain", "annotated")), max_size=2))
    lines: list[list[str]] = [[] for _ in kinds]
    kept = []
    for entry in block_list.entries:
        own = None if entry.listing == block_list.listing else entry.listing
        target = draw(st.integers(-1, len(kinds) - 1))
        if target < 0 or (kinds[target] == "plain" and (own or not is_plain(entry.what))):
            kept.append(entry)
        else:
            lines[target].append(write_line(entry.what, own))
    for number, kind in enumerate(kinds):
        if kind == "annotated":
            for what in draw(st.lists(subjects, max_size=3)):
                lines[number].insert(draw(st.integers(0, len(lines[number]))), f"!{what}")
    files = tuple(
        make_file(f"{block_list.name}.{number}", kind, lines[number], block_list.listing)
        for number, kind in enumerate(kinds)
    )
    return replace(block_list, entries=tuple(kept), files=files)


def is_plain(what: Subjects) -> bool:
    """Whether a line of the plain format can have an entry: single words are no names there."""
    try:
        return TEXT.parse(str(what)) == what
    except ValueError:
        return False


def make_file(path: str, kind: str, lines: list[str], listing: Listing) -> ListFile:
    """A list file of these lines, read by the reader of its format."""
    problems = Problems()
    sink = Sink([path], listing, problems, lambda what, text, place: True, TEXT)
    reader = AnnotatedReader(sink) if kind == "annotated" else FORMATS[kind].make(sink, {})
    if kind == "annotated":
        lines = [*lines, f"end {len(lines)}"]
    assert reader.read("".join(f"{line}\n" for line in lines).encode(), 1) == len(lines)
    reader.finish()
    assert not list(problems)
    return sink.reading().file


@st.composite
def zones(draw: st.DrawFn) -> Zone:
    """A zone of one to three lists without duplicates, of addresses, names or both, its texts the bare reasons."""
    count = draw(st.integers(1, 3))
    kinds: list[st.SearchStrategy[Subjects]] = [nets(), names(), nets() | names()]
    subjects = draw(st.sampled_from(kinds))
    lists = tuple(draw(block_lists(number, subjects)) for number in range(count))
    return make_zone(lists, draw(exclusions(subjects)))


REASON = Template(("", "reason", ""))


def make_zone(lists: tuple[BlockList, ...], excluded: tuple[Exclusion, ...] = ()) -> Zone:
    soa = Soa("ns.example.org", "hostmaster.example.org")
    return Zone("bl.example.org", Place("x.yaml", 1, 7), soa, lists, exclusions=excluded)


def for_all(zone: Zone, check: Callable[[Subject, float], None]) -> None:
    """Call `check(subject, time)` at every edge and every moment of a zone."""
    for subject in edges(zone):
        for moment in moments(zone):
            check(subject, moment)
