"""What became of attempts: taken in on the driver's thread."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve

from bunsui.engine.actions import Recover
from bunsui.engine.reasons import overdue
from bunsui.errors import BunsuiError, JobTimeout
from bunsui.model.session import Failure
from bunsui.runner.attempts import outcomes
from bunsui.runner.attempts.calls import on_lost
from bunsui.runner.attempts.remote_work import RemoteWork
from bunsui.runner.attempts.remotes import STOPPED
from bunsui.runner.attempts.retry import wait_seconds
from bunsui.runner.driving.gathering import THREADS

if TYPE_CHECKING:
    from random import Random

    from bunsui.engine.units import Unit
    from bunsui.ports.clock import Clock
    from bunsui.ports.job_type import OnLost
    from bunsui.runner.attempts.attempts import Turns
    from bunsui.runner.attempts.pool import Pool, Pools
    from bunsui.runner.attempts.remotes import Remotes
    from bunsui.runner.attempts.starting import Starter
    from bunsui.runner.attempts.work import Work
    from bunsui.runner.driving.live import Live
    from bunsui.runner.driving.timers import Timers

#: Seconds after a timeout at which work that ends itself is looked at again.
OVERDUE_AGAIN = 1.0
#: Seconds that work which was told to stop may take: its processes have a grace of 5, then they are killed.
STOPPING = 7.0


class Results:
    """Makes facts of what attempts came to.

    Args:
        turns: the driver.
        give_back: takes the place of an attempt back.
        calls: threads for outputs that nobody else has a thread for.
    """

    def __init__(
        self,
        turns: Turns,
        clock: Clock,
        timers: Timers,
        pool: Pool,
        starter: Starter,
        remotes: Remotes,
        random: Random,
        give_back: Callable[[Work], None],
        calls: Pools,
    ) -> None:
        self._turns = turns
        self._remotes = remotes
        self._clock = clock
        self._timers = timers
        self._pool = pool
        self._starter = starter
        self._random = random
        self._give_back = give_back
        self._calls = calls

    # Ends

    def finished(self, work: Work) -> None:
        """The attempt has an output or a failure, and its thread has come back."""
        live = work.live
        work.has_ended = True
        if work.abandoned:
            self._pool.limit -= 1
            return
        if self._is_to_be_kept(live, work):
            self._calls.submit(THREADS, [work.keep_and_report])
            return
        live.works.pop(work.unit, None)
        self._give_back(work)
        if not self._turns.is_driving(live) or live.error is not None:
            return
        self._turns.touch(live)
        if work.unkept is not None and not work.interrupted:
            raise work.unkept
        if work.failure is not None:
            if not work.interrupted:
                self._ended_badly(live, work, work.failure)
            return
        output = work.output
        if output is None:
            raise BunsuiError(f"job '{work.job.id}' ended with neither output nor failure")
        if (wrong := self._starter.too_large(output)) is not None:
            self._failed(live, work, wrong)
        else:
            at = live.at(work.finished_at or self._clock.now())
            live.record(outcomes.succeeded(at, work, output))
            if isinstance(work, RemoteWork) and work.caching is not None and work.cached_from is None:
                self._calls.submit(THREADS, [work.remember])

    def _ended_badly(self, live: Live, work: Work, failed: Failure) -> None:
        if work.missing is not None:
            self.not_begun(work, work.missing)
            return
        if work.in_doubt and live.machine.stop_reason is None:
            policy = on_lost(work.job, work.job_type)
            if policy != "rerun":  # That has been done, by who raised it, as often as it is worth while.
                self.lost(live, _about(work), policy, failed.message)
                return
        self._failed(live, work, failed)

    def _is_to_be_kept(self, live: Live, work: Work) -> bool:
        """Whether its output has yet to be made an artifact: where it ended, nobody could wait for a disk."""
        if work.failure is not None or not self._starter.keeping.is_due(work.output):
            return False
        return live.works.get(work.unit) is work and self._turns.is_driving(live) and live.error is None

    def _failed(self, live: Live, work: Work, failed: Failure) -> None:
        at = live.at(work.finished_at or self._clock.now())
        machine = live.machine
        if machine.stop_reason is not None and failed.code == STOPPED.code:
            reason = machine.stop_reason if work.goes_on is None else f"{machine.stop_reason}; {work.goes_on}"
            live.record(outcomes.cancelled(at, work, reason))
            return
        if work.goes_on is not None:
            failed = evolve(failed, message=f"{failed.message}; {work.goes_on}")
        policy = machine.retry_policy(work.job.id, work.attempt, failed)
        if policy is None or (work.goes_on is not None and not work.abandoned):
            live.record(outcomes.failed(at, work, failed))
            return
        delay = wait_seconds(policy, work.attempt, self._random)
        live.record(outcomes.again(at, work, failed, delay))
        if work.abandoned:
            self._timers.after(delay, live, self._retry_unless_it_goes_on, work)
        else:
            self._timers.after(delay, live, self.retry, work.unit)

    def _retry_unless_it_goes_on(self, live: Live, work: Work) -> None:
        """The wait after an attempt whose thread was left to itself is over: no two ever run at once."""
        if live.is_released:
            return
        if work.has_ended or work.unit not in live.machine.waiting:
            self.retry(live, work.unit)
            return
        text = overdue(work.timeout, f"; {work.unendable_part}, so there is no other attempt")
        failed = Failure(JobTimeout.default_code, text, retryable=False)
        live.record(outcomes.gave_up(live.at(self._clock.now()), work.unit, failed))
        self._turns.touch(live)

    def retry(self, live: Live, unit: Unit) -> None:
        """The wait before another attempt is over."""
        live.machine.retry_due(unit)
        self._turns.touch(live)

    # Forced ends

    def overdue(self, live: Live, reference: weakref.ref[Work]) -> None:
        """The timeout of an attempt is over."""
        work = self._still_there(live, reference)
        if isinstance(work, RemoteWork):
            # Who was frozen for long may have lost the session: the work is another runner's then.
            if self._turns.may_start(live):
                text = overdue(work.timeout, " and was stopped")
                self._remotes.stop(work, Failure(JobTimeout.default_code, text))
            else:
                live.then.append(partial(self.overdue, live, reference))
        elif work is not None:
            text = overdue(work.timeout, f"; {work.unendable_part}")
            self._stop_waiting(live, work, self.overdue, Failure(JobTimeout.default_code, text))

    def stop(self, live: Live, unit: Unit) -> None:
        """Has the work of an attempt stopped, as its session is to end."""
        work = live.works.get(unit)
        if work is not None and work.has_ended:
            work.cancel()  # Its output is being kept; only where that can't be done now, it is given up.
        elif isinstance(work, RemoteWork):
            self._remotes.stop(work, STOPPED)
        elif work is not None:
            work.cancel()
            self._timers.after(STOPPING, live, self._not_stopped, weakref.ref(work))

    def _not_stopped(self, live: Live, reference: weakref.ref[Work]) -> None:
        """The time that stopping may take is over."""
        work = self._still_there(live, reference)
        if work is not None:
            work.goes_on = work.unendable_part
            self._stop_waiting(live, work, self._not_stopped, STOPPED)

    @staticmethod
    def _still_there(live: Live, reference: weakref.ref[Work]) -> Work | None:
        """The attempt, while somebody waits for it: one that the runner itself has stopped counts as lost."""
        work = reference()
        if work is None or work.interrupted or work.has_ended or live.works.get(work.unit) is not work:
            return None
        return work

    def _stop_waiting(
        self, live: Live, work: Work, again: Callable[[Live, weakref.ref[Work]], None], failed: Failure
    ) -> None:
        """Reports an attempt that only its own thread could end, and leaves that to itself."""
        if work.endable:  # It ends itself; but what its job type does after that may go on.
            self._timers.after(OVERDUE_AGAIN, live, again, weakref.ref(work))
            return
        work.abandoned = True
        work.cancel()
        self._pool.limit += 1
        del live.works[work.unit]
        self._give_back(work)
        self._turns.touch(live)
        self._failed(live, work, failed)

    # Attempts that lack something

    def stalled(self, work: Work, missing: str) -> None:
        """An attempt can't be followed for want of something; a session that is to end does so without it."""
        live = work.live
        if live.machine.stop_reason is None:
            live.record(outcomes.stalled(live.at(self._clock.now()), work, missing))
            self._turns.touch(live)

    def not_begun(self, work: Work, missing: str) -> None:
        """Nor could it be begun: it starts again under its number, once what is missing was given."""
        self.stalled(work, missing)
        self.lost(work.live, _about(work), "rerun", missing)

    # Attempts whose runner is gone

    def lost(self, live: Live, about: Recover, policy: OnLost, why: str) -> None:
        """Nobody can tell what became of an attempt: what then is done, the job says."""
        at = live.at(self._clock.now())
        if policy == "rerun":
            live.record(outcomes.lost(at, about))
        elif policy == "unknown":
            live.record(outcomes.unknown(at, about, why))
        else:
            text = f"what became of attempt {about.attempt} can't be told: {why}"
            live.record(outcomes.gone(at, about, Failure("JobLost", text, retryable=False)))
        self._turns.touch(live)


def _about(work: Work) -> Recover:
    return Recover(work.job.id, work.attempt, work.item_index)
