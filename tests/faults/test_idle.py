"""A runner that has nothing to do costs next to nothing, and hears at once what it is asked for."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bunsui.engine import events as ev

#: A job that sleeps for longer than the test looks.
SLEEP = {"width": 1, "length": 1, "seconds": 30}
#: Seconds that a runner is looked at, and processor seconds that it may take in them; it takes about 0.02.
LOOK, BUSY = 2.0, 0.25

Rounds = Callable[[int, int], int]


def processor_seconds(pid: int) -> float:
    """What a process has taken so far, with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def taken_while_idle(worker: Any) -> float:
    """The processor seconds of a runner while the only job of its only session sleeps."""
    worker.ask("start", shape=SLEEP)
    time.sleep(0.5)  # It begins.
    before = processor_seconds(worker.pid)
    time.sleep(LOOK)
    return processor_seconds(worker.pid) - before


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_an_idle_runner_takes_next_to_no_processor_time(bench: Any) -> None:
    """A session that waits costs some looks for requests a second."""
    assert taken_while_idle(bench.worker()) < BUSY


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_the_check_notices_a_runner_that_is_busy_for_nothing(bench: Any) -> None:
    """The broken twin: a driver that makes one turn after the other is found out."""
    assert taken_while_idle(bench.worker(tick=0.0)) > BUSY


def test_an_idle_runner_hears_other_processes(bench: Any, rounds: Rounds) -> None:
    """A pause, its taking back and a cancellation are in the history soon after they were asked for."""
    driver, asker = bench.worker(), bench.worker()
    go = bench.folder / "go"
    session = driver.ask("gate", file=str(go))["session"]
    took = []

    def ask(what: str, kind: type[ev.Event]) -> None:
        before = sum(isinstance(event, kind) for event in bench.history(session).events)
        began = time.monotonic()
        assert {} == asker.ask(what, session=session)
        took.append(time.monotonic() - began)
        assert before + 1 == sum(isinstance(event, kind) for event in bench.history(session).events)

    asker.ask("pause", session=driver.ask("gate", file=str(go))["session"])  # Now it has imported all.
    for _ in range(rounds(20, 2)):
        time.sleep(0.7)  # Nothing happens.
        ask("pause", ev.PauseRequested)
        ask("take_back", ev.ResumeRequested)
    ask("cancel", ev.CancelRequested)
    go.touch()
    assert {"status": "cancelled", "here": False} == driver.ask("wait", session=session)
    # Promised is one second; the machine may be busy with other tests.
    assert max(took) < 5
    print(f"median {statistics.median(took):.2f} s, longest {max(took):.2f} s")
