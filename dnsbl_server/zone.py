"""What a zone is: the typed values that a zone file says, with nothing left to check.

Owns `Zone`, `BlockList`, `Entry`, `ListFile` and what they are made of. Nothing of it changes once it is made. Knows
neither YAML nor DNS messages.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from heapq import merge
from itertools import starmap
from typing import NamedTuple

from dnsbl_server._spans import Spans
from dnsbl_server.address import Net, format_address
from dnsbl_server.problem import Place

DEFAULT_TTL = 300
DEFAULT_NEGATIVE_TTL = 60
DEFAULT_CODE = (127 << 24) | 2
DEFAULT_TEXT = "{ip} is listed in {zone}: {reason}; until {expires}"
DEFAULT_TEXT_OF_LIST = "{ip} is listed in {zone} ({list}): {reason}; until {expires}"
TEST_REASON = "test entry (RFC 5782)"

# Stands for the client's address in a text that is otherwise finished.
ADDRESS_MARK = "\0"


@dataclass(frozen=True, slots=True)
class Text:
    """The template of a TXT answer: literal strings and the names of placeholders, in turn, a literal first."""

    parts: tuple[str, ...]

    def fill(self, values: dict[str, str]) -> str:
        parts = list(self.parts)
        parts[1::2] = [values[name] for name in parts[1::2]]
        return "".join(parts)

    @property
    def placeholders(self) -> frozenset[str]:
        return frozenset(self.parts[1::2])


@dataclass(frozen=True, slots=True)
class Listing:
    """What being listed means: shared by all entries of a list that say nothing of their own.

    codes: A records, as numbers inside 127.0.0.0/8; ttl: seconds; listed, expires: None where not said.
    """

    codes: tuple[int, ...]
    reason: str
    ttl: int
    listed: datetime | None = None
    expires: datetime | None = None

    @property
    def expires_at(self) -> int:
        """When the listing ends, in seconds since 1970; 0 is never."""
        return max(1, int(self.expires.timestamp())) if self.expires else 0


class Entry(NamedTuple):
    """One listed net, as written at one place."""

    version: int
    first: int
    last: int
    text: str
    file: str
    line: int
    column: int
    listing: Listing

    @property
    def net(self) -> Net:
        return Net(self.version, self.first, self.last)

    @property
    def place(self) -> Place:
        return Place(self.file, self.line, self.column)


class Exclusion(NamedTuple):
    """One net that is never listed, as written at one place."""

    net: Net
    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class ListFile:
    """What a list file lists. It can be millions of nets, so they are columns; an `Entry` is made when one is wanted.

    nets: the nets of each version in the order of the file, each with the number of its line.
    """

    path: str
    nets: Mapping[int, Spans]

    def __len__(self) -> int:
        return sum(len(spans) for spans in self.nets.values())

    def entry(self, version: int, row: int, listing: Listing) -> Entry:
        """One of the nets; its text is how we write it, and the place has no column."""
        first, last, line = self.nets[version][row]
        return Entry(version, first, last, str(Net(version, first, last)), self.path, line, 0, listing)

    def entries(self, listing: Listing) -> Iterator[Entry]:
        """All of them in the order of the file."""

        def of(version: int, spans: Spans) -> Iterator[Entry]:
            return (self.entry(version, row, listing) for row in range(len(spans)))

        return merge(*starmap(of, self.nets.items()), key=lambda entry: entry.line)


@dataclass(frozen=True, slots=True)
class BlockList:
    """A list of a zone, and what is never listed by it.

    entries: those that stand in the zone file, in order; files: the others, which all have the list's own listing.
    """

    name: str
    place: Place
    listing: Listing
    text: Text
    entries: tuple[Entry, ...]
    exclusions: tuple[Exclusion, ...] = ()
    files: tuple[ListFile, ...] = ()

    @property
    def size(self) -> int:
        """How many entries there are, those of the files too."""
        return len(self.entries) + sum(len(file) for file in self.files)

    def all_entries(self) -> Iterator[Entry]:
        """The entries, those of the files too: slow where there are many."""
        yield from self.entries
        for file in self.files:
            yield from file.entries(self.listing)


@dataclass(frozen=True, slots=True)
class Soa:
    """The SOA record without its serial (RFC 1035 section 3.3.13); times in seconds."""

    mname: str
    rname: str
    refresh: int = 3600
    retry: int = 600
    expire: int = 604800


@dataclass(frozen=True, slots=True)
class Apex:
    """What the zone's own name answers besides SOA and NS; mx: (preference, exchange)."""

    a: tuple[str, ...] = ()
    aaaa: tuple[str, ...] = ()
    mx: tuple[tuple[int, str], ...] = ()
    txt: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Zone:
    """One zone. name: lower case, without the final dot; ttl, negative_ttl: seconds."""

    name: str
    place: Place
    soa: Soa
    lists: tuple[BlockList, ...]
    description: str = ""
    ttl: int = DEFAULT_TTL
    negative_ttl: int = DEFAULT_NEGATIVE_TTL
    ns: tuple[str, ...] = ()
    apex: Apex = field(default_factory=Apex)
    exclusions: tuple[Exclusion, ...] = ()


@lru_cache(10000)
def format_time(moment: datetime) -> str:
    """A date where it is midnight UTC, else the time to the second."""
    moment = moment.astimezone(UTC)
    if moment.hour == moment.minute == moment.second == 0:
        return f"{moment:%Y-%m-%d}"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def describe_listing(zone: str, name: str, text: Text, listing: Listing) -> str:
    """The TXT answer of a listing, finished but for the client's address (ADDRESS_MARK)."""
    return text.fill(
        {
            "ip": ADDRESS_MARK,
            "reason": listing.reason or "no reason given",
            "zone": zone,
            "list": name,
            "code": _format_codes(listing.codes),
            "listed": format_time(listing.listed) if listing.listed else "an unknown date",
            "expires": format_time(listing.expires) if listing.expires else "further notice",
        }
    )


@lru_cache(10000)
def _format_codes(codes: tuple[int, ...]) -> str:
    return ", ".join(format_address(4, code) for code in codes)
