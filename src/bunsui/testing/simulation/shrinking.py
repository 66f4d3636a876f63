"""Fewer disturbances that make a simulation fail in the same way, and how that is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from attrs import frozen

from bunsui.testing.simulation.world import Fault, Place

#: How many lines of the trace a failure shows.
SHOWN = 40
#: How many times a failing simulation is run again to find out what is needed for it.
RUNS = 60


class SimulationFailed(AssertionError):
    """An invariant did not hold. The text says which, after which disturbances, and how to see it again.

    Such as::

        from bunsui.testing import SimulationFailed, simulate

        class Never(bunsui.JobType):
            name = "never"
            schema = {"type": "object", "properties": {}}

            def __init__(self, world):
                self.world = world

            def run(self, call):
                self.world.fail("never", "it ran")

        pipeline = bunsui.Pipeline("One", [bunsui.Job("a", "never")])
        try:
            simulate(1, job_types=lambda world: [Never(world)], pipelines=[pipeline])
        except SimulationFailed as failed:
            print(failed.seed, failed.kind)  # 1 never
    """

    def __init__(self, seed: int, failure: Failed, runs: int) -> None:
        faults = "\n".join(f"  {fault}" for fault in failure.faults) or "  none"
        shown = "\n".join(failure.trace[-SHOWN:])
        super().__init__(
            f"seed {seed}: {failure.kind}: {failure.text}\n"
            f"disturbances that are left after {runs} more runs:\n{faults}\n"
            f"the last {SHOWN} lines of the trace (seconds, who, what):\n{shown}\n"
            f"run it again: bunsui.testing.simulate({seed}), with the same job types and pipelines"
        )
        self.seed = seed
        #: Names the invariant, such as ``fencing``.
        self.kind = failure.kind
        self.faults = failure.faults
        #: The whole of it.
        self.trace = failure.trace


@frozen
class Failed:
    """How one run failed."""

    kind: str
    text: str
    faults: Sequence[Fault]
    trace: Sequence[str]


#: Runs a simulation with disturbances at these places only; None: it did not fail.
Attempt = Callable[[frozenset[Place]], Failed | None]


def shrink(failed: Failed, attempt: Attempt, runs: int = RUNS) -> tuple[Failed, int]:
    """The same kind of failure with as few disturbances as can be found, by leaving some out.

    After Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002.

    Args:
        failed: the first run.
        attempt: runs it again.
        runs: how often, at most.

    Returns:
        The failure, and the number of runs that it took.
    """
    used, size = 0, max(len(failed.faults) // 2, 1)
    while used < runs and failed.faults:
        for fewer in _without(failed.faults, size):
            if used == runs:
                break
            used += 1
            again = attempt(fewer)
            if again is not None and again.kind == failed.kind:
                failed = again
                size = min(size, max(len(failed.faults) // 2, 1))
                break
        else:
            if size == 1:
                break
            size //= 2
    return failed, used


def _without(faults: Sequence[Fault], size: int) -> Iterator[frozenset[Place]]:
    """The places of all but `size` of them, for each part of that size."""
    for start in range(0, len(faults), size):
        yield frozenset(fault.place for fault in (*faults[:start], *faults[start + size :]))
