"""ECS: tasks that are started once for each token, live by a script, fail, and vanish."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define

from bunsui_tests.aws.ecs_tasks import Definition, Script, Task, new_id, prefix
from bunsui_tests.aws.messages import Call, Refusal
from bunsui_tests.aws.policies import Need
from bunsui_tests.aws.protocols import JsonService

#: ARNs of one DescribeTasks, and of a page of ListTasks.
MAX_TASKS = 100
#: Characters of a token, and of all overrides.
MAX_TOKEN = 64
MAX_OVERRIDES = 8192


@define
class _Failure:
    entry: dict[str, str]
    left: int
    when: Callable[[Call], Any] | None


class FakeEcs(JsonService):
    """ECS; clusters and task definitions are in every account and region, tasks in those of their call.

    Tasks are named by their ARN wherever the test names one; a `Task` will do, too.
    """

    name = "ecs"

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._clusters = {"default"}
        self._definitions: dict[str, list[Definition]] = {}
        self._tasks: dict[str, Task] = {}
        #: By cluster and token: what was asked for, and what was started.
        self._tokens: dict[tuple[str, str], tuple[dict[str, Any], list[Task]]] = {}
        self._failures: list[_Failure] = []
        #: How tasks live that are started from now on, all or each.
        self.script: Script | Callable[[Task], Script] = Script()

    def add_cluster(self, name: str) -> None:
        """A cluster that can be used from now on; ``default`` is there."""
        self._clusters.add(name)

    def define(self, family: str, *containers: str | dict[str, Any], **more: Any) -> Definition:
        """A task definition's next revision.

        Args:
            family: Its name.
            containers: Names, or whole container definitions; none: one named ``main``.
            more: Further fields, such as ``status="INACTIVE"``.
        """
        whole = tuple(
            {"image": "image", "essential": True, **({"name": each} if isinstance(each, str) else each)}
            for each in containers or ("main",)
        )
        with self._lock:
            revisions = self._definitions.setdefault(family, [])
            revisions.append(Definition(family, len(revisions) + 1, whole, more))
            return revisions[-1]

    def fail(
        self,
        reason: str = "RESOURCE:MEMORY",
        *,
        times: int = 1,
        detail: str | None = None,
        when: Callable[[Call], Any] | None = None,
    ) -> None:
        """The next RunTask calls start nothing, and say why in ``failures``."""
        entry = {"arn": "arn:aws:ecs:eu-central-1:123456789012:container-instance/i", "reason": reason}
        with self._lock:
            self._failures.append(_Failure(entry | ({"detail": detail} if detail else {}), times, when))

    @property
    def tasks(self) -> list[Task]:
        """The tasks that were started and not forgotten, oldest first."""
        with self._lock:
            return list(self._tasks.values())

    def task(self, arn: str | Task) -> Task:
        """A task."""
        with self._lock:
            return self._tasks[arn.arn if isinstance(arn, Task) else arn]

    def move(self, task: str | Task, status: str) -> None:
        """Gives a task another status than STOPPED, such as ``RUNNING``."""
        with self._lock:
            self.task(task).move(status)

    def stop(
        self,
        task: str | Task,
        exit_code: int | Mapping[str, int | None] | None = 0,
        *,
        reason: str | None = "Essential container in task exited",
        stop_code: str = "EssentialContainerExited",
        container_reason: str | None = None,
    ) -> None:
        """Ends a task.

        Args:
            task: It.
            exit_code: The first container's, where the others have 0; or each one's. None: there is none.
            reason: ``stoppedReason``.
            stop_code: ``stopCode``, such as ``TaskFailedToStart`` or ``SpotInterruption``.
            container_reason: The first container's ``reason``, such as an ``OutOfMemoryError``.
        """
        with self._lock:
            self.task(task).stop(exit_code, reason, stop_code, container_reason)

    def forget(self, task: str | Task) -> None:
        """A task is no longer known, as stopped ones are not after an hour; its token still is."""
        with self._lock:
            del self._tasks[self.task(task).arn]

    def show(self, task: Task) -> None:
        """A task that was forgotten is known again, as ECS shows one late."""
        with self._lock:
            self._tasks[task.arn] = task

    def forget_tokens(self) -> None:
        """All tokens are as if they had never been used."""
        with self._lock:
            self._tokens.clear()

    @property
    def actions(self) -> dict[str, Callable[[Call], dict[str, Any]]]:
        return {
            "RunTask": self._run,
            "DescribeTasks": self._describe,
            "ListTasks": self._list,
            "StopTask": self._stop,
            "DescribeTaskDefinition": self._describe_definition,
            "DescribeClusters": self._describe_clusters,
        }

    def needs(self, call: Call) -> list[Need]:
        """Tasks are listed of no resource where no container instance is named."""
        asked, action = call.parameters, f"ecs:{call.action}"
        name = asked.get("cluster", "default").rpartition("/")[2]
        in_cluster = {"ecs:cluster": f"{prefix(call)}cluster/{name}"}
        tasks = f"{prefix(call)}task/{name}/"
        if call.action in {"DescribeTasks", "StopTask"}:
            named = asked.get("tasks", []) if call.action == "DescribeTasks" else [asked["task"]]
            return [Need(action, f"{tasks}{task.rpartition('/')[2]}", in_cluster) for task in named]
        if call.action == "DescribeClusters":
            return [Need(action, in_cluster["ecs:cluster"])]
        if call.action != "RunTask":
            return [Need(action, "*", in_cluster if call.action == "ListTasks" else {})]
        definition = self._definition(call, "TaskDefinition not found.")
        overrides = asked.get("overrides", {})
        roles = [
            overrides.get("taskRoleArn", definition.more.get("taskRoleArn")),
            overrides.get("executionRoleArn", definition.more.get("executionRoleArn")),
        ]
        passed = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
        needs = [Need(action, definition.arn(call), in_cluster)]
        needs += [Need("iam:PassRole", role, passed) for role in roles if role]
        if asked.get("tags"):
            needs.append(Need("ecs:TagResource", f"{tasks}{new_id()}", {"ecs:CreateAction": "RunTask"}))
        return needs

    def _run(self, call: Call) -> dict[str, Any]:
        with self._lock:
            cluster = self._cluster(call)
            asked = {**call.parameters, "cluster": cluster}
            token = asked.pop("clientToken", None)
            if token is not None and not re.fullmatch(rf"[!-~]{{1,{MAX_TOKEN}}}", token):
                raise Refusal("InvalidParameterException", "clientToken is not valid.")
            known = self._tokens.get((cluster, token))
            if known:
                return self._again(asked, *known)
            definition = self._definition(call, "TaskDefinition not found.")
            _check(asked, definition)
            for failure in self._failures:
                if failure.left and (failure.when is None or failure.when(call)):
                    failure.left -= 1
                    return {"tasks": [], "failures": [failure.entry]}
            started = [self._start(call, cluster, definition, asked) for _ in range(asked.get("count", 1))]
            if token is not None:
                self._tokens[cluster, token] = (asked, started)
            return {"tasks": [task.shown(with_tags=True) for task in started], "failures": []}

    @staticmethod
    def _again(asked: dict[str, Any], before: dict[str, Any], started: list[Task]) -> dict[str, Any]:
        if asked != before:
            text = "The provided clientToken is already in use with a different RunTask request."
            raise Refusal("ConflictException", text, resourceIds=[task.arn for task in started])
        return {"tasks": [task.shown(with_tags=True) for task in started], "failures": []}

    def _start(self, call: Call, cluster: str, definition: Definition, asked: dict[str, Any]) -> Task:
        arn = f"{prefix(call)}task/{cluster.rpartition('/')[2]}/{new_id()}"
        task = Task(arn, cluster, definition, definition.arn(call), asked, Script())
        task.script = self.script if isinstance(self.script, Script) else self.script(task)
        self._tasks[arn] = task
        return task

    def _describe(self, call: Call) -> dict[str, Any]:
        named = call.parameters.get("tasks", [])
        if not 0 < len(named) <= MAX_TASKS:
            raise Refusal("InvalidParameterException", f"Tasks must be 1 to {MAX_TASKS}, not {len(named)}.")
        with self._lock:
            cluster = self._cluster(call)
            with_tags = "TAGS" in call.parameters.get("include", ())
            shown, failures = [], []
            for name in named:
                task = self._find(call, cluster, name)
                if task is None:
                    arn = name if name.startswith("arn:") else f"{prefix(call)}task/{name}"
                    failures.append({"arn": arn, "reason": "MISSING"})
                else:
                    task.live()
                    shown.append(task.shown(with_tags=with_tags))
            return {"tasks": shown, "failures": failures}

    def _list(self, call: Call) -> dict[str, Any]:
        asked = call.parameters
        if "startedBy" in asked and asked.keys() & {
            "family",
            "serviceName",
            "containerInstance",
            "launchType",
        }:
            raise Refusal("InvalidParameterException", "startedBy has to be the only filter.")
        size, start = asked.get("maxResults", MAX_TASKS), asked.get("nextToken", "0")
        if not 1 <= size <= MAX_TASKS or not start.isdecimal():
            raise Refusal("InvalidParameterException", "maxResults or nextToken is not valid.")
        with self._lock:
            cluster = self._cluster(call)
            found = [
                task.arn
                for task in self._tasks.values()
                if task.cluster == cluster
                and task.desired == asked.get("desiredStatus", "RUNNING")
                and asked.get("startedBy") in {None, task.started_by}
                and asked.get("family") in {None, task.definition.family}
                and asked.get("launchType") in {None, task.parameters.get("launchType")}
            ]
        end = int(start) + size
        page: dict[str, Any] = {"taskArns": found[int(start) : end]}
        return page | ({"nextToken": str(end)} if end < len(found) else {})

    def _stop(self, call: Call) -> dict[str, Any]:
        with self._lock:
            task = self._find(call, self._cluster(call), call.parameters["task"])
            if task is None:
                raise Refusal("InvalidParameterException", "The referenced task was not found.")
            if task.status != "STOPPED":
                task.desired, task.stop_code = "STOPPED", "UserInitiated"
                task.reason = call.parameters.get("reason", "Task stopped by user")
                if task.script.obeys:
                    code = 143 if task.status == "RUNNING" else None
                    task.stop(code, task.reason, task.stop_code, None)
            return {"task": task.shown()}

    def _describe_definition(self, call: Call) -> dict[str, Any]:
        with self._lock:
            found = self._definition(call, "Unable to describe task definition.", active=False)
        return {
            "taskDefinition": {
                "taskDefinitionArn": found.arn(call),
                "family": found.family,
                "revision": found.revision,
                "containerDefinitions": list(found.containers),
                "status": "ACTIVE",
                **found.more,
            }
        }

    def _describe_clusters(self, call: Call) -> dict[str, Any]:
        found, failures = [], []
        for given in call.parameters.get("clusters") or ["default"]:
            name, arn = given.rpartition("/")[2], f"{prefix(call)}cluster/{given.rpartition('/')[2]}"
            if name in self._clusters and given in {name, arn}:
                found.append({"clusterArn": arn, "clusterName": name, "status": "ACTIVE"})
            else:
                failures.append({"arn": given if given.startswith("arn:") else arn, "reason": "MISSING"})
        return {"clusters": found, "failures": failures}

    def _cluster(self, call: Call) -> str:
        given = call.parameters.get("cluster", "default")
        name, arn = given.rpartition("/")[2], f"{prefix(call)}cluster/{given.rpartition('/')[2]}"
        if name not in self._clusters or given not in {name, arn}:
            raise Refusal("ClusterNotFoundException", "Cluster not found.")
        return arn

    def _definition(self, call: Call, missing: str, *, active: bool = True) -> Definition:
        given = call.parameters.get("taskDefinition", "")
        family, _, revision = given.removeprefix(f"{prefix(call)}task-definition/").partition(":")
        revisions = self._definitions.get(family, [])
        number = int(revision) if revision.isdecimal() else len(revisions)
        if not 1 <= number <= len(revisions):
            raise Refusal("ClientException", missing)
        found = revisions[number - 1]
        if active and found.more.get("status") == "INACTIVE":
            raise Refusal("ClientException", "TaskDefinition is inactive")
        return found

    def _find(self, call: Call, cluster: str, name: str) -> Task | None:
        arn = name if name.startswith("arn:") else f"{prefix(call)}task/{cluster.rpartition('/')[2]}/{name}"
        task = self._tasks.get(arn)
        return task if task and task.cluster == cluster else None


def _check(asked: dict[str, Any], definition: Definition) -> None:
    """What ECS refuses of a RunTask before it looks for a place."""
    network = asked.get("networkConfiguration", {}).get("awsvpcConfiguration", {})
    overrides = asked.get("overrides", {})
    names = {container["name"] for container in definition.containers}
    wrong = None
    if asked.get("launchType") == "FARGATE" and not network.get("subnets"):
        wrong = "Network Configuration must be provided when networkMode 'awsvpc' is specified."
    elif len(json.dumps(overrides)) > MAX_OVERRIDES:
        wrong = f"Container Overrides length must be at most {MAX_OVERRIDES}"
    elif not re.fullmatch(r"[\w/-]{0,128}", asked.get("startedBy", "")):
        wrong = "startedBy has characters that are not allowed, or more than 128."
    elif not 1 <= asked.get("count", 1) <= 10:
        wrong = "count must be 1 to 10."
    for name in (each.get("name") for each in overrides.get("containerOverrides", ())):
        if name not in names:
            wrong = f"Override for container named {name} is not a container in the TaskDefinition."
    if wrong:
        raise Refusal("InvalidParameterException", wrong)
