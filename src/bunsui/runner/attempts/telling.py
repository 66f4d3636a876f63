"""The spans of attempts, where somebody is told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from bunsui.runner.attempts.work import Work
    from bunsui.runner.driving.live import Live


def tell(live: Live, work: Work, at: datetime) -> str | None:
    """Begins to tell of an attempt, and gives it the trace that it belongs to; on the driver's thread.

    Returns:
        The attempt's span, as the history has it; None: nobody is told.
    """
    work.carried = live.carried
    if live.followed is None:
        return None
    kind = work.job_type if work.bound is None else None
    carried = live.followed.attempt(work.job, kind, work.options, work.item_index, work.attempt, at)
    if carried is None:
        return None
    work.carried = carried
    return carried.trace
