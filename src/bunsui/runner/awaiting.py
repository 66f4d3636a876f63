"""Waiting for a session in an event loop: any loop, several at once, and no thread for each who waits."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from attrs import frozen

from bunsui.runner.waiting import POLL, pauses

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import AsyncGenerator, Callable, Sequence

    from bunsui.concurrency.notice import Notice
    from bunsui.engine.events import Event
    from bunsui.model.status import SessionStatus
    from bunsui.runner.driving.live import Live


@frozen
class News:
    """What was read of a history."""

    events: Sequence[Event]
    #: The position of the last commit that was read.
    position: int
    #: Whether there may be more behind it.
    more: bool
    #: Whether the session rested before it was read: then nothing comes after what there is.
    resting: bool


async def rest(live: Live | None, status: Callable[[Live | None], SessionStatus | None]) -> SessionStatus:
    """The status of a session once it rests.

    Args:
        live: the session, if this process drives or drove it.
        status: what it is, or None while there is something to wait for; it may block.

    Raises:
        StoreError: the store failed for longer than a lease.
    """
    import asyncio  # noqa: PLC0415 - 35 ms that nobody needs who does not wait so

    if live is not None:
        await _set(live.done)
        if live.error is not None:
            raise live.error
    looks = pauses(POLL)
    while (found := await asyncio.to_thread(status, live)) is None:
        await asyncio.sleep(next(looks))
    return found


async def stream(live: Live | None, read: Callable[[int], News]) -> AsyncGenerator[Event, None]:
    """The events of a session, oldest first, until it rests.

    Args:
        live: the session, if this process drives or drove it: then its end is seen at once.
        read: what there is behind a position; it may block.
    """
    import asyncio  # noqa: PLC0415 - see above

    position = 0
    while True:
        news = await asyncio.to_thread(read, position)
        for event in news.events:
            yield event
        position = news.position
        if news.more:
            continue
        if news.resting:
            return
        if live is None or live.done.is_set():
            await asyncio.sleep(POLL)
        else:
            await _set(live.done, POLL)


async def _set(notice: Notice, timeout: float | None = None) -> None:
    """Returns when `notice` is set, or after `timeout` seconds; it leaves nothing behind."""
    import asyncio  # noqa: PLC0415 - see above

    loop = asyncio.get_running_loop()
    future: Future[None] = loop.create_future()

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # The loop was closed while the notice was set.
            loop.call_soon_threadsafe(_resolve, future)

    notice.call(wake)
    try:
        await asyncio.wait([future], timeout=timeout)
    finally:
        notice.forget(wake)


def _resolve(future: Future[None]) -> None:
    if not future.done():  # Who waited may have been cancelled meanwhile.
        future.set_result(None)
