"""The engine beside its specification: zones and packets to try, and what must be the same.

Shared by the property tests, the sanitized runs and the fuzz target. What is compared is everything `respond` says:
bytes, outcome, zone, type and hits.
"""

import struct
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from hypothesis import strategies as st

from dnsbl_server.answer import _probe
from dnsbl_server.answer._directory import Directory
from dnsbl_server.answer.respond import OUTCOMES, Reply, respond
from dnsbl_server.answer.snapshot import Snapshot
from dnsbl_server.compiler.compile import compile_zone
from dnsbl_server.compiler.rib import ZoneRib
from dnsbl_server.dns._protocol import CLASS_CH, CLASS_IN, MAX_NAME, QR
from dnsbl_server.dns.message import MessageError, Query, parse_header, parse_query
from dnsbl_server.dns.name import labels_of
from dnsbl_server.dns.reversed import query_name
from dnsbl_server.model.address import Address
from dnsbl_server.model.domain import Domain, Domains
from dnsbl_server.model.listing import Template
from dnsbl_server.model.problem import Problems
from dnsbl_server.model.subject import Subject
from dnsbl_server.model.zone import Zone
from dnsbl_server.table.table import ZoneTable
from tests import oracle
from tests.asking import plain
from tests.conftest import NOW

# Nested in each other, beside each other, one of a single label, and one as long as they can be.
NAMES = (
    "bl.example.org",
    "v6.bl.example.org",
    "a.b.c.bl.example.org",
    "example.org",
    "rbl",
    "-".join(["x" * 20] * 3) + "." + ".".join(["y" * 60] * 2) + ".test",
)
TEXTS = (
    Template(("", "reason", "")),
    Template(("", "ip", " is listed: ", "reason", "; see https://bl.example.org/?ip=", "ip", "")),
    Template(("", "what", " is listed: ", "reason", "; see https://bl.example.org/?q=", "domain", "")),
    Template(("x" * 253, "ip", "y" * 200, "ip", "")),
    Template(("", "domain", "", "domain", "", "what", "z")),
    Template(("",)),
)


class Both:
    """One snapshot, opened for the engine and for its specification."""

    def __init__(self, tables: Sequence[ZoneTable]) -> None:
        self.snapshot = Snapshot(tables)
        self.directory = Directory(table.native for table in tables)
        self.numbers = {table.info.zone: number for number, table in enumerate(tables)}
        # Messages that arrive together are looked up side by side, so none is tried alone only.
        listed = [
            (table.info.zone, version, next(table.intervals(version), None)) for table in tables for version in (4, 6)
        ]
        names = [query_name(Address(version, found[0]), zone) for zone, version, found in listed if found][:5]
        names += [f"{front}.{table.info.zone}" for table in tables[:3] for front in ("test", "a.b.com")]
        self.beside = [plain(name.rstrip("."), 16) for name in names]

    def check(self, packet: bytes, now: float = NOW, tcp: bool = False) -> Reply:
        """Fail unless both say the same of a packet; what they say."""
        reply = respond(self.snapshot, packet, now, tcp)
        native = _probe.answer(self.directory, packet, now, tcp)
        before = len(self.beside) // 2
        packets = (*self.beside[:before], packet, *self.beside[before:])
        together = _probe.answer_all(self.directory, packets, now, tcp)
        assert together[before] == native
        if native is None:
            assert self.is_slow(packet), f"the engine leaves {packet.hex()} to the slow path"
            return reply
        zone = self.numbers[reply.zone] if reply.zone else None
        lists = self.snapshot.zones[labels_of(reply.zone)].lists if reply.zone else ()
        said = (native.packet, OUTCOMES[native.outcome], native.zone, native.qtype)
        assert said == (reply.packet, reply.outcome, zone, reply.qtype)
        assert tuple(lists[number] for number in native.hits) == reply.hits
        return reply

    def is_slow(self, packet: bytes) -> bool:
        """Whether a packet is one of the few kinds that the engine may leave to the slow path."""
        header = parse_header(packet)
        if header is None or header.flags & QR or header.opcode:
            return False
        try:
            query: Query = parse_query(packet, header)
        except MessageError:
            return False
        if (query.edns and query.edns.version) or query.qclass == CLASS_CH:
            return True
        return query.qclass == CLASS_IN and tuple(label.lower() for label in query.labels) in self.snapshot.zones


