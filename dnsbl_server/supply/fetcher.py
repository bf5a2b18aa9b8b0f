"""The fetcher process: one feed is fetched outside the server.

Owns what this process does from start to end: it takes a job from standard input, fetches, writes what came of it into
the state directory, and ends. Its other side is `feeds`.
"""

import contextlib
import json
import os
import signal
import sys

from dnsbl_server.model.feed import FeedSpec
from dnsbl_server.sources.feedstore import FeedBusyError
from dnsbl_server.supply.download import DEADLINE
from dnsbl_server.supply.fetch import fetch_feed

_NICE = 10
_GRACE = 30


def main() -> None:
    """Do one job."""
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    # Whatever hangs where no deadline reaches ends then, also when the server is gone.
    signal.alarm(int(DEADLINE) + _GRACE)
    job = json.loads(sys.stdin.read())
    with contextlib.suppress(FeedBusyError):
        fetch_feed(job["state"], FeedSpec(**job["feed"]))


if __name__ == "__main__":
    main()
