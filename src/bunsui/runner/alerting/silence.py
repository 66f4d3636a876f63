"""How long a rule's next alert is left out after one was sent; see `AlertRule.silence`."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING

from bunsui.errors import Conflict
from bunsui.model.times import from_text, to_text

if TYPE_CHECKING:
    from datetime import datetime

    from bunsui.ports.store import Store
    from bunsui.runner.alerting.watched import Delivery

KIND = "alert-silence"
#: Seconds for which is known, after a silence is over, how many it swallowed.
KEPT = 30 * 24 * 3600.0
#: How often somebody else may be faster before this one counts as silenced.
TRIES = 5


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

    def enter(self, now: datetime) -> int | None:
        """Takes the silence; how many it swallowed before, or None where this alert is one of them.

        Raises:
            StoreError: the store failed.
        """
        for _ in range(TRIES):
            document = self._store.get(KIND, self._key)
            value = {} if document is None else dict(document.value)
            version = 0 if document is None else document.version
            count = int(value.get("silenced", 0))
            is_mine = value.get("alert") == self._alert
            swallowed = bool(value) and not is_mine and not self._is_over(str(value["at"]), now)
            if swallowed and value.get("last") == self._alert:
                return None  # Who counted it died before that was noted in the session's alerts.
            if swallowed:
                value |= {"silenced": count + 1, "last": self._alert}
            else:
                # The count stays until somebody has been told of it.
                value = {"at": to_text(now), "alert": self._alert, "silenced": count}
            try:
                self._put(value, version, now)
            except Conflict:
                continue
            return None if swallowed else count
        return None

    def _is_over(self, at: str, now: datetime) -> bool:
        return from_text(at) + timedelta(seconds=self._seconds) <= now

    def _put(self, value: dict[str, object], version: int, now: datetime) -> None:
        expires_at = now.timestamp() + self._seconds + KEPT
        self._store.put(KIND, self._key, value, if_version=version, expires_at=expires_at)

    def told(self, count: int, now: datetime) -> None:
        """Notes that the alert was sent, and with it how many had been swallowed.

        Raises:
            StoreError: the store failed.
        """
        for _ in range(TRIES):
            document = self._store.get(KIND, self._key)
            if document is None or document.value.get("alert") != self._alert:
                return
            left = max(int(document.value.get("silenced", 0)) - count, 0)
            try:
                self._put({**document.value, "at": to_text(now), "silenced": left}, document.version, now)
            except Conflict:
                continue
            return

    def leave(self) -> None:
        """Ends the silence of an alert that was never sent: the next one is not left out for it.

        Raises:
            StoreError: the store failed.
        """
        document = self._store.get(KIND, self._key)
        if document is not None and document.value.get("alert") == self._alert:
            self._store.delete(KIND, self._key)
