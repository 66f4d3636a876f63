"""What whoever runs an ECS job has to be allowed: the one place that knows it.

See "Actions, resources, and condition keys for Amazon Elastic Container Service" in AWS's service
authorization reference, and the examples in ECS's guide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from bunsui.aws.asking import ask
from bunsui.errors import AwsError, BunsuiError, PermissionDenied
from bunsui.jobs.aws import caller
from bunsui.jobs.verifying import is_known
from bunsui.ports.permissions import Permission, Unnamed

if TYPE_CHECKING:
    from bunsui.aws.connections import Connections
    from bunsui.ports.permissions import Where

#: Who is given the roles of a task.
_PASSED_TO = "ecs-tasks.amazonaws.com"
_ANY_ID = "0" * 32
_ARN = r"arn:aws[a-z-]*:ecs:[a-z0-9-]+:[0-9]{12}:"
_CLUSTER = re.compile(rf"(?:{_ARN}cluster/)?[a-zA-Z0-9_-]{{1,255}}")
_DEFINITION = re.compile(rf"(?:{_ARN}task-definition/)?[a-zA-Z0-9_-]{{1,255}}(?::[0-9]+)?")


@frozen
class Needed:
    """Actions, and what they are done with."""

    actions: tuple[str, ...]
    #: As a policy names it.
    resource: str
    #: One that is meant by that, as IAM's simulator is asked about it.
    sample: str
    #: By condition key, what an action comes with.
    context: Mapping[str, str] = field(factory=dict)
    #: How a policy compares these.
    operator: str = "StringEquals"
    #: The field of the job that it is because of.
    field: str = "task_definition"

    @property
    def permission(self) -> Permission:
        """The same, for a policy."""
        conditions = {self.operator: dict(self.context)} if self.context else {}
        return Permission(self.actions, [self.resource], conditions)


def of_tasks(definitions: str, definition: str, cluster: str) -> Iterator[Needed]:
    """What is done with tasks.

    Args:
        definitions: the task definition as a policy names it.
        definition: the ARN of one revision.
        cluster: the ARN of the cluster.
    """
    prefix, _, name = cluster.partition(":cluster/")
    in_cluster = {"ecs:cluster": cluster}
    yield Needed(("ecs:RunTask",), definitions, definition, in_cluster, "ArnEquals")
    # To follow a task, and to end it; the cluster stands in its ARN.
    tasks = f"{prefix}:task/{name}/"
    yield Needed(("ecs:DescribeTasks", "ecs:StopTask"), f"{tasks}*", tasks + _ANY_ID, in_cluster, "ArnEquals")
    # To find it. What it is asked of is "*", as no container instance is named.
    yield Needed(("ecs:ListTasks",), "*", "*", in_cluster, "ArnEquals")


def of_roles(definition: Mapping[str, Any], options: Mapping[str, Any]) -> Iterator[Needed]:
    """What is done with the roles of a task; of one that is not known yet nothing is said.

    Args:
        definition: as ECS describes it.
        options: the job's.
    """
    roles = {definition.get("executionRoleArn"): "task_definition"}
    if is_known(options, "task_role"):
        own = options.get("task_role")
        roles[own or definition.get("taskRoleArn")] = "task_definition" if own is None else "task_role"
    for role, name in roles.items():
        if role:
            context = {"iam:PassedToService": _PASSED_TO}
            yield Needed(("iam:PassRole",), role, role, context, field=name)


def permissions(aws: Connections, options: Mapping[str, Any], where: Where) -> Iterator[Permission | Unnamed]:
    """See `JobType.permissions`. ECS is asked which roles a task definition names."""
    name, cluster = options["task_definition"], options.get("cluster", "default")
    unnamed = [*_unnamed(options, "task_definition", name, _DEFINITION)]
    unnamed += _unnamed(options, "cluster", cluster, _CLUSTER)
    if unnamed:
        yield from unnamed
        return
    if not cluster.startswith("arn:"):
        cluster = where.arn("ecs", f"cluster/{cluster}")
    arn = name if name.startswith("arn:") else where.arn("ecs", f"task-definition/{name}")
    if not arn.rpartition(":")[2].isdigit():
        arn += ":*"  # Its latest revision is run, whichever that is then.
    yield Permission(["ecs:DescribeTaskDefinition"], ["*"])
    for needed in of_tasks(arn, arn, cluster):
        yield needed.permission
    if "tags" in options:
        prefix, _, plain = cluster.partition(":cluster/")
        conditions = {"StringEquals": {"ecs:CreateAction": "RunTask"}}
        yield Permission(["ecs:TagResource"], [f"{prefix}:task/{plain}/*"], conditions)
    yield from _roles(aws, options)


def _unnamed(
    options: Mapping[str, Any], name: str, value: str, pattern: re.Pattern[str]
) -> Iterator[Unnamed]:
    if not is_known(options, name):
        yield Unnamed(f"'{name}' is known only when the job starts")
    elif pattern.fullmatch(value) is None:
        yield Unnamed(f"'{name}' is {value!r:.200}, which names none")


def _roles(aws: Connections, options: Mapping[str, Any]) -> Iterator[Permission | Unnamed]:
    if not is_known(options, "task_role"):
        yield Unnamed("'task_role', which has to be passed, is known only when the job starts")
    name, as_ = options["task_definition"], caller(options)
    call = partial(aws.call, "ecs", "DescribeTaskDefinition", {"taskDefinition": name}, as_, name)
    try:
        definition = ask(aws, "ecs", as_, call)["taskDefinition"]
    except BunsuiError as error:
        if not isinstance(error, PermissionDenied) and not _is_answer(error):
            raise
        yield Unnamed(f"which roles its tasks have, and have to be passed, is not known: {error.message}")
        return
    for needed in of_roles(definition, options):
        yield needed.permission


def _is_answer(error: BunsuiError) -> bool:
    return isinstance(error, AwsError) and error.kind in ("refused", "credentials")
