"""The engine, driven by a tiny driver without threads, I/O or time, through random trouble."""

from __future__ import annotations

import copy
import fnmatch
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random

import pytest
from attrs import frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bunsui.engine import events as ev
from bunsui.engine.actions import Record, Recover, Start, Stop
from bunsui.engine.decide import Machine, matches
from bunsui.engine.fold import Fold
from bunsui.engine.replay import replay
from bunsui.engine.transitions import JOB, SESSION, IllegalTransition
from bunsui.model.json import Json
from bunsui.model.pipeline import Job, Pipeline, RetryPolicy
from bunsui.model.session import Failure
from bunsui.model.status import JobStatus as J
from bunsui.model.status import SessionStatus as S

T0 = datetime(2026, 1, 1, tzinfo=UTC)
#: Chaos may take as many steps; then the driver drives calmly, and must come to an end.
CHAOS, CALM = 60, 1000
#: What an attempt may come to, as (error code, retryable); None is success, NO_START an input that fails.
NO_START = ("ReferenceError", False)
OUTCOMES = (None, None, None, ("Throttled", True), ("Broken", True), ("Broken", False), NO_START)
PATTERNS = ((), (), ("Throttled",), ("*ed", "x"), ("B*k*n",), ("nothing",))


# A scenario


@frozen
class Scenario:
    """A pipeline, and what each attempt of each job comes to."""

    pipeline: Pipeline
    outcomes: dict[tuple[str, int], tuple[str, bool] | None]


def scenario(rng: Random) -> Scenario:
    ids = [f"j{i}" for i in range(rng.randint(1, 12))]
    density = rng.choice((0.1, 0.3, 0.6))
    jobs = [
        Job(
            id=job,
            type="custom",
            depends_on=[parent for parent in ids[:i] if rng.random() < density],
            retry=RetryPolicy(max_attempts=rng.choice((1, 1, 2, 3)), on=rng.choice(PATTERNS)),
            allow_failure=rng.random() < 0.25,
        )
        for i, job in enumerate(ids)
    ]
    rng.shuffle(jobs)
    pipeline = Pipeline(
        name="p",
        jobs=jobs,
        on_failure=rng.choice(("continue", "stop")),
        max_concurrency=rng.choice((None, 1, 2, 4)),
    )
    outcomes = {(job, attempt): rng.choice(OUTCOMES) for job in ids for attempt in (1, 2, 3)}
    return Scenario(pipeline, outcomes)


# The model: what must come of it, by definition


def expected(given: Scenario) -> dict[str, tuple[J, int]]:
    """Every job's status and number of attempts, where nobody cancels or stops."""

    @cache
    def of(job_id: str) -> tuple[J, int]:
        job = given.pipeline.job(job_id)
        if not all(satisfied(given.pipeline.job(parent), of(parent)[0]) for parent in job.depends_on):
            return J.SKIPPED, 0
        return attempts_from(job, 1)

    def attempts_from(job: Job, number: int) -> tuple[J, int]:
        outcome = given.outcomes[job.id, number]
        if outcome is None:
            return J.SUCCEEDED, number
        if outcome is NO_START:
            return J.FAILED, number - 1
        code, retryable = outcome
        on = job.retry.on
        again = any(fnmatch.fnmatchcase(code, pattern) for pattern in on) if on else retryable
        if again and number < job.retry.max_attempts:
            return attempts_from(job, number + 1)
        return J.FAILED, number

    return {job.id: of(job.id) for job in given.pipeline.jobs}


def satisfied(job: Job, status: J) -> bool:
    return status is J.SUCCEEDED or (status is J.FAILED and job.allow_failure)


# The driver


