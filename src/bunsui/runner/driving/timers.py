"""What a driver has to do later."""

from __future__ import annotations

import heapq
import weakref
from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bunsui.ports.clock import Clock
    from bunsui.runner.driving.live import Live
#: When it is due, its number, and what is to be done.
_Entry = tuple[float, int, "weakref.ref[Live]", Callable[..., None], tuple[Any, ...]]
#: Entries up to which nothing is thrown away: so few take 20 kB, and looking through them takes 20 us.
FEW = 64


class Timers:
    """Calls that are due at a time of the monotonic clock; they keep no session in memory."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[_Entry] = []
        self._order = count()
        #: Entries at which those that are for nothing are looked for.
        self._many = FEW

    def after(self, seconds: float, live: Live, call: Callable[..., None], *arguments: Any) -> None:
        """Has ``call(live, *arguments)`` done in `seconds`, if `live` is still there then.

        Arguments that are weak references say what else the call is for: it may be left out when one of
        them has died.
        """
        due = self._clock.monotonic() + seconds
        heapq.heappush(self._heap, (due, next(self._order), weakref.ref(live), call, arguments))
        if len(self._heap) > self._many:
            self._throw_away()

    def _throw_away(self) -> None:
        # An hour's timeout of work that took a millisecond would else stay for that hour, and so would
        # those of all work after it. The next time is at twice what is left: so the cost of each entry
        # stays the same, however many there are.
        self._heap = [entry for entry in self._heap if not _is_for_nothing(entry)]
        heapq.heapify(self._heap)
        self._many = max(FEW, 2 * len(self._heap))

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


def _is_for_nothing(entry: _Entry) -> bool:
    _, _, reference, _, arguments = entry
    return reference() is None or any(isinstance(a, weakref.ref) and a() is None for a in arguments)
