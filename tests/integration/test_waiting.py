"""Who waits for a session, or asks something of it, leaves the store in peace."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest

import bunsui
from bunsui.engine import events as ev
from bunsui.ports.store import Append, Commit, Document, Put
from bunsui.runner.driving.tempo import TICK
from bunsui.runner.sessions import index
from bunsui.runner.waiting import POLL, pauses
from bunsui.stores.memory import MemoryStore
from bunsui.stores.records import body_of, encode_event
from bunsui.stores.sessions import DEFINITION

AT = datetime(2026, 1, 1, tzinfo=UTC)
SESSION = "aaaabbbbccccdddd"
LEASE = 1.0


class Counting(MemoryStore):
    """Counts the looks at a history, and at a document."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: Counter[str] = Counter()
        #: How often each commit, by its position, was read.
        self.read_at: Counter[int] = Counter()

    def read(self, history: str, after: int = 0) -> Iterator[Commit]:
        self.looks["read"] += 1
        for commit in super().read(history, after):
            self.read_at[commit.position] += 1
            yield commit

    def get(self, kind: str, key: str) -> Document | None:
        self.looks[kind] += 1
        return super().get(kind, key)


def single(function: Any) -> bunsui.Pipeline:
    return bunsui.Pipeline(name="single", jobs=[bunsui.Job.from_callable(function, id="x")])


@pytest.fixture
def store() -> Counting:
    """A store with a session whose runner, on another host, is never heard of again."""
    store = Counting()
    pipeline = single(len)
    store.put(DEFINITION, pipeline.digest, pipeline.to_dict())
    events = [
        ev.SessionCreated(AT, SESSION, pipeline.name, pipeline.digest, {}),
        ev.RunnerClaimed(AT, "gone", 1, {"host": "elsewhere", "boot": "b", "pid": 1, "started": 1}, LEASE),
        ev.SessionStarted(AT),
    ]
    for position, commit in enumerate((events[:1], events[1:]), start=1):
        body = body_of(map(encode_event, commit))
        store.append([Append(SESSION, Commit(position, f"c{position}", body), Put(index.KIND, SESSION, {}))])
    return store


def test_pauses_grow_to_a_longest() -> None:
    """Who waits for long looks twice a second."""
    assert [0.1, 0.15, 0.225, 0.3375, 0.5, 0.5] == [pytest.approx(pause) for pause in islice(pauses(POLL), 6)]


def test_waiting_for_a_session_of_another_runner(store: Counting) -> None:
    """In a second, its history is looked at a few times."""
    with bunsui.Runner(store, autoload_plugins=False) as runner:
        session = runner.session(SESSION)
        store.looks.clear()
        with pytest.raises(TimeoutError):
            session.wait(timeout=1.0)
    assert 1 <= store.looks["read"] <= 8


def test_asking_a_runner_that_does_not_answer(store: Counting) -> None:
    """Its heartbeat is looked at a few times, until it counts as dead and the asker does it himself."""
    with bunsui.Runner(store, autoload_plugins=False) as runner:
        session = runner.session(SESSION)
        session.cancel()
        assert "cancelled" == session.wait(30)
    assert 2 <= store.looks["runner"] <= 20


def test_asking_leaves_nothing_behind() -> None:
    """A runner that only asks has no thread that would take a message out, so it gets none."""
    store, opened = MemoryStore(), threading.Event()
    with (
        bunsui.Runner(store, autoload_plugins=False) as driving,
        bunsui.Runner(store, autoload_plugins=False) as asking,
    ):
        session = driving.start(single(opened.wait))
        asking.session(session.id).pause()
        assert [] == list(asking._control.parts.driver._mailbox.take(0.0))
        opened.set()
        assert session.wait(30).is_resting


def test_a_turn_in_between_does_not_put_off_the_look_for_requests() -> None:
    """The driver wakes when its next look is due, however shortly before that it made another turn."""
    opened = threading.Event()
    with bunsui.Runner("memory://", autoload_plugins=False) as runner:
        session = runner.start(single(opened.wait))
        driver = runner._control.parts.driver
        deadline = time.monotonic() + 30
        while not 0.0 < (pause := driver._pause() or 0.0) < TICK and time.monotonic() < deadline:
            time.sleep(0.001)
        opened.set()
        session.wait(30)
        assert 0.0 < pause < TICK  # What is left of it.


def test_a_resume_reads_the_history_once(store: Counting) -> None:
    """But for its creation: a long one takes seconds to fold."""
    with bunsui.Runner(store, autoload_plugins=False) as runner:
        session = runner.session(SESSION)
        store.read_at.clear()
        session.resume()
        assert 1 == store.read_at[2]
        assert "failed" == session.wait(30)  # Its job calls `len` without anything.
