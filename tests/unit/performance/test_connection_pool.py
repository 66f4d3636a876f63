"""Connections by key: what an ordered dict would say, each opened once, none shared with a forked child."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bunsui.errors import ConfigError, StateError
from bunsui.performance import ConnectionPool, PoolStatistics
from bunsui_tests.conditions import until


class Connection:
    """What a pool of these tests holds."""

    def __init__(self, key: str) -> None:
        self.key = key


def nothing(connection: Connection) -> None:
    """Closes nothing."""


KEYS = st.sampled_from("abcd")


class AgainstAnOrderedDict(RuleBasedStateMachine):
    """A pool beside an ordered dict; some of what was forgotten is held by its users, the rest by nobody."""

    @initialize(limit=st.integers(1, 3))
    def begin(self, limit: int) -> None:
        self.pool = ConnectionPool(self.open, self.closed_ones.append, limit)
        self.limit = limit

    def __init__(self) -> None:
        super().__init__()
        self.model: OrderedDict[str, int] = OrderedDict()
        #: Those whose users hold them, by number; a connection has its number as its key's second part.
        self.held: dict[int, Connection] = {}
        self.closed_ones: list[Connection] = []
        self.opened = self.reused = 0
        self.fails = self.is_closed = False

    def open(self, key: str) -> Connection:
        if self.fails:
            raise ConnectionRefusedError(key)
        self.opened += 1
        return Connection(f"{key}{self.opened}")

    @rule(key=KEYS, holds=st.booleans())
    def get(self, key: str, holds: bool) -> None:
        if self.is_closed:
            with pytest.raises(StateError):
                self.pool.get(key)
            return
        number = self.model.get(key)
        found = self.pool.get(key)
        if number is None:
            number = self.opened
        else:
            self.reused += 1
        assert f"{key}{number}" == found.key
        self.model[key] = number
        self.model.move_to_end(key)
        if len(self.model) > self.limit:
            self.model.popitem(last=False)
        if holds:
            self.held[number] = found

    @precondition(lambda self: not self.is_closed)
    @rule(key=KEYS)
    def open_fails(self, key: str) -> None:
        if key not in self.model:
            self.fails = True
            with pytest.raises(ConnectionRefusedError):
                self.pool.get(key)
            self.fails = False

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.held)))
        key = self.held[number].key[0]
        self.pool.discard(key, self.held[number])
        if self.model.get(key) == number:
            del self.model[key]

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def let_go(self, data: st.DataObject) -> None:
        del self.held[data.draw(st.sampled_from(sorted(self.held)))]

    @rule()
    def close(self) -> None:
        there = set(self.model.values()) | set(self.held)
        before = len(self.closed_ones)
        self.pool.close()
        closed = [int(connection.key[1:]) for connection in self.closed_ones[before:]]
        assert ([] if self.is_closed else sorted(there, reverse=True)) == closed
        self.model.clear()
        self.is_closed = True

    @invariant()
    def statistics(self) -> None:
        assert PoolStatistics(self.opened, self.reused, len(self.model)) == self.pool.statistics()


TestAgainstAnOrderedDict = AgainstAnOrderedDict.TestCase
TestAgainstAnOrderedDict.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Does something in several threads that begin together; what one of them raises fails the test."""
    gate, raised = threading.Barrier(count), []

    def run(number: int) -> None:
        gate.wait(30)
        try:
            work(number)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert ([], []) == (raised, [thread for thread in threads if thread.is_alive()])


def test_a_key_is_opened_once() -> None:
    """Of eight threads that ask for the same key, one opens it while the others wait; all get the same."""
    begun, going, opened, got = threading.Event(), threading.Event(), Counter[str](), []

    def slow(key: str) -> Connection:
        opened[key] += 1
        begun.set()
        assert going.wait(30)
        return Connection(key)

    pool = ConnectionPool(slow, nothing)

    def ask(number: int) -> None:
        if number == 8:  # Lets the others come in between.
            assert begun.wait(30)
            going.set()
        else:
            got.append(pool.get("a"))

    in_threads(9, ask)
    assert ({"a": 1}, 8, 1) == (opened, len(got), len(set(got)))
    assert PoolStatistics(opened=1, reused=7, open=1) == pool.statistics()


