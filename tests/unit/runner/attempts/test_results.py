"""What attempts came to, where their runner has given their session up."""

from __future__ import annotations

import weakref
from random import Random
from typing import Any

from bunsui.runner.attempts.results import Results


class Anything:
    """Stands for what is not asked for here."""

    def __init__(self, **fields: Any) -> None:
        self.recorded: list[Any] = []
        vars(self).update(fields)

    def record(self, event: Any) -> None:
        self.recorded.append(event)


def test_an_attempt_that_its_runner_has_stopped_is_not_reported() -> None:
    """Its session may have been released meanwhile: it counts as lost, and nobody waits for it any more."""
    nothing: Any = Anything()
    results = Results(nothing, nothing, nothing, nothing, nothing, nothing, Random(), nothing, nothing)
    work: Any = Anything(interrupted=True, endable=False, unit="x", abandoned=False, goes_on=None)
    live: Any = Anything(works={"x": work}, error=None)

    results._not_stopped(live, weakref.ref(work))
    results.overdue(live, weakref.ref(work))

    assert ([], False) == (live.recorded, work.abandoned)


def test_a_retry_that_comes_after_the_session_was_given_up_records_nothing() -> None:
    """Whoever drives the session next decides about it."""
    nothing: Any = Anything()
    results = Results(nothing, nothing, nothing, nothing, nothing, nothing, Random(), nothing, nothing)
    work: Any = Anything(has_ended=False, unit="x")
    live: Any = Anything(is_released=True, machine=Anything(waiting={"x": 1}))

    results._retry_unless_it_goes_on(live, work)

    assert [] == live.recorded
