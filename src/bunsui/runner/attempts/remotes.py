"""Attempts at remote services, followed from the driver's thread: submitted, watched, stopped, found again.

A service that does not answer is no reason for a job to fail: it is asked again, ever more seldom, for as
long as the attempt may take.
"""

from __future__ import annotations

import logging
import math
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

from bunsui.errors import JobCancelled
from bunsui.model.session import Failure
from bunsui.performance.retrying import Backoff, RetryBudget
from bunsui.ports.remote import CannotTell, Found, NeverRan, Running
from bunsui.runner.attempts.polls import group_of
from bunsui.runner.attempts.remote_work import (
    PLUGIN_ERROR,
    Ended,
    Junk,
    Kind,
    RemoteWork,
    Told,
    ask,
    refuse_awaitable,
)
from bunsui.runner.attempts.watching import Poll, Watching

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from bunsui.ports.clock import Clock
    from bunsui.runner.attempts.owner import Owner
    from bunsui.runner.attempts.pool import Pools
    from bunsui.runner.driving.live import Live
    from bunsui.runner.driving.timers import Timers

#: How long to wait before a service that did not answer is asked again.
_AGAIN = Backoff(first=1.0, longest=60.0)
#: Calls in vain, one after the other, after which that is said; and again after as many more.
SAID_AFTER = 5
#: Seconds that work which was asked to stop may take to end.
PATIENCE = 60.0

_log = logging.getLogger(__name__)


