"""The engine's threads: what they answer from, what they count, what they leave to the slow path."""

import gc
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator

import pytest

from dnsbl_server.answer import _outcome
from dnsbl_server.answer._directory import Directory
from dnsbl_server.answer.respond import respond
from dnsbl_server.answer.snapshot import Snapshot
from dnsbl_server.engine._view import MAX_QUERY, Engine
from dnsbl_server.engine._worker import Worker
from dnsbl_server.engine.service import _KIND_OF_TYPE
from tests.asking import header, name_of, opt, padded, plain, question
from tests.serving import PATIENCE

ZONE = "bl.example.org"
LISTED = plain(f"1.2.0.192.{ZONE}")
SLOW = plain(ZONE, 6)


def directory_of(snapshot: Snapshot) -> Directory:
    return Directory(zone.table.native for zone in snapshot.zones.values())


class Running:
    """A worker in a thread of its own, with one socket and a client."""

    def __init__(self, engine: Engine, capacity: int, bind: str) -> None:
        self.engine = engine
        self.notify = os.eventfd(0, os.EFD_NONBLOCK)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((bind, 0))
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.settimeout(PATIENCE)
        self.client.connect(("127.0.0.1", self.socket.getsockname()[1]))
        self.worker = Worker(engine, [(self.socket.fileno(), False)], capacity, self.notify)
        self.thread = threading.Thread(target=self.worker.run)

    def ask(self, packet: bytes) -> bytes:
        self.client.send(packet)
        return self.client.recv(65535)

    def stop(self) -> None:
        if self.thread.is_alive():
            self.worker.stop()
            self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


@pytest.fixture
def run() -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(engine: Engine, capacity: int = 8, is_started: bool = True) -> Running:
        running = Running(engine, capacity, "127.0.0.1")
        started.append(running)
        if is_started:
            running.thread.start()
        return running

    yield start
    for running in started:
        running.stop()
        running.socket.close()
        running.client.close()
        os.close(running.notify)


@pytest.fixture
def snapshot(snapshot_of: Callable[..., Snapshot]) -> Snapshot:
    return snapshot_of(f"zone: {ZONE}\nentries: [192.0.2.0/24]\n")


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def total(engine: Engine) -> int:
    return sum(count for _, queries, _ in engine.counts() for *_, count in queries)


def test_a_worker_answers_from_what_was_adopted_last(
    run: Callable[..., Running], snapshot_of: Callable[..., Snapshot], snapshot: Snapshot
) -> None:
    running = run(Engine(1, _KIND_OF_TYPE))
    assert running.ask(LISTED)[3] & 15 == 5
    running.engine.adopt(directory_of(snapshot), None)
    assert running.ask(LISTED)[3] & 15 == 0
    running.engine.adopt(directory_of(snapshot_of(f"zone: {ZONE}\nentries: [192.0.2.2]\n")), None)
    assert running.ask(LISTED)[3] & 15 == 3


@pytest.mark.parametrize("state", ["not started", "asleep", "stopped"])
def test_what_was_adopted_before_is_let_go(
    run: Callable[..., Running], snapshot_of: Callable[..., Snapshot], state: str
) -> None:
    running = run(Engine(1, _KIND_OF_TYPE), is_started=state != "not started")
    if state != "not started":
        running.ask(LISTED)
    if state == "stopped":
        running.stop()
    seen = []
    for number in range(1, 20):
        snapshot = snapshot_of(f"zone: {ZONE}\nentries: [192.0.2.{number}]\n")
        seen.append(weakref.ref(snapshot))
        running.engine.adopt(directory_of(snapshot), snapshot)
        until(lambda: running.engine.retire() != [])
        del snapshot
    gc.collect()
    assert [reference() is None for reference in seen] == [True] * 18 + [False]


