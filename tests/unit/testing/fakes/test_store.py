"""The store that fails when it is told to."""

from __future__ import annotations

import pytest

import bunsui
from bunsui import ConfigError, StoreError
from bunsui.ports.store import Append, Commit
from bunsui.testing import FakeClock, FakeStore, StoreSuite, run_pipeline

PIPELINE = bunsui.Pipeline.from_dict(
    {
        "version": "1.0",
        "name": "two",
        "jobs": [
            {"id": "a", "type": "lambda", "function": "a"},
            {"id": "b", "type": "lambda", "function": "b", "depends_on": ["a"]},
        ],
    }
)


class TestToldNothing(StoreSuite):
    """Then it is a store as good as any."""

    @pytest.fixture
    def store(self):
        return FakeStore()


def append(store, position=1):
    return store.append([Append("h", Commit(position, f"c{position}", "{}"))])


def test_a_call_fails_before_its_effect():
    """It raises, and nothing is there; the next call works."""
    store = FakeStore()
    store.fail_next()
    with pytest.raises(StoreError, match="told to fail"):
        append(store)
    assert [] == list(store.read("h"))
    append(store)
    assert 1 == len(list(store.read("h")))


def test_a_call_fails_after_its_effect():
    """It raises all the same, and what was asked for is there."""
    store = FakeStore()
    store.fail_next(after=True)
    with pytest.raises(StoreError):
        append(store)
    assert 1 == len(list(store.read("h")))


def test_only_calls_of_a_method():
    """Others work meanwhile, and as many fail as were told to."""
    store = FakeStore()
    store.fail_next(2, method="get", error=StoreError("mine"))
    append(store)
    for _ in range(2):
        with pytest.raises(StoreError, match="mine"):
            store.get("kind", "key")
    assert store.get("kind", "key") is None
    assert (1, 3) == (store.calls["append"], store.calls["get"])


def test_away():
    """Nothing works until it is back."""
    store = FakeStore()
    store.is_away = True
    for _ in range(3):
        with pytest.raises(StoreError, match="away"):
            store.find("kind")
    store.is_away = False
    assert [] == store.find("kind")


def test_slow():
    """Each call takes its time on the clock, by which documents expire."""
    clock = FakeClock()
    store = FakeStore(clock)
    store.put("kind", "key", {}, expires_at=clock.now().timestamp() + 5)
    store.seconds = 3
    assert store.get("kind", "key") is not None
    assert 3 == clock.monotonic()
    assert store.get("kind", "key") is None


def test_without_a_clock_nothing_is_slow():
    """It says what is missing."""
    with pytest.raises(ConfigError, match=r"FakeStore\(FakeClock\(\)\)"):
        FakeStore().seconds = 1


def test_what_can_not_fail_is_refused():
    """A method that there is not is named, with the one that was meant; less than one call is none."""
    with pytest.raises(ConfigError, match="did you mean 'append'"):
        FakeStore().fail_next(method="appendd")
    with pytest.raises(ConfigError, match="at least 1"):
        FakeStore().fail_next(0)


@pytest.mark.parametrize("after", [False, True])
def test_a_run_survives_it(after):
    """A store that fails for a while, in the middle of a run, costs it time and nothing else."""
    clock = FakeClock()
    store = FakeStore(clock)

    def fails(call):
        store.fail_next(3, method="append", after=after)

    run = run_pipeline(PIPELINE, stubs={"a": fails, "b": 2}, store=store, clock=clock)
    assert {"a": None, "b": 2} == run.raise_for_status().outputs
    assert (1, 1) == (len(run.calls["a"]), len(run.calls["b"]))
    assert clock.monotonic() > 0


def test_a_run_in_a_store_that_stays_away_ends():
    """After a lease of the run's own time, which nobody waits for, it says so."""
    store = FakeStore(FakeClock())

    def leaves(call):
        store.is_away = True

    with pytest.raises(StoreError, match="away"):
        run_pipeline(PIPELINE, stubs={"a": leaves, "b": 2}, store=store)


def test_a_slow_store_makes_a_run_slow():
    """On the run's clock, where it is the same one."""
    clock = FakeClock()
    store = FakeStore(clock)
    store.seconds = 1
    run = run_pipeline(PIPELINE, stubs={"a": 1, "b": 2}, store=store, clock=clock)
    assert "succeeded" == run.status
    assert run.seconds >= 3


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "5"])
def test_no_time_that_a_call_could_take(seconds):
    """What is no number of seconds is refused where it is written."""
    store = FakeStore(FakeClock())
    with pytest.raises(ConfigError, match="a call can't take"):
        store.seconds = seconds
    assert 0 == store.seconds
