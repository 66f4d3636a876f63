"""The driver: one thread that owns all sessions of a runner and performs what the engine decides.

A turn: take in all results that have come, let the engine decide, commit once for all sessions, and only
then start what was decided and show what happened. The start of the next jobs rides in the commit of the
successes that released them.
"""

from __future__ import annotations

import contextlib
import heapq
import queue
import random
import threading
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

from attrs import evolve

from bunsui.engine import events as ev
from bunsui.engine.actions import Action, Record, Recover, Start
from bunsui.errors import BunsuiError, StateError, StoreError
from bunsui.local.results import failure
from bunsui.model.session import Failure
from bunsui.model.status import SessionStatus
from bunsui.runner import requests
from bunsui.runner.commits import Commits
from bunsui.runner.retry import wait_seconds
from bunsui.runner.work import Work

if TYPE_CHECKING:
    from bunsui.ports.clock import Clock
    from bunsui.ports.store import Store
    from bunsui.runner.live import Live
    from bunsui.runner.observers import Observers
    from bunsui.runner.pool import Pool
    from bunsui.runner.starting import Starter

#: Seconds between two looks for requests, and between turns while nothing happens.
TICK = 0.2
#: Bytes of a commit that an output leaves to the event around it.
EVENT_MARGIN = 1024
#: Seconds before a failed append is tried again.
RETRY_APPEND = 0.5
#: Seconds by which the job counts of a session's index entry may lag behind its history.
INDEX_DELAY = 1.0
#: Seconds that work which was told to stop may take, beyond the grace of its processes.
STOP_MARGIN = 2.0


