"""The values of secrets that the jobs of one session share, for as long as a runner drives it."""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING

from bunsui.concurrency.notice import Notice
from bunsui.errors import BunsuiError

if TYPE_CHECKING:
    from collections.abc import Callable


class _Asking:
    """A question under way, for the threads that wait for its answer."""

    def __init__(self) -> None:
        self.is_answered = Notice()
        self.answer: str | BunsuiError = BunsuiError("nobody has answered")


class KeptSecrets:
    """Values by the names of their secrets, each asked for once, in memory only; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, str] = {}
        self._asking: dict[str, _Asking] = {}
        self._is_over = False

    def get(self, name: str, ask: Callable[[str], str | BunsuiError]) -> str | BunsuiError:
        """A value, or why it can't be had: those who asked at once are told that, the next one asks anew.

        Args:
            name: the secret's.
            ask: gets its value; it does not raise.
        """
        with self._lock:
            if name in self._values:
                return self._values[name]
            asking = self._asking.get(name)
            if asking is None:
                mine = self._asking[name] = _Asking()
        if asking is not None:
            asking.is_answered.wait()
            # Whoever raises an error writes to it.
            return asking.answer if isinstance(asking.answer, str) else copy.copy(asking.answer)
        try:
            answer = mine.answer = ask(name)
            with self._lock:
                if isinstance(answer, str) and not self._is_over:
                    self._values[name] = answer
            return answer
        finally:
            with self._lock:
                del self._asking[name]
            mine.is_answered.set()

    def forget(self) -> None:
        """Drops all values, and keeps none from now on: an attempt that nobody waits for may still ask."""
        with self._lock:
            self._is_over = True
            self._values.clear()
