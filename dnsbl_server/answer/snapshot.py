"""A snapshot: the zones that are in service, as answers are made from them.

Owns the choice of the zone for a name. Immutable: a reload makes a new snapshot, and taking it into service is the
assignment of one reference. Knows neither files nor sockets.
"""

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from dnsbl_server.dns._protocol import TYPE_A, TYPE_AAAA, TYPE_MX, TYPE_NS, TYPE_TXT
from dnsbl_server.dns.message import encode_text
from dnsbl_server.dns.name import Labels, encode_name, labels_of
from dnsbl_server.table.table import ZoneTable


class ServedZone:
    """A zone's table with its records, encoded once."""

    def __init__(self, table: ZoneTable) -> None:
        info = table.info
        self.table = table
        self.name = info.zone
        self.labels = labels_of(self.name)
        self.serial = info.serial
        self.ttl = info.ttl
        self.negative_ttl = info.negative_ttl
        self.lists = tuple(each.name for each in info.lists)
        self.soa = table.soa
        # What the zone's own name answers besides its SOA, by type.
        self.apex: dict[int, list[bytes]] = {
            TYPE_NS: [encode_name(name) for name in info.ns],
            TYPE_A: [IPv4Address(address).packed for address in info.apex.a],
            TYPE_AAAA: [IPv6Address(address).packed for address in info.apex.aaaa],
            TYPE_MX: [struct.pack("!H", preference) + encode_name(name) for preference, name in info.apex.mx],
            TYPE_TXT: [encode_text(text) for text in info.apex.txt],
        }


class Identity(NamedTuple):
    """What the server says of itself to CH TXT queries; None is REFUSED."""

    version: str | None = None
    server_id: str | None = None


class Snapshot:
    """All zones in service."""

    def __init__(self, tables: Iterable[ZoneTable] = (), identity: Identity = Identity()) -> None:  # noqa: B008
        self.identity = identity
        self.zones: dict[Labels, ServedZone] = {}
        for table in tables:
            zone = ServedZone(table)
            self.zones[zone.labels] = zone
        # Every name above a zone exists, though it may have no records (RFC 8020).
        self._above = {labels[start:] for labels in self.zones for start in range(1, len(labels))}
        self._longest = max(map(len, self.zones), default=0)

    def find(self, labels: Labels) -> ServedZone | None:
        """The zone with the longest name that a name (in lower case) is at or below."""
        for start in range(max(0, len(labels) - self._longest), len(labels)):
            zone = self.zones.get(labels[start:])
            if zone is not None:
                return zone
        return None

    def has_zone_at_or_below(self, labels: Labels) -> bool:
        return labels in self._above or labels in self.zones
