"""Feeds: list files that are fetched from elsewhere.

Owns what is said of one in a zone file. Knows nothing of how it is fetched and kept.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FeedSpec:
    """A feed of a zone file. every: seconds between two fetches; secret: the file with its Authorization, or empty."""

    url: str
    every: int
    secret: str = ""
