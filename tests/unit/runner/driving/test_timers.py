"""What a driver has to do later."""

from __future__ import annotations

import weakref
from typing import Any

import pytest

from bunsui.runner.driving.timers import FEW, Timers


class Thing:
    """Stands for a session, or for work: something that may be gone."""


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.time = 100.0

    def monotonic(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timers(clock: Clock) -> Timers:
    return Timers(clock)  # type: ignore[arg-type]


def call(*arguments: Any) -> None:
    """What is to be done; never called here."""


def taken(timers: Timers) -> list[tuple[Any, ...]]:
    """The arguments of what is due now."""
    return [arguments for _, _, arguments in timers.due()]


def test_what_is_due_comes_out_in_the_order_of_its_time(timers: Timers, clock: Clock) -> None:
    """Once each, and what is due at the same time in the order in which it came in."""
    live: Any = Thing()
    for seconds, name in ((3, "c"), (1, "a"), (2, "b"), (1, "a2"), (9, "z")):
        timers.after(seconds, live, call, name)
    assert [] == taken(timers)
    clock.time += 3
    assert [("a",), ("a2",), ("b",), ("c",)] == taken(timers)
    assert [] == taken(timers)


def test_the_pause_lasts_until_something_is_due(timers: Timers, clock: Clock) -> None:
    """But not longer than was asked for, and never less than nothing."""
    live: Any = Thing()
    assert 0.2 == timers.pause(0.2)
    timers.after(0.15, live, call)
    assert pytest.approx(0.15) == timers.pause(0.2)
    assert 0.1 == timers.pause(0.1)
    clock.time += 1
    assert 0.0 == timers.pause(0.2)


def test_a_session_that_is_gone_is_left_out(timers: Timers, clock: Clock) -> None:
    """A timer keeps no session in memory."""
    live: Any = Thing()
    timers.after(1, live, call)
    del live
    clock.time += 1
    assert [] == taken(timers)


def test_the_timeouts_of_work_that_has_ended_do_not_pile_up(timers: Timers, clock: Clock) -> None:
    """However long the timeouts are; those of work that is there stay, in their order."""
    live: Any = Thing()
    there = [Thing() for _ in range(500)]
    for i in range(40 * len(there)):
        # One in forty is work that goes on.
        work = there[i // 40] if i % 40 == 0 else Thing()
        timers.after(3600 - i // 40, live, call, weakref.ref(work), i)
        del work
    assert len(timers._heap) <= 2 * len(there) + 1
    clock.time += 3600
    mine = [(reference(), i) for reference, i in taken(timers) if reference() is not None]
    assert [(there[n], 40 * n) for n in reversed(range(500))] == mine


def test_the_timers_of_sessions_that_are_gone_do_not_pile_up(timers: Timers) -> None:
    """Such as the timeouts of pipelines."""
    for _ in range(20 * FEW):
        timers.after(3600, Thing(), call)  # type: ignore[arg-type]
    assert len(timers._heap) <= FEW


def test_many_timers_that_are_for_something_stay(timers: Timers, clock: Clock) -> None:
    """Nothing is thrown away that somebody waits for."""
    live: Any = Thing()
    for i in range(5 * FEW):
        timers.after(1, live, call, i)
    clock.time += 1
    assert [(i,) for i in range(5 * FEW)] == taken(timers)
