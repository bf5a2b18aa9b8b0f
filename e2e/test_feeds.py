"""Feeds from a real rsync daemon: fetched, followed, and left as they are when it refuses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsbl_server.model.feed import FeedSpec
from dnsbl_server.sources.feedstore import FeedMeta, data_path
from dnsbl_server.supply.download import DownloadError
from dnsbl_server.supply.fetch import fetch_feed
from dnsbl_server.supply.rsync import transfer
from e2e.daemons import Daemon, accepts

ADDRESS, PORT = "127.0.0.1", 8730
LIST, LONGER = b"192.0.2.1\n", b"192.0.2.1\n192.0.2.2\n"


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Path]:
    """The directory that the daemon serves as `lists`."""
    directory = tmp_path / "lists"
    (directory / "below").mkdir(parents=True)
    settings = tmp_path / "rsyncd.conf"
    settings.write_text(f"use chroot = no\n[lists]\npath = {directory}\nread only = yes\nuid = root\ngid = root\n")
    command = ["rsync", "--daemon", "--no-detach", f"--address={ADDRESS}", f"--port={PORT}", f"--config={settings}"]
    with Daemon(command, tmp_path / "rsync.log", lambda: accepts(ADDRESS, PORT)):
        yield directory


def url(name: str) -> str:
    return f"rsync://{ADDRESS}:{PORT}/lists/{name}"


def test_a_feed_follows_its_file(module: Path, tmp_path: Path) -> None:
    state, spec = str(tmp_path / "state"), FeedSpec(url("bad.txt"), 3600)
    copy = Path(data_path(state, spec.url))

    def fetch() -> tuple[FeedMeta, bool]:
        return fetch_feed(state, spec)

    (module / "bad.txt").write_bytes(LIST)
    assert fetch()[1]
    assert copy.read_bytes() == LIST
    inode = copy.stat().st_ino
    meta, is_new = fetch()
    assert (is_new, meta.failures, copy.stat().st_ino) == (False, 0, inode)
    (module / "bad.txt").write_bytes(LONGER)
    assert fetch()[1]
    assert copy.read_bytes() == LONGER
    for content in (b"", None):
        if content is None:
            (module / "bad.txt").unlink()
        else:
            (module / "bad.txt").write_bytes(content)
        meta, is_new = fetch()
        assert not is_new
        assert meta.error
        assert copy.read_bytes() == LONGER
    assert meta.failures == 2
    assert "No such file" in meta.error


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing", "rsync ended with status 23: .*No such file"),
        ("../../rsyncd.conf", "rsync ended with status|empty"),
        ("large", "larger than 1,000 bytes"),
        ("below", "empty"),
    ],
)
def test_what_is_refused(module: Path, tmp_path: Path, name: str, why: str) -> None:
    (module / "large").write_bytes(b"1" * 5000)
    with (tmp_path / "target").open("w+b") as target, pytest.raises(DownloadError, match=why):
        transfer(url(name), target, max_size=1000)


def test_an_unknown_module(module: Path, tmp_path: Path) -> None:
    with (tmp_path / "target").open("w+b") as target, pytest.raises(DownloadError, match="Unknown module"):
        transfer(f"rsync://{ADDRESS}:{PORT}/none/x", target)


def test_no_daemon(tmp_path: Path) -> None:
    with (tmp_path / "target").open("w+b") as target, pytest.raises(DownloadError, match="rsync ended with status"):
        transfer(url("bad.txt"), target)
