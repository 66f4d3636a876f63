"""The suite for observers: that it passes for good ones, and that each of its tests bites."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from bunsui.engine.events import Unknown
from bunsui.stores.records import body_of, decode_body, encode_event
from bunsui.testing import ObserverSuite
from bunsui.testing.observer.events import KINDS, sample
from bunsui_tests import twins

TWINS = twins.FOLDER / "observers.py"


def test_every_test_has_a_twin_that_fails_there(tmp_path: Path) -> None:
    """A good observer passes; each broken one fails in what it breaks, and nowhere else."""
    twins.check(TWINS, tmp_path)
    assert set() == twins.tests_of(ObserverSuite) - twins.broken(TWINS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_is_an_event_as_a_history_has_it(kind: str) -> None:
    """What observers are shown has a value in each field, and comes back from a history as it is."""
    event = sample(kind)
    assert kind == type(event).__name__
    assert [] == [name for name, value in attrs.asdict(event, recurse=False).items() if value is None]
    if kind != Unknown.__name__:
        assert [event] == decode_body(body_of([encode_event(event)]), "here")
