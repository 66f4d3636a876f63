"""Attributes that are computed when they are first asked for."""

from __future__ import annotations

import os
import signal
import threading

from bunsui.model.lazy import cached_property


class Slow:
    """Its value takes as long as it is told."""

    entered = threading.Event()
    opened = threading.Event()

    def __init__(self, value: int, *, waits: bool = False) -> None:
        self._value = value
        self._waits = waits
        self.computed = 0

    @cached_property
    def value(self) -> int:
        """The value."""
        self.computed += 1
        if self._waits:
            self.entered.set()
            assert self.opened.wait(30)
        return self._value


def test_it_is_computed_once() -> None:
    """And is an attribute of its own for each object."""
    one, other = Slow(1), Slow(2)
    assert (1, 1, 2, 1) == (one.value, one.value, other.value, one.computed)
    assert "The value." == Slow.value.__doc__


def test_a_process_that_was_forked_meanwhile_waits_for_nobody() -> None:
    """A thread that computes one is not there in the child; Python 3.11's own holds a lock for ever."""
    thread = threading.Thread(target=lambda: Slow(1, waits=True).value)
    thread.start()
    assert Slow.entered.wait(30)
    child = os.fork()
    if not child:  # pragma: no cover - the child is not measured
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(20)
        os._exit(0 if Slow(2).value == 2 else 1)
    try:
        _, status = os.waitpid(child, 0)
    finally:
        Slow.opened.set()
        thread.join()
    assert 0 == os.waitstatus_to_exitcode(status)
