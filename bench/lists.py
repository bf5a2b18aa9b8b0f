"""What the servers of the benchmarks list, as files for each of them, and queries for it.

Addresses are random and come from a seed: the same ones every time. IPv4 from 1.0.0.0 to 126.0.0.0, networks from /16
to /24; IPv6 in 2a00::/12, networks from /32 to /64, hosts with a /64 of their own. Both servers get the same addresses,
codes, texts, times to live and SOA record, so that their answers hold the same.
"""

import ipaddress
import random
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

T = TypeVar("T")

ZONE = "bl.example.org"
NOERROR, NXDOMAIN, ANYTHING = 0, 3, 255  # what load.c is told to expect
A, SOA, TXT = 1, 6, 16
_IN, _CH = 1, 3
_TEXT = "{} is listed: see https://bl.example.org/?q={}"
_ZONE_FILE = """\
zone: {zone}
ttl: 5m
negative_ttl: 1m
soa: {{mname: ns.example.org, rname: hostmaster.example.org, refresh: 1h, retry: 10m, expire: 1w}}
lists:
"""
_LIST = """\
  - name: list{number}
    code: 127.0.0.{code}
    txt: "{text}"
    files: [{file}]
"""
_RBLDNSD_HEAD = """\
$SOA 0 ns.example.org hostmaster.example.org 0 1h 10m 1w 1m
$TTL 5m
:127.0.0.{code}:{text}
"""


@dataclass(frozen=True)
class Family:
    """IPv4 or IPv6: how wide its addresses are, where the random ones come from, how they are written.

    data_set: the type of rbldnsd's data set for them.
    """

    bits: int
    first: int
    last: int
    prefixes: range
    text: Callable[[int], str]
    data_set: str

    def random_address(self, source: random.Random) -> int:
        """Return any address of the range."""
        return source.randrange(self.first, self.last)

    def random_network(self, source: random.Random) -> tuple[int, int]:
        """Return any network of the range: its address and how many bits of it are its hosts'."""
        host_bits = self.bits - source.choice(self.prefixes)
        return self.random_address(source) >> host_bits << host_bits, host_bits


def _dotted(address: int) -> str:
    return f"{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}"


def _colons(address: int) -> str:
    return str(ipaddress.IPv6Address(address))


IPV4 = Family(32, 1 << 24, 126 << 24, range(16, 25), _dotted, "ip4set")
IPV6 = Family(128, 0x2A0 << 116, 0x2A1 << 116, range(32, 65), _colons, "ip6trie")


class Listed(Protocol):
    """What a zone lists. data_set: the type of rbldnsd's data set for it; mark: what a text shows of it."""

    zone: str
    data_set: str
    mark: str

    def lines(self, part: int = 0, parts: int = 1) -> Iterator[str]:
        """Yield what stands in a list file, or in one of several."""

    def queries(self, count: int, qtype: int) -> bytes:
        """Return queries in random order for load.c, half of them for what is listed."""

    def listed(self) -> str:
        """Return a name that is asked for something listed."""

    def added(self, number: int) -> tuple[str, str]:
        """Return the line of something that is not listed, different for each number, and the name that is asked."""


