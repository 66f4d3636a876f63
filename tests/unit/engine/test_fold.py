"""The fold's bookkeeping, and what it refuses."""

from __future__ import annotations

import copy
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from bunsui.engine import events as ev
from bunsui.engine.fold import Fold
from bunsui.engine.transitions import IllegalTransition
from bunsui.model.json import NULL, Json
from bunsui.model.session import Attempt, Failure, JobState
from bunsui.model.status import JobStatus, SessionStatus

ERROR = Failure("E", "m")
OTHER = Failure("F", "n")


def at(seconds: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


CREATED = ev.SessionCreated(at(0), session_id="s", pipeline="p", digest="d", parameters={})
CLAIMED = ev.RunnerClaimed(at(1), "r", 1)
STARTED = ev.SessionStarted(at(2))


def fold_of(*events: ev.Event) -> Fold:
    fold = Fold(["a", "b"])
    for event in events:
        fold.apply(event)
    return fold


def running(*events: ev.Event) -> Fold:
    return fold_of(CREATED, CLAIMED, STARTED, *events)


def start(second: int, attempt: int = 1, job: str = "a") -> ev.JobStarted:
    return ev.JobStarted(at(second), job, attempt, "k")


def job_after(*events: ev.Event) -> JobState:
    return running(*events).jobs["a"]


def fan(count: int, *events: ev.Event) -> Fold:
    """A session whose job a fans out."""
    return running(ev.FanOutStarted(at(3), "a", count), *events)


def item(second: int, number: int = 0, attempt: int = 1) -> ev.ItemStarted:
    return ev.ItemStarted(at(second), "a", number, attempt, "k")


def done(second: int, number: int = 0, attempt: int = 1, output: object = None) -> ev.ItemSucceeded:
    return ev.ItemSucceeded(at(second), "a", number, attempt, Json.of(output))


# What it keeps


def test_a_running_job() -> None:
    """A started job has an open attempt, and started when it did."""
    assert JobState(JobStatus.RUNNING, (Attempt(1, at(3)),), None, at(3)) == job_after(start(3))


def test_a_job_that_succeeded() -> None:
    """A success closes the attempt and the job, and brings the output."""
    done = job_after(start(3), ev.JobSucceeded(at(4), "a", 1, Json.of({"x": 1})))
    attempts = (Attempt(1, at(3), at(4)),)
    assert JobState(JobStatus.SUCCEEDED, attempts, None, at(3), at(4), None, Json('{"x":1}')) == done


def test_a_job_that_waits_for_another_attempt() -> None:
    """A failed attempt keeps its error, and the job shows it while it waits."""
    state = job_after(start(3), ev.AttemptFailed(at(4), "a", 1, ERROR, 9.0))
    assert JobState(JobStatus.RETRYING, (Attempt(1, at(3), at(4), ERROR),), ERROR, at(3)) == state


def test_a_job_that_succeeded_at_the_second_attempt() -> None:
    """It started with its first attempt, keeps both attempts, and has no error any more."""
    state = job_after(
        start(3), ev.AttemptFailed(at(4), "a", 1, ERROR, 9.0), start(5, 2), ev.JobSucceeded(at(6), "a", 2)
    )
    attempts = (Attempt(1, at(3), at(4), ERROR), Attempt(2, at(5), at(6)))
    assert JobState(JobStatus.SUCCEEDED, attempts, None, at(3), at(6)) == state


def test_a_job_that_failed_at_the_second_attempt() -> None:
    """Its error is that of the last attempt."""
    state = job_after(
        start(3), ev.AttemptFailed(at(4), "a", 1, ERROR, 9.0), start(5, 2), ev.JobFailed(at(6), "a", 2, OTHER)
    )
    attempts = (Attempt(1, at(3), at(4), ERROR), Attempt(2, at(5), at(6), OTHER))
    assert JobState(JobStatus.FAILED, attempts, OTHER, at(3), at(6)) == state


def test_a_job_that_could_not_start() -> None:
    """It failed without any attempt and was never started."""
    state = job_after(ev.JobFailed(at(3), "a", 0, ERROR))
    assert JobState(JobStatus.FAILED, (), ERROR, None, at(3)) == state


def test_a_job_whose_next_attempt_could_not_start() -> None:
    """It keeps the attempts that there were."""
    state = job_after(
        start(3), ev.AttemptFailed(at(4), "a", 1, ERROR, 9.0), ev.JobFailed(at(5), "a", 0, OTHER)
    )
    assert JobState(JobStatus.FAILED, (Attempt(1, at(3), at(4), ERROR),), OTHER, at(3), at(5)) == state


def test_a_lost_attempt() -> None:
    """The job is pending again; its attempt stays, with an end that nobody knows."""
    state = job_after(start(3), ev.AttemptLost(at(4), "a", 1))
    assert JobState(JobStatus.PENDING, (Attempt(1, at(3)),), None, at(3)) == state


def test_a_lost_attempt_that_runs_again() -> None:
    """It is one attempt, started anew; the job's own start remains the first one."""
    state = job_after(start(3), ev.AttemptLost(at(4), "a", 1), start(5))
    assert JobState(JobStatus.RUNNING, (Attempt(1, at(5)),), None, at(3)) == state


def test_a_second_attempt_that_was_lost_keeps_the_first() -> None:
    """Only the lost attempt is started anew; the error of the one before it stays."""
    state = job_after(
        start(3),
        ev.AttemptFailed(at(4), "a", 1, ERROR, 0.0),
        start(5, 2),
        ev.AttemptLost(at(6), "a", 2),
        start(7, 2),
    )
    attempts = (Attempt(1, at(3), at(4), ERROR), Attempt(2, at(7)))
    assert JobState(JobStatus.RUNNING, attempts, ERROR, at(3)) == state


def test_a_skipped_job() -> None:
    """It never started, and says why."""
    state = job_after(ev.JobSkipped(at(3), "a", "because"))
    assert JobState(JobStatus.SKIPPED, (), None, None, at(3), "because") == state


def test_a_job_cancelled_while_it_ran() -> None:
    """Its attempt ends with it, without an error."""
    state = job_after(start(3), ev.JobCancelled(at(4), "a", "because"))
    attempts = (Attempt(1, at(3), at(4)),)
    assert JobState(JobStatus.CANCELLED, attempts, None, at(3), at(4), "because") == state


def test_a_job_cancelled_while_it_waited() -> None:
    """It keeps the attempts and the error that it had."""
    state = job_after(
        start(3), ev.AttemptFailed(at(4), "a", 1, ERROR, 9.0), ev.JobCancelled(at(5), "a", "because")
    )
    attempts = (Attempt(1, at(3), at(4), ERROR),)
    assert JobState(JobStatus.CANCELLED, attempts, ERROR, at(3), at(5), "because") == state


def test_a_condition_changes_nothing_of_a_job() -> None:
    """A job whose condition was evaluated is pending as before."""
    assert JobState() == job_after(ev.ConditionEvaluated(at(3), "a", result=True))


def test_a_fan_out_that_started() -> None:
    """The job runs from then on, without an attempt of its own; its items are pending."""
    fold = fan(2)
    assert (JobState(JobStatus.RUNNING, started_at=at(3)), [JobState(), JobState()]) == (
        fold.jobs["a"],
        fold.items["a"],
    )


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ((item(4),), JobState(JobStatus.RUNNING, (Attempt(1, at(4)),), None, at(4))),
        (
            (item(4), done(5, output=[1])),
            JobState(JobStatus.SUCCEEDED, (Attempt(1, at(4), at(5)),), None, at(4), at(5), None, Json("[1]")),
        ),
        (
            (item(4), ev.ItemAttemptFailed(at(5), "a", 0, 1, ERROR, 9.0)),
            JobState(JobStatus.RETRYING, (Attempt(1, at(4), at(5), ERROR),), ERROR, at(4)),
        ),
        (
            (item(4), ev.ItemAttemptFailed(at(5), "a", 0, 1, ERROR, 9.0), item(6, 0, 2)),
            JobState(JobStatus.RUNNING, (Attempt(1, at(4), at(5), ERROR), Attempt(2, at(6))), ERROR, at(4)),
        ),
        (
            (item(4), ev.ItemAttemptLost(at(5), "a", 0, 1)),
            JobState(JobStatus.PENDING, (Attempt(1, at(4)),), None, at(4)),
        ),
        (
            (item(4), ev.ItemAttemptLost(at(5), "a", 0, 1), item(6)),
            JobState(JobStatus.RUNNING, (Attempt(1, at(6)),), None, at(4)),
        ),
        (
            (item(4), ev.ItemFailed(at(5), "a", 0, 1, ERROR)),
            JobState(JobStatus.FAILED, (Attempt(1, at(4), at(5), ERROR),), ERROR, at(4), at(5)),
        ),
        (
            (ev.ItemFailed(at(4), "a", 0, 0, ERROR),),
            JobState(JobStatus.FAILED, (), ERROR, None, at(4)),
        ),
        (
            (item(4), ev.ItemCancelled(at(5), "a", 0, "r")),
            JobState(JobStatus.CANCELLED, (Attempt(1, at(4), at(5)),), None, at(4), at(5), "r"),
        ),
    ],
    ids=["started", "succeeded", "retrying", "again", "lost", "rerun", "failed", "no-start", "cancelled"],
)
def test_an_item_goes_through_attempts_as_a_job_does(
    events: tuple[ev.ItemEvent, ...], state: JobState
) -> None:
    """An item has attempts, times, an error and an output of its own; the others stay as they are."""
    assert [state, JobState()] == fan(2, *events).items["a"]


