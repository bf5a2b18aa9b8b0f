"""`fetch`: what it says of each feed, where it keeps them, and the exit status."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsbl_server.sources.feedstore import data_path, locked
from tests.commands import run
from tests.feedserver import FeedServer, Request, reply, serving

LIST = b"192.0.2.1\n192.0.2.2\n"


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with serving() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path, server: FeedServer) -> Path:
    """A directory with a zone of one feed, whose URL has a key."""
    (tmp_path / "zones").mkdir()
    url = server.url("/list.txt?key=secret")
    (tmp_path / "zones" / "bl.yaml").write_text(f"zone: bl.test\nfiles: [{{url: '{url}', every: 1h}}]\n")
    return tmp_path


STATE = ("--state", "state")


def test_a_feed_is_fetched_whether_it_is_due_or_not(place: Path, server: FeedServer) -> None:
    server.answer = reply(body=LIST)
    done = run(place, "fetch", *STATE)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout == f"{server.url()}: a new version, 2 entries\n"
    done = run(place, "fetch", *STATE, "zones/bl.yaml")
    assert (done.status, done.stdout) == (0, f"{server.url()}: nothing new, 2 entries\n")
    assert len(server.requests) == 2


def test_a_failure_is_said_and_the_copy_stays(place: Path, server: FeedServer) -> None:
    server.answer = reply(body=LIST)
    run(place, "fetch", *STATE)
    server.answer = reply("503 Service Unavailable")
    done = run(place, "fetch", *STATE)
    assert (done.status, done.stdout) == (
        1,
        f"{server.url()}: not fetched: the server answers 503 Service Unavailable\n",
    )
    assert Path(data_path(str(place / "state"), server.url("/list.txt?key=secret"))).read_bytes() == LIST
    # A failure alone is no reason to wait for who asks by hand.
    server.answer = reply(body=LIST)
    assert run(place, "fetch", *STATE).status == 0


def test_what_is_fetched_and_no_list_is_said(place: Path, server: FeedServer) -> None:
    server.answer = reply(body=b"no\nlist\nat\nall\n" * 10)
    done = run(place, "fetch", *STATE)
    assert done.status == 1
    assert f"{server.url()}: a new version, but not taken: " in done.stdout


def test_a_server_that_asks_for_it_is_left_alone(place: Path, server: FeedServer) -> None:
    server.answer = reply("429 Too Many Requests", retry_after="1000")
    assert run(place, "fetch", *STATE).status == 1
    server.answer = reply(body=LIST)
    done = run(place, "fetch", *STATE)
    assert done.status == 1
    assert "its server asks to be left alone for " in done.stdout
    assert len(server.requests) == 1
    assert run(place, "fetch", *STATE, "--force").status == 0
    assert run(place, "fetch", *STATE).status == 0


def test_one_of_two_fails(place: Path, server: FeedServer) -> None:
    def answer(request: Request, connection: socket.socket) -> None:
        (reply(body=LIST) if "list" in request.path else reply("404 Not Found"))(request, connection)

    server.answer = answer
    (place / "zones" / "two.yaml").write_text(f"zone: two.test\nfiles: [{{url: '{server.url('/none')}'}}]\n")
    done = run(place, "fetch", *STATE, "--json")
    assert done.status == 1
    first, second = json.loads(done.stdout)
    assert (first["fetched"], first["entries"], first["held_back"]) == (True, 2, None)
    assert second == {
        "url": server.url("/none"),
        "fetched": False,
        "outcome": "the server answers 404 Not Found",
        "entries": 0,
        "held_back": "has not been fetched yet",
    }


def test_one_that_is_being_fetched(place: Path, server: FeedServer) -> None:
    (place / "state").mkdir()
    with locked(str(place / "state"), server.url("/list.txt?key=secret")):
        done = run(place, "fetch", *STATE)
    assert (done.status, done.stdout) == (1, f"{server.url()}: not fetched: is being fetched by another process\n")


def test_without_feeds(place: Path) -> None:
    (place / "zones" / "bl.yaml").write_text("zone: bl.test\nentries: [192.0.2.1]\n")
    done = run(place, "fetch", *STATE)
    assert (done.status, done.stdout) == (0, "no feed to fetch\n")


def test_a_zone_file_with_errors_is_no_zone_without_feeds(place: Path, server: FeedServer) -> None:
    (place / "zones" / "bl.yaml").write_text(f"zone: bl.test\nfilse: [{{url: '{server.url()}'}}]\n")
    done = run(place, "fetch", *STATE)
    assert done.status == 2
    assert "zones/bl.yaml:2:1: filse: " in done.stderr


@pytest.mark.parametrize("arguments", [("--state", "off"), ("--state", "state", "missing")])
def test_what_cannot_be_done(place: Path, arguments: tuple[str, ...]) -> None:
    assert run(place, "fetch", *arguments).status == 2