def open_zone(zone: Zone, now: float = NOW) -> ZoneTable | None:
    """The table of a zone; None where the zone is refused because it lists everything."""
    problems = Problems()
    compiled = compile_zone(ZoneRib(zone, problems), 2026112300, now, problems)
    return ZoneTable(compiled.table) if compiled and not problems.errors else None


@st.composite
def snapshots(draw: st.DrawFn) -> tuple[Both, list[Zone]]:
    """One to four of the zones of NAMES, filled at random from a small world where nearly everything overlaps."""
    zones = []
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True)):
        zone = draw(oracle.zones())
        if any(isinstance(each, Domains) and len(f"{each.name}.{name}") > MAX_NAME - 2 for each in oracle.meant(zone)):
            # No zone file may list a name that is too long to be asked for.
            continue
        text = draw(st.sampled_from(TEXTS))
        lists = tuple(replace(block_list, template=text) for block_list in zone.lists)
        zones.append(replace(zone, name=name, lists=lists, negative_ttl=draw(st.sampled_from((0, 60, 1 << 31)))))
    tables = {zone.name: table for zone in zones if (table := open_zone(zone))}
    return Both(list(tables.values())), [zone for zone in zones if zone.name in tables]


_NIBBLES = tuple(b"0123456789abcdefABCDEF"[at : at + 1] for at in range(22))
_WORDS = (
    *(b"www", b"BL", b"bl", b"v6", b"a", b"b", b"c", b"Example", b"oRg", b"rbl", b"*", b"_dmarc", b"x" * 63, b"\0"),
    *(b"\xff", b"a.b", b"00", b"01", b"256", b"999", b"1a", b"g", b"\xb2", b"-1", b"+1", b" 1", b"1234", b"0x1"),
)
_QTYPES = (1, 1, 1, 1, 16, 16, 16, 255, 28, 15, 2, 6, 43, 251, 252, 0, 65, 65535)
_EDNS_SIZES = (0, 511, 512, 513, 600, 1231, 1232, 1233, 4096, 65535)


def _wire(labels: Sequence[bytes]) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def make_labels(random: Random, zones: Sequence[Zone]) -> list[bytes]:
    """Labels of a name: mostly below a zone, mostly with a reversed address or a part of one in front."""
    below = random.choice([zone.name for zone in zones] * 4 + ["example.net", "org", "bl.example.org.example", ""])
    kind = random.random()
    if kind < 0.75:
        subject = _subject(random, zones)
        front = _front_of_name(random, subject) if isinstance(subject, Domain) else _front_of_address(random, subject)
    elif kind < 0.9:
        front = [_label(random) for _ in range(random.randint(0, 6))]
    else:
        front = [random.choice(_NIBBLES) for _ in range(random.choice((0, 1, 3, 4, 4, 5, 31, 32, 33)))]
    labels = [*front, *filter(None, below.encode().split(b"."))]
    while len(_wire(labels)) > 255:
        labels.pop(0)
    if random.random() < 0.3:
        labels = [bytes(random.choice((each.upper(), each.lower()))) for each in labels]
    return labels


def _subject(random: Random, zones: Sequence[Zone]) -> Subject:
    edges = [edge for each in zones for edge in oracle.edges(each)]
    kind = random.random()
    if edges and kind < 0.7:
        return random.choice(edges)
    if kind < 0.75:
        return Address(4, 0x7F000000 | random.randint(0, 12))
    if kind < 0.8:
        return Domain(random.choice(("test", "invalid", "a.test", "a.invalid", "com", "a.b.com", "127.0.0.1.com")))
    return Address(*random.choice(((4, random.getrandbits(32)), (4, 0x02000001), (6, random.getrandbits(128)))))


