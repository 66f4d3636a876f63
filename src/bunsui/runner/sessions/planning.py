"""What a run would do, told before anything is started or imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from bunsui.engine import reasons
from bunsui.errors import BunsuiError, StoreError
from bunsui.expressions.conditions import parse_condition
from bunsui.expressions.evaluation import holds
from bunsui.expressions.references import Reference, references
from bunsui.expressions.resolution import ReferenceFailed, resolve
from bunsui.expressions.settling import Unsettled, settle
from bunsui.local.bindings import for_options
from bunsui.model.job import MAX_ITEMS
from bunsui.model.plan import Plan, PlannedJob, Prospect
from bunsui.ports.job_type import Command
from bunsui.runner.sessions import creation, digests, durations

if TYPE_CHECKING:
    from bunsui.expressions.resolution import Scope
    from bunsui.local.bindings import Bindings, Bound
    from bunsui.model.job import Job
    from bunsui.model.pipeline import Pipeline
    from bunsui.model.session import JobState
    from bunsui.ports.job_type import JobType
    from bunsui.runner.assembly import Parts
    from bunsui.runner.sessions.digests import Inputs
    from bunsui.runner.sessions.reruns import Earlier, Verdict

#: What is said of jobs that run, or may.
RUNNING: tuple[Prospect, ...] = ("run", "maybe")


def plan(
    pipeline: Pipeline,
    parameters: Mapping[str, Any],
    given: creation.Given,
    job_types: Mapping[str, JobType],
    parts: Parts,
    earlier: Earlier | None,
    jobs: str | Sequence[str],
    *,
    local: bool,
) -> Plan:
    """What a run would do; see `Runner.plan`."""
    inputs, used = creation.take_in(pipeline, parameters, given, job_types, parts, local=local)
    verdicts = {} if earlier is None else earlier.verdicts(pipeline, inputs, job_types, jobs)
    past, sessions = durations.past(parts.store, pipeline.name)
    foreseen = _Foresight(pipeline, inputs, verdicts, earlier, job_types, used, _lookup(pipeline, parts))
    stages = _stages(pipeline)
    of_stage = {job: number for number, stage in enumerate(stages, start=1) for job in stage}
    planned = {job: foreseen.job(job, of_stage[job], past.get(job)) for job in pipeline.graph.order}
    path, seconds = _critical_path(pipeline, planned)
    limits = [parts.max_concurrency, pipeline.max_concurrency or parts.max_concurrency]
    widest = _widest(pipeline, planned)
    return Plan(
        pipeline=pipeline.name,
        parameters=inputs.parameters,
        jobs=tuple(planned.values()),
        stages=stages,
        concurrency=min(*limits, widest),
        critical_path=path,
        seconds=seconds,
        rerun_of=None if earlier is None else earlier.state.id,
        past_sessions=sessions,
    )


class _Foresight:
    """Tells of one job after the other what would become of it, in an order in which they can run."""

    def __init__(
        self,
        pipeline: Pipeline,
        inputs: Inputs,
        verdicts: Mapping[str, Verdict],
        earlier: Earlier | None,
        job_types: Mapping[str, JobType],
        bindings: Bindings,
        lookup: Callable[[str], str | None] | None,
    ) -> None:
        self._pipeline = pipeline
        self._inputs = inputs
        self._verdicts = verdicts
        self._earlier = earlier
        self._job_types = job_types
        self._bindings = bindings
        #: The session whose output the cache has under a key; None: no job has a cache.
        self._lookup = lookup
        self._prospects: dict[str, Prospect] = {}
        #: The states of the jobs whose outputs are known already.
        self._known: dict[str, JobState] = {}

    def job(self, id_: str, stage: int, seconds: float | None) -> PlannedJob:
        """What would become of a job, after those that it depends on were told."""
        job = self._pipeline.job(id_)
        prospect, reason, origin = self._prospect(job)
        self._prospects[id_] = prospect
        if prospect == "reuse" and self._earlier is not None:
            self._known[id_] = self._earlier.state.jobs[id_]
        options = self._shown(job.options)
        items = None if job.for_each is None else self._settled(job.for_each)
        return PlannedJob(
            id=id_,
            type=job.type,
            prospect=prospect,
            reason=reason,
            depends_on=self._pipeline.graph.upstream[id_],
            stage=stage,
            parameters=self._shown(job.parameters),
            options=options,
            items=len(items) if isinstance(items, list) else None,
            fans_out=job.for_each is not None,
            bound_to=_bound_name(for_options(self._bindings, self._job_types[job.type], options)),
            pool=job.pool,
            origin=origin,
            seconds=seconds,
        )

    def _prospect(self, job: Job) -> tuple[Prospect, str | None, str | None]:
        certain, reason = self._admitted(job)
        if certain is False:
            return "skip", reason, None
        verdict = self._verdicts.get(job.id)
        if verdict is not None and verdict.origin is not None:
            return "reuse", verdict.reason, verdict.origin
        if certain is None:
            return "maybe", reason, None
        if (session := self._cached(job)) is not None:
            return "cached", "an equal job has run, and its output is kept", session
        return "run", None if verdict is None else verdict.reason, None

    def _admitted(self, job: Job) -> tuple[bool | None, str | None]:
        """Whether a job may run, as far as anybody can tell, and why (not)."""
        condition = None if job.condition is None else parse_condition(job.condition)
        doubt: str | None = None
        if condition is None or not condition.replaces_upstream:
            for parent in self._pipeline.graph.upstream[job.id]:
                if self._prospects[parent] == "skip":
                    return False, f"'{parent}', which it depends on, is skipped"
                if self._prospects[parent] == "maybe":
                    doubt = doubt or f"if '{parent}' runs"
        if condition is None:
            return (True, None) if doubt is None else (None, doubt)
        if condition.replaces_upstream or not all(self._is_known(o.reference) for o in condition.operands):
            return None, f"if {reasons.shown(job.condition)}"
        try:
            if not holds(condition.root, self._scope()):
                return False, reasons.is_false(job.condition)
        except BunsuiError as error:
            return None, f"it will fail: {error.message}"
        return (True, None) if doubt is None else (None, doubt)

    def _cached(self, job: Job) -> str | None:
        """The session whose output a job would find in the cache, as far as anybody can tell."""
        if job.cache is None or self._lookup is None or job.for_each is not None:
            return None
        from bunsui.runner.attempts.caching import cache_key  # noqa: PLC0415 - few jobs have a cache

        named = references([job.options, job.parameters, job.cache.key])
        if not all(isinstance(each[3], Reference) and self._is_settled(each[3]) for each in named):
            return None
        scope = self._scope()
        try:
            options, parameters, key = (
                resolve(v, scope) for v in (job.options, job.parameters, job.cache.key)
            )
            bound = for_options(self._bindings, self._job_types[job.type], options)
            name = cache_key(job, options, parameters, key, bound=bound, folder=self._pipeline.base_dir)
            return None if name is None else self._lookup(name)
        except (ReferenceFailed, StoreError):  # It fails when it starts, and says so; or runs.
            return None

    def _is_settled(self, reference: Reference) -> bool:
        """Whether a reference means the same when the job starts; a secret counts by its name."""
        return reference.root == "secrets" or self._is_known(reference)

    def _is_known(self, reference: Reference) -> bool:
        if reference.root == "jobs":
            return str(reference.path[0]) in self._known
        return digests.is_known(reference)

    def _scope(self) -> Scope:
        return self._inputs.scope(self._pipeline, self._known)

    def _settled(self, value: Any) -> Any:
        return settle(value, self._scope(), self._is_known)

    def _shown(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values as a plan shows them: what is not known stands there as in the definition."""
        return {name: _text(self._settled(value)) for name, value in values.items()}


