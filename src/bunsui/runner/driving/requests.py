"""Requests: documents by which anybody asks the runner of a session for something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from bunsui.engine import events as ev
from bunsui.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from bunsui.ports.store import Store
    from bunsui.runner.driving.live import Live

KIND = "request"
#: What can be asked: ``resume`` takes back a pause that has not come to rest.
ACTIONS = ("pause", "resume", "cancel")
#: Seconds after which a request that nobody answered is forgotten.
KEPT = 24 * 3600.0


@frozen
class Request:
    """What was asked of a session."""

    id: str
    session: str
    #: One of `ACTIONS`.
    action: str
    #: The claim that it was meant for; a later one must not act on it.
    epoch: int
    reason: str | None = None

    def event(self, at: datetime) -> ev.Event:
        """The fact that it was asked."""
        if self.action == "cancel":
            return ev.CancelRequested(at, self.id, self.reason)
        if self.action == "resume":
            return ev.ResumeRequested(at, self.id, self.reason)
        return ev.PauseRequested(at, self.id, self.reason)


def put(store: Store, runner: str, request: Request, now: datetime) -> None:
    """Asks `runner`, which holds the session's claim; `now` is the wall-clock time."""
    store.put(
        KIND,
        request.id,
        {
            "session": request.session,
            "action": request.action,
            "epoch": request.epoch,
            "reason": request.reason,
        },
        # For those whose asker dies before it can take them back.
        expires_at=now.timestamp() + KEPT,
        groups=((_group(runner), request.id),),
    )


def pending(store: Store, runner: str) -> list[Request]:
    """All that is asked of a runner; what is not a request of this version is dropped."""
    found = []
    for document in store.find(KIND, _group(runner), limit=1000):
        value = document.value
        session, action, epoch = (value.get(key) for key in ("session", "action", "epoch"))
        reason = value.get("reason")
        if not isinstance(session, str) or not isinstance(epoch, int) or action not in ACTIONS:
            answered(store, [document.key])
            continue
        reason = reason if isinstance(reason, str) else None
        found.append(Request(document.key, session, str(action), epoch, reason))
    return found


def by_session(store: Store) -> dict[str, list[str]]:
    """The ids of all requests that are there, by their session."""
    found: dict[str, list[str]] = {}
    after: str | None = None
    while page := store.find(KIND, after=after, limit=1000):
        for document in page:
            found.setdefault(str(document.value.get("session")), []).append(document.key)
        after = page[-1].cursor
    return found


class Inbox:
    """What is asked of one runner; a look costs a question whether anything has changed, if nothing has."""

    def __init__(self, store: Store, runner: str) -> None:
        self._store = store
        self._runner = runner
        self._token: object = None

    def look(self) -> list[Request]:
        """What is asked, answered or not; nothing where nothing has changed since the last look."""
        try:
            token = self._store.changed(self._token)
            if token == self._token:
                return []
            found = pending(self._store, self._runner)
        except Exception:  # Foreign code: a third party's store. The next append reports it.
            return []
        self._token = token
        return found

    def answered(self, ids: Sequence[str]) -> None:
        """Forgets requests that a history has answered, or that are out of date."""
        answered(self._store, ids)

    def forget(self, lives: Iterable[Live]) -> None:
        """Forgets what the last commits of sessions have answered."""
        for live in lives:
            self.answered(live.answered)
            live.answered.clear()


def answered(store: Store, ids: Sequence[str]) -> None:
    """Forgets requests that a history has answered, or that are out of date."""
    for request in ids:
        try:
            store.delete(KIND, request)
        except StoreError:
            return  # It stays: its id is in the history, so it is not acted on twice.


def _group(runner: str) -> str:
    return f"runner:{runner}"