def _front_of_address(random: Random, address: Address) -> list[bytes]:
    """The labels of an address, or something like it."""
    if address.version == 4 and random.random() < 0.2:
        address = Address(6, 0xFFFF << 32 | address.number)
    front = query_name(address, "").encode().rstrip(b".").split(b".")
    if random.random() < 0.2:
        front = front[random.randint(0, len(front)) :]
    if random.random() < 0.1:
        front.insert(random.randint(0, len(front)), _label(random))
    return front


def _front_of_name(random: Random, domain: Domain) -> list[bytes]:
    """The labels of a name, or of one at, above, below or beside it, or what is no name of a list."""
    front = list(labels_of(domain.name))
    kind = random.random()
    if kind < 0.2:
        front = front[random.randint(0, len(front)) :]
    elif kind < 0.4:
        front = [*(_label(random) for _ in range(random.choice((1, 1, 2, 5, 120)))), *front]
    elif kind < 0.5:
        front.insert(random.randint(0, len(front)), _label(random))
    elif kind < 0.55:
        front[random.randrange(len(front))] = _label(random)
    elif kind < 0.6:
        # Labels whose bytes read like several of them
        at = random.randrange(len(front))
        front[at:] = [random.choice((b".", rb"\.", b"\0", b"\1a")).join(front[at:])[:63]]
    return front


def _label(random: Random) -> bytes:
    return random.choice(
        (
            random.choice(_NIBBLES),
            str(random.randint(0, 300)).encode(),
            random.choice(_WORDS),
            random.randbytes(random.randint(1, 63)),
        )
    )


def make_packet(random: Random, zones: Sequence[Zone]) -> bytes:
    """A message: most are good queries, some have odd parts, some are cut, longer, or have bytes changed."""
    flags = random.choice((0x0100, 0, 0x0130, 0x7F)) if random.random() < 0.95 else random.getrandbits(16)
    qclass = 1 if random.random() < 0.95 else random.choice((3, 4, 254, 255, 0))
    qtype = random.choice(_QTYPES)
    body = _wire(make_labels(random, zones)) + struct.pack("!HH", qtype, qclass)
    counts = [1, 0, 0, 0]
    if random.random() < 0.5:
        version = 0 if random.random() < 0.95 else random.choice((1, 255))
        options = b"".join(_option(random) for _ in range(random.choice((0, 0, 1, 2))))
        bits = random.choice((0, 0x8000, 0x7FFF))
        size = random.choice(_EDNS_SIZES)
        opt = struct.pack("!BHHBBHH", 0, 41, size, random.getrandbits(8), version, bits, len(options)) + options
        counts[3] = 2 if random.random() < 0.03 else 1
        body += opt * counts[3]
    if random.random() < 0.05:
        owner = random.choice((b"\0", b"\xc0\x0c", b"\1a\0", b"\1a\xc0\x0c"))
        data = random.randbytes(random.randint(0, 8))
        body += owner + struct.pack("!HHIH", random.choice(_QTYPES), 1, 0, len(data)) + data
        counts[random.randint(1, 3)] += 1
    if random.random() < 0.03:
        counts[random.randint(0, 3)] = random.choice((0, 1, 2, 65535))
    packet = bytearray(struct.pack("!HH4H", random.getrandbits(16), flags, *counts) + body)
    damage = random.random()
    if damage < 0.03:
        packet = packet[: random.randint(0, len(packet))]
    elif damage < 0.05:
        packet += random.randbytes(random.randint(1, 20))
    elif damage < 0.1:
        for _ in range(random.randint(1, 3)):
            packet[random.randrange(len(packet))] = random.getrandbits(8)
    return bytes(packet)


def _option(random: Random) -> bytes:
    data = random.randbytes(random.randint(0, 12))
    return struct.pack("!HH", random.choice((3, 8, 10, 12, 65001)), len(data)) + data
