"""An event that threads wait for, and that calls back those that can't wait."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Notice(threading.Event):
    """A `threading.Event` that is set once, and calls those who asked for it; from any thread."""

    def __init__(self) -> None:
        super().__init__()
        self._callbacks: set[Callable[[], None]] = set()
        self._changing = threading.Lock()

    def set(self) -> None:
        """Sets it, and calls every callback once, in this thread."""
        super().set()
        with self._changing:
            callbacks, self._callbacks = self._callbacks, set()
        for callback in callbacks:
            callback()

    def call(self, callback: Callable[[], None]) -> None:
        """Has `callback`, which must not raise, called when this is set: at once where it is already."""
        with self._changing:
            # Set before `set` takes the lock: either it finds this callback, or it is seen here.
            if not self.is_set():
                self._callbacks.add(callback)
                return
        callback()

    def forget(self, callback: Callable[[], None]) -> None:
        """Takes a callback back that may have been called meanwhile."""
        with self._changing:
            self._callbacks.discard(callback)
