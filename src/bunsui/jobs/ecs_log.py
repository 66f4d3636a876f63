"""Where the log of a task's container is, as its task definition says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The log driver that writes to CloudWatch Logs: "Using the awslogs log driver" in ECS's guide.
DRIVER = "awslogs"


def place_of(container: Mapping[str, Any]) -> dict[str, str] | None:
    """What is needed of a container's definition to find the log of a task's container; JSON-able.

    It is None where it is elsewhere than in CloudWatch Logs, and where its streams have names that ECS gives
    them: without a prefix, which only tasks on EC2 may leave out.
    """
    found = container.get("logConfiguration") or {}
    options = found.get("options") or {}
    group, prefix = options.get("awslogs-group"), options.get("awslogs-stream-prefix")
    if found.get("logDriver") != DRIVER or not group or not prefix:
        return None
    region = options.get("awslogs-region")
    return {"group": group, "prefix": prefix} | ({} if not region else {"region": region})


def stream_of(place: Mapping[str, str], container: str, task: str) -> str:
    """The name of the stream of a container of a task, which is named by its ARN."""
    return f"{place['prefix']}/{container}/{task.rpartition('/')[2]}"
