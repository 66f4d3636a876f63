"""Whether a task definition and a cluster are there, fit the job, and may be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from bunsui.aws.asking import ask
from bunsui.aws.errors import is_denied
from bunsui.aws.permissions import Question, denied
from bunsui.errors import AwsError, BunsuiError, JobError
from bunsui.jobs.aws import FIELDS, caller
from bunsui.jobs.ecs_permissions import of_roles, of_tasks
from bunsui.jobs.ecs_request import read_definition
from bunsui.jobs.verifying import is_known, may_not, not_checked, not_known, place, refused

if TYPE_CHECKING:
    from bunsui.aws.connections import Connections
    from bunsui.ports.job_type import Finding, Hinted

#: The fields that AWS is asked about, beside the definition.
_LOOKED_AT = ("cluster", "container", "launch_type", "capacity_providers", "task_role")
#: What ECS says of something that is not there, or whose name can't be one's.
_NOT_THERE = frozenset({"ClientException", "InvalidParameterException", "ClusterNotFoundException"})


def findings(aws: Connections, options: Mapping[str, Any]) -> list[Finding | Hinted]:
    """See `JobType.verify`. ECS is asked what there is, and IAM what may be done with it."""
    if unknown := not_known(options, ("task_definition", *FIELDS)):
        return unknown
    return [*_Inquiry(aws, options).findings()]


class _Inquiry:
    """The questions that one job raises."""

    def __init__(self, aws: Connections, options: Mapping[str, Any]) -> None:
        self._aws = aws
        self._options = options
        self._caller = caller(options)

    def findings(self) -> Iterator[Finding | Hinted]:
        yield from not_known(self._options, _LOOKED_AT)
        try:
            answer = self._ask("DescribeTaskDefinition", taskDefinition=self._options["task_definition"])
        except BunsuiError as error:
            yield self._no_definition(error)
            # In a role that can't be taken nothing else can be asked, either.
            if not isinstance(error, AwsError) or error.action == "AssumeRole":
                return
            definition = None
        else:
            definition = answer["taskDefinition"]
            yield from self._of_definition(answer)
        cluster = None
        if is_known(self._options, "cluster"):
            found = self._cluster()
            if isinstance(found, tuple):
                yield found
            else:
                cluster = found
        if definition is not None and cluster is not None:
            yield from self._permissions(definition, cluster)

    def _ask(self, action: str, **parameters: Any) -> dict[str, Any]:
        name = self._options["task_definition"]
        call = partial(self._aws.call, "ecs", action, parameters, self._caller, name)
        return ask(self._aws, "ecs", self._caller, call)

    # The task definition

    def _no_definition(self, error: BunsuiError) -> Hinted:
        found = refused(error, self._options, "task_definition")
        if found is not None:
            return found
        if not isinstance(error, AwsError) or error.code not in _NOT_THERE:
            raise error
        name, where = self._options["task_definition"], place(self._aws, "ecs", self._caller, error)
        return (
            "task_definition",
            "unknown-task-definition",
            f"there is no task definition '{name}' in {where}",
            "register it, or name another, or another 'region' or 'role'",
        )

    def _of_definition(self, answer: Mapping[str, Any]) -> Iterator[Finding | Hinted]:
        found, options = answer["taskDefinition"], self._options
        name = f"task definition '{found.get('family')}:{found.get('revision')}'"
        status = found.get("status", "ACTIVE")
        if status != "ACTIVE":
            text = f"{name} is {status}, so no task of it can be started"
            yield "task_definition", "unknown-task-definition", text, "name a revision that is active"
            return
        if is_known(options, "container"):
            try:
                read_definition(answer, options.get("container"))
            except JobError as error:
                if "container" in options:
                    yield "container", "unknown-container", error.message
                else:
                    yield "task_definition", "several-containers", error.message
        yield from self._launch_type(found, name)
        if found.get("networkMode") == "awsvpc" and "network" not in options:
            text = f"the tasks of {name} have network interfaces of their own, and 'network' is missing"
            yield "task_definition", "missing-network", text, "such as network: {subnets: [subnet-0a1b2c3d]}"

    def _launch_type(self, found: Mapping[str, Any], name: str) -> Iterator[Finding | Hinted]:
        options = self._options
        if not is_known(options, "launch_type") or not is_known(options, "capacity_providers"):
            return
        field, wanted = "launch_type", options.get("launch_type")
        providers = options.get("capacity_providers", {})
        if any(provider in ("FARGATE", "FARGATE_SPOT") for provider in providers):
            field, wanted = "capacity_providers", "FARGATE"
        able = found.get("compatibilities", [])
        if wanted is not None and able and wanted not in able:
            text = f"{name} can't run on {wanted}; it can on {', '.join(able)}"
            yield field, "wrong-launch-type", text

    # The cluster

    def _cluster(self) -> str | Finding | Hinted:
        """The cluster's ARN, or what is wrong with it."""
        name = self._options.get("cluster", "default")
        field = "cluster" if "cluster" in self._options else ""
        status, failed = "MISSING", None
        try:
            described = self._ask("DescribeClusters", clusters=[name])["clusters"]
            if described:
                status = described[0]["status"]
        except AwsError as error:
            # The run itself does not ask for it.
            if is_denied(error):
                return not_checked(field, f"the caller may not look at cluster '{name}'")
            if error.code not in _NOT_THERE:
                raise
            failed = error
        if status == "ACTIVE":
            return str(described[0]["clusterArn"])
        where = place(self._aws, "ecs", self._caller, failed)
        text = f"there is no cluster '{name}' in {where}"
        if status != "MISSING":
            text = f"cluster '{name}' in {where} is {status}"
        return field, "unknown-cluster", text, "make it, or name another as 'cluster'"

    # What may be done

    def _permissions(self, definition: Mapping[str, Any], cluster: str) -> Iterator[Hinted]:
        arn = definition["taskDefinitionArn"]
        needs = [*of_tasks(arn, arn, cluster), *of_roles(definition, self._options)]
        fields = {needed.sample: needed.field for needed in needs}
        questions = [Question(needed.actions, needed.sample, needed.context) for needed in needs]
        for found in denied(self._aws, self._caller, questions):
            yield may_not(found, fields[found.resource])
