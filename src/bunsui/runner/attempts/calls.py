"""From an attempt to what its job type is given for it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, get_args

from bunsui.ports.job_type import JobCall, JobType, OnLost

if TYPE_CHECKING:
    from bunsui.model.pipeline import Job
    from bunsui.runner.attempts.host import Host
    from bunsui.runner.attempts.work import Work

_WORDS = get_args(OnLost)


def on_lost(job: Job, job_type: JobType | None) -> OnLost:
    """What is done about an attempt of which it can't be told whether it ran.

    Args:
        job: whose attempt it is.
        job_type: the job's; None: it is not known here, and may be one whose work goes on at a service.
    """
    if job.on_lost is not None:
        return job.on_lost  # type: ignore[return-value] # The schema has the same words.
    if job_type is not None:
        with suppress(BaseException):  # Foreign code: the attribute of somebody's class.
            if job_type.on_lost in _WORDS:
                return job_type.on_lost
    return "unknown"  # Also where what it says is junk: somebody is asked.


def call_of(work: Work, host: Host) -> JobCall:
    """What the job type of an attempt is given; the attempt itself is its workbench."""
    return JobCall(
        session_id=work.live.id,
        pipeline=work.live.pipeline.name,
        job_id=work.job.id,
        attempt=work.attempt,
        parameters=work.parameters,
        options=work.options,
        idempotency_key=work.key,
        deadline=host.machine_deadline(work.deadline),
        item=work.item,
        item_index=work.item_index,
        environment={} if work.carried is None else dict(work.carried.environment),
        folder=work.live.pipeline.base_dir,
        callable_folders=work.live.callable_folders,
        timeout=work.timeout,
        started_at=work.started_at,
        on_lost=on_lost(work.job, work.job_type),
        workbench=work,
    )
