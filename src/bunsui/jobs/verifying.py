"""What jobs at AWS have in common when AWS is asked for what they need: findings of `JobType.verify`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from bunsui.aws.errors import is_denied
from bunsui.errors import AwsError, BunsuiError, PermissionDenied
from bunsui.model.json import compact

if TYPE_CHECKING:
    from bunsui.aws.connections import Caller, Connections
    from bunsui.aws.permissions import Denied
    from bunsui.ports.job_type import Finding, Hinted


def is_known(options: Mapping[str, Any], name: str) -> bool:
    """Whether a field is known before the run; one that is left out is."""
    return name not in options or "${" not in compact(options[name])


def not_known(options: Mapping[str, Any], names: Iterable[str]) -> list[Finding | Hinted]:
    """Findings for those of the fields that hold a reference still."""
    return [
        not_checked(name, f"'{name}' is known only when the job starts")
        for name in names
        if not is_known(options, name)
    ]


def not_checked(field: str, why: str) -> Finding:
    """What is not looked at, and why."""
    return field, "not-checked", f"{why}, so it was not looked at"


def refused(error: BunsuiError, options: Mapping[str, Any], field: str) -> Hinted | None:
    """The finding for a call that may not be made; None where the error says something else.

    Args:
        error: the call's.
        options: the job's.
        field: what the call was about.
    """
    is_of_role = isinstance(error, PermissionDenied)
    if isinstance(error, AwsError):
        if not is_denied(error):
            return None
        is_of_role = error.action == "AssumeRole"
    elif not is_of_role:
        return None
    if is_of_role:  # The job's own, or the one in which the runner calls AWS.
        field = "role" if "role" in options else ""
    return field, "denied", error.message, error.hint or ""


def may_not(found: Denied, field: str) -> Hinted:
    """The finding for what the caller may not do, as IAM's simulator says.

    Args:
        found: it.
        field: what it is about.
    """
    why = "a policy forbids it" if found.is_forbidden else "no policy allows it"
    text = f"{found.principal} may not {found.action} with {found.resource}: {why}"
    return field, "denied", text, f"the caller needs the permission {found.action}"


def place(aws: Connections, service: str, caller: Caller, error: AwsError | None = None) -> str:
    """Where something was looked for, such as ``eu-central-1``, with the account where that is known."""
    region = aws.region(service, caller)
    account = None if error is None else error.account
    return region if account is None else f"{region} of account {account}"
