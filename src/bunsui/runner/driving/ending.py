"""The end of a driver: running work is waited for, then told to stop, then left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bunsui.runner.attempts.results import STOPPING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bunsui.runner.attempts.work import Work


class Ending:
    """When a driver that is to stop may do so; all times are monotonic."""

    def __init__(self) -> None:
        self._deadline: float | None = None
        self._told = False

    @property
    def has_begun(self) -> bool:
        """Whether the driver is to stop: it starts nothing any more."""
        return self._deadline is not None

    def begin(self, deadline: float) -> None:
        """Lets running work end until `deadline`; of several, the earliest counts."""
        self._deadline = deadline if self._deadline is None else min(deadline, self._deadline)

    def waits_for(self, works: Sequence[Work], now: float, tell: Callable[[], None]) -> bool:
        """Whether there is still work to wait for; has it told to stop, once, when its time is over."""
        assert self._deadline is not None  # noqa: S101 - it has begun
        if not works:
            return False
        if now >= self._deadline and not self._told:
            self._told = True
            tell()
        return now < self._deadline + (STOPPING if any(work.endable for work in works) else 0.0)
