"""A zone file, and the list files it names, to a `Zone`.

Owns the keys of a zone file and the rules between them. Whatever is wrong becomes a problem at the place of the value,
and reading goes on, so that one run shows all of it; a file with any error yields no zone. Knows no DNS messages and
no clock.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from dnsbl_server.dns.name import parse_name, parse_zone_name
from dnsbl_server.model.address import (
    BITS,
    LOOPBACK_FIRST,
    LOOPBACK_LAST,
    MAPPED_FIRST,
    MAPPED_LAST,
    Net,
    parse_net,
    without_loopback,
)
from dnsbl_server.model.listing import (
    ADDRESS_MARK,
    DEFAULT_CODE,
    DEFAULT_TEXT,
    DEFAULT_TEXT_OF_LIST,
    DEFAULT_TTL,
    TEST_REASON,
    Listing,
    Text,
    describe_listing,
)
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.model.zone import DEFAULT_NEGATIVE_TTL, Apex, BlockList, Entry, Exclusion, ListFile, Soa, Zone
from dnsbl_server.sources.document import MAX_SIZE, Mapping, Node, Scalar, read_document
from dnsbl_server.sources.fields import Fields, NodeReader
from dnsbl_server.sources.files import Signature, describe, open_regular, signature
from dnsbl_server.sources.listfile import read_list_file
from dnsbl_server.sources.values import (
    MAX_TEXT,
    parse_code,
    parse_exchange,
    parse_expiry,
    parse_ipv4,
    parse_ipv6,
    parse_list_name,
    parse_printable,
    parse_template,
    parse_text,
    parse_time,
    parse_ttl,
)

SHORT_TEXT = 255  # bytes of its first string: what Exim and Postfix show
LONG_TTL = 604800
# What is larger than this may well be a slip: an IPv4 /8, an IPv6 /16.
LARGE_NET = {4: 1 << 24, 6: 1 << 112}
MAX_CODES = 32  # of one listing; more make answers that no client expects

_LIST_KEYS = ("entries", "files", "code", "txt", "reason", "except")
_ZONE_KEYS = ("zone", "description", "ttl", "negative_ttl", "ns", "soa", "apex", "lists", *_LIST_KEYS)
_ENTRY_KEYS = ("net", "reason", "code", "ttl", "listed", "expires")
_SOA_KEYS = ("mname", "rname", "refresh", "retry", "expire")
_PROGRESS_EVERY = 20000

Progress = Callable[[str, int], None]


class ZoneFile(NamedTuple):
    """What came of one zone file.

    zone: None where there is too little to make one; failed: whether it has an error and must not be served;
    sources: the zone file and its list files, as they were when they were opened.
    """

    path: str
    zone: Zone | None
    failed: bool
    sources: dict[str, Signature]


def read_zone_file(path: str, problems: Problems, progress: Progress) -> ZoneFile:
    """Read one zone file. `progress` is told a path and how many of its entries were read, now and then."""
    sources = {path: signature(path)}
    try:
        with open_regular(path) as stream:
            data = stream.read(MAX_SIZE + 1)
    except OSError as error:
        problems.error(Place(path), "", describe(error))
        return ZoneFile(path, None, True, sources)
    if len(data) > MAX_SIZE:
        problems.error(Place(path), "", f"larger than {MAX_SIZE >> 30} GiB; put the entries into list files")
        return ZoneFile(path, None, True, sources)
    found = Problems()
    document = read_document(data, path, found)
    del data
    reader = _Reader(path, found, progress, sources)
    zone = reader.zone(document) if document is not None else None
    problems.extend(found)
    return ZoneFile(path, zone, bool(found.errors), sources)


def _identity(text: str) -> str:
    return text


class _Reader(NodeReader):
    """Reads the nodes of one zone file."""

    def __init__(self, file: str, problems: Problems, progress: Progress, sources: dict[str, Signature]) -> None:
        super().__init__(file, problems)
        self._sources = sources
        self._progress = progress
        self._listings: dict[Listing, Listing] = {}
        self._checked_texts: set[tuple[str, Listing, int]] = set()

    # The zone

    def zone(self, document: Node) -> Zone | None:
        fields = self.fields(document, _ZONE_KEYS, "a zone file")
        if fields is None:
            return None
        if "zone" not in fields:
            self.error(document, "the key zone is missing: the domain name of the zone", "")
        name = self.one(fields, "zone", parse_zone_name, "")
        ttl = self._ttl(fields, "ttl", DEFAULT_TTL)
        negative_ttl = self._ttl(fields, "negative_ttl", DEFAULT_NEGATIVE_TTL)
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
            exclusions=self._exclusions(fields) if "lists" in fields else (),
        )

    def _ttl(self, fields: Fields, name: str, default: int) -> int:
        if name not in fields:
            return default
        ttl = self.one(fields, name, parse_ttl, default)
        node = fields[name][1]
        if ttl > LONG_TTL and isinstance(node, Scalar):
            message = "more than a week: this long clients keep what is taken off"
            self.problems.warning(self.at(node), node.text, message)
        return ttl

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
        given = self.fields(fields["apex"][1], ("a", "aaaa", "mx", "txt"), "apex") if "apex" in fields else None
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

    # Lists

    def _lists(self, fields: Fields, zone: str, ttl: int) -> tuple[BlockList, ...]:
        if "lists" not in fields:
            if "entries" not in fields and "files" not in fields and "zone" in fields:
                self.error(fields["zone"][0], "the zone lists nothing: it needs entries, files or lists", "")
            return (self._list(fields, zone, self.at(fields["zone"][1]) if "zone" in fields else None, zone, ttl),)
        for name in ("entries", "files", "code", "txt", "reason"):
            if name in fields:
                self.error(fields[name][0], "does not go with lists; move it into one of them")
        lists: list[BlockList] = []
        names: dict[str, Place] = {}
        for node in self.items(fields, "lists"):
            given = self.fields(node, ("name", *_LIST_KEYS), "a list")
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
            lists.append(self._list(given, name, place, zone, ttl))
        if not lists and not self.problems.errors:
            self.error(fields["lists"][0], "the zone lists nothing: lists is empty")
        return tuple(lists)

    def _list(self, fields: Fields, name: str, place: Place | None, zone: str, ttl: int) -> BlockList:
        default_text = DEFAULT_TEXT if name == zone else DEFAULT_TEXT_OF_LIST
        text = self.one(fields, "txt", parse_template, default_text)
        described = _Described(zone, name, text, sum(map(len, text.parts[::2])))
        listing = Listing(
            codes=self._codes(fields, (DEFAULT_CODE,)),
            reason=self.one(fields, "reason", parse_printable, ""),
            ttl=ttl,
        )
        entries: list[Entry] = []
        own_text = fields.get("reason", fields.get("txt"))
        for node in self.items(fields, "entries"):
            self._entry(node, listing, described, entries)
            if len(entries) % _PROGRESS_EVERY == 0 and entries:
                self._progress(self.file, len(entries))
        named: set[str] = set()
        read = [self._list_file(node, named) for node in self.items(fields, "files")]
        files = tuple(file for file in read if file is not None)
        if not self.items(fields, "entries") and not self.items(fields, "files"):
            self.problems.warning(place or Place(self.file), "", "the list is empty")
        if own_text:
            has_ipv6 = any(entry.version == 6 for entry in entries if entry.listing is listing)
            version = 6 if has_ipv6 or any(len(file.nets[6]) for file in files) else 4
            # The test entries have the text of the list too.
            test = described.size(replace(listing, reason=TEST_REASON), 4)
            self._check_size(own_text[1], max(test, described.size(listing, version)))
        return BlockList(
            name=name,
            place=place or Place(self.file),
            listing=listing,
            text=text,
            entries=tuple(entries),
            exclusions=self._exclusions(fields),
            files=files,
        )

    def _codes(self, fields: Fields, default: tuple[int, ...]) -> tuple[int, ...]:
        if "code" not in fields:
            return default
        codes = self.many(fields, "code", parse_code)
        is_list = not isinstance(fields["code"][1], Mapping)
        if is_list and not self.items(fields, "code"):
            self.error(fields["code"][0], "the value is missing")
        if len(codes) > MAX_CODES:
            self.error(fields["code"][0], f"at most {MAX_CODES} codes, not {len(codes)}")
        return codes or default

    def _entry(self, node: Node, listing: Listing, described: "_Described", entries: list[Entry]) -> None:
        if isinstance(node, Scalar):
            net = self.value(node, parse_net)
            if net is not None and self._can_be_listed(net, node.text, self.at(node)):
                entries.append(Entry(*net, node.text, *self.at(node), listing))
            return
        if isinstance(node, Mapping) and "net" not in node.fields and len(node.fields) == 1:
            key = next(iter(node.fields))
            if ":" in key:
                self.error(node, "an IPv6 address that ends in a colon stands in quotes", f"{key}:")
                return
        fields = self.fields(node, _ENTRY_KEYS, "an entry")
        if fields is None:
            return
        if "net" not in fields:
            self.error(node, "the entry has no net", "")
            return
        net_node = fields["net"][1]
        net = self.value(net_node, parse_net)
        own = self._listing(fields, listing) if len(fields) > 1 else listing
        if net is None or not isinstance(net_node, Scalar):
            return
        if self._can_be_listed(net, net_node.text, self.at(net_node)):
            entries.append(Entry(*net, net_node.text, *self.at(net_node), own))
        if own is not listing:
            reason = fields["reason"][1] if "reason" in fields else None
            self._check_text(reason or net_node, described, own, net.version)

    def _listing(self, fields: Fields, default: Listing) -> Listing:
        listed = expires = None
        if "listed" in fields:
            listed = self.value(fields["listed"][1], parse_time)
        if "expires" in fields and ("listed" not in fields or listed is not None):
            since = listed

            def parse(text: str) -> datetime:
                return parse_expiry(text, since)

            expires = self.value(fields["expires"][1], parse)
        listing = Listing(
            codes=self._codes(fields, default.codes),
            reason=self.one(fields, "reason", parse_printable, default.reason),
            ttl=self._ttl(fields, "ttl", default.ttl),
            listed=listed,
            expires=expires,
        )
        return self._listings.setdefault(listing, listing)

    def _list_file(self, node: Node, named: set[str]) -> ListFile | None:
        path = self.value(node, self._parse_path)
        if path is None:
            return None
        if path in named:
            self.error(node, "this file is named twice in the list")
            return None
        named.add(path)
        self._sources.setdefault(path, signature(path))
        try:
            open_regular(path).close()
        except OSError as error:
            self.error(node, describe(error))
            return None
        self._progress(path, 0)
        before = len(self.problems)
        file = read_list_file(path, self.problems, self._progress, self._can_be_listed)
        if not len(file) and len(self.problems) == before:
            self.problems.warning(Place(path), "", "the list file has no entries")
        return file

    def _parse_path(self, text: str) -> str:
        if "\0" in text:
            raise ValueError("not a file name")
        path = os.path.join(os.path.dirname(self.file), text)
        # What `..` means after a symbolic link, only the kernel knows.
        return path if ".." in path.split("/") else os.path.normpath(path)

    def _can_be_listed(self, net: Net, text: str, place: Place) -> bool:
        """Whether anything of a net is listed: never test addresses, which come from code (RFC 5782 section 5).

        Warns of what may not be meant. Small nets outside of 127.0.0.0/8 and ::/32 always pass: `_scan` does not ask.
        """
        parts = without_loopback(net)
        if parts != [net]:
            taken = "taken without" if parts else "left out: no file can list"
            self.problems.warning(place, text, f"{taken} 127.0.0.0/8, whose test entries come from the codes")
        elif net.last - net.first >= LARGE_NET[net.version]:
            bits = BITS[net.version] - LARGE_NET[net.version].bit_length() + 1
            self.problems.warning(place, text, f"lists more than a /{bits}; is that meant?")
        elif net.version == 6 and net.first <= MAPPED_LAST and net.last >= MAPPED_FIRST:
            message = "taken without ::ffff:0:0/96, which is looked up as IPv4; list the IPv4 addresses"
            self.problems.warning(place, text, message)
        return bool(parts)

    def _exclusions(self, fields: Fields) -> tuple[Exclusion, ...]:
        exclusions: list[Exclusion] = []
        for node in self.items(fields, "except"):
            net = self.value(node, parse_net)
            if net is None or not isinstance(node, Scalar):
                continue
            if net.version == 4 and net.first >= LOOPBACK_FIRST and net.last <= LOOPBACK_LAST:
                message = "has no effect: what is listed in 127.0.0.0/8 are the test entries, which come from the codes"
                self.problems.warning(self.at(node), node.text, message)
            exclusions.append(Exclusion(net, node.text, self.at(node)))
        return tuple(exclusions)

    # Texts

    def _check_text(self, node: Node, described: "_Described", listing: Listing, version: int) -> None:
        key = (described.list, listing, version)
        if key not in self._checked_texts and described.longest(listing) > SHORT_TEXT:
            self._checked_texts.add(key)
            self._check_size(node, described.size(listing, version))

    def _check_size(self, node: Node, size: int) -> None:
        """A TXT answer has at most 500 bytes, and Exim and Postfix show the first 255."""
        if size > MAX_TEXT:
            self.error(node, f"the TXT answer is at most {MAX_TEXT} bytes long; this makes it {size}")
        elif size > SHORT_TEXT:
            message = f"the TXT answer can be {size} bytes long, and Exim and Postfix show the first {SHORT_TEXT}"
            self.problems.warning(self.at(node), node.text if isinstance(node, Scalar) else "", message)


class _Described(NamedTuple):
    """What the TXT answers of a list are made from; literal: how long they are without what is filled in."""

    zone: str
    list: str
    text: Text
    literal: int

    def longest(self, listing: Listing) -> int:
        """A length that no TXT answer of the listing passes; much cheaper than making one."""
        values = max(39, len(listing.reason), len(self.zone), len(self.list), 17 * len(listing.codes))
        return self.literal + values * (len(self.text.parts) // 2)

    def size(self, listing: Listing, version: int) -> int:
        """How many bytes the TXT answer has for the longest address."""
        shown = describe_listing(self.zone, self.list, self.text, listing)
        return len(shown) + shown.count(ADDRESS_MARK) * ((15 if version == 4 else 39) - 1)
