"""What a runner takes from the machine that it runs on: time, threads, chance, and what jobs run there."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from random import Random
from threading import Thread
from typing import TYPE_CHECKING

from attrs import field, frozen

from bunsui.runner.clock import SystemClock
from bunsui.runner.driver import Driver
from bunsui.runner.pool import Pool
from bunsui.runner.work import Work

if TYPE_CHECKING:
    from bunsui.model.job import Job
    from bunsui.ports.clock import Clock

#: Makes the work of an attempt, of what `Work` takes.
WorkMaker = Callable[..., Work]


def _random_id() -> str:
    return uuid.uuid4().hex


def _nothing(_: Job) -> WorkMaker | None:
    return None


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
    #: Makes the driver; takes what `Driver` takes.
    driver: Callable[..., Driver] = Driver
    #: What is done in place of a job's own work, such as a stub in a test, so that it needs no binding, and
    #: no cache is asked for its output; None: its own is done.
    stand_in: Callable[[Job], WorkMaker | None] = _nothing
    #: The environment, for the variables that definitions may name. It may hold secrets, so it is not shown.
    environ: Mapping[str, str] = field(factory=lambda: os.environ, repr=False)
    #: Makes names of runners and requests that nobody else has.
    new_id: Callable[[], str] = _random_id
    #: Whether a runner that was not closed is closed when the interpreter ends.
    closes_at_exit: bool = True
