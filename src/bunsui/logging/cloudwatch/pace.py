"""How fast, and for how long, events are sent to CloudWatch Logs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from attrs import frozen

#: Streams that are made in a second; and seconds whose streams are made at once after a rest. AWS makes 50
#: in a second, of all that an account has in a region ("CloudWatch Logs quotas").
STREAMS_A_SECOND, _BURST = 40.0, 0.25
#: Seconds between two of them, at most, where AWS says that there were too many.
_SLOWEST = 1.0
#: How many times as long it is waited for what is being sent, as where nothing is.
WHILE_SENDING = 6.0


@frozen
class Patience:
    """Until when somebody waits for what is being sent: as long as something gets through, up to a limit."""

    #: When it began (monotonic).
    begun: float
    #: Seconds for which nothing gets through; it ends after `WHILE_SENDING` times as many, whatever does.
    timeout: float

    def until(self, sent_at: float) -> float:
        """The end (monotonic), if nothing has been sent since `sent_at`."""
        return min(max(self.begun, sent_at) + self.timeout, self.begun + WHILE_SENDING * self.timeout)


class Pace:
    """So many calls in a second as AWS takes; fewer for a while where it says that there were too many.

    Args:
        a_second: calls in a second; a quarter of them are made at once after a rest.
        monotonic: the time, in seconds.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        a_second: float = STREAMS_A_SECOND,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._monotonic, self._sleep = monotonic, sleep
        self._lock = threading.Lock()
        self._fastest = self._between = 1.0 / a_second
        #: When the last call is made, or may be taken to have been; and how long it is not slowed again.
        self._last = self._slower_at = float("-inf")

    def wait(self) -> None:
        """Waits until a call may be made."""
        with self._lock:
            now = self._monotonic()
            at = self._last = max(self._last + self._between, now - _BURST)
        if at > now:
            self._sleep(at - now)

    def slower(self) -> None:
        """AWS says that there were too many calls."""
        with self._lock:
            now = self._monotonic()
            self._last = max(self._last, now)
            if now >= self._slower_at:  # Several that were under way together say the same.
                self._between, self._slower_at = min(self._between * 2, _SLOWEST), now + _SLOWEST

    def faster(self) -> None:
        """AWS has taken one."""
        with self._lock:
            self._between = max(self._between * 0.9, self._fastest)
