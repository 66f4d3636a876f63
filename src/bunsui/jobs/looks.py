"""Which of much work at AWS is looked at first, where there is no time for all of it."""

from __future__ import annotations

import threading
from datetime import datetime

from attrs import frozen

#: Seconds after which a search that nobody went on with is another one: meanwhile the session may have been
#: another runner's, which begun the work. Runners ask again within a minute, and a call takes its time.
LEFT_AFTER = 120.0
#: Seconds for which one poll looks at work piece by piece, or reads what it has left; the rest is the next
#: one's. So however much ends at once, what was looked at is told of soon.
READING = 5.0
#: Pieces of work that are remembered.
MAX_REMEMBERED = 10_000


class Looks:
    """Which work has been looked at, in which order; from any thread.

    What was not looked at for longest comes first: else one look that takes all the time there is would have
    those behind it wait for ever.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: The number of the last look at some work, of all looks.
        self._last: dict[str, int] = {}
        self._looks = 0

    def order(self, works: dict[int, str]) -> list[int]:
        """The keys in the order in which their work is to be looked at."""
        with self._lock:
            return sorted(works, key=lambda each: self._last.get(works[each], 0))

    def begin(self, work: str) -> None:
        """It is looked at, from now on."""
        with self._lock:
            self._looks += 1
            if len(self._last) >= MAX_REMEMBERED:
                self._last.clear()
            self._last[work] = self._looks

    def over(self, work: str) -> None:
        """Nothing more is to be known of it."""
        with self._lock:
            self._last.pop(work, None)


@frozen
class Search:
    """A search for what AWS does not show (yet)."""

    #: When (monotonic) it began, and when the last look was.
    began: float
    last: float
    #: When that started which is looked for.
    started_at: datetime | None


def continued(search: Search | None, now: float, started_at: datetime | None = None) -> Search:
    """A search with one more look; a new one where it was for something else, or has been left."""
    if search is None or search.started_at != started_at or now - search.last > LEFT_AFTER:
        return Search(now, now, started_at)
    return Search(search.began, now, started_at)
