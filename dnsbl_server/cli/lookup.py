"""Why is this address listed? The answer for a person, and for a program.

Owns how an explanation is put together: what the RIB says (who listed it, where it is written, since when and until
when) beside what a client of the server gets. Knows nothing of files or options.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from dnslib import QTYPE, DNSQuestion, DNSRecord

from dnsbl_server.answer.respond import respond
from dnsbl_server.answer.snapshot import Snapshot
from dnsbl_server.compiler.rib import Match
from dnsbl_server.dns.reversed import query_name
from dnsbl_server.model.address import Address
from dnsbl_server.model.entry import Entry, Exclusion
from dnsbl_server.model.listing import format_time
from dnsbl_server.model.subject import Subject
from dnsbl_server.supply.load import LoadedZone
from dnsbl_server.table.table import ZoneTable


def explain(zones: Sequence[LoadedZone], subject: Subject, now: float) -> list[dict[str, Any]]:
    """For each zone all that bears on a subject at a time, as JSON can hold it."""
    snapshot = Snapshot(ZoneTable(loaded.compiled.table) for loaded in zones)
    return [_explain_zone(snapshot, loaded, subject, now) for loaded in zones]


def _explain_zone(snapshot: Snapshot, loaded: LoadedZone, subject: Subject, now: float) -> dict[str, Any]:
    name = loaded.zone.name
    explanation = loaded.rib.explain(subject, now)
    question = query_name(subject, name)
    a, txt, ttl = _ask(snapshot, question, now)
    is_test = bool(a) and not explanation.deciding
    return {
        "zone": name,
        "address": str(subject),
        "listed": bool(a),
        "test_entry": is_test,
        "query": question,
        "a": a,
        "txt": txt,
        "ttl": ttl,
        "excluded_by": _exclusion(explanation.exclusion),
        "lists": [_match(match, bool(explanation.exclusion), now) for match in explanation.matches],
    }


def _ask(snapshot: Snapshot, question: str, now: float) -> tuple[list[str], list[str], int | None]:
    """What a client gets: the A records, the TXT records and their TTL."""
    answers: dict[str, list[str]] = {}
    ttl = None
    for qtype in ("A", "TXT"):
        query = DNSRecord(q=DNSQuestion(question, getattr(QTYPE, qtype))).pack()
        reply = respond(snapshot, bytes(query), now, tcp=True).packet
        assert reply is not None
        records = DNSRecord.parse(reply).rr
        answers[qtype] = [
            b"".join(record.rdata.data).decode("ascii") if qtype == "TXT" else str(record.rdata) for record in records
        ]
        ttl = records[0].ttl if records else ttl
    return answers["A"], answers["TXT"], ttl


def _match(match: Match, excluded: bool, now: float) -> dict[str, Any]:
    deciding = None if excluded else match.entry
    return {
        "list": match.list.name,
        "listed": deciding is not None,
        "entry": _entry(deciding, now) if deciding else None,
        "excluded_by": _exclusion(match.exclusion),
        "others": [_entry(entry, now) for entry in match.covering if entry is not deciding],
    }


def _entry(entry: Entry, now: float) -> dict[str, Any]:
    listing = entry.listing
    return {
        "net": entry.text,
        "place": str(entry.place),
        "file": entry.file,
        "line": entry.line,
        "reason": listing.reason,
        "codes": [str(Address(4, code)) for code in listing.codes],
        "listed": listing.listed.isoformat() if listing.listed else None,
        "expires": listing.expires.isoformat() if listing.expires else None,
        "expired": 0 < listing.expires_at <= now,
    }


def _exclusion(exclusion: Exclusion | None) -> dict[str, Any] | None:
    if exclusion is None:
        return None
    place = exclusion.place
    return {"net": exclusion.text, "place": str(place), "file": place.file, "line": place.line}


def describe(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The explanation of one zone as lines for a person: a style (`good`, `bad`, `dim` or ``) and the text."""
    address, zone = found["address"], found["zone"]
    if found["test_entry"]:
        yield "bad", f"{address} is listed in {zone}, as a test entry (RFC 5782): it comes with the codes of the zone"
    elif found["listed"]:
        yield "bad", f"{address} is listed in {zone}"
    else:
        yield "good", f"{address} is not listed in {zone}"
    if found["excluded_by"]:
        yield "", f"  excluded from the whole zone by {found['excluded_by']['net']}, {found['excluded_by']['place']}"
    for match in found["lists"]:
        yield from _describe_match(match)
    if found["listed"]:
        yield "dim", f"  a client asks   {found['query']}"
        yield "dim", f"  and gets A      {', '.join(found['a'])}  (for {found['ttl']} s)"
        for text in found["txt"]:
            yield "dim", f"           TXT    {text}"


def _describe_match(match: dict[str, Any]) -> Iterator[tuple[str, str]]:
    entry = match["entry"]
    if entry:
        yield "", f"  list {match['list']}"
        yield "", f"    by entry   {entry['net']}"
        yield "", f"    written at {entry['place']}"
        yield "", f"    reason     {entry['reason'] or 'none given'}"
        yield "", f"    since      {_when(entry['listed'], 'not said')}"
        yield "", f"    until      {_when(entry['expires'], 'further notice')}"
    else:
        yield "", f"  list {match['list']} does not list it"
    if match["excluded_by"]:
        yield "", f"    excluded by {match['excluded_by']['net']}, {match['excluded_by']['place']}"
    for other in match["others"]:
        what = "expired" if other["expired"] else "less specific" if entry else "would list it"
        until = f", until {_when(other['expires'], '')}" if other["expires"] else ""
        yield "dim", f"    {what}: {other['net']}, {other['place']}{until}"


def _when(moment: str | None, otherwise: str) -> str:
    return format_time(datetime.fromisoformat(moment).astimezone(UTC)) if moment else otherwise
