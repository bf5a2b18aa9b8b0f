"""Fetching a feed from servers that misbehave in every way: its last good copy stays, and it is said what happened."""

import email.utils
import gzip
import io
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from dnsbl_server.model.feed import FeedSpec
from dnsbl_server.sources.feedstore import (
    FeedBusyError,
    FeedMeta,
    data_path,
    feed_directory,
    locked,
    parse_feed_url,
    read_meta,
    write_meta,
)
from dnsbl_server.supply.download import DownloadError, download
from dnsbl_server.supply.failure import failed_fetch
from dnsbl_server.supply.fetch import fetch_feed
from tests.feedserver import Answer, FeedServer, Request, reply, serving

LIST = b"192.0.2.1\n192.0.2.2\n"
OTHER = b"192.0.2.3\n"
PAGE = b"\n <!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>\n"


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with serving() as running:
        yield running


class Feed:
    """A feed of a server, and a state directory."""

    def __init__(self, state: Path, spec: FeedSpec) -> None:
        self.state = str(state)
        self.spec = spec

    def fetch(self) -> FeedMeta:
        meta, _ = fetch_feed(self.state, self.spec)
        assert read_meta(self.state, self.spec.url) == meta
        # Nothing is left over.
        assert set(os.listdir(feed_directory(self.state, self.spec.url))) <= {"data", "meta.json", "lock"}
        return meta

    @property
    def path(self) -> Path:
        return Path(data_path(self.state, self.spec.url))

    def copy(self) -> bytes | None:
        return self.path.read_bytes() if self.path.exists() else None


@pytest.fixture
def feed(tmp_path: Path, server: FeedServer) -> Feed:
    return Feed(tmp_path / "state", FeedSpec(server.url(), 3600))


def test_a_feed_is_fetched_and_kept_for_its_owner_alone(feed: Feed, server: FeedServer) -> None:
    server.answer = reply(body=LIST)
    before = time.time()
    meta = feed.fetch()
    assert feed.copy() == LIST
    assert (meta.failures, meta.error, meta.fetches) == (0, "", 1)
    assert before <= meta.fetched_at == meta.checked_at <= time.time()
    assert meta.fetched_at + 3600 <= meta.not_before <= meta.fetched_at + 3600 * 1.1
    assert feed.path.stat().st_mode & 0o777 == 0o600
    assert feed.path.parent.stat().st_mode & 0o777 == 0o700
    (request,) = server.requests
    assert request.headers["user-agent"].startswith("dnsbl-server/")
    assert not {"if-none-match", "if-modified-since", "authorization"} & request.headers.keys()


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ({"etag": '"abc"'}, {"if-none-match": '"abc"'}),
        (
            {"last_modified": "Tue, 24 Nov 2026 10:00:00 GMT"},
            {"if-modified-since": "Tue, 24 Nov 2026 10:00:00 GMT"},
        ),
        (
            {"etag": 'W/"x"', "last_modified": "Tue, 24 Nov 2026 10:00:00 GMT"},
            {"if-none-match": 'W/"x"', "if-modified-since": "Tue, 24 Nov 2026 10:00:00 GMT"},
        ),
    ],
)
def test_what_is_had_is_not_sent_again(
    feed: Feed, server: FeedServer, said: dict[str, str], asked: dict[str, str]
) -> None:
    server.answer = reply(body=LIST, **said)
    first = feed.fetch()
    inode = feed.path.stat().st_ino
    server.answer = reply("304 Not Modified", content_length="")
    for _ in range(2):
        meta = feed.fetch()
        assert {name: server.requests[-1].headers.get(name) for name in asked} == asked
        assert (meta.failures, feed.copy(), feed.path.stat().st_ino) == (0, LIST, inode)
        assert meta.fetched_at > first.fetched_at


def test_the_same_bytes_are_no_new_version(feed: Feed, server: FeedServer) -> None:
    server.answer = reply(body=LIST)
    feed.fetch()
    before = feed.path.stat()
    feed.fetch()
    after = feed.path.stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_ctime_ns) == (
        before.st_ino,
        before.st_mtime_ns,
        before.st_ctime_ns,
    )
    server.answer = reply(body=OTHER)
    feed.fetch()
    assert feed.copy() == OTHER


def test_without_a_copy_everything_is_asked_for(feed: Feed, server: FeedServer) -> None:
    server.answer = reply(body=LIST, etag='"a"')
    feed.fetch()
    feed.path.unlink()
    feed.fetch()
    assert "if-none-match" not in server.requests[-1].headers
    feed.path.unlink()
    server.answer = reply("304 Not Modified", content_length="")
    assert "there is no copy" in feed.fetch().error


