"""What a container gets of an attempt at AWS: the variables of a command on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from bunsui.errors import JobError
from bunsui.expressions.resolution import render
from bunsui.local.callables import call_variables
from bunsui.local.process import variable_name
from bunsui.model.json import compact

if TYPE_CHECKING:
    from bunsui.ports.job_type import JobCall
    from bunsui.ports.services import Objects

#: Where a container may leave its output: the name of the variable that has the URL.
OUTPUT_URL = "BUNSUI_OUTPUT_URL"


@frozen
class Limit:
    """What a service takes of overrides, in which the variables are."""

    #: As errors name it, and as their codes begin.
    service: str
    #: What is started, as errors name it.
    what: str
    #: Characters of the overrides, the JSON around them included.
    characters: int


def overrides(
    call: JobCall,
    limit: Limit,
    made: Callable[[Mapping[str, str]], dict[str, Any]],
    objects: Objects | None,
    output_url: str | None,
) -> dict[str, Any]:
    """What a container has other than its definition says: the job's parameters above all.

    They are the same variables as a command's on this machine. Where they would be too much for the service,
    the parameters are put onto S3, and BUNSUI_PARAMETERS_URL says where.

    Args:
        call: the attempt; its option ``environment`` has further variables.
        limit: what the service takes.
        made: makes the overrides of the variables, as the service takes them.
        objects: where what does not fit is put; None: nowhere.
        output_url: where the container may leave its output; None: nowhere.

    Raises:
        JobError: the overrides are too large.
        AwsError: the parameters could not be put there.
    """
    text = compact(call.parameters)
    common = {**call.options.get("environment", {}), **call_variables(call)}
    if output_url is not None:
        common[OUTPUT_URL] = output_url
    inline = {variable_name(name): render(value) for name, value in call.parameters.items()}
    # The trace is not what a job fails for, nor what its parameters are put elsewhere for.
    for trace in (call.environment, {}):
        found = made({**common, **trace, **inline, "BUNSUI_PARAMETERS": text})
        size = len(compact(found))
        if size <= limit.characters:
            return found
    if objects is not None:
        # Measured with a URL of the length that S3 allows, so that nothing is put there in vain.
        longest = made({**common, "BUNSUI_PARAMETERS_URL": "s" * 1100})
        if len(compact(longest)) <= limit.characters:
            url = objects.put_input(call.session_id, text)
            traced = made({**common, **call.environment, "BUNSUI_PARAMETERS_URL": url})
            if len(compact(traced)) <= limit.characters:
                return traced
            return made({**common, "BUNSUI_PARAMETERS_URL": url})
    raise JobError(
        f"the parameters and overrides of the {limit.what} have {size:,} characters; {limit.service} takes at"
        f" most {limit.characters:,}: pass where the data is, or keep artifacts on S3"
        " (Runner(artifacts='s3://...'))",
        code=f"{limit.service}.OverridesTooLarge",
        retryable=False,
    )


def pairs(variables: Mapping[str, str]) -> list[dict[str, str]]:
    """Variables as ECS and Batch take them."""
    return [{"name": name, "value": value} for name, value in variables.items()]
