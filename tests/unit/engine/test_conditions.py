"""Conditions, as the engine sees them: when they are asked, and what follows from the answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bunsui.engine import events as ev
from bunsui.engine.actions import Evaluate, Record, Start
from bunsui.engine.decide import Machine
from bunsui.model.pipeline import Job, RetryPolicy, checked
from bunsui.model.session import Failure

T0 = datetime(2026, 1, 1, tzinfo=UTC)
FATAL = Failure("E", "m", retryable=False)
CRASH = ev.RunnerClaimed(T0, "r2", 2)
PAUSE = ev.PauseRequested(T0, "q")
CANCEL = ev.CancelRequested(T0, "q", "enough")


def job(name: str, *depends_on: str, condition: str | None = None, **fields: Any) -> Job:
    return Job(id=name, type="custom", depends_on=depends_on, condition=condition, **fields)


def machine_of(*jobs: Job, **fields: Any) -> Machine:
    """A machine whose session has just started."""
    machine = Machine(checked(name="p", jobs=jobs, **fields))
    machine.handle(ev.SessionCreated(T0, session_id="s", pipeline="p", digest="d", parameters={}))
    machine.handle(ev.RunnerClaimed(T0, "r", 1))
    machine.handle(ev.SessionStarted(T0))
    return machine


def after(machine: Machine, *events: ev.Event) -> Machine:
    for event in events:
        machine.handle(event)
    return machine


def started(name: str, attempt: int = 1) -> ev.JobStarted:
    return ev.JobStarted(T0, name, attempt, "key")


def succeeded(name: str) -> tuple[ev.Event, ...]:
    return started(name), ev.JobSucceeded(T0, name, 1)


def failed(name: str) -> tuple[ev.Event, ...]:
    return started(name), ev.JobFailed(T0, name, 1, FATAL)


def says(name: str, *, result: bool) -> ev.ConditionEvaluated:
    return ev.ConditionEvaluated(T0, name, result)


def skipped(name: str, reason: str) -> Record:
    return Record(ev.JobSkipped(T0, name, reason))


# When it is asked


def test_a_condition_is_asked_when_all_upstream_have_ended() -> None:
    """Not before the last of them has, as it may look at any."""
    machine = after(
        machine_of(job("a"), job("b"), job("c", "a", "b", condition="${x}")), *succeeded("a"), started("b")
    )
    assert [] == machine.decide(T0, 9)
    machine.handle(ev.JobSucceeded(T0, "b", 1))
    assert [Evaluate("c")] == machine.decide(T0, 9)


def test_the_condition_of_a_job_that_waits_for_nothing_is_asked_at_once() -> None:
    """All its upstream, none, has ended."""
    assert [Evaluate("a")] == machine_of(job("a", condition="${x}")).decide(T0, 9)


def test_conditions_are_asked_without_room() -> None:
    """To evaluate takes no place."""
    assert [Evaluate("a")] == machine_of(job("a", condition="${x}")).decide(T0, 0)


def test_all_conditions_that_can_be_asked_are() -> None:
    """Those of jobs that may be asked now come together, in the definition's order."""
    machine = machine_of(
        job("b", condition="${x}"), job("a", condition="${x}"), job("c", "a", condition="${x}")
    )
    assert [Evaluate("b"), Evaluate("a")] == machine.decide(T0, 9)


def test_a_condition_is_asked_once() -> None:
    """An answer that is durable is not asked for again after a crash."""
    machine = after(machine_of(job("a", condition="${x}")), says("a", result=True), CRASH)
    assert [Start("a", 1)] == machine.decide(T0, 9)


def test_an_answer_that_was_lost_is_asked_for_again() -> None:
    """A crash before it was durable asks again."""
    assert [Evaluate("a")] == after(machine_of(job("a", condition="${x}")), CRASH).decide(T0, 9)


def test_a_lost_attempt_does_not_ask_again() -> None:
    """A job that began to run runs again without being asked."""
    answer = says("a", result=True)
    machine = after(
        machine_of(job("a", condition="${x}")), answer, started("a"), CRASH, ev.AttemptLost(T0, "a", 1)
    )
    assert [Start("a", 1)] == machine.decide(T0, 9)