class Driver:
    """Carries out what the machine decides, and checks every step."""

    machine_class: type[Machine] = Machine

    def __init__(self, given: Scenario, rng: Random, history: list[ev.Event] | None = None) -> None:
        self.given = given
        self.rng = rng
        self.history: list[ev.Event] = []
        #: What runs in this driver, and what ran in the one before it and was not asked for yet.
        self.running: dict[str, int] = {}
        self.lost: set[str] = set()
        self.stopped: set[tuple[str, int]] = set()
        self.ticks = 0
        self.machine = self.machine_class(given.pipeline)
        created = ev.SessionCreated(T0, session_id="s", pipeline="p", digest="d", parameters={})
        self.replay(history or [created])

    def replay(self, history: list[ev.Event]) -> None:
        """Takes over from whoever wrote `history`: all that ran is gone."""
        self.machine = self.machine_class(self.given.pipeline)
        self.running, self.stopped, self.history = {}, set(), []
        for event in history:
            self.machine.handle(event)
            self.history.append(event)
        self.lost = {job for job, state in self.state.jobs.items() if state.status is J.RUNNING}
        if not self.state.status.is_terminal:
            self.record(ev.RunnerClaimed(self.now(), "r", self.state.epoch + 1))

    @property
    def state(self) -> Fold:
        return self.machine.state

    def now(self) -> datetime:
        self.ticks += 1
        return T0 + timedelta(seconds=self.ticks)

    def record(self, event: ev.Event) -> None:
        before = (self.state.status, dict(self.state.jobs), self.state.epoch)
        self.machine.handle(event)
        self.history.append(event)
        self.check_transition(event, *before)

    # Invariants

    def check_transition(self, event: ev.Event, status: S, jobs: dict, epoch: int) -> None:
        if isinstance(event, ev.JobEvent):
            assert JOB[type(event), jobs[event.job].status] is self.state.jobs[event.job].status
            assert status is self.state.status
            running = {job for job, state in self.state.jobs.items() if state.status is J.RUNNING}
            assert self.lost | set(self.running) == running
        else:
            assert SESSION[type(event), status] is self.state.status
            assert jobs == self.state.jobs
        assert epoch + (type(event) is ev.RunnerClaimed) == self.state.epoch
        recount = Counter(state.status for state in self.state.jobs.values())
        assert dict(recount) == {status: count for status, count in self.state.counts.items() if count}
        for state in self.state.jobs.values():
            assert list(range(1, len(state.attempts) + 1)) == [a.number for a in state.attempts]

    def check_start(self, start: Start) -> None:
        pipeline, jobs = self.given.pipeline, self.state.jobs
        assert self.state.status is S.RUNNING
        assert self.state.cancel is None
        assert self.state.pause is None
        assert not self.halted()
        assert start.job not in self.running
        assert all(satisfied(pipeline.job(p), jobs[p].status) for p in pipeline.job(start.job).depends_on)
        ended = sum(type(e) is ev.AttemptFailed and e.job == start.job for e in self.history)
        assert ended + 1 == start.attempt

    def halted(self) -> bool:
        return self.given.pipeline.on_failure == "stop" and any(
            type(e) is ev.JobFailed and not self.given.pipeline.job(e.job).allow_failure for e in self.history
        )

    # What a driver does

    def turn(self, slots: int) -> None:
        """Carries out all that is decided, with room for `slots` attempts in all."""
        for _ in range(CALM):
            free = slots - len(self.running)
            actions = self.machine.decide(self.now(), free)
            if not any(type(action) is Stop for action in actions):
                same = self.machine.decide(T0 + timedelta(seconds=self.ticks), free)
                assert actions == same
            starts = [action for action in actions if type(action) is Start]
            assert len(starts) <= max(free, 0)
            for start in starts:
                self.check_start(start)
            if not actions:
                self.check_alive(free)
                return
            for action in actions:
                self.perform(action)
        raise AssertionError("the machine never has enough")

    def check_alive(self, free: int) -> None:
        may_wait = self.running or self.machine.waiting or free <= 0
        assert may_wait or self.state.status.is_terminal or self.state.status is S.PAUSED

    def perform(self, action: Record | Start | Recover | Stop) -> None:
        if type(action) is Record:
            self.record(action.event)
        elif type(action) is Recover:
            assert self.state.jobs[action.job].status is J.RUNNING
            self.lost.remove(action.job)
            self.record(ev.AttemptLost(self.now(), action.job, action.attempt))
        elif type(action) is Stop:
            assert self.running[action.job] == action.attempt
            self.stopped.add((action.job, action.attempt))
        elif self.given.outcomes[action.job, action.attempt] is NO_START:
            self.record(ev.JobFailed(self.now(), action.job, 0, Failure(*NO_START)))
        else:
            self.running[action.job] = action.attempt
            self.record(ev.JobStarted(self.now(), action.job, action.attempt, "key"))
            limit = self.given.pipeline.max_concurrency
            assert limit is None or len(self.running) <= limit

    def finish(self, job: str) -> None:
        """A running attempt ends, as the scenario says."""
        attempt = self.running.pop(job)
        at, outcome = self.now(), self.given.outcomes[job, attempt]
        if (job, attempt) in self.stopped and self.rng.random() < 0.5:
            self.record(ev.JobCancelled(at, job, "stopped"))
        elif outcome is None:
            self.record(ev.JobSucceeded(at, job, attempt, Json.of(attempt)))
        else:
            error = Failure(outcome[0], "message", outcome[1])
            if self.machine.retry_policy(job, attempt, error) is None:
                self.record(ev.JobFailed(at, job, attempt, error))
            else:
                self.record(ev.AttemptFailed(at, job, attempt, error, 1.0))

    def resume(self) -> None:
        if self.state.claim is None:
            self.record(ev.RunnerClaimed(self.now(), "r", self.state.epoch + 1))
        self.record(ev.SessionResumed(self.now()))

    def disturb(self, *, gently: bool = False) -> None:
        """One random thing happens."""
        rng, status = self.rng, self.state.status
        things = ["turn", "turn", "finish", "finish", "finish", "due", "due", "pause", "resume", "release"]
        things += [] if gently else ["crash", *(["cancel"] if rng.random() < 0.2 else [])]
        match rng.choice(things):
            case "turn":
                self.turn(rng.randint(0, 4))
            case "finish" if self.running:
                self.finish(rng.choice(sorted(self.running)))
            case "due" if self.machine.waiting:
                self.machine.retry_due(rng.choice(sorted(self.machine.waiting)))
            case "pause" if not status.is_terminal:
                self.record(ev.PauseRequested(self.now(), f"pause-{self.ticks}"))
            case "resume" if status is S.PAUSED:
                self.resume()
            case "release" if status is S.PAUSED and self.state.claim is not None:
                self.record(ev.RunnerReleased(self.now(), self.state.epoch))
            case "cancel" if not status.is_terminal:
                self.record(ev.CancelRequested(self.now(), f"cancel-{self.ticks}", "enough"))
            case "crash":  # The last facts may never have become durable.
                self.replay(self.history[: max(1, len(self.history) - rng.randint(0, 4))])

    def drive(self) -> None:
        """Drives calmly until the session has ended."""
        for _ in range(CALM):
            if self.state.status is S.PAUSED and self.state.cancel is None:
                self.resume()
            self.turn(3)
            if self.state.status.is_terminal:
                return
            if self.running:
                self.finish(self.rng.choice(sorted(self.running)))
            for job in sorted(self.machine.waiting):
                self.machine.retry_due(job)
        raise AssertionError("the session never ends")


