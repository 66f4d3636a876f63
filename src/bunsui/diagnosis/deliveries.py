"""Alerts of the store's sessions that have not reached anybody."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from bunsui.diagnosis.check import Check, failed, ok, problem, warning
from bunsui.errors import StoreError
from bunsui.runner.alerting.watched import watched

if TYPE_CHECKING:
    from bunsui.ports.store import Store
    from bunsui.runner.alerting.watched import Delivery

#: Sessions that are looked at, at most.
MOST = 1000


def deliveries(store: Store) -> Iterator[Check]:
    """How many alerts wait at each channel, and why; nothing where no session has alerts.

    Args:
        store: can be read.
    """
    waiting: dict[str, list[Delivery]] = {}
    damaged: list[str] = []
    sessions = 0
    try:
        for one in islice(watched(store, damaged), MOST):
            sessions += 1
            for delivery in one.deliveries:
                if delivery.is_waiting:
                    waiting.setdefault(delivery.channel, []).append(delivery)
    except StoreError as error:
        yield failed("alerts", error, "restore the store from a backup")
        return
    if damaged:
        named = ", ".join(damaged[:5]) + (", ..." if len(damaged) > 5 else "")
        what = f"nobody is told of {len(damaged)} sessions whose alerts can't be read: {named}"
        yield problem("alerts", what, "restore the store from a backup")
    for channel, found in waiting.items():
        errors = [one.error for one in found if one.error is not None]
        count = "1 alert waits" if len(found) == 1 else f"{len(found)} alerts wait"
        why = f"; the last attempt failed: {errors[-1]}" if errors else ""
        if not errors and not any(one.attempts for one in found):
            why = ", which nobody has tried to send"
        remedy = (
            f"try the channel with: bunsui alerts test {channel}"
            if errors
            else "send them with: bunsui alerts sweep, where the channel is configured"
        )
        yield warning(f"alerts of {channel}", f"{count} for the channel {channel}{why}", remedy)
    if sessions and not waiting and not damaged:
        yield ok("alerts", f"{sessions} sessions are watched, and no alert waits")