class Entries:
    """Hosts and networks to list: as many as asked for, all different."""

    zone = ZONE
    mark = "{ip}"

    def __init__(self, family: Family, hosts: int, networks: int = 0) -> None:
        self.family = family
        self.data_set = family.data_set
        self._random = random.Random(1)
        if family is IPV4:
            self.hosts = self._random.sample(range(family.first, family.last), hosts)
        else:
            self.hosts = _distinct(lambda: family.random_address(self._random), hosts)
        self.networks = _distinct(lambda: family.random_network(self._random), networks)

    def lines(self, part: int = 0, parts: int = 1) -> Iterator[str]:
        """Yield what stands in a list file; of several lists, each also has a tenth of the next one's hosts."""
        yield from map(self.family.text, self.hosts[part::parts])
        if parts > 1:
            yield from map(self.family.text, self.hosts[(part + 1) % parts :: 10 * parts])
        for address, host_bits in self.networks[part::parts]:
            yield f"{self.family.text(address)}/{self.family.bits - host_bits}"

    def queries(self, count: int, qtype: int) -> bytes:
        """Return queries in random order for load.c: half for listed addresses, a quarter of those for networks'."""
        hosts, networks = frozenset(self.hosts), frozenset(self.networks)
        widths = {host_bits for _, host_bits in networks}
        hits = self.hosts[: count * 3 // 8] if networks else self.hosts[: count // 2]
        for address, host_bits in self._random.choices(self.networks, k=count // 8) if networks else ():
            hits.append(address + self._random.randrange(1 << host_bits))
        queries = [record(self.name(address), qtype, NOERROR) for address in hits]
        while len(queries) < 2 * len(hits):
            address = self.family.random_address(self._random)
            listed = address in hosts or any((address >> width << width, width) in networks for width in widths)
            # 4.3.2.1 is also the end of an IPv6 address's name: that exists for one server, and not for the other.
            ambiguous = self.family is IPV4 and max(address.to_bytes(4)) < 10
            if not listed and not ambiguous:
                queries.append(record(self.name(address), qtype, NXDOMAIN))
        self._random.shuffle(queries)
        return b"".join(queries)

    def listed(self) -> str:
        """Return the name that is asked for a listed host."""
        return self.name(self.hosts[0])

    def added(self, number: int) -> tuple[str, str]:
        """Return an address outside the range, and the name that is asked for it."""
        address = self.family.last + number
        return self.family.text(address), self.name(address)

    def name(self, address: int) -> str:
        """Return the name that is asked for an address."""
        if self.family is IPV4:
            labels: Iterable[str] = map(str, address.to_bytes(4, "little"))
        else:
            labels = reversed(f"{address:032x}")
        return ".".join(labels) + f".{ZONE}"


def _distinct(make: Callable[[], T], count: int) -> list[T]:
    found: dict[T, None] = {}
    while len(found) < count:
        found[make()] = None
    return list(found)


def message(name: str, qtype: int, qclass: int = _IN) -> bytes:
    """Return a query."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", 0, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", qtype, qclass)


def record(name: str, qtype: int, expected: int, qclass: int = _IN) -> bytes:
    """Return a query as load.c reads it from a file."""
    packet = message(name, qtype, qclass)
    return struct.pack("!HB", len(packet), expected) + packet


def slow_queries() -> bytes:
    """Return queries of the slow path, in turn: the server's version, the zone's SOA and A records."""
    version = record("version.bind", TXT, ANYTHING, _CH)
    return version + record(ZONE, SOA, ANYTHING) + record(ZONE, A, ANYTHING)


class Written(NamedTuple):
    """The files of a zone: a directory for each server, and rbldnsd's data sets. listed: a query for what is listed."""

    ours: Path
    theirs: Path
    sets: list[str]
    listed: bytes


def write(directory: Path, entries: Listed, lists: int = 1) -> Written:
    """Write a zone of so many lists into a directory, for both servers."""
    ours, theirs = directory / "dnsbl-server", directory / "rbldnsd"
    for place in (ours, theirs):
        place.mkdir(parents=True, exist_ok=True)
    zone = _ZONE_FILE.format(zone=entries.zone)
    sets = []
    for number in range(lists):
        name, code = f"list{number}.txt", 2 + number
        zone += _LIST.format(number=number, code=code, text=_TEXT.format(entries.mark, entries.mark), file=name)
        head = _RBLDNSD_HEAD.format(code=code, text=_TEXT.format("$", "$"))
        _write(ours / name, "", entries.lines(number, lists))
        _write(theirs / name, head, entries.lines(number, lists))
        sets.append(f"{entries.zone}:{entries.data_set}:{name}")
    (ours / "zone.yaml").write_text(zone)
    return Written(ours, theirs, sets, message(entries.listed(), A))


def _write(path: Path, head: str, lines: Iterator[str]) -> None:
    with path.open("w") as file:
        file.write(head)
        file.writelines(line + "\n" for line in lines)
