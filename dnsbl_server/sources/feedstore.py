"""Where fetched feeds are kept in the state directory.

Owns the paths, what is written beside a feed, and that two processes never work on one. Nothing here believes what it
reads: beside a feed may stand what an earlier version wrote, or nothing. Knows nothing of how a feed is fetched.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from urllib.parse import urlsplit

from dnsbl_server.sources.files import open_regular

_DIRECTORY = "feeds"
_DATA, _META, _LOCK = "data", "meta.json", "lock"
_MODE = 0o700
_SCHEMES = ("https", "http", "rsync")


class FeedBusyError(RuntimeError):
    """Another process is fetching the feed."""


@dataclass(frozen=True, slots=True)
class FeedMeta:
    """What is known of a feed. All times in seconds since 1970; 0 where there is none.

    etag, last_modified: of the copy, as the server said them; fetched_at: when the copy was last known to be current;
    checked_at: of the last try; failures: tries in a row that failed, and error: why the last one did; not_before: no
    try until then; asked_until: until when its server wants to be left alone; fetches, failed_fetches: so far.
    """

    etag: str = ""
    last_modified: str = ""
    fetched_at: float = 0.0
    checked_at: float = 0.0
    failures: int = 0
    error: str = ""
    not_before: float = 0.0
    fetches: int = 0
    failed_fetches: int = 0
    asked_until: float = 0.0


def parse_feed_url(text: str) -> str:
    """The URL of a feed. Raises ValueError."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("a URL has only printable ASCII, without blanks")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"not a URL: {error}") from None
    if parts.scheme not in _SCHEMES or not text.startswith(f"{parts.scheme}://"):
        raise ValueError("a URL begins with https://, http:// or rsync://")
    if not parts.hostname or port == 0:
        raise ValueError("the URL names no host")
    if "@" in parts.netloc:
        raise ValueError("no user and password in a URL; put them into a file that secret names")
    if parts.fragment:
        raise ValueError("a URL of a feed has no #fragment")
    return text


def shown_url(url: str) -> str:
    """A URL as it is shown: what follows its `?` may be a key."""
    return url.partition("?")[0]


def feed_directory(state: str, url: str) -> str:
    """Where all of one feed is."""
    return os.path.join(state, _DIRECTORY, sha256(url.encode()).hexdigest()[:32])


def data_path(state: str, url: str) -> str:
    """The file that has the newest copy of a feed."""
    return os.path.join(feed_directory(state, url), _DATA)


def fetched_at(state: str, url: str) -> float:
    """When the copy of a feed was last known to be current, in seconds since 1970; 0 where that is not known."""
    return read_meta(state, url).fetched_at


def read_meta(state: str, url: str) -> FeedMeta:
    """What is known of a feed; what makes no sense is as if it were not there."""
    try:
        with open_regular(os.path.join(feed_directory(state, url), _META)) as stream:
            found = json.loads(stream.read(1 << 16))
        if found.pop("url") != url:
            return FeedMeta()
        meta = FeedMeta(**found)
        texts = (meta.etag, meta.last_modified, meta.error)
        times = (meta.fetched_at, meta.checked_at, meta.not_before, meta.asked_until)
        numbers = (*times, meta.failures, meta.fetches, meta.failed_fetches)
        is_sound = all(isinstance(text, str) and text.isprintable() for text in texts) and all(
            isinstance(number, int | float) and 0 <= number < 1e12 for number in numbers
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return FeedMeta()
    return meta if is_sound else FeedMeta()


def write_meta(state: str, url: str, meta: FeedMeta) -> None:
    """Replace what is known of a feed. Raises OSError."""
    directory = feed_directory(state, url)
    os.makedirs(directory, _MODE, exist_ok=True)
    aside = os.path.join(directory, f".{_META}")
    with open(aside, "w", encoding="ascii", opener=_private) as stream:
        json.dump({"url": url, **asdict(meta)}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(aside, os.path.join(directory, _META))


@contextlib.contextmanager
def locked(state: str, url: str) -> Iterator[str]:
    """The directory of a feed, ours alone for as long as this lasts. Raises FeedBusyError, OSError."""
    directory = feed_directory(state, url)
    os.makedirs(directory, _MODE, exist_ok=True)
    descriptor = os.open(os.path.join(directory, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FeedBusyError("is being fetched by another process") from error
        for name in os.listdir(directory):
            if name not in (_DATA, _META, _LOCK):
                os.unlink(os.path.join(directory, name))  # a fetch that was interrupted left it
        yield directory
    finally:
        os.close(descriptor)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
