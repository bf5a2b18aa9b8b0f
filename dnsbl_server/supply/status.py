"""The status of each zone file: the table in service, and how its loads went.

Owns what is derived from that, and the lines of the log on what a load has changed. Knows nothing of when and how zones
are loaded.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from dnsbl_server.model.listing import format_time
from dnsbl_server.model.problem import printable
from dnsbl_server.model.source import SourceState
from dnsbl_server.supply.process import SealedTable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ZoneStatus:
    """The state of a zone, or of a zone file that never loaded.

    loaded_at: seconds since 1970; duration: of the last good load, in seconds; successes, failures: loads so
    far; newest_source: when the newest of the files in service was written by its own account, in seconds since 1970;
    sources: the list files and feeds of the table.
    """

    table: SealedTable | None = None
    loaded_at: float = 0.0
    duration: float = 0.0
    successes: int = 0
    failures: int = 0
    last_succeeded: bool = False
    newest_source: float = 0.0
    sources: tuple[SourceState, ...] = ()

    @property
    def name(self) -> str:
        """The zone; empty where the file never loaded."""
        return self.table.table.info.zone if self.table else ""

    @property
    def entries(self) -> int:
        """How many entries are in service."""
        return self.table.table.info.entries if self.table else 0


def log_outcomes(files: Iterable[str], before: Mapping[str, ZoneStatus], after: Mapping[str, ZoneStatus]) -> None:
    """Log what a load of these files changed, and which zones are served no longer. Both mappings: by zone file."""
    for path in files:
        _log_outcome(path, before.get(path, ZoneStatus()), after[path])
    names = {status.name for status in after.values()}
    for status in before.values():
        if status.name and status.name not in names:
            log.warning("zone %s: withdrawn, its %d entries are no longer served", status.name, status.entries)
            names.add(status.name)


def _log_outcome(path: str, before: ZoneStatus, after: ZoneStatus) -> None:
    table = after.table
    if not after.last_succeeded:
        if table is None:
            log.error("%s: not loaded; it has never been in service", printable(path))
        else:
            since = format_time(datetime.fromtimestamp(int(after.loaded_at), UTC))
            log.error("zone %s: not reloaded; the version of %s stays in service", after.name, since)
        return
    assert table is not None
    took = f"in {after.duration:.2f} s, serial {table.table.info.serial}"
    if before.table is None or before.name != after.name:
        log.info("zone %s: loaded %d entries from %s %s", after.name, after.entries, printable(path), took)
        return
    log.info(
        "zone %s: reloaded, %d -> %d entries (%d added, %d removed, %d expired) %s",
        after.name,
        before.entries,
        after.entries,
        table.added,
        table.removed,
        table.table.info.expired,
        took,
    )
