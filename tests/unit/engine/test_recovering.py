"""What is decided about attempts whose runner is gone, and about sessions that nobody survives."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bunsui.engine import events as ev
from bunsui.engine.actions import Record, Recover, Start, Stop
from bunsui.engine.decide import Machine
from bunsui.engine.resting import MAX_DEATHS
from bunsui.model.json import NULL, Json
from bunsui.model.pipeline import Job, Pipeline, checked
from bunsui.model.session import Failure
from bunsui.model.status import JobStatus, SessionStatus

T0 = datetime(2026, 1, 1, tzinfo=UTC)
ERROR = Failure("E", "m")


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


def test_an_attempt_is_asked_about_once() -> None:
    """After a claim each attempt that ran is asked about, once, and counts as running until the answer."""
    machine = machine_after(pipeline_of("a", "b"), started("a"), ev.RunnerClaimed(T0, "r", 2))
    assert [Recover("a", 1)] == machine.decide(T0, 1)
    assert [Start("b", 1)] == machine.decide(T0, 1)
    machine.handle(ev.PauseRequested(T0, "q"))
    assert [] == machine.decide(T0, 1)


def test_work_that_is_found_goes_on() -> None:
    """An attempt that was submitted, or found at its service, runs as before, under its handle."""
    handle = Json.of({"arn": "x"})
    machine = machine_after(
        pipeline_of("a"), started("a"), ev.RunnerClaimed(T0, "r", 2), ev.JobSubmitted(T0, "a", 1, handle)
    )
    machine.decide(T0, 1)
    assert [] == machine.decide(T0, 1)
    assert [handle] == [attempt.handle for attempt in machine.state.jobs["a"].attempts]
    machine.handle(ev.JobSucceeded(T0, "a", 1, NULL))
    assert [Record(ev.SessionSucceeded(T0))] == machine.decide(T0, 1)
    assert [handle] == [attempt.handle for attempt in machine.state.jobs["a"].attempts]


def test_an_unknown_attempt_lets_the_rest_end_then_pauses() -> None:
    """What runs may end, nothing starts, and the session pauses, saying of which job it does not know."""
    machine = machine_after(
        pipeline_of("a", "b", "c"), started("a"), started("b"), ev.JobUnknown(T0, "a", 1, "gone")
    )
    assert [] == machine.decide(T0, 9)
    machine.handle(ev.JobSucceeded(T0, "b", 1))
    text = "it can't be told what became of 'a'"
    assert [Record(ev.SessionPaused(T0, "unknown-job", text))] == machine.decide(T0, 9)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (ev.JobSucceeded(T0, "a", 1), JobStatus.SUCCEEDED),
        (ev.JobFailed(T0, "a", 1, ERROR), JobStatus.FAILED),
        (ev.AttemptLost(T0, "a", 1), JobStatus.PENDING),
    ],
)
def test_somebody_says_what_became_of_it(said: ev.Event, status: JobStatus) -> None:
    """A resumed session goes on once it was said: it succeeded, it failed, or it runs again."""
    machine = machine_after(
        pipeline_of("a"),
        started("a"),
        ev.JobUnknown(T0, "a", 1, "gone"),
        ev.SessionPaused(T0, "unknown-job"),
        ev.SessionResumed(T0),
        said,
    )
    assert (status, {}) == (machine.state.jobs["a"].status, machine.unknown)
    (action,) = machine.decide(T0, 1)
    assert Start("a", 1) == action if status is JobStatus.PENDING else isinstance(action, Record)


def test_a_resumed_session_of_which_nothing_was_said_pauses_again() -> None:
    """Without an answer nothing goes on."""
    machine = machine_after(
        pipeline_of("a"),
        started("a"),
        ev.JobUnknown(T0, "a", 1, "gone"),
        ev.SessionPaused(T0, "unknown-job"),
        ev.SessionResumed(T0),
    )
    (action,) = machine.decide(T0, 1)
    assert "unknown-job" == action.event.reason


def test_a_paused_session_with_an_unknown_job_can_be_cancelled() -> None:
    """It is given up, with a reason that says that nobody knows; an item and its job likewise."""
    machine = machine_after(
        pipeline_of("a", for_each="${n}"),
        ev.FanOutStarted(T0, "a", 3),
        *(ev.ItemStarted(T0, "a", item, 1, "key") for item in range(3)),
        ev.ItemSucceeded(T0, "a", 0, 1),
        ev.ItemFailed(T0, "a", 1, 1, ERROR),
        ev.ItemUnknown(T0, "a", 2, 1, "gone"),
        ev.SessionPaused(T0, "unknown-job"),
        ev.CancelRequested(T0, "q", "enough"),
    )
    done = []
    while actions := machine.decide(T0, 1):
        for action in actions:
            machine.handle(action.event)
            done.append(action.event)
    reason = "enough; what became of attempt 1 is not known"
    assert ev.ItemCancelled(T0, "a", 2, reason) == done[0]
    assert [ev.JobFailed, ev.SessionCancelled] == [type(event) for event in done[1:]]


def test_an_attempt_that_turns_out_unknown_after_a_cancellation_is_given_up() -> None:
    """Where the session is to end anyway, nobody is asked."""
    machine = machine_after(
        pipeline_of("a"),
        started("a"),
        ev.CancelRequested(T0, "q"),
        ev.RunnerClaimed(T0, "r", 2),
    )
    assert [Recover("a", 1)] == machine.decide(T0, 1)
    assert [Stop("a", 1)] == machine.decide(T0, 1)
    machine.handle(ev.JobUnknown(T0, "a", 1, "gone"))
    reason = "the session was cancelled; what became of attempt 1 is not known"
    assert [Record(ev.JobCancelled(T0, "a", reason))] == machine.decide(T0, 1)


def test_what_is_said_of_an_attempt_that_was_to_be_given_up_counts() -> None:
    """A runner died after the request to cancel, before what follows; the next one was told the outcome."""
    facts = [
        started("a"),
        ev.RunnerClaimed(T0, "r", 2),
        ev.JobUnknown(T0, "a", 1, "gone"),
        ev.CancelRequested(T0, "q"),
        ev.RunnerClaimed(T0, "r", 3),
        ev.JobSucceeded(T0, "a", 1),
    ]
    machine = machine_after(pipeline_of("a"), *facts)
    assert [Record(ev.SessionCancelled(T0))] == machine.decide(T0, 1)


def test_a_pause_can_be_taken_back() -> None:
    """A resumption that comes before the session rests takes the pause back."""
    machine = machine_after(pipeline_of("a"), ev.PauseRequested(T0, "q"), ev.ResumeRequested(T0, "r"))
    assert [Start("a", 1)] == machine.decide(T0, 1)
    assert {"q", "r"} == machine.state.requests


def test_a_user_may_say_why_the_session_pauses() -> None:
    """The reason stays a word for programs; what the user said is beside it."""
    machine = machine_after(pipeline_of("a"), ev.PauseRequested(T0, "q", "maintenance"))
    assert [Record(ev.SessionPaused(T0, "user", "maintenance"))] == machine.decide(T0, 1)


# Sessions that kill their runners


def deaths(count: int, first: int = 2) -> list[ev.Event]:
    """So many runners take the session over, start its job, and die."""
    events: list[ev.Event] = []
    for epoch in range(first, first + count):
        events += [ev.RunnerClaimed(T0, "r", epoch), ev.AttemptLost(T0, "a", 1), started("a")]
    return events


def crashing(count: int, *further: ev.Event) -> Machine:
    return machine_after(pipeline_of("a"), started("a"), *deaths(count), *further)


def test_a_session_that_killed_ten_runners_is_set_aside() -> None:
    """The tenth claim over a dead runner starts nothing any more: the session pauses, and says why."""
    machine = crashing(MAX_DEATHS - 1, ev.RunnerClaimed(T0, "r", 11))
    assert [Recover("a", 1)] == machine.decide(T0, 1)
    machine.handle(ev.AttemptLost(T0, "a", 1))
    text = "10 runners in a row died, and no job came to its end; when the last one did, 'a' ran"
    assert [Record(ev.SessionPaused(T0, "crash-loop", text))] == machine.decide(T0, 1)


def test_one_death_less_goes_on() -> None:
    """The ninth dead runner is followed by another one that starts the job."""
    machine = crashing(MAX_DEATHS - 2, ev.RunnerClaimed(T0, "r", 10), ev.AttemptLost(T0, "a", 1))
    assert [Start("a", 1)] == machine.decide(T0, 1)


@pytest.mark.parametrize(
    "progress",
    [
        [ev.AttemptFailed(T0, "a", 1, ERROR, 0.0), ev.JobStarted(T0, "a", 2, "key")],
        [ev.SessionPaused(T0, "crash-loop"), ev.SessionResumed(T0)],
    ],
    ids=["an attempt ended", "somebody resumed it"],
)
def test_progress_counts_anew(progress: list[ev.Event]) -> None:
    """Where something came of it, or somebody decided to try again, the deaths count from the start."""
    events = deaths(MAX_DEATHS)
    if isinstance(progress[0], ev.SessionPaused):
        events.append(ev.AttemptLost(T0, "a", 1))
    machine = machine_after(pipeline_of("a"), started("a"), *events, *progress)
    assert 0 == machine.state.deaths
    assert SessionStatus.RUNNING is machine.state.status


def test_a_runner_that_gave_the_session_back_did_not_die() -> None:
    """Clean shutdowns are not counted."""
    events: list[ev.Event] = []
    for epoch in range(1, 30):
        events += [ev.RunnerReleased(T0, epoch), ev.RunnerClaimed(T0, "r", epoch + 1)]
    machine = machine_after(pipeline_of("a"), *events)
    assert [Start("a", 1)] == machine.decide(T0, 1)


def test_an_item_that_ends_is_progress() -> None:
    """A fan-out that gets on survives any number of runners."""
    machine = machine_after(pipeline_of("a", for_each="${n}"), ev.FanOutStarted(T0, "a", 30))
    for item in range(30):
        for event in (
            ev.ItemStarted(T0, "a", item, 1, "key"),
            ev.RunnerClaimed(T0, "r", item + 2),
            ev.ItemSucceeded(T0, "a", item, 1),
        ):
            machine.handle(event)
    assert 0 == machine.state.deaths
