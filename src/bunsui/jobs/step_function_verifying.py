"""Whether a state machine is there, can be followed, and may be started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from bunsui.aws.asking import ask
from bunsui.aws.errors import is_denied
from bunsui.aws.permissions import Question, denied
from bunsui.errors import AwsError, BunsuiError
from bunsui.jobs.aws import FIELDS
from bunsui.jobs.step_function_arn import Machine
from bunsui.jobs.verifying import may_not, not_checked, not_known, place, refused

if TYPE_CHECKING:
    from bunsui.aws.connections import Caller, Connections
    from bunsui.ports.job_type import Finding, Hinted

#: What Step Functions says of a machine that is not there, and of a version or an alias.
_NOT_THERE = frozenset({"InvalidArn", "ResourceNotFound", "StateMachineDoesNotExist", "ValidationException"})
_FIELD = "state_machine"


def findings(aws: Connections, options: Mapping[str, Any], as_: Caller) -> list[Finding | Hinted]:
    """See `JobType.verify`. Step Functions is asked what there is, and IAM what may be done with it."""
    if unknown := not_known(options, (_FIELD, *FIELDS)):
        return unknown
    return [*_findings(aws, options, as_)]


def _findings(aws: Connections, options: Mapping[str, Any], as_: Caller) -> Iterator[Finding | Hinted]:
    machine = Machine.of(options[_FIELD])
    parameters = {"stateMachineArn": machine.arn, "includedData": "METADATA_ONLY"}
    call = partial(aws.call, "stepfunctions", "DescribeStateMachine", parameters, as_, machine.arn)
    try:
        yield from _of_machine(ask(aws, "stepfunctions", as_, call), machine)
    except BunsuiError as error:
        if isinstance(error, AwsError) and is_denied(error) and error.action != "AssumeRole":
            # A run does without it.
            yield not_checked(_FIELD, f"the caller may not look at state machine '{machine.name}'")
        elif (found := refused(error, options, _FIELD)) is not None:
            yield found  # In a role that can't be taken nothing else can be asked, either.
            return
        elif isinstance(error, AwsError) and error.code in _NOT_THERE:
            yield _missing(machine, place(aws, "stepfunctions", as_, error))
            return
        else:
            raise
    yield from _denied(aws, machine, as_)


def _of_machine(found: Mapping[str, Any], machine: Machine) -> Iterator[Hinted]:
    if found.get("type") == "EXPRESS":
        text = f"state machine '{machine.name}' is an express one, whose executions can't be followed"
        yield _FIELD, "express-state-machine", text, "name a standard one"
    elif (status := found.get("status", "ACTIVE")) != "ACTIVE":
        text = f"state machine '{machine.name}' is {status}, so no execution of it can be started"
        yield _FIELD, "unknown-state-machine", text, "make it, or name another"


def _missing(machine: Machine, where: str) -> Hinted:
    text = f"there is no state machine '{machine.name}' in {where}"
    if machine.qualifier is not None:
        text = f"state machine '{machine.name}' has no version or alias '{machine.qualifier}' in {where}"
    return _FIELD, "unknown-state-machine", text, "make it, or name another"


def _denied(aws: Connections, machine: Machine, as_: Caller) -> Iterator[Hinted]:
    questions = [
        Question(("states:StartExecution",), machine.unqualified, machine.context),
        # Stands for the executions: the ARN of none that there is.
        Question(("states:DescribeExecution", "states:StopExecution"), machine.execution("0" * 64)),
    ]
    for found in denied(aws, as_, questions):
        yield may_not(found, _FIELD)
