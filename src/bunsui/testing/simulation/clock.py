"""What the clocks of a simulated process show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bunsui.testing.simulation.world import World

#: When the world begins.
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
#: Where a wall clock goes that has lost its battery.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class WallClock:
    """What people take for the time; it may jump."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._start = BEGINNING

    def now(self) -> datetime:
        """The time that it shows."""
        return self._start + timedelta(seconds=self._world.time)

    def jump(self, by: timedelta | None) -> None:
        """Jumps, for whoever looks at it; None: back to 1970."""
        self._start = EPOCH if by is None else self._start + by


class ProcessClock:
    """The clocks of one process: a monotonic one of its own, and a wall clock that is a bit off.

    Args:
        world: where it stands.
        wall: what all wall clocks follow.
        offset: seconds that the monotonic clock is ahead of the world's time.
    """

    def __init__(self, world: World, wall: WallClock, offset: float) -> None:
        self._world = world
        self._wall = wall
        self._offset = offset
        #: How far its wall clock is ahead of the others.
        self.skew = timedelta()

    def now(self) -> datetime:
        """The wall-clock time."""
        return self._wall.now() + self.skew

    def monotonic(self) -> float:
        """Seconds from a point that no other process knows."""
        return self._world.time + self._offset
