"""Times as text."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bunsui.model.times import from_text, to_text

times = st.datetimes(timezones=st.just(UTC))


@given(times)
def test_from_text_is_the_inverse_of_to_text(at: datetime) -> None:
    """A time comes back to the microsecond."""
    assert at == from_text(to_text(at))


@given(times, times)
def test_texts_sort_like_times(one: datetime, other: datetime) -> None:
    """Texts can be compared in place of the times."""
    assert (one < other) is (to_text(one) < to_text(other))


def test_to_text_has_six_digits() -> None:
    """Six digits are written even where they are zero."""
    assert "2026-01-02T03:04:05.000000Z" == to_text(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


def test_from_text_is_in_utc() -> None:
    """A time with another offset is the same moment, in UTC."""
    at = from_text("2026-01-02T03:04:05+02:00")
    assert (datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC), UTC) == (at, at.tzinfo)


def test_a_time_without_offset_is_refused() -> None:
    """A naive time is not guessed at."""
    with pytest.raises(ValueError, match="offset") as caught:
        from_text("2026-01-02T03:04:05")
    assert "time without offset: '2026-01-02T03:04:05'" == str(caught.value)


def test_what_is_no_time_is_refused() -> None:
    """Text that is no time is a ValueError."""
    with pytest.raises(ValueError, match="Invalid isoformat string"):
        from_text("yesterday")


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_what_is_no_time_in_utc_is_refused(text: str) -> None:
    """A time beyond those that there are in UTC is a ValueError, as all else that is no time."""
    with pytest.raises(ValueError, match="time out of range"):
        from_text(text)
