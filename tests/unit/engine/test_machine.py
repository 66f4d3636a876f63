"""The engine as a stateful machine: Hypothesis decides what happens, a ledger says what is right."""

from __future__ import annotations

import copy
import os
import sys
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from bunsui.engine import events as ev
from bunsui.engine.actions import Action, Conclude, Evaluate, Expand, Record, Recover, Start, Stop
from bunsui.engine.decide import Machine
from bunsui.engine.fold import Fold
from bunsui.engine.replay import replay
from bunsui.engine.resting import MAX_DEATHS
from bunsui.engine.transitions import ITEM, JOB, SESSION, IllegalTransition
from bunsui.engine.units import Unit
from bunsui.model.json import Json
from bunsui.model.pipeline import Job, Pipeline, RetryPolicy, checked
from bunsui.model.session import Failure, JobState
from bunsui.model.status import JobStatus as J
from bunsui.model.status import SessionStatus as S

T0 = datetime(2026, 1, 1, tzinfo=UTC)
POOLS = {"db": 1}
#: Rounds in which any session that is driven calmly has ended.
CALM = 500
THROTTLED, BROKEN = Failure("Throttled", "m"), Failure("Broken", "m", retryable=False)
#: Where a unit comes to with these, something was brought to its end.
PROGRESS = (J.RETRYING, J.SUCCEEDED, J.FAILED, J.SKIPPED, J.CANCELLED)
STARTS = (ev.JobStarted, ev.ItemStarted)
#: What leaves attempts as they are.
NEUTRAL = (
    *(ev.JobSubmitted, ev.ItemSubmitted, ev.ConditionEvaluated, ev.FanOutStarted),
    *(ev.JobStalled, ev.ItemStalled),
)


def made(kinds: tuple[Any, Any], at: datetime, unit: Unit, *fields: Any) -> ev.Event:
    """The event of a job, or its twin of an item."""
    return kinds[0](at, unit, *fields) if isinstance(unit, str) else kinds[1](at, *unit, *fields)


def unit_of(about: Start | Recover | Stop | ev.JobEvent) -> Unit:
    item = getattr(about, "item", None)
    return about.job if item is None else (about.job, item)


def job_of(unit: Unit) -> str:
    return unit if isinstance(unit, str) else unit[0]


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    """Up to eight jobs; what conditions and lists come to is decided when they are asked for."""
    ids = [f"j{i}" for i in range(draw(st.sampled_from((5, 3, 2, 1, 8))))]
    jobs = []
    for i, job in enumerate(ids):
        fans = draw(st.booleans())
        jobs.append(
            Job(
                id=job,
                type="custom",
                depends_on=[parent for parent in ids[:i] if draw(st.integers(0, 3)) == 0],
                retry=RetryPolicy(max_attempts=draw(st.sampled_from((3, 2, 1)))),
                allow_failure=draw(st.booleans()),
                condition=draw(st.sampled_from((None, None, "${asked}", "always()"))),
                for_each="${n}" if fans else None,
                max_concurrency=draw(st.sampled_from((None, 1, 2))) if fans else None,
                pool=draw(st.sampled_from((None, None, "db"))),
            )
        )
    return checked(
        name="p",
        jobs=jobs,
        on_failure=draw(st.sampled_from(("continue", "stop"))),
        max_concurrency=draw(st.sampled_from((None, 1, 2, 3))),
        outputs=draw(st.sampled_from(({}, {"x": 1}))),
    )


