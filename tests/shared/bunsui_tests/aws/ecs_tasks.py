"""Tasks of ECS: what they are, and how they live."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field, frozen

from bunsui_tests.aws.messages import Call

STATUSES = ("PROVISIONING", "PENDING", "RUNNING", "STOPPED")


@frozen
class Definition:
    """A revision of a task definition."""

    family: str
    revision: int
    #: As DescribeTaskDefinition shows them; the first is the essential one.
    containers: tuple[dict[str, Any], ...]
    #: Further fields of DescribeTaskDefinition.
    more: dict[str, Any]

    def arn(self, call: Call) -> str:
        """Its ARN, where a call looks for it."""
        return f"{prefix(call)}task-definition/{self.family}:{self.revision}"


@frozen
class Script:
    """How a task lives if nobody moves it."""

    #: After so many descriptions it has its next status, up to STOPPED; None: it stays as it is.
    every: int | None = 1
    #: The first container's at the end; None: there is none.
    exit_code: int | None = 0
    #: What it does before its end; what it returns, unless it is None, is the exit code.
    work: Callable[[Task], int | None] | None = None
    #: Whether StopTask stops it; else only its desired status changes.
    obeys: bool = True


@define
class Task:
    """A task. It changes as it lives: it is to be read, and moved by `FakeEcs` alone."""

    arn: str
    cluster: str
    definition: Definition
    definition_arn: str
    #: What RunTask was given.
    parameters: dict[str, Any]
    script: Script
    status: str = "PROVISIONING"
    desired: str = "RUNNING"
    #: By container; those without are missing.
    exit_codes: dict[str, int] = field(factory=dict)
    container_reason: str | None = None
    reason: str | None = None
    stop_code: str | None = None
    #: How often it was described with its present status.
    described: int = 0
    #: Seconds since 1970, by name; times that have not come are missing.
    times: dict[str, float] = field(factory=lambda: {"createdAt": time.time()})

    @property
    def id(self) -> str:
        """The last part of its ARN."""
        return self.arn.rpartition("/")[2]

    @property
    def started_by(self) -> str | None:
        """RunTask's ``startedBy``."""
        return self.parameters.get("startedBy")

    @property
    def overrides(self) -> dict[str, Any]:
        """RunTask's ``overrides``."""
        return dict(self.parameters.get("overrides", {}))

    @property
    def environment(self) -> dict[str, str]:
        """The first container's variables: the definition's, and over them the overrides'."""
        first = self.definition.containers[0]
        given = [
            each for each in self.overrides.get("containerOverrides", ()) if each.get("name") == first["name"]
        ]
        pairs = [pair for each in (first, *given) for pair in each.get("environment", ())]
        return {pair["name"]: pair["value"] for pair in pairs}

    def move(self, status: str) -> None:
        """Gives it a status, and the times that go with it."""
        self.status, self.described = status, 0
        if status == "RUNNING":
            self.times["startedAt"] = time.time()
        if status == "STOPPED":
            self.desired = "STOPPED"
            now = time.time()
            self.times |= {"stoppingAt": now, "executionStoppedAt": now, "stoppedAt": now}

    def stop(
        self,
        exit_code: int | Mapping[str, int | None] | None,
        reason: str | None,
        stop_code: str,
        container_reason: str | None,
    ) -> None:
        """Ends it; see `FakeEcs.stop`."""
        names = [container["name"] for container in self.definition.containers]
        if not isinstance(exit_code, Mapping):
            exit_code = dict.fromkeys(names, None if exit_code is None else 0) | {names[0]: exit_code}
        self.exit_codes = {name: code for name, code in exit_code.items() if code is not None}
        self.reason, self.stop_code, self.container_reason = reason, stop_code, container_reason
        self.move("STOPPED")

    def live(self) -> None:
        """It is described: it has its next status, where the script says so."""
        if self.script.every is None or self.status not in STATUSES[:-1]:
            return
        self.described += 1
        if self.described < self.script.every:
            return
        following = STATUSES[STATUSES.index(self.status) + 1]
        if following != "STOPPED":
            self.move(following)
            return
        code = self.script.work(self) if self.script.work else None
        code = self.script.exit_code if code is None else code
        self.stop(code, "Essential container in task exited", "EssentialContainerExited", None)

    def shown(self, *, with_tags: bool = False) -> dict[str, Any]:
        """As DescribeTasks shows it."""
        containers: list[dict[str, Any]] = []
        for container in self.definition.containers:
            name = container["name"]
            shown = {
                "containerArn": self.arn.replace(":task/", ":container/") + f"/{name}",
                "taskArn": self.arn,
                "name": name,
                "image": container["image"],
                "lastStatus": self.status if self.status in {"RUNNING", "STOPPED"} else "PENDING",
                "runtimeId": f"{self.id}-{name}",
            }
            if name in self.exit_codes:
                shown["exitCode"] = self.exit_codes[name]
            if self.container_reason and not containers:
                shown["reason"] = self.container_reason
            containers.append(shown)
        fields = {
            "taskArn": self.arn,
            "clusterArn": self.cluster,
            "taskDefinitionArn": self.definition_arn,
            "containers": containers,
            "lastStatus": self.status,
            "desiredStatus": self.desired,
            "group": self.parameters.get("group", f"family:{self.definition.family}"),
            "launchType": self.parameters.get("launchType"),
            "startedBy": self.started_by,
            "overrides": {"containerOverrides": [], **self.overrides},
            "stoppedReason": self.reason,
            "stopCode": self.stop_code,
            "tags": self.parameters.get("tags", []) if with_tags else [],
            **self.times,
        }
        return {name: value for name, value in fields.items() if value is not None}


def prefix(call: Call) -> str:
    """How the ARNs of ECS begin, where the call was made."""
    return f"arn:aws:ecs:{call.region}:{call.account}:"


def new_id() -> str:
    """The id of a task."""
    return uuid.uuid4().hex
