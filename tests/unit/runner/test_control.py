"""Who may take a session over, and how those who ask wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

import bunsui
from bunsui.engine import events as ev
from bunsui.errors import StateError
from bunsui.ports.store import Append, Commit, Document
from bunsui.runner.driving.requests import Request
from bunsui.runner.handle import Session
from bunsui.stores.memory import MemoryStore
from bunsui.stores.records import body_of, encode_event
from bunsui.stores.sessions import DEFINITION

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def opened() -> threading.Event:
    return threading.Event()


@pytest.fixture
def runner(store: MemoryStore, opened: threading.Event) -> Iterator[bunsui.Runner]:
    with bunsui.Runner(store, autoload_plugins=False) as made:
        yield made
        opened.set()


@pytest.fixture
def session(runner: bunsui.Runner, opened: threading.Event) -> Session:
    """A session whose job runs until it may end."""

    def gate() -> None:
        assert opened.wait(30)

    return runner.start(bunsui.Pipeline(name="p", jobs=[bunsui.Job.from_callable(gate, id="x")]))


def claimed_by_another(store: MemoryStore, session: Session, *more: ev.Event) -> None:
    """Appends the claim of a runner elsewhere, the second of the session."""
    facts = [ev.RunnerClaimed(datetime.now(UTC), "other", 2), *more]
    position = len(list(store.read(session.id))) + 1
    commit = Commit(position, "foreign", body_of(map(encode_event, facts)))
    assert store.append([Append(session.id, commit)])[0].ok


class TestTakeOver:
    """`Control.take_over`."""

    def test_death_is_told_of_one_claim(self, store: MemoryStore, session: Session) -> None:
        """Whoever has claimed the session since is not taken for dead, too."""
        claimed_by_another(store, session)
        request = Request("r", session.id, "pause", 1)
        with (
            bunsui.Runner(store, autoload_plugins=False) as late,
            pytest.raises(StateError, match="was driven on by another runner just now"),
        ):
            late._control.take_over(session.id, request, orphaned_at=1)
        assert 2 == max(e.epoch for e in session.events() if isinstance(e, ev.RunnerClaimed))


class TestAsking:
    """`Session.pause` and `Session.cancel`, step by step."""

    def test_a_runner_that_has_not_noticed_its_loss_is_waited_for(
        self, store: MemoryStore, session: Session
    ) -> None:
        """Nobody holds the session, and its former runner can't take it over yet: no busy waiting."""
        claimed_by_another(store, session, ev.RunnerReleased(datetime.now(UTC), 2))
        steps = session._asking("pause", None)

        assert next(steps) > 0
        steps.close()


class Counting(MemoryStore):
    """Counts how often a definition is read."""

    def __init__(self) -> None:
        super().__init__()
        self.definitions = 0

    def get(self, kind: str, key: str) -> Document | None:
        self.definitions += kind == DEFINITION
        return super().get(kind, key)


class TestDefinitions:
    """What a Runner knows of the definitions of sessions."""

    def test_a_resume_reads_the_definition_once(self) -> None:
        """The handle and the driver share it."""
        store = Counting()
        x = {"id": "x", "type": "custom", "command": ["sleep", "0.3"]}
        y = {"id": "y", "type": "custom", "command": ["true"], "depends_on": ["x"]}
        with bunsui.Runner(store, autoload_plugins=False) as first:
            session = first.start(bunsui.Pipeline.from_dict({"version": "1.0", "name": "p", "jobs": [x, y]}))
            session.pause()
            assert "paused" == session.wait()
        with bunsui.Runner(store, autoload_plugins=False) as second:
            assert "succeeded" == second.resume(session.id).status
        assert 1 == store.definitions

    def test_callables_stay_known_whoever_has_read_the_definition(self) -> None:
        """A definition that was read has none: it takes nobody's place."""
        store = Counting()
        pipeline = bunsui.Pipeline(name="p", jobs=[bunsui.Job.from_callable(lambda: 1, id="x")])
        with bunsui.Runner(store, autoload_plugins=False) as runner:
            runner.start(pipeline).wait()
            for known in runner.sessions():
                read = runner.session(known.session_id)
                assert {"x": 1} == runner.rerun(read.id, "all").outputs


class TestRepr:
    """What a session shows at the end of a cell."""

    def test_it_says_how_the_session_ended(self) -> None:
        """Without reading the store: who started it knows, and so does who has looked."""

        def fail() -> None:
            raise ValueError("no")

        pipeline = bunsui.Pipeline(name="p", jobs=[bunsui.Job.from_callable(fail, id="x")])
        with bunsui.Runner("memory://", autoload_plugins=False) as runner:
            session = runner.run(pipeline)
            other = runner.session(session.id)
            assert f"<Session {session.id} of 'p': failed>" == repr(session)
            assert f"<Session {session.id} of 'p'>" == repr(other)
            assert "failed" == other.status
            assert f"<Session {session.id} of 'p': failed>" == repr(other)

    def test_it_says_nothing_of_one_that_goes_on(self, session: Session) -> None:
        """What is known of it may not be true any more."""
        assert "running" == session.status
        assert f"<Session {session.id} of 'p'>" == repr(session)
