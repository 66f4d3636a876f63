"""What a runner takes from the machine that it runs on: time, threads and chance."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from random import Random
from threading import Thread
from typing import TYPE_CHECKING

from attrs import field, frozen

from bunsui.runner.clock import SystemClock
from bunsui.runner.pool import Pool

if TYPE_CHECKING:
    from bunsui.ports.clock import Clock


def _random_id() -> str:
    return uuid.uuid4().hex


@frozen
class Surroundings:
    """The real ones, unless others are given."""

    clock: Clock = field(factory=SystemClock)
    #: For jitter.
    random: Random = field(factory=Random)
    #: Makes the threads of driver and heartbeat; takes what `threading.Thread` takes.
    thread: Callable[..., Thread] = Thread
    #: Makes the pool in which attempts run, of a number of threads.
    pool: Callable[[int], Pool] = Pool
    #: Makes names of runners and requests that nobody else has.
    new_id: Callable[[], str] = _random_id
    #: Whether a runner that was not closed is closed when the interpreter ends.
    closes_at_exit: bool = True
