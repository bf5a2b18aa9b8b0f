"""What a zone is: the typed values that a zone file says, with nothing left to check.

Owns `Zone` and `BlockList`. Nothing of them changes once they are made. Knows neither YAML nor DNS messages.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from dnsbl_server.model.address import Net
from dnsbl_server.model.apex import Apex, Soa
from dnsbl_server.model.domain import Domains
from dnsbl_server.model.entry import Entry, Exclusion, ListFile
from dnsbl_server.model.hashing import Hashing
from dnsbl_server.model.listing import DEFAULT_TTL, Listing, Template
from dnsbl_server.model.problem import Place
from dnsbl_server.model.provenance import UNSAID, Provenance

DEFAULT_NEGATIVE_TTL = 60


@dataclass(frozen=True, slots=True)
class BlockList:
    """A list of a zone, and what is never listed by it.

    listing: that of all entries that say nothing of their own; template: that of its TXT answers; entries: those
    that stand in the zone file, in order; files: the others; hashing: how its e-mail addresses are hashed, None where
    it has none; is_for_names: whether it is said to be of domain names, however many it has;
    provenance: whose data it is.
    """

    name: str
    place: Place
    listing: Listing
    template: Template
    entries: tuple[Entry, ...]
    exclusions: tuple[Exclusion, ...] = ()
    files: tuple[ListFile, ...] = ()
    hashing: Hashing | None = None
    is_for_names: bool = False
    provenance: Provenance = UNSAID

    @property
    def has_names(self) -> bool:
        """Whether it is a list of domain names; it can be one of addresses as well."""
        return (
            self.is_for_names
            or any(len(file.names) for file in self.files)
            or any(isinstance(entry.what, Domains) for entry in self.entries)
        )

    @property
    def has_addresses(self) -> bool:
        """Whether it is a list of addresses, as it is where it has nothing."""
        return (
            any(len(nets) for file in self.files for nets in file.nets.values())
            or any(isinstance(entry.what, Net) for entry in self.entries)
            or not self.has_names
        )

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
