"""What has become of an execution of a state machine, as DescribeExecution tells it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from bunsui.ports.remote import Failed, Running, Succeeded

#: What StopExecution is told, and such an execution says.
STOPPED_HERE = "stopped by bunsui"
#: What another execution with the same input fails with, too: "Error names" in the guide of Step Functions,
#: and the specification of Amazon States Language.
_SAME_AGAIN = frozenset(
    {
        "States.DataLimitExceeded",
        "States.IntrinsicFailure",
        "States.NoChoiceMatched",
        "States.ParameterPathFailure",
        "States.Permissions",
        "States.QueryEvaluationError",
        "States.ResultPathMatchFailure",
        "States.Runtime",
    }
)
#: What an error is called for it to be the job's code.
_CODE = re.compile(r"[A-Za-z][\w.:-]{0,127}")
#: Where causes that are JSON say what was wrong: those of Lambda, Glue, ECS, Batch and other executions.
_SAID_BY = ("errorMessage", "ErrorMessage", "StoppedReason", "StatusReason", "Cause", "Error")
#: Causes within causes, such as an execution's of an execution, that are looked into.
_DEPTH = 5
#: The statuses of one that goes on. Whoever redrives a Map state has its executions wait for that.
_GOING_ON = frozenset({"RUNNING", "PENDING_REDRIVE"})


def outcome_of(execution: Mapping[str, Any]) -> Running | Succeeded | Failed:
    """What an execution has come to."""
    status = str(execution.get("status"))
    if status in _GOING_ON:
        return Running()
    if status == "SUCCEEDED":
        return _output(execution)
    error, cause = execution.get("error") or "", told_by(execution.get("cause") or "")
    if status == "FAILED":
        return _failed(error, cause)
    text = ": ".join(filter(None, (error, cause)))
    if status == "TIMED_OUT":
        why = "the execution took longer than its state machine allows"
        return Failed("StepFunctions.TimedOut", why if not text else f"{why}: {text}")
    if status == "ABORTED":
        text = text or "Step Functions gives no cause"
        return Failed("StepFunctions.Aborted", f"the execution was stopped: {text}")
    return Failed(f"StepFunctions.{status}", f"the execution has the status {status}: {text}")


def _failed(error: str, cause: str) -> Failed:
    text = cause or "the execution failed, and Step Functions gives no cause"
    if _CODE.fullmatch(error) is None:  # None, or a whole sentence.
        return Failed("StepFunctions.ExecutionFailed", ": ".join(filter(None, (error, text))))
    return Failed(error, text, retryable=error not in _SAME_AGAIN)


def _output(execution: Mapping[str, Any]) -> Succeeded | Failed:
    text = execution.get("output")
    if text is None:
        return Succeeded()
    try:
        return Succeeded(json.loads(text))
    except (ValueError, RecursionError) as error:
        wrong = f"the output of the execution is not JSON: {error}"
        return Failed("OutputNotJson", wrong, retryable=False)


def told_by(cause: str) -> str:
    """What a cause says for a person: often it is JSON, of the service that a task was of."""
    for _ in range(_DEPTH):
        try:
            found = json.loads(cause)
        except (ValueError, RecursionError):
            break
        if not isinstance(found, dict):
            break
        said = next((text for name in _SAID_BY if isinstance(text := found.get(name), str) and text), None)
        if said is None:
            break
        cause = said
    return cause
