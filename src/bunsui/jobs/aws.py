"""What all jobs at AWS have in common: in which region they run, and in which role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bunsui.aws.connections import ROLE_SESSION, Caller
from bunsui.aws.settings import REGION_PATTERN, ROLE_PATTERN
from bunsui.errors import AwsError, StateError
from bunsui.monitoring.conventions import TASK_RUN_URL

if TYPE_CHECKING:
    from bunsui.ports.services import Services

#: The fields of every job type that calls AWS.
FIELDS: Mapping[str, Mapping[str, Any]] = {
    "region": {
        "title": "Region",
        "description": "Where it runs; the runner's region by default.",
        "type": "string",
        "pattern": REGION_PATTERN,
        "examples": ["eu-central-1"],
    },
    "role": {
        "title": "Role",
        "description": "The ARN of the role in which AWS is called for this job, such as one of another"
        " account; the runner's own by default.",
        "type": "string",
        "pattern": ROLE_PATTERN,
        "examples": ["arn:aws:iam::123456789012:role/etl"],
    },
}


def caller(options: Mapping[str, Any], session: str = ROLE_SESSION) -> Caller:
    """As whom, and where, AWS is called for a job; what is not known yet is as if it were not said."""
    known = {name: value for name in FIELDS if "${" not in (value := options.get(name) or "")}
    return Caller(known.get("region") or None, known.get("role") or None, session)


def known_region(services: Services | None, service: str, options: Mapping[str, Any]) -> str | None:
    """The region in which a job runs: its own, or the runner's; None: that can't be told here."""
    as_ = caller(options)
    if as_.region is not None or services is None:
        return as_.region
    try:
        # Its client is there already, mostly: the start of the session has asked for it.
        return services.aws.region(service, as_)
    except AwsError:
        return None


def console(region: str | None, path: str) -> dict[str, str]:
    """Where a person finds work in AWS's console, as an attribute of a span; nothing without a region."""
    if region is None:
        return {}
    # After https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html and the guides of the
    # partitions China and GovCloud.
    hosts = {"cn-": "console.amazonaws.cn", "us-gov-": "console.amazonaws-us-gov.com"}
    host = next((host for start, host in hosts.items() if region.startswith(start)), None)
    host = f"{region}.console.aws.amazon.com" if host is None else f"{region}.{host}"
    return {TASK_RUN_URL: f"https://{host}/{path}"}


def required(services: Services | None, name: str) -> Services:
    """The services of the runner that a type was made for.

    Raises:
        StateError: there is none.
    """
    if services is None:
        raise StateError(f"'{name}' jobs are run by a Runner, which has not been asked here")
    return services
