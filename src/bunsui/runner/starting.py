"""From a decided start to work that can be submitted: input, options, binding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bunsui.errors import BunsuiError, JobError
from bunsui.expressions.references import Scope, resolve
from bunsui.local.bindings import for_options
from bunsui.runner.work import Host, Work

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from bunsui.engine.actions import Start
    from bunsui.model.pipeline import Job
    from bunsui.ports.job_type import JobType
    from bunsui.runner.live import Live


class Starter:
    """Prepares the attempts of one runner."""

    def __init__(self, job_types: Mapping[str, JobType], host: Host) -> None:
        self._job_types = job_types
        self._host = host

    def prepare(self, live: Live, start: Start) -> Work:
        """The work of an attempt, with everything that it needs.

        Raises:
            BunsuiError: a reference names something that is not there, or what was resolved does not
                fit; the job fails by it.
        """
        job = live.pipeline.job(start.job)
        state = live.machine.state
        created = state.created
        if created is None or state.started_at is None:
            raise BunsuiError(f"job '{job.id}' can't start before its session did")
        scope = Scope(created.parameters, state.jobs, live.id, state.started_at, live.pipeline.name)
        job_type = self._job_types[job.type]
        options = resolve(job.options, scope)
        if options != job.options:
            _check(job, job_type, options)
        bound = for_options(live.bindings, job_type, options)
        if bound is None and job_type.binding_field is not None:
            reason = job_type.unavailable(options)
            if live.local or reason is not None:
                name = options.get(job_type.binding_field)
                raise JobError(
                    f"{job_type.binding_field} '{name}' is not bound"
                    f"{'' if reason is None else f', and {reason}'}",
                    code="UnboundJob",
                    retryable=False,
                )
        parameters = resolve(job.parameters, scope)
        return Work(live, job, start.attempt, job_type, bound, parameters, options, self._host)


def _check(job: Job, job_type: JobType, options: Mapping[str, Any]) -> None:
    """Validates options that held references."""
    from bunsui.dsl.options import wrong_options  # noqa: PLC0415 - jsonschema: 80 ms

    wrong = wrong_options(job, job_type, options)
    if wrong:
        raise JobError("; ".join(wrong), code="InvalidOptions", retryable=False)
