"""From an attempt to what ECS is asked for: RunTask's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import frozen

from bunsui.errors import JobError
from bunsui.expressions.resolution import render
from bunsui.jobs.containers import Limit, overrides, pairs
from bunsui.jobs.ecs_log import place_of

if TYPE_CHECKING:
    from bunsui.ports.job_type import JobCall
    from bunsui.ports.services import Objects

#: Of a task's overrides: "RunTask" in ECS's API reference.
LIMIT = Limit("ECS", "task", 8192)
#: Begins what a task was started by, which its attempt's key follows: ListTasks finds it by that.
STARTED_BY = "bunsui/"


@frozen
class Definition:
    """What of a task definition is needed to run it."""

    #: Its ARN, with the revision.
    arn: str
    #: The container that gets the job's parameters, and whose end is the job's.
    container: str
    #: Whether its tasks have network interfaces of their own, as Fargate's do.
    is_awsvpc: bool
    #: Where that container's log is, see `place_of`; None: nowhere that it could be read from.
    log: Mapping[str, str] | None = None


def read_definition(answer: Mapping[str, Any], container: str | None) -> Definition:
    """A task definition, as DescribeTaskDefinition gives it.

    Args:
        answer: that answer.
        container: the one that the job names; None: the only one without which the task ends.

    Raises:
        JobError: there is no such container, or there are several.
    """
    found = answer["taskDefinition"]
    containers = found.get("containerDefinitions", [])
    names = [each["name"] for each in containers]
    # "essential" is true where it is not said.
    essential = [each["name"] for each in containers if each.get("essential", True)]
    family = f"{found.get('family')}:{found.get('revision')}"
    if container is not None and container not in names:
        text = f"task definition '{family}' has no container '{container}'; it has {', '.join(names)}"
        raise JobError(text, code="ECS.NoSuchContainer", retryable=False)
    if container is None and len(essential) != 1:
        text = (
            f"task definition '{family}' has {len(essential)} essential containers ({', '.join(essential)})"
        )
        raise JobError(f"{text}; name one as 'container'", code="ECS.SeveralContainers", retryable=False)
    is_awsvpc = found.get("networkMode") == "awsvpc"
    name = container or essential[0]
    log = place_of(next(each for each in containers if each["name"] == name))
    return Definition(found["taskDefinitionArn"], name, is_awsvpc, log)


def run_task(
    call: JobCall, definition: Definition, objects: Objects | None, output_url: str | None
) -> dict[str, Any]:
    """The parameters of RunTask.

    Args:
        call: the attempt.
        definition: what is run.
        objects: where what does not fit into the overrides is put; None: nowhere.
        output_url: where the task may leave its output; None: nowhere.

    Raises:
        JobError: the overrides are too large.
        AwsError: the parameters could not be put there.
    """
    options = call.options
    made = partial(_overrides, options, definition.container)
    parameters: dict[str, Any] = {
        "taskDefinition": definition.arn,
        "cluster": options.get("cluster", "default"),
        "count": 1,
        "clientToken": call.idempotency_key,
        "startedBy": STARTED_BY + call.idempotency_key,
        "overrides": overrides(call, LIMIT, made, objects, output_url),
    }
    if "capacity_providers" in options:
        parameters["capacityProviderStrategy"] = [
            {"capacityProvider": name, "weight": weight}
            for name, weight in options["capacity_providers"].items()
        ]
    elif "launch_type" in options:
        parameters["launchType"] = options["launch_type"]
    for field, name in (("platform_version", "platformVersion"), ("group", "group")):
        if field in options:
            parameters[name] = options[field]
    if (network := options.get("network")) is not None:
        vpc = {"subnets": network["subnets"]}
        if "security_groups" in network:
            vpc["securityGroups"] = network["security_groups"]
        if "assign_public_ip" in network:
            vpc["assignPublicIp"] = "ENABLED" if network["assign_public_ip"] else "DISABLED"
        parameters["networkConfiguration"] = {"awsvpcConfiguration": vpc}
    if "tags" in options:
        parameters["tags"] = [{"key": key, "value": value} for key, value in options["tags"].items()]
    return parameters


def _overrides(options: Mapping[str, Any], container: str, environment: Mapping[str, str]) -> dict[str, Any]:
    of_container: dict[str, Any] = {
        "name": container,
        "environment": pairs(environment),
    }
    if "command" in options:
        of_container["command"] = [render(each) for each in options["command"]]
    made: dict[str, Any] = {"containerOverrides": [of_container]}
    for field in ("cpu", "memory"):
        if field in options:
            made[field] = str(options[field])
    if "task_role" in options:
        made["taskRoleArn"] = options["task_role"]
    return made
