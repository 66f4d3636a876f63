"""What became of a session's alerts, for whoever looks at the session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bunsui.dsl.problems import printable
from bunsui.errors import StoreError

if TYPE_CHECKING:
    from bunsui.runner.alerting.watched import Delivery
    from bunsui.runner.handle import Session


def data(session: Session) -> dict[str, Any]:
    """The alerts that were due, under ``alerts``; nothing where none was."""
    found = _alerts(session)
    if not found:
        return {}
    return {
        "alerts": [
            {
                "id": one.alert.id,
                "on": one.alert.on,
                "job": one.alert.job,
                "channel": one.channel,
                "state": one.state,
                "attempts": one.attempts,
                "error": one.error,
            }
            for one in found
        ]
    }


def lines(session: Session) -> Iterator[str]:
    """A line for each alert that nobody has got yet, or ever will."""
    for one in _alerts(session):
        if one.is_waiting or one.state == "failed":
            about = one.alert.on if one.alert.job is None else f"{one.alert.on} of job '{one.alert.job}'"
            what = "was given up" if one.state == "failed" else "waits"
            attempts = "1 attempt" if one.attempts == 1 else f"{one.attempts} attempts"
            tried = f" after {attempts}" if one.attempts else ""
            why = "" if one.error is None else f": {one.error}"
            yield printable(f"the alert on {about} through {one.channel} {what}{tried}{why}")


def _alerts(session: Session) -> tuple[Delivery, ...]:
    try:
        return session.alerts
    except StoreError:  # The session is what was asked for; 'bunsui doctor' tells of a damaged store.
        return ()
