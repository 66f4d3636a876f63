"""What has become of a Batch job, as DescribeJobs tells it, and where its log is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bunsui.ports.remote import Failed

#: What TerminateJob is told, and such a job says.
STOPPED_HERE = "stopped by bunsui"
#: Where jobs log whose definition names no other place: "AWS Batch CloudWatch Logs" in its guide.
LOG_GROUP = "/aws/batch/job"
#: The log driver that writes to CloudWatch Logs, which Batch uses by default.
DRIVER = "awslogs"
#: What a container's reason begins with, such as ``OutOfMemoryError``: "Stopped tasks error codes" in ECS's
#: guide.
_WORD = re.compile(r"([A-Z][A-Za-z]+(?:Error|Exception))\b")
#: What ECS says, to which Batch hands the overrides on, with variables of its own.
_TOO_LARGE = re.compile(r"container overrides length must be at most", re.IGNORECASE)
#: Why a job found no place, such as ``CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY``: "Jobs stuck in a RUNNABLE
#: status" in Batch's guide.
_NOT_PLACED = re.compile(r"\b((?:CAPACITY|MISCONFIGURATION):[A-Z_]+)")
#: What ended it from outside, by what its status says then, and the code of it: "Automated job retries" in
#: Batch's guide has the first, "Job timeouts" the last.
_FROM_OUTSIDE = (
    (re.compile(r"Host EC2 .*terminated", re.IGNORECASE), "HostTerminated"),
    (re.compile(r"spot.*interrupt", re.IGNORECASE), "SpotInterruption"),
    (re.compile(r"exceeded timeout", re.IGNORECASE), "Timeout"),
)


def has_ended(job: Mapping[str, Any]) -> bool:
    """Whether a job has come to its end."""
    return job.get("status") in ("SUCCEEDED", "FAILED")


def failure_of(job: Mapping[str, Any]) -> Failed | None:
    """Why a job that has ended did not do its work; None: it did.

    ``SUCCEEDED`` is Batch's word for a container that ended by itself with the code 0. One that failed
    without a code was never started, or got lost.
    """
    container: Mapping[str, Any] = job.get("container") or {}
    code, status_reason = container.get("exitCode"), str(job.get("statusReason") or "")
    reasons = dict.fromkeys(reason for reason in (status_reason, container.get("reason")) if reason)
    text = "; ".join(reasons) or "Batch gives no reason"
    if job.get("status") == "SUCCEEDED" and not code:
        return None
    if (word := _stopped(job, status_reason)) is not None:
        return Failed(f"Batch.{word}", f"the job was stopped: {text}")
    if code is None and _TOO_LARGE.search(text) is not None:
        return Failed("Batch.OverridesTooLarge", f"{text}: pass where the data is", retryable=False)
    found = _WORD.match(str(container.get("reason") or status_reason))
    if found is not None:
        return Failed(f"Batch.{found[1]}", text if code is None else f"{text} (exit code {code})")
    if code is None:
        return Failed("Batch.NoExitCode", f"the container has no exit code: {text}")
    return Failed(f"ExitCode.{code}", f"the container ended with code {code}: {text}")


def _stopped(job: Mapping[str, Any], status_reason: str) -> str | None:
    """The word for what has ended a job from outside; None: it ended by itself.

    It is the job's own reason that says so: the container's may be about anything.
    """
    if (
        found := _NOT_PLACED.search(status_reason)
    ) is not None:  # By its queue, which may have a limit for that.
        return found[1]
    for pattern, word in _FROM_OUTSIDE:
        if pattern.search(status_reason):
            return word
    if job.get("isCancelled"):
        return "Cancelled"
    return "Terminated" if job.get("isTerminated") or status_reason == STOPPED_HERE else None


def log_of(job: Mapping[str, Any]) -> dict[str, str] | None:
    """Group and stream, and the region where that is another, of a job's log; JSON-able.

    It is None where the container has none (yet), or it is elsewhere than in CloudWatch Logs.
    """
    container: Mapping[str, Any] = job.get("container") or {}
    stream = container.get("logStreamName")
    configured: Mapping[str, Any] = container.get("logConfiguration") or {}
    options: Mapping[str, str] = configured.get("options") or {}
    if not stream or configured.get("logDriver", DRIVER) != DRIVER:
        return None
    region = options.get("awslogs-region")
    place = {"group": options.get("awslogs-group") or LOG_GROUP, "stream": stream}
    return place | ({} if not region else {"region": region})
