"""Ctrl-C at any point of a call, one after the other: it comes out, and holds nobody up."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HARNESS = Path(__file__).resolve().parents[1] / "fixtures" / "interrupt_harness.py"


@pytest.mark.parametrize(
    ("call", "sample", "least"),
    [
        ("wait", 1, 5),
        ("led", 1, 20),
        ("followed", 1, 10),
        ("connected", 1, 20),
        ("disconnected", 1, 20),
        ("sent", 1, 50),
        ("put", 1, 30),
        ("append", 1, 30),
        ("remove", 1, 30),
        ("run", 13, 300),
    ],
)
def test_a_call_that_is_interrupted_anywhere(
    tmp_path: Path, rounds: Callable[[int, int], int], call: str, sample: int, least: int
) -> None:
    """Waits, cached values, connections, batches, writes, runs: see the harness for what has to go on."""
    command = [sys.executable, HARNESS, call, tmp_path, str(rounds(1, sample))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert 0 == done.returncode, done.stderr
    assert int(done.stdout) >= least


def test_a_lock_that_is_left_held_is_told_soon(tmp_path: Path) -> None:
    """The broken twin: the harness ends itself, and says where each thread waits."""
    command = [sys.executable, HARNESS, "stuck", tmp_path, "1", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert (1, "") == (done.returncode, done.stdout)
    assert "Timeout (0:00:02)!" in done.stderr
    assert " in stuck\n" in done.stderr
