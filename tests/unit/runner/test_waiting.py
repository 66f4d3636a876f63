"""Calls that wait, gone through step by step."""

from __future__ import annotations

import threading
import time

import pytest

from bunsui.concurrency.notice import Notice
from bunsui.runner.waiting import Steps, complete


def test_seconds_pass_and_events_are_waited_for() -> None:
    """What comes out is what the steps returned, after all that they waited for."""
    event = Notice()

    def steps() -> Steps[str]:
        began = time.monotonic()
        yield 0.05
        assert time.monotonic() - began >= 0.05
        threading.Timer(0.05, event.set).start()
        yield event
        return "done" if event.is_set() else "too soon"

    assert "done" == complete(steps())


def test_what_a_step_raises_comes_out() -> None:
    """The steps are over then."""

    def steps() -> Steps[None]:
        yield 0.0
        raise KeyError("x")

    with pytest.raises(KeyError):
        complete(steps())


def test_steps_that_are_interrupted_clean_up() -> None:
    """An exception while it waits, such as Ctrl-C, ends the steps where they are."""
    ended = []

    class Interrupting(Notice):
        def wait(self, timeout: float | None = None) -> bool:
            raise KeyboardInterrupt

    def steps() -> Steps[None]:
        try:
            yield Interrupting()
        finally:
            ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        complete(steps())
    assert [True] == ended
