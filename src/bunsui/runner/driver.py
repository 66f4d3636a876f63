"""The driver: one thread that owns all sessions of a runner and performs what the engine decides.

A turn: take in all results that have come, let the engine decide, commit once for all sessions, and only
then start what was decided and show what happened. The start of the next jobs rides in the commit of the
successes that released them.

Whatever goes wrong with one session, a fault of this library included, sets that session aside and leaves
the others alone; where the thread itself ends, nobody waits for it.
"""

from __future__ import annotations

import contextlib
import random
import weakref
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

from attrs import evolve

from bunsui.engine import events as ev
from bunsui.engine.actions import Action, Conclude, Evaluate, Expand, Record, Recover, Start
from bunsui.errors import BunsuiError, StoreError
from bunsui.local.results import failure
from bunsui.model.session import Failure
from bunsui.model.status import SessionStatus
from bunsui.runner import outcomes, requests
from bunsui.runner.commits import Commits
from bunsui.runner.live import Live
from bunsui.runner.mailbox import Mailbox, closed, refuse
from bunsui.runner.retry import wait_seconds
from bunsui.runner.timers import Timers
from bunsui.runner.work import Work

if TYPE_CHECKING:
    from bunsui.engine.units import Unit
    from bunsui.ports.clock import Clock
    from bunsui.ports.store import Store
    from bunsui.runner.observers import Observers
    from bunsui.runner.places import Places
    from bunsui.runner.pool import Pool
    from bunsui.runner.starting import Starter

#: Seconds between two looks for requests, and between turns while nothing happens.
TICK = 0.2
#: Seconds before a failed append, or a failed look at the store, is tried again.
AGAIN = 0.5
#: Seconds by which the job counts of a session's index entry may lag behind its history.
INDEX_DELAY = 1.0
#: Seconds after a timeout at which work that ends itself is looked at again.
OVERDUE_AGAIN = 1.0
#: Seconds that work which was told to stop may take: its processes have a grace of 5, then they are killed.
STOPPING = 7.0
#: Seconds that the last turn may take, whatever the store does.
LAST_TURN = 30.0


