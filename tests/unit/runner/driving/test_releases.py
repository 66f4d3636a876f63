"""Giving back the claims of sessions that were set aside, also while the store fails."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest

import bunsui
from bunsui.engine import events as ev
from bunsui.engine.decide import Machine
from bunsui.engine.fold import Fold
from bunsui.errors import StoreError
from bunsui.ports.store import Append, Appended, Commit
from bunsui.runner.driving.commits import Commits
from bunsui.runner.driving.live import Live
from bunsui.runner.driving.observers import Observers
from bunsui.runner.driving.releases import RARELY, Releases
from bunsui.runner.sessions import reading
from bunsui.stores.memory import MemoryStore
from bunsui.stores.records import body_of, encode_event

AT = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return AT

    def monotonic(self) -> float:
        return self.seconds


class Failing(MemoryStore):
    """Does or does not what it is asked, and may fail all the same."""

    #: None: works. "lost": an append fails and is not there. "late": it fails and is there.
    mood: str | None = None

    def append(self, appends: Any) -> list[Appended]:
        if self.mood != "lost":
            outcomes = super().append(appends)
            if self.mood is None:
                return outcomes
        return [Appended(error=StoreError("away"))] * len(appends)


class Rig:
    """A session of one runner, and the parts that give it back."""

    def __init__(self) -> None:
        self.clock, self.store = FakeClock(), Failing()
        self.commits = Commits(self.store, self.clock, Observers(bunsui.Plugins(autoload=False)), 10.0)
        self.releases = Releases(self.commits, self.store, self.clock)
        pipeline = bunsui.Pipeline(name="p", jobs=[bunsui.Job("x", "custom", {"command": ["x"]})])
        self.live = Live("s", pipeline, Machine(pipeline), 0, {}, 1)
        self.live.record(ev.SessionCreated(AT, "s", "p", pipeline.digest, {}))
        self.live.record(ev.RunnerClaimed(AT, "me", 1))

    def flush(self) -> None:
        """Commits what is recorded, as the driver does."""
        flushed = self.commits.flush([self.live])
        self.live.is_claimed = self.live.is_claimed or bool(flushed.durable)

    def state(self) -> Fold:
        """What the history says; it must not contradict itself."""
        state = Fold(["x"])
        for _, events in reading.history(self.store, "s"):
            for event in events:
                state.apply(event)
        return state

    def later(self) -> None:
        """Has the next try made."""
        assert self.releases.due < math.inf
        self.clock.seconds = self.releases.due
        self.releases.turn(self.clock.seconds)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_a_claim_is_given_back_at_once(rig: Rig) -> None:
    """And there is nothing left to do."""
    rig.flush()
    rig.releases.add(rig.live)
    assert (None, 1, math.inf) == (rig.state().claim, rig.state().epoch, rig.releases.due)


def test_it_is_tried_until_the_store_works(rig: Rig) -> None:
    """Ever more seldom, and never before its time."""
    rig.flush()
    rig.store.mood = "lost"
    rig.releases.add(rig.live)
    waits = []
    for _ in range(10):
        before = rig.clock.seconds
        rig.releases.turn(before)
        rig.later()
        waits.append(rig.clock.seconds - before)
    assert [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, RARELY] == waits[:7]
    assert {RARELY} == set(waits[6:])
    assert rig.state().claim is not None
    rig.store.mood = None
    rig.later()
    assert (None, math.inf) == (rig.state().claim, rig.releases.due)


def test_a_release_that_is_there_though_it_failed_is_not_written_again(rig: Rig) -> None:
    """Two releases of one claim would spoil the history."""
    rig.flush()
    rig.store.mood = "late"
    rig.releases.add(rig.live)
    rig.store.mood = None
    rig.later()
    assert (None, math.inf) == (rig.state().claim, rig.releases.due)


def test_commits_that_are_there_though_they_failed_come_before_it(rig: Rig) -> None:
    """The session was set aside while its last commit was in doubt."""
    rig.flush()
    rig.live.record(ev.SessionStarted(AT))
    rig.store.mood = "late"
    rig.flush()
    rig.store.mood = None
    rig.releases.add(rig.live)
    state = rig.state()
    assert (None, "running", math.inf) == (state.claim, state.status, rig.releases.due)


@pytest.mark.parametrize("mood", ["lost", "late"])
def test_a_claim_in_doubt(rig: Rig, mood: str) -> None:
    """One that is there is given back; for one that is not, nothing is written."""
    rig.store.mood = mood
    rig.flush()
    rig.store.mood = None
    rig.releases.add(rig.live)
    assert (None, math.inf) == (rig.state().claim, rig.releases.due)
    assert {"lost": 0, "late": 2}[mood] == len(list(rig.store.read("s")))


def test_the_claim_of_another_runner_stands(rig: Rig) -> None:
    """Who took the session over meanwhile is not disturbed."""
    rig.flush()
    rig.store.mood = "lost"
    rig.releases.add(rig.live)
    rig.store.mood = None
    claimed = encode_event(ev.RunnerClaimed(AT, "another", 2))
    assert rig.store.append([Append("s", Commit(2, "another", body_of([claimed])))])[0].ok
    rig.later()
    claim = rig.state().claim
    assert claim is not None
    assert ("another", math.inf) == (claim.runner, rig.releases.due)


def test_a_store_of_somebody_else_may_fail_as_it_likes(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver's thread goes on."""
    rig.flush()
    with monkeypatch.context() as patched:

        def read(session: str, after: int = 0) -> Any:
            raise RuntimeError("foreign")

        patched.setattr(rig.store, "read", read)
        rig.releases.add(rig.live)
    assert rig.state().claim is not None
    rig.later()
    assert rig.state().claim is None
