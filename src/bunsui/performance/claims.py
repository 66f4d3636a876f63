"""Who computes a value, among the processes that share a store."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING

from bunsui.errors import Conflict, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bunsui.ports.store import Store

#: The kind of the documents that say who computes.
KIND = "cache-claim"
#: Seconds for which a claim holds unless it is renewed, which it is three times as often.
CLAIM = 30.0


class Claim:
    """The right to compute one value, renewed in a thread of its own until it is released."""

    def __init__(self, store: Store, name: str, token: str, now: Callable[[], float]) -> None:
        self._store = store
        self._name = name
        self._token = token
        self._now = now
        self._released = threading.Event()
        # A daemon: a process that ends in the middle leaves the claim to expire.
        self._thread = threading.Thread(target=self._renew, name="bunsui-cache-claim", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # The system gives no more threads: then it may be computed twice.
            self._released.set()

    def _renew(self) -> None:
        while not self._released.wait(CLAIM / 3):
            try:
                version = self._held()
                if version is None:  # It had expired, and somebody else may compute.
                    return
                self._store.put(KIND, self._name, {"by": self._token}, version, self._now() + CLAIM)
            except Conflict:  # Likewise, just now.
                return
            except StoreError:
                continue

    def _held(self) -> int | None:
        """The version of its document; None where it is not this claim's any more.

        Versions begin anew once a claim has expired: that of somebody else may be equal to this one's.
        """
        document = self._store.get(KIND, self._name)
        if document is None or document.value.get("by") != self._token:
            return None
        return document.version

    def release(self) -> None:
        """Gives it back; never raises."""
        self._released.set()
        if self._thread.ident is not None:
            self._thread.join()
        try:
            if self._held() is not None:
                self._store.delete(KIND, self._name)
        except StoreError:  # It expires.
            return


class Claims:
    """The claims of one store.

    Args:
        store: where they are.
        now: seconds since the Unix epoch.
    """

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now

    def take(self, name: str) -> Claim | None:
        """A claim, or None where somebody has it.

        Raises:
            StoreError: the store failed.
        """
        token = uuid.uuid4().hex
        try:
            self._store.put(KIND, name, {"by": token}, 0, self._now() + CLAIM)
        except Conflict:
            return None
        return Claim(self._store, name, token, self._now)
