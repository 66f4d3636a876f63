"""The event loop of a runner: one thread for all attempts whose code is async."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from bunsui.engine.reasons import overdue
from bunsui.errors import JobCancelled, JobTimeout, StateError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Task

    from bunsui.runner.attempts.work import Work

#: Seconds that code which was cancelled may take to end, as processes do; then nobody counts on its end.
GRACE = 5.0
#: Seconds for which closing waits for what jobs have left behind in the loop.
CLOSING = 2.0


class Running:
    """An awaitable on its way through an event loop: cancelled at its deadline, or from any thread.

    Args:
        awaitable: what is awaited.
        deadline: seconds on the monotonic clock; None: never.
        cancelled: set when the work is to stop, so that its threads see it too.
        ended: told in the loop's thread what came of it: a result, or an exception.
        timeout: seconds, of which the deadline is the end; for the message.
    """

    def __init__(
        self,
        awaitable: Awaitable[Any],
        deadline: float | None,
        cancelled: threading.Event,
        ended: Callable[[Any, BaseException | None], None],
        timeout: float | None = None,
    ) -> None:
        self.awaitable = awaitable
        self._deadline = deadline
        self._cancelled = cancelled
        self._ended = ended
        self._timeout = timeout
        self._loop: AbstractEventLoop | None = None
        self._task: Task[Any] | None = None
        self._stopped = False
        self._overdue = False

    async def run(self) -> None:
        """Awaits it to its end and tells what came of it; never raises."""
        import asyncio  # noqa: PLC0415 - 35 ms that blocking jobs do not need

        # Before the look at the event: `stop` sets that first, so one of the two sees the other.
        self._loop = loop = asyncio.get_running_loop()
        result: Any = None
        error: BaseException | None = None
        timer = None
        try:
            if self._cancelled.is_set():
                raise JobCancelled("the attempt was stopped before it began")
            self._task = asyncio.current_task()
            if self._deadline is not None:
                timer = loop.call_later(max(self._deadline - time.monotonic(), 0.0), self._expire)
            result = await self.awaitable
        except BaseException as raised:  # The border: SystemExit would end the loop with all that is in it.
            error = raised
        self._task = None
        if timer is not None:
            timer.cancel()
        drop(self.awaitable)
        was_cancelled = isinstance(error, asyncio.CancelledError)
        if self._overdue:
            late = JobTimeout(overdue(self._timeout, " and was cancelled"))
            late.__cause__ = None if was_cancelled else error
            error = late
        elif was_cancelled and self._stopped:
            error = JobCancelled("the attempt was stopped")
        self._ended(result, error)

    def stop(self) -> None:
        """Cancels it, from any thread; one that has not begun does not begin."""
        self._cancelled.set()
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # The loop is closed.
                self._loop.call_soon_threadsafe(self._cancel)

    def _expire(self) -> None:
        if not self._stopped:
            self._overdue = True
            self._cancelled.set()
            self._cancel()

    def _cancel(self) -> None:
        # Once: a second CancelledError would end what the first one's handlers are cleaning up.
        if self._task is not None and not self._stopped:
            self._stopped = True
            self._task.cancel()


class EventLoop:
    """One thread that runs what is async, started with the first of it."""

    def __init__(self) -> None:
        #: Guards what follows: what is handed over comes before the end.
        self._lock = threading.Lock()
        self._loop: AbstractEventLoop | None = None
        self._closing: Future[None] | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        #: The loop itself holds its tasks only weakly.
        self._tasks: set[Task[None]] = set()

    def take(self, works: list[Work]) -> list[Work]:
        """Begins the attempts whose code is known to be async; those that are left need a thread.

        All of them are left where there is no loop to be had.
        """
        taken: list[Work] = []
        left: list[Work] = []
        for work in works:
            (taken if work.is_async else left).append(work)
        if not taken:
            return works
        with self._lock:
            try:
                loop = self._open_loop()
            except (OSError, RuntimeError, StateError):  # Their own threads find the same, and report it.
                return works
            for work in taken:
                work.expect_end()
                loop.call_soon_threadsafe(work)
        return left

    def start(self, running: Running) -> None:
        """Has an awaitable run, in a copy of the caller's context; from any thread.

        Raises:
            StateError: this loop is closed; the awaitable was let go of.
        """
        try:
            with self._lock:
                loop = self._open_loop()
                loop.call_soon_threadsafe(self._begin, loop, running)
        except BaseException:  # Only to clean up: it goes on.
            drop(running.awaitable)
            raise

    @property
    def is_here(self) -> bool:
        """Whether this is the loop's own thread, which must not wait."""
        return threading.current_thread() is self._thread

    def _open_loop(self) -> AbstractEventLoop:
        """The loop, started where it was not; for who holds the lock."""
        if self._closed:
            raise StateError("this runner is closed", hint="make another one")
        if self._loop is not None:
            return self._loop
        import asyncio  # noqa: PLC0415 - 35 ms that blocking jobs do not need

        loop = asyncio.new_event_loop()
        closing = loop.create_future()
        # A daemon: code that swallows its cancellation must not keep the interpreter from ending.
        thread = threading.Thread(
            target=self._main, args=(loop, closing), name="bunsui-event-loop", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # The system gives no more threads.
            loop.close()
            raise
        self._loop, self._closing, self._thread = loop, closing, thread
        return loop

    def _begin(self, loop: AbstractEventLoop, running: Running) -> None:
        task = loop.create_task(running.run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _main(self, loop: AbstractEventLoop, closing: Future[None]) -> None:
        _complete(loop, closing)
        _complete(loop, loop.create_task(_cancel_all()))
        loop.close()

    def close(self, timeout: float = CLOSING) -> None:
        """Cancels what is left, and ends the thread.

        What swallows its cancellation, or blocks the loop, is waited for up to `timeout` seconds; the thread
        ends after it.
        """
        with self._lock:
            loop, closing, thread = self._loop, self._closing, self._thread
            if loop is not None and closing is not None and not self._closed:
                loop.call_soon_threadsafe(closing.set_result, None)
            self._closed = True
        if thread is not None:
            thread.join(timeout)


def drop(awaitable: object) -> None:
    """Lets go of an awaitable: a coroutine that was never begun ends without a warning."""
    with contextlib.suppress(BaseException):  # Foreign code: its `finally` blocks, and what it says it is.
        if isinstance(awaitable, Coroutine):
            awaitable.close()


def _complete(loop: AbstractEventLoop, future: Future[None]) -> None:
    """Runs a loop until `future` is done, whatever a job does to it."""
    while not future.done():
        # A task that a job has made may stop the loop; and asyncio itself ends it by what only ends a thread
        # elsewhere, SystemExit and KeyboardInterrupt. The other tasks go on.
        with contextlib.suppress(BaseException):
            loop.run_until_complete(future)


async def _cancel_all() -> None:
    """Ends whatever is in the loop."""
    import asyncio  # noqa: PLC0415 - see above

    # All that was handed over has begun: a loop keeps to the order.
    while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    await asyncio.get_running_loop().shutdown_asyncgens()
