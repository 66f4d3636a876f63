"""From an attempt to what Batch is asked for: SubmitJob's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from bunsui.expressions.resolution import render
from bunsui.jobs.containers import Limit, overrides, pairs

if TYPE_CHECKING:
    from bunsui.ports.job_type import JobCall
    from bunsui.ports.services import Objects

#: Batch itself takes 30 KiB ("Service quotas" in its guide), and hands the overrides on to ECS, which then
#: fails the job for more than 8,192 characters: "RunTask" in ECS's API reference. Variables of its own
#: (AWS_BATCH_JOB_ID, AWS_BATCH_JQ_NAME and the like) are among these: it names no number, so there is room.
LIMIT = Limit("Batch", "job", 8192 - 1000)
#: One layer tries again, and that is the runner: where Batch did, too, attempts would multiply.
ONCE = {"attempts": 1}
_RESOURCES = {"vcpus": "VCPU", "memory": "MEMORY", "gpus": "GPU"}


def submit_job(call: JobCall, objects: Objects | None, output_url: str | None) -> dict[str, Any]:
    """The parameters of SubmitJob; by the job's name, which is the attempt's key, it is found again.

    Args:
        call: the attempt.
        objects: where what does not fit into the overrides is put; None: nowhere.
        output_url: where the job may leave its output; None: nowhere.

    Raises:
        JobError: the overrides are too large.
        AwsError: the parameters could not be put there.
    """
    options = call.options
    made = partial(_overrides, options)
    parameters: dict[str, Any] = {
        "jobName": call.idempotency_key,
        "jobQueue": options["job_queue"],
        "jobDefinition": options["job_definition"],
        "containerOverrides": overrides(call, LIMIT, made, objects, output_url),
        "retryStrategy": ONCE,
    }
    names = {
        "placeholders": "parameters",
        "share_identifier": "shareIdentifier",
        "scheduling_priority": "schedulingPriorityOverride",
        "tags": "tags",
    }
    return parameters | {name: options[field] for field, name in names.items() if field in options}


def _overrides(options: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = {"environment": pairs(environment)}
    if "command" in options:
        made["command"] = [render(each) for each in options["command"]]
    resources = [
        {"type": kind, "value": render(options[field])}
        for field, kind in _RESOURCES.items()
        if field in options
    ]
    return made | ({"resourceRequirements": resources} if resources else {})