class Driver:
    """Drives sessions until they rest.

    `adopt`, `post`, `alive`, `drives` and `stop` may be called from any thread; all else happens on the
    driver's own.
    """

    def __init__(
        self,
        runner_id: str,
        store: Store,
        clock: Clock,
        pool: Pool,
        observers: Observers,
        starter: Starter,
        *,
        places: Places,
        lease: float,
    ) -> None:
        self._runner_id = runner_id
        self._store = store
        self._clock = clock
        self._pool = pool
        self._starter = starter
        self._places = places
        self._lease = lease
        self._commits = Commits(store, clock, observers, lease)
        self._timers = Timers(clock)
        self._random = random.Random()  # noqa: S311 - jitter
        self._lives: dict[str, Live] = {}
        self._dirty: dict[str, Live] = {}
        self._last_turn = clock.monotonic()
        self._next_look = 0.0
        self._token: object = None
        self._stopping_at: float | None = None
        self._interrupted = False
        self._served = count(1)
        self._mailbox = Mailbox(self._run, self._lives)

    # From any thread

    def adopt(self, live: Live) -> None:
        """Drives a session from now on; its first facts, the claim among them, wait in `live.events`."""
        self._mailbox.hand_over(live)

    def post(self, message: Work | Callable[[], None]) -> None:
        """Has a message taken in at the next turn: finished work, or something to call."""
        self._mailbox.put(message)

    def drives(self, session: str) -> Live | None:
        """The live session of this id, or None."""
        return self._lives.get(session)

    @property
    def alive(self) -> bool:
        """Whether the driver makes turns: a heartbeat stands for this."""
        return self._mailbox.is_alive and self._clock.monotonic() - self._last_turn < self._lease

    def stop(self, timeout: float) -> None:
        """Starts nothing more, lets running jobs end for `timeout` seconds, and releases its claims."""
        self.post(lambda: self._begin_stop(timeout))
        self._mailbox.join(timeout + STOPPING + LAST_TURN)

    # The thread

    def _run(self) -> None:
        while self._stopping_at is None or self._lives:
            self.turn(self._pause())

    def _pause(self) -> float | None:
        """Seconds to wait for a message; None: for ever."""
        if self._dirty:
            return 0.0
        if not self._lives and self._stopping_at is None:
            return None
        return self._timers.pause(TICK)

    def turn(self, pause: float | None = 0.0) -> None:
        """One turn: waits up to `pause` seconds for a message, then does all there is to do."""
        self._take_in(pause)
        self._last_turn = now = self._clock.monotonic()
        for live, call, arguments in self._timers.due():
            if self._drives(live):
                self._guarded(live, call, live, *arguments)
        if now >= self._next_look and self._lives:
            self._next_look = now + TICK
            self.look_for_requests()
        if self._stopping_at is not None:
            self._continue_stop(now, self._stopping_at)
        dirty, self._dirty = self._dirty, {}
        # Who has waited longest for a place comes first: no session waits for all that another one has to do.
        for live in sorted(dirty.values(), key=lambda live: live.served):
            if self._drives(live):
                self._guarded(live, self._advance, live)
        self._commit([live for live in dirty.values() if self._drives(live)])

    def _take_in(self, pause: float | None) -> None:
        for message in self._mailbox.take(pause):
            if isinstance(message, Work):
                self._guarded(message.live, self._finished, message)
            elif isinstance(message, Live):
                self._adopt(message)
            else:
                message()

    def _guarded(self, live: Live, call: Callable[..., None], *arguments: Any) -> None:
        """Does something for one session; where it fails, that session is set aside."""
        try:
            call(*arguments)
        except Exception as error:  # A fault of ours, or a history that contradicts itself.
            if not isinstance(error, BunsuiError):
                text = f"session {live.id} can't be driven: {type(error).__name__}: {error}"
                fault = BunsuiError(text, hint="this is a fault of bunsui; the session can be resumed")
                fault.__cause__ = error
                error = fault
            self._give_up(live, error)

    # Sessions come and go

    def _drives(self, live: Live) -> bool:
        """Whether this is the live session of its id: a session may leave and be taken over again."""
        return self._lives.get(live.id) is live

    def _adopt(self, live: Live) -> None:
        if self._stopping_at is not None:
            refuse(live, closed())
            return
        if live.id in self._lives:  # Two threads of this runner had the same idea.
            self._stand_down(live)
            return
        self._lives[live.id] = live
        for unit, failed in live.machine.waiting.items():
            # A wait that began under another runner: by the wall clock, but never longer than it was.
            over = (live.at(self._clock.now()) - failed.at).total_seconds()
            self._timers.after(min(max(failed.delay - over, 0), failed.delay), live, self._retry, unit)
        if live.pipeline.timeout is not None:
            left = max(live.pipeline.timeout - live.machine.state.active, 0.0)
            self._timers.after(left, live, self._session_overdue)
        self._touch(live)

    def _touch(self, live: Live) -> None:
        """Has the session advanced, and committed, in the next turn."""
        self._dirty[live.id] = live

    def _leave(self, live: Live) -> None:
        """Drives the session no more."""
        if self._drives(live):
            del self._lives[live.id]
        self._stop_works(live)
        live.begun.set()
        live.done.set()

    def _stop_works(self, live: Live) -> None:
        """Stops what runs for nothing now; what has not been submitted gives its place back."""
        starts, live.starts = live.starts, []
        for work in starts:
            live.works.pop(work.unit, None)
            self._give_place_back(work)
        for work in live.works.values():
            work.interrupted = True
            work.cancel()

    def _give_up(self, live: Live, error: BunsuiError) -> None:
        """Sets a session aside that can't be driven, and lets others try."""
        live.error = error
        claimed = self._drives(live) and live.position > 0
        self._leave(live)
        if claimed:
            with contextlib.suppress(StoreError):
                self._store.append([live.release(self._clock.now())])

    def _stand_down(self, live: Live) -> None:
        """Somebody else has claimed the session: whatever runs here runs for nothing."""
        live.lost = True
        self._leave(live)

    def _give_place_back(self, work: Work) -> None:
        if self._places.give_back(work):
            self._dirty |= self._lives  # There was no room; now others may start something too.

    # Results

    def _finished(self, work: Work) -> None:
        live = work.live
        if work.abandoned:
            self._pool.limit -= 1
            return
        live.works.pop(work.unit, None)
        self._give_place_back(work)
        if not self._drives(live) or live.error is not None:
            return
        self._touch(live)
        if work.failure is not None:
            if not work.interrupted:
                self._failed(live, work, work.failure)
            return
        output = work.output
        if output is None:
            raise BunsuiError(f"job '{work.job.id}' ended with neither output nor failure")
        if (wrong := self._starter.too_large(output)) is not None:
            self._failed(live, work, wrong)
        else:
            at = live.at(work.finished_at or self._clock.now())
            live.record(outcomes.succeeded(at, work, output))

    def _failed(self, live: Live, work: Work, failed: Failure) -> None:
        at = live.at(work.finished_at or self._clock.now())
        machine = live.machine
        if machine.stop_reason is not None and failed.code == "JobCancelled":
            live.record(outcomes.cancelled(at, work, machine.stop_reason))
            return
        policy = machine.retry_policy(work.job.id, work.attempt, failed)
        if policy is None or work.abandoned:
            live.record(outcomes.failed(at, work, failed))
            return
        delay = wait_seconds(policy, work.attempt, self._random)
        live.record(outcomes.again(at, work, failed, delay))
        self._timers.after(delay, live, self._retry, work.unit)

    def _retry(self, live: Live, unit: Unit) -> None:
        live.machine.retry_due(unit)
        self._touch(live)

    def _session_overdue(self, live: Live) -> None:
        """The pipeline's timeout is over."""
        if live.machine.state.status is SessionStatus.CREATED:
            # A timeout so short that it is over before the start is recorded.
            self._timers.after(TICK, live, self._session_overdue)
        if live.machine.state.status is SessionStatus.RUNNING and live.machine.stop_reason is None:
            live.record(ev.TimeoutReached(live.at(self._clock.now())))
            self._touch(live)

    def _overdue(self, live: Live, reference: weakref.ref[Work]) -> None:
        """The timeout of work that only its own thread could end: it is reported, and left to itself."""
        work = reference()
        if work is None or live.works.get(work.unit) is not work:
            return
        if work.endable:  # It ends itself; but what its job type does after that may go on.
            self._timers.after(OVERDUE_AGAIN, live, self._overdue, reference)
            return
        work.abandoned = True
        work.cancel()
        self._pool.limit += 1
        del live.works[work.unit]
        self._give_place_back(work)
        self._touch(live)
        text = "the attempt took longer than its timeout; its thread can't be ended and goes on"
        self._failed(live, work, Failure("JobTimeout", text))

    # Decisions

    def _advance(self, live: Live) -> None:
        """Performs what the engine decides for a session until it has nothing more to say."""
        machine = live.machine
        while True:
            pools = self._places.free_in_pools
            actions = machine.decide(live.at(self._clock.now()), self._free(live), pools)
            if not actions:
                break
            for action in actions:
                self._perform(live, action)
        if machine.state.status is SessionStatus.PAUSED and machine.state.claim is not None:
            live.record(ev.RunnerReleased(live.at(self._clock.now()), live.epoch))

    def _free(self, live: Live) -> int:
        """How many attempts may start; none while the store fails or the runner ends."""
        if live.unsent or live.error is not None or self._stopping_at is not None:
            return 0
        return self._places.free

    def _perform(self, live: Live, action: Action) -> None:
        if isinstance(action, Start):
            self._start(live, action)
        elif isinstance(action, Record):
            live.record(action.event)
        elif isinstance(action, Recover):
            # Local work can't be asked what became of it: it runs again, under the same key.
            self._starter.clear(live, action)
            live.record(outcomes.lost(live.at(self._clock.now()), action))
        elif isinstance(action, Evaluate | Expand | Conclude):
            live.record(self._starter.resolve(live, action, live.at(self._clock.now())))
        else:
            work = live.works.get(action.job if action.item is None else (action.job, action.item))
            if work is not None:
                work.cancel()

    def _start(self, live: Live, action: Start) -> None:
        at = live.at(self._clock.now())
        try:
            work = self._starter.prepare(live, action)
        except BaseException as error:  # The border: a plugin's job type looks at its options here.
            live.record(outcomes.not_started(at, action, evolve(failure(error), retryable=False)))
            return
        live.record(outcomes.started(at, work))
        live.works[work.unit] = work
        live.starts.append(work)
        self._places.take(work)
        live.served = next(self._served)

    # Commits

    def _commit(self, lives: list[Live]) -> None:
        """Makes all new facts durable, and then does what was waiting for it."""
        if not lives:
            return
        flushed = self._commits.flush(lives)
        for live in flushed.lost:
            self._stand_down(live)
        for live, error in flushed.failed:
            self._guarded(live, self._append_failed, live, error)
        for live in flushed.unindexed:
            if not live.index_timed:
                live.index_timed = True
                self._timers.after(INDEX_DELAY, live, self._index)
        works: list[Work] = []
        for live in flushed.durable:
            if self._drives(live):
                works += self._committed(live)
        if works:
            self._submit(works)

    def _index(self, live: Live) -> None:
        """Has the session's index entry put: with each commit it would cost a page of the log more."""
        live.index_timed = False
        live.index_due = True
        self._touch(live)

    def _append_failed(self, live: Live, error: StoreError) -> None:
        """Nothing starts, results stay in memory, the same commit is tried again.

        After one lease those who wait are told, and the claim is given back as soon as the store works.
        """
        now = self._clock.monotonic()
        if live.failing_since is None:
            live.failing_since = now
        if live.error is None and now - live.failing_since >= self._lease:
            live.error = error
            self._stop_works(live)
            if live.machine.state.claim is not None and not live.machine.state.status.is_terminal:
                live.record(ev.RunnerReleased(live.at(self._clock.now()), live.epoch))
            live.begun.set()
            live.done.set()
        self._timers.after(AGAIN, live, self._touch)

    def _committed(self, live: Live) -> list[Work]:
        """What was waiting for a session's facts to be durable; the work to be submitted."""
        if not live.begun.is_set():
            live.begun.set()
        if live.answered:
            requests.answered(self._store, live.answered)
            live.answered.clear()
        state = live.machine.state
        if state.status.is_terminal or state.claim is None:
            self._leave(live)
            return []
        if not live.starts:
            return []
        mine = self._commits.still_mine(live)
        if mine is None:
            self._timers.after(AGAIN, live, self._touch)
            return []
        if not mine:
            self._stand_down(live)
            return []
        works, live.starts = live.starts, []
        return works

    def _submit(self, works: list[Work]) -> None:
        for work in works:
            work.report = self.post
            timeout = work.job.timeout
            if timeout is not None:
                work.deadline = self._clock.monotonic() + timeout
                self._timers.after(timeout, work.live, self._overdue, weakref.ref(work))
        self._pool.submit(works)

    # Requests

    def look_for_requests(self) -> None:
        """Takes in what was asked of this runner's sessions."""
        try:
            token = self._store.changed(self._token)
            if token == self._token:
                return
            found = requests.pending(self._store, self._runner_id)
        except StoreError:
            return  # The next append reports it.
        self._token = token
        for request in found:
            live = self._lives.get(request.session)
            if live is None or request.epoch != live.epoch or live.machine.state.status.is_terminal:
                requests.answered(self._store, [request.id])
            elif request.id not in live.machine.state.requests:
                self._guarded(live, live.record, request.event(live.at(self._clock.now())))
                live.answered.append(request.id)
                self._touch(live)

    # The end

    def _begin_stop(self, timeout: float) -> None:
        at = self._clock.monotonic() + timeout
        self._stopping_at = at if self._stopping_at is None else min(at, self._stopping_at)

    def _continue_stop(self, now: float, deadline: float) -> None:
        """Waits for running work, then tells it to stop, then goes without it."""
        works = [work for live in self._lives.values() for work in live.works.values()]
        if works and now >= deadline and not self._interrupted:
            self._interrupted = True
            for live in self._lives.values():
                self._stop_works(live)
        patience = STOPPING if any(work.endable for work in works) else 0.0
        if works and now < deadline + patience:
            return
        for live in list(self._lives.values()):
            self._guarded(live, self._advance, live)
            if self._drives(live) and live.machine.state.claim is not None:
                live.record(ev.RunnerReleased(live.at(self._clock.now()), live.epoch))
            self._commit([live] if self._drives(live) else [])
            self._leave(live)