def _lookup(pipeline: Pipeline, parts: Parts) -> Callable[[str], str | None] | None:
    if all(job.cache is None for job in pipeline.jobs):
        return None
    from bunsui.runner.attempts.caching import Caching  # noqa: PLC0415 - few jobs have a cache

    return Caching(parts.store, parts.artifacts, parts.clock).lookup


def _text(value: Any) -> Any:
    if isinstance(value, Unsettled):
        return value.text
    if isinstance(value, dict):
        return {key: _text(item) for key, item in value.items()}
    return [_text(item) for item in value] if isinstance(value, list) else value


def _bound_name(bound: Bound | None) -> str | None:
    if bound is None:
        return None
    return " ".join(bound.argv) if isinstance(bound, Command) else bound.target


def _width(job: Job, planned: PlannedJob) -> int:
    """How many attempts of a job can run at once; of an unknown list, as many as there may be."""
    if planned.prospect not in RUNNING:
        return 0
    if not planned.fans_out:
        return 1
    items = MAX_ITEMS if planned.items is None else planned.items
    return items if job.max_concurrency is None else min(items, job.max_concurrency)


def _widest(pipeline: Pipeline, planned: Mapping[str, PlannedJob]) -> int:
    """How many attempts could run at once, were every job as slow as any other that can run beside it.

    Jobs that do not run hold nobody up: what follows them may run beside what is before them.
    """
    depth: dict[str, int] = {}
    widths: dict[int, int] = {}
    for job, one in planned.items():
        before = max((depth[parent] for parent in one.depends_on), default=0)
        depth[job] = before + (one.prospect in RUNNING)
        widths[depth[job]] = widths.get(depth[job], 0) + _width(pipeline.job(job), one)
    return max(widths.values(), default=0)


def _stages(pipeline: Pipeline) -> tuple[tuple[str, ...], ...]:
    """Job ids by how many jobs are before them at least, in the definition's order."""
    depth: dict[str, int] = {}
    for job in pipeline.graph.order:
        depth[job] = 1 + max((depth[parent] for parent in pipeline.graph.upstream[job]), default=-1)
    stages: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for one in pipeline.jobs:
        stages[depth[one.id]].append(one.id)
    return tuple(map(tuple, stages))


def _critical_path(
    pipeline: Pipeline, planned: Mapping[str, PlannedJob]
) -> tuple[tuple[str, ...], float | None]:
    """The chain of dependent jobs that takes longest, those that run, and how long; see `Plan`."""
    running = {job: one.seconds for job, one in planned.items() if one.prospect in RUNNING}
    known = [seconds for seconds in running.values() if seconds is not None]
    usual = median(known) if known else 1.0
    weights = dict.fromkeys(planned, 0.0)
    weights |= {job: usual if seconds is None else seconds for job, seconds in running.items()}
    path = tuple(job for job in pipeline.graph.critical_path(weights) if job in running)
    took = [running[job] for job in path]
    return path, None if None in took or not known else sum(seconds for seconds in took if seconds)
