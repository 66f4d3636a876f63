"""The simulated world: one time, one queue of what happens next, and the disturbances in between.

All happens in one thread. What would wait in reality, for a store that is slow or while it is frozen, lets
the rest of the world go on from within (`World.pass_time`), and so wakes up with an outdated view.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from random import Random
from typing import NoReturn

from attrs import frozen

#: How deep waits may be nested; at more, time passes without anything else happening.
MAX_DEPTH = 6

#: Who can be disturbed, and which of the times when that is possible, counted from 1.
Place = tuple[str, int]


class Killed(BaseException):
    """The process that this code runs in is gone; not an `Exception`, so that nothing handles it."""


class Violation(BaseException):
    """What must never happen has; not an `Exception`, so that no code under test handles it."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        #: Names the invariant, such as ``fencing``.
        self.kind = kind
        self.text = text


@frozen
class Fault:
    """A disturbance that was put in."""

    #: Where it was.
    place: Place
    kind: str
    #: When, in seconds since the beginning.
    time: float

    def __str__(self) -> str:
        return f"{self.time:9.3f} {self.place[0]}#{self.place[1]} {self.kind}"


class Chance:
    """Where disturbances come from, for one part of the world: its own numbers, whatever others draw.

    So a part meets the same fate where the disturbances of another are switched off.
    """

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        self.random = Random(f"{world.seed}/{name}")  # noqa: S311 - a simulation
        self._asked = 0

    def fault(self, kind: str, probability: float) -> float | None:
        """Whether a disturbance happens here.

        Args:
            kind: what it would be.
            probability: from 0 to 1, where the seed's world is of average roughness.

        Returns:
            A number from 0 to 1 to shape it by; None: it does not happen.
        """
        self._asked += 1
        world, chance, shape = self._world, self.random.random(), self.random.random()
        if world.emphasis is not None and world.emphasis in kind:
            probability *= 6
        if world.calm or chance >= probability * world.roughness:
            return None
        place = (self._name, self._asked)
        if world.only is not None and place not in world.only:
            return None
        world.faults.append(Fault(place, kind, world.time))
        world.note(self._name, f"!! {kind}")
        return shape


class Process:
    """Something that can be frozen and killed as a whole; threads of it are lanes."""

    def __init__(self, name: str) -> None:
        self.name = name
        #: How many times it was frozen and has not woken up.
        self.frozen = 0
        self.dead = False
        #: What waits for it to wake up, or for one of its lanes to be free.
        self.parked: list[tuple[Lane, Callable[[], None]]] = []


class Lane:
    """What does one thing at a time: a thread of a process, or somebody outside."""

    __slots__ = ("asked_at", "busy", "name", "process")

    def __init__(self, name: str, process: Process | None = None, asked_at: float | None = None) -> None:
        self.name = name
        self.process = process
        #: When what it does was decided; None: it decides by itself.
        self.asked_at = asked_at
        #: How many waits it is in.
        self.busy = 0

    @property
    def can_run(self) -> bool:
        """Whether it is not in the middle of something, and its process runs."""
        return not self.busy and (self.process is None or not self.process.frozen)


