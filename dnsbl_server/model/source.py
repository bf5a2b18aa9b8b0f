"""Sources: the list files and feeds of a zone, each with a state of its own.

Owns what is known of one after it was read. Knows neither formats nor how files are kept.
"""

from dataclasses import dataclass

from dnsbl_server.model.feed import FeedSpec


@dataclass(frozen=True, slots=True)
class SourceState:
    """One list file or feed of a list, as it was read.

    list, source: the name of the list, and the path or URL; timestamp: of the version that is served, in seconds since
    1970: when its file was written, or the feed was known to be current, 0 where there is none; entries: of it;
    skipped: its lines that cannot be read; held_back: why the newest version is not served, empty where it is; due:
    when it is to be read again though its file may not have changed, in seconds since 1970, 0 is never; feed: what is
    fetched, None for a list file.
    """

    list: str
    source: str
    timestamp: float
    entries: int
    skipped: int = 0
    held_back: str = ""
    due: float = 0.0
    feed: FeedSpec | None = None
