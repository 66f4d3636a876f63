"""Processes that come from this one: how they are found, and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bunsui.local import descendants

TREE = "import subprocess, sys; subprocess.Popen(['sleep', '600']); print(flush=True); sys.stdin.read()"


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, with one child."""
    process = subprocess.Popen(
        [sys.executable, "-c", TREE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_children(parent: subprocess.Popen[bytes]) -> None:
    """A process's children are found, and their parent is who they say."""
    (child,) = descendants.children_of(parent.pid)
    assert str(parent.pid).encode() == descendants.stat_of(child)[1]


def test_children_by_their_parents(parent: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel keeps no lists of children, the same ones are found."""
    listed = descendants.children_of(parent.pid)
    monkeypatch.setattr(os.path, "exists", lambda _: False)
    assert (1, listed) == (len(listed), descendants.children_of(parent.pid))


def test_descendants(parent: subprocess.Popen[bytes]) -> None:
    """Children and their children are found, parents first."""
    found = descendants.descendants_of(os.getpid())
    (child,) = descendants.children_of(parent.pid)
    assert found.index(parent.pid) < found.index(child)


def test_groups(parent: subprocess.Popen[bytes]) -> None:
    """The groups of processes are named once each, without that of this process."""
    pids = [os.getpid(), parent.pid, *descendants.children_of(parent.pid)]
    assert {parent.pid} == descendants.groups_of(pids)


def test_kill_children(parent: subprocess.Popen[bytes]) -> None:
    """Children are killed with all of their groups."""
    (child,) = descendants.children_of(parent.pid)
    descendants.kill_children([parent.pid])
    parent.wait(60)
    deadline = time.monotonic() + 60
    while Path(f"/proc/{child}").exists() and descendants.stat_of(child)[:1] != [b"Z"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert parent.returncode == -signal.SIGKILL


def test_of_a_process_that_is_gone() -> None:
    """A process that is gone has no facts, no children and no group, and takes no signal."""
    process = subprocess.Popen(["true"])
    process.wait()
    descendants.send_signal(os.kill, process.pid, signal.SIGKILL)
    found = (
        descendants.stat_of(process.pid),
        descendants.children_of(process.pid),
        descendants.groups_of([process.pid]),
    )
    assert ([], [], set()) == found


def test_no_prctl() -> None:
    """Where the system has no prctl, nothing is adopted, and that is said."""
    assert not descendants.adopt_orphans(None)
