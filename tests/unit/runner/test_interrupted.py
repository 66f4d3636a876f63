"""Ctrl-C while the threads of a runner are started."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

import bunsui


def one() -> int:
    return 1


@pytest.mark.parametrize("when", ["before", "between", "behind"])
@pytest.mark.parametrize("name", ["bunsui-heartbeat", "bunsui-driver"])
@pytest.mark.parametrize("again", [True, False], ids=["again", "closed"])
def test_an_interrupted_start_of_a_thread(
    monkeypatch: pytest.MonkeyPatch, name: str, when: str, again: bool
) -> None:
    """Whether the thread was there already or not, the runner can run something, and be closed."""
    pipeline = bunsui.Pipeline("p", [bunsui.Job.from_callable(one)])
    start: Any = threading.Thread.start
    interrupted = threading.Event()

    def start_interrupted(self: threading.Thread) -> None:
        hit = self.name == name and not interrupted.is_set()
        if hit:
            interrupted.set()
        if not hit or when == "behind":
            start(self)
        if hit and when == "between":  # Of two steps of `threading`, which says so.
            try:
                raise KeyboardInterrupt
            finally:
                raise RuntimeError("release unlocked lock")
        if hit:
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", start_interrupted)
    with bunsui.Runner("memory://", autoload_plugins=False) as runner:
        with pytest.raises(KeyboardInterrupt):
            runner.run(pipeline)
        assert interrupted.is_set()
        if again:
            assert "succeeded" == runner.start(pipeline).wait(30)
    assert [] == [thread for thread in threading.enumerate() if thread.name == name and not _ends(thread)]


def test_a_runner_that_is_closed_before_its_thread_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a session is told, and the thread that comes too late does nothing."""
    pipeline = bunsui.Pipeline("p", [bunsui.Job.from_callable(one)])
    start: Any = threading.Thread.start
    late: list[threading.Thread] = []

    def start_late(self: threading.Thread) -> None:
        if self.name == "bunsui-driver":
            late.append(self)
        else:
            start(self)

    monkeypatch.setattr(threading.Thread, "start", start_late)
    runner = bunsui.Runner("memory://", autoload_plugins=False)
    errors: list[Exception] = []

    def run() -> None:
        try:
            runner.run(pipeline)
        except bunsui.StateError as error:
            errors.append(error)

    waiting = threading.Thread(target=run, name="waiting", daemon=True)
    waiting.start()
    while runner._control.parts.driver._mailbox._messages.empty():
        time.sleep(0.01)
    runner.close()
    waiting.join(10)
    assert ["this runner is closed; the session can be resumed"] == [str(error) for error in errors]
    (thread,) = late
    start(thread)
    thread.join(10)
    assert not thread.is_alive()
    assert [] == runner.sessions()


def _ends(thread: threading.Thread) -> bool:
    thread.join(10)
    return not thread.is_alive()
