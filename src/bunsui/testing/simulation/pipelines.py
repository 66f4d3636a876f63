"""Random pipelines, and the jobs in them."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from bunsui.errors import JobError
from bunsui.model.job import Job, RetryPolicy
from bunsui.model.pipeline import Parameter, Pipeline
from bunsui.ports.job_type import JobCall, JobType

if TYPE_CHECKING:
    from bunsui.testing.simulation.world import World

#: What an attempt may come to, as (error code, retryable); None: success.
OUTCOMES = (("Throttled", True), ("Throttled", True), ("Broken", True), ("Broken", False))
PATTERNS = ((), (), ("Throttled",), ("*ed", "x"), ("nothing",))
#: The places of each pool.
POOLS: Mapping[str, int] = {"gpu": 1, "db": 2}


class SimulatedJob(JobType):
    """Work of a process of its own: some takes long, some fails; the same attempt always in the same way."""

    name: ClassVar[str] = "simulated"
    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {"failing": {"type": "number", "minimum": 0, "maximum": 1}},
        "additionalProperties": False,
    }

    def __init__(self, world: World) -> None:
        self._world = world

    def run(self, call: JobCall) -> Any:
        """Takes its time, and returns or raises what this attempt always does."""
        fate = Random(call.idempotency_key)  # noqa: S311 - a simulation
        if fate.random() < 0.2:
            self._world.pass_time(fate.choice((0.5, 2.0, 5.0, 20.0)))
        return outcome(fate, call, call.options.get("failing", 0))


def outcome(fate: Random, call: JobCall, failing: float) -> Any:
    """What comes of an attempt.

    Raises:
        JobError: it failed.
    """
    if fate.random() < failing:
        code, retryable = fate.choice(OUTCOMES)
        raise JobError("simulated", code=code, retryable=retryable)
    return {"job": call.job_id, "item": call.item_index, "attempt": call.attempt}


def random_pipeline(rng: Random, name: str, types: Mapping[str, float]) -> Pipeline:
    """A pipeline that has a bit of everything.

    Args:
        rng: decides.
        name: its name.
        types: how often each job type is taken.
    """
    ids = [f"j{i}" for i in range(rng.choice((1, 2, 3, 4, 6, 9)))]
    density = rng.choice((0.1, 0.3, 0.6))
    parents = {job: [parent for parent in ids[:i] if rng.random() < density] for i, job in enumerate(ids)}
    asking, fanning, failing = rng.choice((0, 0.3)), rng.choice((0, 0.3)), rng.choice((0, 0.1, 0.4))
    hurried = rng.choice((0, 0, 0.3))
    jobs = []
    for job in ids:
        fans = rng.random() < fanning
        jobs.append(
            Job(
                id=job,
                type=rng.choices(list(types), list(types.values()))[0],
                on_lost=rng.choice((None, None, "rerun", "unknown", "fail")),
                options={"failing": failing},
                depends_on=parents[job],
                retry=RetryPolicy(
                    max_attempts=rng.choice((1, 2, 3)),
                    delay=rng.choice((0, 0.5, 3)),
                    jitter=rng.choice(("none", "full")),
                    on=rng.choice(PATTERNS),
                ),
                allow_failure=rng.random() < 0.25,
                condition=_condition(rng, parents[job]) if rng.random() < asking else None,
                for_each=rng.choice(([], [1], [1, 2, 3], "${list}")) if fans else None,
                max_concurrency=rng.choice((None, 1, 2)) if fans else None,
                pool=rng.choice((None, None, None, *POOLS)),
                timeout=rng.choice((1.0, 4.0)) if rng.random() < hurried else None,
            )
        )
    return Pipeline(
        name=name,
        parameters=[Parameter("yes", "boolean", default=True), Parameter("list", "array", default=[4, 5])],
        jobs=jobs,
        on_failure=rng.choice(("continue", "continue", "stop")),
        max_concurrency=rng.choice((None, None, 1, 3)),
        timeout=rng.choice((None, None, None, 8.0, 40.0)),
        outputs=rng.choice(({}, {"x": "${yes}"})),
    )


def _condition(rng: Random, parents: list[str]) -> str:
    leaves = ["${yes}", "${yes} == false", "always()"]
    if parents:
        leaves += [f"{rng.choice(('succeeded', 'failed'))}({rng.choice(parents)})" for _ in range(4)]
    first, second = rng.choice(leaves), rng.choice(leaves)
    return rng.choice((first, f"not ({first})", f"({first}) and ({second})", f"({first}) or ({second})"))
