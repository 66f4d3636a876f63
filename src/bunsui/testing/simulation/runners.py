"""A simulated process with a whole runner in it: all of its parts are the real ones, but those around it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from random import Random
from typing import TYPE_CHECKING, Any

from bunsui.runner.assembly import assemble
from bunsui.runner.attempts.pool import Pool, Task
from bunsui.runner.attempts.work import Work
from bunsui.runner.control import Control
from bunsui.runner.surroundings import Surroundings
from bunsui.testing.simulation.clock import ProcessClock, WallClock
from bunsui.testing.simulation.store import ProcessStore, Truth
from bunsui.testing.simulation.world import Chance, Killed, Lane, Process, World

if TYPE_CHECKING:
    from bunsui.plugins.registry import Plugins
    from bunsui.runner.driving.live import Live
    from bunsui.testing.simulation.invariants import Invariants

#: Seconds between two turns of a driver that has sessions, at most.
TURN = 0.25


class RunnerProcess(Process):
    """A process of one runner.

    Args:
        world: where it lives.
        name: also the runner's id.
        truth: the store that all processes share.
        wall: the wall clock that theirs follow.
        invariants: told of all that it does.
        plugins: the job types.
        lease: seconds.
        places: how many attempts it runs at once.
        pools: places by pool.
    """

    def __init__(
        self,
        world: World,
        name: str,
        truth: Truth,
        wall: WallClock,
        invariants: Invariants,
        plugins: Plugins,
        *,
        lease: float,
        places: int,
        pools: Mapping[str, int],
    ) -> None:
        super().__init__(name)
        self.world = world
        self.invariants = invariants
        self.lease = lease
        self.chance = Chance(world, name)
        self.clock = ProcessClock(world, wall, self.chance.random.uniform(0, 1e6))
        self.store = ProcessStore(world, self, self.clock, truth, invariants, lease)
        #: What each thread of it has asked for last, by the id of the request.
        self.asked: dict[Lane | None, str] = {}
        #: Sessions that were handed to its driver, until it drives them no more.
        self.lives: list[Live] = []
        self.is_stopping = False
        #: Calls that its threads are in the middle of, and some that are over.
        self.unfinished: list[Generator[Any, Any, Any]] = []
        self._names = 0
        self._driver_lane = Lane(f"{name}.driver", self)
        self._beat_lane = Lane(f"{name}.beat", self)
        self._turn_is_due = False
        surroundings = Surroundings(
            clock=self.clock,
            random=Random(f"{world.seed}/{name}/jitter"),  # noqa: S311 - a simulation
            thread=self._make_thread,
            pool=lambda size: _Pool(size, self),
            new_id=self._new_id,
            closes_at_exit=False,
        )
        self.parts = assemble(plugins, self.store, places, lease, pools=pools, surroundings=surroundings)
        self.control = _Control(self, lease)

    def _new_id(self) -> str:
        """First the runner's own, then those of requests."""
        self._names += 1
        if self._names == 1:
            return self.name
        self.asked[self.world.current] = made = f"{self.name}-{self._names}"
        return made

    def _make_thread(self, target: Callable[[], None], name: str, daemon: bool) -> threading.Thread:
        del daemon
        return _Thread(self, target, name)

    def die(self, why: str) -> None:
        """Ends the process at once."""
        self.world.note(self.name, why)
        self.dead = True

    def abandon(self) -> None:
        """Ends the calls of a process that is dead: what they would still do, the store refuses."""
        for steps in self.unfinished:
            with contextlib.suppress(Killed):
                steps.close()

    # The driver's thread

    def adopted(self, live: Live) -> None:
        """A session was handed to the driver."""
        self.invariants.adopted(live)
        self.lives.append(live)
        self.wake()

    def wake(self) -> None:
        """Has the driver make a turn soon, as it does when there is a message for it."""
        if not self._turn_is_due:
            self._turn_is_due = True
            self.world.soon(self._driver_lane, self._turn)

    def _turn(self) -> None:
        self._turn_is_due = False
        self.parts.driver.turn(0.0)
        for live in self.lives:
            self.invariants.believes(self, live)
        self.lives = [live for live in self.lives if not live.done.is_set() or live.unsent]
        if self.lives and not self._turn_is_due:
            self._turn_is_due = True
            self.world.after(self.world.random.uniform(0.01, TURN), self._driver_lane, self._turn)

    def wait_for_driver(self, timeout: float) -> None:
        """Waits until the driver has ended, which it does when it was told to stop."""
        world, end = self.world, self.world.time + timeout
        self.wake()
        while self.lives and world.time < end:
            world.pass_time(0.2)

    # The heartbeat's thread

    def start_beating(self) -> None:
        """Has the runner give signs of life."""
        self.world.after(self.lease / 3, self._beat_lane, self._beat)

    def _beat(self) -> None:
        self.parts.heartbeat.beat()
        self.world.after(self.lease / 3, self._beat_lane, self._beat)

    # The pool's threads

    def submitted(self, task: Task) -> None:
        """A task was handed to the pool."""
        if isinstance(task, Work):
            self.invariants.submitted(self, task)
        shape = self.chance.fault("a thread begins late", 0.03)
        seconds = self.world.random.uniform(0.0, 0.3) if shape is None else shape * 2 * self.lease
        lane = Lane(f"{self.name}.pool", self, self.world.time)
        self.world.after(seconds, lane, lambda: self._run(task))

    def _run(self, task: Task) -> None:
        if (shape := self.chance.fault("frozen before a task", 0.01)) is not None:
            self.world.pass_time(shape * 2 * self.lease, freeze=True)
        if self.chance.fault("killed before a task", 0.005) is not None:
            self.die("is killed")
            return
        if isinstance(task, Work):
            run = self.invariants.begun(self, task)
            task()
            self.invariants.ended(self, run, task)
        else:
            task()
        if self.chance.fault("killed after a task", 0.01) is not None:
            self.die("is killed")
        self.wake()


class _Control(Control):
    """Tells the process of the sessions that its driver is given."""

    def __init__(self, process: RunnerProcess, lease: float) -> None:
        super().__init__(process.parts, {}, lease)
        self._process = process

    def driving(self, live: Live) -> Any:
        """See `Control.driving`."""
        steps = super().driving(live)
        first = next(steps)
        self._process.adopted(live)
        yield first
        yield from steps


class _Pool(Pool):
    """Without threads: the world decides when a task runs."""

    def __init__(self, limit: int, process: RunnerProcess) -> None:
        super().__init__(limit)
        self._process = process

    def submit(self, tasks: Iterable[Task]) -> None:
        """See `Pool.submit`."""
        for task in tasks:
            self._process.submitted(task)


class _Thread(threading.Thread):
    """Never runs: the world makes the turns of the driver, and the beats of the heart."""

    def __init__(self, process: RunnerProcess, target: Callable[[], None], name: str) -> None:
        super().__init__(target=target, name=name, daemon=True)
        self._process = process

    def start(self) -> None:
        """Has the world do what the thread would."""
        if self.name == "bunsui-heartbeat":
            self._process.start_beating()

    def is_alive(self) -> bool:
        """Whether the process is."""
        return not self._process.dead

    def join(self, timeout: float | None = None) -> None:
        """Waits for the driver's end; the heartbeat's thread ends at once."""
        if self.name == "bunsui-driver":
            self._process.wait_for_driver(timeout or 0.0)
