"""Glue: runs that are found by their arguments only, live by a script, fail, and are listed late."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from attrs import define, field, frozen

from bunsui_tests.aws.messages import Call, Refusal
from bunsui_tests.aws.policies import Need
from bunsui_tests.aws.protocols import JsonService

STATES = ("STARTING", "RUNNING", "SUCCEEDED")
ENDS = frozenset({"SUCCEEDED", "FAILED", "ERROR", "TIMEOUT", "STOPPED", "EXPIRED"})
#: Runs of a page of GetJobRuns.
MAX_RUNS = 200


@frozen
class Script:
    """How a run lives if nobody moves it."""

    #: After so many looks at it, it has its next state, up to its end; None: it stays as it is.
    every: int | None = 1
    #: What it does before its end; what it returns, unless it is None, is what it fails with.
    work: Callable[[GlueRun], str | None] | None = None
    #: Whether BatchStopJobRun stops it; else it says why not.
    obeys: bool = True


@define
class GlueRun:
    """A run. It changes as it lives: it is to be read, and moved by `FakeGlue` alone."""

    id: str
    place: str
    #: What StartJobRun was given.
    parameters: dict[str, Any]
    script: Script
    state: str = "STARTING"
    error: str | None = None
    #: How often it was looked at in its present state.
    seen: int = 0
    #: Whether GetJobRuns shows it.
    is_listed: bool = True
    #: Further fields of it.
    more: dict[str, Any] = field(factory=dict)
    started: float = field(factory=time.time)

    @property
    def job(self) -> str:
        """The name of its Glue job."""
        return str(self.parameters["JobName"])

    @property
    def arguments(self) -> dict[str, str]:
        """Its arguments."""
        return dict(self.parameters.get("Arguments", {}))

    def move(self, state: str, error: str | None = None) -> None:
        """Gives it a state."""
        self.state, self.error, self.seen = state, error, 0

    def live(self) -> None:
        """It is looked at: it has its next state, where the script says so."""
        if self.script.every is None or self.state not in STATES[:-1]:
            return
        self.seen += 1
        if self.seen < self.script.every:
            return
        following = STATES[STATES.index(self.state) + 1]
        if following != "SUCCEEDED":
            self.move(following)
            return
        error = self.script.work(self) if self.script.work else None
        self.move("SUCCEEDED" if error is None else "FAILED", error)

    def shown(self) -> dict[str, Any]:
        """As GetJobRun shows it."""
        shown = {
            "Id": self.id,
            "JobName": self.job,
            "Attempt": 0,
            "StartedOn": self.started,
            "JobRunState": self.state,
            "Arguments": self.arguments,
            "ErrorMessage": self.error,
            "LogGroupName": "/aws-glue/jobs",
            **self.more,
        }
        return {name: value for name, value in shown.items() if value is not None}


class FakeGlue(JsonService):
    """Glue; jobs are in every account and region, runs in those of their call."""

    name = "glue"

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._jobs: dict[str, dict[str, Any]] = {}
        self._runs: dict[str, GlueRun] = {}
        #: How runs live that are started from now on, all or each.
        self.script: Script | Callable[[GlueRun], Script] = Script()

    def define(self, name: str, **more: Any) -> None:
        """A job that can be run from now on.

        Args:
            name: Its name.
            more: What is shown of it, such as ``MaxRetries=1``, or
                ``ExecutionProperty={"MaxConcurrentRuns": 1}``, which it keeps to.
        """
        self._jobs[name] = {"Name": name, **more}

    @property
    def runs(self) -> list[GlueRun]:
        """The runs that were started and not forgotten, oldest first."""
        with self._lock:
            return list(self._runs.values())

    def end(self, run: GlueRun, state: str = "SUCCEEDED", error: str | None = None) -> None:
        """Ends a run."""
        with self._lock:
            run.move(state, error)

    def forget(self, run: GlueRun) -> None:
        """A run is no longer known."""
        with self._lock:
            del self._runs[run.id]

    @property
    def actions(self) -> dict[str, Callable[[Call], dict[str, Any]]]:
        """What makes the answer, by action."""
        return {
            "StartJobRun": self._start,
            "GetJobRun": self._get,
            "GetJobRuns": self._list,
            "BatchStopJobRun": self._stop,
            "GetJob": lambda call: {"Job": self._job(call)},
        }

    def needs(self, call: Call) -> list[Need]:
        """Runs have no ARNs: their job is what is asked for."""
        job = f"arn:aws:glue:{call.region}:{call.account}:job/{call.parameters['JobName']}"
        return [Need(f"glue:{call.action}", job)]

    def _job(self, call: Call) -> dict[str, Any]:
        name = call.parameters["JobName"]
        if name not in self._jobs:
            raise Refusal("EntityNotFoundException", f"Job {name} not found.")
        return self._jobs[name]

    def _start(self, call: Call) -> dict[str, Any]:
        with self._lock:
            job = self._job(call)
            most = job.get("ExecutionProperty", {}).get("MaxConcurrentRuns", 10_000)
            if sum(run.job == job["Name"] and run.state not in ENDS for run in self._runs.values()) >= most:
                raise Refusal(
                    "ConcurrentRunsExceededException", f"Concurrent runs exceeded for {job['Name']}"
                )
            run = GlueRun(f"jr_{uuid.uuid4().hex}", _place(call), call.parameters, Script())
            run.script = self.script if isinstance(self.script, Script) else self.script(run)
            self._runs[run.id] = run
            return {"JobRunId": run.id}

    def _get(self, call: Call) -> dict[str, Any]:
        with self._lock:
            run = self._runs.get(call.parameters["RunId"])
            if run is None or run.place != _place(call) or run.job != call.parameters["JobName"]:
                raise Refusal("EntityNotFoundException", f"Job run {call.parameters['RunId']} not found.")
            run.live()
            return {"JobRun": run.shown()}

    def _list(self, call: Call) -> dict[str, Any]:
        asked = call.parameters
        size, start = asked.get("MaxResults", MAX_RUNS), int(asked.get("NextToken", "0"))
        if not 1 <= size <= MAX_RUNS:
            raise Refusal("InvalidInputException", f"MaxResults must be 1 to {MAX_RUNS}.")
        with self._lock:
            job = self._job(call)["Name"]
            runs = [run for run in reversed(self._runs.values()) if run.is_listed and run.job == job]
            runs = [run for run in runs if run.place == _place(call)]
            for run in runs[start : start + size]:
                run.live()
            page: dict[str, Any] = {"JobRuns": [run.shown() for run in runs[start : start + size]]}
        return page | ({"NextToken": str(start + size)} if start + size < len(runs) else {})

    def _stop(self, call: Call) -> dict[str, Any]:
        done, errors = [], []
        with self._lock:
            for id_ in call.parameters["JobRunIds"]:
                run, about = self._runs.get(id_), {"JobName": call.parameters["JobName"], "JobRunId": id_}
                if run is None or run.state in ENDS or not run.script.obeys:
                    code = "EntityNotFoundException" if run is None else "InvalidInputException"
                    detail = {"ErrorCode": code, "ErrorMessage": "the run can't be stopped"}
                    errors.append({**about, "ErrorDetail": detail})
                else:
                    run.move("STOPPED")
                    done.append(about)
        return {"SuccessfulSubmissions": done, "Errors": errors}


def _place(call: Call) -> str:
    return f"{call.account} {call.region}"
