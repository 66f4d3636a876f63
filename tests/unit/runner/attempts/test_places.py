"""How many attempts may run at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bunsui.runner.attempts.places import Places


class Attempt:
    """What a place is given to."""

    def __init__(self, pool: str | None = None) -> None:
        self.job = SimpleNamespace(pool=pool)


def attempts(places: Places, *pools: str | None) -> list[Any]:
    """Attempts that have a place."""
    made: list[Any] = [Attempt(pool) for pool in pools]
    for each in made:
        places.take(each)
    return made


def test_free() -> None:
    """Each attempt takes one of all, and one of its pool."""
    places = Places(5, {"a": 2, "b": 1})
    attempts(places, None, "a", "b")
    assert (2, {"a": 1, "b": 0}) == (places.free, places.free_in_pools)


def test_given_back_twice() -> None:
    """A place that was given back is not given back again."""
    places = Places(2, {"a": 2})
    first, _ = attempts(places, "a", "a")
    places.give_back(first)
    places.give_back(first)
    assert (1, {"a": 1}) == (places.free, places.free_in_pools)


def test_who_may_have_waited() -> None:
    """Somebody may have waited where all places were taken, or all of the pool; else nobody has."""
    full, full_pool, neither = Places(1, {}), Places(9, {"a": 1}), Places(9, {"a": 2})
    assert [True, True, False] == [
        full.give_back(attempts(full, None)[0]),
        full_pool.give_back(attempts(full_pool, "a")[0]),
        neither.give_back(attempts(neither, "a")[0]),
    ]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([None, "a", "b"]), st.integers(0, 5))))
def test_what_is_free_follows_from_what_is_taken(steps: list[tuple[bool, str | None, int]]) -> None:
    """Whatever is taken and given back in whatever order."""
    places, taken = Places(100, {"a": 50, "b": 50}), list[Any]()
    for take, pool, index in steps:
        if take:
            taken += attempts(places, pool)
        elif taken:
            places.give_back(taken.pop(index % len(taken)))
    of = {pool: 50 - sum(each.job.pool == pool for each in taken) for pool in ("a", "b")}
    assert (100 - len(taken), of) == (places.free, places.free_in_pools)
