"""Declared outputs: when they are made, and how the session then ends."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bunsui.engine import events as ev
from bunsui.engine.actions import Conclude, Record
from bunsui.engine.decide import Machine
from bunsui.model.json import Json
from bunsui.model.pipeline import Job, checked
from bunsui.model.session import Failure

T0 = datetime(2026, 1, 1, tzinfo=UTC)
FATAL = Failure("E", "m", retryable=False)
STARTED = ev.JobStarted(T0, "a", 1, "key")
SUCCEEDED = (STARTED, ev.JobSucceeded(T0, "a", 1))
FAILED = (STARTED, ev.JobFailed(T0, "a", 1, FATAL))


def machine_after(*events: ev.Event, allow_failure: bool = False, **fields: Any) -> Machine:
    """A machine whose session has started, with outputs unless `fields` say otherwise."""
    job = Job(id="a", type="custom", allow_failure=allow_failure)
    machine = Machine(checked(name="p", jobs=[job], **{"outputs": {"rows": "${jobs.a.output}"}, **fields}))
    created = ev.SessionCreated(T0, session_id="s", pipeline="p", digest="d", parameters={})
    for event in (created, ev.RunnerClaimed(T0, "r", 1), ev.SessionStarted(T0), *events):
        machine.handle(event)
    return machine


def test_outputs_are_made_when_all_jobs_have_succeeded() -> None:
    """The session succeeds with them, not before."""
    assert [Conclude()] == machine_after(*SUCCEEDED).decide(T0, 9)


def test_outputs_are_not_made_while_a_job_runs() -> None:
    """They may name any job."""
    assert [] == machine_after(STARTED).decide(T0, 9)


def test_a_session_without_declared_outputs_succeeds_at_once() -> None:
    """There is nothing to make."""
    assert [Record(ev.SessionSucceeded(T0))] == machine_after(*SUCCEEDED, outputs={}).decide(T0, 9)


def test_a_session_that_failed_makes_no_outputs() -> None:
    """A failed session has none, and its own failure is what it ends with."""
    assert [Record(ev.SessionFailed(T0))] == machine_after(*FAILED).decide(T0, 9)


def test_an_allowed_failure_does_not_hinder_the_outputs() -> None:
    """The session treats it as success."""
    assert [Conclude()] == machine_after(*FAILED, allow_failure=True).decide(T0, 9)


def test_a_session_whose_jobs_were_skipped_makes_its_outputs() -> None:
    """It succeeds, with null for the output of the skipped job."""
    assert [Conclude()] == machine_after(ev.JobSkipped(T0, "a", "r")).decide(T0, 9)


@pytest.mark.parametrize(
    ("stop", "end"),
    [
        (ev.CancelRequested(T0, "q"), ev.SessionCancelled(T0)),
        (ev.TimeoutReached(T0), ev.SessionTimedOut(T0)),
    ],
    ids=["cancel", "timeout"],
)
def test_a_session_that_was_stopped_makes_no_outputs(stop: ev.Event, end: ev.Event) -> None:
    """Although its jobs have succeeded."""
    assert [Record(end)] == machine_after(STARTED, stop, ev.JobSucceeded(T0, "a", 1)).decide(T0, 9)


def test_outputs_are_asked_for_until_they_are_there() -> None:
    """An answer that was lost in a crash is asked for again."""
    assert [Conclude()] == machine_after(*SUCCEEDED, ev.RunnerClaimed(T0, "r2", 2)).decide(T0, 9)


def test_a_pause_does_not_keep_the_outputs_back() -> None:
    """A pause after the last job is too late."""
    assert [Conclude()] == machine_after(STARTED, ev.PauseRequested(T0, "q"), SUCCEEDED[1]).decide(T0, 9)


def test_outputs_take_no_room() -> None:
    """They are made by the driver itself."""
    assert [Conclude()] == machine_after(*SUCCEEDED).decide(T0, 0)


def test_the_session_ends_with_its_outputs() -> None:
    """Once they are there, nothing is left to do."""
    machine = machine_after(*SUCCEEDED, ev.SessionSucceeded(T0, Json.of({"rows": 1})))
    assert ([], {"rows": 1}) == (machine.decide(T0, 9), (machine.state.outputs or Json("")).value)


def test_outputs_that_can_not_be_made_fail_the_session() -> None:
    """It ends failed, with the error, although every job succeeded."""
    machine = machine_after(*SUCCEEDED, ev.SessionFailed(T0, FATAL))
    assert ([], FATAL) == (machine.decide(T0, 9), machine.state.error)
