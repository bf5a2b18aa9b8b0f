"""Where fetched feeds are kept in the state directory.

Owns the paths and what is written beside a feed. Knows nothing of how it is fetched.
"""

import json
import os
from hashlib import sha256

_DIRECTORY = "feeds"


def feed_directory(state: str, url: str) -> str:
    """Where all of one feed is."""
    return os.path.join(state, _DIRECTORY, sha256(url.encode()).hexdigest()[:32])


def data_path(state: str, url: str) -> str:
    """The file that has the newest copy of a feed."""
    return os.path.join(feed_directory(state, url), "data")


def fetched_at(state: str, url: str) -> float:
    """When a feed was last known to be current, in seconds since 1970; 0 where that is not known."""
    try:
        with open(os.path.join(feed_directory(state, url), "meta.json"), encoding="utf-8") as stream:
            return float(json.load(stream)["fetched_at"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0.0


def parse_feed_url(text: str) -> str:
    """The URL of a feed. Raises ValueError."""
    if not text.startswith(("http://", "https://", "rsync://")):
        raise ValueError("a URL begins with https://, http:// or rsync://")
    return text
