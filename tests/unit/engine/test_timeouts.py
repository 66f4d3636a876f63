"""A pipeline's timeout: the time that counts for it, and what it does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bunsui.engine import events as ev
from bunsui.engine.actions import Record, Recover, Stop
from bunsui.engine.decide import Machine
from bunsui.engine.fold import Fold
from bunsui.engine.reasons import TIMEOUT_REASON
from bunsui.model.pipeline import Job, RetryPolicy, checked
from bunsui.model.session import Failure

T0 = datetime(2026, 1, 1, tzinfo=UTC)
ERROR = Failure("E", "m")


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


# The time that counts


def created() -> ev.Event:
    return ev.SessionCreated(at(0), session_id="s", pipeline="p", digest="d", parameters={})


def claimed(second: float, epoch: int = 1) -> ev.Event:
    return ev.RunnerClaimed(at(second), "r", epoch)


def a_fact(second: float) -> ev.Event:
    return ev.Unknown(at(second), "Later", {})


def paused(second: float) -> ev.Event:
    return ev.SessionPaused(at(second), "user")


#: A session that started at 2, and a fact at 10.
RUN = (created(), claimed(1), ev.SessionStarted(at(2)), a_fact(10))

COUNTED = {
    "nothing before the start": ((created(), claimed(1)), 0.0),
    "not the wait for a runner": ((created(), claimed(50), ev.SessionStarted(at(51)), paused(60)), 9.0),
    "until a crash, not until the next runner": ((*RUN, claimed(100, 2)), 8.0),
    "a crash of a runner that did nothing": ((*RUN, claimed(100, 2), claimed(200, 3)), 8.0),
    "from the claim after a crash on": ((*RUN, claimed(100, 2), a_fact(105), claimed(200, 3)), 13.0),
    "until a release": ((*RUN, ev.RunnerReleased(at(12), 1), claimed(100, 2)), 10.0),
    "until a pause": ((*RUN, paused(13)), 11.0),
    "while a pause waits for running jobs": ((*RUN, ev.PauseRequested(at(11), "q"), paused(30)), 28.0),
    "not the pause": ((*RUN, paused(13), ev.SessionResumed(at(60)), paused(65)), 16.0),
    "not a claim within a pause": (
        (*RUN, paused(13), ev.RunnerReleased(at(13), 1), claimed(50, 2), a_fact(55), claimed(70, 3)),
        11.0,
    ),
    "a resumption by a new runner": (
        (
            *(*RUN, paused(13), ev.RunnerReleased(at(13), 1), claimed(50, 2)),
            *(ev.SessionResumed(at(51)), a_fact(58), claimed(70, 3)),
        ),
        18.0,
    ),
    "fractions of a second": ((created(), claimed(1), ev.SessionStarted(at(1.25)), paused(2)), 0.75),
}


@pytest.mark.parametrize(("events", "seconds"), COUNTED.values(), ids=COUNTED)
def test_only_time_that_was_driven_and_not_paused_counts(
    events: tuple[ev.Event, ...], seconds: float
) -> None:
    """What counts is the time from the start, a claim or a resumption to the last fact before it rests."""
    fold = Fold(["a"])
    for event in events:
        fold.apply(event)
    assert seconds == fold.active


# What it does


def machine_after(*events: ev.Event, **fields: Any) -> Machine:
    """A session of job a, which may retry, and job b behind it, after its start and `events`."""
    jobs = [
        Job(id="a", type="custom", retry=RetryPolicy(max_attempts=3)),
        Job(id="b", type="custom", depends_on=["a"]),
    ]
    machine = Machine(checked(name="p", jobs=jobs, timeout=60, **fields))
    for event in (created(), claimed(0), ev.SessionStarted(T0), *events):
        machine.handle(event)
    return machine


A_RUNS = ev.JobStarted(T0, "a", 1, "key")
A_DONE = ev.JobSucceeded(T0, "a", 1)
OVER = ev.TimeoutReached(T0)
B_STOPPED = ev.JobCancelled(T0, "b", TIMEOUT_REASON)


def test_it_stops_what_runs_then_gives_up_what_waits() -> None:
    """The running attempt is told to stop once, and what has not started is cancelled with the reason."""
    machine = machine_after(A_RUNS, OVER)
    assert [Stop("a", 1)] == machine.decide(T0, 9)
    assert [Record(B_STOPPED)] == machine.decide(T0, 9)


def test_it_waits_for_what_runs() -> None:
    """The session ends only when the work that was told to stop has."""
    machine = machine_after(A_RUNS, OVER, B_STOPPED)
    machine.decide(T0, 9)
    assert [] == machine.decide(T0, 9)


def test_the_session_then_has_timed_out() -> None:
    """Once all jobs have ended, that is how the session ends."""
    machine = machine_after(A_RUNS, OVER, B_STOPPED, ev.JobCancelled(T0, "a", TIMEOUT_REASON))
    assert [Record(ev.SessionTimedOut(T0))] == machine.decide(T0, 9)


def test_a_job_that_succeeds_all_the_same_does_not_save_the_session() -> None:
    """The session has timed out although all that ran succeeded."""
    machine = machine_after(A_RUNS, OVER, A_DONE, B_STOPPED)
    assert [Record(ev.SessionTimedOut(T0))] == machine.decide(T0, 9)


def test_a_job_that_failed_does_not_change_how_it_ends() -> None:
    """The timeout says more than the failure."""
    machine = machine_after(A_RUNS, ev.JobFailed(T0, "a", 1, ERROR), OVER, B_STOPPED)
    assert [Record(ev.SessionTimedOut(T0))] == machine.decide(T0, 9)


def test_what_succeeds_after_it_starts_nothing() -> None:
    """A job whose last obstacle goes away is cancelled all the same."""
    machine = machine_after(A_RUNS, OVER, A_DONE)
    assert [Record(B_STOPPED)] == machine.decide(T0, 9)


def test_no_attempt_follows_after_it() -> None:
    """A failed attempt is the last one, whatever the policy says."""
    assert machine_after(A_RUNS, OVER).retry_policy("a", 1, ERROR) is None


def test_it_gives_up_a_wait() -> None:
    """A job that waits for another attempt is cancelled, and the end of its wait starts nothing."""
    machine = machine_after(A_RUNS, ev.AttemptFailed(T0, "a", 1, ERROR, 9.0), OVER)
    machine.retry_due("a")
    assert [Record(ev.JobCancelled(T0, "a", TIMEOUT_REASON)), Record(B_STOPPED)] == machine.decide(T0, 9)


def test_a_crash_after_it() -> None:
    """The next runner asks what became of what ran, and gives it up."""
    machine = machine_after(A_RUNS, OVER, B_STOPPED, claimed(0, 2))
    assert [Recover("a", 1)] == machine.decide(T0, 9)
    machine.handle(ev.AttemptLost(T0, "a", 1))
    assert [Record(ev.JobCancelled(T0, "a", TIMEOUT_REASON))] == machine.decide(T0, 9)


def test_a_crash_before_its_work_was_told_to_stop() -> None:
    """Where the new runner finds the work still running, it is told."""
    machine = machine_after(A_RUNS, OVER, claimed(0, 2))
    machine._under_way._to_recover.clear()
    assert [Stop("a", 1)] == machine.decide(T0, 9)


def test_it_wins_over_a_pause() -> None:
    """A session that was about to pause ends instead."""
    machine = machine_after(A_RUNS, ev.PauseRequested(T0, "q"), OVER, A_DONE)
    assert [Record(B_STOPPED)] == machine.decide(T0, 9)
    machine.handle(B_STOPPED)
    assert [Record(ev.SessionTimedOut(T0))] == machine.decide(T0, 9)


@pytest.mark.parametrize(
    ("stops", "end"),
    [
        ((OVER, ev.CancelRequested(T0, "q")), ev.SessionTimedOut(T0)),
        ((ev.CancelRequested(T0, "q"), OVER), ev.SessionCancelled(T0)),
        ((OVER, ev.CancelRequested(T0, "q"), OVER), ev.SessionTimedOut(T0)),
    ],
    ids=["timeout first", "cancel first", "twice"],
)
def test_what_stopped_the_session_first_says_how_it_ends(stops: tuple[ev.Event, ...], end: ev.Event) -> None:
    """A timeout after a request to cancel, or the other way round, comes too late."""
    machine = machine_after(*stops, ev.JobCancelled(T0, "a", "r"), ev.JobCancelled(T0, "b", "r"))
    assert [Record(end)] == machine.decide(T0, 9)


def test_a_timeout_after_the_last_job() -> None:
    """It comes in time as long as the session has not ended."""
    machine = machine_after(
        A_RUNS, A_DONE, ev.JobStarted(T0, "b", 1, "key"), ev.JobSucceeded(T0, "b", 1), OVER
    )
    assert [Record(ev.SessionTimedOut(T0))] == machine.decide(T0, 9)


@pytest.mark.parametrize(
    ("stops", "reason"),
    [((), None), ((OVER,), TIMEOUT_REASON), ((ev.CancelRequested(T0, "q", "enough"),), "enough")],
    ids=["none", "timeout", "cancel"],
)
def test_the_reason_why_work_is_stopped(stops: tuple[ev.Event, ...], reason: str | None) -> None:
    """Whoever records that work was stopped can say why."""
    assert reason == machine_after(A_RUNS, *stops).stop_reason
