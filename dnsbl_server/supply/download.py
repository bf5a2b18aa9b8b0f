"""One download over HTTP(S) into a file, from a server that may do anything.

Owns what is asked and what is believed: certificates and names are always verified, redirects are followed by hand, and
what came must be as long as was said. A download has limits of size and time, and holds no more than a piece of it in
memory. Knows nothing of feeds and of what the bytes mean. Fetchers alone import this.
"""

import email.utils
import ssl
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import IO
from urllib.parse import urljoin, urlsplit

import urllib3

from dnsbl_server import __version__
from dnsbl_server.sources.feedstore import parse_feed_url

MAX_SIZE = 1 << 30
DEADLINE = 600.0
_MAX_REDIRECTS = 5
_CONNECT, _READ = 15.0, 60.0  # seconds
_PIECE = 1 << 16
_UNPACKED = 1 << 20
_GZIP = 31  # zlib's wbits for gzip with the largest window
_BEGINNING = 1024
_REDIRECTS = (301, 302, 303, 307, 308)
_DAY = 86400
MOST_RETRY = _DAY
# What a page begins with; a list does not.
_PAGE = (b"<!doctype", b"<html", b"<head", b"<body", b"<?xml", b"<script", b"<!--")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class DownloadError(RuntimeError):
    """Nothing was got that may be used; the text says why. retry_after: seconds that the server asks to wait."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Downloaded:
    """What a server said. is_new: whether the file has a body now; max_age: seconds that it says the body holds."""

    is_new: bool
    etag: str = ""
    last_modified: str = ""
    max_age: float = 0.0


def download(
    url: str,
    target: IO[bytes],
    etag: str = "",
    last_modified: str = "",
    authorization: str = "",
    progress: Callable[[int, int], None] = lambda done, size: None,
    max_size: int = MAX_SIZE,
    deadline: float = DEADLINE,
) -> Downloaded:
    """Get a URL into a file, unless what is had already is current.

    etag, last_modified: of what is had; authorization: the value of that header, for the server of `url` alone;
    progress: called with the bytes so far, and how many there will be or 0; max_size: bytes, unpacked; deadline:
    seconds for all of it. Raises DownloadError.
    """
    end = time.monotonic() + deadline
    headers = {"User-Agent": f"dnsbl-server/{__version__}", "Accept": "*/*", "Accept-Encoding": "gzip"}
    if etag:
        headers["If-None-Match"] = etag
    if last_modified:
        headers["If-Modified-Since"] = last_modified
    if authorization and not _is_private(url):
        raise DownloadError("a secret is sent over https only, or to this machine")
    first = url
    with urllib3.PoolManager(num_pools=1, retries=False, ssl_context=ssl.create_default_context()) as pool:
        for _ in range(_MAX_REDIRECTS + 1):
            own = {"Authorization": authorization} if authorization and _origin(url) == _origin(first) else {}
            try:
                response = pool.request(
                    "GET",
                    url,
                    headers={**headers, **own},
                    redirect=False,
                    preload_content=False,
                    decode_content=False,
                    timeout=urllib3.Timeout(connect=_CONNECT, read=min(_READ, max(0.1, end - time.monotonic()))),
                )
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                raise DownloadError(_reason(error)) from error
            try:
                if response.status in _REDIRECTS:
                    url = _redirected(url, response.headers.get("Location", ""))
                    continue
                return _take(response, target, progress, max_size, end, deadline)
            finally:
                response.close()
    raise DownloadError(f"more than {_MAX_REDIRECTS} redirects")


def _take(
    response: urllib3.BaseHTTPResponse,
    target: IO[bytes],
    progress: Callable[[int, int], None],
    max_size: int,
    end: float,
    deadline: float,
) -> Downloaded:
    """What a response says that is no redirect; its body goes into the file."""
    headers = response.headers
    found = Downloaded(
        is_new=response.status == 200,
        etag=_printable(headers.get("ETag", "")),
        last_modified=_printable(headers.get("Last-Modified", "")),
        max_age=_max_age(headers),
    )
    if response.status == 304:
        return found
    if response.status != 200:
        said = f"the server answers {response.status} {_printable(response.reason or '')}"
        raise DownloadError(said.strip(), _wait(headers))
    encoding = headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip", "x-gzip", ""):
        raise DownloadError(f"the server sends it encoded as {_printable(encoding)[:20]}, which was not asked for")
    if headers.get("Content-Type", "").lower().startswith("text/html"):
        raise DownloadError("the server sends a web page (text/html)")
    said = headers.get("Content-Length", "")
    size = int(said) if said.isascii() and said.isdigit() and len(said) < 16 else 0
    if size > max_size:
        raise DownloadError(f"larger than {max_size:,} bytes")
    is_packed = encoding in ("gzip", "x-gzip")
    done = _copy(response, target, is_packed, lambda got: progress(got, size), size, max_size, end, deadline)
    if not done:
        raise DownloadError("empty")
    return found


def _copy(
    response: urllib3.BaseHTTPResponse,
    target: IO[bytes],
    is_packed: bool,
    progress: Callable[[int], None],
    size: int,
    max_size: int,
    end: float,
    deadline: float,
) -> int:
    """Copy the body into the file; how many bytes that are, unpacked. size: as the server said, 0 where it did not."""
    unpack = zlib.decompressobj(_GZIP) if is_packed else None
    received = done = 0
    beginning = b""
    try:
        while piece := response.read1(_PIECE):
            received += len(piece)
            if time.monotonic() > end:
                raise DownloadError(f"took longer than {deadline:g} seconds")
            # What a piece unpacks to comes in parts, so that a bomb ends at the limit.
            while piece:
                if unpack and unpack.eof:
                    # One member after the other (RFC 1952 section 2.2).
                    unpack = zlib.decompressobj(_GZIP)
                content = unpack.decompress(piece, _UNPACKED) if unpack else piece
                piece = unpack.unconsumed_tail or unpack.unused_data if unpack else b""
                done += len(content)
                if max(received, done) > max_size:
                    raise DownloadError(f"larger than {max_size:,} bytes")
                if len(beginning) < _BEGINNING:
                    beginning += content[:_BEGINNING]
                    if beginning.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_PAGE):
                        raise DownloadError("the server sends a web page")
                target.write(content)
            progress(received)
    except (urllib3.exceptions.HTTPError, OSError, ValueError, zlib.error) as error:
        raise DownloadError(_reason(error)) from error
    if size and received != size:
        raise DownloadError(f"cut short: {received:,} of {size:,} bytes")
    if unpack and not unpack.eof:
        raise DownloadError("cut short: the gzip data does not end")
    return done


def _redirected(url: str, location: str) -> str:
    """Where a redirect leads to."""
    try:
        target = parse_feed_url(urljoin(url, location).partition("#")[0]) if location else ""
    except ValueError as error:
        raise DownloadError(f"a redirect that cannot be followed: {error}") from None
    if not target.startswith(("http://", "https://")):
        raise DownloadError("a redirect to something else than http or https")
    if url.startswith("https://") and not target.startswith("https://"):
        raise DownloadError("a redirect from https to http")
    return target


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)


def _is_private(url: str) -> bool:
    """Whether nobody else can read what is sent to a URL."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _wait(headers: Mapping[str, str]) -> float:
    """Seconds of Retry-After (RFC 9110 section 10.2.3), a day at most; 0 where there is none."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:9]), MOST_RETRY))
    try:
        return min(max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time()), MOST_RETRY)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _max_age(headers: Mapping[str, str]) -> float:
    """Seconds of max-age (RFC 9111 section 5.2.2.1), a day at most; 0 where it is not said."""
    for part in headers.get("Cache-Control", "").split(","):
        name, _, value = part.strip().partition("=")
        if name.lower() == "max-age" and value.isascii() and value.isdigit():
            return float(min(int(value[:9]), _DAY))
    return 0.0


def _printable(text: str) -> str:
    return text[:200] if text.isascii() and text.isprintable() else ""


def _reason(error: Exception) -> str:
    """What an error of the network says, in few words."""
    if isinstance(error, urllib3.exceptions.SSLError | ssl.SSLError):
        inner = error.args[0] if error.args else error
        text = getattr(inner, "verify_message", "") or getattr(inner, "reason", "") or str(inner)
        return f"TLS: {text}"
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return f"cannot connect: {_inner(error)}"
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return "the server does not answer in time"
    if isinstance(error, urllib3.exceptions.IncompleteRead | urllib3.exceptions.ProtocolError):
        return f"the connection broke off: {_inner(error)}"
    return _inner(error)


def _inner(error: Exception) -> str:
    text = str(error).rpartition(">: ")[2].replace("\n", " ")
    return "".join(each if each.isprintable() else "?" for each in text)[:200]