def test_what_an_item_does_leaves_its_job_running() -> None:
    """Whatever its items do, the job runs until it is settled."""
    assert JobState(JobStatus.RUNNING, started_at=at(3)) == fan(1, item(4), done(5)).jobs["a"]


def test_a_fan_out_that_succeeded() -> None:
    """Its output is the list of its items' outputs, in their order, and it keeps their states."""
    second, first = done(6, 1, output={"b": 1}), done(7, 0, output="a")
    fold = fan(2, item(4), item(5, 1), second, first)
    items = tuple(fold.items["a"])
    fold.apply(ev.FanOutSucceeded(at(8), "a"))
    succeeded = JobStatus.SUCCEEDED
    assert JobState(succeeded, (), None, at(3), at(8), None, Json('["a",{"b":1}]'), items) == fold.jobs["a"]


def test_a_fan_out_of_nothing() -> None:
    """The output of a job without items is an empty list."""
    assert ([], ()) == (
        fan(0, ev.FanOutSucceeded(at(4), "a")).jobs["a"].output,
        fan(0, ev.FanOutSucceeded(at(4), "a")).jobs["a"].items,
    )


def test_a_fan_out_that_failed() -> None:
    """It has the error, no output, and keeps the states of its items, started or not."""
    fold = fan(2, item(4), ev.ItemFailed(at(5), "a", 0, 1, ERROR), ev.JobFailed(at(6), "a", 0, OTHER))
    failed = JobState(JobStatus.FAILED, (Attempt(1, at(4), at(5), ERROR),), ERROR, at(4), at(5))
    items = (failed, JobState())
    assert JobState(JobStatus.FAILED, (), OTHER, at(3), at(6), None, NULL, items) == fold.jobs["a"]


