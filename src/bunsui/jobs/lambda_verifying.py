"""Whether a function is there, and may be invoked."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from bunsui.aws.asking import ask
from bunsui.errors import AwsError, BunsuiError
from bunsui.jobs.aws import FIELDS, caller
from bunsui.jobs.verifying import not_known, place, refused

if TYPE_CHECKING:
    from bunsui.aws.connections import Connections
    from bunsui.ports.job_type import Finding, Hinted

#: What Lambda says of a name that can't be a function's.
_NO_NAME = frozenset({"InvalidParameterValueException", "ValidationException"})


def findings(aws: Connections, options: Mapping[str, Any]) -> list[Finding | Hinted]:
    """See `JobType.verify`. Nothing runs: it is a dry run that is asked for, see "Invoke" in Lambda's API."""
    # All of it says which function it is: a wrong one says nothing of the right one.
    if unknown := not_known(options, ("function", "qualifier", *FIELDS)):
        return unknown
    qualifier = options.get("qualifier")
    try:
        _try(aws, options, qualifier)
    except BunsuiError as error:
        if (found := refused(error, options, "function")) is not None:
            return [found]
        if isinstance(error, AwsError) and error.code == "ResourceNotFoundException":
            return [_missing(aws, options, qualifier, error)]
        if isinstance(error, AwsError) and error.code in _NO_NAME:
            return [("function", "unknown-function", error.message, error.hint or "")]
        raise
    return []


def _try(aws: Connections, options: Mapping[str, Any], qualifier: str | None) -> None:
    """Raises what an invocation would be refused with."""
    parameters = {"FunctionName": options["function"], "InvocationType": "DryRun"}
    if qualifier is not None:
        parameters["Qualifier"] = qualifier

    def use(client: Any) -> None:
        client.invoke(**parameters)["Payload"].read()  # Nothing; then the connection is free again.

    as_ = caller(options)
    ask(aws, "lambda", as_, partial(aws.using, "lambda", "Invoke", use, as_, options["function"]))


def _missing(aws: Connections, options: Mapping[str, Any], qualifier: str | None, error: AwsError) -> Hinted:
    name, where = options["function"], place(aws, "lambda", caller(options), error)
    if qualifier is not None and _is_there(aws, options):
        text = f"function '{name}' has no version or alias '{qualifier}' in {where}"
        return "qualifier", "unknown-qualifier", text, "publish it, or name another"
    text = f"there is no function '{name}' in {where}"
    return "function", "unknown-function", text, "make it, or name another, or another 'region' or 'role'"


def _is_there(aws: Connections, options: Mapping[str, Any]) -> bool:
    """Whether there is the function itself, as far as the caller may know."""
    try:
        _try(aws, options, None)
    except AwsError as error:
        if error.kind != "refused":
            raise
        return False
    return True
