"""Forks of a process that has the SQLite store open: the child's commits are as good as any."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from bunsui.stores.sqlite import SqliteStore

PRELUDE = """
import os, sys, threading, time, warnings
# Python 3.12 and later warn of forks beside threads: these are on purpose.
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
from bunsui.ports.store import Append, Commit
if sys.argv[2] == "broken":
    os.register_at_fork = lambda **_: None
from bunsui.stores.sqlite import SqliteStore
from bunsui.stores.sqlite_schema import BEGIN

def append(store, history, position):
    return store.append([Append(history, Commit(position, f"{history}-{position}", "{}"))])[0]

def forked(function):
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        code = 0 if function() else 2
    finally:
        os._exit(code)

def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

store = SqliteStore(sys.argv[1], lock_timeout=float(sys.argv[3]))
assert append(store, "parent", 1).ok
"""
#: The child goes on after its parent has closed the file.
OUTLIVED = """
closed, close = os.pipe()
done, say_done = os.pipe()
def child():
    os.close(close)
    first = append(store, "child", 1).ok
    os.write(say_done, b".")
    os.read(closed, 1)
    return first and append(store, "child", 2).ok
pid = forked(child)
os.read(done, 1)
store.close()
os.close(close)
print(ended(pid))
"""
#: The fork comes while another thread of the parent writes.
WRITING = """
begun, goes_on = threading.Event(), threading.Event()
def write():
    with store._file.guard():
        connection = store._file.connection()
        connection.execute(BEGIN)
        begun.set()
        goes_on.wait(0.5)
        connection.execute("COMMIT")
thread = threading.Thread(target=write)
thread.start()
begun.wait()
pid = forked(lambda: append(store, "child", 1).ok)
goes_on.set()
thread.join()
print(ended(pid), append(store, "parent", 2).ok)
store.close()
"""
#: Many threads write while many children are forked.
BUSY = """
going = True
def write(name):
    position = 0
    while going:
        position += 1
        assert append(store, name, position).ok
        time.sleep(0.003)  # Else the others may wait for the write lock for long: it is not fair.
threads = [threading.Thread(target=write, args=(f"thread-{i}",)) for i in range(3)]
for thread in threads:
    thread.start()
codes = [ended(forked(lambda: append(store, f"child-{i}", 1).ok)) for i in range(20)]
going = False
for thread in threads:
    thread.join()
print(codes)
store.close()
"""


def said(code: str, path: Path, kind: str = "whole", lock_timeout: float = 20.0) -> str:
    """What a process of its own printed; in a broken one, nothing is done at a fork."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code, path, kind, str(lock_timeout)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout.strip()


def positions(path: Path, history: str) -> list[int]:
    with contextlib.closing(SqliteStore(path)) as store:
        return [commit.position for commit in store.read(history)]


@pytest.mark.parametrize(("kind", "there"), [("whole", [1, 2]), ("broken", [1])])
def test_a_child_outlives_its_parents_connections(tmp_path: Path, kind: str, there: list[int]) -> None:
    """What a child was told is durable is so whoever closes the file; the broken twin loses it."""
    path = tmp_path / "store.db"
    assert "0" == said(OUTLIVED, path, kind)
    assert there == positions(path, "child")


@pytest.mark.parametrize(("kind", "code"), [("whole", "0 True"), ("broken", "2 True")])
def test_a_fork_waits_for_a_write(tmp_path: Path, kind: str, code: str) -> None:
    """A child does not inherit a lock that nobody gives back; the broken twin can't write."""
    path = tmp_path / "store.db"
    assert code == said(WRITING, path, kind, 20.0 if kind == "whole" else 0.2)
    assert [1, 2] == positions(path, "parent")


def test_forks_of_a_busy_process(tmp_path: Path) -> None:
    """Whatever its threads are doing, each child can write, and the threads go on."""
    path = tmp_path / "store.db"
    assert str([0] * 20) == said(BUSY, path)
    for i in range(3):
        found = positions(path, f"thread-{i}")
        assert found
        assert list(range(1, len(found) + 1)) == found
    assert [[1]] * 20 == [positions(path, f"child-{i}") for i in range(20)]