def test_other_keys_are_not_waited_for() -> None:
    """Each of two threads opens only once the other has begun to."""
    both = threading.Barrier(2)

    def open_together(key: str) -> Connection:
        both.wait(30)
        return Connection(key)

    pool = ConnectionPool(open_together, nothing)
    in_threads(2, lambda number: pool.get("ab"[number]) and None)
    assert PoolStatistics(opened=2, reused=0, open=2) == pool.statistics()


def test_a_connection_may_need_another() -> None:
    """`open` asks the pool for that of another key, as who assumes a role needs a client to do so."""
    pool: ConnectionPool[str, Connection] = ConnectionPool(
        lambda key: Connection(key) if key == "sts" else Connection(f"{key} by {pool.get('sts').key}"),
        nothing,
    )
    assert "lambda by sts" == pool.get("lambda").key


def failing_then_good(begun: threading.Event, going: threading.Event, error: BaseException) -> Any:
    """An `open` that waits and raises the first time."""
    calls = []

    def open_(key: str) -> Connection:
        calls.append(key)
        if len(calls) == 1:
            begun.set()
            assert going.wait(30)
            raise error
        return Connection(key)

    return open_


def asked_while_it_fails(error: BaseException) -> tuple[list[object], ConnectionPool[str, Connection]]:
    """What four threads get of a key whose first `open` raises, while all wait for it, and the pool."""
    begun, going, got = threading.Event(), threading.Event(), []
    pool = ConnectionPool(failing_then_good(begun, going, error), nothing)

    def ask() -> None:
        try:
            got.append(pool.get("a"))
        except BaseException as caught:
            got.append(caught)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    threads[0].start()
    assert begun.wait(30)
    for thread in threads[1:]:
        thread.start()
    opening = pool._state.opening["a"]
    until(lambda: len(opening.landed._callbacks) == 3)  # Each of the others waits.
    going.set()
    for thread in threads:
        thread.join(30)
    return got, pool


def test_who_waits_gets_what_open_raised() -> None:
    """All four; the next one tries anew."""
    error = ConnectionRefusedError()
    got, pool = asked_while_it_fails(error)
    assert [error] * 4 == got
    assert "a" == pool.get("a").key
    assert PoolStatistics(opened=1, reused=0, open=1) == pool.statistics()


def test_who_waits_is_not_interrupted_with_the_other() -> None:
    """KeyboardInterrupt is for the thread that it came to; one of the others opens the connection."""
    got, pool = asked_while_it_fails(KeyboardInterrupt())
    assert [True, False, False, False] == sorted(
        (isinstance(one, KeyboardInterrupt) for one in got), reverse=True
    )
    assert (2, PoolStatistics(opened=1, reused=2, open=1)) == (len(set(got)), pool.statistics())


def test_the_least_recently_asked_for_is_forgotten() -> None:
    """It is not closed, and is garbage once nobody uses it; asked for again, it is made anew."""
    closed: list[Connection] = []
    pool = ConnectionPool(Connection, closed.append, limit=2)
    first, second = pool.get("a"), pool.get("b")
    assert first is pool.get("a")
    pool.get("c")
    assert first is pool.get("a")
    assert (second, []) != (pool.get("b"), closed)
    gone = weakref.ref(second)
    del second
    gc.collect()
    assert (None, []) == (gone(), closed)


def test_discarded() -> None:
    """Only the one that is the key's, and only from the pool; at its end it is closed if somebody has it."""
    closed: list[Connection] = []
    pool = ConnectionPool(Connection, closed.append)
    first = pool.get("a")
    pool.discard("a", Connection("a"))
    pool.discard("b", first)
    assert first is pool.get("a")
    pool.discard("a", first)
    second = pool.get("a")
    pool.discard("a", first)
    assert (second, []) == (pool.get("a"), closed)
    pool.close()
    assert [second, first] == closed
    pool.discard("a", second)


