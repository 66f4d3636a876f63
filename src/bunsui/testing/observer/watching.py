"""Observers: what they are shown, and what they leave as it is."""

# ruff: noqa: S101 - asserting is what this file is for

from __future__ import annotations

import contextlib
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pluggy
import pytest

from bunsui.engine.events import Event
from bunsui.plugins import hookspecs
from bunsui.plugins.registry import Plugins
from bunsui.ports.hooks import PROJECT
from bunsui.testing.observer.events import AT, KINDS, sample
from bunsui.testing.observer.histories import HISTORIES, PATIENCE, run

if TYPE_CHECKING:
    from bunsui.runner.handle import Session

SESSION = "abcdefghijklmnop"


def _hook(observer: Any) -> Any:
    """The observer's hook alone, as a runner calls it."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(observer)
    return manager.hook.bunsui_session_event


def show(observer: Any, event: Event, session: str = SESSION) -> None:
    """Shows an event to an observer; what that raises comes out."""
    _hook(observer)(session_id=session, event=event)


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
        """It registers as a plugin, with the hook `bunsui_session_event`."""
        Plugins([observer], autoload=False)
        assert 1 == len(_hook(observer).get_hookimpls())

    @pytest.mark.parametrize("kind", KINDS)
    def test_it_takes_every_kind_of_event(self, observer: Any, kind: str) -> None:
        """It raises for none, with all fields filled in, and with those alone that an event has to have."""
        for whole in (True, False):
            show(observer, sample(kind, whole=whole))

    def test_it_takes_what_is_not_known_yet(self, observer: Any) -> None:
        """It raises for no event of a class that a later version brings."""

        class Later(Event):
            """A kind of event that there is not yet."""

        show(observer, Later(AT))

    @pytest.mark.parametrize("history", HISTORIES)
    def test_it_takes_whole_histories(self, observer: Any, history: str) -> None:
        """It raises for no event of a session that has run, also where those of another come between."""
        session, events = run(history)
        for event in events:
            show(observer, event, session.id)
            show(observer, event, SESSION)

    @pytest.mark.parametrize("kind", KINDS)
    def test_it_changes_no_event(self, observer: Any, kind: str) -> None:
        """An event is after it as it was before: those behind see it, too."""
        event, before = sample(kind), sample(kind)
        with contextlib.suppress(Exception):  # Whether it raises is asked above.
            show(observer, event)
        assert before == event

    @pytest.mark.parametrize("history", HISTORIES)
    def test_a_session_ends_as_without_it(
        self, observer: Any, history: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A session that is observed does the same as one that is not, and no complaint is logged."""
        expected = _told(*run(history))
        with caplog.at_level("WARNING", "bunsui"), warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # How a runner complains of observers.
            observed = _told(*run(history, [observer]))
        assert HISTORIES[history][0] == observed[0]
        assert expected == observed
        complaints = [record for record in caplog.records if record.name.startswith("bunsui.runner")]
        assert [] == [record.getMessage() for record in complaints]

    def test_it_can_be_called_from_another_thread(self, observer: Any) -> None:
        """A runner calls it from a thread of its own, and each runner from another one."""
        for _ in range(2):
            with ThreadPoolExecutor(1) as pool:
                pool.submit(show, observer, sample("SessionStarted")).result(PATIENCE)
