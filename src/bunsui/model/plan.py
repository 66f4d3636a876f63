"""What a run would do: `Plan`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import frozen

from bunsui.model.job import no_job

__all__ = ["Plan", "PlannedJob"]

#: ``run``: it runs. ``maybe``: it hangs on a condition or a failure that nobody can tell yet. ``skip``: its
#: condition is false, or something that it depends on is skipped. ``reuse``: it takes over the output of the
#: session that is run again. ``cached``: an equal job has run before, and the cache has its output.
Prospect = Literal["run", "maybe", "skip", "reuse", "cached"]


@frozen
class PlannedJob:
    """What would become of one job.

    Such as::

        job = runner.plan(pipeline).job("load_data")
        print(job.prospect, job.stage, job.depends_on)  # run 2 ('extract_data',)
    """

    #: The job's.
    id: str
    #: The name of its job type.
    type: str
    #: ``run``, ``maybe``, ``skip``, ``reuse`` or ``cached``; see `Prospect`.
    prospect: Prospect
    #: Why; None where there is nothing to say but that it runs.
    reason: str | None
    #: The ids of the jobs that it waits for.
    depends_on: tuple[str, ...]
    #: Which of the plan's stages it is in; starts at 1.
    stage: int
    #: Its input; a text with ``${...}`` in it is known when the job starts, or is a secret.
    parameters: Mapping[str, Any]
    #: The fields of its type, likewise.
    options: Mapping[str, Any]
    #: How many items it would run for; None where it runs once, or nobody can tell yet.
    items: int | None = None
    #: Whether it runs once for each item of a list.
    fans_out: bool = False
    #: What it is bound to on this machine; None: it is not bound.
    bound_to: str | None = None
    #: The runner's pool that its attempts count in; None: none.
    pool: str | None = None
    #: The session whose output it would take over.
    origin: str | None = None
    #: The median of how long it took in past sessions, in seconds; None where there is none.
    seconds: float | None = None


@frozen
class Plan:
    """What a run would do. Made from a definition and its parameters; nothing was started or imported.

    Such as::

        plan = runner.plan(pipeline)
        print(plan.stages, plan.counts)  # (('extract_data',), ('load_data',)) {'run': 2}
    """

    #: The pipeline's name.
    pipeline: str
    #: The values of all declared parameters.
    parameters: Mapping[str, Any]
    #: In an order in which they can run.
    jobs: tuple[PlannedJob, ...]
    #: Job ids by stage: all of a stage can run at once as soon as the stages before it have ended.
    stages: tuple[tuple[str, ...], ...]
    #: The most attempts that would run at once: the limits of runner and pipeline, or the widest of the
    #: stages of the jobs that run (those that do not take no time), items of fan-outs counted.
    concurrency: int
    #: The jobs that decide how long it takes: the chain of dependent jobs that takes longest by past
    #: durations, a job without one counting as long as the median of the others; of no past durations, the
    #: longest chain. Jobs that do not run take no time.
    critical_path: tuple[str, ...] = ()
    #: How long that chain takes, in seconds; None where the past tells nothing of one of its jobs.
    seconds: float | None = None
    #: The session that would be run again.
    rerun_of: str | None = None
    #: How many past sessions the durations are from.
    past_sessions: int = 0

    def job(self, id: str) -> PlannedJob:  # noqa: A002 - the public name
        """The job with this id.

        Such as::

            print(runner.plan(pipeline).job("extract_data").parameters)  # {'bucket': 'flights'}

        Raises:
            NotFound: there is none.
        """
        for job in self.jobs:
            if job.id == id:
                return job
        raise no_job(f"the plan of '{self.pipeline}'", id, [job.id for job in self.jobs])

    @property
    def counts(self) -> dict[str, int]:
        """How many jobs have each prospect; those without a job are left out."""
        found: dict[str, int] = {}
        for job in self.jobs:
            found[job.prospect] = found.get(job.prospect, 0) + 1
        return found