def test_what_can_not_be_referred_to_weakly_is_forgotten_too() -> None:
    """Such as a tuple: then it is its users' alone."""
    closed: list[tuple[str]] = []
    pool = ConnectionPool(lambda key: (key,), closed.append, limit=1)
    assert [("a",), ("b",)] == [pool.get("a"), pool.get("b")]
    pool.close()
    assert [("b",)] == closed


def test_closed_in_reverse_order_whatever_fails() -> None:
    """All are closed, the first error comes out with the other as its note; a second close does nothing."""
    closed: list[str] = []

    def close(connection: Connection) -> None:
        closed.append(connection.key)
        if connection.key in "bc":
            raise OSError(connection.key)

    pool = ConnectionPool(Connection, close)
    for key in "abcda":
        pool.get(key)
    with pytest.raises(OSError, match=r"^c\n") as caught:
        pool.close()
    assert ["another connection could not be closed either: OSError('b')"] == caught.value.__notes__
    pool.close()
    assert (list("dcba"), PoolStatistics(4, 1, 0)) == (closed, pool.statistics())


def test_an_interrupted_close_goes_on_with_the_next() -> None:
    """KeyboardInterrupt comes out at once; what it left open the next close closes, and nothing twice."""
    closed: list[str] = []

    def close(connection: Connection) -> None:
        closed.append(connection.key)
        if connection.key == "b":
            raise KeyboardInterrupt

    pool = ConnectionPool(Connection, close)
    for key in "abc":
        pool.get(key)
    with pytest.raises(KeyboardInterrupt):
        pool.close()
    assert list("cb") == closed
    pool.close()
    assert list("cba") == closed


def test_a_closed_pool_gives_nothing() -> None:
    """Not what it had, either."""
    pool = ConnectionPool(Connection, nothing)
    pool.get("a")
    pool.close()
    for key in "ab":
        with pytest.raises(
            StateError, match=f"^there is no connection for '{key}' any more: the pool is closed$"
        ):
            pool.get(key)


def test_closed_while_a_connection_is_opened() -> None:
    """Who opens it closes it, and who asked for it is told that the pool is closed."""
    closed: list[Connection] = []

    def open_(key: str) -> Connection:
        pool.close()
        return Connection(key)

    pool: ConnectionPool[str, Connection] = ConnectionPool(open_, closed.append)
    with pytest.raises(StateError):
        pool.get("a")
    assert (["a"], 0) == ([connection.key for connection in closed], pool.statistics().open)


@pytest.mark.parametrize("limit", [0, True, 1.5, "64", None])
def test_a_limit_is_a_count(limit: Any) -> None:
    """What is none is said, with an example."""
    with pytest.raises(ConfigError, match=r"^limit is .*; it is a whole number of at least 1, such as 64$"):
        ConnectionPool(Connection, nothing, limit)


def test_hammered() -> None:
    """Under eight threads, four keys, a small limit and discards, no key has two connections at a time.

    Each opening is of a key that has none under the pool, and the figures add up.
    """
    opening, lock, twice = Counter[str](), threading.Lock(), []

    def open_(key: str) -> Connection:
        with lock:
            opening[key] += 1
            if opening[key] > 1:
                twice.append(key)
        made = Connection(key)
        with lock:
            opening[key] -= 1
        return made

    pool = ConnectionPool(open_, nothing, limit=3)

    def ask(number: int) -> None:
        for turn in range(400):
            key = "abcd"[(number + turn * turn) % 4]
            connection = pool.get(key)
            assert key == connection.key
            if turn % 7 == number % 7:
                pool.discard(key, connection)

    in_threads(8, ask)
    told = pool.statistics()
    assert ([], 8 * 400, True) == (twice, told.opened + told.reused, told.open <= 3)


