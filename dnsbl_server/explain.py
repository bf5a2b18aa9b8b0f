"""Why is an address listed?

Owns how an explanation is put together: what the RIB says (who listed it, where that is written, since when and until
when) beside what a client of the server gets. It makes values, for any interface to show: so it is in none of the
packages. Knows nothing of files or options.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dnslib import DNSQuestion, DNSRecord

from dnsbl_server.answer.respond import respond
from dnsbl_server.answer.snapshot import Snapshot
from dnsbl_server.compiler.rib import Match
from dnsbl_server.dns._protocol import TYPE_A, TYPE_TXT
from dnsbl_server.dns.reversed import query_name
from dnsbl_server.model.entry import Entry, Exclusion
from dnsbl_server.model.subject import Subject
from dnsbl_server.supply.load import CompiledZone
from dnsbl_server.table.table import ZoneTable


@dataclass(frozen=True)
class EntryState:
    """An entry that holds the address, at the time of the explanation."""

    entry: Entry
    is_expired: bool


@dataclass(frozen=True)
class ListExplanation:
    """What a list with entries for the address says of it.

    deciding: the entry by which the list lists it, if it does; exclusion: takes the address out of the list; others:
    the other entries that hold it, the smallest first.
    """

    name: str
    deciding: EntryState | None
    exclusion: Exclusion | None
    others: tuple[EntryState, ...]


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
    """All that bears on an address in one zone. exclusion: takes the address out of the whole zone."""

    zone: str
    address: str
    client: ClientView
    exclusion: Exclusion | None
    lists: tuple[ListExplanation, ...]

    @property
    def is_listed(self) -> bool:
        """Whether the zone lists the address."""
        return bool(self.client.a)

    @property
    def is_test_entry(self) -> bool:
        """Whether it is listed by no list, but as a test entry of the zone (RFC 5782 section 5)."""
        return self.is_listed and not any(each.deciding for each in self.lists)


def explain(zones: Sequence[CompiledZone], subject: Subject, now: float) -> list[ZoneExplanation]:
    """For each zone all that bears on an address at a time, in seconds since 1970."""
    snapshot = Snapshot(ZoneTable(zone.compiled.table) for zone in zones)
    return [_explain_zone(snapshot, zone, subject, now) for zone in zones]


def _explain_zone(snapshot: Snapshot, zone: CompiledZone, subject: Subject, now: float) -> ZoneExplanation:
    name = zone.zone.name
    found = zone.rib.explain(subject, now)
    return ZoneExplanation(
        zone=name,
        address=str(subject),
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
    )


def _state(entry: Entry, now: float) -> EntryState:
    return EntryState(entry, 0 < entry.listing.expires_at <= now)


def _ask(snapshot: Snapshot, query: str, now: float) -> ClientView:
    """Ask as a client does."""
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