def test_a_retry_does_not_ask_again() -> None:
    """A second attempt follows without being asked."""
    again = ev.AttemptFailed(T0, "a", 1, Failure("E", "m"), 1.0)
    machine = machine_of(job("a", condition="${x}", retry=RetryPolicy(max_attempts=2)))
    after(machine, says("a", result=True), started("a"), again).retry_due("a")
    assert [Start("a", 2)] == machine.decide(T0, 9)


# What follows


def test_a_true_condition_lets_the_job_start() -> None:
    """What may run, runs."""
    assert [Start("a", 1)] == after(machine_of(job("a", condition="${x}")), says("a", result=True)).decide(
        T0, 9
    )


def test_a_false_condition_skips_the_job_with_the_reason() -> None:
    """The reason is the condition, as it was written."""
    machine = after(machine_of(job("a", condition="${x} == 1")), says("a", result=False))
    assert [skipped("a", "its condition is false: ${x} == 1")] == machine.decide(T0, 9)


def test_the_reason_is_not_longer_than_can_be_read() -> None:
    """Of a long condition the beginning is shown."""
    machine = after(machine_of(job("a", condition="${x} == 1 or " * 100 + "${x}")), says("a", result=False))
    assert [skipped("a", "its condition is false: " + ("${x} == 1 or " * 100)[:200])] == machine.decide(T0, 9)


def test_a_session_whose_jobs_are_all_skipped_succeeds() -> None:
    """Nothing failed."""
    machine = after(machine_of(job("a", condition="${x}")), says("a", result=False), skipped("a", "r").event)
    assert [Record(ev.SessionSucceeded(T0))] == machine.decide(T0, 9)


def test_a_condition_that_can_not_be_evaluated_fails_the_job() -> None:
    """The job failed without a start: what follows is skipped, and the session fails."""
    machine = machine_of(job("a", condition="${x}"), job("b", "a"))
    after(machine, ev.JobFailed(T0, "a", 0, FATAL))
    assert [skipped("b", "job 'a' is failed")] == machine.decide(T0, 9)
    after(machine, skipped("b", "r").event)
    assert [Record(ev.SessionFailed(T0))] == machine.decide(T0, 9)


def test_a_condition_that_can_not_be_evaluated_may_be_allowed_to() -> None:
    """allow_failure holds for this failure as for any other."""
    machine = machine_of(job("a", condition="${x}", allow_failure=True), job("b", "a"))
    assert [Start("b", 1)] == after(machine, ev.JobFailed(T0, "a", 0, FATAL)).decide(T0, 9)


# Added to "all upstream succeeded", or in its place

ADDED = ["${x}", "${jobs.a.status} == 'failed'", 'not ("always()" in ["failed(a)"])']
REPLACING = [
    "always()",
    "succeeded(a)",
    "failed(a)",
    "${x} or not (failed(a) and ${y})",
    "[[always()]] == [[true]]",
]


@pytest.mark.parametrize("condition", ADDED)
def test_a_condition_is_added_to_all_upstream_succeeded(condition: str) -> None:
    """Where a job upstream has failed, the condition is not even asked."""
    machine = after(machine_of(job("a"), job("b", "a", condition=condition)), *failed("a"))
    assert [skipped("b", "job 'a' is failed")] == machine.decide(T0, 9)


@pytest.mark.parametrize("condition", REPLACING)
def test_a_condition_about_statuses_replaces_all_upstream_succeeded(condition: str) -> None:
    """Wherever in the condition it asks for a status, it decides alone."""
    machine = after(machine_of(job("a"), job("b", "a", condition=condition)), *failed("a"))
    assert [Evaluate("b")] == machine.decide(T0, 9)


@pytest.mark.parametrize("condition", REPLACING)
def test_a_condition_about_statuses_replaces_it_after_a_skipped_job_too(condition: str) -> None:
    """A job upstream that was skipped is one that did not succeed, no more."""
    machine = machine_of(job("a", condition="${x}"), job("b", "a", condition=condition))
    after(machine, says("a", result=False), skipped("a", "r").event)
    assert [Evaluate("b")] == machine.decide(T0, 9)


@pytest.mark.parametrize("condition", [*ADDED, *REPLACING])
def test_after_an_allowed_failure_every_condition_is_asked(condition: str) -> None:
    """What follows treats an allowed failure as success."""
    machine = after(
        machine_of(job("a", allow_failure=True), job("b", "a", condition=condition)), *failed("a")
    )
    assert [Evaluate("b")] == machine.decide(T0, 9)


