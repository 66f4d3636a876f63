"""Requests: documents by which anybody asks the runner of a session for something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from bunsui.engine import events as ev
from bunsui.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from bunsui.ports.store import Store

KIND = "request"


@frozen
class Request:
    """What was asked of a session."""

    id: str
    session: str
    #: ``pause`` or ``cancel``.
    action: str
    #: The claim that it was meant for; a later one must not act on it.
    epoch: int
    reason: str | None = None

    def event(self, at: datetime) -> ev.Event:
        """The fact that it was asked."""
        if self.action == "cancel":
            return ev.CancelRequested(at, self.id, self.reason)
        return ev.PauseRequested(at, self.id, self.reason)


def put(store: Store, runner: str, request: Request) -> None:
    """Asks `runner`, which holds the session's claim."""
    store.put(
        KIND,
        request.id,
        {
            "session": request.session,
            "action": request.action,
            "epoch": request.epoch,
            "reason": request.reason,
        },
        groups=((_group(runner), request.id),),
    )


def pending(store: Store, runner: str) -> list[Request]:
    """All that is asked of a runner."""
    return [
        Request(id=document.key, **document.value)
        for document in store.find(KIND, _group(runner), limit=1000)
    ]


def answered(store: Store, ids: Sequence[str]) -> None:
    """Forgets requests that a history has answered, or that are out of date."""
    for request in ids:
        try:
            store.delete(KIND, request)
        except StoreError:
            return  # It stays: its id is in the history, so it is not acted on twice.


def _group(runner: str) -> str:
    return f"runner:{runner}"
