"""Why jobs do not run, in words: what the history says, and a plan beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bunsui.engine.fold import Fold

#: Characters of a condition that a reason shows.
SHOWN_CONDITION = 200
TIMEOUT_REASON = "the session took longer than its timeout"
CANCELLED_REASON = "the session was cancelled"


def shown(condition: str | None) -> str:
    """As much of a job's condition as a reason shows."""
    return (condition or "")[:SHOWN_CONDITION]


def is_false(condition: str | None) -> str:
    """Why a job is skipped whose condition is false."""
    return f"its condition is false: {shown(condition)}"


def overdue(timeout: float | None, became: str) -> str:
    """Why an attempt failed that took longer than its timeout.

    Args:
        timeout: in seconds; None: it is not known.
        became: what then became of the attempt.
    """
    return f"the attempt took longer than its timeout{_of(timeout)}{became}"


def too_late(timeout: float | None, step: str) -> str:
    """Why an attempt failed whose timeout, in seconds, was over before it came to `step`."""
    return f"the attempt's timeout{_of(timeout)} was over before it {step}"


def _of(timeout: float | None) -> str:
    return "" if timeout is None else f" of {timeout:g} s"


def stopped(state: Fold) -> str | None:
    """Why running work is stopped, or None where it is not."""
    if state.cancel is not None:
        return state.cancel.reason or CANCELLED_REASON
    return TIMEOUT_REASON if state.is_overdue else None
