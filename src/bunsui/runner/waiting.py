"""Calls that wait, step by step: what is waited for is decided apart from the waiting itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import closing
from typing import TypeVar

T = TypeVar("T")
#: What has to come before the next step: so many seconds have to pass, or an event has to be set.
Wait = float | threading.Event
#: A call that waits: what it yields is waited for, then it goes on.
Steps = Generator[Wait, None, T]


def complete(steps: Steps[T]) -> T:
    """Goes through all steps, waiting in this thread between them, and returns what they come to."""
    with closing(steps):
        while True:
            try:
                wait = next(steps)
            except StopIteration as ended:
                result: T = ended.value
                return result
            if isinstance(wait, threading.Event):
                wait.wait()
            else:
                time.sleep(wait)
