"""What a runner takes from the machine that it runs on: time, threads, chance, and what jobs run there."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from random import Random
from threading import Thread
from typing import TYPE_CHECKING

from attrs import field, frozen

from bunsui.runner.attempts.pool import Pool
from bunsui.runner.attempts.standing_in import nothing
from bunsui.runner.clock import SystemClock
from bunsui.runner.driving.driver import Driver
from bunsui.runner.driving.heartbeat import Heartbeat

if TYPE_CHECKING:
    from bunsui.ports.clock import Clock
    from bunsui.runner.attempts.standing_in import StandIn


def _random_id() -> str:
    return uuid.uuid4().hex


@frozen
class Surroundings:
    """The real ones, unless others are given."""

    clock: Clock = field(factory=SystemClock)
    #: Makes of a time by that clock (monotonic) one by `time.monotonic`, by which processes end. None: it is
    #: one.
    machine_time: Callable[[float], float] | None = None
    #: For jitter.
    random: Random = field(factory=Random)
    #: Makes the threads of driver and heartbeat; takes what `threading.Thread` takes.
    thread: Callable[..., Thread] = Thread
    #: Makes the pool in which attempts run, of a number of threads.
    pool: Callable[[int], Pool] = Pool
    #: Makes the driver; takes what `Driver` takes.
    driver: Callable[..., Driver] = Driver
    #: Makes the heartbeat; takes what `Heartbeat` takes.
    heartbeat: Callable[..., Heartbeat] = Heartbeat
    #: How many jobs each pool takes at once; None: as the runner was told.
    pools: Mapping[str, int] | None = None
    #: What is done in place of a job's own work, such as a stub in a test, so that it needs no binding, and
    #: no cache is asked for its output; None: its own is done.
    stand_in: StandIn = nothing
    #: The environment, for the variables that definitions may name. It may hold secrets, so it is not shown.
    environ: Mapping[str, str] = field(factory=lambda: os.environ, repr=False)
    #: Makes names of runners and requests that nobody else has.
    new_id: Callable[[], str] = _random_id
    #: Whether sessions have alerts: somebody is told of what is no test.
    sends_alerts: bool = True
    #: Whether a runner that was not closed is closed when the interpreter ends.
    closes_at_exit: bool = True
