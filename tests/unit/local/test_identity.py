"""Processes as their records know them: when it is certain that one has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bunsui.local import identity

ME = (
    "import json; from bunsui.local.identity import this_process;"
    " print(json.dumps(this_process()), flush=True)"
)


class Other:
    """Another process that describes itself, and lives until it is ended."""

    def __init__(self) -> None:
        import json

        program = f"{ME}; import sys; sys.stdin.read()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.record: dict[str, Any] = json.loads(self.process.stdout.readline())

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def other() -> Iterator[Other]:
    other = Other()
    yield other
    other.end()


def test_this_process_lives() -> None:
    """A process does not take itself for dead."""
    assert not identity.is_dead(identity.this_process())


def test_same_every_time() -> None:
    """A process describes itself in the same way each time."""
    assert identity.this_process() == identity.this_process()


def test_other_process_lives(other: Other) -> None:
    """A process that runs is not dead."""
    assert not identity.is_dead(other.record)


def test_describes_itself(other: Other) -> None:
    """What a process says of itself is what others see of it: pid, start, and the same host."""
    same = {key: value for key, value in identity.this_process().items() if key not in {"pid", "started"}}
    assert {**same, "pid": other.process.pid, "started": identity._started(other.process.pid)} == other.record


def test_ended(other: Other) -> None:
    """A process that has ended is dead."""
    other.end()
    assert identity.is_dead(other.record)


def test_zombie(other: Other) -> None:
    """A process that has ended is dead also while nobody has waited for it."""
    other.process.kill()
    os.waitid(os.P_PID, other.process.pid, os.WEXITED | os.WNOWAIT)
    assert identity.is_dead(other.record)


def test_reused_pid(other: Other) -> None:
    """A process whose pid now belongs to one with another start is dead."""
    assert identity.is_dead({**other.record, "started": other.record["started"] - 1})


@pytest.mark.parametrize("key", ["host", "pid_namespace"])
def test_elsewhere(other: Other, key: str) -> None:
    """Of a process of another host or container nothing is certain, even where its pid is free here."""
    other.end()
    assert not identity.is_dead({**other.record, key: "elsewhere"})


def test_rebooted(other: Other) -> None:
    """A process of this host before its last boot is dead."""
    assert identity.is_dead({**other.record, "boot": "another"})


@pytest.mark.parametrize("change", [{"started": None}, {"boot": None}, {"pid": None}, {"pid": "1"}])
def test_unknown(other: Other, change: dict[str, Any]) -> None:
    """What a record does not say is never the reason to take a process for dead."""
    assert not identity.is_dead({**other.record, **change})


def test_hidden(other: Other, monkeypatch: pytest.MonkeyPatch) -> None:
    """A living process of which /proc shows nothing (hidepid) is not dead."""
    real = Path.read_text

    def hide(path: Path, *args: Any, **kwargs: Any) -> str:
        if path == Path(f"/proc/{other.process.pid}/stat"):
            raise FileNotFoundError(path)
        return real(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", hide)
    assert not identity.is_dead(other.record)


def test_another_users_process() -> None:
    """A process that may not be signalled lives, as its start time says."""
    record = {**identity.this_process(), "pid": 1, "started": identity._started(1)}
    assert not identity.is_dead(record)


def test_empty_record() -> None:
    """An empty record says nothing, so nothing is certain."""
    assert not identity.is_dead({})


def test_program_with_a_strange_name(tmp_path: Any) -> None:
    """A program's name may hold spaces and parentheses: the fields behind it are read all the same."""
    program = tmp_path / "a) R (b 1 2"
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([str(program), "600"])
    try:
        started = identity._started(process.pid)
        assert (True, True) == (isinstance(started, int), (started or 0) > 10_000)
    finally:
        process.kill()
        process.wait()


class TestAlive:
    """When it is certain that a process runs."""

    def test_runs(self, other: Other) -> None:
        """A process that runs is alive."""
        assert identity.is_alive(other.record)

    def test_ended(self, other: Other) -> None:
        """A process that has ended is not."""
        other.end()
        assert not identity.is_alive(other.record)

    @pytest.mark.parametrize("key", ["host", "pid_namespace", "boot", "started"])
    @pytest.mark.parametrize("value", [None, 1])
    def test_another(self, other: Other, key: str, value: Any) -> None:
        """A process of another host, container, boot or start is not, nor one of which that is not known."""
        assert not identity.is_alive({**other.record, key: value})

    @pytest.mark.parametrize("pid", [None, "1", True, 0, -1])
    def test_no_pid(self, pid: Any) -> None:
        """What is no pid is nobody's: above all not a whole group's, or everybody's."""
        assert not identity.is_alive({**identity.this_process(), "pid": pid})


class TestEndProcess:
    """Killing a process of which a record is all that is known."""

    def test_runs(self, other: Other) -> None:
        """A process that runs is killed, and gone when the call returns."""
        ended = identity.end_process(other.record)
        assert (True, True) == (ended, identity.is_dead(other.record))

    def test_reused_pid(self, other: Other) -> None:
        """A process that only has the pid of the recorded one is left alone."""
        ended = identity.end_process({**other.record, "started": other.record["started"] - 1})
        assert (False, None) == (ended, other.process.poll())

    def test_has_ended(self, other: Other) -> None:
        """Nothing happens for a process that has ended."""
        other.end()
        assert not identity.end_process(other.record)

    def test_this_process(self) -> None:
        """A process does not end itself."""
        assert not identity.end_process(identity.this_process())

    def test_group(self) -> None:
        """With a process that leads a group, all of the group is killed."""
        script = "sleep 600 & echo $!; wait"
        process = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True)
        assert process.stdout is not None
        child = int(process.stdout.readline())
        record = identity.process_of_this_host(child, identity._started(child))
        leader = identity.process_of_this_host(process.pid, identity._started(process.pid))
        identity.end_process(leader)
        try:
            process.communicate(timeout=30)  # stdout ends with the last that holds it.
        finally:
            if not identity.is_dead(record):
                os.kill(child, signal.SIGKILL)
        assert identity.is_dead(record)