def test_a_fan_out_that_was_cancelled() -> None:
    """It has the reason and keeps the states of its items."""
    fold = fan(1, ev.JobCancelled(at(6), "a", "r"))
    assert JobState(JobStatus.CANCELLED, (), None, at(3), at(6), "r", NULL, (JobState(),)) == fold.jobs["a"]


def test_what_has_ended_has_its_items_once() -> None:
    """The items of a job that has ended are in its state, and nowhere else."""
    assert {} == fan(1, item(4), done(5), ev.FanOutSucceeded(at(6), "a")).items


def test_the_snapshot_of_a_fan_out_that_runs_has_its_items() -> None:
    """Who looks at a running job sees its items."""
    assert (JobState(), JobState()) == fan(2).snapshot(1).jobs["a"].items


def test_the_items_of_a_snapshot_do_not_change() -> None:
    """What happens after a snapshot does not show in its items."""
    fold = fan(1)
    before = fold.snapshot(1)
    fold.apply(item(4))
    assert (JobState(),) == before.jobs["a"].items


def test_a_job_that_does_not_fan_out_has_no_items() -> None:
    """None tells it from one that fans out to nothing."""
    assert job_after(start(3)).items is None


def test_the_attempts_of_a_fan_out_are_those_of_its_items() -> None:
    """The number of attempts of a job is that of all its items together."""
    failed = ev.ItemAttemptFailed(at(5), "a", 0, 1, ERROR, 0.0)
    fold = fan(2, item(4), failed, item(6, 0, 2), item(6, 1))
    assert 3 == fold.snapshot(1).jobs["a"].attempt_count


