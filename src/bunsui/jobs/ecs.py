"""Amazon ECS tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar

from bunsui.aws.connections import Caller
from bunsui.errors import AwsError, JobError
from bunsui.jobs.aws import caller, console
from bunsui.jobs.aws_output import AwsOutputJobType
from bunsui.jobs.ecs_fields import SCHEMA
from bunsui.jobs.ecs_request import STARTED_BY, Definition, read_definition, run_task
from bunsui.jobs.ecs_task import STOPPED_HERE, failure_of, has_ended, is_out_of_capacity, not_placed
from bunsui.monitoring import conventions as names
from bunsui.ports.job_type import JobCall
from bunsui.ports.remote import (
    CannotTell,
    Failed,
    Found,
    NeverRan,
    Running,
    Succeeded,
)
from bunsui.ports.remote_log import LogPage

if TYPE_CHECKING:
    from bunsui.ports.job_type import Finding, Hinted
    from bunsui.ports.permissions import Permission, Unnamed, Where
    from bunsui.ports.remote_log import RemoteLog
    from bunsui.ports.services import Services

#: Tasks that one call of DescribeTasks takes: its API reference.
MAX_DESCRIBED = 100
#: How long after the start of an attempt its client token is certain to be known: "Ensuring idempotency" in
#: ECS's API reference speaks of 24 hours, at most; and a task that has stopped is shown for one hour only.
TOKEN_AGE = timedelta(minutes=55)
#: Task definitions that are remembered.
MAX_REMEMBERED = 1000


class EcsJobType(AwsOutputJobType):
    """``type: ecs``: runs a task, and waits for its end."""

    name: ClassVar[str] = "ecs"
    schema: ClassVar[Mapping[str, Any]] = SCHEMA
    open_fields: ClassVar[frozenset[str]] = frozenset({"command", "group", "tags"})
    binding_field: ClassVar[str | None] = "task_definition"
    service: ClassVar[str] = "ecs"
    poll_batch: ClassVar[int] = 1000

    def __init__(self, services: Services | None = None) -> None:
        super().__init__(services)
        self._definitions: dict[tuple[str, str | None, Caller], Definition] = {}

    def check(self, options: Mapping[str, Any], job: Mapping[str, Any]) -> list[Finding]:
        """See `JobType.check`."""
        del job
        if "launch_type" in options and "capacity_providers" in options:
            message = "'launch_type' and 'capacity_providers' exclude each other"
            return [("capacity_providers", "one-of", message)]
        return []

    def require(self, options: Mapping[str, Any]) -> None:
        """See `JobType.require`."""
        self._runner.aws.require("ecs", "RunTask", caller(options), options["task_definition"])

    def verify(self, options: Mapping[str, Any]) -> Sequence[Finding | Hinted]:
        """See `JobType.verify`: whether task definition and cluster are there, and may be used."""
        from bunsui.jobs.ecs_verifying import findings  # noqa: PLC0415 - only for 'pipeline check'

        return findings(self._runner.aws, options)

    def permissions(self, options: Mapping[str, Any], where: Where) -> Iterable[Permission | Unnamed]:
        """See `JobType.permissions`: to run, follow, find and stop a task, and to pass its roles."""
        from bunsui.jobs.ecs_permissions import permissions  # noqa: PLC0415 - only for 'iam-policy'

        return permissions(self._runner.aws, options, where)

    # Beginnings

    def submit(self, call: JobCall) -> Any:
        """See `RemoteJobType.submit`. The handle has what is needed to ask ECS for the task again."""
        options, services = call.options, self._runner
        as_ = caller(options, call.session_id)
        definition = self._definition(options, as_)
        parameters = run_task(call, definition, services.objects, self.output_url(call))
        try:
            answer = services.aws.call("ecs", "RunTask", parameters, as_, options["task_definition"])
        except AwsError as error:
            if (task := _known_by_token(error)) is not None:
                return self._handle(call, task, definition)
            if error.kind == "refused" and is_out_of_capacity(error.message):
                raise JobError(error.message, code="ECS.CapacityUnavailable") from error
            raise
        tasks = answer.get("tasks", [])
        if not tasks:
            name, cluster = options["task_definition"], parameters["cluster"]
            raise not_placed(answer.get("failures", []), name, cluster)
        return self._handle(call, tasks[0]["taskArn"], definition)

    def find(self, call: JobCall) -> Found | NeverRan | CannotTell:
        """See `RemoteJobType.find`: looks among the tasks that run, and those that have stopped lately."""
        options, aws = call.options, self._runner.aws
        as_ = caller(options)
        # It is the status that they are to have: what has just begun is to run.
        for status in ("RUNNING", "STOPPED"):
            parameters = {
                "cluster": options.get("cluster", "default"),
                "startedBy": STARTED_BY + call.idempotency_key,
                "desiredStatus": status,
            }
            tasks = aws.call("ecs", "ListTasks", parameters, as_, options["task_definition"])["taskArns"]
            if tasks:
                definition = self._definition(options, as_)
                return Found(self._handle(call, tasks[0], definition))
        # A task that ECS has begun and does not show yet is not started twice: it has the same client token.
        now = self._runner.clock.now()
        is_young = call.started_at is not None and now - call.started_at < TOKEN_AGE
        return NeverRan(is_certain=False) if is_young else CannotTell()

    def _definition(self, options: Mapping[str, Any], as_: Caller) -> Definition:
        """What the job runs. A revision never changes; which is the latest does, so it is asked again."""
        name, container = options["task_definition"], options.get("container")
        key = (name, container, Caller(as_.region, as_.role))
        found = self._definitions.get(key)
        if found is None:
            parameters = {"taskDefinition": name}
            try:
                answer = self._runner.aws.call("ecs", "DescribeTaskDefinition", parameters, as_, name)
            except AwsError as error:
                from bunsui.aws.errors import beforehand  # noqa: PLC0415 - only where something is wrong

                raise beforehand(error) from error.__cause__
            found = read_definition(answer, container)
            if name.rpartition(":")[2].isdigit():
                with self._lock:
                    if len(self._definitions) >= MAX_REMEMBERED:
                        self._definitions.clear()
                    self._definitions[key] = found
        return found

    def _handle(self, call: JobCall, task: str, definition: Definition) -> dict[str, Any]:
        options = call.options
        handle = {
            "task": task,
            "cluster": options.get("cluster", "default"),
            "container": definition.container,
            "log": definition.log,
            # Not the configured one, which may be another one where somebody else goes on with it.
            "region": task.partition(":ecs:")[2].partition(":")[0] or options.get("region"),
            "role": options.get("role"),
            "output": self.output_url(call),
        }
        return {name: value for name, value in handle.items() if value is not None}

    def span_attributes(self, options: Mapping[str, Any], handle: Any) -> Mapping[str, str | Sequence[str]]:
        """See `JobType.span_attributes`: the task, and where its log is."""
        found: dict[str, str | Sequence[str]] = {}
        if (launch_type := options.get("launch_type")) is not None:
            found[names.ECS_LAUNCH_TYPE] = launch_type.lower()
        if handle is None:
            return found
        from bunsui.jobs.ecs_log import stream_of  # noqa: PLC0415 - only where it is told

        arn, place = handle["task"], handle.get("log")
        begin, _, path = arn.partition(":task/")
        cluster, _, number = path.rpartition("/")
        found[names.ECS_TASK] = arn
        if cluster:
            found[names.ECS_CLUSTER] = f"{begin}:cluster/{cluster}"
            region = handle.get("region")
            found |= console(region, f"ecs/v2/clusters/{cluster}/tasks/{number}?region={region}")
        if place is not None:
            found[names.LOG_GROUPS] = [place["group"]]
            found[names.LOG_STREAMS] = [stream_of(place, handle["container"], arn)]
        return found

    # Watching

    def poll(self, handles: Sequence[Any]) -> Sequence[Running | Succeeded | Failed | CannotTell]:
        """See `RemoteJobType.poll`. The handles are of one account and region."""
        described = self.described(handles, itemgetter("cluster"), MAX_DESCRIBED, self._describe)
        return self.outcomes(handles, described, self._became)

    def is_gone(self, error: AwsError) -> bool:
        """See `AwsRemoteJobType.is_gone`: a cluster has gone with its tasks."""
        return error.code == "ClusterNotFoundException"

    def _describe(self, cluster: str, handles: Sequence[Any]) -> list[Mapping[str, Any] | None]:
        """The tasks as they are; None for those that ECS does not show."""
        tasks = [handle["task"] for handle in handles]
        parameters = {"cluster": cluster, "tasks": tasks}
        try:
            answer = self.look("DescribeTasks", parameters, handles[0], cluster)
        except AwsError as error:
            if self.is_gone(error):
                return [None] * len(tasks)
            raise
        found = {task["taskArn"]: task for task in answer.get("tasks", [])}
        return [found.get(task) for task in tasks]

    def _became(
        self, handle: Mapping[str, Any], task: Mapping[str, Any] | None
    ) -> Running | Failed | CannotTell | None:
        """See `AwsOutputJobType.outcomes`."""
        arn = handle["task"]
        if task is None:
            return self.while_missing(arn)
        self.is_there(arn)
        if not has_ended(task):
            return Running()
        return failure_of(task, handle["container"])

    def cancel(self, handle: Any) -> None:
        """See `RemoteJobType.cancel`."""
        parameters = {"cluster": handle["cluster"], "task": handle["task"], "reason": STOPPED_HERE}
        try:
            self._runner.aws.call("ecs", "StopTask", parameters, self.caller_of(handle), handle["task"])
        except AwsError as error:
            # ECS says so of a task that it does not show any more.
            if error.code not in ("InvalidParameterException", "ClusterNotFoundException"):
                raise

    # Reading

    def log_page(self, about: RemoteLog, token: Any) -> LogPage:
        """See `JobType.log_page`. A task has a log where its container's log driver is ``awslogs``."""
        from bunsui.jobs.cloudwatch import (  # noqa: PLC0415 - only for who reads logs
            Stream,
            end_of,
            milliseconds,
            page_of,
        )
        from bunsui.jobs.ecs_log import stream_of  # noqa: PLC0415 - likewise

        handle = about.handle
        place = handle.get("log")
        if place is None:
            return LogPage()
        start = None if about.since is None else milliseconds(about.since)
        stream = Stream(place["group"], stream_of(place, handle["container"], handle["task"]), start)
        as_ = Caller(place.get("region") or handle.get("region"), handle.get("role"))
        aws = self._runner.aws
        if token is None and about.last is not None and about.last <= about.limit:
            end = end_of(aws, as_, stream, about.last)
            if end is not None:
                return end
        return page_of(aws, as_, stream, token, about.limit)


def _known_by_token(error: AwsError) -> str | None:
    """The task that was started under the same client token with other parameters, such as a new secret's."""
    response = getattr(error.__cause__, "response", {})
    if error.code != "ConflictException":
        return None
    return next(iter(response.get("resourceIds", [])), None)
