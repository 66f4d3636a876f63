"""A job that runs once for each item of a list: which item starts next, and when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING

from bunsui.engine import events as ev

if TYPE_CHECKING:
    from bunsui.model.session import Failure


class FanOut:
    """The items of one job. Nothing here is O(items) per fact.

    Args:
        count: how many items there are.
        limit: how many may run at once; None: any number.
    """

    def __init__(self, count: int, limit: int | None) -> None:
        self._count = count
        self._limit = limit
        #: Items that have not succeeded.
        self._open = count
        #: The first item that has never been started.
        self._next = 0
        #: Items that are to start again, with the attempt.
        self._again: dict[int, int] = {}
        #: Items that run.
        self.running: set[int] = set()
        #: Items of which nobody can tell what became.
        self.unknown: set[int] = set()
        #: Items whose last attempt failed and whose wait is not over.
        self.waiting: set[int] = set()
        #: The first item that failed, and why.
        self.failure: tuple[int, Failure] | None = None
        #: Why no further item starts, where it is not a failure.
        self.halted: str | None = None

    def handle(self, event: ev.ItemEvent) -> None:
        """Takes one more fact about an item."""
        item = event.item
        if isinstance(event, ev.ItemStarted):
            self._begun(item)
            self.running.add(item)
            return
        if isinstance(event, ev.ItemSubmitted | ev.ItemStalled):
            return
        self.running.discard(item)
        self.unknown.discard(item)
        if isinstance(event, ev.ItemSucceeded):
            self._open -= 1
        elif isinstance(event, ev.ItemAttemptFailed):
            self.waiting.add(item)
        elif isinstance(event, ev.ItemUnknown):
            self.unknown.add(item)
        elif isinstance(event, ev.ItemAttemptLost):
            self._again[item] = event.attempt
        elif isinstance(event, ev.ItemFailed):
            self._begun(item)
            if self.failure is None:
                self.failure = item, event.error

    def _begun(self, item: int) -> None:
        self._again.pop(item, None)
        self.waiting.discard(item)
        self._next = max(self._next, item + 1)

    def again(self, item: int, attempt: int) -> None:
        """The wait of a failed attempt is over: the next one is `attempt`."""
        self.waiting.discard(item)
        self._again[item] = attempt

    @property
    def is_ending(self) -> bool:
        """Whether no further item starts."""
        return self.failure is not None or self.halted is not None

    @property
    def is_over(self) -> bool:
        """Whether nothing runs, and nothing will."""
        return not self.running and not self.unknown and (self.is_ending or not self._open)

    @property
    def has_succeeded(self) -> bool:
        """Whether all items have."""
        return not self._open

    @property
    def can_start(self) -> bool:
        """Whether an item could start now, if there were room."""
        if self.is_ending or (self._limit is not None and len(self.running) >= self._limit):
            return False
        return bool(self._again) or self._next < self._count

    def starts(self, room: int) -> Iterator[tuple[int, int]]:
        """Up to `room` items that may start now, with their attempts."""
        if not self.can_start:
            return iter(())
        if self._limit is not None:
            room = min(room, self._limit - len(self.running))
        fresh = ((item, 1) for item in range(self._next, self._count))
        return islice(chain(self._again.items(), fresh), max(room, 0))
