"""The serial of a zone's SOA record: it grows with every change that is served, and never otherwise.

Owns how a new one is found. It is the time of the change, as far as that can be told, so that it grows across restarts
too: the newest time at which a source or a symbolic link on the way to one was changed or came to its place (ctime;
mtime is what a program says that it is), or an entry expired. In a running server a change makes it grow by at least
one, and a load that changes nothing that is served leaves it. Serials count round (RFC 1982).
"""

from collections.abc import Iterable
from typing import NamedTuple

_HALF, _ALL = 1 << 31, 1 << 32
_NANO = 1_000_000_000


class ZoneVersion(NamedTuple):
    """A version of a zone that was in service: its serial, and the digest of what it answered."""

    serial: int
    digest: str


def serial_at(changed: Iterable[int], expiries: Iterable[int], now: float) -> int:
    """The serial of the time of the last change.

    changed: when sources and links were changed, in nanoseconds since 1970; expiries: of the zone's entries, in seconds
    since 1970. What has not come yet counts as now where it is a change, and not at all where it is an expiry.
    """
    newest = max((each // _NANO for each in changed), default=0)
    passed = max((each for each in expiries if each <= now), default=0)
    # Never 0, which some programs take for "none".
    return max(1, min(newest, int(now)), passed) % _ALL or 1


def next_serial(candidate: int, before: ZoneVersion | None) -> int:
    """The serial of a version that is not the one before."""
    if before is None or 0 < (candidate - before.serial) % _ALL < _HALF:
        return candidate
    return (before.serial + 1) % _ALL or 1
