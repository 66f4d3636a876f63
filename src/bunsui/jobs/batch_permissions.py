"""What whoever runs a Batch job has to be allowed.

See "Actions, resources, and condition keys for AWS Batch" in IAM's reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bunsui.jobs.verifying import is_known
from bunsui.ports.permissions import Permission, Unnamed

if TYPE_CHECKING:
    from bunsui.ports.permissions import Where

#: How a job is looked at and found again: IAM knows no resource for these.
LOOKING = ("batch:DescribeJobs", "batch:ListJobs")


_ARN = r"arn:aws[a-z-]*:batch:[a-z0-9-]+:[0-9]{12}:"
_NAME = r"[a-zA-Z0-9_-]{1,128}"
_NAMES = {
    "job_queue": re.compile(rf"(?:{_ARN}job-queue/)?{_NAME}"),
    "job_definition": re.compile(rf"(?:{_ARN}job-definition/)?{_NAME}(?::[0-9]+)?"),
}


def needed(options: Mapping[str, Any], where: Where) -> Iterator[Permission | Unnamed]:
    """See `JobType.permissions`."""
    unnamed = [why for name in _NAMES if (why := _unnamed(options, name)) is not None]
    yield from unnamed
    if not unnamed:
        resources = [queue(options["job_queue"], where), *definitions(options["job_definition"], where)]
        yield Permission(["batch:SubmitJob"], resources)
    actions = ["batch:TerminateJob"]
    if "tags" in options:
        actions.append("batch:TagResource")
    yield Permission(actions, [where.arn("batch", "job/*")])
    yield Permission(LOOKING, ["*"])


def _unnamed(options: Mapping[str, Any], name: str) -> Unnamed | None:
    """Why a field names nothing that could stand in a policy; None: it does."""
    if not is_known(options, name):
        return Unnamed(f"'{name}' is known only when the job starts")
    if _NAMES[name].fullmatch(options[name]) is None:
        return Unnamed(f"'{name}' is {options[name]!r:.200}, which names none")
    return None


def queue(name: str, where: Where) -> str:
    """The ARN of a job queue that is named by it, or by its name."""
    return name if name.startswith("arn:") else where.arn("batch", f"job-queue/{name}")


def definitions(name: str, where: Where) -> list[str]:
    """The ARNs of the revisions that a job definition's name, or ARN, may stand for."""
    arn = name if name.startswith("arn:") else where.arn("batch", f"job-definition/{name}")
    if ":" in arn.partition("job-definition/")[2]:
        return [arn]
    return [arn, f"{arn}:*"]  # Which is the latest one, Batch says when it is submitted.
