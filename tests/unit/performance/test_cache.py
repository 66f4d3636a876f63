"""Values by key: what a dict would say, for their time, each computed once."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bunsui.errors import ConfigError, StoreError
from bunsui.performance import CacheManager, CacheStatistics, claims
from bunsui.performance.cache import FRESH, KIND, MAX_VALUE
from bunsui.stores.memory import MemoryStore
from bunsui.stores.sqlite import SqliteStore
from bunsui_tests.conditions import until


class Clock:
    """Time that a test makes pass."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)

    def monotonic(self) -> float:
        return self.time


KEYS = st.sampled_from(["a", "b", "c", "é\ud800", "a\0b"])
VALUES = st.recursive(
    st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


class AgainstADict(RuleBasedStateMachine):
    """Two managers on one store, and one of memory only, beside a dict with times."""

    @initialize()
    def begin(self) -> None:
        self.clock = Clock()
        store = MemoryStore(now=self.clock.monotonic)
        make: Any = CacheManager
        self.shared = [make(store, max_entries=2, clock=self.clock) for _ in range(2)]
        self.other = make(store, namespace="other", clock=self.clock)
        self.other.set("a", "other's", ttl=1e9)
        self.alone = make(clock=self.clock)
        self.model: dict[str, tuple[Any, float]] = {}
        #: What each manager may still see for FRESH seconds: what was there when another one changed it.
        self.changed_at: dict[str, tuple[int, float]] = {}

    def wanted(self, key: str) -> Any:
        value, until = self.model.get(key, (None, 0.0))
        return value if self.clock.time < until else None

    @rule(who=st.integers(0, 1), key=KEYS, value=VALUES, ttl=st.sampled_from([0.5, 1, 10, 3600.0]))
    def set(self, who: int, key: str, value: Any, ttl: float) -> None:
        self.shared[who].set(key, value, ttl)
        self.alone.set(key, value, ttl)
        self.model[key] = value, self.clock.time + ttl
        self.changed_at[key] = who, self.clock.time

    @rule(who=st.integers(0, 1), key=KEYS)
    def delete(self, who: int, key: str) -> None:
        self.shared[who].delete(key)
        self.alone.delete(key)
        self.model.pop(key, None)
        self.changed_at[key] = who, self.clock.time

    @rule(who=st.integers(0, 1))
    def clear(self, who: int) -> None:
        self.shared[who].clear()
        self.alone.clear()
        self.model.clear()
        self.changed_at = dict.fromkeys(["a", "b", "c", "é\ud800", "a\0b"], (who, self.clock.time))

    @rule(seconds=st.sampled_from([0.3, FRESH, 5, 4000.0]))
    def wait(self, seconds: float) -> None:
        self.clock.time += seconds

    @rule(who=st.integers(0, 1), key=KEYS)
    def get(self, who: int, key: str) -> None:
        changer, at = self.changed_at.get(key, (who, 0.0))
        found = self.shared[who].get(key)
        if changer == who or self.clock.time - at >= FRESH:
            assert self.wanted(key) == found
        assert self.wanted(key) == self.alone.get(key)

    @rule(key=KEYS)
    def get_or_compute(self, key: str) -> None:
        self.clock.time += FRESH
        wanted = self.wanted(key)
        assert ("new" if wanted is None else wanted) == self.shared[0].get_or_compute(key, lambda: "new", 7)
        if wanted is None:
            self.model[key] = "new", self.clock.time + 7
            self.alone.set(key, "new", 7)
            self.changed_at[key] = 0, self.clock.time

    @invariant()
    def other_namespaces_and_bounds(self) -> None:
        assert "other's" == self.other.get("a")
        assert all(cache.statistics().entries <= 2 for cache in self.shared)


TestAgainstADict = AgainstADict.TestCase
TestAgainstADict.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_each_gets_a_copy() -> None:
    """What one does to a value can't reach the next."""
    cache = CacheManager()
    given = {"list": [1]}
    cache.set("k", given)
    given["list"].append(2)
    cache.get("k")["list"].append(3)
    assert {"list": [1]} == cache.get("k") == cache.get_or_compute("k", dict)


def test_bounds() -> None:
    """The least recently used go first, by number and by bytes; the store still has them."""
    cache = CacheManager(MemoryStore(), max_entries=2, max_bytes=10)
    cache.set("a", 1)
    cache.set("b", 2)
    cache.get("a")
    cache.set("c", 3)
    assert (2, 2, 1) == _figures(cache)
    cache.set("d", "12345678")  # Ten bytes, with its quotes.
    assert (1, 10, 3) == _figures(cache)
    cache.set("e", "123456789")
    assert (1, 10, 4) == _figures(cache)
    assert [1, 2, 3, "12345678", "123456789"] == [cache.get(key) for key in "abcde"]


def _figures(cache: CacheManager) -> tuple[int, int, int]:
    told = cache.statistics()
    return told.entries, told.bytes, told.evictions


def test_statistics() -> None:
    """They count what was done."""
    clock = Clock()
    cache = CacheManager(MemoryStore(now=clock.monotonic), clock=clock)
    cache.get("a")
    cache.set("a", 1)
    cache.get("a")
    clock.time += FRESH
    cache.get("a")
    assert cache.statistics() == CacheStatistics(
        hits=2, misses=1, memory_hits=1, store_hits=1, sets=1, evictions=0, entries=1, bytes=1
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.get(3), "the key is 3; it is a text, such as"),
        (lambda c: c.get(""), "the key is ''"),
        (lambda c: c.set("k", 1, ttl=0), "ttl is 0; it is a number of seconds above 0, such as 3600"),
        (lambda c: c.set("k", 1, ttl=float("nan")), "ttl is nan"),
        (lambda c: c.set("k", 1, ttl=True), "ttl is True"),
        (lambda c: c.set("k", 1, ttl="1h"), "ttl is '1h'"),
        (lambda c: c.set("k", None), "the value is None, which looks like a miss"),
        (lambda c: c.set("k", {1: 2}), "the value is not JSON: keys must be text"),
        (lambda c: c.set("k", "x" * MAX_VALUE), "bytes as JSON; a cache takes at most 33,792"),
        (lambda c: c.get_or_compute("k", object), "the value is not JSON"),
        (lambda c: CacheManager(max_entries=0), "max_entries is 0; it is a whole number"),
        (lambda c: CacheManager(max_bytes=1.5), "max_bytes is 1.5"),
        (lambda c: CacheManager(namespace=""), "namespace is ''; it is a text"),
        (lambda c: CacheManager("memory://"), "store is 'memory://'; it is a Store, such as runner.store"),
    ],
)
def test_what_is_wrong_is_said_with_an_example(call: Callable[[CacheManager], Any], message: str) -> None:
    """And nothing is kept."""
    cache = CacheManager()
    with pytest.raises(ConfigError) as caught:
        call(cache)
    assert message in str(caught.value)
    assert 0 == cache.statistics().entries


