"""The driver: one thread that owns all sessions of a runner and performs what the engine decides.

A turn: take in all results that have come, let the engine decide, commit once for all sessions, and only
then start what was decided and show what happened. The start of the next jobs rides in the commit of the
successes that released them.

Whatever goes wrong with one session, a fault of this library included, sets that session aside and leaves
the others alone; where the thread itself ends, nobody waits for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bunsui.engine import events as ev
from bunsui.errors import BunsuiError, StoreError
from bunsui.model.status import SessionStatus
from bunsui.runner.attempts.attempts import Attempts
from bunsui.runner.attempts.results import STOPPING
from bunsui.runner.attempts.work import Work
from bunsui.runner.driving.agenda import Agenda
from bunsui.runner.driving.commits import Commits
from bunsui.runner.driving.ending import Ending
from bunsui.runner.driving.gathering import Gathering
from bunsui.runner.driving.live import Live
from bunsui.runner.driving.mailbox import Mailbox, closed, refuse
from bunsui.runner.driving.performing import Performing
from bunsui.runner.driving.releases import Releases
from bunsui.runner.driving.requests import Inbox
from bunsui.runner.driving.tempo import AGAIN, INDEX_DELAY, LAST_TURN, TICK
from bunsui.runner.driving.timers import Timers

if TYPE_CHECKING:
    from random import Random
    from threading import Thread

    from bunsui.ports.clock import Clock
    from bunsui.ports.store import Store
    from bunsui.runner.attempts.event_loop import EventLoop
    from bunsui.runner.attempts.places import Places
    from bunsui.runner.attempts.pool import Pool, Pools
    from bunsui.runner.attempts.starting import Starter
    from bunsui.runner.driving.observers import Observers


class Driver:
    """Drives sessions until they rest.

    `adopt`, `post`, `alive`, `drives` and `stop` may be called from any thread; all else is its own thread's.
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
        calls: Pools,
        event_loop: EventLoop,
        places: Places,
        lease: float,
        random: Random,
        thread: Callable[..., Thread],
    ) -> None:
        self._clock = clock
        self._starter = starter
        self._places = places
        self._lease = lease
        self._commits = Commits(store, clock, observers, lease)
        self._releases = Releases(self._commits, store, clock)
        self._timers = Timers(clock)
        self._lives: dict[str, Live] = {}
        self._agenda = Agenda()
        self._turns = 0
        self._last_turn = clock.monotonic()
        self._next_look = 0.0
        self._inbox = Inbox(store, runner_id)
        self._ending = Ending()
        self._mailbox = Mailbox(self._run, self._lives, thread)
        self._attempts = Attempts(self, clock, self._timers, pool, calls, event_loop, places, starter, random)
        gathering = Gathering(self, calls, starter.keeping, clock)
        self._performing = Performing(
            self.touch, self._attempts, gathering, starter, self._timers, clock, lease
        )

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

    @property
    def is_busy(self) -> bool:
        """Whether it drives any session."""
        return bool(self._lives)

    def last_turn(self) -> int | None:
        """The number of the last turn, counted from 1; None where the driver is not alive."""
        return self._turns if self.alive else None

    def stop(self, timeout: float) -> None:
        """Starts nothing more, lets running jobs end for `timeout` seconds, and releases its claims."""
        self.post(lambda: self._ending.begin(self._clock.monotonic() + timeout))
        self._mailbox.join(timeout + STOPPING + LAST_TURN)

    # The thread

    def _run(self) -> None:
        while self._lives or not self._ending.has_begun:
            self.turn(self._pause())

    def _pause(self) -> float | None:
        """Seconds to wait for a message; None: for ever."""
        if self._agenda.is_pressing:
            return 0.0
        due = min(self._releases.due, self._attempts.due, self._next_look if self._lives else math.inf)
        if due == math.inf:
            return None
        return self._timers.pause(max(0.0, due - self._clock.monotonic()))

    def turn(self, pause: float | None = 0.0) -> None:
        """One turn: waits up to `pause` seconds for a message, then does all there is to do."""
        self._take_in(pause)
        self._turns += 1
        self._last_turn = now = self._clock.monotonic()
        for live, call, arguments in self._timers.due():
            if self.is_driving(live):
                self.guard(live, call, live, *arguments)
        self._attempts.turn(now)
        self._releases.turn(now)
        if now >= self._next_look and self._lives:
            self._next_look = now + TICK
            self.look_for_requests()
        if self._ending.has_begun:
            self._continue_stop(now)
        advanced = []
        for live, is_new in self._agenda.take():
            # A thousand that wait for a place are not asked when there is none any more.
            if self.is_driving(live) and (is_new or self._places.free > 0):
                self.guard(live, self._advance, live)
                advanced.append(live)
        self._commit([live for live in advanced if self.is_driving(live)])

    def _take_in(self, pause: float | None) -> None:
        for message in self._mailbox.take(pause):
            if isinstance(message, Work):
                self.guard(message.live, self._attempts.finished, message)
            elif isinstance(message, Live):
                self._adopt(message)
            else:
                message()

    def guard(self, live: Live, call: Callable[..., None], *arguments: Any) -> None:
        """Does something for one session; where it fails, that session is set aside."""
        try:
            call(*arguments)
        except Exception as error:  # A fault of ours, or a history that contradicts itself.
            self._give_up(live, error if isinstance(error, BunsuiError) else live.fault(error))

    # Sessions come and go

    def is_driving(self, live: Live) -> bool:
        """Whether this is the live session of its id: a session may leave and be taken over again."""
        return self._lives.get(live.id) is live

    def _adopt(self, live: Live) -> None:
        if self._ending.has_begun:
            refuse(live, closed())
            return
        if (driven := self._lives.get(live.id)) is not None:  # Two threads of this runner had the same idea.
            live.give_way(driven)
            return
        self._lives[live.id] = live
        for unit, failed in live.machine.waiting.items():
            # A wait that began under another runner: by the wall clock, but never longer than it was.
            over = (live.at(self._clock.now()) - failed.at).total_seconds()
            self._attempts.retry_after(min(max(failed.delay - over, 0), failed.delay), live, unit)
        if live.pipeline.timeout is not None:
            left = max(live.pipeline.timeout - live.machine.state.active, 0.0)
            self._timers.after(left, live, self._session_overdue)
        self.touch(live)

    def touch(self, live: Live) -> None:
        """Has the session advanced, and committed, in the next turn."""
        self._agenda.touch(live)

    def _leave(self, live: Live) -> None:
        """Drives the session no more."""
        if self.is_driving(live):
            del self._lives[live.id]
            self._agenda.waits(live, for_place=False)
        self._attempts.leave(live)
        self._commits.left(live)
        # Who holds a handle holds the session too, and not what was only made for its jobs.
        live.items.clear()
        live.decoded.clear()
        live.secrets.forget()
        live.begun.set()
        live.done.set()

    def _give_up(self, live: Live, error: BunsuiError) -> None:
        """Sets a session aside that can't be driven, and lets others try."""
        live.error = error
        driven = self.is_driving(live)
        self._leave(live)
        if driven:
            self._releases.add(live)

    def _stand_down(self, live: Live) -> None:
        """Somebody else has claimed the session: whatever runs here runs for nothing."""
        live.lost = True
        self._leave(live)

    def room(self) -> None:
        """There was no place for an attempt, and now there is: others may start something too."""
        self._agenda.room()

    def may_start(self, live: Live) -> bool:
        """Whether the session is certain to be this runner's for a while; else a further commit shows it."""
        if self._commits.still_mine(live):
            return True
        live.index_due = True  # An empty commit, where there are no facts.
        self.touch(live)
        return False

    # Decisions

    def _advance(self, live: Live) -> None:
        """Performs what the engine decides for a session until it has nothing more to say."""
        if live.is_released:
            return
        machine = live.machine
        free_in_pools = self._places.free_in_pools
        while actions := machine.decide(live.at(self._clock.now()), self._free(live), free_in_pools):
            if not self._performing.all(live, actions):
                break  # They are decided again.
            free_in_pools = self._places.free_in_pools
        else:
            live.unread_since = None
        self._agenda.waits(live, for_place=machine.has_ready)
        if machine.state.status is SessionStatus.PAUSED:
            self._attempts.leave(live)  # Of what can't be followed nothing may be recorded any more.
            self._release(live)

    def _release(self, live: Live) -> None:
        """Gives the session back with its next commit: nothing may be recorded after that."""
        if not live.is_released:
            live.record(ev.RunnerReleased(live.at(self._clock.now()), live.epoch))

    def _free(self, live: Live) -> int:
        """How many attempts may start; none while the store fails or the runner ends."""
        if live.unsent or live.error is not None or self._ending.has_begun:
            return 0
        return self._places.free

    # Commits

    def _commit(self, lives: list[Live]) -> None:
        """Makes all new facts durable, and then does what was waiting for it."""
        for live in lives:  # First by itself: what can't be encoded must not keep others from their commit.
            self.guard(live, self._commits.seal, live)
        held_up = [live for live in lives if live.failing_since is not None]
        flushed = self._commits.flush([live for live in lives if self.is_driving(live)])
        for live in flushed.lost:
            self._stand_down(live)
        for live, error in flushed.failed:
            self.guard(live, self._append_failed, live, error)
        for live in flushed.unindexed:
            if not live.index_timed:
                live.index_timed = True
                self._timers.after(INDEX_DELAY, live, self._index)
        for live in held_up:
            if live.failing_since is None and self.is_driving(live):
                self.touch(live)  # What became ready meanwhile could not start.
        for live in flushed.durable:
            if self.is_driving(live):
                self.guard(live, self._committed, live)
        # At once: a claim that was looked at before something slow says nothing after it.
        if works := [work for live in flushed.durable for work in self._due(live)]:
            self._attempts.submit(works)
        self._inbox.forget(flushed.durable)

    def _index(self, live: Live) -> None:
        """Has the session's index entry put: with each commit it would cost a page of the log more."""
        live.index_timed = False
        if live.is_behind:
            live.index_due = True
            self.touch(live)

    def _append_failed(self, live: Live, error: StoreError) -> None:
        """Nothing starts, results stay in memory, the same commit is tried again.

        After one lease those who wait are told, and the claim is given back as soon as the store works.
        A claim that is not durable, in a store that somebody has to mend first, is given up at once.
        """
        if error.lasting and not live.begun.is_set() and self._commits.is_absent(live):
            live.error = live.stopped_by(error)
            self._leave(live)
            return
        now = self._clock.monotonic()
        if live.failing_since is None:
            live.failing_since = now
        if live.error is None and now - live.failing_since >= self._lease:
            live.error = live.stopped_by(error)
            self._attempts.leave(live)
            if not live.machine.state.status.is_terminal:
                self._release(live)
            refuse(live, live.error)
        self._timers.after(AGAIN, live, self.touch)

    def _committed(self, live: Live) -> None:
        """Does what was waiting for a session's facts to be durable, but for starts."""
        if not live.is_claimed:
            live.is_claimed = True
            live.begun.set()
        if live.left:
            self._attempts.clear(live)
        live.alert()
        if live.machine.state.status.is_terminal or live.is_released:
            self._leave(live)
            return
        then, live.then = live.then, []
        for call in then:
            call()

    def _due(self, live: Live) -> list[Work]:
        """The attempts that are to be submitted now."""
        if not live.starts or not self.is_driving(live) or not self.may_start(live):
            return []
        due, live.starts = live.starts, []
        return due

    def _session_overdue(self, live: Live) -> None:
        """The pipeline's timeout is over."""
        if live.is_released:
            return
        if live.machine.state.status is SessionStatus.CREATED:
            # A timeout so short that it is over before the start is recorded.
            self._timers.after(TICK, live, self._session_overdue)
        if live.machine.state.status is SessionStatus.RUNNING and live.machine.stop_reason is None:
            live.record(ev.TimeoutReached(live.at(self._clock.now())))
            self.touch(live)

    # Requests

    def look_for_requests(self) -> None:
        """Takes in what was asked of this runner's sessions."""
        for request in self._inbox.look():
            live = self._lives.get(request.session)
            if live is None or request.epoch != live.epoch or live.machine.state.status.is_terminal:
                self._inbox.answered([request.id])
            elif not live.is_released and request.id not in live.machine.state.requests:
                self.guard(live, live.record, request.event(live.at(self._clock.now())))
                live.answered.append(request.id)
                self.touch(live)

    # The end

    def _continue_stop(self, now: float) -> None:
        """Waits for running work, then goes without it."""
        works = [work for live in self._lives.values() for work in self._attempts.here(live)]
        if self._ending.waits_for(works, now, self._leave_attempts):
            return
        for live in list(self._lives.values()):
            self.guard(live, self._advance, live)
            if self.is_driving(live):
                self._release(live)
                self._commit([live])
            if live.unsent and live.error is None and not live.lost:
                live.error = live.unrecorded()
            self._leave(live)

    def _leave_attempts(self) -> None:
        for live in self._lives.values():
            self._attempts.leave(live)
