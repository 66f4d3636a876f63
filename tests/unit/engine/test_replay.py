"""From commits to a snapshot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bunsui.engine import events as ev
from bunsui.engine.replay import replay
from bunsui.engine.transitions import IllegalTransition
from bunsui.model.json import Json
from bunsui.model.session import Attempt, JobState, SessionState
from bunsui.model.status import JobStatus, SessionStatus


def at(seconds: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


CREATED = ev.SessionCreated(
    at(0), session_id="s", pipeline="p", digest="d", parameters={"x": 1}, tags={"team": "a"}
)
HISTORY: list[list[ev.Event]] = [
    [CREATED, ev.RunnerClaimed(at(1), "r", 1), ev.SessionStarted(at(2)), ev.JobStarted(at(3), "a", 1, "k")],
    [ev.JobSucceeded(at(4), "a", 1, Json.of([1])), ev.SessionSucceeded(at(5))],
]


def test_replay_of_a_whole_history() -> None:
    """The snapshot holds everything that the history says, and the number of its commits."""
    job = JobState(
        status=JobStatus.SUCCEEDED,
        attempts=(Attempt(1, at(3), at(4)),),
        started_at=at(3),
        finished_at=at(4),
        encoded_output=Json("[1]"),
    )
    assert SessionState(
        id="s",
        status=SessionStatus.SUCCEEDED,
        pipeline="p",
        parameters={"x": 1},
        tags={"team": "a"},
        jobs={"a": job},
        created_at=at(0),
        started_at=at(2),
        finished_at=at(5),
        epoch=1,
        position=2,
    ) == replay(["a"], HISTORY)


def test_replay_keeps_the_jobs_in_the_definitions_order() -> None:
    """The jobs of a snapshot come in the order that was given, not in that of their events."""
    assert ["b", "a"] == list(replay(["b", "a"], HISTORY[:1]).jobs)


def test_replay_of_nothing() -> None:
    """An empty history has no state."""
    with pytest.raises(IllegalTransition) as caught:
        replay(["a"], [])
    assert "an empty history has no state" == str(caught.value)


def test_replay_reads_each_commit_once() -> None:
    """Commits may come from iterators, such as a store's stream."""
    assert replay(["a"], HISTORY) == replay(iter(["a"]), (iter(commit) for commit in HISTORY))


def test_replay_of_damage() -> None:
    """A history that contradicts itself is refused."""
    with pytest.raises(IllegalTransition) as caught:
        replay(["a"], [*HISTORY, HISTORY[1]])
    assert "JobSucceeded in a session that is succeeded" == str(caught.value)
