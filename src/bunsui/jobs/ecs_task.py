"""What has become of an ECS task, as DescribeTasks tells it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bunsui.errors import JobError
from bunsui.ports.remote import Failed

#: Why a task stopped that did not end by itself: "Stopped tasks error codes" in ECS's guide.
BY_OTHERS = frozenset(
    {
        "ServiceSchedulerInitiated",
        "SpotInterruption",
        "TaskFailedToStart",
        "TerminationNotice",
        "UserInitiated",
    }
)
#: What StopTask is told, and such a task says.
STOPPED_HERE = "stopped by bunsui"
_REASON = re.compile(r"[A-Za-z]+(:[A-Za-z]+)*")
#: What RunTask says where there is no room, also as a refusal.
_NO_CAPACITY = "Capacity is unavailable"


def has_ended(task: Mapping[str, Any]) -> bool:
    """Whether a task has come to its end, and what it came to is known."""
    return task.get("lastStatus") == "STOPPED"


def failure_of(task: Mapping[str, Any], container: str) -> Failed | None:
    """Why a task that has ended did not do its work; None: it did.

    Only a container that ended by itself with the code 0 has: one without a code was never started, or got
    lost, and one that was told to stop may end with 0, too.
    """
    containers = task.get("containers", [])
    about: Mapping[str, Any] = next((each for each in containers if each.get("name") == container), {})
    code = about.get("exitCode")
    reasons = [task.get("stoppedReason"), about.get("reason")]
    text = "; ".join(dict.fromkeys(reason for reason in reasons if reason)) or "ECS gives no reason"
    stop_code = task.get("stopCode")
    if stop_code in BY_OTHERS or task.get("stoppedReason") == STOPPED_HERE:
        return Failed(f"ECS.{stop_code or 'UserInitiated'}", f"the task was stopped: {text}")
    if code == 0:
        return None
    if code is None:
        text = f"container '{container}' has no exit code: {text}"
        return Failed(f"ECS.{stop_code or 'NoExitCode'}", text)
    return Failed(f"ExitCode.{code}", f"container '{container}' ended with code {code}: {text}")


def not_placed(failures: list[Mapping[str, Any]], task_definition: str, cluster: str) -> JobError:
    """The error of a task that RunTask did not start: it says so beside the tasks, not as an error."""
    reason = str(failures[0].get("reason", "")) if failures else ""
    detail = failures[0].get("detail") if failures else None
    # Such as RESOURCE:MEMORY, AGENT or MISSING: "API failure reasons" in ECS's guide.
    code = reason if _REASON.fullmatch(reason) else "NotPlaced"
    text = f"cluster '{cluster}' has not started task definition '{task_definition}': "
    text += reason or "ECS gives no reason"
    return JobError(text if detail is None else f"{text} ({detail})", code=f"ECS.{code}")


def is_out_of_capacity(message: str) -> bool:
    """Whether a refusal of RunTask is none of the request, but of the moment."""
    return _NO_CAPACITY in message
