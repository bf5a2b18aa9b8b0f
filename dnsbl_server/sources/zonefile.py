"""A zone file, and the list files it names, to a `Zone`.

Owns the keys of a zone and the rules between them; `listkeys` has those of a list. Whatever is wrong becomes a problem
at the place of the value, and reading goes on, so that one run shows all of it; a file with any error yields no zone.
Knows no DNS messages and no clock.
"""

from collections.abc import Sequence
from typing import NamedTuple

from dnsbl_server.dns.name import parse_name, parse_zone_name
from dnsbl_server.model.apex import Apex, Soa
from dnsbl_server.model.listing import DEFAULT_TTL
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.model.source import SourceState
from dnsbl_server.model.zone import DEFAULT_NEGATIVE_TTL, BlockList, Zone
from dnsbl_server.sources.document import MAX_SIZE, Node, Scalar, read_document
from dnsbl_server.sources.entrytext import EntryText
from dnsbl_server.sources.fields import Fields
from dnsbl_server.sources.files import Signature, open_regular, read_at_most, reason_of, signature
from dnsbl_server.sources.kept import KeptVersions
from dnsbl_server.sources.listkeys import LIST_KEYS, ListKeysReader
from dnsbl_server.sources.listsource import Progress, Surroundings
from dnsbl_server.sources.values import (
    parse_exchange,
    parse_ipv4,
    parse_ipv6,
    parse_list_name,
    parse_text,
    parse_ttl,
)

_ZONE_KEYS = ("zone", "description", "ttl", "negative_ttl", "ns", "soa", "apex", "lists", *LIST_KEYS)
_SOA_KEYS = ("mname", "rname", "refresh", "retry", "expire")
_APEX_KEYS = ("a", "aaaa", "mx", "txt")


class ZoneFile(NamedTuple):
    """What came of one zone file.

    zone: None where there is too little to make one; failed: whether it has an error and must not be served;
    sources: the zone file and its list files, as they were when they were opened; states: of its list files and feeds.
    """

    path: str
    zone: Zone | None
    failed: bool
    sources: dict[str, Signature]
    states: tuple[SourceState, ...] = ()


def read_zone_file(
    path: str,
    problems: Problems,
    progress: Progress,
    below: Sequence[str] = (),
    kept: KeptVersions | None = None,
    now: float = 0.0,
) -> ZoneFile:
    """Read one zone file, and the list files and feeds that it names.

    below: the directories that list files may be in, none: any; kept: the last good versions of these, None where there
    is no state directory; now: seconds since 1970.
    """
    sources = {path: signature(path)}
    try:
        with open_regular(path) as stream:
            data = read_at_most(stream, MAX_SIZE)
    except OSError as error:
        problems.error(Place(path), "", reason_of(error))
        return ZoneFile(path, None, True, sources)
    if len(data) > MAX_SIZE:
        problems.error(Place(path), "", f"larger than {MAX_SIZE >> 30} GiB; put the entries into list files")
        return ZoneFile(path, None, True, sources)
    found = Problems()
    document = read_document(data, path, found)
    del data
    around = Surroundings(progress, now, below, kept, sources)
    zone = _ZoneReader(path, found, around).zone(document) if document is not None else None
    problems.extend(found)
    problems.extend(around.noted)
    return ZoneFile(path, zone, bool(found.errors), sources, tuple(around.states))


def _identity(text: str) -> str:
    return text


class _ZoneReader(ListKeysReader):
    """Reads the nodes of one zone file."""

    def zone(self, document: Node) -> Zone | None:
        fields = self.fields(document, _ZONE_KEYS, "a zone file")
        if fields is None:
            return None
        if "zone" not in fields:
            self.error(document, "the key zone is missing: the domain name of the zone", "")
        name = self.one(fields, "zone", parse_zone_name, "")
        ttl = self.ttl(fields, "ttl", DEFAULT_TTL)
        negative_ttl = self.ttl(fields, "negative_ttl", DEFAULT_NEGATIVE_TTL)
        ns = self.many(fields, "ns", parse_name)
        for node in self.items(fields, "ns"):
            self._warn_inside(node, name, "name server")
        return Zone(
            name=name,
            place=self.at(fields["zone"][1] if "zone" in fields else document),
            soa=self._soa(fields, name, ns),
            lists=self._lists(fields, name, ttl),
            description=self.one(fields, "description", _identity, ""),
            ttl=ttl,
            negative_ttl=negative_ttl,
            ns=ns,
            apex=self._apex(fields, name),
            exclusions=self.exclusions(fields, EntryText(name)) if "lists" in fields else (),
        )

    def _warn_inside(self, node: Node, zone: str, what: str) -> None:
        if not zone or not isinstance(node, Scalar):
            return
        name = node.text.lower().removesuffix(".").rpartition(" ")[2]
        if name.endswith("." + zone):
            message = f"the {what} has a name below the zone, for which the zone has no address; use one outside of it"
            self.problems.warning(self.at(node), node.text, message)

    def _soa(self, fields: Fields, zone: str, ns: tuple[str, ...]) -> Soa:
        soa = Soa(mname=ns[0] if ns else zone, rname=f"hostmaster.{zone}")
        if "soa" not in fields:
            return soa
        given = self.fields(fields["soa"][1], _SOA_KEYS, "soa")
        if given is None:
            return soa
        return Soa(
            mname=self.one(given, "mname", parse_name, soa.mname),
            rname=self.one(given, "rname", parse_name, soa.rname),
            refresh=self.one(given, "refresh", parse_ttl, soa.refresh),
            retry=self.one(given, "retry", parse_ttl, soa.retry),
            expire=self.one(given, "expire", parse_ttl, soa.expire),
        )

    def _apex(self, fields: Fields, zone: str) -> Apex:
        given = self.fields(fields["apex"][1], _APEX_KEYS, "apex") if "apex" in fields else None
        if given is None:
            return Apex()
        for node in self.items(given, "mx"):
            self._warn_inside(node, zone, "mail server")
        return Apex(
            a=self.many(given, "a", parse_ipv4),
            aaaa=self.many(given, "aaaa", parse_ipv6),
            mx=self.many(given, "mx", parse_exchange),
            txt=self.many(given, "txt", parse_text),
        )

    def _lists(self, fields: Fields, zone: str, ttl: int) -> tuple[BlockList, ...]:
        if "lists" not in fields:
            if "entries" not in fields and "files" not in fields and "zone" in fields:
                self.error(fields["zone"][0], "the zone lists nothing: it needs entries, files or lists", "")
            return (self.block_list(fields, zone, self.at(fields["zone"][1]) if "zone" in fields else None, zone, ttl),)
        for name in LIST_KEYS:
            # What is excepted from the zone is excepted from all of its lists.
            if name in fields and name != "except":
                self.error(fields[name][0], "does not go with lists; move it into one of them")
        lists: list[BlockList] = []
        names: dict[str, Place] = {}
        for node in self.items(fields, "lists"):
            given = self.fields(node, ("name", *LIST_KEYS), "a list")
            if given is None:
                continue
            if "name" not in given:
                self.error(node, "the list has no name", "")
            if "entries" not in given and "files" not in given:
                self.error(node, "the list needs entries or files", "")
            name = self.one(given, "name", parse_list_name, "")
            place = self.at(given["name"][1] if "name" in given else node)
            if name and names.setdefault(name, place) is not place:
                self.problems.error(place, name, f"two lists with one name, first at {names[name]}")
            lists.append(self.block_list(given, name, place, zone, ttl))
        if not lists and not self.problems.errors:
            self.error(fields["lists"][0], "the zone lists nothing: lists is empty")
        return tuple(lists)
