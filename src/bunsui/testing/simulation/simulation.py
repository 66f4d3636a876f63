"""One simulation: processes come and go, sessions are started and disturbed; then it calms down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import Any

from attrs import frozen

from bunsui.dsl import loader
from bunsui.errors import BunsuiError
from bunsui.model.pipeline import Pipeline
from bunsui.model.status import SessionStatus
from bunsui.plugins.registry import Plugins
from bunsui.ports.hooks import hookimpl
from bunsui.ports.job_type import JobType
from bunsui.ports.remote import RemoteJobType
from bunsui.runner.sessions.assuming import WORDS
from bunsui.runner.sessions.creation import session_id_of
from bunsui.testing.simulation.clients import Adopter, Client, asking, starting
from bunsui.testing.simulation.clock import WallClock
from bunsui.testing.simulation.invariants import Invariants
from bunsui.testing.simulation.pipelines import POOLS, SimulatedJob, random_pipeline
from bunsui.testing.simulation.runners import RunnerProcess
from bunsui.testing.simulation.services import SERVICES
from bunsui.testing.simulation.store import Truth
from bunsui.testing.simulation.world import Chance, Fault, Lane, World

#: Simulated seconds after the last disturbance by which all must have come to rest.
PATIENCE = 600.0
#: How far wall clocks jump; None: back to 1970.
JUMPS = (*(timedelta(hours=hours) for hours in (1, -1, 24, -24)), None)

#: What comes more often in some worlds.
EMPHASES = (
    None,
    None,
    "without effect",
    "after its effect",
    "away",
    "frozen",
    "killed",
    "slow",
    "asks",
    "lost",
)

#: Makes the job types of a simulation.
MakeJobTypes = Callable[[World], Iterable[JobType]]


@frozen
class Outcome:
    """What came of a simulation in which every invariant held."""

    seed: int
    #: How each session ended, by its id.
    statuses: Mapping[str, SessionStatus]
    #: The disturbances, in order.
    faults: Sequence[Fault]
    #: What happened, a line for each step that is worth one.
    trace: Sequence[str]
    #: How many things happened.
    steps: int
    #: Simulated seconds.
    seconds: float


class Simulation:
    """A world with processes, sessions and those who interfere with them.

    Args:
        world: all that happens follows from its seed.
        job_types: makes the job types, besides the simulated ones; called with the world.
        pipelines: what is run; None: random pipelines of the simulated types.

    Raises:
        DefinitionError: one of the pipelines is wrong, or has jobs of a type that is not there.
        Violation: what makes the job types says that an invariant does not hold.
    """

    def __init__(
        self,
        world: World,
        job_types: MakeJobTypes | None = None,
        pipelines: Sequence[Pipeline] | None = None,
    ) -> None:
        self.world, seed = world, world.seed
        self._rng = rng = Random(f"{seed}/scenario")  # noqa: S311 - a simulation
        world.roughness = rng.choice((0.0, 0.3, 1.0, 1.0, 2.5))
        world.emphasis = rng.choice(EMPHASES)
        world.lease = rng.choice((4.0, 10.0))
        digests: dict[str, Pipeline] = {}
        self.invariants = Invariants(world, digests)
        services = [service(world, self.invariants) for service in SERVICES]
        given = [] if job_types is None else [*job_types(world)]
        self.invariants.remote |= {
            made.name: made in services for made in (*services, *given) if isinstance(made, RemoteJobType)
        }
        self._plugins = Plugins([_Plugin([SimulatedJob(world), *services, *given])], autoload=False)
        self._types = dict(self._plugins.job_types)
        if pipelines is None:
            rates = {
                "simulated": 1.0,
                **dict.fromkeys((made.name for made in services), rng.choice((0.0, 0.2, 0.5))),
            }
            names = range(rng.choice((1, 1, 2, 3)))
            pipelines = [random_pipeline(rng, f"p{i}", rates) for i in names]
        else:
            for made in pipelines:
                loader.check(
                    made, self._types
                )  # Else what is wrong with it would look like a fault of the runner's.
        digests |= {made.digest: made for made in pipelines}
        self._pipelines = {session_id_of(f"{seed}-{i}"): made for i, made in enumerate(pipelines)}
        self._truth = Truth()
        self._wall = WallClock(world)
        self._places = rng.choice((1, 2, 8))
        self._chaos = rng.uniform(2, 8) * self.world.lease
        self._outside = Lane("outside")
        self._chance = Chance(world, "outside")
        self._processes: list[RunnerProcess] = []
        self._made = 0

    def run(self) -> Outcome:
        """Has all happen.

        Raises:
            Violation: an invariant did not hold.
        """
        try:
            return self._run()
        finally:
            self._end()

    def _run(self) -> Outcome:
        world = self.world
        for _ in range(self._rng.choice((1, 2, 3))):
            self._open()
        for i, pipeline in enumerate(self._pipelines.values()):
            self._start(self._rng.uniform(0, self._chaos / 2), pipeline, f"{world.seed}-{i}")
        world.after(0.1, self._outside, self._interfere)
        world.run_until(self._chaos)
        world.note("WORLD", "calms down")
        world.calm = True
        self._settle()
        self.invariants.check_end(self._truth)
        return Outcome(
            world.seed,
            {session: known.fold.status for session, known in self.invariants.sessions.items()},
            tuple(world.faults),
            tuple(world.trace),
            world.steps,
            world.time,
        )

    def _settle(self) -> None:
        """Waits until all sessions rest."""
        world, end = self.world, self.world.time + PATIENCE
        still = 0
        while still < 5:  # Seconds in which whoever was told that all is done tidies up.
            world.run_until(world.time + 1.0)
            still = 0 if self.invariants.restless else still + 1
            if world.time > end:
                stuck = [f"{known.session} ({known.fold.status})" for known in self.invariants.restless]
                world.fail("liveness", f"{', '.join(stuck)} did not come to rest")

    def _end(self) -> None:
        """Ends everybody who still waits for something."""
        for process in self._processes:
            process.die("ends with the world")
            process.abandon()

    # Processes

    def _open(self) -> None:
        """A process is started, to which an adopter belongs."""
        self._made += 1
        process = RunnerProcess(
            self.world,
            f"r{self._made}",
            self._truth,
            self._wall,
            self.invariants,
            self._plugins,
            lease=self.world.lease,
            places=self._places,
            pools=POOLS,
        )
        self._processes.append(process)
        self.world.note(process.name, "starts")
        Adopter(process, self.world.lease)

    def _alive(self) -> list[RunnerProcess]:
        return [process for process in self._processes if not process.dead and not process.is_stopping]

    def _close(self, process: RunnerProcess) -> None:
        """A process is ended in good order, in a thread of its own."""
        process.is_stopping = True
        timeout = self._rng.choice((0.0, 1.0, 30.0))

        def close() -> None:
            self.world.note(process.name, f"closes within {timeout} s")
            process.control.close(timeout)
            process.die("ends")

        self.world.soon(Lane(f"{process.name}.main", process), close)

    # Sessions

    def _start(self, seconds: float, pipeline: Pipeline, key: str) -> None:
        self.world.after(seconds, self._outside, lambda: self._start_now(pipeline, key))

    def _start_now(self, pipeline: Pipeline, key: str) -> None:
        alive = self._alive()
        if not alive:
            self._start(1.0, pipeline, key)
        for n, process in enumerate(self._rng.sample(alive, min(len(alive), self._rng.choice((1, 1, 1, 2))))):

            def then(_: Client, error: BunsuiError | None, n: int = n) -> None:
                if error is not None and not n:
                    self._start(1.0, pipeline, key)

            Client(process, f"start {key}", starting(process, pipeline, key, self._types), then)

    # Interference

    def _interfere(self) -> None:
        """One thing that somebody outside does; then the next."""
        world, chance = self.world, self._chance
        if len(self._alive()) < self._rng.choice((1, 2, 3)) or (world.calm and not self._alive()):
            self._open()
        if not world.calm and (alive := self._alive()):
            process = self._rng.choice(alive)
            if (shape := chance.fault("all wall clocks jump", 0.02)) is not None:
                self._wall.jump(JUMPS[int(shape * len(JUMPS))])
                world.wall_clocks_are_right = False
            if (shape := chance.fault(f"the wall clock of {process.name} is set", 0.02)) is not None:
                process.clock.skew = timedelta(hours=2 * shape - 1)
                world.wall_clocks_are_right = False
            if (shape := chance.fault("the store is away for all", 0.01)) is not None:
                for other in self._processes:
                    other.store.go_away(shape * 2.5 * self.world.lease)
            if chance.fault(f"{process.name} is killed", 0.01) is not None:
                process.die("is killed")
            elif chance.fault(f"{process.name} is closed", 0.01) is not None:
                self._close(process)
            elif sessions := list(self.invariants.sessions):
                self._control(process, self._rng.choice(sessions))
        world.after(self._rng.uniform(0.1, 1.0), self._outside, self._interfere)

    def _control(self, process: RunnerProcess, session: str) -> None:
        """Somebody pauses, cancels or resumes a session."""
        chance, name = self._chance, session[:4]
        for action, probability in (("pause", 0.02), ("cancel", 0.008), ("resume", 0.01)):
            if chance.fault(f"{process.name} asks to {action} {name}", probability) is not None:
                self._ask(process, session, action)
                return
        if chance.fault(f"{process.name} takes over {name}", 0.03) is not None:
            unknown = self.invariants.sessions[session].unknown
            said = {unit if isinstance(unit, str) else unit[0]: self._rng.choice(WORDS) for unit in unknown}
            Client(process, f"take over {name}", process.control.taking_over(session, assume=said))

    def _ask(self, process: RunnerProcess, session: str, action: str) -> None:
        def then(client: Client, error: BunsuiError | None) -> None:
            request = process.asked.get(client.lane)
            # Who resumes may find it at rest, and take it over without a request.
            if error is None and request is not None and action != "resume":
                self.invariants.acknowledged(process, session, request)

        steps = asking(process, session, self._pipelines[session], action)
        Client(process, f"{action} {session[:4]}", steps, then)


class _Plugin:
    """Brings the job types."""

    def __init__(self, types: Sequence[JobType]) -> None:
        self._types = types

    @hookimpl
    def bunsui_job_types(self) -> Sequence[Any]:
        """See `bunsui.plugins.hookspecs`."""
        return self._types
