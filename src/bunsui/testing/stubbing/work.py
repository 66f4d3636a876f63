"""An attempt of a job whose work is a stub, and the time that stubs take."""

from __future__ import annotations

import heapq
import math
import queue
import threading
from collections.abc import Awaitable, Callable, Generator
from itertools import count
from typing import TYPE_CHECKING, Any

from attrs import evolve

from bunsui.engine.reasons import overdue
from bunsui.errors import BunsuiError, JobCancelled, JobTimeout
from bunsui.runner.attempts.work import Work
from bunsui.testing.stubbing.stubs import Takes

if TYPE_CHECKING:
    from bunsui.ports.job_type import JobCall
    from bunsui.testing.fakes.clock import FakeClock
    from bunsui.testing.stubbing.stubs import Stubs

#: What an attempt comes to: an output or an exception.
Outcome = tuple[Any, BaseException | None]


class Waits:
    """The stubs that let time pass, by when theirs is over. Any thread may add one."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self._heap: list[tuple[float, int, StubbedWork]] = []
        self._order = count()
        self._lock = threading.Lock()
        #: Called after one was added, in any thread.
        self.added: Callable[[], None] = _nobody_minds

    def add(self, due: float, work: StubbedWork) -> None:
        """Has `StubbedWork.end_wait` called when the clock shows `due`; at once where it is to stop."""
        with self._lock:
            # Under the lock: who sees that it waits finds it here, and who stops it knows whether it does.
            if work.begin_wait():
                due = self.clock.monotonic()
            heapq.heappush(self._heap, (due, next(self._order), work))
        self.added()

    def has(self, work: StubbedWork) -> bool:
        """Whether it is among them."""
        with self._lock:
            return work.is_waiting

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
        arguments: as `Work` takes them.
        in_one_thread: whether what is async is waited for where it was called.
        patience: real seconds for which it is; None: for ever.
    """

    __slots__ = ("_in_one_thread", "_outcome", "_patience", "_stubs", "_waits", "is_waiting")

    def __init__(
        self, stubs: Stubs, waits: Waits, *arguments: Any, in_one_thread: bool, patience: float | None
    ) -> None:
        super().__init__(*arguments)
        self._stubs = stubs
        self._waits = waits
        self._in_one_thread = in_one_thread
        self._patience = patience
        #: Whether nothing of it runs: only time passes.
        self.is_waiting = False
        #: What it comes to after that.
        self._outcome: Outcome = None, None

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
            output, error = None, JobTimeout(overdue(self.timeout, " and was stopped"))
        self._outcome = output, error
        self._waits.add(due, self)

    def _waited_for(self, output: Awaitable[Any]) -> Any:
        """See `Work._waited_for`; where the test waits, as long as its patience lasts."""
        if not self._in_one_thread:
            return super()._waited_for(output)
        ended: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._await(output, lambda *outcome: ended.put(outcome))
        try:
            result, error = ended.get(timeout=self._patience)
        except queue.Empty:
            self.cancel()
            self._stubs.escaped.keep(self._endless())
            raise JobCancelled("the test's patience is over") from None
        if error is not None:
            raise error
        return result

    def _endless(self) -> BunsuiError:
        what = f"the async stub of job '{self.job.id}', attempt {self.attempt}, has not ended"
        text = f"the run of '{self.live.pipeline.name}' does not come to rest: {what}"
        return BunsuiError(
            f"{text} for {self._patience:g} seconds", hint="let it end, or give more with patience=..."
        )

    def begin_wait(self) -> bool:
        """Waits from now on; whether for nothing, as it was stopped while its stub was called."""
        self.is_waiting = True
        if self._cancelled is None or not self._cancelled.is_set():
            return False
        self._outcome = _stopped()
        return True

    def end_wait(self) -> None:
        """Ends, as its time is over; on the driver's thread."""
        self.is_waiting = False
        self._ended(*self._outcome)

    def cancel(self) -> None:
        """See `Work.cancel`; what only waits ends at once."""
        super().cancel()
        if self._waits.has(self):
            self._outcome = _stopped()
            self.end_wait()


def _stopped() -> Outcome:
    return None, JobCancelled("the attempt was stopped")


def _nobody_minds() -> None:
    pass
