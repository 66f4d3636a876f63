"""Drivers in whose runs time passes by itself: while nothing runs, their clock is advanced."""

from __future__ import annotations

import math
import time
from threading import Thread
from typing import TYPE_CHECKING, Any

from bunsui.errors import BunsuiError
from bunsui.ports.remote import RemoteJobType
from bunsui.runner.attempts.remote_work import RemoteWork
from bunsui.runner.driving.driver import Driver
from bunsui.runner.driving.tempo import TICK
from bunsui.testing.fakes.service import FakeJobType
from bunsui.testing.stubbing.work import StubbedWork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bunsui.runner.attempts.work import Work
    from bunsui.runner.driving.live import Live
    from bunsui.testing.stubbing.work import Waits

#: How often time may pass, one time after the other, without anything happening: then nothing will.
IN_VAIN = 5_000
#: By how much later services are asked again, each time that nothing has happened: what is a day away is a
#: thousand looks away, not 200,000. At most a day later.
SELDOM, LONGEST = 1.01, 86_400.0


class PassingDriver(Driver):
    """Makes its turns in a thread of its own.

    Args:
        waits: the stubs that take their time; its clock is the runner's.
        arguments: as `Driver` takes them.
    """

    def __init__(self, *arguments: Any, waits: Waits, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._waits = waits
        self._wake_for(waits)
        #: What was durable when time passed last, and how often it has passed since.
        self._seen = 0
        self._in_vain = 0

    def _wake_for(self, waits: Waits) -> None:
        """Has a turn made when a stub begins to wait: it runs in a thread, and this may wait for it."""
        waits.added = lambda: self.post(_look_again)

    def _pause(self) -> float | None:
        """As `Driver._pause`, without looks for what other processes ask: they don't reach the store."""
        if self._agenda.is_pressing:
            return 0.0
        until = min(self._releases.due, self._waits.next_due)
        now = self._clock.monotonic()
        if any(isinstance(work, RemoteWork) for work in self._works()):
            until = min(until, now + min(TICK * SELDOM**self._in_vain, LONGEST))  # Services are asked.
        pause = self._timers.pause(max(0.0, until - now))
        return None if pause == math.inf else pause

    def _take_in(self, pause: float | None) -> None:
        if pause is None and not self._lives:
            super()._take_in(None)
            return
        if pause != 0.0 and self._mailbox.is_empty:
            running = [work for work in self._works() if self._runs(work)]
            if running:
                began = time.monotonic()
                super()._take_in(TICK if pause is None else min(pause, TICK))
                passed = time.monotonic() - began
                self._waits.clock.advance(passed)
                self._waited_for(running, passed)
            else:
                # Anew: a stub that ran until a moment ago may have begun to wait since.
                self._pass_time(self._pause())
        self._waits.end()
        super()._take_in(0.0)

    def _works(self) -> Iterator[Work]:
        """All attempts that were submitted and have not ended."""
        for live in self._lives.values():
            if live.works:
                waiting = set(map(id, live.starts))
                yield from (work for work in live.works.values() if id(work) not in waiting)

    def _runs(self, work: Work) -> bool:
        """Whether an attempt needs real time: while one does, time passes as it does anywhere."""
        return not (isinstance(work, StubbedWork) and work.is_waiting)

    def _waited_for(self, running: list[Work], seconds: float) -> None:
        """Real time has passed while something ran."""

    def _pass_time(self, seconds: float | None) -> None:
        durable = sum(live.position for live in self._lives.values())
        self._in_vain = self._in_vain + 1 if durable == self._seen else 0
        self._seen = durable
        if seconds is not None and self._in_vain < IN_VAIN:
            self._waits.clock.advance(seconds)
            return
        self._end_all("nothing will happen in it any more")

    def _end_all(self, why: str) -> None:
        """Gives up all sessions: whoever waits for one is told why."""
        self._in_vain = 0
        for live in list(self._lives.values()):
            runs = "".join(f"\n  {_told(work)}" for work in live.works.values()) or " nothing"
            text = (
                f"the run of '{live.pipeline.name}' does not come to rest: {why}. What has not ended:{runs}"
            )
            hint = "give what does not end a stub, or have the service that it waits for answer"
            self._give_up(live, BunsuiError(text, hint=hint))


class CallersDriver(PassingDriver):
    """Makes its turns in the thread of whoever starts or resumes a session, until that rests.

    Args:
        patience: real seconds for which it goes on while nothing that really runs ends; None: for ever.
    """

    def __init__(self, *arguments: Any, patience: float | None, **keywords: Any) -> None:
        super().__init__(*arguments, **{**keywords, "thread": self._here})
        self._patience = patience
        self._waited = 0.0
        #: What ran when it last waited: it may have ended in a turn without a wait.
        self._ran: list[Work] = []

    def _wake_for(self, waits: Waits) -> None:
        """See `PassingDriver`: here, stubs are called in the driver's own turns."""

    def _here(self, target: Callable[[], None], name: str, daemon: bool) -> Thread:
        del target
        return _Here(self, name, daemon)

    def adopt(self, live: Live) -> None:
        """See `Driver.adopt`; the session rests when this returns."""
        super().adopt(live)
        while not live.done.is_set():
            self.turn(self._pause())

    def finish(self) -> None:
        """What is left to do for a driver that was told to stop."""
        while self._lives or not self._ending.has_begun:
            self.turn(self._pause())

    def _runs(self, work: Work) -> bool:
        if isinstance(work, StubbedWork):
            return False  # It has ended, if it does not wait.
        # What a fake has takes as long as the run's clock says; what a real service has, as long as it takes.
        return not (isinstance(work, RemoteWork) and isinstance(work.job_type, FakeJobType))

    def _waited_for(self, running: list[Work], seconds: float) -> None:
        has_ended = any(work.has_ended for work in (*self._ran, *running))
        self._ran = running
        self._waited = 0.0 if has_ended else self._waited + seconds
        if self._patience is not None and self._waited > self._patience:
            self._waited = 0.0
            self._end_all(f"for {self._patience:g} seconds, nothing that runs has ended")


class _Here(Thread):
    """Stands for a driver's thread where there is none."""

    def __init__(self, driver: CallersDriver, name: str, daemon: bool) -> None:
        super().__init__(name=name, daemon=daemon)
        self._driver = driver

    def start(self) -> None:
        """Nothing is started."""

    def is_alive(self) -> bool:
        """The caller is."""
        return True

    def join(self, timeout: float | None = None) -> None:
        """Does what the thread would do before it ends."""
        del timeout
        self._driver.finish()


def _look_again() -> None:
    """A message that says nothing: a driver that takes it in makes a turn."""


def _told(work: Work) -> str:
    item = "" if work.item_index is None else f", item {work.item_index}"
    where = "at a service" if isinstance(work.job_type, RemoteJobType) else "on this machine"
    return f"job '{work.job.id}'{item}, attempt {work.attempt}, which runs {where}"
