"""What threads wait for, and what calls back those that can't wait."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Notice:
    """It is set once; any thread may wait for that, or be called then.

    A `threading.Event` does not do where a program may be interrupted: its waits hold the lock of a
    Condition, and where KeyboardInterrupt comes between two steps of that, the lock stays held, and who sets
    the event waits for ever. Here an interrupted wait leaves a lock behind that nobody else ever takes.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._callbacks: set[Callable[[], object]] = set()
        # Entered and left without a step of Python: an interrupt finds it free, or has it freed.
        self._changing = threading.Lock()

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._is_set

    def set(self) -> None:
        """Sets it, and calls every callback once, in this thread."""
        self._is_set = True
        with self._changing:
            callbacks, self._callbacks = self._callbacks, set()
        for callback in callbacks:
            callback()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it is set, for up to `timeout` seconds (None: for ever); whether it is."""
        if self._is_set:
            return True
        waiting = threading.Lock()
        waiting.acquire()
        wake = waiting.release
        self.call(wake)
        try:
            waiting.acquire(timeout=-1 if timeout is None else max(timeout, 0.0))
        finally:
            self.forget(wake)
        return self._is_set

    def call(self, callback: Callable[[], object]) -> None:
        """Has `callback`, which must not raise, called when this is set: at once where it is already."""
        with self._changing:
            # Set before `set` takes the lock: either it finds this callback, or it is seen here.
            if not self._is_set:
                self._callbacks.add(callback)
                return
        callback()

    def forget(self, callback: Callable[[], object]) -> None:
        """Takes a callback back that may have been called meanwhile."""
        with self._changing:
            self._callbacks.discard(callback)
