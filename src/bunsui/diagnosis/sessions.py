"""Sessions that nobody drives, runners that give signs of life, and the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bunsui.diagnosis.check import Check, failed, ok, warning
from bunsui.errors import StoreError
from bunsui.model.status import SessionStatus
from bunsui.model.times import to_text
from bunsui.runner.driving import heartbeat
from bunsui.runner.sessions import index

if TYPE_CHECKING:
    from bunsui.ports.store import Store

#: Sessions, and runners, that are looked at, at most.
MOST = 1000
#: How far ahead the clock of another machine may be.
AHEAD = timedelta(minutes=1)


def sessions(store: Store, now: datetime, again: Callable[[], str] = str) -> Iterator[Check]:
    """What the sessions of a store are waiting for.

    Args:
        store: can be read.
        now: this machine's time.
        again: gives what a command that is proposed needs behind it to mean the same store.
    """
    try:
        yield _orphans(store, again)
        yield _runners(store)
        newest = index.find(store, None, None, 1, None)
        if newest:
            yield _clock(newest[0], now)
    except StoreError as error:
        yield failed("sessions", error, "restore the store from a backup")


def _orphans(store: Store, again: Callable[[], str]) -> Check:
    open_ = [
        summary
        for status in (SessionStatus.CREATED, SessionStatus.RUNNING)
        for summary in index.find(store, None, status, MOST, None)
    ]
    orphans = [summary.session_id for summary in open_ if summary.is_orphaned]
    if not orphans:
        return ok("sessions", f"{len(open_)} open sessions, none of them orphaned")
    named = ", ".join(orphans[:5]) + (", ..." if len(orphans) > 5 else "")
    return warning(
        "sessions",
        f"{len(orphans)} of {len(open_)} open sessions have no runner any more: {named}",
        f"continue one with: bunsui session resume {orphans[0]}{again()}",
    )


def _runners(store: Store) -> Check:
    found = len(store.find(heartbeat.KIND, limit=MOST))
    days = heartbeat.KEPT / 86400
    return ok("runners", f"{found} with a heartbeat that was not taken back, of the last {days:.0f} days")


def _clock(newest: index.SessionSummary, now: datetime) -> Check:
    ahead = newest.created_at - now
    if ahead > AHEAD:
        return warning(
            "clock",
            f"session {newest.session_id} was created {ahead.total_seconds():.0f} seconds from now, at"
            f" {to_text(newest.created_at)}",
            "set the clocks of the machines that use this store, such as with NTP",
        )
    return ok("clock", f"{to_text(now)}, and no session is from later")
