"""Ctrl-C at any point of `Runner.run`, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import bunsui
from bunsui_tests.interrupting import everywhere


def one() -> int:
    return 1


# What is interrupted between opening a file and closing it is closed by the garbage collection.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_run_that_is_interrupted_anywhere(tmp_path: Path, rounds: Callable[[int, int], int]) -> None:
    """KeyboardInterrupt comes out; what was begun comes to its end, and the runner runs others."""
    url = f"sqlite:///{tmp_path}/store.db"
    pipeline = bunsui.Pipeline("p", [bunsui.Job.from_callable(one)])
    known: set[str] = set()
    begun = 0
    for interrupt in everywhere(step=rounds(1, 13)):
        with bunsui.Runner(url, autoload_plugins=False, lease=3600) as runner:
            runner.plan(pipeline)  # The checks of definitions, made once, are half of the points.
            with interrupt:
                runner.run(pipeline)
            found = {summary.session_id for summary in runner.sessions(limit=5)} - known
            assert len(found) <= 1, interrupt.point
            for id_ in found:
                begun += 1
                assert "succeeded" == runner.session(id_).wait(60), interrupt.point
            assert "succeeded" == runner.start(pipeline).wait(60), interrupt.point
            known = {summary.session_id for summary in runner.sessions(limit=5)}
    assert begun
    assert interrupt.point > 300
