"""An attempt of a job whose work is a stub, and the time that stubs take."""

from __future__ import annotations

import heapq
import math
import threading
from collections.abc import Awaitable, Callable, Generator
from itertools import count
from typing import TYPE_CHECKING, Any

from attrs import evolve

from bunsui.errors import JobCancelled, JobTimeout
from bunsui.runner.work import Work
from bunsui.testing.stubbing.stubs import Takes

if TYPE_CHECKING:
    from bunsui.ports.job_type import JobCall
    from bunsui.testing.fakes.clock import FakeClock
    from bunsui.testing.stubbing.stubs import Stubs


class Waits:
    """The stubs that let time pass, by when theirs is over. Any thread may add one."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self._heap: list[tuple[float, int, StubbedWork]] = []
        self._order = count()
        self._lock = threading.Lock()

    def add(self, due: float, work: StubbedWork) -> None:
        """Has `StubbedWork.end_wait` called when the clock shows `due`."""
        with self._lock:
            heapq.heappush(self._heap, (due, next(self._order), work))

    @property
    def next_due(self) -> float:
        """When the first of them is over; infinite where there is none."""
        with self._lock:
            while self._heap and not self._heap[0][2].is_waiting:  # It was stopped.
                heapq.heappop(self._heap)
            return self._heap[0][0] if self._heap else math.inf

    def end(self) -> None:
        """Ends those that are over by now, in their order."""
        while self.next_due <= self.clock.monotonic():
            with self._lock:
                _, _, work = heapq.heappop(self._heap)
            work.end_wait()


class _Wait:
    """Stands for what a `Takes` comes to; it goes to `Waits`, not to an event loop."""

    def __init__(self, takes: Takes) -> None:
        self.takes = takes

    def __await__(self) -> Generator[Any, None, Any]:
        raise NotImplementedError("a Takes is not awaited: it is what a stub is, or returns")


class StubbedWork(Work):
    """An attempt whose stub is called in place of its job's code, with all else as in any attempt.

    Args:
        stubs: what is called.
        waits: where it waits while its stub takes its time.
        in_one_thread: whether what is async is waited for where it was called.
        arguments: as `Work` takes them.
    """

    __slots__ = ("_in_one_thread", "_outcome", "_stubs", "_waits", "is_waiting")

    def __init__(self, stubs: Stubs, waits: Waits, in_one_thread: bool, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._stubs = stubs
        self._waits = waits
        self._in_one_thread = in_one_thread
        #: Whether nothing of it runs: only time passes.
        self.is_waiting = False
        #: What it comes to after that.
        self._outcome: tuple[Any, BaseException | None] = None, None

    @property
    def is_async(self) -> bool:
        """See `Work.is_async`: what a stub is, is seen when it is called."""
        return False

    def _call(self) -> JobCall:
        # By the clock of the run, as all that a stub sees.
        return evolve(super()._call(), deadline=self.deadline)

    def _code(self, call: JobCall) -> Any:
        outcome = self._stubs.answer(call)
        if isinstance(outcome, Takes):
            return _Wait(outcome)
        if self._in_one_thread and hasattr(outcome, "__await__"):
            return self._waited_for(outcome)
        return outcome

    def _await(self, awaitable: Awaitable[Any], ended: Callable[[Any, BaseException | None], None]) -> None:
        if not isinstance(awaitable, _Wait):
            super()._await(awaitable, ended)
            return
        output, error = awaitable.takes.output, None
        if isinstance(output, BaseException):
            output, error = None, output
        elif hasattr(output, "__await__"):
            try:
                output = self._waited_for(output)
            except BaseException as raised:  # It comes out when the time is over.
                output, error = None, raised
        due = self._waits.clock.monotonic() + awaitable.takes.seconds
        if self.deadline is not None and due > self.deadline:
            due = self.deadline
            output, error = None, JobTimeout("the attempt took longer than its timeout and was stopped")
        self._outcome = output, error
        self.is_waiting = True
        self._waits.add(due, self)

    def end_wait(self) -> None:
        """Ends, as its time is over; on the driver's thread."""
        self.is_waiting = False
        self._ended(*self._outcome)

    def cancel(self) -> None:
        """See `Work.cancel`; what only waits ends at once."""
        super().cancel()
        if self.is_waiting:
            self._outcome = None, JobCancelled("the attempt was stopped")
            self.end_wait()
