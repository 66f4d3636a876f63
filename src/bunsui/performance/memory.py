"""The memory tier of a cache: bounded, the least recently used goes first."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from bunsui.model.json import Json


@frozen
class Entry:
    """A value, with its times (monotonic seconds)."""

    value: Json
    expires_at: float
    #: When the store was last known to have it.
    seen_at: float


class Memory:
    """Entries by key. Not safe for threads: whoever uses it has a lock.

    Args:
        max_entries: most entries.
        max_bytes: most bytes of their values' JSON; a value that has more is not kept.
    """

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self.bytes = 0
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str, now: float) -> Entry | None:
        """An entry that is good, which then is the one used last."""
        entry = self._entries.get(key)
        if entry is None or entry.expires_at <= now:
            self.drop(key)
            return None
        self._entries.move_to_end(key)
        return entry

    def put(self, key: str, value: Json, expires_at: float, seen_at: float) -> None:
        """Keeps an entry, and drops others where there is no room."""
        self.drop(key)
        if value.size > self._max_bytes:
            self.evictions += 1
            return
        self._entries[key] = Entry(value, expires_at, seen_at)
        self.bytes += value.size
        while len(self._entries) > self._max_entries or self.bytes > self._max_bytes:
            self.drop(next(iter(self._entries)))
            self.evictions += 1

    def drop(self, key: str) -> None:
        """Forgets an entry, if it is there."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.bytes -= entry.value.size

    def expire(self, now: float) -> None:
        """Forgets what is over."""
        for key in [key for key, entry in self._entries.items() if entry.expires_at <= now]:
            self.drop(key)

    def clear(self) -> None:
        """Forgets all."""
        self._entries.clear()
        self.bytes = 0
