"""Attempts that can't be followed, or begun, as something is missing: the session pauses."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bunsui.engine import events as ev
from bunsui.engine.actions import Record, Recover, Start, Stop
from bunsui.engine.decide import Machine
from bunsui.model.json import Json
from bunsui.model.pipeline import Job, Pipeline, checked
from bunsui.model.session import Failure
from bunsui.model.status import JobStatus, SessionStatus

T0 = datetime(2026, 1, 1, tzinfo=UTC)
REASON, MESSAGE = "aws-credentials", "there are none; log in"
PAUSED = ev.SessionPaused(T0, REASON, MESSAGE)
RESUMED = (PAUSED, ev.RunnerReleased(T0, 1), ev.RunnerClaimed(T0, "r", 2), ev.SessionResumed(T0))
HANDLE = Json("1")


def pipeline_of(*jobs: str, **fields: object) -> Pipeline:
    return checked(name="p", jobs=[Job(id=job, type="custom", **fields) for job in jobs])


def machine_after(pipeline: Pipeline, *events: ev.Event) -> Machine:
    machine = Machine(pipeline)
    first = [
        ev.SessionCreated(T0, session_id="s", pipeline="p", digest="d", parameters={}),
        ev.RunnerClaimed(T0, "r", 1),
        ev.SessionStarted(T0),
    ]
    for event in (*first, *events):
        machine.handle(event)
    return machine


def started(job: str) -> ev.JobStarted:
    return ev.JobStarted(T0, job, 1, "key")


def stalled(job: str, message: str = MESSAGE) -> ev.JobStalled:
    return ev.JobStalled(T0, job, 1, REASON, message)


def test_it_pauses_once_nothing_else_runs() -> None:
    """What can be followed ends first, nothing starts, and what can't be followed goes on running."""
    machine = machine_after(pipeline_of("a", "b", "c"), started("a"), started("b"), stalled("a"))
    assert [] == machine.decide(T0, 9)
    machine.handle(ev.JobSucceeded(T0, "b", 1))
    assert [Record(PAUSED)] == machine.decide(T0, 9)
    machine.handle(PAUSED)
    state = machine.state.snapshot(1)
    assert (SessionStatus.PAUSED, REASON, MESSAGE) == (
        state.status,
        state.paused_reason,
        state.paused_message,
    )
    assert JobStatus.RUNNING == state.jobs["a"].status
    assert [] == machine.decide(T0, 9)


def test_the_first_reason_is_told() -> None:
    """Whatever stalls after it, and also when it could be followed again, and has ended."""
    machine = machine_after(
        pipeline_of("a", "b"),
        *(started("a"), started("b"), stalled("a"), stalled("b", "another"), ev.JobSucceeded(T0, "a", 1)),
    )
    assert [Record(PAUSED)] == machine.decide(T0, 9)


def test_what_never_began_starts_again_under_its_number() -> None:
    """After the pause, and not before: with another one it would only stall again."""
    lost = (started("a"), stalled("a"), ev.AttemptLost(T0, "a", 1))
    machine = machine_after(pipeline_of("a"), *lost)
    assert [Record(PAUSED)] == machine.decide(T0, 9)
    machine = machine_after(pipeline_of("a"), *lost, *RESUMED)
    assert [Start("a", 1)] == machine.decide(T0, 9)


def test_after_a_resume_it_is_asked_for() -> None:
    """As all that ran under another claim; only then others start; if it stalls again, it pauses again."""
    machine = machine_after(
        pipeline_of("a", "b"), started("a"), ev.JobSubmitted(T0, "a", 1, HANDLE), stalled("a"), *RESUMED
    )
    assert [Recover("a", 1)] == machine.decide(T0, 9)
    assert [Start("b", 1)] == machine.decide(T0, 9)
    again = stalled("a", "still none")
    machine.handle(again)
    assert [Record(ev.SessionPaused(T0, REASON, "still none"))] == machine.decide(T0, 9)


