"""An event that calls back."""

from __future__ import annotations

import threading
import time

from bunsui.concurrency.notice import Notice


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


def test_waiting() -> None:
    """Who waits is woken; who waits for too long is told; and nothing is left behind."""
    notice = Notice()
    assert (False, False) == (notice.wait(0), notice.wait(0.01))
    assert not notice.wait(-1)
    woken: list[bool] = []
    threads = [threading.Thread(target=lambda: woken.append(notice.wait(30))) for _ in range(3)]
    for thread in threads:
        thread.start()
    while len(notice._callbacks) < 3:
        time.sleep(0.001)
    notice.set()
    for thread in threads:
        thread.join(30)
    assert [True, True, True] == woken
    assert (True, set()) == (notice.wait(), notice._callbacks)