def test_counts_are_a_recount() -> None:
    """After every event the counts equal the number of jobs with each status."""
    fold = running()
    for event in (
        start(3),
        ev.AttemptFailed(at(4), "a", 1, ERROR, 0.0),
        start(5, 2),
        ev.AttemptLost(at(6), "a", 2),
        start(7, 2),
        ev.JobFailed(at(8), "a", 2, ERROR),
        ev.JobSkipped(at(9), "b", "r"),
    ):
        fold.apply(event)
        recount = Counter(state.status for state in fold.jobs.values())
        assert {status: recount[status] for status in JobStatus} == fold.counts


def test_claims_and_releases() -> None:
    """A claim is in force until its release; the epoch stays."""
    fold = running()
    assert (CLAIMED, 1) == (fold.claim, fold.epoch)
    fold.apply(ev.RunnerReleased(at(3), 1))
    assert (None, 1) == (fold.claim, fold.epoch)


def test_a_claim_may_follow_a_claim() -> None:
    """A runner takes over from one that never released: the later claim is in force."""
    second = ev.RunnerClaimed(at(3), "r2", 2)
    fold = running(second)
    assert (second, 2) == (fold.claim, fold.epoch)


@pytest.mark.parametrize(
    ("first", "event"),
    [
        ((start(3),), ev.AttemptFailed(at(5), "a", 1, ERROR, 0.0)),
        ((start(3),), ev.JobSucceeded(at(5), "a", 1)),
        ((), ev.JobFailed(at(5), "a", 0, ERROR)),
        ((), ev.JobSkipped(at(5), "a", "r")),
        ((), ev.JobCancelled(at(5), "a", "r")),
    ],
)
def test_who_brings_a_job_to_an_end_got_somewhere(first: tuple[ev.Event, ...], event: ev.Event) -> None:
    """The deaths of runners before it count no more, whatever the end is."""
    fold = running(*first, ev.RunnerClaimed(at(4), "r2", 2))
    assert 1 == fold.deaths
    fold.apply(event)
    assert 0 == fold.deaths


def test_a_pause() -> None:
    """A pause answers its request and has a reason; the resumption ends both."""
    fold = running(ev.PauseRequested(at(3), "q", "later"), ev.SessionPaused(at(4), "user"))
    assert (SessionStatus.PAUSED, "user", None) == (fold.status, fold.paused_reason, fold.pause)
    fold.apply(ev.SessionResumed(at(5)))
    assert (SessionStatus.RUNNING, None, None) == (fold.status, fold.paused_reason, fold.pause)


def test_the_timeout_of_a_session() -> None:
    """A session whose timeout was reached runs on until its jobs have ended."""
    fold = running(ev.TimeoutReached(at(3)))
    assert (SessionStatus.RUNNING, True) == (fold.status, fold.is_overdue)


def test_a_timeout_after_a_request_to_cancel_is_too_late() -> None:
    """Who asked first, says how the session ends."""
    assert not running(ev.CancelRequested(at(3), "q"), ev.TimeoutReached(at(4))).is_overdue


def test_a_request_to_cancel_after_the_timeout_is_too_late() -> None:
    """Likewise the other way round, also where a later driver notices the timeout once more."""
    cancelled = ev.CancelRequested(at(4), "q")
    assert running(ev.TimeoutReached(at(3)), cancelled, ev.TimeoutReached(at(5))).is_overdue


NOTHING = (ev.JobSkipped(at(3), "a", "r"), ev.JobSkipped(at(3), "b", "r"))


def test_the_outputs_of_a_session() -> None:
    """The declared outputs come with the event that ends the session, and are kept as text."""
    ended = ev.SessionSucceeded(at(4), Json.of({"rows": 1}))
    assert Json('{"rows":1}') == running(*NOTHING, ended).snapshot(1).outputs


def test_a_session_without_declared_outputs_has_none() -> None:
    """None, not an empty mapping, stands for what was never declared."""
    assert running(*NOTHING, ev.SessionSucceeded(at(4))).snapshot(1).outputs is None


