"""What a runner of stubs has in place of its machine: time of its own, and as few threads as may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from bunsui.runner.attempts.pool import Pool, Task
from bunsui.runner.attempts.work import Work
from bunsui.runner.driving.heartbeat import Heartbeat
from bunsui.runner.surroundings import Surroundings
from bunsui.testing.stubbing.driver import CallersDriver, PassingDriver
from bunsui.testing.stubbing.work import StubbedWork, Waits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bunsui.model.job import Job
    from bunsui.runner.attempts.standing_in import WorkMaker
    from bunsui.testing.fakes.clock import FakeClock
    from bunsui.testing.fakes.escaped import Escaped
    from bunsui.testing.stubbing.stubs import Stubs

#: How many attempts run at once, in all and in each pool, as far as the pipeline does not say less.
PLACES = 32


class EveryPool(Mapping[str, int]):
    """The pools of pipelines, as far as those are known: each is there by itself, as large as the runner."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}

    def include(self, jobs: Iterable[Job]) -> None:
        """Has the pools of some jobs there. A driver may look at them meanwhile, in its thread."""
        self._sizes = {**self._sizes, **{job.pool: PLACES for job in jobs if job.pool is not None}}

    def __getitem__(self, pool: str) -> int:
        return self._sizes[pool]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)


def in_callers_thread(
    stubs: Stubs,
    clock: FakeClock,
    escaped: Sequence[Escaped],
    patience: float | None,
    **given: Any,
) -> Surroundings:
    """Those of a runner that drives a session, and calls its stubs, in the thread of whoever starts it.

    Args:
        stubs: what stands in for jobs.
        clock: what it goes by.
        escaped: where is looked for what the test is to end with, after each call of its code.
        patience: see `run_pipeline`.
        given: more of `Surroundings`.
    """
    waits = Waits(clock)
    return _surroundings(
        stubs,
        clock,
        partial(StubbedWork, stubs, waits, in_one_thread=True, patience=patience),
        pool=partial(_CallersPool, escaped),
        driver=partial(CallersDriver, waits=waits, patience=patience),
        **given,
    )


def in_threads(stubs: Stubs, clock: FakeClock, **given: Any) -> Surroundings:
    """Those of a runner with the threads that it has in reality; see `in_callers_thread`."""
    waits = Waits(clock)
    make = partial(StubbedWork, stubs, waits, in_one_thread=False, patience=None)
    return _surroundings(
        stubs, clock, make, pool=_ThreadsPool, driver=partial(PassingDriver, waits=waits), **given
    )


def _surroundings(stubs: Stubs, clock: FakeClock, make: WorkMaker, **given: Any) -> Surroundings:
    return Surroundings(
        clock=clock,
        machine_time=clock.machine_time,
        random=Random(0),  # noqa: S311 - the same in each run
        heartbeat=_NoHeartbeat,
        stand_in=partial(_stand_in, stubs, make),
        closes_at_exit=False,
        sends_alerts=False,
        **given,
    )


def _stand_in(stubs: Stubs, make: WorkMaker, job: Job) -> WorkMaker | None:
    return make if job.id in stubs else None


class _ThreadsPool(Pool):
    """Calls services where it is told to: what a fake of one does takes no time."""

    def submit(self, tasks: Iterable[Task]) -> None:
        """See `Pool.submit`."""
        left = []
        for task in tasks:
            if isinstance(task, Work):
                left.append(task)
            else:
                task()
        if left:
            super().submit(left)


class _CallersPool(Pool):
    """Calls services and stubs where it is told to; what is about the test leaves the run from there."""

    def __init__(self, escaped: Sequence[Escaped], limit: int) -> None:
        super().__init__(limit)
        self._escaped = escaped

    def submit(self, tasks: Iterable[Task]) -> None:
        """See `Pool.submit`.

        Raises:
            BaseException: what code of the test has raised that a job can't fail by alone.
        """
        left = []
        for task in tasks:
            if isinstance(task, Work) and not isinstance(task, StubbedWork):
                left.append(task)
                continue
            task()
            for each in self._escaped:
                each.raise_first()
        if left:
            super().submit(left)


class _NoHeartbeat(Heartbeat):
    """Never beats: nobody else can see such a runner."""

    def start(self) -> None:
        """Nothing is started."""
