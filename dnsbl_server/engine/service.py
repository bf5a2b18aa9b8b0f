"""What is in service now: the snapshot that answers, and the count of what was answered.

Owns the border between the engine, which answers nearly every message, and the slow path (`respond`), which answers
what the engine leaves to it; and the names of what both have counted. `answer` and `answer_slow_path` are for the event
loop. `adopt` and `retire` are for one thread at a time, whichever it is: with 10,000 zones the event loop would stand
still. The counts may be read from any thread.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from dnsbl_server.answer._directory import Directory
from dnsbl_server.answer.respond import OUTCOMES, Outcome, respond
from dnsbl_server.answer.snapshot import Identity, Snapshot
from dnsbl_server.dns import _protocol
from dnsbl_server.dns._protocol import QR, SERVFAIL
from dnsbl_server.dns.message import build_error, parse_header
from dnsbl_server.engine._view import Engine, Hits, Queries
from dnsbl_server.table.table import ZoneTable

log = logging.getLogger(__name__)

# The types that are counted by name; clients choose the number, so all others are one.
_NAMED = ("A", "NS", "SOA", "PTR", "MX", "TXT", "AAAA", "SRV", "DS", "DNSKEY", "SVCB", "HTTPS", "AXFR", "IXFR", "ANY")
QTYPE_LABELS: dict[int, str] = {getattr(_protocol, f"TYPE_{name}"): name for name in _NAMED}
# As the engine counts them: 0 is all others.
_KINDS = ("other", *QTYPE_LABELS.values())
_KIND_OF_TYPE = bytes(_KINDS.index(QTYPE_LABELS.get(number, "other")) for number in range(256))


class Counted(NamedTuple):
    """The labels under which a query is counted."""

    zone: str
    transport: str
    qtype: str
    outcome: str


class Counts(NamedTuple):
    """How many queries there were by their labels, and how many hits by zone and list."""

    queries: Counter[Counted]
    hits: Counter[tuple[str, str]]


class Service:
    """Answers messages from the snapshot in service, and counts.

    threads: how many may answer UDP; identity: what the server says of itself.
    """

    def __init__(self, threads: int = 1, identity: Identity = Identity()) -> None:  # noqa: B008
        self._identity = identity
        self.snapshot = Snapshot((), identity)
        self.engine = Engine(threads, _KIND_OF_TYPE)
        self.tcp_connections: Callable[[], int] = lambda: 0
        self.receive_drops: Callable[[], int] = lambda: 0
        # What the slow path has answered, and what the engine counted for snapshots that are no longer in service.
        self._counts = Counts(Counter(), Counter())
        self._lock = threading.Lock()

    def adopt(self, tables: Iterable[ZoneTable]) -> None:
        """Answer from these tables from now on, one for each zone."""
        snapshot = Snapshot(tables, self._identity)
        directory = Directory(zone.table.native for zone in snapshot.zones.values())
        self.engine.adopt(directory, snapshot)
        self.snapshot = snapshot
        self.retire()

    def retire(self) -> None:
        """Free the snapshots before the current one that no thread answers from any more."""
        with self._lock:
            for retired in self.engine.retire():
                _add(self._counts, *retired)

    def answer(self, packet: bytes) -> bytes | None:
        """The answer to one message over TCP, or None where there is none."""
        answer = self.engine.answer(packet, time.time())
        return self.answer_slow_path(packet, "tcp") if answer is None else answer or None

    def answer_slow_path(self, packet: bytes, transport: str) -> bytes | None:
        """The answer to a message that the engine leaves to the slow path. transport: "udp" or "tcp"."""
        try:
            reply = respond(self.snapshot, packet, time.time(), transport == "tcp")
        except Exception:
            # A bug. One client gets an error, and all others their answers.
            log.exception("cannot answer %s", packet[:512].hex())
            self._count(Counted("", transport, "other", Outcome.SERVFAIL))
            header = parse_header(packet)
            return build_error(header, SERVFAIL) if header and not header.flags & QR else None
        qtype = QTYPE_LABELS.get(reply.qtype, "other")
        self._count(Counted(reply.zone, transport, qtype, reply.outcome), reply.hits)
        return reply.packet

    def count_dropped(self, transport: str) -> None:
        """Count an answer that could not be sent."""
        self._count(Counted("", transport, "other", Outcome.DROPPED))

    def counts(self) -> Counts:
        """All that was counted up to now."""
        with self._lock:
            counts = Counts(self._counts.queries.copy(), self._counts.hits.copy())
            for live in self.engine.counts():
                _add(counts, *live)
        return counts

    def _count(self, counted: Counted, hits: tuple[str, ...] = ()) -> None:
        with self._lock:
            self._counts.queries[counted] += 1
            for name in hits:
                self._counts.hits[counted.zone, name] += 1


def _add(counts: Counts, snapshot: Snapshot | None, queries: Queries, hits: Hits) -> None:
    """Add what the engine counted while a snapshot was in service."""
    zones = list(snapshot.zones.values()) if snapshot else []
    for is_tcp, zone, kind, outcome, count in queries:
        name = "" if zone is None else zones[zone].name
        counts.queries[Counted(name, "tcp" if is_tcp else "udp", _KINDS[kind], OUTCOMES[outcome])] += count
    for zone, number, count in hits:
        counts.hits[zones[zone].name, zones[zone].lists[number]] += count
