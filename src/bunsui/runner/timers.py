"""What a driver has to do later."""

from __future__ import annotations

import heapq
import weakref
from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bunsui.ports.clock import Clock
    from bunsui.runner.live import Live


class Timers:
    """Calls that are due at a time of the monotonic clock; they keep no session in memory."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, weakref.ref[Live], Callable[..., None], tuple[Any, ...]]] = []
        self._order = count()

    def after(self, seconds: float, live: Live, call: Callable[..., None], *arguments: Any) -> None:
        """Has ``call(live, *arguments)`` done in `seconds`, if `live` is still there then."""
        due = self._clock.monotonic() + seconds
        heapq.heappush(self._heap, (due, next(self._order), weakref.ref(live), call, arguments))

    def due(self) -> Iterator[tuple[Live, Callable[..., None], tuple[Any, ...]]]:
        """Takes out what is due now, in order."""
        now = self._clock.monotonic()
        while self._heap and self._heap[0][0] <= now:
            _, _, reference, call, arguments = heapq.heappop(self._heap)
            live = reference()
            if live is not None:
                yield live, call, arguments

    def pause(self, longest: float) -> float:
        """Seconds until something is due, `longest` at most."""
        if not self._heap:
            return longest
        return max(0.0, min(longest, self._heap[0][0] - self._clock.monotonic()))