def test_a_success_after_failures_shows(feed: Feed, server: FeedServer) -> None:
    server.answer = reply(body=LIST)
    feed.fetch()
    os.utime(feed.path, (1, 1))
    server.answer = reply("500 Oops")
    feed.fetch()
    assert feed.path.stat().st_mtime == 1
    server.answer = reply("304 Not Modified", content_length="")
    feed.fetch()
    # A zone that has withdrawn it looks at it again.
    assert feed.path.stat().st_mtime > 1


def close_at_once(_request: Request, connection: socket.socket) -> None:
    connection.close()


def send_rubbish(_request: Request, connection: socket.socket) -> None:
    connection.sendall(b"220 mail.example ESMTP\r\n" * 100)


def send_endless_headers(_request: Request, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000)


def cut_chunks(_request: Request, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n" + LIST)


FAILURES: dict[str, tuple[Answer, str]] = {
    "forbidden": (reply("403 Forbidden", LIST), "the server answers 403 Forbidden"),
    "not found": (reply("404 Not Found", LIST), "the server answers 404 Not Found"),
    "too many": (reply("429 Too Many Requests", LIST), "the server answers 429 Too Many Requests"),
    "error": (reply("500 Internal Server Error", LIST), "the server answers 500 Internal Server Error"),
    "part": (reply("206 Partial Content", LIST), "the server answers 206 Partial Content"),
    "hostile reason": (reply("500 \x1b[31mred", LIST), "the server answers 500"),
    "page": (reply(body=PAGE), "the server sends a web page"),
    "page by type": (
        reply(body=LIST, content_type="text/html; charset=utf-8"),
        "the server sends a web page (text/html)",
    ),
    "page packed": (reply(body=gzip.compress(PAGE), content_encoding="gzip"), "the server sends a web page"),
    "empty": (reply(body=b""), "empty"),
    "truncated": (reply(body=LIST, content_length="100"), "the connection broke off"),
    "chunks cut": (cut_chunks, "the connection broke off"),
    "gzip cut": (reply(body=gzip.compress(LIST * 100)[:-9], content_encoding="gzip"), "cut short"),
    "gzip damaged": (reply(body=b"\x1f\x8b" + b"x" * 50, content_encoding="gzip"), "rror"),
    "encoded": (reply(body=LIST, content_encoding="br"), "the server sends it encoded as br, which was not asked for"),
    "closes": (close_at_once, "the connection broke off"),
    "no http": (send_rubbish, "the connection broke off"),
    "endless headers": (send_endless_headers, "the connection broke off"),
    "nowhere": (reply("302 Found"), "a redirect to something else than http or https"),
    "to a file": (reply("302 Found", location="file:///etc/passwd"), "a redirect that cannot be followed"),
    "to rsync": (reply("302 Found", location="rsync://127.0.0.1/x"), "a redirect to something else"),
    "with password": (reply("302 Found", location="http://a:b@127.0.0.1/"), "a redirect that cannot be followed"),
    "round": (reply("302 Found", location="/list.txt"), "more than 5 redirects"),
}


@pytest.mark.parametrize(("answer", "why"), FAILURES.values(), ids=FAILURES)
def test_what_fails_leaves_the_last_copy(feed: Feed, server: FeedServer, answer: Answer, why: str) -> None:
    server.answer = answer
    assert why in feed.fetch().error
    assert feed.copy() is None
    server.answer = reply(body=LIST, etag='"a"')
    good = feed.fetch()
    server.answer = answer
    for number in (1, 2, 3):
        meta = feed.fetch()
        assert why in meta.error
        assert meta.error.isprintable()
        assert meta.failures == number
        assert (meta.fetched_at, meta.etag) == (good.fetched_at, '"a"')
        assert feed.copy() == LIST
        delay = 60 * 2 ** (number - 1)
        assert meta.checked_at + delay <= meta.not_before <= meta.checked_at + delay * 1.1
    server.answer = reply(body=OTHER)
    assert feed.fetch().failures == 0
    assert feed.copy() == OTHER


def test_no_delay_is_longer_than_every(feed: Feed) -> None:
    meta = FeedMeta(failures=10_000)
    assert failed_fetch(meta, feed.spec, "x", 1000.0).not_before <= 1000 + 3600 * 1.1
    assert failed_fetch(meta, feed.spec, "x", 1000.0, asked=9000.0).not_before == 10_000


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("1000", 1000),
        ("999999999999999", 86400),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 60),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400),
        ("soon", 60),
        ("-5", 60),
    ],
)
def test_retry_after_is_respected(feed: Feed, server: FeedServer, said: str, seconds: float) -> None:
    server.answer = reply("429 Too Many Requests", retry_after=said)
    meta = feed.fetch()
    assert meta.not_before - meta.checked_at == pytest.approx(seconds, abs=10)