class World:
    """Time, and all that happens in it.

    Such as::

        from bunsui.testing import World

        class Service:
            def __init__(self, world):
                self.world = world
                self.disturbed = world.chance("service")

            def begin(self, token):
                self.world.note("service", f"begins {token}")
                self.world.pass_time(0.2)
                if self.disturbed.fault("away", 0.1):
                    raise ConnectionError("away")
                if not token:
                    self.world.fail("token", "work without a token")

        Service(World(seed=1)).begin("t")

    Args:
        seed: all that happens follows from it.
        only: the places at which disturbances happen, as far as the seed has some there; None: all.
    """

    def __init__(self, seed: int, only: frozenset[Place] | None = None) -> None:
        self.seed = seed
        self.only = only
        #: Seconds since the beginning; no part of the simulated code sees it.
        self.time = 0.0
        #: Decides who comes when.
        self.random = Random(f"{seed}/world")  # noqa: S311 - a simulation
        #: How rough it is: 0: nothing happens; 1: average.
        self.roughness = 1.0
        #: Seconds; that of all runners.
        self.lease = 10.0
        #: A word of the disturbances that come more often in this world, so that each kind has worlds of its
        #: own (Groce et al., Swarm Testing, 2012); None: all come as they do.
        self.emphasis: str | None = None
        #: Whether no wall clock has jumped.
        self.wall_clocks_are_right = True
        #: Whether the last disturbance is over.
        self.calm = False
        self.faults: list[Fault] = []
        self.trace: list[str] = []
        #: How many things have happened.
        self.steps = 0
        self.violation: Violation | None = None
        #: What runs now; None: nobody.
        self.current: Lane | None = None
        self._queue: list[tuple[float, int, Lane, Callable[[], None]]] = []
        self._order = count()
        self._depth = 0

    @property
    def under_way(self) -> float:
        """Seconds since what runs now, such as a call to a service, was decided by its runner."""
        lane = self.current
        return 0.0 if lane is None or lane.asked_at is None else self.time - lane.asked_at

    @property
    def is_on_time(self) -> bool:
        """Whether no other runner can have decided the same since; else it may be done once too often."""
        return self.under_way < self.lease / 2

    def chance(self, name: str) -> Chance:
        """Disturbances for a part of the world of your own, such as the fake of a service."""
        return Chance(self, name)

    def note(self, who: str, text: str) -> None:
        """Writes a line into the trace."""
        self.trace.append(f"{self.time:9.3f} {'  ' * self._depth}{who} {text}")

    def fail(self, kind: str, text: str) -> NoReturn:
        """Says that an invariant does not hold.

        Raises:
            Violation: always; again with each further step, should anybody have caught it.
        """
        self.note("WORLD", f"{kind}: {text}")
        if self.violation is None:
            self.violation = Violation(kind, text)
        raise self.violation

    def after(self, seconds: float, lane: Lane, call: Callable[[], None]) -> None:
        """Has something done by a lane in `seconds`, or as soon after that as the lane can.

        Such as::

            from bunsui.testing import World
            from bunsui.testing.simulation.world import Lane

            world, seen = World(seed=1), []
            world.after(2.0, Lane("clock"), lambda: seen.append(world.time))
            world.soon(Lane("other"), lambda: seen.append("soon"))
            world.run_until(5.0)
            print(seen, world.time)  # ['soon', 2.0] 5.0
        """
        heapq.heappush(self._queue, (self.time + seconds, next(self._order), lane, call))

    def soon(self, lane: Lane, call: Callable[[], None], most: float = 0.05) -> None:
        """Has something done within `most` seconds."""
        self.after(self.random.uniform(0.0, most), lane, call)

    def pass_time(self, seconds: float, *, freeze: bool = False) -> None:
        """Lets the rest of the world go on while what runs now waits.

        Args:
            seconds: how long at least.
            freeze: whether its whole process is frozen meanwhile, rather than its lane alone.

        Raises:
            Killed: its process was killed meanwhile.
        """
        lane = self.current
        if lane is None or self._depth >= MAX_DEPTH:
            self.time += seconds
            return
        process = lane.process
        lane.busy += 1
        if freeze and process is not None:
            process.frozen += 1
        self._depth += 1
        try:
            self.run_until(self.time + seconds)
        finally:
            self._depth -= 1
            self.current = lane
            lane.busy -= 1
            if process is not None:
                process.frozen -= freeze
                self._wake(process)
        if process is not None and process.dead:
            raise Killed

    def run_until(self, time: float) -> None:
        """Has all done that is due until then."""
        while self._queue and self._queue[0][0] <= time:
            self._step()
        self.time = max(self.time, time)

    def _step(self) -> None:
        due, _, lane, call = heapq.heappop(self._queue)
        process = lane.process
        if process is not None and process.dead:
            return
        self.time = max(self.time, due)
        if not lane.can_run:
            if process is not None:
                process.parked.append((lane, call))
            else:
                self.after(0.1, lane, call)
            return
        self.steps += 1
        before, self.current = self.current, lane
        try:
            call()
        except Killed:
            # Whoever was killed by this was this lane's process: any other that is dead finds out by itself.
            pass
        finally:
            self.current = before
        if self.violation is not None:
            raise self.violation

    def _wake(self, process: Process) -> None:
        parked, process.parked = process.parked, []
        for lane, call in parked:
            self.after(0.0, lane, call)
