"""One fetch of one feed: its copy in the state directory is replaced, or stays as it is.

Owns what follows from a download: a copy is replaced as a whole and only by other bytes, whatever fails leaves it
alone, and what is known of the feed says when the next try may come. Knows nothing of when feeds are due, and nothing
of what their bytes mean. Fetchers alone import this.
"""

import filecmp
import os
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import IO

from dnsbl_server.model.feed import FeedSpec
from dnsbl_server.model.problem import printable
from dnsbl_server.sources.feedstore import FeedBusyError, FeedMeta, data_path, locked, read_meta, write_meta
from dnsbl_server.sources.files import open_regular, reason_of
from dnsbl_server.supply.download import DEADLINE, MOST_RETRY, Downloaded, DownloadError, download
from dnsbl_server.supply.failure import failed_fetch, jittered
from dnsbl_server.supply.rsync import transfer

_MAX_SECRET = 4096
_GRACE = 30.0  # seconds after the deadline of a download


def fetch_feed(
    state: str, spec: FeedSpec, progress: Callable[[int, int], None] = lambda done, size: None
) -> tuple[FeedMeta, bool]:
    """Fetch a feed; what is known of it then, and whether its copy is another one now.

    progress: see `download`. A failure is in what is returned. Raises FeedBusyError, and OSError where the state
    directory cannot be written.
    """
    with locked(state, spec.url) as directory:
        before = read_meta(state, spec.url)
        now = time.time()
        is_new = False
        try:
            with tempfile.NamedTemporaryFile(dir=directory, prefix=".new-") as aside:
                found = _get(state, spec, before, aside.file, progress)
                path = data_path(state, spec.url)
                if found.is_new:
                    aside.flush()
                    is_new = not os.path.exists(path) or not filecmp.cmp(aside.name, path, shallow=False)
                elif not os.path.exists(path):
                    raise DownloadError("the server says that nothing is new, and there is no copy")
                if is_new:
                    os.fsync(aside.fileno())
                    os.link(aside.name, aside.name + ".data")
                    os.replace(aside.name + ".data", path)
                elif before.failures or now - before.fetched_at > 2 * spec.every:
                    # A zone that may have withdrawn the feed is loaded again.
                    os.utime(path)
            after = _succeeded(before, spec, found, now)
        except (DownloadError, OSError) as error:
            asked = error.retry_after if isinstance(error, DownloadError) else 0.0
            message = reason_of(error) if isinstance(error, OSError) else str(error)
            after = failed_fetch(before, spec, message, now, asked)
        write_meta(state, spec.url, after)
        return after, is_new


class FetchError(RuntimeError):
    """A feed was not fetched; the text says why."""


def fetch_now(
    state: str,
    spec: FeedSpec,
    progress: Callable[[int, int], None],
    is_forced: bool = False,
    patience: float = DEADLINE + _GRACE,
) -> str:
    """Fetch a feed for somebody who waits for it; what came of it, in words.

    is_forced: whether or not its server asks to be left alone; patience: seconds. Raises FetchError.
    """
    left = read_meta(state, spec.url).asked_until - time.time()
    if 0 < left <= MOST_RETRY and not is_forced:
        raise FetchError(f"its server asks to be left alone for {left:.0f} s more; --force asks it all the same")
    outcome: Future[tuple[FeedMeta, bool]] = Future()

    def work() -> None:
        try:
            outcome.set_result(fetch_feed(state, spec, progress))
        except BaseException as error:
            outcome.set_exception(error)

    # No deadline reaches the headers of an answer, which may come a byte at a time: the thread is left to itself then.
    threading.Thread(target=work, daemon=True, name="fetch").start()
    try:
        meta, is_new = outcome.result(patience)
    except TimeoutError as error:
        raise FetchError(f"took longer than {patience:g} seconds") from error
    except FeedBusyError as error:
        raise FetchError(str(error)) from error
    except OSError as error:
        raise FetchError(f"the state directory {printable(state)} cannot be written: {reason_of(error)}") from error
    if meta.failures:
        raise FetchError(meta.error)
    return "a new version" if is_new else "nothing new"


def _get(
    state: str, spec: FeedSpec, before: FeedMeta, target: IO[bytes], progress: Callable[[int, int], None]
) -> Downloaded:
    if spec.url.startswith("rsync://"):
        if spec.secret:
            raise DownloadError("a secret means nothing to rsync")
        return transfer(spec.url, target)
    has_copy = os.path.exists(data_path(state, spec.url))
    known = (before.etag, before.last_modified) if has_copy else ("", "")
    return download(spec.url, target, *known, _authorization(spec.secret), progress)


def _authorization(path: str) -> str:
    """The value of the Authorization header that a file has; empty without a file."""
    if not path:
        return ""
    try:
        with open_regular(path) as stream:
            text = stream.read(_MAX_SECRET + 1).decode("ascii").strip()
    except OSError as error:
        raise DownloadError(f"the file with its secret cannot be read: {reason_of(error)}") from error
    except UnicodeDecodeError:
        text = ""
    if not text or not text.isprintable() or len(text) > _MAX_SECRET:
        raise DownloadError("the file with its secret has to have one line of printable ASCII")
    return text


def _succeeded(before: FeedMeta, spec: FeedSpec, found: Downloaded, now: float) -> FeedMeta:
    return FeedMeta(
        etag=found.etag or ("" if found.is_new else before.etag),
        last_modified=found.last_modified or ("" if found.is_new else before.last_modified),
        fetched_at=now,
        checked_at=now,
        not_before=now + max(spec.every * jittered(), found.max_age),
        fetches=before.fetches + 1,
        failed_fetches=before.failed_fetches,
    )