class Remotes:
    """All attempts of a runner that run at remote services. All of it is called on the driver's thread.

    Args:
        owner: the driver.
        calls: the threads in which services are called, by the name of the job type.
        timers: the driver's.
        clock: the driver's.
        random: for jitter.
    """

    def __init__(self, owner: Owner, calls: Pools, timers: Timers, clock: Clock, random: Random) -> None:
        self._owner = owner
        self._calls = calls
        self._timers = timers
        self._clock = clock
        self._random = random
        #: What is polled, by the name of its type and its group.
        self._watched: dict[tuple[str, str], Watching] = {}
        #: How many calls may be made again soon, by the name of the type.
        self._budgets: dict[str, RetryBudget] = {}

    def __bool__(self) -> bool:
        return bool(self._watched)

    # Beginnings

    def submit(self, work: RemoteWork) -> None:
        """Has a new attempt submitted."""
        self._call(work, work.submit, self._submitted)

    def take_over(self, work: RemoteWork) -> None:
        """Goes on with an attempt that another runner has started."""
        work.recovered = True
        if work.handle is None:
            self._call(work, work.find, self._found)
        elif work.secrets:
            self._look_up_secrets(work.live, work)
        else:
            self._watch(work)

    def _look_up_secrets(self, _: Live, work: RemoteWork) -> None:
        """What the service says of work may show what another runner gave it: so that comes first."""
        if self._owner.holds(work):
            self._call(work, work.look_up_secrets, self._looked_up)

    def _looked_up(self, _: Live, work: RemoteWork, told: Told) -> None:
        # Work that is to be stopped is stopped without them; then nothing of what it says is shown.
        if told.kind is Kind.DONE or work.stopping is not None:
            self._watch(work)
            self._stop_if_wanted(work)
        elif told.is_passing:
            self._note_stall(work, told)
            self._again(work, self._look_up_secrets)
        else:
            self._lost(work, told.text)

    def forget(self, work: RemoteWork) -> None:
        """Follows an attempt no more; its work goes on."""
        if work.group is None:
            return
        key = work.job_type.name, work.group
        work.group = None
        if (watching := self._watched.get(key)) is not None:
            watching.discard(work)
            if not watching:
                del self._watched[key]

    def stop(self, work: RemoteWork, counts_as: Failure) -> None:
        """Has the work stopped; it then fails with `counts_as`, also where that can't be done."""
        if work.stopping is not None:
            return
        work.stopping = counts_as
        work.cancelled.set()
        if work.is_absent:
            self._end(work, None)
            return
        self._timers.after(PATIENCE, work.live, self._out_of_patience, work)
        if work.is_watched:
            self._call(work, work.stop, self._asked_to_stop)

    # What services said

    def _call(
        self, work: RemoteWork, call: Callable[[], Any], then: Callable[[Live, RemoteWork, Told], None]
    ) -> None:
        def task() -> None:
            told = ask(call, work.redact)
            self._owner.later(work.live, self._answered, work, told, then)

        if not work.tries:
            self._budget(work.job_type.name).earn()
        self._calls.submit(work.job_type.name, [task])

    def _budget(self, kind: str) -> RetryBudget:
        found = self._budgets.get(kind)
        if found is None:
            found = self._budgets[kind] = RetryBudget(backoff=_AGAIN)
        return found

    def _answered(self, work: RemoteWork, told: Told, then: Callable[[Live, RemoteWork, Told], None]) -> None:
        if told.kind is not Kind.DONE:
            work.why = told.text
        if self._owner.holds(work):
            then(work.live, work, told)

    def _note_stall(self, work: RemoteWork, told: Told) -> None:
        """Has it recorded, once, that work can't be followed for want of something."""
        if told.kind is Kind.CREDENTIALS and not work.has_stalled:
            work.has_stalled = True
            self._owner.stalled(work, told.message)

    def _again(self, work: RemoteWork, call: Callable[[Live, RemoteWork], None]) -> None:
        """Has something tried again later."""
        work.tries += 1
        if work.tries % SAID_AFTER == 0:
            what = f"job '{work.job.id}' of session {work.live.id}"
            _log.warning("%s: %s; it is asked again (%d times so far)", what, work.why, work.tries)
        wait = self._budget(work.job_type.name).wait(work.tries, self._random)
        self._timers.after(wait, work.live, call, work)

    def _submitted(self, live: Live, work: RemoteWork, told: Told) -> None:
        if told.kind is Kind.DONE and work.output is not None:
            self._end(work, None, even_if_stopped=True)  # An equal one has run before.
        elif told.kind is Kind.DONE:
            work.handle = told.value
            self._has_handle(work)
        elif told.kind is Kind.REFUSED:
            if work.may_be_there:  # From a call before.
                work.goes_on = f"what became of it is not known: {told.text}"
            self._end(work, told.failure)
        elif told.kind is Kind.CREDENTIALS and work.stopping is None and not work.may_be_there:
            self._owner.not_begun(work, told.message)
        elif told.kind in (Kind.BUSY, Kind.CREDENTIALS):
            self._note_stall(work, told)
            self._submit_later(work)
        else:  # It may have had its effect all the same.
            work.fault = told.failure if told.kind is Kind.FAULT else None
            self._look(live, work)

    def _look(self, _: Live, work: RemoteWork) -> None:
        if self._owner.holds(work):
            self._call(work, work.find, self._found)

    def _found(self, _: Live, work: RemoteWork, told: Told) -> None:
        answer = told.value
        if told.is_passing:
            self._note_stall(work, told)
            self._again(work, self._look)
        elif isinstance(answer, Found):
            work.handle = answer.handle
            self._has_handle(work)
        elif isinstance(answer, NeverRan) or self._may_repeat(work):
            work.may_be_there = not (isinstance(answer, NeverRan) and answer.is_certain)
            self._not_there(work)
        else:
            self._lost(work, told.text or "the service does not know")

    @staticmethod
    def _may_repeat(work: RemoteWork) -> bool:
        return work.job_type.resubmit_is_idempotent and work.fault is None and work.stopping is None

    def _not_there(self, work: RemoteWork) -> None:
        """The work may be submitted (again) under its key."""
        if work.may_be_there and work.stopping is not None:
            # It is stopped as soon as it shows, which may be at once, until there is no patience left.
            work.unasked = "its service may have it, and does not show it"
            self._again(work, self._look)
        elif work.fault is not None or work.stopping is not None:
            self._end(work, work.fault)
        elif work.recovered:
            self._owner.never_ran(work)
        else:
            self._submit_later(work)

    def _submit_later(self, work: RemoteWork) -> None:
        """Has the work submitted again under its key; where it is certainly absent, a stop just ends it."""
        work.is_absent = not work.may_be_there
        if work.is_absent and work.stopping is not None:
            self._end(work, None)
        else:
            self._again(work, self._submit_again)

    def _submit_again(self, _: Live, work: RemoteWork) -> None:
        if not self._owner.holds(work):
            return
        if work.stopping is not None:
            self._look(work.live, work)
        elif self._owner.may_submit(work):
            work.is_absent = False
            self._call(work, work.submit, self._submitted)
        else:
            work.live.then.append(partial(self._submit_again, work.live, work))

    def _has_handle(self, work: RemoteWork) -> None:
        work.tries = 0
        self._owner.submitted(work)
        self._watch(work)
        self._stop_if_wanted(work)

    def _stop_if_wanted(self, work: RemoteWork) -> None:
        if work.stopping is not None:
            self._call(work, work.stop, self._asked_to_stop)

    # Watching

    def _watch(self, work: RemoteWork) -> None:
        assert work.handle is not None  # noqa: S101 - only what has a handle is watched
        kind = work.job_type
        group = group_of(kind, work.handle.value)
        watching = self._watched.get((kind.name, group)) or Watching(kind, self._random)
        self._watched[kind.name, group] = watching
        work.group = group
        watching.add(work, self._clock.monotonic())

    @property
    def due(self) -> float:
        """When (monotonic) something is to be polled next; infinity where nothing is."""
        return min((watching.due for watching in self._watched.values()), default=math.inf)

    def turn(self, now: float) -> None:
        """Polls what is due."""
        for watching in self._watched.values():
            if polls := watching.begin(now):
                for _ in polls if not watching.tries else ():
                    self._budget(watching.kind.name).earn()
                tasks = [partial(self._poll, watching, poll) for poll in polls]
                self._calls.submit(watching.kind.name, tasks)

    def _poll(self, watching: Watching, poll: Poll) -> None:
        """In a thread."""
        kind, works = watching.kind, poll.works
        handles = [work.handle.value for work in works if work.handle is not None]

        def ask_for_them() -> list[Any]:
            return list(refuse_awaitable(kind.poll(handles), f"poll() of job type '{kind.name}'"))

        # What it says of several may show the secrets of any, in the histories of all and in the log.
        told = ask(ask_for_them, lambda text: reduce(lambda said, work: work.redact(said), works, text))
        if told.kind is Kind.DONE and len(told.value) != len(works):
            text = f"poll() gave {len(told.value)} answers for {len(works)} handles"
            told = Told(Kind.FAULT, failure=Failure(PLUGIN_ERROR, text, retryable=False))
        elif told.kind is Kind.DONE:
            # Here, and not on the driver's thread: what the type gave is its own code, too.
            told = Told(Kind.DONE, [work.read(given) for work, given in zip(works, told.value, strict=True)])
        self._owner.later(works[0].live, self._polled, watching, poll, told)

    def _polled(self, watching: Watching, poll: Poll, told: Told) -> None:
        watching.over(poll)
        now = self._clock.monotonic()
        if told.kind is Kind.DONE:
            answers = [*zip(poll.works, told.value, strict=True)]
            watching.answered(now, ended=any(not isinstance(outcome, Running) for _, outcome in answers))
            for work, outcome in answers:
                if self._follows(work):
                    watching.cleared(work)
                    self._owner.guard(work.live, self._outcome, work, outcome)
            return
        works = [work for work in poll.works if self._follows(work)]
        if not works:
            return
        if told.is_passing:
            for work in works:
                self._owner.guard(work.live, self._note_stall, work, told)
            tries = watching.failed(poll)
            if tries % SAID_AFTER == 0:
                _log.warning(
                    "%s jobs are not told of: %s; it is asked again (%d times so far)",
                    watching.kind.name, told.text, tries,
                )  # fmt: skip
            watching.again(now, self._budget(watching.kind.name).wait(tries, self._random))
        elif len(works) == 1:
            self._owner.guard(works[0].live, self._type_failed, works[0], told.text)
        else:
            watching.suspect(works)

    def _follows(self, work: RemoteWork) -> bool:
        return work.is_watched and self._owner.holds(work)

    def _outcome(self, work: RemoteWork, outcome: Running | CannotTell | Ended | Junk) -> None:
        if isinstance(outcome, Ended):
            work.output = outcome.output
            self._end(work, outcome.failure, even_if_stopped=True)
        elif isinstance(outcome, CannotTell):
            self._lost(work, f"the service does not know {self._name(work)} any more")
        elif isinstance(outcome, Junk):
            self._type_failed(work, f"{outcome.text} for {self._name(work)}")

    def _type_failed(self, work: RemoteWork, text: str) -> None:
        work.goes_on = f"what became of {self._name(work)} is not known"
        text = f"job type '{work.job_type.name}' failed: {text}"
        self._end(work, Failure(PLUGIN_ERROR, text, retryable=False))

    # Ends

    def _asked_to_stop(self, _: Live, work: RemoteWork, told: Told) -> None:
        if told.kind is Kind.DONE:
            work.unasked = None
            if work.group is not None:
                self._watched[work.job_type.name, work.group].at_once()
        elif told.is_passing:
            work.unasked = told.text
            self._note_stall(work, told)
            self._again(work, self._stop_again)
        else:
            self._not_stopped(work, told.text)

    def _stop_again(self, _: Live, work: RemoteWork) -> None:
        if self._owner.holds(work):
            self._call(work, work.stop, self._asked_to_stop)

    def _out_of_patience(self, _: Live, work: RemoteWork) -> None:
        if self._owner.holds(work):
            why = f"it had not ended {PATIENCE:g} seconds after it was asked to"
            if work.unasked is not None:
                why = f"for {PATIENCE:g} seconds it could not be asked to: {work.unasked}"
            self._not_stopped(work, why)

    def _not_stopped(self, work: RemoteWork, why: str) -> None:
        work.goes_on = f"{self._name(work)} could not be stopped: {why}"
        self._end(work, None)

    def _lost(self, work: RemoteWork, why: str) -> None:
        if work.stopping is not None:
            work.goes_on = f"what became of it is not known: {why}"
            self._end(work, None)
            return
        self.forget(work)
        self._owner.lost(work, why)

    def _end(self, work: RemoteWork, failed: Failure | None, *, even_if_stopped: bool = False) -> None:
        """The attempt has ended; one that was to be stopped counts as stopped, unless it succeeded."""
        self.forget(work)
        if work.stopping is not None and (failed is not None or not even_if_stopped):
            failed = work.stopping
        work.failure = failed
        self._owner.ended(work)

    @staticmethod
    def _name(work: RemoteWork) -> str:
        if work.handle is None:
            return f"what '{work.job_type.name}' was asked for"
        text = work.handle.text
        return f"{work.job_type.name} {text if len(text) <= 200 else text[:200] + '...'}"


#: What an attempt fails with that was stopped with its session.
STOPPED = Failure("JobCancelled", "the attempt was stopped", JobCancelled.default_retryable)
