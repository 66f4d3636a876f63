"""The tables, exhaustively."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bunsui.engine import events as ev
from bunsui.engine.transitions import (
    ITEM,
    JOB,
    SESSION,
    IllegalTransition,
    next_item_status,
    next_job_status,
    next_session_status,
)
from bunsui.model.json import NULL
from bunsui.model.session import Failure
from bunsui.model.status import JobStatus as J
from bunsui.model.status import SessionStatus as S

AT = datetime(2026, 1, 1, tzinfo=UTC)
ERROR = Failure("E", "m")
OPEN = (S.CREATED, S.RUNNING, S.PAUSED)
NOT_ENDED = (J.PENDING, J.RUNNING, J.RETRYING, J.UNKNOWN)

#: Every session event, and where it leads from each status that it may come in; by hand, from the design.
SESSION_EVENTS: list[tuple[ev.Event, dict[S, S]]] = [
    (ev.SessionCreated(AT, session_id="s", pipeline="p", digest="d", parameters={}), {}),
    (ev.RunnerClaimed(AT, "r", 1), {status: status for status in OPEN}),
    (ev.RunnerReleased(AT, 1), {status: status for status in S}),
    (ev.SessionStarted(AT), {S.CREATED: S.RUNNING}),
    (ev.PauseRequested(AT, "q"), {status: status for status in OPEN}),
    (ev.ResumeRequested(AT, "q"), {S.CREATED: S.CREATED, S.RUNNING: S.RUNNING}),
    (ev.CancelRequested(AT, "q"), {status: status for status in OPEN}),
    (ev.SessionPaused(AT, "user"), {S.RUNNING: S.PAUSED}),
    (ev.SessionResumed(AT), {S.PAUSED: S.RUNNING}),
    (ev.SessionSucceeded(AT), {S.RUNNING: S.SUCCEEDED}),
    (ev.SessionFailed(AT), {S.RUNNING: S.FAILED}),
    (ev.SessionCancelled(AT), dict.fromkeys(OPEN, S.CANCELLED)),
    (ev.TimeoutReached(AT), {S.RUNNING: S.RUNNING}),
    (ev.SessionTimedOut(AT), {S.RUNNING: S.TIMED_OUT}),
]

#: Likewise for jobs.
JOB_EVENTS: list[tuple[ev.JobEvent, dict[J, J]]] = [
    (ev.JobStarted(AT, "x", 1, "k"), {J.PENDING: J.RUNNING, J.RETRYING: J.RUNNING}),
    (ev.JobReused(AT, "x", "s"), {J.PENDING: J.SUCCEEDED}),
    (ev.ReuseFailed(AT, "x", "r"), {J.PENDING: J.PENDING}),
    (ev.JobSubmitted(AT, "x", 1, NULL), {J.RUNNING: J.RUNNING}),
    (ev.JobSucceeded(AT, "x", 1), dict.fromkeys((J.RUNNING, J.UNKNOWN), J.SUCCEEDED)),
    (ev.AttemptFailed(AT, "x", 1, ERROR, 1.0), {J.RUNNING: J.RETRYING}),
    (ev.AttemptLost(AT, "x", 1), dict.fromkeys((J.RUNNING, J.UNKNOWN), J.PENDING)),
    (ev.JobUnknown(AT, "x", 1, "r"), {J.RUNNING: J.UNKNOWN}),
    (ev.JobStalled(AT, "x", 1, "r", "m"), {J.RUNNING: J.RUNNING}),
    (ev.JobFailed(AT, "x", 1, ERROR), dict.fromkeys(NOT_ENDED, J.FAILED)),
    (ev.JobSkipped(AT, "x", "r"), {J.PENDING: J.SKIPPED}),
    (ev.JobCancelled(AT, "x", "r"), dict.fromkeys(NOT_ENDED, J.CANCELLED)),
    (ev.ConditionEvaluated(AT, "x", True), {J.PENDING: J.PENDING}),
    (ev.FanOutStarted(AT, "x", 3), {J.PENDING: J.RUNNING}),
    (ev.FanOutSucceeded(AT, "x"), {J.RUNNING: J.SUCCEEDED}),
]

#: Likewise for the items of a job.
ITEM_EVENTS: list[tuple[ev.ItemEvent, dict[J, J]]] = [
    (ev.ItemStarted(AT, "x", 2, 1, "k"), {J.PENDING: J.RUNNING, J.RETRYING: J.RUNNING}),
    (ev.ItemSubmitted(AT, "x", 2, 1, NULL), {J.RUNNING: J.RUNNING}),
    (ev.ItemSucceeded(AT, "x", 2, 1), dict.fromkeys((J.RUNNING, J.UNKNOWN), J.SUCCEEDED)),
    (ev.ItemAttemptFailed(AT, "x", 2, 1, ERROR, 1.0), {J.RUNNING: J.RETRYING}),
    (ev.ItemAttemptLost(AT, "x", 2, 1), dict.fromkeys((J.RUNNING, J.UNKNOWN), J.PENDING)),
    (ev.ItemUnknown(AT, "x", 2, 1, "r"), {J.RUNNING: J.UNKNOWN}),
    (ev.ItemStalled(AT, "x", 2, 1, "r", "m"), {J.RUNNING: J.RUNNING}),
    (ev.ItemFailed(AT, "x", 2, 1, ERROR), dict.fromkeys(NOT_ENDED, J.FAILED)),
    (ev.ItemCancelled(AT, "x", 2, "r"), dict.fromkeys((J.RUNNING, J.UNKNOWN), J.CANCELLED)),
]


def name(event: object) -> str:
    return type(event).__name__ if isinstance(event, ev.Event) else str(event)


@pytest.mark.parametrize(("event", "status"), [(e, s) for e, _ in SESSION_EVENTS for s in S], ids=name)
def test_session_table(event: ev.Event, status: S) -> None:
    """Every session event in every status leads where the design says, or is refused by name."""
    table = next(legal for candidate, legal in SESSION_EVENTS if candidate is event)
    if status in table:
        assert table[status] is next_session_status(event, status)
        return
    with pytest.raises(IllegalTransition) as caught:
        next_session_status(event, status)
    assert f"{type(event).__name__} in a session that is {status.value}" == str(caught.value)


@pytest.mark.parametrize(("event", "status"), [(e, s) for e, _ in JOB_EVENTS for s in J], ids=name)
def test_job_table(event: ev.JobEvent, status: J) -> None:
    """Every job event in every status leads where the design says, or is refused by name."""
    table = next(legal for candidate, legal in JOB_EVENTS if candidate is event)
    if status in table:
        assert table[status] is next_job_status(event, status)
        return
    with pytest.raises(IllegalTransition) as caught:
        next_job_status(event, status)
    assert f"{type(event).__name__} for job 'x', which is {status.value}" == str(caught.value)


@pytest.mark.parametrize(("event", "status"), [(e, s) for e, _ in ITEM_EVENTS for s in J], ids=name)
def test_item_table(event: ev.ItemEvent, status: J) -> None:
    """Every event of an item in every status leads where the design says, or is refused by name."""
    table = next(legal for candidate, legal in ITEM_EVENTS if candidate is event)
    if status in table:
        assert table[status] is next_item_status(event, status)
        return
    with pytest.raises(IllegalTransition) as caught:
        next_item_status(event, status)
    assert f"{type(event).__name__} for item 2 of job 'x', which is {status.value}" == str(caught.value)


def test_every_event_is_in_these_tests() -> None:
    """No event of the language is forgotten above."""
    tested = {type(event) for event, _ in (*SESSION_EVENTS, *JOB_EVENTS, *ITEM_EVENTS)}
    assert set(ev.EVENTS.values()) == tested


def test_the_tables_hold_no_other_entry() -> None:
    """The tables are exactly the entries that are tested above."""
    sessions = {(type(e), before): after for e, legal in SESSION_EVENTS for before, after in legal.items()}
    jobs = {(type(e), before): after for e, legal in JOB_EVENTS for before, after in legal.items()}
    items = {(type(e), before): after for e, legal in ITEM_EVENTS for before, after in legal.items()}
    assert (sessions, jobs, items) == (SESSION, JOB, ITEM)


def test_nothing_leaves_a_final_status() -> None:
    """No entry changes the status of what has ended."""
    entries = [*SESSION.items(), *JOB.items(), *ITEM.items()]
    assert [] == [(e, b) for (e, b), after in entries if b.is_terminal and after is not b]