def test_a_session_whose_outputs_could_not_be_made() -> None:
    """The session itself has the error, as no job does."""
    fold = running(*NOTHING, ev.SessionFailed(at(4), ERROR))
    assert (SessionStatus.FAILED, ERROR, None) == (fold.status, fold.snapshot(1).error, fold.outputs)


def test_a_session_that_timed_out() -> None:
    """It has ended, with the time."""
    fold = running(ev.TimeoutReached(at(2)), *NOTHING, ev.SessionTimedOut(at(4)))
    assert (SessionStatus.TIMED_OUT, at(4)) == (fold.status, fold.finished_at)


def test_a_pause_asked_for_while_paused_ends_with_the_resumption() -> None:
    """A second request is answered by the pause that there is."""
    fold = running(
        ev.PauseRequested(at(3), "q"),
        ev.SessionPaused(at(4), "user"),
        ev.PauseRequested(at(5), "q2"),
        ev.SessionResumed(at(6)),
    )
    assert (None, {"q", "q2"}) == (fold.pause, fold.requests)


def test_the_end_of_a_session() -> None:
    """The end has a time, and takes the reason of a pause with it."""
    fold = running(
        ev.PauseRequested(at(3), "q"),
        ev.SessionPaused(at(4), "user"),
        ev.CancelRequested(at(5), "q2"),
        ev.JobCancelled(at(6), "a", "r"),
        ev.JobCancelled(at(6), "b", "r"),
        ev.SessionCancelled(at(7)),
    )
    assert (at(2), at(7), None) == (fold.started_at, fold.finished_at, fold.paused_reason)


def test_the_release_may_follow_the_end() -> None:
    """A claim can be given back after the session has ended."""
    fold = running(ev.JobSkipped(at(3), "a", "r"), ev.JobSkipped(at(3), "b", "r"), ev.SessionSucceeded(at(4)))
    fold.apply(ev.RunnerReleased(at(5), 1))
    assert fold.claim is None


def test_last_at_is_the_last_events() -> None:
    """The time of the last event is kept, whatever it was."""
    assert at(9) == running(ev.Unknown(at(9), "Later", {})).last_at


def test_an_unknown_event_changes_nothing_but_the_time() -> None:
    """An event of a later version that may be ignored is ignored."""
    assert running().snapshot(1) == running(ev.Unknown(at(9), "Later", {})).snapshot(1)


def test_a_snapshot_does_not_change() -> None:
    """What happens after a snapshot does not show in it."""
    fold = running()
    before = fold.snapshot(1)
    fold.apply(start(3))
    assert JobStatus.PENDING is before.jobs["a"].status


def test_a_job_without_output_has_null() -> None:
    """The output of a job that did not succeed is null."""
    assert NULL == job_after(start(3)).encoded_output


# What it refuses

WAITING = (start(3), ev.AttemptFailed(at(4), "a", 1, ERROR, 1.0))
LOST = (start(3), ev.AttemptLost(at(4), "a", 1))
ENDED = (ev.JobSkipped(at(3), "a", "r"), ev.JobSkipped(at(3), "b", "r"), ev.SessionSucceeded(at(4)))
PAUSED = (start(3), ev.PauseRequested(at(3), "q"), ev.SessionPaused(at(4), "user"))
FANNED = (ev.FanOutStarted(at(3), "a", 2),)
ONE_RUNS = (*FANNED, item(4), item(4, 1), done(5, 1))
ONE_WAITS = (*FANNED, item(4), ev.ItemAttemptFailed(at(5), "a", 0, 1, ERROR, 1.0))
SETTLED = (*ONE_RUNS, done(6), ev.FanOutSucceeded(at(7), "a"))
HALF_PAUSED = (*FANNED, ev.PauseRequested(at(4), "q"), ev.SessionPaused(at(4), "user"))

