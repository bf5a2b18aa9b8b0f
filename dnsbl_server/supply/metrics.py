"""What is in service, as metrics: entries, serials, and how the last load of each zone went.

Owns the names and labels of the metrics of zones. No value of a label comes from a client.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dnsbl_server.model.problem import printable
from dnsbl_server.sources.feedstore import FeedMeta, shown_url
from dnsbl_server.supply.feeds import FeedRunner
from dnsbl_server.supply.status import ZoneStatus

Statuses = Callable[[], Mapping[str, ZoneStatus]]


class ZoneCollector(Collector):
    """Makes the metrics of zones when they are scraped. statuses: those of the zone files, by path."""

    def __init__(self, statuses: Statuses) -> None:
        self._statuses = statuses

    def collect(self) -> Iterator[Metric]:
        zone = ("zone",)
        entries = GaugeMetricFamily("dnsbl_zone_entries", "Entries in service", labels=("zone", "list", "family"))
        serial = GaugeMetricFamily("dnsbl_zone_serial", "Serial of the SOA record", labels=zone)
        loaded = GaugeMetricFamily(
            "dnsbl_zone_loaded_timestamp_seconds", "When the data in service was read", labels=zone
        )
        newest = GaugeMetricFamily(
            "dnsbl_zone_newest_source_timestamp_seconds", "When the newest of its files was written", labels=zone
        )
        reloads = CounterMetricFamily("dnsbl_zone_reloads", "Loads of the zone, by result", labels=("zone", "result"))
        success = GaugeMetricFamily("dnsbl_zone_last_reload_success", "Whether the last load worked", labels=zone)
        duration = GaugeMetricFamily(
            "dnsbl_zone_reload_duration_seconds", "How long the last good load took", labels=zone
        )
        expired = GaugeMetricFamily("dnsbl_expired_entries", "Entries left out because they have expired", labels=zone)
        source = ("zone", "list", "source")
        written = GaugeMetricFamily(
            "dnsbl_source_timestamp_seconds",
            "When the version in service of a list file was written, or of a feed was known to be current",
            labels=source,
        )
        sizes = GaugeMetricFamily("dnsbl_source_entries", "Entries of a list file or feed", labels=source)
        held_back = GaugeMetricFamily(
            "dnsbl_source_held_back", "Whether the newest version of a list file or feed is not served", labels=source
        )
        skipped = GaugeMetricFamily(
            "dnsbl_source_skipped_lines", "Lines of a list file or feed that cannot be read", labels=source
        )
        for path, status in self._statuses().items():
            # A file that never loaded has no zone; the name of the file says where to look.
            name = status.name or printable(Path(path).name)
            reloads.add_metric((name, "success"), status.successes)
            reloads.add_metric((name, "failure"), status.failures)
            success.add_metric((name,), status.last_succeeded)
            if status.table is None:
                continue
            info = status.table.table.info
            for each in info.lists:
                entries.add_metric((name, each.name, "ipv4"), each.v4)
                entries.add_metric((name, each.name, "ipv6"), each.v6)
                entries.add_metric((name, each.name, "domain"), each.names)
            serial.add_metric((name,), info.serial)
            newest.add_metric((name,), status.newest_source)
            loaded.add_metric((name,), status.loaded_at)
            duration.add_metric((name,), status.duration)
            expired.add_metric((name,), info.expired)
            shown = unique_names(dict.fromkeys(state.source for state in status.sources))
            for state in status.sources:
                labels = (name, state.list, shown[state.source])
                written.add_metric(labels, state.timestamp)
                sizes.add_metric(labels, state.entries)
                held_back.add_metric(labels, bool(state.held_back))
                skipped.add_metric(labels, state.skipped)
        yield from (entries, serial, newest, loaded, reloads, success, duration, expired)
        yield from (written, sizes, held_back, skipped)


class FeedCollector(Collector):
    """Makes the metrics of feeds when they are scraped."""

    def __init__(self, feeds: FeedRunner) -> None:
        self._feeds = feeds

    def collect(self) -> Iterator[Metric]:
        fetches = CounterMetricFamily("dnsbl_feed_fetches", "Fetches of a feed, by result", labels=("feed", "result"))
        current = GaugeMetricFamily(
            "dnsbl_feed_last_success_timestamp_seconds", "When a feed was last known to be current", labels=("feed",)
        )
        every = GaugeMetricFamily("dnsbl_feed_every_seconds", "How often a feed is to be fetched", labels=("feed",))
        failing = GaugeMetricFamily("dnsbl_feed_failing", "Whether the last fetch of a feed failed", labels=("feed",))
        metas = self._feeds.metas
        names = unique_names(self._feeds.specs)
        for url, spec in self._feeds.specs.items():
            meta, name = metas.get(url, FeedMeta()), names[url]
            fetches.add_metric((name, "success"), meta.fetches)
            fetches.add_metric((name, "failure"), meta.failed_fetches)
            current.add_metric((name,), meta.fetched_at)
            every.add_metric((name,), spec.every)
            failing.add_metric((name,), meta.failures > 0)
        yield from (fetches, current, every, failing)


def unique_names(urls: Iterable[str]) -> dict[str, str]:
    """What each URL is called, without what follows its `?`; those that differ only there are numbered."""
    names: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for url in urls:
        name = shown_source(url)
        counts[name] += 1
        names[url] = name if counts[name] == 1 else f"{name}?{counts[name]}"
    return names


def shown_source(source: str) -> str:
    """The path or URL of a source as a label."""
    return printable(shown_url(source) if "://" in source else source)
