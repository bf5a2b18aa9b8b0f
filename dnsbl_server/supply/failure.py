"""What a failed fetch leaves: when the next try of a feed may come.

Owns the delays between tries. Knows nothing of what failed.
"""

import random
from dataclasses import replace

from dnsbl_server.model.feed import FeedSpec
from dnsbl_server.sources.feedstore import FeedMeta

FIRST_DELAY = 60.0  # after one failure; each further one doubles it, up to the feed's own `every`
_JITTER = 0.1


def failed_fetch(before: FeedMeta, spec: FeedSpec, message: str, now: float, asked: float = 0.0) -> FeedMeta:
    """What is known of a feed after a fetch that failed. asked: seconds that its server wants to be left alone."""
    delay = min(float(spec.every), FIRST_DELAY * 2.0 ** min(before.failures, 30)) * jittered()
    return replace(
        before,
        checked_at=now,
        failures=before.failures + 1,
        error=message,
        not_before=now + max(delay, asked),
        asked_until=now + asked if asked else 0.0,
        failed_fetches=before.failed_fetches + 1,
    )


def jittered() -> float:
    """A factor that spreads what would come at once."""
    return 1 + random.uniform(0, _JITTER)  # noqa: S311 - no secret