def test_retry_after_may_be_a_date(feed: Feed, server: FeedServer) -> None:
    server.answer = reply("429 Too Many Requests", retry_after=email.utils.formatdate(time.time() + 5000, usegmt=True))
    meta = feed.fetch()
    assert meta.not_before - meta.checked_at == pytest.approx(5000, abs=10)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("max-age=7200", 7200),
        ("public, MAX-AGE=7200", 7200),
        ("max-age=60", 3600),
        ("max-age=99999999999", 86400),
        ("max-age=x", 3600),
        ("no-store", 3600),
    ],
)
def test_max_age_makes_the_pause_longer_and_never_shorter(
    feed: Feed, server: FeedServer, said: str, seconds: float
) -> None:
    server.answer = reply(body=LIST, cache_control=said)
    meta = feed.fetch()
    assert seconds <= meta.not_before - meta.checked_at <= seconds * 1.1


def test_what_was_packed_for_the_way_is_unpacked(feed: Feed, server: FeedServer) -> None:
    server.answer = reply(body=gzip.compress(LIST * 100_000), content_encoding="gzip")
    feed.fetch()
    assert feed.copy() == LIST * 100_000
    # A packed list is one, and stays packed.
    server.answer = reply(body=gzip.compress(LIST), content_type="application/gzip")
    feed.fetch()
    assert gzip.decompress(feed.copy() or b"") == LIST


def got(url: str, **limits: float) -> bytes:
    target = io.BytesIO()
    download(url, target, **limits)  # type: ignore[arg-type]
    return target.getvalue()


def test_a_bomb_ends_at_the_limit(server: FeedServer) -> None:
    server.answer = reply(body=gzip.compress(bytes(50 << 20)), content_encoding="gzip")
    with pytest.raises(DownloadError, match="larger than 1,000,000 bytes"):
        got(server.url(), max_size=1_000_000)


