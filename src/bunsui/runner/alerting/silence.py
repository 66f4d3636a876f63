"""How long a rule's next alert is left out after one was sent; see `AlertRule.silence`."""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import TYPE_CHECKING

from bunsui.errors import Conflict
from bunsui.model.times import from_text, to_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from bunsui.ports.store import Store
    from bunsui.runner.alerting.watched import Delivery

KIND = "alert-silence"
#: Seconds for which is known, after a silence is over, how many it swallowed.
KEPT = 30 * 24 * 3600.0
#: How often somebody else may be faster before this one counts as silenced.
TRIES = 5


class Entry(Enum):
    """What becomes of an alert where there is a silence already."""

    #: The one that took the silence was delivered: it stands for this one.
    SILENCED = "silenced"
    #: Nobody has got that one yet: whether it will stand for this one, nobody knows.
    BEHIND = "behind"


class Silence:
    """The silence of one rule at one channel, for one pipeline: a document that is changed by its version.

    It is taken before an alert is sent, so that of two runners that have one at once one is silenced. It
    names the alert that took it: whoever sends that one again is let through.
    """

    def __init__(self, store: Store, delivery: Delivery, seconds: float) -> None:
        self._store = store
        self._seconds = seconds
        self._alert = delivery.alert.id
        text = f"{delivery.rule}\0{delivery.channel}\0{delivery.alert.pipeline}"
        self._key = hashlib.sha256(text.encode()).hexdigest()

    def enter(self, now: datetime) -> int | Entry:
        """Takes the silence; how many it swallowed before, or what becomes of an alert that does not get it.

        Raises:
            StoreError: the store failed.
        """
        for _ in range(TRIES):
            document = self._store.get(KIND, self._key)
            value = {} if document is None else dict(document.value)
            version = 0 if document is None else document.version
            count = _count(value)
            holder = value.get("alert")
            if holder == self._alert:
                return count
            swallowed = holder is not None and not self._is_over(value.get("at"), now)
            if swallowed and not value.get("told"):
                return Entry.BEHIND
            if swallowed and value.get("last") == self._alert:
                return Entry.SILENCED  # Who counted it died before that was noted in the session's alerts.
            if swallowed:
                value |= {"silenced": count + 1, "last": self._alert}
            else:
                # The count stays until somebody has been told of it.
                value = {"at": to_text(now), "alert": self._alert, "silenced": count}
            try:
                self._put(value, version, now)
            except Conflict:
                continue
            return Entry.SILENCED if swallowed else count
        return Entry.BEHIND

    def _is_over(self, at: object, now: datetime) -> bool:
        try:
            return (now - from_text(str(at))).total_seconds() >= self._seconds
        except ValueError:  # It is damaged: it silences nobody.
            return True

    def _put(self, value: dict[str, object], version: int, now: datetime) -> None:
        expires_at = now.timestamp() + self._seconds + KEPT
        self._store.put(KIND, self._key, value, if_version=version, expires_at=expires_at)

    def told(self, count: int, now: datetime) -> None:
        """Notes that the alert was sent, and with it how many had been swallowed; again changes nothing.

        Raises:
            StoreError: the store failed.
        """
        for _ in range(TRIES):
            document = self._store.get(KIND, self._key)
            if document is None or document.value.get("alert") != self._alert or document.value.get("told"):
                return
            left = max(_count(document.value) - count, 0)
            value = {**document.value, "at": to_text(now), "silenced": left, "told": True}
            try:
                self._put(value, document.version, now)
            except Conflict:
                continue
            return

    def leave(self, now: datetime) -> None:
        """Ends the silence of an alert that was never sent: the next one is not left out for it.

        How many were left out before it is kept for the next one.

        Raises:
            StoreError: the store failed.
        """
        for _ in range(TRIES):
            document = self._store.get(KIND, self._key)
            if document is None or document.value.get("alert") != self._alert or document.value.get("told"):
                return
            try:
                self._put({"silenced": _count(document.value)}, document.version, now)
            except Conflict:
                continue
            return


def _count(value: Mapping[str, object]) -> int:
    """How many were left out; 0 where that is damaged."""
    count = value.get("silenced", 0)
    return count if isinstance(count, int) else 0
