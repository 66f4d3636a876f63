"""A server that uses a Runner, then forks: each process has its own, and the file stays whole."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FORKER = Path(__file__).resolve().parents[1] / "fixtures" / "fault_fork.py"


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_workers_that_were_forked_run_sessions_beside_their_parent(
    bench: Any, rounds: Callable[[int, int], int], busy: bool
) -> None:
    """Four workers and their parent run sessions; the parent closes the file first, and nothing is lost."""
    sessions = rounds(25, 4)
    done = subprocess.run(
        [sys.executable, FORKER, bench.url, "4", str(sessions), str(int(busy))],
        env=bench.environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
    told = json.loads(done.stdout)
    assert [["ok"]] == told.pop("check")
    assert sessions + 2 == len(told["parent"])
    listed = told.pop("told")
    assert [sessions] * 4 == [len(found) for process, found in told.items() if process != "parent"]
    assert sorted(session for found in told.values() for session in found) == listed
    for session in listed:
        assert bench.history(session).has_succeeded