REFUSED = [
    ((), CREATED, "SessionCreated in a session that exists"),
    ((), ev.RunnerClaimed(at(9), "x", 1), "claim of epoch 1 after epoch 1"),
    ((), ev.RunnerClaimed(at(9), "x", 3), "claim of epoch 3 after epoch 1"),
    (ENDED, ev.RunnerClaimed(at(9), "x", 2), "RunnerClaimed in a session that is succeeded"),
    ((), ev.RunnerReleased(at(9), 2), "release of epoch 2, which holds no claim"),
    (
        (ev.RunnerReleased(at(3), 1),),
        ev.RunnerReleased(at(9), 1),
        "release of epoch 1, which holds no claim",
    ),
    ((), STARTED, "SessionStarted in a session that is running"),
    (ENDED, ev.PauseRequested(at(9), "x"), "PauseRequested in a session that is succeeded"),
    (ENDED, ev.CancelRequested(at(9), "x"), "CancelRequested in a session that is succeeded"),
    (PAUSED, ev.SessionPaused(at(9), "x"), "SessionPaused in a session that is paused"),
    ((), ev.SessionResumed(at(9)), "SessionResumed in a session that is running"),
    ((), ev.SessionSucceeded(at(9)), "SessionSucceeded while jobs are open"),
    ((start(3),), ev.SessionFailed(at(9)), "SessionFailed while jobs are open"),
    (WAITING, ev.SessionCancelled(at(9)), "SessionCancelled while jobs are open"),
    (ENDED, ev.SessionFailed(at(9)), "SessionFailed in a session that is succeeded"),
    ((), start(9, 1, "z"), "JobStarted for job 'z', which the definition does not have"),
    ((), start(9, 2), "attempt 2 of job 'a' after 0"),
    ((), start(9, 0), "attempt 0 of job 'a' after 0"),
    (WAITING, start(9, 1), "attempt 1 of job 'a' after 1"),
    (WAITING, start(9, 3), "attempt 3 of job 'a' after 1"),
    (LOST, start(9, 2), "attempt 2 of job 'a' after 0"),
    ((start(3),), start(9, 2), "JobStarted for job 'a', which is running"),
    (
        (start(3),),
        ev.JobSucceeded(at(9), "a", 2),
        "JobSucceeded of attempt 2 of job 'a', whose attempt 1 runs",
    ),
    (
        (start(3),),
        ev.AttemptFailed(at(9), "a", 0, ERROR, 1.0),
        "AttemptFailed of attempt 0 of job 'a', whose attempt 1 runs",
    ),
    ((start(3),), ev.AttemptLost(at(9), "a", 2), "AttemptLost of attempt 2 of job 'a', whose attempt 1 runs"),
    (
        (start(3),),
        ev.JobFailed(at(9), "a", 0, ERROR),
        "JobFailed of attempt 0 of job 'a', whose attempt 1 runs",
    ),
    ((), ev.JobFailed(at(9), "a", 1, ERROR), "JobFailed of attempt 1 of job 'a', which is pending"),
    (WAITING, ev.JobFailed(at(9), "a", 1, ERROR), "JobFailed of attempt 1 of job 'a', which is retrying"),
    ((), ev.JobSucceeded(at(9), "a", 1), "JobSucceeded for job 'a', which is pending"),
    (ENDED, ev.JobCancelled(at(9), "a", "r"), "JobCancelled for job 'a', which is skipped"),
    (PAUSED, ev.JobSucceeded(at(9), "a", 1), "JobSucceeded in a session that is paused"),
    (PAUSED, ev.TimeoutReached(at(9)), "TimeoutReached in a session that is paused"),
    (ENDED, ev.SessionTimedOut(at(9)), "SessionTimedOut in a session that is succeeded"),
    ((), ev.SessionTimedOut(at(9)), "SessionTimedOut while jobs are open"),
    (
        (start(3),),
        ev.ConditionEvaluated(at(9), "a", result=True),
        "ConditionEvaluated for job 'a', which is running",
    ),
    (
        PAUSED,
        ev.ConditionEvaluated(at(9), "b", result=True),
        "ConditionEvaluated in a session that is paused",
    ),
    (FANNED, ev.FanOutStarted(at(9), "a", 2), "FanOutStarted for job 'a', which is running"),
    ((), ev.FanOutStarted(at(9), "a", -1), "FanOutStarted for job 'a' with -1 items"),
    ((), ev.FanOutStarted(at(9), "a", 10_001), "FanOutStarted for job 'a' with 10001 items"),
    ((), ev.FanOutStarted(at(9), "a", 10**30), f"FanOutStarted for job 'a' with {10**30} items"),
    (FANNED, start(9), "JobStarted for job 'a', which is running"),
    *(
        (FANNED, event, f"{type(event).__name__} of job 'a', which has no attempt of its own")
        for event in (
            ev.JobSucceeded(at(9), "a", 1),
            ev.AttemptFailed(at(9), "a", 1, ERROR, 1.0),
            ev.AttemptLost(at(9), "a", 1),
        )
    ),
    ((), item(9), "ItemStarted for item 0 of job 'a', which has no such item"),
    ((start(3),), item(9), "ItemStarted for item 0 of job 'a', which has no such item"),
    (FANNED, item(9, 2), "ItemStarted for item 2 of job 'a', which has no such item"),
    (FANNED, item(9, -1), "ItemStarted for item -1 of job 'a', which has no such item"),
    (
        FANNED,
        ev.ItemStarted(at(9), "z", 0, 1, "k"),
        "ItemStarted for item 0 of job 'z', which has no such item",
    ),
    (SETTLED, item(9), "ItemStarted for item 0 of job 'a', which has no such item"),
    (HALF_PAUSED, item(9), "ItemStarted in a session that is paused"),
    (ONE_RUNS, item(9), "ItemStarted for item 0 of job 'a', which is running"),
    (ONE_RUNS, item(9, 1), "ItemStarted for item 1 of job 'a', which is succeeded"),
    (FANNED, item(9, 0, 2), "attempt 2 of item 0 of job 'a' after 0"),
    (ONE_WAITS, item(9), "attempt 1 of item 0 of job 'a' after 1"),
    (FANNED, done(9), "ItemSucceeded for item 0 of job 'a', which is pending"),
    (ONE_RUNS, done(9, 0, 2), "ItemSucceeded of attempt 2 of item 0 of job 'a', whose attempt 1 runs"),
    (
        ONE_WAITS,
        ev.ItemFailed(at(9), "a", 0, 1, ERROR),
        "ItemFailed of attempt 1 of item 0 of job 'a', which is retrying",
    ),
    (
        FANNED,
        ev.ItemCancelled(at(9), "a", 0, "r"),
        "ItemCancelled for item 0 of job 'a', which is pending",
    ),
    (
        FANNED,
        ev.FanOutSucceeded(at(9), "a"),
        "FanOutSucceeded for job 'a', whose items have not all succeeded",
    ),
    (
        ONE_RUNS,
        ev.FanOutSucceeded(at(9), "a"),
        "FanOutSucceeded for job 'a', whose items have not all succeeded",
    ),
    (
        (start(3),),
        ev.FanOutSucceeded(at(9), "a"),
        "FanOutSucceeded for job 'a', whose items have not all succeeded",
    ),
    ((), ev.FanOutSucceeded(at(9), "a"), "FanOutSucceeded for job 'a', which is pending"),
    (ONE_RUNS, ev.JobFailed(at(9), "a", 0, ERROR), "JobFailed for job 'a' while item 0 is running"),
    (ONE_RUNS, ev.JobCancelled(at(9), "a", "r"), "JobCancelled for job 'a' while item 0 is running"),
]


