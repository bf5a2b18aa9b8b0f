"""An explanation as `lookup` shows it: as lines for a person, and as JSON for a program.

Owns the words and the keys. `dnsbl_server.explain` makes the explanation.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from dnsbl_server.dns.name import display_name
from dnsbl_server.explain import Asked, ClientView, EntryState, ListExplanation, ZoneExplanation
from dnsbl_server.model.address import Address, Net
from dnsbl_server.model.domain import Domain
from dnsbl_server.model.entry import Exclusion
from dnsbl_server.model.hashing import MailAddress
from dnsbl_server.model.listing import format_time
from dnsbl_server.model.problem import printable
from dnsbl_server.model.subject import Subjects

# The key of what was asked for.
_KINDS = {Address: "address", Domain: "domain", MailAddress: "mail_address"}

_PROVENANCE = {"publisher": "published by", "policy": "by rules", "contact": "ask", "removal_url": "removal at"}


def as_json(found: ZoneExplanation) -> dict[str, Any]:
    """The explanation of one zone as JSON can hold it."""
    client = found.client or ClientView("", (), (), None)
    return {
        "zone": found.zone,
        _KINDS[type(found.asked)]: str(found.asked),
        "listed": found.is_listed,
        "test_entry": found.is_test_entry,
        "query": client.query or None,
        "a": list(client.a),
        "txt": list(client.txt),
        "ttl": client.ttl,
        "excluded_by": _exclusion_as_json(found.exclusion),
        "lists": [_list_as_json(each) for each in found.lists],
    }


def _list_as_json(found: ListExplanation) -> dict[str, Any]:
    return {
        "list": found.name,
        "listed": found.deciding is not None,
        "entry": _entry_as_json(found.deciding) if found.deciding else None,
        "excluded_by": _exclusion_as_json(found.exclusion),
        "others": [_entry_as_json(other) for other in found.others],
        "provenance": dict(found.provenance.said()),
    }


def _entry_as_json(state: EntryState) -> dict[str, Any]:
    entry = state.entry
    listing = entry.listing
    return {
        _key_of(entry.what): entry.text,
        "place": str(entry.place),
        "file": printable(entry.file),
        "line": entry.line,
        "reason": listing.reason,
        "codes": [str(Address(4, code)) for code in listing.codes],
        "listed": listing.listed.isoformat() if listing.listed else None,
        "expires": listing.expires.isoformat() if listing.expires else None,
        "expired": state.is_expired,
    }


def _exclusion_as_json(exclusion: Exclusion | None) -> dict[str, Any] | None:
    if exclusion is None:
        return None
    place = exclusion.place
    written = {_key_of(exclusion.what): exclusion.text}
    return {**written, "place": str(place), "file": printable(place.file), "line": place.line}


def _key_of(what: Subjects) -> str:
    """What a zone file calls an entry of this kind."""
    return "net" if isinstance(what, Net) else "domain"


def as_lines(found: ZoneExplanation) -> Iterator[tuple[str, str]]:
    """The explanation of one zone as lines for a person: a style (`good`, `bad`, `dim` or ``) and the text."""
    asked, zone = _show(found.asked), found.zone
    if found.is_test_entry:
        yield "bad", f"{asked} is listed in {zone}, as a test entry (RFC 5782): it comes with the codes of the zone"
    elif found.is_listed:
        yield "bad", f"{asked} is listed in {zone}"
    elif found.client is None:
        why = "it would be too long to be asked for"
        if isinstance(found.asked, MailAddress):
            why = "no list of the zone has hashes of e-mail addresses"
        yield "good", f"{asked} is not listed in {zone}: {why}"
    else:
        yield "good", f"{asked} is not listed in {zone}"
    if found.exclusion:
        yield "", f"  excluded from the whole zone by {printable(found.exclusion.text)}, {found.exclusion.place}"
    for each in found.lists:
        yield from _list_as_lines(each)
    if found.client and found.is_listed:
        client = found.client
        yield "dim", f"  a client asks   {client.query}"
        yield "dim", f"  and gets A      {', '.join(client.a)}  (for {client.ttl} s)"
        for text in client.txt:
            yield "dim", f"           TXT    {text}"


def _show(asked: Asked) -> str:
    """What was asked for; of a name both forms, where it has two."""
    if not isinstance(asked, Domain):
        return str(asked)
    shown = display_name(asked)
    return asked.name if shown == asked.name else f"{asked.name} ({shown})"


def _list_as_lines(found: ListExplanation) -> Iterator[tuple[str, str]]:
    if found.deciding:
        entry = found.deciding.entry
        yield "", f"  list {found.name}"
        yield "", f"    by entry   {printable(entry.text)}"
        yield "", f"    written at {entry.place}"
        yield "", f"    reason     {entry.listing.reason or 'none given'}"
        yield "", f"    since      {_when(entry.listing.listed, 'not said')}"
        yield "", f"    until      {_when(entry.listing.expires, 'further notice')}"
        for key, text in found.provenance.said():
            yield "", f"    {_PROVENANCE[key]} {text}"
    else:
        yield "", f"  list {found.name} does not list it"
    if found.exclusion:
        yield "", f"    excluded by {printable(found.exclusion.text)}, {found.exclusion.place}"
    for other in found.others:
        entry = other.entry
        what = "expired" if other.is_expired else "less specific" if found.deciding else "would list it"
        until = f", until {_when(entry.listing.expires, '')}" if entry.listing.expires else ""
        yield "dim", f"    {what}: {printable(entry.text)}, {entry.place}{until}"


def _when(moment: datetime | None, otherwise: str) -> str:
    return format_time(moment.astimezone(UTC)) if moment else otherwise
