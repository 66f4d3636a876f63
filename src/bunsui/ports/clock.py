"""Time, as something that is passed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime


class Clock(Protocol):
    """Where a runner takes its times from.

    Such as::

        from bunsui.testing import FakeClock

        clock = FakeClock()  # One of these; a runner's own is that of the machine.
        print(clock.now().isoformat(), clock.monotonic())  # 2026-01-01T00:00:00+00:00 0.0
    """

    def now(self) -> datetime:
        """The wall-clock time, aware and in UTC: for people, never for decisions."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary point, never decreasing: for timeouts and leases."""
        ...
