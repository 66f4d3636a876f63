"""Calls that are made again: how long to wait before, and how many there may be, however much fails.

The waits are "full jitter" (Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). The
budget is a bucket of tokens, of which each repeated call takes one, as AWS's SDKs have it in their standard
mode (AWS SDKs and Tools Reference Guide, "Retry behavior").
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from random import Random


@frozen
class Backoff:
    """Waits of random lengths, of which the longest doubles with each try, up to a limit."""

    #: The most seconds before the first repetition.
    first: float = 1.0
    #: The most seconds before any.
    longest: float = 60.0

    def seconds(self, tries: int, random: Random) -> float:
        """Seconds to wait after so many calls in vain, which starts at 1."""
        return random.uniform(0, min(self.longest, self.first * 2.0 ** min(tries - 1, 60)))


class RetryBudget:
    """How many calls may be made again soon, by how many are made for the first time.

    After `n` first calls no more than ``start + ratio * n`` have been repeated after a random part of their
    wait. Each other repetition waits for the whole longest one. So whatever is throttled, the repeated calls
    are at most `ratio` of the first ones, beyond `start` and one in each longest wait for each that waits.

    It has no clock and no lock: it is used on one thread.

    Args:
        ratio: what each first call adds to the budget.
        burst: what the budget holds at most.
        start: what it holds at first: a few calls of a runner that has just begun.
        backoff: how long calls wait.
    """

    def __init__(
        self, ratio: float = 0.5, burst: float = 500.0, start: float = 10.0, backoff: Backoff | None = None
    ) -> None:
        self._ratio = ratio
        self._burst = burst
        self._tokens = min(start, burst)
        self._backoff = backoff or Backoff()

    def earn(self) -> None:
        """A call is made for the first time."""
        self._tokens = min(self._tokens + self._ratio, self._burst)

    def wait(self, tries: int, random: Random) -> float:
        """Seconds after which a call is made again.

        Args:
            tries: how often it was made in vain; starts at 1.
            random: for jitter.
        """
        if self._tokens < 1:
            return self._backoff.longest
        self._tokens -= 1
        return self._backoff.seconds(tries, random)


class SharedBudget:
    """A budget of calls that several threads make, each of which waits for itself.

    Args:
        random: for jitter.
        budget: None: one with its defaults.
    """

    def __init__(self, random: Random, budget: RetryBudget | None = None) -> None:
        self._random = random
        self._budget = budget or RetryBudget()
        self._lock = threading.Lock()

    def earn(self) -> None:
        """See `RetryBudget.earn`."""
        with self._lock:
            self._budget.earn()

    def wait(self, tries: int) -> float:
        """See `RetryBudget.wait`."""
        with self._lock:
            return self._budget.wait(tries, self._random)
