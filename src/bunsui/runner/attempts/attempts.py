"""The attempts of a runner, from the decision to start one to what it came to: on the driver's thread."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

from attrs import evolve

from bunsui.engine.actions import Recover
from bunsui.local.results import failure
from bunsui.model.artifact import Unread
from bunsui.runner.attempts import outcomes
from bunsui.runner.attempts.remote_work import RemoteWork
from bunsui.runner.attempts.remotes import Remotes
from bunsui.runner.attempts.results import Results
from bunsui.runner.driving.telling import tell

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from bunsui.engine.actions import Start, Stop
    from bunsui.engine.units import Unit
    from bunsui.ports.clock import Clock
    from bunsui.runner.attempts.event_loop import EventLoop
    from bunsui.runner.attempts.places import Places
    from bunsui.runner.attempts.pool import Pool, Pools
    from bunsui.runner.attempts.starting import Starter
    from bunsui.runner.attempts.work import Work
    from bunsui.runner.driving.live import Live
    from bunsui.runner.driving.timers import Timers


class Turns(Protocol):
    """The driver, as far as attempts need it."""

    def is_driving(self, live: Live) -> bool:
        """Whether this runner drives the session."""

    def touch(self, live: Live) -> None:
        """Has a session advanced, and committed, in the next turn."""

    def room(self) -> None:
        """There was no place for an attempt, and now there is."""

    def guard(self, live: Live, call: Callable[..., None], *arguments: Any) -> None:
        """Calls something for a session; where it fails, the session is set aside."""

    def post(self, message: Work | Callable[[], None]) -> None:
        """Has a message taken in at the next turn. From any thread."""

    def may_start(self, live: Live) -> bool:
        """Whether the session is certain to be this runner's for a while; else a commit is to show it."""


