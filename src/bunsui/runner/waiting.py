"""Calls that wait, step by step: what is waited for is decided apart from the waiting itself."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import TypeVar

from bunsui.concurrency.notice import Notice

#: Seconds between the first two looks at a session that another runner drives.
POLL = 0.1
#: Seconds between the first two looks for the answer to a request; a runner sees one within a tick.
ASK_POLL = 0.025
#: Seconds that these pauses grow to: many who wait, or wait for long, must not wear out a store.
LONGEST_POLL = 0.5

T = TypeVar("T")
#: What has to come before the next step: so many seconds have to pass, or something has to be set.
Wait = float | Notice
#: A call that waits: what it yields is waited for, then it goes on.
Steps = Generator[Wait, None, T]


def pauses(first: float) -> Iterator[float]:
    """Seconds between looks: `first`, then by a half longer each time, `LONGEST_POLL` at most."""
    while True:
        yield first
        first = min(first * 1.5, LONGEST_POLL)


def complete(steps: Steps[T]) -> T:
    """Goes through all steps, waiting in this thread between them, and returns what they come to."""
    with closing(steps):
        while True:
            try:
                wait = next(steps)
            except StopIteration as ended:
                result: T = ended.value
                return result
            if isinstance(wait, Notice):
                wait.wait()
            else:
                time.sleep(wait)
