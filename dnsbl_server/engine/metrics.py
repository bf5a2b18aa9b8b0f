"""What the data plane counted, as metrics.

Owns the names and labels of the metrics of queries, hits, connections and lost packets. No value of a label comes from
a client.
"""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dnsbl_server.answer.respond import Outcome
from dnsbl_server.engine.service import Counted, Service

# Counted from the start for each zone, so that the first such query is an increase and not a new series.
_EXPECTED = tuple(
    (transport, qtype, outcome)
    for transport in ("udp", "tcp")
    for qtype in ("A", "TXT")
    for outcome in (Outcome.LISTED, Outcome.NOT_LISTED)
)

# Likewise what belongs to no zone, and should not happen.
_UNWANTED = tuple(
    Counted("", transport, "other", outcome)
    for transport in ("udp", "tcp")
    for outcome in (Outcome.DROPPED, Outcome.SERVFAIL)
)


class QueryCollector(Collector):
    """Makes the metrics of a service when they are scraped."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        queries, hits = self._service.counts()
        for unwanted in _UNWANTED:
            queries.setdefault(unwanted, 0)
        for zone in self._service.snapshot.zones.values():
            for expected in _EXPECTED:
                queries.setdefault(Counted(zone.name, *expected), 0)
            for name in zone.lists:
                hits.setdefault((zone.name, name), 0)
        asked = CounterMetricFamily("dnsbl_queries", "Queries by what became of them", labels=Counted._fields)
        for labels, count in queries.items():
            asked.add_metric(labels, count)
        yield asked
        hit = CounterMetricFamily("dnsbl_hits", "Answers that a list had a part in", labels=("zone", "list"))
        for names, count in hits.items():
            hit.add_metric(names, count)
        yield hit
        lost = CounterMetricFamily("dnsbl_udp_receive_drops", "Queries that found the receive buffer full")
        lost.add_metric((), self._service.receive_drops())
        yield lost
        connections = GaugeMetricFamily("dnsbl_tcp_connections", "Open TCP connections")
        connections.add_metric((), self._service.tcp_connections())
        yield connections