def check_end(driver: Driver) -> None:
    """The end is the one that the model says, or as far as it goes where the session was halted."""
    given, jobs = driver.given, driver.state.jobs
    model = expected(given)
    actual = {job: (state.status, len(state.attempts)) for job, state in jobs.items()}
    cancelled = any(type(event) is ev.CancelRequested for event in driver.history)
    failed = any(s is J.FAILED and not given.pipeline.job(j).allow_failure for j, (s, _) in actual.items())
    status = S.CANCELLED if cancelled else S.FAILED if failed else S.SUCCEEDED
    assert status is driver.state.status
    if not (cancelled or driver.halted()):
        assert model == actual
        return
    for job, (status_of_job, attempts) in actual.items():
        state, parents = jobs[job], given.pipeline.job(job).depends_on
        allowed = all(satisfied(given.pipeline.job(parent), jobs[parent].status) for parent in parents)
        assert status_of_job.is_terminal
        if status_of_job is J.SUCCEEDED:
            assert model[job] == (status_of_job, attempts)
        if attempts or status_of_job in (J.SUCCEEDED, J.FAILED):
            assert allowed
        if status_of_job is J.SKIPPED:
            assert (0, False) == (attempts, allowed)
        if status_of_job is J.FAILED:  # Once it was halted, no failure was followed by another attempt.
            assert attempts <= model[job][1]
            assert state.error is not None
        if status_of_job is J.CANCELLED and not cancelled:
            assert re.fullmatch(r"job 'j\d+' failed", state.reason or "")


def run(given: Scenario, rng: Random, driver_class: type[Driver] = Driver) -> Driver:
    """One session through chaos to its end."""
    driver = driver_class(given, rng)
    for _ in range(rng.randint(0, CHAOS)):
        driver.disturb()
    driver.drive()
    check_end(driver)
    return driver


def picture(machine: Machine) -> tuple[dict, dict]:
    """All that a machine knows; its values are frozen, so a copy of each container is enough."""
    own = {name: copy.copy(value) for name, value in vars(machine).items() if name != "state"}
    return own, {name: copy.copy(value) for name, value in vars(machine.state).items()}


def one_of_each(state: Fold, job: str) -> list[ev.Event]:
    """Every event of the language, as right as it can be after `state`."""
    at, error = T0, Failure("E", "m")
    attempt = len(state.jobs[job].attempts)
    return [
        ev.SessionCreated(at, session_id="s", pipeline="p", digest="d", parameters={}),
        ev.RunnerClaimed(at, "r", state.epoch + 1),
        ev.SessionStarted(at),
        ev.PauseRequested(at, "q"),
        ev.CancelRequested(at, "q"),
        ev.SessionPaused(at, "user"),
        ev.SessionResumed(at),
        ev.SessionSucceeded(at),
        ev.SessionFailed(at),
        ev.SessionCancelled(at),
        ev.JobStarted(at, job, attempt + 1, "key"),
        ev.JobSucceeded(at, job, attempt),
        ev.AttemptFailed(at, job, attempt, error, 0),
        ev.AttemptLost(at, job, attempt),
        ev.JobFailed(at, job, attempt, error),
        ev.JobSkipped(at, job, "r"),
        ev.JobCancelled(at, job, "r"),
    ]


