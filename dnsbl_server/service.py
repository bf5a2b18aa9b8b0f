"""What is in service now: the snapshot that answers, and the count of what was answered.

Owns the one reference that a reload swaps. Every transport gives its packets to `Service.answer`. Runs on the event
loop; the counts may be read from any thread.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from dnslib import QTYPE

from dnsbl_server.respond import Outcome, respond
from dnsbl_server.snapshot import Snapshot
from dnsbl_server.wire import QR, SERVFAIL, build_error, parse_header

log = logging.getLogger(__name__)

# The types that are counted by name; clients choose the number, so all others are one.
_NAMED = ("A", "NS", "SOA", "PTR", "MX", "TXT", "AAAA", "SRV", "DS", "DNSKEY", "SVCB", "HTTPS", "AXFR", "IXFR", "ANY")
QTYPE_LABELS = {int(getattr(QTYPE, name)): name for name in _NAMED if name in QTYPE.reverse}


class Counted(NamedTuple):
    """The labels under which a query is counted."""

    zone: str
    transport: str
    qtype: str
    outcome: str


class Service:
    """Answers messages from the snapshot in service, and counts."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self.queries: Counter[Counted] = Counter()
        self.hits: Counter[tuple[str, str]] = Counter()
        self.tcp_connections: Callable[[], int] = lambda: 0

    def adopt(self, snapshot: Snapshot) -> None:
        """Answer from this snapshot from now on."""
        self.snapshot = snapshot

    def answer(self, packet: bytes, transport: str) -> bytes | None:
        """The answer to one message, or None where there is none. transport: "udp" or "tcp"."""
        try:
            reply = respond(self.snapshot, packet, time.time(), transport == "tcp")
        except Exception:
            # Never to happen; should it, one client gets an error and all others their answers.
            log.exception("cannot answer %s", packet[:512].hex())
            self.queries[Counted("", transport, "other", Outcome.SERVFAIL)] += 1
            header = parse_header(packet)
            return build_error(header, SERVFAIL) if header and not header.flags & QR else None
        qtype = QTYPE_LABELS.get(reply.qtype, "other")
        self.queries[Counted(reply.zone, transport, qtype, reply.outcome)] += 1
        for name in reply.hits:
            self.hits[reply.zone, name] += 1
        return reply.packet

    def count_dropped(self, transport: str) -> None:
        """Count an answer that could not be sent."""
        self.queries[Counted("", transport, "other", Outcome.DROPPED)] += 1
