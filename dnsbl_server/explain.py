"""Why is an address, a domain name or an e-mail address listed?

Owns how an explanation is put together: what the RIB says (who listed it, where that is written, since when and until
when) beside what a client of the server gets. It makes values, for any interface to show: so it is in none of the
packages. Knows nothing of files or options.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dnslib import DNSQuestion, DNSRecord

from dnsbl_server.answer.respond import respond
from dnsbl_server.answer.snapshot import Snapshot
from dnsbl_server.compiler.rib import Match
from dnsbl_server.dns._protocol import TYPE_A, TYPE_TXT
from dnsbl_server.dns.name import MAX_DOMAIN
from dnsbl_server.dns.reversed import query_name
from dnsbl_server.model.domain import Domain
from dnsbl_server.model.entry import Entry, Exclusion
from dnsbl_server.model.hashing import MailAddress
from dnsbl_server.model.provenance import UNSAID, Provenance
from dnsbl_server.model.subject import Subject
from dnsbl_server.model.zone import BlockList
from dnsbl_server.supply.load import CompiledZone
from dnsbl_server.table.table import ZoneTable

# What an explanation can be of.
Asked = Subject | MailAddress


@dataclass(frozen=True)
class EntryState:
    """An entry that holds the subject, at the time of the explanation."""

    entry: Entry
    is_expired: bool


@dataclass(frozen=True)
class ListExplanation:
    """What a list with entries for the subject says of it.

    deciding: the entry by which the list lists it, if it does; exclusion: takes the subject out of the list; others:
    the other entries that hold it, the most specific first; provenance: whose data the deciding entry is, or the list.
    """

    name: str
    deciding: EntryState | None
    exclusion: Exclusion | None
    others: tuple[EntryState, ...]
    provenance: Provenance = UNSAID


@dataclass(frozen=True)
class ClientView:
    """What a client of the server asks for and gets.

    query: the name; a, txt: the records of these types; ttl: theirs in seconds, None where there are none.
    """

    query: str
    a: tuple[str, ...]
    txt: tuple[str, ...]
    ttl: int | None


@dataclass(frozen=True)
class ZoneExplanation:
    """All that bears on a subject in one zone.

    asked: what the explanation is of; client: None where nothing can be asked for: no list has hashes of e-mail
    addresses, or a name is too long below that of the zone; exclusion: takes the subject out of the whole zone.
    """

    zone: str
    asked: Asked
    client: ClientView | None
    exclusion: Exclusion | None
    lists: tuple[ListExplanation, ...]

    @property
    def is_listed(self) -> bool:
        """Whether the zone lists it."""
        return self.client is not None and bool(self.client.a)

    @property
    def is_test_entry(self) -> bool:
        """Whether it is listed by no list, but as a test entry of the zone (RFC 5782 section 5)."""
        return self.is_listed and not any(each.deciding for each in self.lists)


def explain(zones: Sequence[CompiledZone], asked: Asked, now: float) -> list[ZoneExplanation]:
    """For each zone all that bears on a subject at a time, in seconds since 1970.

    An e-mail address has an explanation for each kind of hash in a zone.
    """
    snapshot = Snapshot(ZoneTable(zone.compiled.table) for zone in zones)
    return [each for zone in zones for each in _explain_zone(snapshot, zone, asked, now)]


def _explain_zone(snapshot: Snapshot, zone: CompiledZone, asked: Asked, now: float) -> Iterator[ZoneExplanation]:
    if not isinstance(asked, MailAddress):
        yield _explain_subject(snapshot, zone, asked, asked, now)
        return
    hashings = dict.fromkeys(each.hashing for each in zone.zone.lists if each.hashing)
    if not hashings:
        yield ZoneExplanation(zone.zone.name, asked, None, None, ())
    for hashing in hashings:
        yield _explain_subject(snapshot, zone, asked, Domain(hashing.label_of(asked.text)), now)


def _explain_subject(
    snapshot: Snapshot, zone: CompiledZone, asked: Asked, subject: Subject, now: float
) -> ZoneExplanation:
    name = zone.zone.name
    found = zone.rib.explain(subject, now)
    return ZoneExplanation(
        zone=name,
        asked=asked,
        client=_ask(snapshot, query_name(subject, name), now),
        exclusion=found.exclusion,
        lists=tuple(_explain_list(match, found.exclusion is not None, now) for match in found.matches),
    )


def _explain_list(match: Match, is_excluded: bool, now: float) -> ListExplanation:
    deciding = None if is_excluded else match.entry
    return ListExplanation(
        name=match.list.name,
        deciding=_state(deciding, now) if deciding else None,
        exclusion=match.exclusion,
        others=tuple(_state(entry, now) for entry in match.covering if entry is not deciding),
        provenance=_provenance(match.list, deciding),
    )


def _provenance(block_list: BlockList, entry: Entry | None) -> Provenance:
    """Whose data an entry of a list is: what its source does not say, the list does."""
    sources = (file for file in block_list.files if entry and entry.file in file.paths)
    source = next(sources, None)
    return source.provenance.or_else(block_list.provenance) if source else block_list.provenance


def _state(entry: Entry, now: float) -> EntryState:
    return EntryState(entry, 0 < entry.listing.expires_at <= now)


def _ask(snapshot: Snapshot, query: str, now: float) -> ClientView | None:
    """Ask as a client does; None where the name is too long for it."""
    if len(query) > MAX_DOMAIN:
        return None
    answers: dict[int, tuple[str, ...]] = {}
    ttl = None
    for qtype in (TYPE_A, TYPE_TXT):
        packet = DNSRecord(q=DNSQuestion(query, qtype)).pack()
        reply = respond(snapshot, bytes(packet), now, tcp=True).packet
        assert reply is not None
        records = DNSRecord.parse(reply).rr
        answers[qtype] = tuple(
            b"".join(record.rdata.data).decode("ascii") if qtype == TYPE_TXT else str(record.rdata)
            for record in records
        )
        ttl = records[0].ttl if records else ttl
    return ClientView(query, answers[TYPE_A], answers[TYPE_TXT], ttl)
