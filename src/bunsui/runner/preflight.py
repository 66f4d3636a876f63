"""What must be right before a session is created: bindings, and what they name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bunsui.dsl.problems import Problem, did_you_mean, pointer
from bunsui.errors import ConfigError, DefinitionError
from bunsui.local.bindings import Bindings, Bound, importable
from bunsui.model.pipeline import LOCAL_PREFIX
from bunsui.ports.job_type import Function

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bunsui.local.supervisor import Supervisor
    from bunsui.model.pipeline import Job, Pipeline
    from bunsui.ports.job_type import JobType


def used_bindings(
    pipeline: Pipeline, given: Bindings, job_types: Mapping[str, JobType], *, local: bool
) -> Bindings:
    """Those of the given bindings that the pipeline's jobs use.

    Raises:
        DefinitionError: a job that is not bound can't run; all of them at once.
    """
    used: dict[str, dict[str, Bound]] = {}
    problems = []
    for i, job in enumerate(pipeline.jobs):
        kind = job_types[job.type]
        if kind.binding_field is None:
            continue
        name = job.options[kind.binding_field]
        bound_to = given.get(kind.name, {})
        if "${" in name:
            used.setdefault(kind.name, {}).update(bound_to)  # Known when the job starts.
        elif name in bound_to:
            used.setdefault(kind.name, {})[name] = bound_to[name]
        elif (reason := _unbound(kind, job, local=local)) is not None:
            problems.append(
                Problem(
                    "unbound-job",
                    f"job '{job.id}': {kind.binding_field} '{name}' is not bound, and {reason}",
                    did_you_mean(name, bound_to)
                    or f"bind it under '{kind.name}:' in bindings.yaml beside the definition",
                    path=pointer(["jobs", i, kind.binding_field]),
                )
            )
    if problems:
        raise DefinitionError(problems)
    return used


def _unbound(kind: JobType, job: Job, *, local: bool) -> str | None:
    if local:
        return "the run is local, so nothing may run on AWS"
    return kind.unavailable(job.options)


def check_imports(bindings: Bindings, supervisor: Supervisor) -> None:
    """Imports what the bindings name in the worker processes that will call it.

    Raises:
        DefinitionError: one can't be imported; all of them at once, with the reasons.
    """
    named = [(f"{kind}: {name}", to) for kind, names in bindings.items() for name, to in names.items()]
    reasons = supervisor.check(importable([to for _, to in named]))
    if reasons:
        raise DefinitionError(
            [
                Problem("unimportable-binding", f"binding '{name}': {reasons[to]}")
                for name, to in named
                if isinstance(to, Function) and to in reasons
            ]
        )


def check_callables(pipeline: Pipeline) -> None:
    """Makes sure that every callable of a pipeline can be found by this process.

    Raises:
        ConfigError: one exists only in the process that started the session.
    """
    for job in pipeline.jobs:
        target = job.options.get("callable", "")
        if isinstance(target, str) and target.startswith(LOCAL_PREFIX) and job.function is None:
            raise ConfigError(
                f"job '{job.id}' calls '{target}', a callable of the process that started the session",
                hint="put it into a module; the session stays resumable where it exists",
            )
