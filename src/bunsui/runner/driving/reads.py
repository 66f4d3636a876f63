"""Outputs that can't be read for now: what needs them waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bunsui.runner.driving.tempo import AGAIN

if TYPE_CHECKING:
    from bunsui.model.artifact import Unread
    from bunsui.runner.driving.live import Live


def failed(live: Live, error: Unread, now: float, lease: float) -> float:
    """Seconds until an output of a session is to be read again.

    That goes on for one lease, where it may pass by itself. Then the session is set aside, so no job fails
    for it; but not before what runs has ended, and is recorded.

    Args:
        live: the session.
        error: what reading it raised.
        now: the time (monotonic).
        lease: the runner's, in seconds.

    Raises:
        Unread: the session is to be set aside.
    """
    if live.unread_since is None:
        live.unread_since = now
    is_over = not error.passing or now - live.unread_since >= lease
    if is_over and not live.works and not live.events:
        raise error
    # What ends has the session looked at anyway.
    return lease if is_over and live.works else AGAIN