class Ledger:
    """What facts amount to by the tables, and by what is written about them, counted without the engine."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.session = S.CREATED
        self.jobs = {job.id: J.PENDING for job in pipeline.jobs}
        self.items: dict[str, list[J]] = {}
        #: The items of fan-outs that are over.
        self.settled: dict[str, list[J]] = {}
        #: Attempts that run, that nobody can tell of, and that failed: those the next of which has to wait.
        self.live: dict[Unit, int] = {}
        self.unknown: dict[Unit, int] = {}
        self.waits: set[Unit] = set()
        #: Of those that run: what nobody can follow, unless it is to be stopped; and why, once any could not.
        self.stalled: set[Unit] = set()
        self.stall: str | None = None
        #: How many attempts were followed by another one.
        self.followed: Counter[Unit] = Counter()
        self.conditions: dict[str, bool] = {}
        self.epoch = self.deaths = 0
        self.is_claimed = self.is_pausing = self.has_failed = False
        #: ``cancel`` or ``timeout``, whichever came first.
        self.stop: str | None = None

    @property
    def is_halted(self) -> bool:
        """Whether nothing may start any more, whatever is resumed."""
        return self.stop is not None or (self.has_failed and self.pipeline.on_failure == "stop")

    def take(self, event: ev.Event) -> None:
        """Takes one more fact, and fails where it can't be one."""
        if not isinstance(event, ev.JobEvent):
            self._take_session(event)
            return
        unit, table = unit_of(event), ITEM if isinstance(event, ev.ItemEvent) else JOB
        before = self.jobs[event.job] if isinstance(unit, str) else self.items[unit[0]][unit[1]]
        assert (type(event), before) in table
        after = table[type(event), before]
        self._take_attempt(unit, event)
        if isinstance(unit, str):
            self._take_job(event, after)
            self.jobs[unit] = after
        else:
            self.items[unit[0]][unit[1]] = after
        if after in PROGRESS:
            self.deaths = 0

    def _take_attempt(self, unit: Unit, event: Any) -> None:
        if type(event) in STARTS:
            # One live attempt at most; the numbers have no gaps, and a lost attempt keeps its own.
            assert unit not in {*self.live, *self.unknown}
            assert event.attempt == self.followed[unit] + 1
            self.waits.discard(unit)  # In a history there is nothing of a wait's end.
            self.live[unit] = event.attempt
        elif type(event) in (ev.JobStalled, ev.ItemStalled):
            assert self.live[unit] == event.attempt
            self.stall = self.stall or event.message
            if self.stop is None:
                self.stalled.add(unit)
        elif type(event) not in NEUTRAL:
            self.stalled.discard(unit)
            self.live.pop(unit, None)
            self.unknown.pop(unit, None)
            self.waits.discard(unit)
            if type(event) in (ev.AttemptFailed, ev.ItemAttemptFailed):
                self.followed[unit] += 1
                self.waits.add(unit)
            elif type(event) in (ev.JobUnknown, ev.ItemUnknown):
                self.unknown[unit] = event.attempt

    def _take_job(self, event: Any, after: J) -> None:
        job = self.pipeline.job(event.job)
        if type(event) is ev.ConditionEvaluated:
            assert self.conditions.setdefault(job.id, event.result) is event.result
        elif type(event) is ev.FanOutStarted:
            self.items[job.id] = [J.PENDING] * event.count
        elif after is J.SKIPPED:
            assert self.conditions.get(job.id) is False or not self.is_satisfied(job)
        elif after.is_terminal and job.id in self.items:
            assert not {J.RUNNING, J.UNKNOWN} & {*self.items[job.id]}
            assert type(event) is not ev.FanOutSucceeded or {*self.items[job.id]} <= {J.SUCCEEDED}
            self.settled[job.id] = self.items.pop(job.id)
            self.waits = {unit for unit in self.waits if job_of(unit) != job.id}
        if type(event) is ev.JobFailed and not job.allow_failure:
            self.has_failed = True

    def is_satisfied(self, job: Job) -> bool:
        """Whether all direct parents succeeded, or failed where they may."""
        return all(
            self.jobs[parent] is J.SUCCEEDED
            or (self.jobs[parent] is J.FAILED and self.pipeline.job(parent).allow_failure)
            for parent in job.depends_on
        )

    def _take_session(self, event: Any) -> None:
        kind = type(event)
        if kind is ev.SessionCreated:
            return
        assert (kind, self.session) in SESSION
        self.session = SESSION[kind, self.session]
        if kind is ev.RunnerClaimed:
            # A claim that was in force was held by a runner that died.
            self.deaths += self.is_claimed
            assert self.epoch + 1 == event.epoch
            self.epoch, self.is_claimed = event.epoch, True
            self.stalled, self.stall = set(), None
        elif kind is ev.RunnerReleased:
            self.is_claimed = False
        elif kind in (ev.PauseRequested, ev.ResumeRequested, ev.SessionResumed):
            self.is_pausing = kind is ev.PauseRequested
            self.stall = None if kind is ev.SessionResumed else self.stall
        elif kind is ev.CancelRequested:
            self.stop, self.stalled = self.stop or "cancel", set()
        elif kind is ev.TimeoutReached:
            self.stop, self.stalled = self.stop or "timeout", set()
        elif kind is ev.SessionPaused:
            reasons = {"unknown-job": bool(self.unknown), "crash-loop": self.deaths >= MAX_DEATHS}
            if event.reason == "missing":
                assert (event.message, None) == (self.stall, self.stop)
            else:
                assert reasons.get(event.reason, self.is_pausing)
            assert {*self.live} == self.stalled
            self.is_pausing, self.deaths, self.stall = False, 0, None
        elif self.session.is_terminal:
            assert all(status.is_terminal for status in self.jobs.values())
            assert self.session in self._ends()

    def _ends(self) -> tuple[S, ...]:
        if self.stop is not None:
            return (S.CANCELLED,) if self.stop == "cancel" else (S.TIMED_OUT,)
        if self.has_failed:
            return (S.FAILED,)
        return (S.SUCCEEDED, S.FAILED) if self.pipeline.outputs else (S.SUCCEEDED,)

    # What may be decided

    def check_start(self, start: Start) -> None:
        """Fails where this attempt may not start now."""
        job, unit = self.pipeline.job(start.job), unit_of(start)
        assert (S.RUNNING, False, False) == (self.session, self.is_pausing, self.is_halted)
        assert ({}, True, None) == (self.unknown, self.deaths < MAX_DEATHS, self.stall)
        assert unit not in {*self.live} | self.waits
        assert all(self.jobs[above].is_terminal for above in self.pipeline.graph.ancestors(job.id))
        assert self.conditions.get(job.id) is (None if job.condition is None else True)
        assert job.condition == "always()" or self.is_satisfied(job)
        assert J.FAILED not in self.items.get(job.id, ())
        assert (job.for_each is None) is isinstance(unit, str)

    def check_limits(self) -> None:
        """Fails where more runs than may."""
        assert len(self.live) <= (self.pipeline.max_concurrency or len(self.live))
        pools = Counter(self.pipeline.job(job_of(unit)).pool for unit in self.live)
        assert all(pools[pool] <= size for pool, size in POOLS.items())
        fans = Counter(unit[0] for unit in self.live if isinstance(unit, tuple))
        assert all(count <= (self.pipeline.job(job).max_concurrency or count) for job, count in fans.items())


