"""From an attempt to a run of a Glue job, and what has become of it, as GetJobRun tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bunsui.expressions.resolution import render
from bunsui.jobs.containers import OUTPUT_URL
from bunsui.local.callables import call_variables
from bunsui.ports.remote import Failed

if TYPE_CHECKING:
    from bunsui.ports.job_type import JobCall

#: The argument by which an attempt's run is found.
KEY_ARGUMENT = "--BUNSUI_IDEMPOTENCY_KEY"
#: Arguments that Glue uses itself, and that nobody may set: "Job parameters" in its guide.
RESERVED = frozenset({"--JOB_NAME", "--conf", "--debug", "--mode"})
#: What the arguments begin with that every job gets.
OURS = "--BUNSUI_"
#: How a run ends that did not do its work: "Glue job run statuses" in its guide.
_FAILED = frozenset({"ERROR", "EXPIRED", "FAILED", "STOPPED", "TIMEOUT"})


def argument(name: str) -> str:
    """A name as Glue has it among its arguments."""
    return name if name.startswith("--") else f"--{name}"


def start_job_run(call: JobCall, output_url: str | None) -> dict[str, Any]:
    """The parameters of StartJobRun. The job's parameters are arguments; what is no text is so as JSON.

    Args:
        call: the attempt.
        output_url: where the run may leave its output; None: nowhere.
    """
    options = call.options
    given = [
        options.get("arguments", {}),
        {name: render(value) for name, value in call.parameters.items()},
        call.environment,
        call_variables(call),
        {} if output_url is None else {OUTPUT_URL: output_url},
    ]
    names = {
        "worker_type": "WorkerType",
        "number_of_workers": "NumberOfWorkers",
        "max_capacity": "MaxCapacity",
        "execution_class": "ExecutionClass",
    }
    return {
        "JobName": options["job_name"],
        # By their names as Glue has them: what is set here must not be set by another spelling.
        "Arguments": {argument(name): value for each in given for name, value in each.items()},
        **{name: options[field] for field, name in names.items() if field in options},
    }


def is_of(run: Mapping[str, Any], key: str) -> bool:
    """Whether a run is an attempt's."""
    return bool(run.get("Arguments", {}).get(KEY_ARGUMENT) == key)


def has_ended(run: Mapping[str, Any]) -> bool:
    """Whether a run has come to its end."""
    state = run.get("JobRunState")
    return state == "SUCCEEDED" or state in _FAILED


def failure_of(run: Mapping[str, Any]) -> Failed | None:
    """Why a run that has ended did not do its work; None: it did."""
    state = run["JobRunState"]
    if state == "SUCCEEDED":
        return None
    text = run.get("ErrorMessage") or run.get("StateDetail") or "Glue gives no reason"
    return Failed(f"Glue.{state}", f"the run ended as {state}: {text}")
