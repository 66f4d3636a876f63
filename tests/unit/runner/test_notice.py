"""An event that calls back."""

from __future__ import annotations

import threading

from bunsui.runner.notice import Notice


def test_callbacks_are_called_once() -> None:
    """However often it is set."""
    notice, called = Notice(), []
    notice.call(lambda: called.append(1))
    assert [] == called
    notice.set()
    notice.set()
    assert ([1], True) == (called, notice.is_set())


def test_set_already() -> None:
    """Then a callback is called at once."""
    notice, called = Notice(), []
    notice.set()
    notice.call(lambda: called.append(1))
    assert [1] == called


def test_forgotten() -> None:
    """A callback that was taken back is not called; one that is not there may be taken back, too."""
    notice, called = Notice(), []

    def callback() -> None:
        called.append(1)

    notice.call(callback)
    notice.forget(callback)
    notice.forget(callback)
    notice.set()
    assert [] == called


def test_no_callback_is_lost() -> None:
    """Whoever asks while it is being set is called all the same."""
    for _ in range(300):
        notice, barrier, called = Notice(), threading.Barrier(2), threading.Event()

        def ask(notice: Notice = notice, barrier: threading.Barrier = barrier, called=called) -> None:
            barrier.wait(30)
            notice.call(called.set)

        thread = threading.Thread(target=ask)
        thread.start()
        barrier.wait(30)
        notice.set()
        thread.join(30)
        assert called.wait(30)
