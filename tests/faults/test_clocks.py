"""A wall clock that jumps by hours, by days and to 1970: nothing is stolen, nothing ends early."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bunsui.engine import events as ev

#: Seconds.
LEASE = 1.5
#: What a session must not have where every job was done in time.
EARLY = (ev.TimeoutReached, ev.SessionTimedOut, ev.JobFailed)

Rounds = Callable[[int, int], int]


def timed(bench: Any, worker: Any, file: Path, seconds: float = 120) -> Any:
    """The history, after `seconds` at most, of a session with timeouts that are far away, and a retry."""
    session = worker.ask("timed", file=str(file))["session"]
    worker.ask("wait", session=session, seconds=seconds)
    return bench.history(session)


def test_nothing_ends_early_when_the_clock_jumps(bench: Any, tmp_path: Path, rounds: Rounds) -> None:
    """Timeouts and waits are as long as they are, and times never decrease in the history."""
    worker = bench.worker(clock="jumping")
    for number in range(rounds(20, 1)):
        file = tmp_path / f"times-{number}"
        history = timed(bench, worker, file)
        assert history.has_succeeded
        assert [] == [event for event in history.events if isinstance(event, EARLY)]
        times = [event.at for event in history.events]
        assert sorted(times) == times
        first, second = map(float, file.read_text(encoding="utf-8").split())
        assert 0.4 <= second - first < 30


def test_the_check_notices_timers_by_the_wall_clock(bench: Any, tmp_path: Path) -> None:
    """The broken twin: a runner that takes the wall clock for monotonic ends what had its time."""
    for number in range(10):
        # One that waits for a time that will not come in its life is of no use any more.
        history = timed(bench, bench.worker(clock="wall"), tmp_path / f"times-{number}", seconds=5)
        if any(isinstance(event, EARLY) for event in history.events):
            return  # Not so where its timers began at the latest of all times.
    pytest.fail("nothing ended early by the wall clock")


def watched(bench: Any, folder: Path, clock: str | None, lease: float = LEASE) -> tuple[dict[str, Any], Any]:
    """What a watcher with this clock is told of a session whose runner lives, and the history at its end."""
    folder.mkdir()
    holder, watcher = bench.worker(lease, clock="jumping"), bench.worker(lease, clock=clock)
    session = holder.ask("gate", file=str(folder / "go"))["session"]
    watcher.tell("resume", session=session)
    # One that steals it waits for the file, too.
    bench.until(lambda: watcher.has_answered() or len(bench.history(session).epochs) > 1)
    (folder / "go").touch()
    told = watcher.answer()
    holder.ask("wait", session=session)
    return told, bench.history(session)


@pytest.mark.parametrize("clock", ["jumping", None], ids=["jumping", "steady"])
def test_nothing_is_stolen_when_the_clock_jumps(
    bench: Any, tmp_path: Path, rounds: Rounds, clock: str | None
) -> None:
    """Whoever watches a runner that beats lets it be, whether his own clock jumps or not."""
    for number in range(rounds(10, 1)):
        told, history = watched(bench, tmp_path / str(number), clock)
        assert "StateError" == told["error"]
        assert "is driven by a runner on" in told["message"]
        assert (True, [1], []) == (history.has_succeeded, history.epochs, history.wrong())


def test_the_check_notices_leases_by_the_wall_clock(bench: Any, tmp_path: Path) -> None:
    """The broken twin: who watches by the wall clock takes the session away from a runner that beats."""
    for number in range(10):
        told, history = watched(bench, tmp_path / str(number), "wall", lease=4.0)
        if history.epochs == [1, 2]:  # Not so where its watch began at the latest of all times.
            assert {"status": "succeeded"} == told
            return
    pytest.fail("no session was stolen by the wall clock")
