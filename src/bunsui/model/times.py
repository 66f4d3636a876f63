"""Times as text: RFC 3339 in UTC with six digits and ``Z``."""

from __future__ import annotations

from datetime import UTC, datetime


def to_text(at: datetime) -> str:
    """`at`, which must be aware and in UTC, as text."""
    return at.isoformat(timespec="microseconds")[:-6] + "Z"


def from_text(text: str) -> datetime:
    """The time that `to_text` wrote.

    Raises:
        ValueError: it is not a time, has no offset, or is none in UTC: before the year 1, or after 9999.
    """
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"time without offset: {text!r}")
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"time out of range: {text!r}") from error
