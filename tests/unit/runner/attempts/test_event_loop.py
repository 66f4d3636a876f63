"""The event loop of a runner: what runs in it, how it is stopped, and how it ends."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
import time
from collections.abc import Awaitable, Iterator
from typing import Any

import pytest

from bunsui.errors import JobCancelled, JobTimeout, StateError
from bunsui.runner.attempts.event_loop import EventLoop, Running
from bunsui_tests.held import threads

NUMBER: contextvars.ContextVar[int] = contextvars.ContextVar("number")


class Bed:
    """A loop, and what came of the things that were put into it."""

    def __init__(self) -> None:
        self.loop = EventLoop()
        self.ended: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def start(
        self,
        awaitable: Awaitable[Any],
        timeout: float | None = None,
        cancelled: threading.Event | None = None,
    ) -> Running:
        deadline = None if timeout is None else time.monotonic() + timeout
        running = Running(
            awaitable,
            deadline,
            cancelled or threading.Event(),
            lambda *outcome: self.ended.put(outcome),
            timeout,
        )
        self.loop.start(running)
        return running

    def outcome(self) -> tuple[Any, BaseException | None]:
        return self.ended.get(timeout=30)


@pytest.fixture
def bed() -> Iterator[Bed]:
    bed = Bed()
    yield bed
    bed.loop.close()


def loops() -> set[threading.Thread]:
    return {thread for thread in threads() if thread.name == "bunsui-event-loop"}


async def hang(entered: threading.Event | None = None) -> None:
    if entered is not None:
        entered.set()
    await asyncio.Event().wait()


class TestOutcomes:
    """What is told of an awaitable."""

    def test_a_result(self, bed: Bed) -> None:
        """As it is."""

        async def give() -> list[int]:
            await asyncio.sleep(0)
            return [1]

        bed.start(give())
        assert ([1], None) == bed.outcome()

    def test_any_awaitable(self, bed: Bed) -> None:
        """Not only coroutines."""

        class Ready:
            def __await__(self) -> Iterator[Any]:
                yield from asyncio.sleep(0).__await__()
                return 7

        bed.start(Ready())  # type: ignore[arg-type]
        assert (7, None) == bed.outcome()

    @pytest.mark.parametrize(
        "error",
        [ValueError("no"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit()],
        ids=repr,
    )
    def test_an_exception(self, bed: Bed, error: BaseException) -> None:
        """Of any kind, and the loop goes on; a CancelledError that nobody asked for is one, too."""

        async def fail() -> None:
            raise error

        async def after() -> str:
            return "after"

        bed.start(fail())
        assert (None, error) == bed.outcome()
        bed.start(after())
        assert ("after", None) == bed.outcome()

    def test_what_a_task_of_its_own_raises(self, bed: Bed) -> None:
        """SystemExit in a task of a job ends neither the loop nor what else is in it."""

        async def leave() -> None:
            raise SystemExit(3)

        async def careless() -> str:
            with pytest.raises(SystemExit):
                await asyncio.create_task(leave())
            return "went on"

        bed.start(careless())
        assert ("went on", None) == bed.outcome()

    def test_a_loop_that_is_stopped(self, bed: Bed) -> None:
        """What a job does to the loop does not end the others."""

        async def stop() -> str:
            asyncio.get_running_loop().stop()
            await asyncio.sleep(0.01)
            return "went on"

        bed.start(stop())
        assert ("went on", None) == bed.outcome()

    def test_the_context(self, bed: Bed) -> None:
        """It runs in the context of who started it, and changes nothing there."""

        async def look() -> int:
            found = NUMBER.get()
            NUMBER.set(2)
            return found

        token = NUMBER.set(1)
        try:
            bed.start(look())
            assert ((1, None), 1) == (bed.outcome(), NUMBER.get())
        finally:
            NUMBER.reset(token)


class TestStopping:
    """Cancelling, from outside and at the deadline."""

    def test_stop(self, bed: Bed) -> None:
        """It is cancelled, and its `finally` blocks run to their end."""
        entered, cleaning, cleaned = threading.Event(), threading.Event(), []

        async def work() -> None:
            try:
                await hang(entered)
            finally:
                cleaning.set()
                await asyncio.sleep(0.05)
                cleaned.append(1)

        running = bed.start(work())
        assert entered.wait(30)
        running.stop()
        assert cleaning.wait(30)
        running.stop()  # Does not cancel the cleaning up.
        _, error = bed.outcome()
        assert ([1], JobCancelled, "the attempt was stopped") == (cleaned, type(error), str(error))

    def test_stop_before_it_begins(self, bed: Bed) -> None:
        """Then it does not begin, and nothing warns that it was never awaited."""
        ran = []

        async def work() -> None:
            ran.append(1)

        cancelled = threading.Event()
        cancelled.set()
        bed.start(work(), cancelled=cancelled)
        _, error = bed.outcome()
        assert ([], "the attempt was stopped before it began") == (ran, str(error))

    def test_deadline(self, bed: Bed) -> None:
        """It is cancelled, and threads that it uses see that."""
        cancelled = threading.Event()
        bed.start(hang(), timeout=0.02, cancelled=cancelled)
        _, error = bed.outcome()
        expected = (JobTimeout, "the attempt took longer than its timeout of 0.02 s and was cancelled", True)
        assert expected == (type(error), str(error), cancelled.is_set())

    def test_a_result_after_the_deadline(self, bed: Bed) -> None:
        """It counts for nothing, and neither does another exception: that is the cause."""

        async def turn() -> str:
            try:
                await hang()
            except asyncio.CancelledError:
                raise ValueError("turned") from None
            return "never"

        bed.start(turn(), timeout=0.02)
        _, error = bed.outcome()
        assert isinstance(error, JobTimeout)
        assert "turned" == str(error.__cause__)

    def test_a_result_after_a_stop(self, bed: Bed) -> None:
        """It counts, as that of a thread does."""
        entered = threading.Event()

        async def turn() -> str:
            try:
                await hang(entered)
            except asyncio.CancelledError:
                return "all the same"
            return "never"

        running = bed.start(turn())
        assert entered.wait(30)
        running.stop()
        assert ("all the same", None) == bed.outcome()

    def test_a_deadline_that_is_not_reached(self, bed: Bed) -> None:
        """It leaves nothing behind."""

        async def give() -> int:
            return 1

        bed.start(give(), timeout=30)
        assert (1, None) == bed.outcome()


class TestClosing:
    """The end of the loop."""

    def test_no_thread_without_need(self) -> None:
        """A loop that nobody used has none; closing it twice does nothing."""
        before = loops()
        loop = EventLoop()
        loop.close()
        loop.close()
        assert loops() <= before

    def test_its_thread_ends(self) -> None:
        """With tasks and generators that were left behind."""
        bed = Bed()
        cleaned: list[str] = []

        async def numbers() -> Any:
            try:
                yield 1
                yield 2
            finally:
                cleaned.append("generator")

        async def background() -> None:
            try:
                await hang()
            finally:
                cleaned.append("task")

        kept: list[Any] = []

        async def leave() -> None:
            generator = numbers()
            kept.append(generator)
            await anext(generator)
            kept.append(asyncio.create_task(background()))
            await asyncio.sleep(0)

        bed.start(leave())
        assert (None, None) == bed.outcome()
        bed.loop.close()
        assert ["generator", "task"] == sorted(cleaned)
        assert bed.loop._thread not in loops()

    def test_what_runs_is_cancelled(self) -> None:
        """Also what was handed over just before: each is told of."""
        bed = Bed()
        for _ in range(20):
            bed.start(hang())
        bed.loop.close()
        outcomes = [bed.outcome() for _ in range(20)]
        assert {asyncio.CancelledError} == {type(error) for _, error in outcomes}

    def test_what_does_not_end(self) -> None:
        """It is not waited for long; the thread ends after it."""
        bed = Bed()
        entered, opened = threading.Event(), threading.Event()

        async def swallow() -> str:
            while not opened.is_set():
                try:
                    entered.set()
                    await asyncio.sleep(0.01)
                except asyncio.CancelledError:
                    continue
            return "at last"

        bed.start(swallow())
        assert entered.wait(30)
        bed.loop.close(timeout=0.05)
        thread = bed.loop._thread
        assert thread is not None
        assert thread.is_alive()
        opened.set()
        assert ("at last", None) == bed.outcome()
        thread.join(30)
        assert not thread.is_alive()

    def test_closed(self) -> None:
        """Nothing begins any more; a coroutine that came too late does not warn."""
        bed = Bed()
        bed.loop.close()
        with pytest.raises(StateError, match="this runner is closed; make another one"):
            bed.start(hang())
        assert bed.ended.empty()

    def test_stop_after_the_end(self) -> None:
        """It comes too late, and does nothing."""
        bed = Bed()
        running = bed.start(hang())
        bed.loop.close()
        running.stop()
        assert isinstance(bed.outcome()[1], asyncio.CancelledError)

    def test_no_thread_to_be_had(self, bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is told to who asks, and tried again the next time."""

        async def give() -> int:
            return 1

        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                bed.start(give())
        bed.start(give())
        assert (1, None) == bed.outcome()