chaos = settings(
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
randoms = st.randoms(use_true_random=False)


# Properties


@chaos
@given(randoms)
def test_any_session_ends_as_the_model_says(rng: Random) -> None:
    """Whatever fails, pauses, cancels and crashes, the end is the model's, and every step is legal."""
    run(scenario(rng), rng)


@pytest.mark.parametrize("block", range(10))
def test_any_session_ends_as_the_model_says_by_seed(block: int) -> None:
    """The same with 1,000 seeds, whose scenarios are larger than those that Hypothesis likes."""
    for seed in range(block * 100, block * 100 + 100):
        rng = Random(seed)
        try:
            run(scenario(rng), rng)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise


@chaos
@given(randoms)
def test_the_end_is_final(rng: Random) -> None:
    """After the end every event but the release of the claim is refused, and changes nothing."""
    driver = run(scenario(rng), rng)
    before = picture(driver.machine)
    for job in driver.state.jobs:
        for event in one_of_each(driver.state, job):
            with pytest.raises(IllegalTransition):
                driver.machine.handle(event)
    assert before == picture(driver.machine)
    assert [] == driver.machine.decide(T0, 10)


@settings(chaos, max_examples=100)
@given(randoms)
def test_every_prefix_and_the_rest_are_the_whole(rng: Random) -> None:
    """A fold that is cut anywhere and goes on is the fold of the whole history."""
    driver = run(scenario(rng), rng)
    whole, jobs = driver.history, driver.given.pipeline.graph.upstream
    end = replay(jobs, [whole])
    fold = Fold(jobs)
    for cut, event in enumerate(whole):
        fold.apply(event)
        assert replay(jobs, [whole[: cut + 1]]) == fold.snapshot(1)
        resumed = copy.copy(fold)
        for name, value in vars(fold).items():
            setattr(resumed, name, copy.copy(value))
        for later in whole[cut + 1 :]:
            resumed.apply(later)
        assert end == resumed.snapshot(1)


@settings(chaos, max_examples=80)
@given(randoms)
def test_a_machine_from_any_prefix_reaches_the_same_end(rng: Random) -> None:
    """A runner that takes over after any event drives the session to the end that the model says."""
    driver = run(scenario(rng), rng)
    for cut in range(1, len(driver.history)):
        successor = Driver(driver.given, Random(cut), driver.history[:cut])
        successor.drive()
        check_end(successor)


@settings(chaos, max_examples=100)
@given(randoms)
def test_a_machine_from_a_history_knows_what_the_one_before_it_knew(rng: Random) -> None:
    """Replay makes the same machine, but for Stops that were given and waits that were over."""
    driver = Driver(scenario(rng), rng)
    for _ in range(rng.randint(0, CHAOS)):
        driver.disturb()
        again = Machine(driver.given.pipeline)
        for event in driver.history:
            again.handle(event)
        for job in sorted(set(again.waiting) - set(driver.machine.waiting)):
            again.retry_due(job)
        ours, theirs = picture(driver.machine), picture(again)
        for own in (ours[0], theirs[0]):
            del own["_to_stop"]
        assert ours == theirs


@settings(chaos, max_examples=100)
@given(randoms)
def test_a_refused_event_changes_nothing(rng: Random) -> None:
    """An event that raises IllegalTransition leaves machine and fold as they were."""
    driver = Driver(scenario(rng), rng)
    for _ in range(rng.randint(0, 20)):
        driver.disturb(gently=True)
    for job in driver.state.jobs:
        for event in one_of_each(driver.state, job):
            before, trial = picture(driver.machine), Machine(driver.given.pipeline)
            for past in driver.history:
                trial.handle(past)
            try:
                trial.handle(event)
            except IllegalTransition:
                with pytest.raises(IllegalTransition):
                    driver.machine.handle(event)
                assert before == picture(driver.machine)


# Broken twins: the properties above must notice these


class _Impatient(Machine):
    """Starts a job as soon as one of its parents has ended."""

    def _rest(self, job: str, *, succeeded: bool) -> None:
        super()._rest(job, succeeded=succeeded)
        if self._halted is None:
            for child in self.pipeline.graph.downstream[job]:
                if self.state.jobs[child].status is J.PENDING:
                    self._ready[child] = 1


class _Greedy(Machine):
    """Knows no max_concurrency."""

    def decide(self, at: datetime, free: int) -> list:
        starts = [Start(job, attempt) for job, attempt in self._ready.items()]
        actions = super().decide(at, free)
        return starts[: max(free, 0)] if actions and type(actions[0]) is Start else actions


class _Forgetful(Machine):
    """Does not ask what became of attempts after a claim."""

    def handle(self, event: ev.Event) -> None:
        super().handle(event)
        self._to_recover.clear()


class _Deaf(Machine):
    """Starts jobs although a pause was asked for."""

    def decide(self, at: datetime, free: int) -> list:
        pause, self.state.pause = self.state.pause, None
        try:
            return super().decide(at, free)
        finally:
            self.state.pause = pause


class _Lenient(Machine):
    """Treats every failure as allowed."""

    def _rest(self, job: str, *, succeeded: bool) -> None:
        super()._rest(job, succeeded=succeeded or self.state.jobs[job].status is J.FAILED)


class _Sleeper(Machine):
    """Forgets the jobs that a lost attempt must run again."""

    def _handle_job(self, event: ev.JobEvent) -> None:
        super()._handle_job(event)
        if type(event) is ev.AttemptLost:
            self._ready.pop(event.job, None)


@pytest.mark.parametrize("broken", [_Impatient, _Greedy, _Forgetful, _Deaf, _Lenient, _Sleeper])
def test_the_simulation_notices_a_broken_engine(broken: type[Machine]) -> None:
    """Each of these faults is found within 250 seeds."""

    class BrokenDriver(Driver):
        machine_class = broken

    def found(seed: int) -> bool:
        rng = Random(seed)
        try:
            run(scenario(rng), rng, BrokenDriver)
        except (AssertionError, IllegalTransition):
            return True
        return False

    assert any(found(seed) for seed in range(250))


# Corner cases, one by one


def pipeline_of(*jobs: Job, **fields: object) -> Pipeline:
    return Pipeline(name="p", jobs=jobs, **fields)


def job_of(job: str, *depends_on: str, **fields: object) -> Job:
    return Job(id=job, type="custom", depends_on=depends_on, **fields)


RETRY = RetryPolicy(max_attempts=3)
ERROR = Failure("E", "m")
FATAL = Failure("E", "m", retryable=False)


def machine_after(pipeline: Pipeline, *events: ev.Event, started: bool = True) -> Machine:
    machine = Machine(pipeline)
    first: list[ev.Event] = [
        ev.SessionCreated(T0, session_id="s", pipeline="p", digest="d", parameters={}),
        ev.RunnerClaimed(T0, "r", 1),
    ]
    for event in (*first, *([ev.SessionStarted(T0)] if started else []), *events):
        machine.handle(event)
    return machine


def started(job: str, attempt: int = 1) -> ev.JobStarted:
    return ev.JobStarted(T0, job, attempt, "key")


def test_first_the_session_starts() -> None:
    """Of a session that was just claimed the start is recorded, and nothing else."""
    machine = machine_after(pipeline_of(job_of("a")), started=False)
    assert [Record(ev.SessionStarted(T0))] == machine.decide(T0, 1)


def test_ready_jobs_start_in_the_definitions_order_up_to_free() -> None:
    """As many jobs start as there is room for, the definition's first ones first."""
    machine = machine_after(pipeline_of(job_of("b"), job_of("a"), job_of("c")))
    assert [Start("b", 1), Start("a", 1)] == machine.decide(T0, 2)


@pytest.mark.parametrize("free", [0, -3])
def test_without_room_nothing_starts(free: int) -> None:
    """No room, or less than none, starts nothing."""
    assert [] == machine_after(pipeline_of(job_of("a"))).decide(T0, free)


def test_max_concurrency_counts_what_runs() -> None:
    """Jobs that run take their part of the session's max_concurrency."""
    machine = machine_after(
        pipeline_of(job_of("a"), job_of("b"), job_of("c"), max_concurrency=2), started("a")
    )
    assert [Start("b", 1)] == machine.decide(T0, 10)


def test_a_pipeline_without_jobs_succeeds() -> None:
    """Where there is nothing to do the session succeeds at once."""
    assert [Record(ev.SessionSucceeded(T0))] == machine_after(pipeline_of()).decide(T0, 1)


def test_a_job_behind_a_failed_one_is_skipped_with_the_reason() -> None:
    """The reason names the first of the job's dependencies that did not succeed."""
    machine = machine_after(
        pipeline_of(job_of("a"), job_of("b"), job_of("c", "b", "a")),
        started("a"),
        started("b"),
        ev.JobFailed(T0, "a", 1, FATAL),
        ev.JobFailed(T0, "b", 1, FATAL),
    )
    assert [Record(ev.JobSkipped(T0, "c", "job 'b' is failed"))] == machine.decide(T0, 1)


def test_a_job_behind_a_skipped_one_is_skipped_with_the_reason() -> None:
    """What follows a skipped job is skipped by the same rule."""
    machine = machine_after(
        pipeline_of(job_of("a"), job_of("b", "a"), job_of("c", "b")),
        started("a"),
        ev.JobFailed(T0, "a", 1, FATAL),
        ev.JobSkipped(T0, "b", "r"),
    )
    assert [Record(ev.JobSkipped(T0, "c", "job 'b' is skipped"))] == machine.decide(T0, 1)


def test_an_allowed_failure_lets_what_follows_start() -> None:
    """What follows a job that may fail starts after its failure."""
    machine = machine_after(
        pipeline_of(job_of("a", allow_failure=True), job_of("b", "a"), on_failure="stop"),
        started("a"),
        ev.JobFailed(T0, "a", 1, FATAL),
    )
    assert [Start("b", 1)] == machine.decide(T0, 1)


def test_an_allowed_failure_has_no_output() -> None:
    """The output of a job that failed and may fail is None."""
    machine = machine_after(
        pipeline_of(job_of("a", allow_failure=True)), started("a"), ev.JobFailed(T0, "a", 1, FATAL)
    )
    assert machine.state.jobs["a"].output is None


def test_an_allowed_failure_lets_the_session_succeed() -> None:
    """A session whose failures are all allowed succeeds."""
    machine = machine_after(
        pipeline_of(job_of("a", allow_failure=True)), started("a"), ev.JobFailed(T0, "a", 1, FATAL)
    )
    assert [Record(ev.SessionSucceeded(T0))] == machine.decide(T0, 1)


def test_a_pause_waits_for_what_runs() -> None:
    """After a request to pause nothing starts, and the pause is recorded once the last attempt ended."""
    machine = machine_after(pipeline_of(job_of("a"), job_of("b")), started("a"), ev.PauseRequested(T0, "q"))
    assert [] == machine.decide(T0, 9)
    machine.handle(ev.JobSucceeded(T0, "a", 1))
    assert [Record(ev.SessionPaused(T0, "user"))] == machine.decide(T0, 9)


def test_a_pause_before_the_start_starts_nothing() -> None:
    """A session that is to pause before it started starts as a session, and pauses, without any job."""
    machine = machine_after(pipeline_of(job_of("a")), ev.PauseRequested(T0, "q"), started=False)
    assert [Record(ev.SessionStarted(T0))] == machine.decide(T0, 9)
    machine.handle(ev.SessionStarted(T0))
    assert [Record(ev.SessionPaused(T0, "user"))] == machine.decide(T0, 9)


def test_a_pause_after_the_last_job_is_too_late() -> None:
    """A session whose jobs have all ended succeeds, although a pause was asked for."""
    machine = machine_after(
        pipeline_of(job_of("a")), started("a"), ev.PauseRequested(T0, "q"), ev.JobSucceeded(T0, "a", 1)
    )
    assert [Record(ev.SessionSucceeded(T0))] == machine.decide(T0, 1)


def test_a_pause_does_not_wait_for_a_retry() -> None:
    """A wait between attempts does not hold a pause up, and the attempt follows after the resumption."""
    failed = ev.AttemptFailed(T0, "a", 1, ERROR, 10.0)
    machine = machine_after(
        pipeline_of(job_of("a", retry=RETRY)), started("a"), failed, ev.PauseRequested(T0, "q")
    )
    assert [Record(ev.SessionPaused(T0, "user"))] == machine.decide(T0, 1)
    machine.handle(ev.SessionPaused(T0, "user"))
    machine.retry_due("a")
    assert [] == machine.decide(T0, 1)
    machine.handle(ev.SessionResumed(T0))
    assert [Start("a", 2)] == machine.decide(T0, 1)


def test_a_wait_survives_a_pause_and_a_new_runner() -> None:
    """A machine made from a paused history knows the wait, with the fact that began it."""
    failed = ev.AttemptFailed(T0, "a", 1, ERROR, 10.0)
    machine = machine_after(
        pipeline_of(job_of("a", retry=RETRY)),
        started("a"),
        failed,
        ev.PauseRequested(T0, "q"),
        ev.SessionPaused(T0, "user"),
        ev.RunnerReleased(T0, 1),
        ev.RunnerClaimed(T0, "r2", 2),
        ev.SessionResumed(T0),
    )
    assert {"a": failed} == machine.waiting


def test_retry_due_for_a_job_that_does_not_wait_changes_nothing() -> None:
    """A timer that comes too late does no harm."""
    machine = machine_after(pipeline_of(job_of("a")), started("a"))
    machine.retry_due("a")
    assert [] == machine.decide(T0, 1)


def cancelled(*events: ev.Event, **fields: object) -> Machine:
    pipeline = pipeline_of(job_of("a", retry=RETRY), job_of("b", "a"), **fields)
    return machine_after(pipeline, *events, ev.CancelRequested(T0, "q", "enough"))


def test_cancel_stops_what_runs_then_gives_up_what_waits() -> None:
    """The running attempt is told to stop once, and what has not started is cancelled with the reason."""
    machine = cancelled(started("a"))
    assert [Stop("a", 1)] == machine.decide(T0, 1)
    assert [Record(ev.JobCancelled(T0, "b", "enough"))] == machine.decide(T0, 1)


def test_cancel_without_reason_says_so_itself() -> None:
    """Where nobody gave a reason, the jobs' reason is that the session was cancelled."""
    machine = machine_after(pipeline_of(job_of("a")), ev.CancelRequested(T0, "q"))
    assert [Record(ev.JobCancelled(T0, "a", "the session was cancelled"))] == machine.decide(T0, 1)


def test_cancel_before_the_start_starts_nothing() -> None:
    """A session that was cancelled before it started cancels its jobs and ends."""
    pipeline = pipeline_of(job_of("a"))
    machine = machine_after(pipeline, ev.CancelRequested(T0, "q", "enough"), started=False)
    assert [Record(ev.JobCancelled(T0, "a", "enough"))] == machine.decide(T0, 1)
    machine.handle(ev.JobCancelled(T0, "a", "enough"))
    assert [Record(ev.SessionCancelled(T0))] == machine.decide(T0, 1)


def test_cancel_while_paused_ends_the_session() -> None:
    """A paused session can be cancelled, without a resumption."""
    machine = cancelled(ev.PauseRequested(T0, "p"), ev.SessionPaused(T0, "user"))
    both = [Record(ev.JobCancelled(T0, job, "enough")) for job in ("a", "b")]
    assert both == machine.decide(T0, 1)
    for record in both:
        machine.handle(record.event)
    assert [Record(ev.SessionCancelled(T0))] == machine.decide(T0, 1)


def test_cancel_gives_up_a_wait() -> None:
    """A job that waits for another attempt is cancelled."""
    machine = cancelled(started("a"), ev.AttemptFailed(T0, "a", 1, ERROR, 10.0))
    machine.retry_due("a")
    both = [Record(ev.JobCancelled(T0, job, "enough")) for job in ("a", "b")]
    assert both == machine.decide(T0, 9)


@pytest.mark.parametrize(
    "end",
    [ev.JobSucceeded(T0, "a", 1), ev.AttemptLost(T0, "a", 1), ev.AttemptFailed(T0, "a", 1, ERROR, 1.0)],
)
def test_what_has_ended_is_not_stopped(end: ev.Event) -> None:
    """An attempt that ended before the driver asked again is not told to stop."""
    machine = cancelled(started("a"))
    machine.handle(end)
    assert not [action for action in machine.decide(T0, 1) if type(action) is Stop]


@pytest.mark.parametrize("end", [ev.AttemptLost(T0, "a", 1), ev.AttemptFailed(T0, "a", 1, ERROR, 1.0)])
def test_an_attempt_that_would_run_again_is_cancelled_after_a_cancellation(end: ev.Event) -> None:
    """After a request to cancel neither a lost nor a failed attempt keeps the session open."""
    machine = cancelled(started("a"))
    machine.handle(end)
    jobs = {action.event.job for action in machine.decide(T0, 1) if isinstance(action, Record)}
    assert {"a", "b"} == jobs


def test_work_that_fails_after_a_cancellation_does_not_change_the_reason() -> None:
    """With on_failure: stop, what is cancelled keeps the reason of the request."""
    machine = cancelled(started("a"), on_failure="stop")
    machine.handle(ev.JobFailed(T0, "a", 1, FATAL))
    assert [Record(ev.JobCancelled(T0, "b", "enough"))] == machine.decide(T0, 1)


def test_a_crash_in_a_cancellation_recovers_then_cancels() -> None:
    """What ran when the runner died is asked for, and cancelled where it was lost."""
    machine = cancelled(started("a"), ev.JobCancelled(T0, "b", "enough"))
    machine.handle(ev.RunnerClaimed(T0, "r2", 2))
    assert [Recover("a", 1)] == machine.decide(T0, 1)
    machine.handle(ev.AttemptLost(T0, "a", 1))
    assert [Record(ev.JobCancelled(T0, "a", "enough"))] == machine.decide(T0, 1)


def stopped(*events: ev.Event) -> Machine:
    pipeline = pipeline_of(
        job_of("a"), job_of("b", retry=RETRY), job_of("c", retry=RETRY), job_of("d"), on_failure="stop"
    )
    return machine_after(
        pipeline,
        started("a"),
        started("b"),
        started("c"),
        ev.AttemptFailed(T0, "c", 1, ERROR, 9.0),
        ev.JobFailed(T0, "a", 1, FATAL),
        *events,
    )


def test_stop_gives_up_what_waits_and_lets_run_what_runs() -> None:
    """After a failure with on_failure: stop, pending and retrying jobs are cancelled, nothing is stopped."""
    reason = "job 'a' failed"
    both = [Record(ev.JobCancelled(T0, job, reason)) for job in ("c", "d")]
    assert both == stopped().decide(T0, 9)


def test_stop_allows_no_further_attempt() -> None:
    """After a stop a failed attempt is not followed by another one, whatever its policy says."""
    assert stopped().retry_policy("b", 1, ERROR) is None


def test_the_first_failure_is_the_reason_of_a_stop() -> None:
    """A second failure does not change the reason of what is cancelled."""
    machine = stopped(ev.JobFailed(T0, "b", 1, FATAL))
    both = [Record(ev.JobCancelled(T0, job, "job 'a' failed")) for job in ("c", "d")]
    assert both == machine.decide(T0, 9)


def test_a_start_decided_together_with_a_failing_one_runs_and_ends() -> None:
    """Where the first of two starts fails and stops the session, the second, already on its way, runs."""
    machine = machine_after(pipeline_of(job_of("a"), job_of("b"), on_failure="stop"))
    assert [Start("a", 1), Start("b", 1)] == machine.decide(T0, 2)
    machine.handle(ev.JobFailed(T0, "a", 0, FATAL))
    machine.handle(started("b"))
    assert [] == machine.decide(T0, 2)
    machine.handle(ev.JobSucceeded(T0, "b", 1))
    assert [Record(ev.SessionFailed(T0))] == machine.decide(T0, 2)


def test_a_claim_while_nothing_ran_recovers_nothing() -> None:
    """A new runner of a session without running attempts goes on at once."""
    machine = machine_after(pipeline_of(job_of("a")), ev.RunnerClaimed(T0, "r2", 2))
    assert [Start("a", 1)] == machine.decide(T0, 1)


def test_a_lost_attempt_runs_again_under_its_number() -> None:
    """After a crash the attempt is asked for, and where it is lost, the same attempt starts again."""
    failed = ev.AttemptFailed(T0, "a", 1, ERROR, 0.0)
    machine = machine_after(pipeline_of(job_of("a", retry=RETRY)), started("a"), failed, started("a", 2))
    machine.handle(ev.RunnerClaimed(T0, "r2", 2))
    assert [Recover("a", 2)] == machine.decide(T0, 1)
    machine.handle(ev.AttemptLost(T0, "a", 2))
    assert [Start("a", 2)] == machine.decide(T0, 1)


def test_a_crash_while_pausing_pauses() -> None:
    """A lost attempt does not start again while a pause was asked for."""
    machine = machine_after(
        pipeline_of(job_of("a")),
        started("a"),
        ev.PauseRequested(T0, "q"),
        ev.RunnerClaimed(T0, "r2", 2),
        ev.AttemptLost(T0, "a", 1),
    )
    assert [Record(ev.SessionPaused(T0, "user"))] == machine.decide(T0, 1)


# Retries


@pytest.mark.parametrize(
    ("policy", "attempt", "failure", "again"),
    [
        (RetryPolicy(), 1, ERROR, False),
        (RetryPolicy(max_attempts=2), 1, ERROR, True),
        (RetryPolicy(max_attempts=2), 2, ERROR, False),
        (RetryPolicy(max_attempts=2), 1, FATAL, False),
        (RetryPolicy(max_attempts=2, on=("E",)), 1, FATAL, True),
        (RetryPolicy(max_attempts=2, on=("F", "G*")), 1, ERROR, False),
        (RetryPolicy(max_attempts=2, on=("F", "*")), 1, ERROR, True),
    ],
)
def test_retry_policy(policy: RetryPolicy, attempt: int, failure: Failure, again: bool) -> None:
    """An attempt follows while there are attempts left, on `on`'s codes, or on all that is retryable."""
    machine = machine_after(pipeline_of(job_of("a", retry=policy)), started("a"))
    assert (policy if again else None) is machine.retry_policy("a", attempt, failure)


@given(st.text("ab.*\n", max_size=8), st.text("ab.\n", max_size=8))
def test_matches_is_as_a_regex_says(pattern: str, code: str) -> None:
    """In a pattern `*` stands for any text, and nothing else is special."""
    regex = ".*".join(re.escape(part) for part in pattern.split("*"))
    assert (re.fullmatch(regex, code, re.DOTALL) is not None) is matches(code, pattern)


def test_matches_takes_linear_time() -> None:
    """A pattern of many stars, on which a regex would take for ever, is decided at once."""
    assert not matches("a" * 10_000, "*a" * 100 + "*b*")