@pytest.mark.skipif(
    os.environ.get("DNSBL_BUILD") == "sanitized", reason="AddressSanitizer cannot live with a limit of its memory"
)
@pytest.mark.server
def test_what_could_not_be_adopted_changes_nothing() -> None:
    script = """
import resource
from dnsbl_server.answer._directory import Directory
from dnsbl_server.engine._view import Engine
from tests.engine.test_engine import _KIND_OF_TYPE, LISTED
# The counts of so many workers take more memory than there is from now on.
engine = Engine(1 << 20, _KIND_OF_TYPE)
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
try:
    engine.adopt(Directory(()), None)
except MemoryError:
    print("no memory")
print(engine.retire(), engine.answer(LISTED, 0.0)[3] & 15)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "no memory\n[] 5\n"), done.stderr


def test_counts_of_what_is_let_go_are_handed_over(run: Callable[..., Running], snapshot: Snapshot) -> None:
    running = run(Engine(1, _KIND_OF_TYPE))
    running.engine.adopt(directory_of(snapshot), "first")
    running.engine.retire()
    for _ in range(5):
        running.ask(LISTED)
    running.ask(plain(f"1.3.0.192.{ZONE}", 16))
    running.ask(plain("example.com"))
    queries = [
        (False, 0, 1, _outcome.LISTED, 5),
        (False, 0, 6, _outcome.NOT_LISTED, 1),
        (False, None, 1, _outcome.REFUSED, 1),
    ]
    expected = ("first", queries, [(0, 0, 5)])
    assert running.engine.counts() == [expected]
    running.engine.adopt(directory_of(snapshot), "second")
    assert running.engine.retire() == [expected]
    assert running.engine.counts() == [("second", [], [])]


def test_adoption_while_asked_loses_and_mixes_nothing(
    run: Callable[..., Running], snapshot_of: Callable[..., Snapshot]
) -> None:
    """Two versions in turn, thousands of times, while a client asks: each answer is of one of them, and is counted."""
    running = run(Engine(1, _KIND_OF_TYPE))
    versions = [
        snapshot_of(f"zone: {ZONE}\nttl: {ttl}\ncode: 127.0.0.{ttl}\nentries: [192.0.2.0/24]\n") for ttl in (3, 4)
    ]
    directories = [directory_of(version) for version in versions]
    engine = running.engine
    engine.adopt(directories[0], None)
    adopted = 0
    counted = 0
    asked = 0
    stop = threading.Event()

    def adopt() -> None:
        nonlocal adopted, counted
        while not stop.is_set():
            engine.adopt(directories[adopted % 2], None)
            retired = engine.retire()
            counted += sum(count for _, queries, _ in retired for *_, count in queries)
            adopted += 1

    thread = threading.Thread(target=adopt)
    thread.start()
    try:
        until(lambda: adopted > 0)
        while asked < 2000 or adopted < 200:
            answer = running.ask(LISTED)
            ttl, address = struct.unpack_from("!I2x4s", answer, len(LISTED) + 6)
            assert (ttl, address) in ((3, b"\x7f\0\0\3"), (4, b"\x7f\0\0\4"))
            asked += 1
    finally:
        stop.set()
        thread.join()
    assert counted + total(engine) == asked


def test_packets_of_the_slow_path_wait_in_the_queue(run: Callable[..., Running], snapshot: Snapshot) -> None:
    running = run(Engine(1, _KIND_OF_TYPE))
    running.engine.adopt(directory_of(snapshot), None)
    assert running.worker.take() is None
    slow = [
        SLOW,
        plain("version.bind", 16, 3),
        header(0, (1, 0, 0, 1)) + question(name_of(f"1.2.0.192.{ZONE}")) + opt(version=1),
    ]
    for packet in slow:
        running.client.send(packet)
    assert running.ask(LISTED)
    # The plain ones of a batch leave first.
    assert select.select([running.notify], [], [], PATIENCE)[0]
    assert os.eventfd_read(running.notify) >= 1
    for number, packet in enumerate(slow):
        taken = running.worker.take()
        assert taken is not None
        assert taken[0] == packet
        assert running.worker.send(b"answer %d" % number, taken[1])
        assert running.client.recv(100) == b"answer %d" % number
    assert running.worker.take() is None
    assert total(running.engine) == 1


def test_more_than_the_queue_holds_is_dropped_and_counted(run: Callable[..., Running], snapshot: Snapshot) -> None:
    running = run(Engine(1, _KIND_OF_TYPE), capacity=8)
    running.engine.adopt(directory_of(snapshot), None)
    for _ in range(3):
        for _ in range(100):
            running.client.send(SLOW)
        # The plain one behind them is answered all the same.
        assert running.ask(LISTED)
        taken = 0
        while running.worker.take():
            taken += 1
        assert taken == 8
    counts = running.engine.counts()[-1]
    assert counts[1] == [(False, 0, 1, _outcome.LISTED, 3), (False, None, 0, _outcome.DROPPED, 3 * 92)]


def test_a_query_of_any_size_is_taken(run: Callable[..., Running], snapshot: Snapshot) -> None:
    running = run(Engine(1, _KIND_OF_TYPE))
    running.engine.adopt(directory_of(snapshot), None)
    for size in (0, 1, 11, 12, MAX_QUERY - 1, MAX_QUERY, MAX_QUERY + 1, 9000, 65000):
        running.client.send(LISTED + bytes(max(0, size - len(LISTED))) if size >= 12 else bytes(size))
    answers = [running.client.recv(65535) for _ in range(6)]
    assert [answer[3] & 15 for answer in answers] == [0] + [1] * 5


def test_a_query_that_is_cut_off_is_not_answered_as_if_it_were_whole(
    run: Callable[..., Running], snapshot: Snapshot
) -> None:
    running = run(Engine(1, _KIND_OF_TYPE))
    running.engine.adopt(directory_of(snapshot), None)
    whole = header(0, (1, 0, 0, 1)) + question(name_of(f"1.2.0.192.{ZONE}"))
    padding = MAX_QUERY - len(whole) - len(opt()) - 4
    whole += opt()[:-2] + struct.pack("!3H", padding + 4, 12, padding) + bytes(padding)
    assert running.ask(whole)[3] & 15 == 0
    for more in (1, 100, 5000):
        assert running.ask(whole + bytes(more))[3] & 15 == 1
        assert running.ask(whole[:2] + b"\x28" + whole[3:] + bytes(more))[3] & 15 == 4
        over_tcp = running.engine.answer(whole + bytes(more), time.time())
        assert over_tcp is not None
        assert over_tcp[3] & 15 == 1


@pytest.mark.parametrize("size", [MAX_QUERY, MAX_QUERY + 1, 65535])
def test_a_query_over_tcp_may_have_any_size(snapshot: Snapshot, size: int) -> None:
    engine = Engine(1, _KIND_OF_TYPE)
    engine.adopt(directory_of(snapshot), None)
    packet = padded(f"1.2.0.192.{ZONE}", size)
    assert engine.answer(packet, 0.0) == respond(snapshot, packet, 0.0, True).packet
    # The one behind it finds nothing of it.
    assert engine.answer(LISTED, 0.0) == respond(snapshot, LISTED, 0.0, True).packet


def test_more_than_a_message_over_tcp_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than a message"):
        Engine(1, _KIND_OF_TYPE).answer(bytes(65536), 0.0)


@pytest.mark.parametrize("capacity", [0, 3, 7])
def test_a_queue_that_is_no_power_of_two_is_refused(capacity: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        Worker(Engine(1, _KIND_OF_TYPE), [], capacity, 0)


def test_a_socket_that_always_has_something_waits_while_the_others_have_their_turn(snapshot: Snapshot) -> None:
    engine = Engine(1, _KIND_OF_TYPE)
    engine.adopt(directory_of(snapshot), None)
    notify = os.eventfd(0, os.EFD_NONBLOCK)
    # Of a pair of Unix sockets, the worker cannot go on until its answers are read, and it never finds its end empty:
    # what was read is asked again before.
    busy, greedy = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    quiet, client = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for each in (busy, greedy, quiet, client):
        each.setblocking(False)
    worker = Worker(engine, [(busy.fileno(), False), (quiet.fileno(), False)], 8, notify)
    thread = threading.Thread(target=worker.run)

    def ask_as_much_as_it_takes() -> None:
        try:
            while True:
                greedy.send(LISTED)
        except BlockingIOError:
            pass

    ask_as_much_as_it_takes()
    client.send(LISTED)
    thread.start()
    try:
        for _ in range(20_000):
            ask_as_much_as_it_takes()
            if select.select([greedy, client], [], [], PATIENCE)[0] != [greedy]:
                break
            greedy.recv(65535)
        # One turn is 16 batches of at most 64.
        assert client.recv(65535)[3] & 15 == 0
    finally:
        worker.stop()
        thread.join(PATIENCE)
        for each in (busy, greedy, quiet, client):
            each.close()
        os.close(notify)


def test_more_workers_than_the_engine_was_made_for_are_refused() -> None:
    engine = Engine(1, _KIND_OF_TYPE)
    Worker(engine, [], 8, 0)
    with pytest.raises(ValueError, match="more workers"):
        Worker(engine, [], 8, 0)


@pytest.mark.parametrize("kinds", [b"", bytes(255), bytes(255) + b"\x10"])
def test_kinds_that_are_none_are_refused(kinds: bytes) -> None:
    with pytest.raises(ValueError, match="256 numbers"):
        Engine(1, kinds)