def test_an_endless_body_ends_at_the_limit(server: FeedServer) -> None:
    def endless(_request: Request, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(LIST * 1000)

    server.answer = endless
    with pytest.raises(DownloadError, match="larger than 1,000,000 bytes"):
        got(server.url(), max_size=1_000_000)


def test_a_length_over_the_limit_is_not_begun_with(server: FeedServer) -> None:
    server.answer = reply(body=b"x", content_length="2000000")
    with pytest.raises(DownloadError, match="larger than 1,000,000 bytes"):
        got(server.url(), max_size=1_000_000)


def test_a_byte_now_and_then_ends_at_the_deadline(server: FeedServer) -> None:
    def slow(_request: Request, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"1")
            time.sleep(0.02)

    server.answer = slow
    with pytest.raises(DownloadError, match=r"took longer than 0\.3 seconds"):
        got(server.url(), deadline=0.3)


def test_silence_ends_too(server: FeedServer) -> None:
    def silent(_request: Request, connection: socket.socket) -> None:
        time.sleep(1)

    server.answer = silent
    with pytest.raises(DownloadError, match="does not answer in time"):
        got(server.url(), deadline=0.3)


def test_who_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(DownloadError, match="cannot connect"):
        got(f"http://127.0.0.1:{port}/")


class TestRedirects:
    """Those to http and https are followed, and none from https to http."""

    @pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Temporary", "308 Permanent"])
    def test_they_are_followed(self, server: FeedServer, status: str) -> None:
        def answer(request: Request, connection: socket.socket) -> None:
            moved = reply(status, location="../new?x=1") if request.path == "/a/list.txt" else reply(body=LIST)
            moved(request, connection)

        server.answer = answer
        assert got(server.url("/a/list.txt")) == LIST
        assert [request.path for request in server.requests] == ["/a/list.txt", "/new?x=1"]

    def test_a_secret_stays_with_its_server(self, server: FeedServer, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("Bearer abc\n")
        with serving() as other:
            other.answer = reply(body=LIST)
            server.answer = reply("302 Found", location=other.url())
            feed = Feed(tmp_path / "state", FeedSpec(server.url(), 60, str(tmp_path / "secret")))
            assert feed.fetch().failures == 0
            assert server.requests[0].headers["authorization"] == "Bearer abc"
            assert "authorization" not in other.requests[0].headers


class TestSecrets:
    """A secret is the content of a file, and goes nowhere but to its server."""

    @pytest.mark.parametrize("content", [b"", b"\n", b"a\nb", b"\xff", b"x" * 5000])
    def test_what_is_no_secret(self, feed: Feed, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "secret").write_bytes(content)
        feed.spec = FeedSpec(feed.spec.url, 60, str(tmp_path / "secret"))
        assert feed.fetch().error == "the file with its secret has to have one line of printable ASCII"

    def test_a_missing_file(self, feed: Feed, tmp_path: Path) -> None:
        feed.spec = FeedSpec(feed.spec.url, 60, str(tmp_path / "none"))
        assert feed.fetch().error == "the file with its secret cannot be read: no such file or directory"

    def test_it_is_never_sent_in_clear_to_another_machine(self) -> None:
        with pytest.raises(DownloadError, match="over https only"):
            download("http://feeds.example/x", io.BytesIO(), authorization="Bearer abc")

    def test_it_is_not_kept(self, feed: Feed, server: FeedServer, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("Bearer abc\n")
        feed.spec = FeedSpec(feed.spec.url, 60, str(tmp_path / "secret"))
        server.answer = reply("403 Forbidden")
        feed.fetch()
        assert all(b"abc" not in path.read_bytes() for path in Path(feed.state).rglob("*") if path.is_file())


class TestTls:
    """Certificates are verified, whatever else happens."""

    @pytest.fixture
    def authority(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> trustme.CA:
        """One that this machine trusts."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        return authority

    @staticmethod
    def context_of(certificate: trustme.LeafCert) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return context

    def test_a_good_one(self, authority: trustme.CA) -> None:
        with serving(self.context_of(authority.issue_cert("127.0.0.1"))) as server:
            server.answer = reply(body=LIST)
            assert got(server.url()) == LIST

    @pytest.mark.parametrize(
        ("issue", "why"),
        [
            (lambda authority: trustme.CA().issue_cert("127.0.0.1"), "TLS: .*(unable to get|self.signed)"),
            (lambda authority: authority.issue_cert("feeds.example"), "TLS: IP address mismatch"),
            (
                lambda authority: authority.issue_cert("127.0.0.1", not_after=datetime(2020, 1, 2, tzinfo=UTC)),
                "TLS: certificate has expired",
            ),
        ],
    )
    def test_a_bad_one(self, authority: trustme.CA, issue: Callable[[trustme.CA], trustme.LeafCert], why: str) -> None:
        with serving(self.context_of(issue(authority))) as server:
            server.answer = reply(body=LIST)
            with pytest.raises(DownloadError, match=why):
                got(server.url())
            assert server.requests == []

    def test_from_http_to_https_but_never_back(self, authority: trustme.CA, server: FeedServer) -> None:
        with serving(self.context_of(authority.issue_cert("127.0.0.1"))) as secure:
            secure.answer = reply(body=LIST)
            server.answer = reply("301 Moved", location=secure.url())
            assert got(server.url()) == LIST
            server.answer = reply(body=LIST)
            secure.answer = reply("301 Moved", location=server.url())
            with pytest.raises(DownloadError, match="a redirect from https to http"):
                got(secure.url())


class TestTheStore:
    """What stands beside a feed."""

    def test_two_never_work_on_one_feed(self, feed: Feed) -> None:
        with locked(feed.state, feed.spec.url), pytest.raises(FeedBusyError):
            feed.fetch()

    def test_leftovers_go(self, feed: Feed, server: FeedServer) -> None:
        os.makedirs(feed.path.parent)
        (feed.path.parent / ".new-abc").write_text("half")
        server.answer = reply(body=LIST)
        feed.fetch()

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "{",
            "[]",
            "[" * 100_000,
            '{"url": "other"}',
            '{"url": "URL", "x": 1}',
            '{"url": "URL", "etag": 5}',
            '{"url": "URL", "fetched_at": "x"}',
            '{"url": "URL", "etag": "a\\nb"}',
            '{"url": "URL", "fetched_at": -1}',
            '{"url": "URL", "not_before": Infinity}',
        ],
    )
    def test_what_makes_no_sense_is_not_there(self, tmp_path: Path, content: str) -> None:
        url = "https://feeds.example/x"
        write_meta(str(tmp_path), url, FeedMeta(etag="a", fetched_at=5.0))
        assert read_meta(str(tmp_path), url) == FeedMeta(etag="a", fetched_at=5.0)
        (Path(feed_directory(str(tmp_path), url)) / "meta.json").write_text(content.replace("URL", url))
        assert read_meta(str(tmp_path), url) == FeedMeta()

    @pytest.mark.parametrize(
        "text",
        [
            *("", "x", "ftp://a.example/", "https:a.example", "https://", "https:///x", "https://a.example:0/"),
            *("https://a.example:99999/", "https://u:p@a.example/", "https://a.example/#x", "https://a.example/ x"),
            *("https://é.example/", "https://[::1/", "HTTPS//a", "--help", "rsync://a@b/c"),
        ],
    )
    def test_what_is_no_url_of_a_feed(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"URL|\S"):
            parse_feed_url(text)

    def test_what_is_one(self) -> None:
        for text in ("https://a.example/x?key=1", "http://192.0.2.1:8080/", "rsync://a.example/m/x", "https://[::1]/"):
            assert parse_feed_url(text) == text
