"""Observers: what they are shown, and what they leave as it is."""

# ruff: noqa: S101 - asserting is what this file is for

from __future__ import annotations

import contextlib
import warnings
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from bunsui.engine.events import Event
from bunsui.plugins.registry import Plugins
from bunsui.testing.observer.events import AT, KINDS, sample
from bunsui.testing.observer.histories import HISTORIES, PATIENCE, run

if TYPE_CHECKING:
    from bunsui.runner.handle import Session

SESSION = "abcdefghijklmnop"


def door(observer: Any) -> Callable[[str, Event], Any]:
    """What shows the observer an event of a session, as a runner does; what it raises comes out."""
    found = Plugins([observer], autoload=False).observers
    return found[0].call if found else _nobody


def _nobody(session_id: str, event: Event) -> None:
    """Stands for the hook of a plugin that has none, of which one test tells."""


def _told(session: Session, events: list[Event]) -> Any:
    """What a session came to, without what differs each time: times, ids and keys."""
    state = session.state
    jobs = {
        name: (job.status, job.attempt_count, job.error, job.reason, job.output)
        for name, job in state.jobs.items()
    }
    return state.status, jobs, sorted(type(event).__name__ for event in events)


class Watching:
    """Holds for every observer; mixed into `ObserverSuite`."""

    def test_it_has_the_hook(self, observer: Any) -> None:
        """It registers as a plugin, with the hook `bunsui_session_event`, which is given what it names."""
        assert 1 == len(Plugins([observer], autoload=False).observers)

    def test_its_hook_runs_when_it_is_called(self, observer: Any) -> None:
        """It is a plain function: nobody runs, or awaits, what is returned by one with a ``yield``."""
        returned = door(observer)(SESSION, sample("SessionStarted"))
        assert not isinstance(returned, Generator | AsyncGenerator | Coroutine)

    @pytest.mark.parametrize("kind", KINDS)
    def test_it_takes_every_kind_of_event(self, observer: Any, kind: str) -> None:
        """It raises for none, with all fields filled in, and with those alone that an event has to have."""
        show = door(observer)
        for whole in (True, False):
            show(SESSION, sample(kind, whole=whole))

    def test_it_takes_what_is_not_known_yet(self, observer: Any) -> None:
        """It raises for no event of a class that a later version brings."""

        class Later(Event):
            """A kind of event that there is not yet."""

        door(observer)(SESSION, Later(AT))

    @pytest.mark.parametrize("history", HISTORIES)
    def test_it_takes_whole_histories(self, observer: Any, history: str) -> None:
        """It raises for no event of a session that has run, also where those of another come between."""
        session, events = run(history)
        show = door(observer)
        for event in events:
            show(session.id, event)
            show(SESSION, event)

    @pytest.mark.parametrize("kind", KINDS)
    def test_it_changes_no_event(self, observer: Any, kind: str) -> None:
        """An event is after it as it was before: those behind see it, too."""
        event, before = sample(kind), sample(kind)
        show = door(observer)
        with contextlib.suppress(Exception):  # Whether it raises is asked above.
            show(SESSION, event)
        assert before == event

    @pytest.mark.parametrize("history", HISTORIES)
    def test_a_session_ends_as_without_it(
        self, observer: Any, history: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A session that is observed does the same as one that is not, and no complaint is logged."""
        expected = _told(*run(history))
        with caplog.at_level("WARNING", "bunsui"), warnings.catch_warnings():
            # Runner.close complains so, in this thread. Filters hold for all threads, up to Python 3.13 at
            # least: this one names the runner's text, so that what the observer itself warns of, in a thread
            # of its own, does not become an error there.
            warnings.filterwarnings("error", "observer '", RuntimeWarning)
            observed = _told(*run(history, [observer]))
        assert HISTORIES[history][0] == observed[0]
        assert expected == observed
        complaints = [record for record in caplog.records if record.name.startswith("bunsui.runner")]
        assert [] == [record.getMessage() for record in complaints]

    def test_it_can_be_called_from_another_thread(self, observer: Any) -> None:
        """A runner calls it from a thread of its own, and each runner from another one."""
        show = door(observer)
        for _ in range(2):
            with ThreadPoolExecutor(1) as pool:
                pool.submit(show, SESSION, sample("SessionStarted")).result(PATIENCE)