@pytest.mark.parametrize("value", [None, "x" * MAX_VALUE])
def test_what_can_not_be_kept_is_returned(value: Any) -> None:
    """It is computed each time."""
    cache = CacheManager(MemoryStore())
    assert [value, value] == [cache.get_or_compute("k", lambda: value) for _ in range(2)]
    assert (0, 0) == (cache.statistics().sets, cache.statistics().hits)


def test_threads_compute_once() -> None:
    """All get the value of the one that computes, each a copy."""
    cache, ran, gate = CacheManager(MemoryStore()), [], threading.Barrier(9)

    def compute() -> list[int]:
        ran.append(1)
        time.sleep(0.1)
        return [1]

    got: list[Any] = []

    def ask() -> None:
        gate.wait()
        got.append(cache.get_or_compute("k", compute))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    gate.wait()
    for thread in threads:
        thread.join()
    assert (1, [[1]] * 8, 8) == (len(ran), got, len({id(value) for value in got}))


def test_who_waits_for_one_that_fails_tries_next() -> None:
    """The error is that of the caller whose function raised it."""
    cache, begun, fail = CacheManager(MemoryStore()), threading.Event(), threading.Event()

    def failing() -> None:
        begun.set()
        fail.wait(30)
        raise ZeroDivisionError

    def first() -> None:
        with pytest.raises(ZeroDivisionError):
            cache.get_or_compute("k", failing)

    thread = threading.Thread(target=first)
    thread.start()
    begun.wait(30)
    threading.Timer(0.1, fail.set).start()
    assert "second" == cache.get_or_compute("k", lambda: "second")
    thread.join()
    assert "second" == cache.get("k")


