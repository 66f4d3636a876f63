"""Blocking work that an event loop waits for, and that ends when the wait is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

#: Seconds between two interrupts of work that is to end.
TICK = 0.1


async def interruptible(work: Callable[[], Result], interrupt: Callable[[], None]) -> Result:
    """What blocking work returns, or raises.

    The runner cancels an async job at its timeout, and when its session is cancelled or the runner is closed.
    Then the work is interrupted, and has ended when this returns: no thread goes on behind the runner's back.

    Args:
        work: runs in a thread of its own. Not in one of asyncio's, of which there are few, and which keep
            the interpreter from ending.
        interrupt: makes the work end soon; from another thread, several times where once is not enough.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Result] = loop.create_future()

    def tell(result: Result | None, error: BaseException | None) -> None:
        if error is None:
            ended.set_result(result)  # type: ignore[arg-type] # It is there where no error is.
        else:
            ended.set_exception(error)

    def main() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:  # It is raised where somebody waits for it.
            error = raised
        with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits any more.
            loop.call_soon_threadsafe(tell, result, error)

    threading.Thread(target=main, name="bunsui-duckdb", daemon=True).start()
    try:
        return await asyncio.shield(ended)
    except asyncio.CancelledError:
        while not ended.done():
            interrupt()
            await asyncio.wait([ended], timeout=TICK)
        ended.exception()  # Looked at, as asyncio wants it; the cancellation is what counts.
        raise
