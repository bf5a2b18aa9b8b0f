"""Work that may never end, such as a look at a file system that does not answer, beside the event loop.

Owns its threads: each call has one of its own, which nothing waits for, so that one that hangs holds up neither the
loop nor the end of the program. Knows nothing of the work.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_background(work: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
    """The result of work in a thread of its own; who is cancelled meanwhile leaves the thread to itself."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if outcome.cancelled():
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = work(*arguments, **keywords)
        except BaseException as raised:
            error = raised
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, result, error)
        del result, error

    threading.Thread(target=run, daemon=True, name=getattr(work, "__name__", "work")).start()
    return await outcome
