"""From a valid tree to a `Pipeline`, and back: the two say the same, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

from attrs import fields

from bunsui.dsl.fields import JOB_FIELDS
from bunsui.dsl.parameters.fields import DECLARATION_FIELDS
from bunsui.dsl.schema import seconds
from bunsui.model.alerts import AlertRule
from bunsui.model.pipeline import CachePolicy, Job, Parameter, Pipeline, RetryPolicy, checked


def to_pipeline(
    data: Mapping[str, Any],
    jobs: Sequence[Mapping[str, Any]] | None = None,
    functions: Iterable[Callable[..., Any] | None] = (),
) -> Pipeline:
    """The pipeline that a tree describes which the validator found nothing wrong with.

    Args:
        data: the whole definition.
        jobs: its jobs with templates and defaults put into them; None: there are none to put in.
        functions: the objects behind the jobs' callables, for the first of them.
    """
    trees = data["jobs"] if jobs is None else jobs
    return checked(
        name=data["name"],
        jobs=list(map(_job, trees, chain(functions, repeat(None)))),
        parameters=[_parameter(parameter) for parameter in data.get("parameters", ())],
        description=data.get("description"),
        version=data["version"],
        on_failure=data.get("on_failure", "continue"),
        max_concurrency=_whole(data.get("max_concurrency")),
        timeout=_seconds(data.get("timeout")),
        outputs=data.get("outputs", {}),
        alerts=[to_rule(rule) for rule in data.get("alerts", ())],
        metadata=data.get("metadata", {}),
    )


def to_rule(data: Mapping[str, Any]) -> AlertRule:
    """The rule for alerts that a tree describes in which nothing is wrong."""
    numbers = ("silence", "above", "after")
    made = {name: _seconds(value) if name in numbers else _whole(value) for name, value in data.items()}
    return AlertRule(**made)


def _parameter(data: Mapping[str, Any]) -> Parameter:
    return Parameter(
        **{key: data[key] for key in DECLARATION_FIELDS if key in data},
        constraints={key: value for key, value in data.items() if key not in DECLARATION_FIELDS},
    )


def _job(data: Mapping[str, Any], function: Callable[..., Any] | None) -> Job:
    return Job(
        id=data["id"],
        type=data["type"],
        options={key: value for key, value in data.items() if key not in JOB_FIELDS},
        depends_on=data.get("depends_on", ()),
        parameters=data.get("parameters", {}),
        name=data.get("name"),
        description=data.get("description"),
        retry=_retry(data.get("retry")),
        condition=data.get("condition"),
        for_each=data.get("for_each"),
        max_concurrency=_whole(data.get("max_concurrency")),
        pool=data.get("pool"),
        on_lost=data.get("on_lost"),
        timeout=_seconds(data.get("timeout")),
        isolation=data.get("isolation"),
        allow_failure=data.get("allow_failure", False),
        cache=_cache(data.get("cache")),
        function=function,
    )


def _retry(data: int | Mapping[str, Any] | None) -> RetryPolicy:
    if data is None:
        return RetryPolicy()
    if not isinstance(data, Mapping):
        return RetryPolicy(max_attempts=_whole(data))
    # With `retry`, max_attempts is 3 unless it says otherwise.
    numbers = {key: value if key in ("on", "jitter") else _whole(value) for key, value in data.items()}
    return RetryPolicy(**{"max_attempts": 3, **numbers})


def _cache(data: Mapping[str, Any] | None) -> CachePolicy | None:
    if data is None:
        return None
    return CachePolicy(ttl=_seconds(data.get("ttl", CachePolicy().ttl)), key=data.get("key"))


def _seconds(duration: float | str | None) -> Any:
    return None if duration is None else _whole(seconds(duration))


def _whole(number: Any) -> Any:
    """A whole number as `int`: JSON Schema takes 3.0 for an integer, and equal values need one digest."""
    # Beyond 64 bits it stays as it is, since no integer is as large.
    fits = isinstance(number, float) and number.is_integer() and abs(number) < 2**63
    return int(number) if fits else number


def to_dict(pipeline: Pipeline) -> dict[str, Any]:
    """The tree that `to_pipeline` reads; fields that equal their default are left out."""
    tree: dict[str, Any] = {"version": pipeline.version, "name": pipeline.name}
    if pipeline.description is not None:
        tree["description"] = pipeline.description
    if pipeline.parameters:
        tree["parameters"] = [_parameter_tree(parameter) for parameter in pipeline.parameters]
    if pipeline.on_failure != "continue":
        tree["on_failure"] = pipeline.on_failure
    for name in ("max_concurrency", "timeout"):
        if getattr(pipeline, name) is not None:
            tree[name] = getattr(pipeline, name)
    if pipeline.alerts:
        tree["alerts"] = [rule.to_dict() for rule in pipeline.alerts]
    tree |= _unless_empty("metadata", pipeline.metadata)
    tree["jobs"] = [_job_tree(job) for job in pipeline.jobs]
    return tree | _unless_empty("outputs", pipeline.outputs)


def _unless_empty(name: str, value: Any) -> dict[str, Any]:
    """The field with this mapping. What is none is shown as it is, for the validator to see."""
    if not isinstance(value, Mapping):
        return {name: value}
    return {name: dict(value)} if value else {}


def _parameter_tree(parameter: Parameter) -> dict[str, Any]:
    tree: dict[str, Any] = {"name": parameter.name, "type": parameter.type}
    for name in ("required", "secret"):
        if (value := getattr(parameter, name)) is not False:
            tree[name] = value
    if parameter.default is not None:
        tree["default"] = parameter.default
    if parameter.description is not None:
        tree["description"] = parameter.description
    return tree | dict(parameter.constraints)


def _job_tree(job: Job) -> dict[str, Any]:
    tree: dict[str, Any] = {"id": job.id, "type": job.type}
    for name in ("name", "description"):
        if getattr(job, name) is not None:
            tree[name] = getattr(job, name)
    if job.depends_on:
        tree["depends_on"] = list(job.depends_on)
    for name in ("condition", "for_each", "max_concurrency", "pool", "timeout", "isolation", "on_lost"):
        value = getattr(job, name)
        if value is not None:
            tree[name] = value
    if job.allow_failure is not False:
        tree["allow_failure"] = job.allow_failure
    if job.retry != RetryPolicy():
        tree["retry"] = _retry_tree(job.retry)
    if job.cache is not None:
        tree["cache"] = _cache_tree(job.cache)
    tree.update(job.options)
    return tree | _unless_empty("parameters", job.parameters)


def _cache_tree(policy: Any) -> Any:
    if not isinstance(policy, CachePolicy):
        return policy
    return {"ttl": policy.ttl} if policy.key is None else {"ttl": policy.ttl, "key": policy.key}


def _retry_tree(policy: RetryPolicy) -> Any:
    if not isinstance(policy, RetryPolicy):
        return policy
    tree: dict[str, Any] = {"max_attempts": policy.max_attempts}
    for attribute in fields(RetryPolicy):
        value = getattr(policy, attribute.name)
        if attribute.name != "max_attempts" and value != attribute.default:
            tree[attribute.name] = list(value) if attribute.name == "on" else value
    return tree