def test_who_waits_can_stop_waiting() -> None:
    """What `on_wait` raises ends it, for another thread as for another process."""
    store = MemoryStore()
    store.put(claims.KIND, CacheManager(store)._name("k"), {"by": "somebody"}, expires_at=time.time() + 60)

    def enough() -> None:
        raise TimeoutError

    cache = CacheManager(store)
    with pytest.raises(TimeoutError):
        cache.get_or_compute("k", lambda: 1, on_wait=enough)
    assert None is cache.get("k")


def test_the_claim_of_a_process_that_died_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one computes; a claim that is renewed stands for as long as the computation takes."""
    monkeypatch.setattr(claims, "CLAIM", 0.9)
    store = SqliteStore(tmp_path / "s.db")
    cache, other = CacheManager(store), CacheManager(store)
    store.put(claims.KIND, cache._name("dead"), {"by": "a dead one"}, expires_at=time.time() + 0.3)
    assert 1 == cache.get_or_compute("dead", lambda: 1)

    begun = threading.Event()

    def renewals() -> int:
        claim = store.get(claims.KIND, cache._name("k"))
        return 0 if claim is None else claim.version - 1

    def slow() -> str:
        begun.set()
        until(lambda: renewals() >= 4)  # Without them it would have expired.
        return "slow"

    thread = threading.Thread(target=cache.get_or_compute, args=("k", slow))
    thread.start()
    begun.wait(30)
    assert "slow" == other.get_or_compute("k", lambda: "beside it")
    thread.join()
    assert None is store.get(claims.KIND, cache._name("k"))
    store.close()


def test_a_claim_that_was_lost_is_not_taken_for_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was stopped until its claim expired neither renews nor removes that of the next one.

    That one's document may have the same version.
    """
    monkeypatch.setattr(claims, "CLAIM", 0.6)
    store = MemoryStore()
    claim = claims.Claims(store, time.time).take("name")
    assert claim is not None
    store.delete(claims.KIND, "name")
    store.put(claims.KIND, "name", {"by": "the next one"})
    time.sleep(0.5)  # Two renewals.
    claim.release()
    found = store.get(claims.KIND, "name")
    assert found is not None
    assert {"by": "the next one"} == found.value


class Broken(MemoryStore):
    """A store that fails."""

    def get(self, *_: Any, **__: Any) -> Any:
        raise StoreError("it fails")

    put = delete = find = get  # type: ignore[assignment]


def test_a_store_that_fails() -> None:
    """A lookup says so; a computation goes on, and is done by each."""
    cache = CacheManager(Broken())
    for call in (lambda: cache.get("k"), lambda: cache.delete("k"), cache.clear, lambda: cache.set("k", 1)):
        with pytest.raises(StoreError):
            call()
    assert 2 == cache.get_or_compute("k2", lambda: 2)


@pytest.mark.parametrize("value", [{}, {"value": 3}, {"value": "{", "expires_at": 9e9, "ttl": 1}])
def test_what_is_no_entry_is_a_miss(value: Any) -> None:
    """Of a later version, or of somebody else."""
    store = MemoryStore()
    cache = CacheManager(store)
    store.put(KIND, cache._name("k"), value)
    assert (None, 1) == (cache.get("k"), cache.get_or_compute("k", lambda: 1))


def test_eight_processes_compute_once(tmp_path: Path) -> None:
    """Through a real SQLite file."""
    code = f"""
import sys, time
from pathlib import Path
from bunsui.performance import CacheManager
from bunsui.stores.sqlite import SqliteStore
folder = Path({str(tmp_path)!r})
store = SqliteStore(folder / "s.db")
def compute():
    with (folder / "ran").open("a") as ran:
        ran.write("x")
    time.sleep(0.5)
    return "value"
(folder / f"ready-{{sys.argv[1]}}").touch()
while not (folder / "go").exists():
    time.sleep(0.01)
print(CacheManager(store).get_or_compute("k", compute))
store.close()
"""
    SqliteStore(tmp_path / "s.db").close()
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(i)], stdout=subprocess.PIPE, text=True)
        for i in range(8)
    ]
    until(lambda: len(list(tmp_path.glob("ready-*"))) == 8)
    (tmp_path / "go").touch()
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert (["value\n"] * 8, "x") == (said, (tmp_path / "ran").read_text())