def test_a_crash_forgets_that_it_stalled() -> None:
    """The next runner may have what this one lacked."""
    machine = machine_after(pipeline_of("a", "b"), started("a"), stalled("a"), ev.RunnerClaimed(T0, "r", 2))
    assert (set(), None) == (machine.stalled, machine.state.stall)
    assert [Recover("a", 1)] == machine.decide(T0, 9)
    assert [Start("b", 1)] == machine.decide(T0, 9)


def test_items_stall_likewise() -> None:
    """One item can't be followed: the others end, none starts, and the session pauses."""
    machine = machine_after(
        pipeline_of("a", for_each="${n}"),
        ev.FanOutStarted(T0, "a", 3),
        ev.ItemStarted(T0, "a", 0, 1, "key"),
        ev.ItemStarted(T0, "a", 1, 1, "key"),
        ev.ItemStalled(T0, "a", 0, 1, REASON, MESSAGE),
    )
    assert [] == machine.decide(T0, 9)
    machine.handle(ev.ItemSucceeded(T0, "a", 1, 1))
    assert [Record(PAUSED)] == machine.decide(T0, 9)
    for event in RESUMED:
        machine.handle(event)
    assert [Recover("a", 1, 0)] == machine.decide(T0, 9)
    assert [Start("a", 1, 2)] == machine.decide(T0, 9)


@pytest.mark.parametrize("stop", [ev.CancelRequested(T0, "q", "enough"), ev.TimeoutReached(T0)])
@pytest.mark.parametrize("is_first", [True, False])
def test_what_is_stopped_is_waited_for(stop: ev.Event, is_first: bool) -> None:
    """A session that is to end does so, and does not pause, whether it stalled before or after."""
    order = (stop, stalled("a")) if is_first else (stalled("a"), stop)
    machine = machine_after(pipeline_of("a"), started("a"), ev.PauseRequested(T0, "p"), *order)
    assert [Stop("a", 1)] == machine.decide(T0, 9)
    assert [] == machine.decide(T0, 9)


def test_nobody_asks_for_what_runs_in_a_paused_session() -> None:
    """A claim for a session that stays paused records nothing of it."""
    machine = machine_after(
        pipeline_of("a"), started("a"), stalled("a"), PAUSED, ev.RunnerClaimed(T0, "r", 2)
    )
    machine.handle(ev.PauseRequested(T0, "q"))
    assert [] == machine.decide(T0, 9)
    machine.handle(ev.SessionResumed(T0))
    assert [Recover("a", 1)] == machine.decide(T0, 9)


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ([ev.JobUnknown(T0, "b", 1, "gone"), stalled("a")], "unknown-job"),
        ([ev.PauseRequested(T0, "q"), stalled("a"), ev.JobSucceeded(T0, "b", 1)], REASON),
    ],
)
def test_which_reason_comes_first(before: list[ev.Event], reason: str) -> None:
    """What somebody has to say comes before what is missing, and that before a wish."""
    machine = machine_after(pipeline_of("a", "b"), started("a"), started("b"), *before)
    (action,) = machine.decide(T0, 9)
    assert reason == action.event.reason


def test_a_failure_that_stops_the_session_does_not_hide_it() -> None:
    """What is given up is given up; what runs is waited for, after the pause."""
    pipeline = checked(
        name="p", on_failure="stop", jobs=[Job(id=job, type="custom") for job in ("a", "b", "c")]
    )
    failed = ev.JobFailed(T0, "b", 1, Failure("E", "m"))
    machine = machine_after(pipeline, started("a"), started("b"), stalled("a"), failed)
    assert [Record(ev.JobCancelled(T0, "c", "job 'b' failed"))] == machine.decide(T0, 9)
    machine.handle(ev.JobCancelled(T0, "c", "job 'b' failed"))
    assert [Record(PAUSED)] == machine.decide(T0, 9)