class Driver:
    """Drives sessions until they rest. All methods but `post` and `turn` are called on its own thread."""

    def __init__(
        self,
        runner_id: str,
        store: Store,
        clock: Clock,
        pool: Pool,
        observers: Observers,
        starter: Callable[[Callable[[Work], None]], Starter],
        *,
        max_concurrency: int,
        lease: float,
    ) -> None:
        self.runner_id = runner_id
        self.lives: dict[str, Live] = {}
        #: When the last turn was made (monotonic); a heartbeat stops when it gets old.
        self.last_turn = clock.monotonic()
        self._store = store
        self._clock = clock
        self._pool = pool
        self._commits = Commits(store, clock, observers, lease)
        self._starter = starter(self.post)
        self._max_concurrency = max_concurrency
        self._lease = lease
        self._random = random.Random()  # noqa: S311 - jitter
        self._inbox: queue.SimpleQueue[Work | Callable[[], None]] = queue.SimpleQueue()
        self._active = 0
        self._dirty: dict[str, Live] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._next_look = 0.0
        self._token: object = None
        self._stopping_at: float | None = None
        self._interrupted = False
        self._stopped = False
        self._thread: threading.Thread | None = None

    # From other threads

    def post(self, message: Work | Callable[[], None]) -> None:
        """Has `message` taken in at the next turn: finished work, or something to call."""
        self._inbox.put(message)

    def start(self) -> None:
        """Starts the driver's thread, unless it runs already."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="bunsui-driver", daemon=True)
            self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the driver makes turns: a heartbeat stands for this."""
        thread = self._thread
        fresh = self._clock.monotonic() - self.last_turn < self._lease
        return thread is not None and thread.is_alive() and fresh

    def stop(self, timeout: float) -> None:
        """Starts nothing more, lets running jobs end for `timeout` seconds, and releases its claims."""
        if self._thread is None:
            return
        self.post(lambda: self._begin_stop(timeout))
        self._thread.join()

    # The thread

    def _run(self) -> None:
        try:
            while not self._stopped:
                self.turn(self._pause())
        except BaseException as error:
            # A fault of ours: nobody may wait for a driver that is gone.
            for live in list(self.lives.values()):
                text = f"the driver failed: {type(error).__name__}: {error}"
                self._give_up(live, BunsuiError(text, hint="the session can be resumed"))
            raise

    def _pause(self) -> float | None:
        """Seconds to wait for a message; None: for ever."""
        if not self.lives and self._stopping_at is None:
            return None
        if not self._timers:
            return TICK
        return max(0.0, min(TICK, self._timers[0][0] - self._clock.monotonic()))

    def turn(self, pause: float | None = 0.0) -> None:
        """One turn: waits up to `pause` seconds for a message, then does all there is to do."""
        self._take_in(pause)
        self.last_turn = now = self._clock.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()
        if now >= self._next_look and self.lives:
            self._next_look = now + TICK
            self.look_for_requests()
        if self._stopping_at is not None:
            self._continue_stop(now)
        dirty, self._dirty = self._dirty, {}
        for live in dirty.values():
            self._advance(live)
        self._commit([live for live in dirty.values() if self._drives(live)])

    def _take_in(self, pause: float | None) -> None:
        inbox = self._inbox
        with contextlib.suppress(queue.Empty):
            message = inbox.get(timeout=pause) if pause != 0.0 else inbox.get_nowait()
            while True:
                if type(message) is Work:
                    self._finished(message)
                else:
                    message()
                message = inbox.get_nowait()

    def _after(self, seconds: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (self._clock.monotonic() + seconds, next(self._order), call))

    # Sessions come and go

    def _drives(self, live: Live) -> bool:
        """Whether this is the live session of its id: a session may leave and be taken over again."""
        return self.lives.get(live.id) is live

    def adopt(self, live: Live) -> None:
        """Drives a session from now on; its first facts, the claim among them, wait in `live.events`."""
        if self._stopping_at is not None:
            live.error = StateError(
                f"session {live.id}: this runner is closed", hint="the session can be resumed"
            )
            self._leave(live)
            return
        self.lives[live.id] = live
        for job, failed in live.machine.waiting.items():
            # A wait that began under another runner: by the wall clock, but never longer than it was.
            over = (live.at(self._clock.now()) - failed.at).total_seconds()
            self._after(min(max(failed.delay - over, 0), failed.delay), self._waker(live, job))
        self._dirty[live.id] = live

    def _leave(self, live: Live) -> None:
        """Drives the session no more."""
        if self._drives(live):
            del self.lives[live.id]
        for work in live.works.values():
            work.interrupted = True
            work.cancel()
        live.begun.set()
        live.done.set()

    def _give_up(self, live: Live, error: BunsuiError) -> None:
        live.error = error
        live.unsent.clear()
        self._leave(live)

    def _stand_down(self, live: Live) -> None:
        """Somebody else has claimed the session: whatever runs here runs for nothing."""
        live.lost = True
        self._leave(live)

    # Results

    def _finished(self, work: Work) -> None:
        live = work.live
        if work.abandoned:
            self._pool.limit -= 1
            return
        self._active -= 1
        live.works.pop(work.job.id, None)
        if not self._drives(live):
            return
        self._dirty[live.id] = live
        if self._active == self._max_concurrency - 1:
            self._dirty |= self.lives  # There was no room; now others may start something too.
        if work.failure is not None:
            if not work.interrupted:
                self._failed(live, work.job.id, work.attempt, work.failure, work)
            return
        output, at = work.output, live.at(work.finished_at or self._clock.now())
        assert output is not None  # noqa: S101 - there is a failure or an output
        most = self._store.max_commit_bytes - EVENT_MARGIN
        if len(output.text) > most:
            text = f"the output has {len(output.text)} bytes; the store takes at most {most}"
            self._failed(live, work.job.id, work.attempt, Failure("OutputTooLarge", text, False))
        else:
            live.record(ev.JobSucceeded(at, work.job.id, work.attempt, output))

    def _failed(self, live: Live, job: str, attempt: int, failed: Failure, work: Work | None = None) -> None:
        at = live.at(work.finished_at if work and work.finished_at else self._clock.now())
        machine = live.machine
        cancel = machine.state.cancel
        if cancel is not None and failed.code == "JobCancelled":
            live.record(ev.JobCancelled(at, job, cancel.reason or "the session was cancelled"))
            return
        policy = machine.retry_policy(job, attempt, failed)
        if policy is None or (work is not None and work.abandoned):
            live.record(ev.JobFailed(at, job, attempt, failed))
            return
        delay = wait_seconds(policy, attempt, self._random)
        live.record(ev.AttemptFailed(at, job, attempt, failed, delay))
        self._after(delay, self._waker(live, job))

    def _waker(self, live: Live, job: str) -> Callable[[], None]:
        def wake() -> None:
            if self._drives(live):
                live.machine.retry_due(job)
                self._dirty[live.id] = live

        return wake

    def _overdue(self, work: Work) -> None:
        """The timeout of work that only its own thread could end: it is reported, and left to itself."""
        live = work.live
        if not self._drives(live) or live.works.get(work.job.id) is not work or work.endable:
            return
        work.abandoned = True
        work.cancel()
        self._active -= 1
        self._pool.limit += 1
        del live.works[work.job.id]
        self._dirty[live.id] = live
        text = "the attempt took longer than its timeout; its thread can't be ended and goes on"
        self._failed(live, work.job.id, work.attempt, Failure("JobTimeout", text), work)

    # Decisions

    def _advance(self, live: Live) -> None:
        """Performs what the engine decides for a session until it has nothing more to say."""
        if not self._drives(live):
            return
        try:
            while actions := live.machine.decide(live.at(self._clock.now()), self._free(live)):
                for action in actions:
                    self._perform(live, action)
            state = live.machine.state
            if state.status is SessionStatus.PAUSED and state.claim is not None:
                live.record(ev.RunnerReleased(live.at(self._clock.now()), live.epoch))
        except BunsuiError as error:
            # A history that contradicts itself: this session is set aside, the others go on.
            self._give_up(live, error)

    def _free(self, live: Live) -> int:
        """How many attempts may start; none while the store fails or the runner ends."""
        if live.unsent or self._stopping_at is not None:
            return 0
        return self._max_concurrency - self._active

    def _perform(self, live: Live, action: Action) -> None:
        if isinstance(action, Start):
            self._start(live, action)
        elif isinstance(action, Record):
            live.record(action.event)
        elif isinstance(action, Recover):
            # Local work can't be asked what became of it: it runs again, under the same key.
            at = live.at(self._clock.now())
            live.record(ev.AttemptLost(at, action.job, action.attempt))
        elif (work := live.works.get(action.job)) is not None:
            work.cancel()

    def _start(self, live: Live, action: Start) -> None:
        at = live.at(self._clock.now())
        try:
            work = self._starter.prepare(live, action)
        except Exception as error:  # The border: a plugin's job type looks at its options here.
            live.record(ev.JobFailed(at, action.job, 0, evolve(failure(error), retryable=False)))
            return
        live.record(ev.JobStarted(at, action.job, action.attempt, work.key))
        live.works[action.job] = work
        live.starts.append(work)
        self._active += 1

    # Commits

    def _commit(self, lives: list[Live]) -> None:
        """Makes all new facts durable, and then does what was waiting for it."""
        flushed = self._commits.flush(lives)
        for live in flushed.lost:
            self._stand_down(live)
        for live, error in flushed.failed:
            self._append_failed(live, error)
        for live in flushed.unindexed:
            self._index_later(live)
        self._committed(flushed.durable)

    def _index_later(self, live: Live) -> None:
        """Has the session's index entry put soon: with each commit it would cost a page of the log more."""
        if live.index_timed:
            return
        live.index_timed = True

        def due() -> None:
            live.index_timed = False
            if self._drives(live):
                live.index_due = True
                self._dirty[live.id] = live

        self._after(INDEX_DELAY, due)

    def _append_failed(self, live: Live, error: StoreError) -> None:
        """Nothing starts, results stay in memory, the same commit is tried again; for one lease."""
        now = self._clock.monotonic()
        if live.failing_since is None:
            live.failing_since = now
        if now - live.failing_since >= self._lease:
            self._give_up(live, error)
            return

        def again() -> None:
            if self._drives(live):
                self._dirty[live.id] = live

        self._after(RETRY_APPEND, again)

    def _committed(self, lives: list[Live]) -> None:
        works = []
        for live in lives:
            if not self._drives(live):
                continue
            live.begun.set()
            if live.answered:
                requests.answered(self._store, live.answered)
                live.answered.clear()
            if live.starts:
                if self._commits.still_mine(live):
                    works += live.starts
                else:
                    self._stand_down(live)
                live.starts = []
            state = live.machine.state
            if state.status.is_terminal or state.claim is None:
                self._leave(live)
        if works:
            self._submit(works)

    def _submit(self, works: list[Work]) -> None:
        for work in works:
            timeout = work.job.timeout
            if timeout is not None:
                work.deadline = self._clock.monotonic() + timeout
                self._after(timeout, lambda work=work: self._overdue(work))  # type: ignore[misc]
        self._pool.submit(works)  # type: ignore[arg-type]

    # Requests

    def look_for_requests(self) -> None:
        """Takes in what was asked of this runner's sessions."""
        try:
            token = self._store.changed(self._token)
            if token == self._token:
                return
            found = requests.pending(self._store, self.runner_id)
        except StoreError:
            return  # The next append reports it.
        self._token = token
        for request in found:
            live = self.lives.get(request.session)
            if live is None or request.epoch != live.epoch:
                requests.answered(self._store, [request.id])
                continue
            if request.id not in live.machine.state.requests:
                live.record(request.event(live.at(self._clock.now())))
                live.answered.append(request.id)
                self._dirty[live.id] = live

    # The end

    def _begin_stop(self, timeout: float) -> None:
        if self._stopping_at is None:
            self._stopping_at = self._clock.monotonic() + timeout

    def _continue_stop(self, now: float) -> None:
        """Waits for running work, then tells it to stop, then goes without it."""
        from bunsui.local.process import GRACE  # noqa: PLC0415 - subprocess: 10 ms

        working = any(live.works for live in self.lives.values())
        deadline = self._stopping_at or now
        if working and now >= deadline and not self._interrupted:
            self._interrupted = True
            for live in self.lives.values():
                for work in live.works.values():
                    work.interrupted = True
                    work.cancel()
        endable = any(w.endable for live in self.lives.values() for w in live.works.values())
        patience = GRACE + STOP_MARGIN if endable else 0.0
        if working and now < deadline + patience:
            return
        for live in list(self.lives.values()):
            self._advance(live)
            if self._drives(live) and live.machine.state.claim is not None:
                live.record(ev.RunnerReleased(live.at(self._clock.now()), live.epoch))
            self._commit([live])
            if self._drives(live):
                self._leave(live)
        self._stopped = True