class Attempts:
    """Starts, follows and stops attempts; for `Remotes` it is the owner of theirs."""

    def __init__(
        self,
        turns: Turns,
        clock: Clock,
        timers: Timers,
        pool: Pool,
        calls: Pools,
        event_loop: EventLoop,
        places: Places,
        starter: Starter,
        random: Random,
    ) -> None:
        self._turns = turns
        self._clock = clock
        self._timers = timers
        self._pool = pool
        self._calls = calls
        self._event_loop = event_loop
        self._places = places
        self._starter = starter
        self._served = count(1)
        self._remotes = Remotes(self, calls, timers, clock, random)
        self._results = Results(
            turns, clock, timers, pool, starter, self._remotes, random, self._give_back, calls
        )
        #: Takes in an attempt that has ended; see `Results.finished`.
        self.finished = self._results.finished

    @property
    def due(self) -> float:
        """When (monotonic) services are to be asked next; infinity where none is."""
        return self._remotes.due

    def turn(self, now: float) -> None:
        """Asks services for what is due, and the system for threads that it refused."""
        self._pool.tend()
        self._calls.tend()
        if self._remotes:
            self._remotes.turn(now)

    def retry_after(self, seconds: float, live: Live, unit: Unit) -> None:
        """Has the next attempt start when a wait is over."""
        self._timers.after(seconds, live, self._results.retry, unit)

    # Starts

    def start(self, live: Live, action: Start) -> None:
        """Records that an attempt starts; it waits in `live.starts` for that to be durable."""
        at = live.at(self._clock.now())
        try:
            work = self._starter.prepare(live, action)
        except Unread:  # The session is set aside.
            raise
        except BaseException as error:  # The border: a plugin's job type looks at its options here.
            live.record(outcomes.not_started(at, action, evolve(failure(error), retryable=False)))
            return
        work.started_at = at
        live.record(outcomes.started(at, work, tell(live, work, at)))
        self._take(live, work)
        live.starts.append(work)
        live.served = next(self._served)

    def _take(self, live: Live, work: Work) -> None:
        live.works[work.unit] = work
        self._places.take(work)

    def _give_back(self, work: Work) -> None:
        """Takes the place of an attempt back."""
        if self._places.give_back(work):
            self._turns.room()

    def submit(self, works: list[Work]) -> None:
        """Has attempts run whose start is durable."""
        for work in works:
            work.report = self._turns.post
            self._limit_time(work)
            if isinstance(work, RemoteWork):
                self._remotes.submit(work)
        here = [work for work in works if not isinstance(work, RemoteWork)]
        if left := self._event_loop.take(here):
            self._pool.submit(left)

    def _limit_time(self, work: Work) -> None:
        """Lets the attempt's timeout begin."""
        timeout = work.job.timeout
        if timeout is not None:
            work.timeout = timeout
            work.deadline = self._clock.monotonic() + timeout
            self._timers.after(timeout, work.live, self._results.overdue, weakref.ref(work))

    def recover(self, live: Live, lost: Recover) -> None:
        """Finds out what became of an attempt whose runner is gone: work on a machine is gone with it."""
        # Once the claim is durable: before that, this may be what somebody else's claim has begun.
        live.left.append(lost)
        why = "its runner died, and it ran on that machine"
        work, ran_here = None, True
        try:
            work = self._starter.recovered(live, lost)
        except Unread:  # The session is set aside.
            raise
        except BaseException as error:  # The border: a plugin's job type looks at its options here.
            why = f"its input can't be made again: {failure(error).message}"
            ran_here = False
        if work is None:
            self._results.lost(live, lost, self._starter.on_lost(live, lost, ran_here=ran_here), why)
            return
        tell(live, work, live.at(self._clock.now()), is_durable=True)
        self._take(live, work)
        live.then.append(partial(self._follow, work))

    def clear(self, live: Live) -> None:
        """Ends and removes what attempts of a runner that is gone have left on this machine."""
        left, live.left = live.left, []
        for lost in left:
            self._starter.clear(live, lost)

    def _follow(self, work: RemoteWork) -> None:
        work.report = self._turns.post
        self._limit_time(work)
        self._remotes.take_over(work)

    # Ends

    def stop(self, live: Live, action: Stop) -> None:
        """Has an attempt stopped, once it is durable that this is wanted."""
        unit = action.job if action.item is None else (action.job, action.item)
        live.then.append(partial(self._results.stop, live, unit))

    def leave(self, live: Live) -> None:
        """Lets go of a session: what runs here is stopped, what has not begun gives its place back."""
        starts, live.starts = live.starts, []
        live.then.clear()
        for work in starts:
            live.works.pop(work.unit, None)
            self._give_back(work)
        for work in [*live.works.values()]:
            work.interrupted = True
            if isinstance(work, RemoteWork):  # Whoever drives the session next finds it.
                self._remotes.forget(work)
                self._drop(work)
            else:
                work.cancel()

    @staticmethod
    def here(live: Live) -> Iterable[Work]:
        """The attempts that run in this process: a service needs nobody to wait for what it has."""
        return [
            work
            for work in live.works.values()
            if not (isinstance(work, RemoteWork) and work.handle is not None)
        ]

    # The owner of remote work: see `bunsui.runner.attempts.owner.Owner`

    def holds(self, work: RemoteWork) -> bool:
        """Whether the attempt is still this runner's to follow."""
        live = work.live
        followed = live.works.get(work.unit) is work and not work.has_ended
        return followed and self._turns.is_driving(live) and live.error is None

    def guard(self, live: Live, call: Callable[..., None], *arguments: Any) -> None:
        """See `Turns.guard`."""
        self._turns.guard(live, call, *arguments)

    def later(self, live: Live, call: Callable[..., None], *arguments: Any) -> None:
        """Has something done for a session at the next turn. From any thread."""
        self._turns.post(partial(self._turns.guard, live, call, *arguments))

    def submitted(self, work: RemoteWork) -> None:
        """Records the handle of an attempt."""
        live = work.live
        assert work.handle is not None  # noqa: S101 - that is what is recorded
        live.record(outcomes.submitted(live.at(self._clock.now()), work, work.handle))
        self._turns.touch(live)

    def ended(self, work: RemoteWork) -> None:
        """Takes in what a remote attempt came to."""
        self._results.finished(work)

    def lost(self, work: RemoteWork, why: str) -> None:
        """Does what the job says about an attempt of which nobody can tell what became."""
        about = self._drop(work)
        self._results.lost(work.live, about, self._starter.on_lost(work.live, about, ran_here=False), why)

    def stalled(self, work: RemoteWork, missing: str) -> None:
        """Records that an attempt can't be followed."""
        self._results.stalled(work, missing)

    def not_begun(self, work: RemoteWork, missing: str) -> None:
        """Has an attempt that could not be submitted start again, once what is missing was given."""
        self._drop(work)
        self._results.not_begun(work, missing)

    def never_ran(self, work: RemoteWork) -> None:
        """Has an attempt that never began start again."""
        self._results.lost(work.live, self._drop(work), "rerun", "")

    def may_submit(self, work: RemoteWork) -> bool:
        """See `Turns.may_start`."""
        return self._turns.may_start(work.live)

    def _drop(self, work: RemoteWork) -> Recover:
        del work.live.works[work.unit]
        self._give_back(work)
        return Recover(work.job.id, work.attempt, work.item_index)
