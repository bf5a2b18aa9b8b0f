"""Accepting TCP connections: a few at a time, and what happens where no descriptor is free."""

import asyncio
import itertools
import logging
import os
import resource
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from dnsbl_server.engine.listener import _TURN, TcpListener
from tests.serving import PATIENCE

Connect = Callable[[], socket.socket]


class Counting(asyncio.Protocol):
    made = 0

    def connection_made(self, _transport: asyncio.BaseTransport) -> None:
        Counting.made += 1


def run_listener(test: Callable[[TcpListener, Connect, list[None]], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine function with a listener, what connects to it, and the calls that something give way."""

    async def run() -> None:
        Counting.made = 0
        calls: list[None] = []
        sock = socket.create_server(("127.0.0.1", 0))
        address = sock.getsockname()
        listener = TcpListener(sock, Counting, lambda: calls.append(None))
        with ExitStack() as stack:
            stack.callback(listener.close)
            await test(listener, lambda: stack.enter_context(socket.create_connection(address, PATIENCE)), calls)

    asyncio.run(run())


async def until(condition: Callable[[], bool]) -> None:
    end = asyncio.get_running_loop().time() + PATIENCE
    while not condition():
        assert asyncio.get_running_loop().time() < end, "it never came to be so"
        await asyncio.sleep(0.001)


@contextmanager
def no_descriptor_free() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The next one has the lowest number that is free.
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_connections_are_accepted_a_few_at_a_time() -> None:
    async def accept(_: TcpListener, connect: Connect, _calls: list[None]) -> None:
        for _number in range(50):
            connect()
        seen = [0]
        while Counting.made < 50:
            await asyncio.sleep(0)
            seen.append(Counting.made)
        assert max(after - before for before, after in itertools.pairwise(seen)) <= _TURN

    run_listener(accept)


def test_without_a_free_descriptor_others_give_way_and_the_log_has_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async def accept(_: TcpListener, connect: Connect, calls: list[None]) -> None:
        for _number in range(20):
            connect()
        with no_descriptor_free():
            await until(lambda: len(calls) >= 3)
            assert not Counting.made
        await until(lambda: Counting.made == 20)

    with caplog.at_level(logging.WARNING):
        run_listener(accept)
    (line,) = [each.getMessage() for each in caplog.records]
    assert line == "cannot accept TCP connections: Too many open files; the longest idle ones give way"
    assert not any(each.exc_info for each in caplog.records)


def test_a_connection_that_is_reset_at_once_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def accept(_: TcpListener, connect: Connect, _calls: list[None]) -> None:
        for number in range(20):
            sock = connect()
            if number % 2:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, (1).to_bytes(4, "little") + bytes(4))
                sock.close()
        await until(lambda: Counting.made >= 10)

    run_listener(accept)
    assert caplog.records == []


def test_after_closing_nothing_is_accepted() -> None:
    async def accept(listener: TcpListener, connect: Connect, _calls: list[None]) -> None:
        connect()
        await until(lambda: Counting.made == 1)
        listener.close()
        with pytest.raises(ConnectionRefusedError):
            connect()

    run_listener(accept)


def test_closing_while_it_waits_for_a_descriptor() -> None:
    async def accept(listener: TcpListener, connect: Connect, calls: list[None]) -> None:
        connect()
        with no_descriptor_free():
            await until(lambda: bool(calls))
            listener.close()
        await asyncio.sleep(0.2)
        assert not Counting.made

    run_listener(accept)