class Engine(RuleBasedStateMachine):
    """A driver without threads, I/O and time, to which anything may happen at any moment."""

    machine_class: type[Machine] = Machine

    @initialize(data=st.data(), pipeline=pipelines())
    def create(self, data: st.DataObject, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.begin()
        self.turn(data)

    def begin(self) -> None:
        """A new session."""
        self.ticks = 0
        self.replayed([ev.SessionCreated(T0, session_id="s", pipeline="p", digest="d", parameters={})])
        self.flush()
        self.claim()

    def replayed(self, history: Iterable[ev.Event]) -> None:
        """Begins anew with what a history says; all that ran is gone, and is to be asked for."""
        self.machine = self.machine_class(self.pipeline)
        self.ledger = Ledger(self.pipeline)
        self.history: list[ev.Event] = []
        #: Folds that were cut off earlier and have gone on by themselves, as a reader's does.
        self.forks: list[Fold] = []
        for event in history:
            self.record(event)
        #: What runs here; what ran under the runner before and what of that was asked for.
        self.here: set[Unit] = set()
        self.lost: set[Unit] = set(self.ledger.live)
        self.asked: set[Unit] = set()

    def record(self, event: ev.Event) -> None:
        epoch = self.machine.state.epoch
        self.ledger.take(event)
        self.machine.handle(event)
        self.history.append(event)
        for fork in self.forks:
            fork.apply(event)
        assert epoch <= self.machine.state.epoch

    def flush(self) -> None:
        """All that there is is durable: no crash loses it any more."""
        self.durable, self.durable_epoch = len(self.history), self.ledger.epoch

    def claim(self) -> None:
        self.record(ev.RunnerClaimed(self.now(), "r", self.ledger.epoch + 1))

    def release(self) -> None:
        self.record(ev.RunnerReleased(self.now(), self.ledger.epoch))
        self.lost, self.here, self.asked = set(self.ledger.live), set(), set()
        self.flush()

    def now(self) -> datetime:
        self.ticks += 1
        return T0 + timedelta(seconds=self.ticks)

    @property
    def is_driven(self) -> bool:
        return self.ledger.is_claimed and not self.ledger.session.is_terminal

    @property
    def is_running(self) -> bool:
        return self.ledger.is_claimed and self.ledger.session is S.RUNNING

    @property
    def is_orphaned(self) -> bool:
        return not self.ledger.is_claimed and not self.ledger.session.is_terminal

    # Decisions

    @rule(data=st.data())
    def live(self, data: st.DataObject) -> None:
        """Time passes: a runner makes its turns, and now and then something comes of what runs."""
        if self.ledger.session.is_terminal:
            self.check_end()
            self.begin()
        if self.is_orphaned and data.draw(st.sampled_from((True, True, False))):
            requests = (None, None, None, ev.PauseRequested, ev.CancelRequested)
            self.take_over(data, data.draw(st.sampled_from(requests)))
        self.turn(data)
        for _ in range(data.draw(st.sampled_from((1, 2, 3, 0)))):
            happenings = {self.finish: self.here, self.answer: self.asked, self.due: self.ledger.waits}
            possible = [happening for happening, units in happenings.items() if units and self.is_running]
            if possible:
                data.draw(st.sampled_from(possible))(data)
            self.turn(data)

    def turn(self, data: st.DataObject) -> None:
        """Carries out what is decided, often all of it: what a driver does after each fact."""
        slots = data.draw(st.sampled_from((4, 3, 2, 1, 0)))
        for _ in range(data.draw(st.sampled_from((9, 2, 1, 0)))):
            if not self.is_driven or not self.round(slots, data):
                break
        if self.ledger.session is S.PAUSED and self.ledger.is_claimed:
            self.release()

    def round(self, slots: int, data: st.DataObject | None) -> bool:
        """One round; whether there was something to do."""
        live = self.ledger.live
        free, pools = slots - len(live), dict(POOLS)
        for unit in live:
            pool = self.pipeline.job(job_of(unit)).pool
            if pool is not None:
                pools[pool] -= 1
        at = self.now()
        actions = self.machine.decide(at, free, pools)
        if not any(type(action) in (Stop, Recover) for action in actions):
            assert actions == self.machine.decide(at, free, pools)
        starts = [action for action in actions if type(action) is Start]
        assert len(starts) <= max(free, 0)
        for start in starts:
            self.ledger.check_start(start)
        for action in actions:
            self.perform(action, data)
        if not actions:
            waits = live or self.ledger.waits or free <= 0 or self.ledger.session.is_resting
            assert waits, "nothing is decided, and nothing can come to change that"
        return bool(actions)

    def perform(self, action: Action, data: st.DataObject | None) -> None:
        """Carries out an action; what it comes to is drawn, or as good as can be where there is no data."""

        def comes_to(*results: Any) -> Any:
            return results[0] if data is None else data.draw(st.sampled_from(results))

        if isinstance(action, Record):
            self.record(action.event)
        elif isinstance(action, Evaluate):
            result = comes_to(True, True, True, False, BROKEN)
            self.resolved(action.job, result, ev.ConditionEvaluated)
        elif isinstance(action, Expand):
            self.resolved(action.job, comes_to(2, 3, 1, 5, 0, BROKEN), ev.FanOutStarted)
        elif isinstance(action, Conclude):
            assert self.pipeline.outputs
            failed = comes_to(False, True)
            end = (
                ev.SessionFailed(self.now(), BROKEN) if failed else ev.SessionSucceeded(self.now(), Json("1"))
            )
            self.record(end)
        elif isinstance(action, Start):
            self.start(unit_of(action), action.attempt, fails=comes_to(*[False] * 7, True))
        elif isinstance(action, Recover):
            unit = unit_of(action)
            assert unit in self.lost
            assert self.ledger.live[unit] == action.attempt
            self.lost.remove(unit)
            self.asked.add(unit)
        else:
            assert self.ledger.stop is not None
            assert self.ledger.live[unit_of(action)] == action.attempt

    def resolved(self, job: str, result: Any, kind: Any) -> None:
        assert all(self.ledger.jobs[above].is_terminal for above in self.pipeline.graph.ancestors(job))
        failed = isinstance(result, Failure)
        self.record(ev.JobFailed(self.now(), job, 0, result) if failed else kind(self.now(), job, result))

    def start(self, unit: Unit, attempt: int, *, fails: bool) -> None:
        if fails:
            self.record(made((ev.JobFailed, ev.ItemFailed), self.now(), unit, 0, BROKEN))
            return
        self.record(made(STARTS, self.now(), unit, attempt, "key"))
        self.here.add(unit)
        self.ledger.check_limits()

    # Facts from outside

    def pick(self, data: st.DataObject, units: Iterable[Unit]) -> Unit:
        return data.draw(st.sampled_from(sorted(units, key=str)))

    def finish(self, data: st.DataObject) -> None:
        """An attempt ends: what it came to can come only once its start is durable."""
        self.flush()
        unit = self.pick(data, self.here)
        error = data.draw(st.sampled_from((None, None, None, THROTTLED, THROTTLED, BROKEN)))
        self.end(unit, error, stopped=data.draw(st.booleans()))

    def end(self, unit: Unit, error: Failure | None, *, stopped: bool) -> None:
        at, attempt = self.now(), self.ledger.live[unit]
        self.here.remove(unit)
        if stopped and self.machine.stop_reason is not None:
            self.record(made((ev.JobCancelled, ev.ItemCancelled), at, unit, "stopped"))
        elif error is None:
            self.record(made((ev.JobSucceeded, ev.ItemSucceeded), at, unit, attempt, Json("1")))
        elif self.machine.retry_policy(job_of(unit), attempt, error) is None:
            self.record(made((ev.JobFailed, ev.ItemFailed), at, unit, attempt, error))
        else:
            assert (False, True) == (self.ledger.is_halted, error.retryable)
            assert attempt < self.pipeline.job(job_of(unit)).retry.max_attempts
            self.record(made((ev.AttemptFailed, ev.ItemAttemptFailed), at, unit, attempt, error, 1.0))

    def answer(self, data: st.DataObject) -> None:
        """It is as good as known what became of an attempt whose runner died."""
        self.said_of(self.pick(data, self.asked), data)

    def said_of(self, unit: Unit, data: st.DataObject) -> None:
        self.here.discard(unit)
        self.asked.discard(unit)
        at, attempt = self.now(), self.ledger.live[unit]
        match data.draw(st.sampled_from(("rerun", "goes on", "unknown", "failed"))):
            case "rerun":
                self.record(made((ev.AttemptLost, ev.ItemAttemptLost), at, unit, attempt))
            case "unknown":
                self.record(made((ev.JobUnknown, ev.ItemUnknown), at, unit, attempt, "gone"))
            case "failed":
                self.record(made((ev.JobFailed, ev.ItemFailed), at, unit, attempt, BROKEN))
            case _:
                self.here.add(unit)

    def due(self, data: st.DataObject) -> None:
        """The wait for the next attempt is over, or there will be none."""
        unit = self.pick(data, self.ledger.waits)
        if data.draw(st.sampled_from((False, False, False, True))):
            self.record(made((ev.JobFailed, ev.ItemFailed), self.now(), unit, 0, BROKEN))
        else:
            self.machine.retry_due(unit)
            self.ledger.waits.discard(unit)

    # What disturbs it. No rule has a precondition: an example that can't go on would count for nothing.

    @rule(data=st.data())
    def submit(self, data: st.DataObject) -> None:
        """A remote service has the work of an attempt."""
        if self.is_running and self.here:
            unit, handle = self.pick(data, self.here), Json("1")
            attempt = self.ledger.live[unit]
            self.record(made((ev.JobSubmitted, ev.ItemSubmitted), self.now(), unit, attempt, handle))
        self.live(data)

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        """A remote service does not know an attempt any more that runs under this runner."""
        if self.is_running and self.here:
            self.said_of(self.pick(data, self.here), data)
        self.live(data)

    @rule(data=st.data())
    def stall(self, data: st.DataObject) -> None:
        """An attempt can't be followed, or begun, as something is missing; what could not begin is lost."""
        if self.is_running and (units := self.here | self.asked):
            unit, told = self.pick(data, units), f"message {self.ticks}"
            attempt = self.ledger.live[unit]
            self.record(made((ev.JobStalled, ev.ItemStalled), self.now(), unit, attempt, "missing", told))
            if unit in self.here and data.draw(st.booleans()):
                self.here.discard(unit)
                self.record(made((ev.AttemptLost, ev.ItemAttemptLost), self.now(), unit, attempt))
        self.live(data)

    @rule(data=st.data(), kind=st.sampled_from((ev.PauseRequested, ev.ResumeRequested)))
    def ask(self, data: st.DataObject, kind: Any) -> None:
        """Somebody asks for a pause, or takes one back."""
        if self.is_driven and (kind, self.ledger.session) in SESSION:
            self.record(kind(self.now(), f"request-{self.ticks}"))
        self.live(data)

    @rule(data=st.data(), kind=st.sampled_from((ev.CancelRequested, ev.TimeoutReached)))
    def halt(self, data: st.DataObject, kind: Any) -> None:
        """Somebody cancels, or the timeout is over: before it begins, or late, as little follows."""
        if self.is_driven and (self.ledger.session is S.CREATED or len(self.history) > 8):
            if kind is ev.CancelRequested:
                self.record(ev.CancelRequested(self.now(), f"request-{self.ticks}", "enough"))
            elif self.is_running and self.machine.stop_reason is None:
                self.record(ev.TimeoutReached(self.now()))
        self.live(data)

    # Runners come and go

    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        """The runner ends in peace."""
        if self.is_driven:
            self.release()
        self.live(data)

    def take_over(self, data: st.DataObject, request: Any) -> None:
        """Another runner claims a session that nobody drives: to do what was asked for, or to go on."""
        self.claim()
        if request is not None:
            if self.ledger.session is S.PAUSED and self.ledger.live and request is ev.CancelRequested:
                self.record(ev.SessionResumed(self.now()))  # What runs ends, which a paused session's can't.
            self.record(request(self.now(), f"request-{self.ticks}"))
            return
        self.go_on()
        for unit in sorted(self.ledger.unknown, key=str):
            words = ("rerun", "succeeded", "failed", *(() if self.must_say else ("nothing",)))
            self.assume(unit, data.draw(st.sampled_from(words)))

    def go_on(self) -> None:
        """What a claim to resume a session brings with it."""
        #: Who resumes a session that waits for it has to say what became of everything unknown.
        self.must_say = self.machine.state.paused_reason == "unknown-job"
        if self.ledger.session is S.PAUSED:
            self.record(ev.SessionResumed(self.now()))
        elif self.ledger.is_pausing:
            self.record(ev.ResumeRequested(self.now(), f"request-{self.ticks}"))

    def assume(self, unit: Unit, word: str) -> None:
        at, attempt = self.now(), self.ledger.unknown[unit]
        if word == "succeeded":
            self.record(made((ev.JobSucceeded, ev.ItemSucceeded), at, unit, attempt))
        elif word == "failed":
            self.record(made((ev.JobFailed, ev.ItemFailed), at, unit, attempt, BROKEN))
        elif word == "rerun":
            self.record(made((ev.AttemptLost, ev.ItemAttemptLost), at, unit, attempt))

    @rule(data=st.data(), deaths=st.sampled_from((1, 1, 1, 2, MAX_DEATHS)))
    def crash(self, data: st.DataObject, deaths: int) -> None:
        """The runner dies, with what was not durable yet; and so may those that follow it."""
        for _ in range(deaths):
            if self.is_driven:
                kept, highest = data.draw(st.integers(self.durable, len(self.history))), self.durable_epoch
                self.replayed(self.history[:kept])
                assert highest <= self.ledger.epoch
                self.claim()
                self.turn(data)
                self.flush()
        self.live(data)

    # What always holds

    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        """A reader has read so far, and folds further commits as they come."""
        fork = Fold(self.ledger.jobs)
        for name, value in vars(self.machine.state).items():
            setattr(fork, name, copy.copy(value))
        fork.items = {job: list(items) for job, items in fork.items.items()}
        self.forks = [*self.forks, fork][-3:]
        self.live(data)

    @rule(data=st.data())
    def knock(self, data: st.DataObject) -> None:
        """The end is final: no fact can follow but the release of the claim."""
        if not self.ledger.session.is_terminal:
            self.live(data)
            return
        before = self.machine.state.snapshot(1)
        job = data.draw(st.sampled_from(sorted(self.ledger.jobs)))
        for table, fields in ((SESSION, ()), (JOB, (job,)), (ITEM, (job, 0))):
            for kind in dict.fromkeys(kind for kind, _ in table if kind is not ev.RunnerReleased):
                nothing = [0] * (len(attrs.fields(kind)) - 1 - len(fields))
                assert self.is_refused(kind(T0, *fields, *nothing))
        assert before == self.machine.state.snapshot(1)

    def is_refused(self, event: ev.Event) -> bool:
        try:
            self.machine.handle(event)
        except IllegalTransition:
            return True
        return False

    @invariant()
    def the_fold_is_what_the_ledger_says(self) -> None:
        fold, ledger = self.machine.state, self.ledger
        assert (ledger.session, ledger.epoch) == (fold.status, fold.epoch)
        assert ledger.jobs == {job: state.status for job, state in fold.jobs.items()}
        assert ledger.items == {job: [item.status for item in items] for job, items in fold.items.items()}
        settled = {job: s.items for job, s in fold.jobs.items() if s.items is not None}
        assert ledger.settled == {job: [item.status for item in items] for job, items in settled.items()}
        assert Counter(ledger.jobs.values()) == Counter({s: n for s, n in fold.counts.items() if n})
        assert (ledger.deaths, ledger.is_claimed) == (fold.deaths, fold.claim is not None)

    @invariant()
    def the_machine_knows_what_runs(self) -> None:
        machine, ledger = self.machine, self.ledger
        assert (ledger.live, ledger.unknown) == (machine.running, machine.unknown)
        assert ledger.stalled == machine.stalled
        assert ledger.waits == set(machine.waiting)
        assert self.here | self.lost | self.asked == set(ledger.live)
        assert (ledger.stop is not None) is (machine.stop_reason is not None)
        ledger.check_limits()

    @invariant()
    def attempts_are_numbered(self) -> None:
        fold = self.machine.state
        jobs: list[JobState] = [*fold.jobs.values()]
        items = [
            item for items in (*fold.items.values(), *(job.items or () for job in jobs)) for item in items
        ]
        for state in (*jobs, *items):
            assert [*range(1, len(state.attempts) + 1)] == [attempt.number for attempt in state.attempts]

    @invariant()
    def every_reader_sees_the_same(self) -> None:
        state = self.machine.state.snapshot(1)
        for fork in self.forks:
            assert state == fork.snapshot(1)

    # The end

    def teardown(self) -> None:
        """Driven calmly, the session ends."""
        if sys.exception() is not None or not hasattr(self, "machine"):
            return
        for _ in range(CALM):
            if self.ledger.session.is_terminal:
                break
            self.calm()
        assert self.ledger.session.is_terminal
        self.the_fold_is_what_the_ledger_says()
        self.every_reader_sees_the_same()
        self.check_end()

    def check_end(self) -> None:
        """There is nothing to do any more, and the whole history is what was seen of it piece by piece."""
        assert [] == self.machine.decide(T0, 9, POOLS)
        assert self.machine.state.snapshot(1) == replay(self.ledger.jobs, [self.history])

    def calm(self) -> None:
        """One round in which everything succeeds."""
        if not self.ledger.is_claimed:
            self.claim()
            self.go_on()
            for unit in sorted(self.ledger.unknown, key=str):
                self.assume(unit, "succeeded")
        while self.round(3, None):
            pass
        if self.ledger.session is S.PAUSED:
            self.release()
        self.here, self.asked = self.here | self.asked, set()
        for unit in sorted(self.here, key=str)[:1]:
            self.end(unit, None, stopped=True)
        for unit in sorted(self.ledger.waits, key=str):
            self.machine.retry_due(unit)
            self.ledger.waits.discard(unit)


EXAMPLES = 300 if os.environ.get("BUNSUI_FAULTS") == "full" else 100
EVERY = settings(
    max_examples=EXAMPLES,
    stateful_step_count=50,
    deadline=None,
    # One failure, made small, and no more: both of these take minutes.
    phases=[Phase.reuse, Phase.generate, Phase.shrink],
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def test_whatever_happens_the_engine_is_right() -> None:
    """Every step is legal, what may not start does not, and whatever happened, a session comes to its end."""
    run_state_machine_as_test(Engine, settings=EVERY)


# Broken twins: the machine above must notice these


class _Deaf(Machine):
    """Starts jobs although a pause was asked for."""

    def decide(self, at: datetime, free: int, pools: Any = None) -> list[Action]:
        pause, self.state.pause = self.state.pause, None
        try:
            return super().decide(at, free, pools)
        finally:
            self.state.pause = pause


class _Bold(Machine):
    """Goes on although it can't be told what became of an attempt."""

    def decide(self, at: datetime, free: int, pools: Any = None) -> list[Action]:
        unknown, self.unknown = self.unknown, {}
        try:
            return super().decide(at, free, pools)
        finally:
            self.unknown = unknown


class _Greedy(Machine):
    """Knows no max_concurrency of the pipeline."""

    def _starts(self, free: int, pools: Any) -> list[Action]:
        return [*self._ready.starts(free, pools)]


class _Impatient(Machine):
    """Does not wait before another attempt."""

    def _again(self, event: ev.AttemptFailed | ev.AttemptLost) -> None:
        super()._again(event)
        if isinstance(event, ev.AttemptFailed) and self._halted is None:
            self._make_ready(event.job, event.attempt + 1)


class _Twofold(Machine):
    """Starts again what runs."""

    def _handle_job(self, event: ev.JobEvent) -> None:
        super()._handle_job(event)
        if type(event) is ev.JobStarted:
            self._make_ready(event.job, event.attempt)


class _Stubborn(Machine):
    """Goes on after a failure that is to stop the session."""

    def _halt(self, reason: str) -> None:
        if self.stop_reason is not None:
            super()._halt(reason)


class _Immortal(Machine):
    """Counts no deaths of runners."""

    def handle(self, event: ev.Event) -> None:
        super().handle(event)
        self.state.deaths = 0


class _Forgetful(Machine):
    """Does not ask what became of attempts after a claim."""

    def handle(self, event: ev.Event) -> None:
        super().handle(event)
        self._under_way._to_recover.clear()


class _Undead(Machine):
    """Takes requests for a session that has ended."""

    def handle(self, event: ev.Event) -> None:
        if type(event) is not ev.CancelRequested or not self.state.status.is_terminal:
            super().handle(event)


class _Careless(Machine):
    """Lets jobs whose parents did not succeed run, where they have no condition."""

    def _obstacle(self, job: str) -> str | None:
        return None


class _Restless(Machine):
    """Goes on although something is missing."""

    def decide(self, at: datetime, free: int, pools: Any = None) -> list[Action]:
        stall, self.state.stall = self.state.stall, None
        try:
            return super().decide(at, free, pools)
        finally:
            self.state.stall = stall


class _Waiting(Machine):
    """Waits for what nobody can follow."""

    def _has_stalled(self, unit: Unit) -> None:
        """Forgets it."""


class _Confused(Machine):
    """Loses count of how many jobs have each status when one is skipped."""

    def handle(self, event: ev.Event) -> None:
        super().handle(event)
        if type(event) is ev.JobSkipped:
            self.state.counts[J.SKIPPED] += 1


class _Sleeper(Machine):
    """Never starts again what was lost."""

    def _handle_job(self, event: ev.JobEvent) -> None:
        super()._handle_job(event)
        if type(event) is ev.AttemptLost:
            self._ready.discard(event.job, self.pipeline.job(event.job).pool)


TWINS = (
    *(_Deaf, _Bold, _Greedy, _Impatient, _Twofold, _Stubborn, _Immortal, _Forgetful, _Undead, _Careless),
    *(_Confused, _Sleeper, _Restless, _Waiting),
)
#: The first example that fails is enough, and each run tries the same ones.
SEARCH = settings(EVERY, max_examples=1000, phases=[Phase.generate], derandomize=True, database=None)


@pytest.mark.parametrize("broken", TWINS)
def test_a_broken_engine_is_noticed(broken: type[Machine]) -> None:
    """Each of these faults is found."""

    class Broken(Engine):
        machine_class = broken

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Broken, settings=SEARCH)
