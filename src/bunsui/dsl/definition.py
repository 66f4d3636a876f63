"""From a valid tree to a `Pipeline`, and back: the two say the same, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import fields

from bunsui.dsl.schema import JOB_FIELDS, seconds
from bunsui.model.pipeline import Job, Parameter, Pipeline, RetryPolicy

PARAMETER_FIELDS = ("name", "type", "required", "default", "description")


def to_pipeline(data: Mapping[str, Any]) -> Pipeline:
    """The pipeline that a tree describes which the validator found nothing wrong with."""
    return Pipeline(
        name=data["name"],
        jobs=[_job(job) for job in data["jobs"]],
        parameters=[_parameter(parameter) for parameter in data.get("parameters", ())],
        description=data.get("description"),
        version=data["version"],
        on_failure=data.get("on_failure", "continue"),
        max_concurrency=_whole(data.get("max_concurrency")),
        metadata=data.get("metadata", {}),
    )


def _parameter(data: Mapping[str, Any]) -> Parameter:
    return Parameter(
        **{key: data[key] for key in PARAMETER_FIELDS if key in data},
        constraints={key: value for key, value in data.items() if key not in PARAMETER_FIELDS},
    )


def _job(data: Mapping[str, Any]) -> Job:
    timeout = data.get("timeout")
    return Job(
        id=data["id"],
        type=data["type"],
        options={key: value for key, value in data.items() if key not in JOB_FIELDS},
        depends_on=data.get("depends_on", ()),
        parameters=data.get("parameters", {}),
        name=data.get("name"),
        description=data.get("description"),
        retry=_retry(data.get("retry")),
        timeout=None if timeout is None else _whole(seconds(timeout)),
        isolation=data.get("isolation"),
        allow_failure=data.get("allow_failure", False),
    )


def _retry(data: int | Mapping[str, Any] | None) -> RetryPolicy:
    if data is None:
        return RetryPolicy()
    if not isinstance(data, Mapping):
        return RetryPolicy(max_attempts=_whole(data))
    # With `retry`, max_attempts is 3 unless it says otherwise.
    numbers = {key: value if key in ("on", "jitter") else _whole(value) for key, value in data.items()}
    return RetryPolicy(**{"max_attempts": 3, **numbers})


def _whole(number: Any) -> Any:
    """A whole number as `int`: JSON Schema takes 3.0 for an integer, and equal values need one digest."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def to_dict(pipeline: Pipeline) -> dict[str, Any]:
    """The tree that `to_pipeline` reads; fields that equal their default are left out."""
    tree: dict[str, Any] = {"version": pipeline.version, "name": pipeline.name}
    if pipeline.description is not None:
        tree["description"] = pipeline.description
    if pipeline.parameters:
        tree["parameters"] = [_parameter_tree(parameter) for parameter in pipeline.parameters]
    if pipeline.on_failure != "continue":
        tree["on_failure"] = pipeline.on_failure
    if pipeline.max_concurrency is not None:
        tree["max_concurrency"] = pipeline.max_concurrency
    if pipeline.metadata:
        tree["metadata"] = dict(pipeline.metadata)
    tree["jobs"] = [_job_tree(job) for job in pipeline.jobs]
    return tree


def _parameter_tree(parameter: Parameter) -> dict[str, Any]:
    tree: dict[str, Any] = {"name": parameter.name, "type": parameter.type}
    if parameter.required:
        tree["required"] = True
    if parameter.default is not None:
        tree["default"] = parameter.default
    if parameter.description is not None:
        tree["description"] = parameter.description
    return tree | dict(parameter.constraints)


def _job_tree(job: Job) -> dict[str, Any]:
    tree: dict[str, Any] = {"id": job.id, "type": job.type}
    for name in ("name", "description", "timeout", "isolation"):
        value = getattr(job, name)
        if value is not None:
            tree[name] = value
    if job.allow_failure:
        tree["allow_failure"] = True
    if job.retry != RetryPolicy():
        tree["retry"] = _retry_tree(job.retry)
    if job.depends_on:
        tree["depends_on"] = list(job.depends_on)
    tree.update(job.options)
    if job.parameters:
        tree["parameters"] = dict(job.parameters)
    return tree


def _retry_tree(policy: RetryPolicy) -> dict[str, Any]:
    tree: dict[str, Any] = {"max_attempts": policy.max_attempts}
    for attribute in fields(RetryPolicy):
        value = getattr(policy, attribute.name)
        if attribute.name != "max_attempts" and value != attribute.default:
            tree[attribute.name] = list(value) if attribute.name == "on" else value
    return tree
