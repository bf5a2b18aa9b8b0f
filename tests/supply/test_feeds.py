"""Which feeds are due, by the numbers of the rules in `feeds`; and a server that keeps some fetched."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dnsbl_server.model.feed import FeedSpec
from dnsbl_server.sources.feedstore import FeedMeta, data_path, read_meta
from dnsbl_server.supply.feeds import PARALLEL, FeedRunner, distinct, due_at, seconds_to_next, to_start
from dnsbl_server.supply.metrics import unique_names
from tests.feedserver import FeedServer, reply, serving
from tests.serving import PATIENCE, ServerProcess, state_of

NOW = 1_000_000.0
A, B = FeedSpec("https://a.example/", 3600), FeedSpec("https://b.example/", 3600)
DAY = 86400.0


@pytest.mark.parametrize(
    ("rule", "meta", "due"),
    [
        (1, FeedMeta(), 0.0),
        (1, FeedMeta(checked_at=NOW - 10, not_before=NOW + 50), NOW + 50),
        (1, FeedMeta(checked_at=NOW - 100, not_before=NOW - 50), NOW - 50),
        # `every` is an hour, so that a day is the longest pause.
        (2, FeedMeta(checked_at=NOW - 10, not_before=NOW + 9 * DAY), NOW - 10 + DAY),
        (2, FeedMeta(checked_at=NOW + 10, not_before=NOW + 3600), NOW),
    ],
)
def test_when_a_feed_is_due(rule: int, meta: FeedMeta, due: float) -> None:
    assert due_at(A, meta, NOW) == due


def test_rule_2_every_may_be_longer_than_a_day() -> None:
    spec = FeedSpec("https://a.example/", 7 * 86400)
    assert due_at(spec, FeedMeta(checked_at=NOW - 10, not_before=NOW + 9 * DAY), NOW) == NOW - 10 + 7 * DAY


def test_rule_3_one_url_is_one_feed() -> None:
    often = FeedSpec(A.url, 60)
    assert distinct([A, B, often]) == distinct([often, B, A]) == {A.url: often, B.url: B}


def test_rule_4_few_at_once_and_none_twice() -> None:
    specs = distinct(FeedSpec(f"https://{number}.example/", 3600) for number in range(10))
    metas = {url: FeedMeta(checked_at=NOW - 60, not_before=NOW - number) for number, url in enumerate(specs)}
    last = list(specs)[::-1]
    assert [spec.url for spec in to_start(specs, metas, [], NOW)] == last[:PARALLEL]
    assert [spec.url for spec in to_start(specs, metas, last[:2], NOW)] == last[2:PARALLEL]
    assert to_start(specs, metas, last[:PARALLEL], NOW) == []
    assert to_start(specs, dict.fromkeys(specs, FeedMeta(checked_at=NOW, not_before=NOW + 1)), [], NOW) == []


def test_when_to_look_again() -> None:
    specs = distinct([A, B])
    metas = {A.url: FeedMeta(checked_at=NOW, not_before=NOW + 20), B.url: FeedMeta(checked_at=NOW, not_before=NOW + 9)}
    assert seconds_to_next(specs, metas, [], NOW) == 9
    assert seconds_to_next(specs, metas, [B.url], NOW) == 20
    assert seconds_to_next(specs, {}, [], NOW) == 0
    assert seconds_to_next(specs, dict.fromkeys(specs, FeedMeta(checked_at=NOW, not_before=NOW + DAY)), [], NOW) == 300


def test_urls_that_differ_in_a_key_are_told_apart_without_it() -> None:
    urls = ["https://a.example/x?key=1", "https://a.example/x?key=2", "https://a.example/x"]
    names = unique_names(urls)
    assert list(names.values()) == ["https://a.example/x", "https://a.example/x?2", "https://a.example/x?3"]


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with serving() as running:
        yield running


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.server
def test_a_server_fetches_serves_and_says_so(tmp_path: Path, server: FeedServer) -> None:
    server.answer = reply(body=b"192.0.2.7\n")
    zone = tmp_path / "bl.yaml"
    missing = server.url("/none?key=secret")
    zone.write_text(f"zone: bl.example.org\nfiles: [{{url: '{server.url()}'}}]\n")
    state = str(tmp_path / "state")
    with ServerProcess("--state", state, str(zone)) as process:
        wait_for(lambda: process.ask("7.2.0.192.bl.example.org").answer)
        assert process.metric("dnsbl_feed_fetches_total", feed=server.url(), result="success") == 1
        assert process.metric("dnsbl_source_entries", source=server.url()) == 1
        # One more feed, that fails: the other is not fetched again, and the zone goes on.
        server.answer = reply("404 Not Found")
        zone.write_text(f"zone: bl.example.org\nfiles: [{{url: '{server.url()}'}}, {{url: '{missing}'}}]\n")
        wait_for(lambda: process.metric("dnsbl_feed_failing", feed=server.url("/none")) == 1)
        assert [request.path for request in server.requests] == ["/list.txt", "/none?key=secret"]
        assert process.ask("7.2.0.192.bl.example.org").answer
    assert not any("secret" in line for line in process.log)
    assert any(
        "not fetched: the server answers 404 Not Found; there is no copy of it yet" in line for line in process.log
    )
    assert Path(data_path(state, server.url())).read_bytes() == b"192.0.2.7\n"
    assert read_meta(state, missing).failures == 1
    # After a restart it is served at once, and asked for only when it is due.
    asked = len(server.requests)
    with ServerProcess("--state", state, str(zone)) as process:
        assert process.ask("7.2.0.192.bl.example.org").answer
        assert len(server.requests) == asked


@pytest.mark.server
def test_what_a_fetcher_has_started_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = tmp_path / "pid"
    program = tmp_path / "rsync"
    program.write_text(f"#!/bin/sh\necho $$ > {pid}.new && mv {pid}.new {pid}\nexec sleep 1000\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    async def stop_meanwhile() -> None:
        runner = FeedRunner()
        runner.set_specs([FeedSpec("rsync://127.0.0.1/lists/x", 60)])
        running = asyncio.create_task(runner.run(str(tmp_path / "state")))
        await asyncio.to_thread(wait_for, pid.exists)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(stop_meanwhile())
    started = Path("/proc") / pid.read_text().strip()
    wait_for(lambda: not started.exists() or state_of(started) == "Z")


@pytest.mark.server
def test_other_feeds_may_come_while_these_are_looked_at(tmp_path: Path) -> None:
    runner = FeedRunner()

    async def change() -> None:
        runner.set_specs([FeedSpec(f"http://127.0.0.1:9/{number}", 3600) for number in range(30)])
        running = asyncio.create_task(runner.run(str(tmp_path)))
        for number in range(20):
            await asyncio.sleep(0.001)
            runner.set_specs([FeedSpec(f"http://127.0.0.1:9/new{number}", 3600)])
        assert not running.done()
        runner.set_specs([])
        await asyncio.sleep(0.1)
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(change())
