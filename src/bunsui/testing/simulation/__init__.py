"""A simulation of runners, stores and remote services that proves the engine, and job types of your own.

`simulate` runs whole runners, with all their real parts, in one thread: a clock that is told what time it is,
a store whose calls are slow, fail before and after their effect, and are where processes are killed and
frozen; several runners, several sessions, and people who interfere. All follows from a seed. After each step
invariants must hold, and at the end, when it has calmed down, every session must have come to rest.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bunsui.testing.simulation.shrinking import Failed, SimulationFailed, shrink
from bunsui.testing.simulation.simulation import MakeJobTypes, Outcome, Simulation
from bunsui.testing.simulation.world import Chance, Fault, Place, Violation, World

if TYPE_CHECKING:
    from bunsui.model.pipeline import Pipeline

__all__ = ["Chance", "Fault", "Outcome", "SimulationFailed", "World", "simulate"]


def simulate(
    seed: int,
    *,
    job_types: MakeJobTypes | None = None,
    pipelines: Sequence[Pipeline] | None = None,
) -> Outcome:
    """Simulates one world; what came of it, if every invariant held.

    Such as, for a job type of your own that is made around a fake of its service::

        from bunsui.testing import simulate


        def test_it_runs_each_key_once():
            for seed in range(200):
                service = FakeService()
                simulate(seed, job_types=lambda world: [MyJobType(service.reset(world))], pipelines=[mine])

    Args:
        seed: any whole number; the same one gives the same simulation.
        job_types: makes your job types for one simulation; it is called with the `World`, and again where a
            failure is run again. They share the simulation's one thread: what would take time calls
            ``world.pass_time``, disturbances come from ``world.chance``, and what must never happen
            is said with ``world.fail``.
        pipelines: what is run, each as a session; None: random pipelines of simulated jobs.

    Raises:
        DefinitionError: one of the pipelines is wrong, or has jobs of a type that is not among `job_types`.
        SimulationFailed: an invariant did not hold. It tells the seed, the disturbances that were
            needed for it, and the end of the trace.
    """
    failed = _failed(seed, job_types, pipelines, None)
    if isinstance(failed, Outcome):
        return failed

    def attempt(only: frozenset[Place]) -> Failed | None:
        again = _failed(seed, job_types, pipelines, only)
        return None if isinstance(again, Outcome) else again

    smallest, runs = shrink(failed, attempt)
    raise SimulationFailed(seed, smallest, runs)


def _failed(
    seed: int,
    job_types: MakeJobTypes | None,
    pipelines: Sequence[Pipeline] | None,
    only: frozenset[Place] | None,
) -> Outcome | Failed:
    with _garbage_waits():
        return _run(World(seed, only), job_types, pipelines)


@contextmanager
def _garbage_waits() -> Iterator[None]:
    """Has Python look for cycles only afterwards.

    It would do so after as many objects as the process happens to have made, and a runner that still has a
    definition which nobody uses any more reads it once less: the same seed would be another world.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _run(
    world: World, job_types: MakeJobTypes | None, pipelines: Sequence[Pipeline] | None
) -> Outcome | Failed:
    try:
        simulation = Simulation(world, job_types, pipelines)
    except Violation as violation:  # Of who makes the job types.
        return _failure(world, violation.kind, violation.text)
    try:
        return simulation.run()
    except Violation as violation:
        kind, text = violation.kind, violation.text
    except Exception as error:  # A fault of ours, or of a job type, that reached what runs it.
        kind, text = f"crash {type(error).__name__}", str(error)
    return _failure(world, kind, text)


def _failure(world: World, kind: str, text: str) -> Failed:
    return Failed(kind, text, tuple(world.faults), tuple(world.trace))
