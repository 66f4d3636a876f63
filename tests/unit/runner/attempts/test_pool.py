"""The threads that attempts run in."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bunsui.runner.attempts.pool import Pool
from bunsui_tests.conditions import wait_for
from bunsui_tests.held import threads


@pytest.fixture
def make() -> Iterator[Callable[[int], Pool]]:
    """Makes pools, which are closed at the end."""
    pools: list[Pool] = []

    def pool(limit: int) -> Pool:
        pools.append(Pool(limit))
        return pools[-1]

    yield pool
    for each in pools:
        each.close()


class Counter:
    """Counts what ran, and how much of it at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.done = 0
        self.now = 0
        self.most = 0
        self.threads: set[int] = set()

    def __call__(self) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.threads.add(threading.get_ident())
        with self.lock:
            self.now -= 1
            self.done += 1


def test_no_thread_before_the_first_task(make: Any) -> None:
    """A pool starts no thread before it has a task."""
    before = threads()
    make(4)
    assert threads() <= before


def test_bursts_from_several_threads(make: Any) -> None:
    """20,000 tasks in bursts from several threads all run, once each."""
    pool, counter = make(4), Counter()

    def submit() -> None:
        for burst in range(100):
            pool.submit([counter] * (burst % 10 + 46))

    threads = [threading.Thread(target=submit) for _ in range(4)]
    expected = 4 * sum(burst % 10 + 46 for burst in range(100))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(lambda: counter.done == expected)
    assert (expected, True) == (counter.done, expected > 20_000)


def test_no_lost_wakeup(make: Any) -> None:
    """A task that is submitted whenever the last one has ended is never left lying."""
    pool = make(2)
    for _ in range(3_000):
        done = threading.Event()
        pool.submit([done.set])
        assert done.wait(20)


def test_limit(make: Any) -> None:
    """There are never more threads than the limit."""
    pool, counter = make(3), Counter()
    for _ in range(200):
        pool.submit([counter] * 10)
    wait_for(lambda: counter.done == 2_000)
    assert (2_000, True, True) == (counter.done, len(counter.threads) <= 3, counter.most <= 3)


@pytest.mark.parametrize("bursts", [1, 8])
def test_long_tasks_have_threads_of_their_own(make: Any, bursts: int) -> None:
    """As many tasks as the limit can all be blocked at once, submitted together or one by one."""
    pool, barrier, passed = make(8), threading.Barrier(9), Counter()

    def task() -> None:
        barrier.wait(20)
        passed()

    for _ in range(bursts):
        pool.submit([task] * (8 // bursts))
    barrier.wait(20)
    assert wait_for(lambda: passed.done == 8)


def test_short_tasks_beside_long_ones(make: Any) -> None:
    """One free thread works off all short tasks while the others are blocked."""
    pool, end, counter = make(3), threading.Event(), Counter()
    pool.submit([lambda: end.wait(20) and None, lambda: end.wait(20) and None, *[counter] * 100])
    finished = wait_for(lambda: counter.done == 100)
    end.set()
    assert finished


def test_short_tasks_take_few_threads(make: Any) -> None:
    """Tasks one after the other run in one thread."""
    pool, threads = make(8), set()
    for _ in range(20):
        done = threading.Event()

        def task(done: threading.Event = done) -> None:
            threads.add(threading.get_ident())
            done.set()

        pool.submit([task])
        done.wait(20)
        wait_for(lambda: pool._idle)
    assert len(threads) == 1


def test_raised_limit(make: Any) -> None:
    """A raised limit gives a thread in the place of one that is blocked for good."""
    pool, end, counter = make(1), threading.Event(), Counter()
    pool.submit([lambda: end.wait(20) and None])
    pool.limit += 1
    pool.submit([counter])
    finished = wait_for(lambda: counter.done == 1)
    end.set()
    assert finished


def test_close_ends_idle_threads() -> None:
    """Closing ends the threads that have nothing to do."""
    pool, barrier = Pool(5), threading.Barrier(6)
    pool.submit([lambda: barrier.wait(20) and None] * 5)
    barrier.wait(20)
    wait_for(lambda: len(pool._idle) == 5)
    pool.close()
    assert wait_for(lambda: pool._threads == 0)


def test_close_ends_busy_threads_after_their_task() -> None:
    """A thread at work ends after its task."""
    pool, begun, end = Pool(1), threading.Event(), threading.Event()

    def task() -> None:
        begun.set()
        end.wait(20)

    pool.submit([task])
    begun.wait(20)
    pool.close()
    end.set()
    assert wait_for(lambda: pool._threads == 0)


def test_close_at_any_moment() -> None:
    """Whenever a pool is closed, no thread of it stays."""
    pools = []
    for n in range(300):
        pool, done = Pool(2), threading.Event()
        pool.submit([done.set, int])
        pools.append(pool)
        if n % 2:
            done.wait(20)
        pool.close()
    assert wait_for(lambda: not any(pool._threads for pool in pools))


def test_close_as_a_thread_becomes_idle() -> None:
    """A thread that registers as idle just after the closing ends all the same."""
    pool = Pool(1)

    class Late(deque[Any]):
        """The idle threads; the pool is closed just before the first one is noted."""

        def append(self, item: Any) -> None:
            pool.close()
            super().append(item)

    pool._idle = Late()
    pool.submit([int])
    assert wait_for(lambda: pool._threads == 0)


def test_no_more_threads_to_be_had(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no more threads, those that there are do all the work."""
    pool, counter = make(4), Counter()
    pool.submit([counter])
    assert wait_for(lambda: pool._idle)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    pool.submit([counter] * 50)
    assert wait_for(lambda: counter.done == 51)


def test_no_thread_at_all(
    make: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the system gives no thread at all, the tasks wait until it gives one; it is told, once."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool, counter = make(4), Counter()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        pool.submit([counter] * 50)
        pool.tend()
    assert (0, 0) == (counter.done, pool._threads)
    (said,) = caplog.messages
    assert said.startswith(
        "the system gives no thread to run jobs in: they wait until it does; see to its memory"
    )
    pool.tend()
    assert wait_for(lambda: counter.done == 50)


def test_tasks_behind_one_that_hangs_get_a_thread_later(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only thread is busy, the system gave no other one, and nothing else is submitted."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool, counter, end = make(4), Counter(), threading.Event()
    with monkeypatch.context() as patched:
        begun = threading.Event()

        def hang() -> None:
            patched.setattr(threading.Thread, "start", refuse)
            begun.set()
            end.wait(60)

        pool.submit([hang])
        assert begun.wait(60)
        pool.submit([counter])
    pool.tend()
    assert wait_for(lambda: counter.done == 1)
    end.set()
