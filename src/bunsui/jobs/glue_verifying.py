"""Whether a Glue job is there, leaves repetitions to the runner, and may be run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from bunsui.aws.asking import ask
from bunsui.aws.errors import is_denied
from bunsui.aws.permissions import Question, denied
from bunsui.errors import AwsError, BunsuiError
from bunsui.jobs.aws import FIELDS, caller
from bunsui.jobs.glue import ACTIONS
from bunsui.jobs.verifying import may_not, not_checked, not_known, place, refused

if TYPE_CHECKING:
    from bunsui.aws.connections import Connections
    from bunsui.ports.job_type import Finding, Hinted


def findings(aws: Connections, options: Mapping[str, Any]) -> list[Finding | Hinted]:
    """See `JobType.verify`. Glue is asked for the job, and IAM for what may be done with it."""
    if unknown := not_known(options, ("job_name", *FIELDS)):
        return unknown
    return [*_findings(aws, options)]


def _findings(aws: Connections, options: Mapping[str, Any]) -> Iterator[Finding | Hinted]:
    name, as_ = options["job_name"], caller(options)
    look = partial(aws.call, "glue", "GetJob", {"JobName": name}, as_, name)
    try:
        job: Mapping[str, Any] = ask(aws, "glue", as_, look)["Job"]
    except BunsuiError as error:
        if isinstance(error, AwsError) and error.code == "EntityNotFoundException":
            text = f"there is no Glue job '{name}' in {place(aws, 'glue', as_, error)}"
            hint = "make it, or name another, or another 'region' or 'role'"
            yield "job_name", "unknown-glue-job", text, hint
            return
        if not isinstance(error, AwsError) or not is_denied(error) or error.action != "GetJob":
            if (found := refused(error, options, "job_name")) is None:
                raise
            yield found
            return
        # The run itself does not ask for it.
        yield not_checked("job_name", f"the caller may not look at Glue job '{name}'")
    else:
        if job.get("MaxRetries"):
            text = f"Glue job '{name}' has MaxRetries {job['MaxRetries']}: it starts runs that nobody watches"
            yield "job_name", "own-retries", text, "set it to 0, and give the job a 'retry' here"
    yield from _denied(aws, options)


def _denied(aws: Connections, options: Mapping[str, Any]) -> Iterator[Hinted]:
    as_ = caller(options)
    identity = partial(aws.call, "sts", "GetCallerIdentity", {}, as_)
    answer = ask(aws, "sts", as_, identity)
    partition = str(answer["Arn"]).split(":")[1]
    arn = f"arn:{partition}:glue:{aws.region('glue', as_)}:{answer['Account']}:job/{options['job_name']}"
    for found in denied(aws, as_, [Question(ACTIONS, arn)]):
        yield may_not(found, "job_name")