@pytest.mark.parametrize("condition", [None, *ADDED])
def test_what_follows_a_skipped_job_is_skipped_by_the_same_rule(condition: str | None) -> None:
    """Unless it asks for a status, down to the last."""
    machine = machine_of(job("a", condition="${x}"), job("b", "a", condition=condition), job("c", "b"))
    after(machine, says("a", result=False), skipped("a", "r").event)
    assert [skipped("b", "job 'a' is skipped")] == machine.decide(T0, 9)
    machine.handle(skipped("b", "job 'a' is skipped").event)
    assert [skipped("c", "job 'b' is skipped")] == machine.decide(T0, 9)


def test_a_job_after_skipped_ones_may_run() -> None:
    """The end of a branch that was skipped can ask for it, and what follows that can succeed again."""
    machine = machine_of(job("a", condition="${x}"), job("b", "a", condition="always()"), job("c", "b"))
    after(machine, says("a", result=False), skipped("a", "r").event, says("b", result=True), *succeeded("b"))
    assert [Start("c", 1)] == machine.decide(T0, 9)


def test_the_reason_names_the_first_job_that_did_not_succeed() -> None:
    """In the order in which the job names what it waits for."""
    machine = machine_of(job("a"), job("b"), job("c"), job("d", "a", "b", "c", condition="${x}"))
    after(machine, *failed("c"), *failed("b"), *succeeded("a"))
    assert [skipped("d", "job 'b' is failed")] == machine.decide(T0, 9)


# Pause, cancel, stop


def test_a_pause_asks_nothing() -> None:
    """A condition waits until the pause is over."""
    machine = after(machine_of(job("a", condition="${x}")), PAUSE)
    assert [Record(ev.SessionPaused(T0, "user"))] == machine.decide(T0, 9)
    after(machine, ev.SessionPaused(T0, "user"))
    assert [] == machine.decide(T0, 9)
    after(machine, ev.SessionResumed(T0))
    assert [Evaluate("a")] == machine.decide(T0, 9)


@pytest.mark.parametrize("condition", ["${x}", "always()"])
def test_a_cancellation_asks_nothing(condition: str) -> None:
    """Nothing new starts, so nothing has to be asked, not even of a job that runs always."""
    machine = after(machine_of(job("a", condition=condition)), CANCEL)
    assert [Record(ev.JobCancelled(T0, "a", "enough"))] == machine.decide(T0, 9)


@pytest.mark.parametrize("result", [True, False])
def test_an_answer_that_comes_after_a_cancellation_changes_nothing(result: bool) -> None:
    """The job is cancelled all the same."""
    machine = after(machine_of(job("a", condition="${x}")), CANCEL, says("a", result=result))
    assert [Record(ev.JobCancelled(T0, "a", "enough"))] == machine.decide(T0, 9)


def test_a_condition_that_fails_stops_the_session() -> None:
    """With on_failure: stop the other conditions that were asked at the same time start nothing."""
    machine = machine_of(job("a", condition="${x}"), job("b", condition="${x}"), on_failure="stop")
    assert [Evaluate("a"), Evaluate("b")] == machine.decide(T0, 9)
    after(machine, ev.JobFailed(T0, "a", 0, FATAL), says("b", result=True))
    assert [Record(ev.JobCancelled(T0, "b", "job 'a' failed"))] == machine.decide(T0, 9)


@pytest.mark.parametrize("condition", ["always()", "failed(a)"])
def test_with_stop_nothing_new_starts(condition: str) -> None:
    """With on_failure: stop a job that would run after the failure is cancelled like any that is pending."""
    machine = machine_of(job("a"), job("b", "a", condition=condition), on_failure="stop")
    assert [Record(ev.JobCancelled(T0, "b", "job 'a' failed"))] == after(machine, *failed("a")).decide(T0, 9)


def test_with_continue_a_job_runs_after_the_failure() -> None:
    """on_failure: continue is where failed(job) has its use; the session fails all the same."""
    machine = machine_of(job("a"), job("b", "a", condition="failed(a)"))
    after(machine, *failed("a"), says("b", result=True), *succeeded("b"))
    assert [Record(ev.SessionFailed(T0))] == machine.decide(T0, 9)
