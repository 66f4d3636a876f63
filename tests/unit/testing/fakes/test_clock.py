"""The clock that goes when it is told to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from bunsui import ConfigError
from bunsui.testing import FakeClock


def test_it_stands_still():
    """Nobody advances it: both of its times stay."""
    clock = FakeClock()
    assert (clock.now(), clock.monotonic()) == (clock.now(), clock.monotonic())


def test_it_goes_when_it_is_told_to():
    """Both times go on by as much as was said."""
    clock = FakeClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
    before = clock.monotonic()
    clock.advance(90)
    clock.advance(0.5)
    assert datetime(2026, 3, 1, 12, 1, 30, 500_000, tzinfo=UTC) == clock.now()
    assert 90.5 == clock.monotonic() - before


def test_it_shows_utc():
    """Whatever zone it was started in."""
    clock = FakeClock(datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2))))
    assert datetime(2026, 3, 1, 10, tzinfo=UTC) == clock.now()
    assert UTC is clock.now().tzinfo


def test_a_start_without_a_zone_is_refused():
    """It would be another time on each machine."""
    with pytest.raises(ConfigError, match="no time zone; such as"):
        FakeClock(datetime(2026, 3, 1))  # noqa: DTZ001 - that is what is tried


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_time_does_not_go_back(seconds):
    """Nor does it end."""
    with pytest.raises(ConfigError, match="can't be advanced"):
        FakeClock().advance(seconds)
