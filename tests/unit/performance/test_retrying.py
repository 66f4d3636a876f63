"""Calls that are made again: their waits, and how many there are."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bunsui.performance.retrying import Backoff, RetryBudget


class Highest(Random):
    """Always the most."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_waits_double_up_to_the_longest() -> None:
    """Each is up to 1, 2, 4 seconds, and at last a minute, also after very many."""
    backoff = Backoff()
    tries = (1, 2, 3, 6, 7, 8, 100_000)
    assert [1, 2, 4, 32, 60, 60, 60] == [backoff.seconds(count, Highest()) for count in tries]


def test_waits_are_of_any_length() -> None:
    """A random part of the longest, from nothing on: those that failed together don't come back together."""
    found = sorted(Backoff().seconds(7, Random(seed)) for seed in range(200))
    assert (True, True, 200) == (found[0] < 3, found[-1] > 57, len(set(found)))


def test_without_a_budget_the_whole_wait() -> None:
    """The first ones are soon made again; then each waits for a minute, until more was called."""
    budget = RetryBudget(start=2)
    random = Random(1)
    assert [True, True, False, False] == [budget.wait(1, random) <= 1 for _ in range(4)]
    budget.earn()
    assert 60 == budget.wait(1, random)
    budget.earn()
    assert 1 >= budget.wait(1, random)


@pytest.mark.parametrize(("calls", "soon"), [(4, 2), (20, 10), (1000, 10)])
def test_what_is_saved_is_bounded(calls: int, soon: int) -> None:
    """However much was called, no more than `burst` are made again at once."""
    budget = RetryBudget(burst=10, start=0)
    for _ in range(calls):
        budget.earn()
    assert soon == sum(budget.wait(1, Highest()) < 60 for _ in range(1000))


@given(st.lists(st.booleans(), max_size=300), st.sampled_from([0.1, 0.25, 0.5, 1.0]), st.integers(0, 20))
def test_repetitions_stay_a_part_of_the_calls(is_first: list[bool], ratio: float, start: int) -> None:
    """At any time those that did not wait for the longest are at most `start` and `ratio` of the first."""
    budget, random = RetryBudget(ratio, start=start), Random(0)
    first = soon = 0
    for begins in is_first:
        if begins:
            budget.earn()
            first += 1
        else:
            soon += budget.wait(1, random) <= 1
        assert soon <= start + ratio * first + 1e-9
