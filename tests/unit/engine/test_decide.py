"""What is decided, case by case; tests/unit/engine/test_simulation.py has the properties."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bunsui.engine import events as ev
from bunsui.engine.actions import Record, Recover, Start, Stop
from bunsui.engine.decide import Machine
from bunsui.engine.matching import matches
from bunsui.model.pipeline import Job, Pipeline, RetryPolicy, checked
from bunsui.model.session import Failure

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def pipeline_of(*jobs: Job, **fields: object) -> Pipeline:
    return checked(name="p", jobs=jobs, **fields)


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
