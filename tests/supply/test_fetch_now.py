"""A fetch for somebody who waits for it ends, and a packed answer is taken as a whole."""

import gzip
import io
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsbl_server.model.feed import FeedSpec
from dnsbl_server.supply.download import DownloadError, download
from dnsbl_server.supply.fetch import FetchError, fetch_now
from tests.feedserver import FeedServer, Request, reply, serving


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with serving() as running:
        yield running


def test_headers_a_byte_at_a_time_end_too(server: FeedServer, tmp_path: Path) -> None:
    is_over = threading.Event()

    def drip(_request: Request, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not is_over.wait(0.02):
            connection.sendall(b"x")

    server.answer = drip
    try:
        with pytest.raises(FetchError, match=r"took longer than 0\.5 seconds"):
            fetch_now(str(tmp_path), FeedSpec(server.url(), 60), lambda done, size: None, patience=0.5)
    finally:
        is_over.set()


# The second member begins in one piece with the first, or in another one.
@pytest.mark.parametrize("lines", [10, 100_000])
def test_gzip_of_several_members_is_one_body(server: FeedServer, lines: int) -> None:
    first = b"".join(b"192.0.%d.%d\n" % (line >> 8 & 255, line & 255) for line in range(lines))
    server.answer = reply(body=gzip.compress(first) + gzip.compress(b"192.0.2.2\n"), content_encoding="gzip")
    target = io.BytesIO()
    download(server.url(), target)
    assert target.getvalue() == first + b"192.0.2.2\n"


def test_what_follows_gzip_and_is_none(server: FeedServer) -> None:
    server.answer = reply(body=gzip.compress(b"192.0.2.1\n") + b"and more", content_encoding="gzip")
    with pytest.raises(DownloadError, match="incorrect header check"):
        download(server.url(), io.BytesIO())
