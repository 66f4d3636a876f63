"""What can be stopped: by when an attempt ends by itself, and whether it can be made to."""

from __future__ import annotations

import contextlib
import math
import threading
from typing import TYPE_CHECKING, Any

from bunsui.engine.reasons import too_late
from bunsui.errors import JobCancelled, JobTimeout
from bunsui.runner.attempts.event_loop import GRACE, Running

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from bunsui.runner.attempts.host import Host

_making = threading.Lock()


class Stoppable:
    """An attempt, as far as it has a deadline and can be cancelled.

    Its own side is the thread it runs in; the driver looks at it, and stops it, from another one.

    Args:
        host: what it shares with the runner's other attempts.
    """

    __slots__ = ("_cancelled", "_end_by", "_endable", "_host", "_running", "deadline", "timeout")

    def __init__(self, host: Host) -> None:
        #: When (monotonic) its timeout is over; None: it has none.
        self.deadline: float | None = None
        #: Seconds that it may take; None: it has none.
        self.timeout: float | None = None
        self._host = host
        self._endable = True
        #: When (monotonic) what runs in the event loop should have ended, as it was cancelled.
        self._end_by: float | None = None
        #: What was given to the event loop.
        self._running: tuple[Running, ...] = ()
        self._cancelled: threading.Event | None = None

    @property
    def cancelled(self) -> threading.Event:
        """See `Workbench.cancelled`."""
        # Made when first asked for (it costs as much as a small job), by either side.
        if self._cancelled is None:
            with _making:
                if self._cancelled is None:
                    self._cancelled = threading.Event()
        return self._cancelled

    # Its own side

    def _check_begin(self) -> None:
        """Makes sure that there is still reason to begin."""
        if self._cancelled is not None and self._cancelled.is_set():
            raise JobCancelled("the attempt was stopped before it began")
        if self.deadline is not None and self._host.clock.monotonic() >= self.deadline:
            raise JobTimeout(too_late(self.timeout, "began"))

    @contextlib.contextmanager
    def _ending(self) -> Iterator[None]:
        """While this lasts, the attempt ends by itself at its timeout, and when it is cancelled."""
        before, self._endable = self._endable, True
        try:
            yield
        finally:
            self._endable = before

    def _await(self, awaitable: Awaitable[Any], ended: Callable[[Any, BaseException | None], None]) -> None:
        """Hands an awaitable over to the event loop, in this context: the current call goes with it."""
        self.expect_end()
        running = Running(
            awaitable, self._host.machine_deadline(self.deadline), self.cancelled, ended, self.timeout
        )
        self._running += (running,)
        self._host.event_loop.start(running)

    # The driver's side

    def expect_end(self) -> None:
        """Notes that it is the event loop's now: it ends soon after its deadline, or not by itself."""
        if self.deadline is not None:
            self._end_by = self.deadline + GRACE

    @property
    def endable(self) -> bool:
        """Whether the attempt ends by itself at its timeout, and when it is cancelled.

        It does where it runs in a process, has not begun, or is awaited, unless it has failed to long ago.
        """
        until = self._end_by
        return self._endable and (until is None or self._host.clock.monotonic() < until)

    @property
    def unendable_part(self) -> str:
        """What of it goes on where it is not `endable`, as a message says it."""
        if not self._endable:
            return "its thread can't be ended and goes on"
        return "its async code was cancelled and goes on all the same, or blocks the event loop"

    def cancel(self) -> None:
        """Asks the attempt to stop; a process is ended, what is awaited is cancelled."""
        self.cancelled.set()
        # After that line: what is handed over from now on sees the event before it begins.
        if self._running:
            self._end_by = min(self._end_by or math.inf, self._host.clock.monotonic() + GRACE)
        for running in self._running:
            running.stop()