@pytest.mark.parametrize(("before", "event", "message"), REFUSED, ids=[message for _, _, message in REFUSED])
def test_refused(before: tuple[ev.Event, ...], event: ev.Event, message: str) -> None:
    """What can't follow is refused, saying what and why."""
    fold = running(*before)
    with pytest.raises(IllegalTransition) as caught:
        fold.apply(event)
    assert message == str(caught.value)


@pytest.mark.parametrize(("before", "event", "message"), REFUSED, ids=[message for _, _, message in REFUSED])
def test_refused_changes_nothing(before: tuple[ev.Event, ...], event: ev.Event, message: str) -> None:
    """A refused event leaves every attribute of the fold as it was."""
    fold = running(*before)
    picture = copy.deepcopy(vars(fold))
    with pytest.raises(IllegalTransition):
        fold.apply(event)
    assert picture == vars(fold)


@pytest.mark.parametrize("event", [CLAIMED, STARTED, start(3), ev.Unknown(at(1), "Later", {})])
def test_nothing_comes_before_the_creation(event: ev.Event) -> None:
    """The first event of a history is the session's creation."""
    with pytest.raises(IllegalTransition) as caught:
        fold_of(event)
    assert f"{type(event).__name__} before the session was created" == str(caught.value)


def test_no_job_starts_before_its_session() -> None:
    """A job can't start while the session is only created."""
    with pytest.raises(IllegalTransition) as caught:
        fold_of(CREATED, CLAIMED, start(3))
    assert "JobStarted in a session that is created" == str(caught.value)
