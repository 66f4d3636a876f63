"""The suite for observers: that it passes for good ones, and that each of its tests bites."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from bunsui.engine.events import Unknown
from bunsui.stores.records import body_of, decode_body, encode_event
from bunsui.testing import ObserverSuite
from bunsui.testing.observer import histories
from bunsui.testing.observer.events import KINDS, sample
from bunsui_tests import twins

TWINS = twins.FOLDER / "observers.py"


def test_every_test_has_a_twin_that_fails_there(tmp_path: Path) -> None:
    """A good observer passes; each broken one fails in what it breaks, and nowhere else."""
    twins.check(TWINS, tmp_path)
    assert set() == twins.tests_of(ObserverSuite) - twins.broken(TWINS)


def test_a_session_that_begins_nothing_is_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The suite fails instead, and says what the session is: this one has ended."""
    session, _ = histories.run("success")
    monkeypatch.setattr(histories, "PATIENCE", 0.1)
    with pytest.raises(
        pytest.fail.Exception, match=r"^the session has begun nothing after 0.1 seconds: succeeded$"
    ):
        histories._until_it_runs(session)


def test_what_an_observer_warns_of_is_its_own_affair(tmp_path: Path) -> None:
    """The suite makes no error of it, in the observer's thread, where it would be a fault."""
    path = tmp_path / "test_mine.py"
    path.write_text(
        "import warnings\nimport bunsui\nimport pytest\nfrom bunsui.testing import ObserverSuite\n\n"
        "class Warns:\n    @bunsui.hookimpl\n    def bunsui_session_event(self, event):\n"
        "        warnings.warn(f'seen: {event.at}', RuntimeWarning)\n\n"
        "class TestWarns(ObserverSuite):\n    @pytest.fixture\n    def observer(self):\n"
        "        return Warns()\n"
    )
    done = twins.pytest_of([path], tmp_path, "-W", "ignore", "-k", "ends_as_without")
    assert "5 passed" in done.stdout, done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_is_an_event_as_a_history_has_it(kind: str) -> None:
    """What observers are shown has a value in each field, and comes back from a history as it is."""
    event = sample(kind)
    assert kind == type(event).__name__
    assert [] == [name for name, value in attrs.asdict(event, recurse=False).items() if value is None]
    if kind != Unknown.__name__:
        assert [event] == decode_body(body_of([encode_event(event)]), "here")
