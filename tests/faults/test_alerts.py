"""Alerts over crashes of real processes: each is told, twice only where that it was taken was not noted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "fixtures" / "alert_script.py"
#: Seconds for whatever is to come.
LONG = 60.0
CRASHED = 99


class Place:
    """A store, a folder in which alerts arrive, and the processes that were started there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, how: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(SCRIPT), str(self.folder / "store.db"), str(self.folder), how]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process

    def run(self, how: str) -> tuple[int, str]:
        """How such a process ended, and what it said."""
        process = self.start(how)
        said, _ = process.communicate(timeout=LONG)
        return process.returncode, said.strip()

    @property
    def told(self) -> list[list[str]]:
        """The alerts that arrived: id, kind and session."""
        path = self.folder / "told"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def until_told(self) -> None:
        end = time.monotonic() + LONG
        while not self.told:
            assert time.monotonic() < end, "nobody was told"
            time.sleep(0.05)

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path)
    yield found
    found.close()


def test_killed_between_the_end_and_the_alert(place: Place) -> None:
    """The next process tells of it, exactly once."""
    assert place.run("dies-before") == (CRASHED, "")
    assert place.told == []
    assert place.run("sweeps") == (0, "1 0 0")
    ((_, on, _),) = place.told
    assert on == "failure"
    assert place.run("sweeps") == (0, "0 0 0")
    assert len(place.told) == 1


def test_any_runner_tells_of_it(place: Place) -> None:
    """One that starts a session of its own, and knows nothing of the other."""
    place.run("dies-before")
    place.start("drives")
    place.until_told()
    assert [on for _, on, _ in place.told] == ["failure"]


def test_killed_while_it_is_sent(place: Place) -> None:
    """It is told again, with the same id: whoever receives it can tell."""
    assert place.run("dies-sending")[0] == CRASHED
    assert len(place.told) == 1
    assert place.run("sweeps") == (0, "1 0 0")
    first, second = place.told
    assert first == second
    assert place.run("sweeps") == (0, "0 0 0")


def test_a_short_lived_process_tells_before_it_ends(place: Place) -> None:
    """Nobody else has to."""
    code, session = place.run("fails")
    assert code == 0
    assert [(on, about) for _, on, about in place.told] == [("failure", session)]


@pytest.mark.parametrize("watcher", ["drives", "sweeps"])
def test_a_runner_that_hangs_is_told_of_by_another(place: Place, watcher: str) -> None:
    """A process that was stopped holds its session: whoever watches says that it does not move."""
    process = place.start("waits")
    assert process.stdout is not None
    session = process.stdout.readline().strip()
    os.kill(process.pid, signal.SIGSTOP)
    try:
        if watcher == "drives":
            place.start("drives")
            place.until_told()
        else:
            end = time.monotonic() + LONG
            while not place.told:
                assert time.monotonic() < end
                place.run("sweeps")
        assert [(on, about) for _, on, about in place.told] == [("stalled", session)]
    finally:
        os.kill(process.pid, signal.SIGCONT)
    (place.folder / "go").touch()
    assert process.wait(LONG) == 0
    assert len(place.told) == 1


def test_two_at_once_tell_once(place: Place) -> None:
    """Ten sessions whose runner was killed, and four processes that sweep them at the same time."""
    for _ in range(10):
        assert place.run("dies-before")[0] == CRASHED
    sweepers = [place.start("sweeps") for _ in range(4)]
    for sweeper in sweepers:
        assert sweeper.wait(LONG) == 0
    place.run("sweeps")
    assert len(place.told) == 10
    assert len({about for _, _, about in place.told}) == 10


def test_two_at_once_tell_each_once(place: Place) -> None:
    """The same where each session has three alerts to send, by two channels."""
    for _ in range(6):
        assert place.run("dies-before-more")[0] == CRASHED
    sweepers = [place.start("sweeps") for _ in range(4)]
    for sweeper in sweepers:
        assert sweeper.wait(LONG) == 0
    place.run("sweeps")
    counts = Counter(id_ for id_, _, _ in place.told)
    assert sorted(counts.values()) == [1] * 6 + [2] * 6  # Of a job by one channel, of the session by two.
