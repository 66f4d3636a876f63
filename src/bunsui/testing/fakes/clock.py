"""A clock that goes when it is told to."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

from bunsui.errors import ConfigError

#: What a clock shows at first that was told nothing else.
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """A clock that stands still until it is advanced; a `bunsui.ports.clock.Clock`. Any thread may use it.

    Such as::

        from bunsui.testing import FakeClock

        clock = FakeClock()
        clock.advance(90)
        print(clock.now().isoformat(), clock.monotonic())  # 2026-01-01T00:01:30+00:00 90.0

    Args:
        start: the wall-clock time that it shows at first, aware; None: 2026-01-01 in UTC.

    Raises:
        ConfigError: `start` has no time zone.
    """

    def __init__(self, start: datetime | None = None) -> None:
        start = BEGINNING if start is None else start
        if start.tzinfo is None:
            raise ConfigError(
                f"a FakeClock can't start at {start}, which has no time zone",
                hint="such as datetime(2026, 1, 31, tzinfo=UTC)",
            )
        self._start = start.astimezone(UTC)
        self._seconds = 0.0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The wall-clock time, in UTC."""
        return self._start + timedelta(seconds=self._seconds)

    def monotonic(self) -> float:
        """Seconds since the beginning."""
        return self._seconds

    def machine_time(self, at: float) -> float:
        """When it comes to `at` by `time.monotonic`, if it goes as fast as that from now on.

        Such as::

            import time

            from bunsui.testing import FakeClock

            print(FakeClock().machine_time(60.0) > time.monotonic() + 59)  # True
        """
        return time.monotonic() + at - self._seconds

    def advance(self, seconds: float) -> None:
        """Lets time pass.

        Args:
            seconds: how much of it; not less than 0.

        Raises:
            ConfigError: it is less than 0, or no number: time does not go back.
        """
        if not 0 <= seconds < float("inf"):
            raise ConfigError(f"a clock can't be advanced by {seconds} seconds", hint="by 0 or more")
        with self._lock:
            self._seconds += seconds

    def __repr__(self) -> str:
        return f"<FakeClock at {self.now().isoformat()}>"