FORKED = """
import gc, os, sys, threading
from bunsui.performance import ConnectionPool
from bunsui.errors import StateError

class Connection:
    def __init__(self, key):
        self.pid = os.getpid()
    def __del__(self):
        if self.pid != os.getpid() and not sys.is_finalizing():
            print("collected in another process", flush=True)

closed = []
pool = ConnectionPool(Connection, closed.append)
{before}
pid = os.fork()
if pid == 0:
    try:
        {child}
    except BaseException as error:
        print("failed:", repr(error))
    sys.stdout.flush()
    os._exit(0)
os.waitpid(pid, 0)
{after}
"""


def forked(before: str, child: str, after: str = "") -> str:
    """What a program prints that forks; see FORKED."""
    lines = "\n        ".join(child.strip().splitlines())
    code = FORKED.format(before=before, child=lines, after=after)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def test_a_forked_child_shares_nothing() -> None:
    """Its pool is empty, it closes only what it has opened, and the parent's has what it had."""
    before = "first = pool.get('a'); del first; pool.get('b'); pool.discard('b', pool.get('b'))"
    child = """
print(pool.statistics())
print(pool.get("a").pid == os.getpid(), pool.get("a") is pool.get("a"), pool.statistics())
pool.close()
gc.collect()
print(len(closed), pool.statistics().open)
"""
    after = "print(pool.get('a').pid == os.getpid(), pool.statistics()); pool.close(); print(len(closed))"
    assert forked(before, child, after) == (
        "PoolStatistics(opened=0, reused=0, open=0)\n"
        "True True PoolStatistics(opened=1, reused=2, open=1)\n"
        "1 0\n"
        "True PoolStatistics(opened=2, reused=2, open=1)\n"
        "1\n"
    )


def test_locks_that_were_held_at_the_fork_do_no_harm() -> None:
    """Another thread of the parent has the pool's lock, a third opens what is asked for."""
    before = """
going = threading.Event()
def slow(key):
    if os.getpid() == parent:
        begun.set()
        going.wait(30)
    return Connection(key)
parent, begun, held = os.getpid(), threading.Event(), threading.Event()
pool = ConnectionPool(slow, closed.append)
threading.Thread(target=pool.get, args=("a",), daemon=True).start()
begun.wait(30)
def hold():
    with pool._state.lock:
        held.set()
        going.wait(30)
threading.Thread(target=hold, daemon=True).start()
held.wait(30)
"""
    child = """
got = []
threads = [threading.Thread(target=lambda: got.append(pool.get("a")), daemon=True) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join(30) for thread in threads]
print(len(got), len(set(got)), pool.statistics())
"""
    expected = "4 1 PoolStatistics(opened=1, reused=3, open=1)\n"
    assert f"{expected}2\n" == forked(
        before, child, "going.set(); pool.get('a'); pool.get('b'); print(pool.statistics().opened)"
    )


def test_the_threads_of_a_child_agree() -> None:
    """Those that come first to a pool after a fork, at once, all go on with the same empty one."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(50):
            pool, got = ConnectionPool(Connection, nothing), []
            pool._state.pid = 0  # As if it were of the process that forked this one.
            in_threads(4, lambda number, pool=pool, got=got: got.append(pool.get("a")))
            assert (4, 1) == (len(got), len(set(got)))
    finally:
        sys.setswitchinterval(interval)


def test_a_pool_that_was_closed_before_the_fork_stays_closed() -> None:
    """In the child, too."""
    child = """
try:
    pool.get("a")
except StateError:
    print("closed")
"""
    assert "closed\n" == forked("pool.get('a'); pool.close()", child)


def test_grandchildren() -> None:
    """A child of a child begins anew, whether the pool was used between or not."""
    child = """
{used}
if os.fork() == 0:
    print(pool.statistics().open, pool.get("a").pid == os.getpid())
    sys.stdout.flush()
    os._exit(0)
os.wait()
"""
    for used in ("", "pool.get('a')"):
        assert "0 True\n" == forked("pool.get('a')", child.format(used=used))
