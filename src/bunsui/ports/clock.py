"""Time, as something that is passed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime


class Clock(Protocol):
    """Where a runner takes its times from."""

    def now(self) -> datetime:
        """The wall-clock time, aware and in UTC: for people, never for decisions."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary point, never decreasing: for timeouts and leases."""
        ...
