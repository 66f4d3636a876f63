"""Which sessions nobody drives, as a runner that looks for orphans sees them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from bunsui.engine import events as ev
from bunsui.engine.fold import Fold
from bunsui.local.identity import this_process
from bunsui.ports.store import Append, Commit
from bunsui.runner.sessions import index, orphans
from bunsui.runner.sessions.recovery import Watch
from bunsui.stores.memory import MemoryStore
from bunsui.stores.records import body_of, encode_event

AT = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = 30.0


class Clock:
    """Stands still until it is moved."""

    seconds = 0.0

    def now(self) -> datetime:
        return AT

    def monotonic(self) -> float:
        return self.seconds


class Slow(MemoryStore):
    """A store that takes a second for each history, at first."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.is_slow = True

    def read(self, history: str, after: int = 0) -> Iterator[Commit]:
        if self.is_slow:
            self.clock.seconds += 1
        return super().read(history, after)


class Looking:
    """As much of a runner's `Control` as looking for orphans needs."""

    def __init__(self, store: MemoryStore, clock: Clock) -> None:
        self.store = store
        self.clock = clock

    def live(self, session: str) -> None:
        del session

    def watch(self, session: str, position: int, held: ev.RunnerClaimed) -> Watch:
        return Watch(self.store, session, position, held, self.clock)


def held_elsewhere(store: MemoryStore, session: str) -> None:
    """A session that a runner on another machine has claimed."""
    process = {**this_process(), "host": "elsewhere", "boot": "another"}
    facts: list[ev.Event] = [
        ev.SessionCreated(AT, session, "p", "digest", {}),
        ev.RunnerClaimed(AT, "there", 1, process, LEASE),
    ]
    fold = Fold(())
    for fact in facts:
        fold.apply(fact)
    commit = Commit(1, f"{session}-1", body_of(map(encode_event, facts)))
    assert store.append([Append(session, commit, index.entry(fold))])[0].ok


def found(store: Slow, clock: Clock, *, beats: bool = False) -> list[str]:
    """The sessions that count as orphaned after all the waiting; meanwhile their runner beats, or not."""
    steps: Any = orphans._looking(Looking(store, clock), None)  # type: ignore[arg-type]
    while True:
        try:
            clock.seconds += next(steps)
        except StopIteration as ended:
            return sorted(session for _, session, _ in ended.value)
        store.is_slow = False
        if beats:
            store.put("runner", "there", {"beat": 1})


def test_all_sessions_of_a_silent_runner_are_found_however_long_looking_takes() -> None:
    """They are watched from one after the other on: the last one decides when the lease is over."""
    clock = Clock()
    store = Slow(clock)
    sessions = [f"s{i}" for i in range(5)]
    for session in sessions:
        held_elsewhere(store, session)
    assert sessions == found(store, clock)
    assert clock.seconds >= LEASE


def test_none_of_a_runner_that_beats_is_found() -> None:
    """A sign of life of the runner counts for all its sessions."""
    clock = Clock()
    store = Slow(clock)
    for session in ("s0", "s1"):
        held_elsewhere(store, session)
    assert [] == found(store, clock, beats=True)
    assert clock.seconds < LEASE
