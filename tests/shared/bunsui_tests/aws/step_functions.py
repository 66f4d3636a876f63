"""Step Functions: executions that are started once for each name, do what a test says, and vanish."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from attrs import define, field

from bunsui_tests.aws.messages import Call, Refusal
from bunsui_tests.aws.policies import Need
from bunsui_tests.aws.protocols import JsonService
from bunsui_tests.aws.sts import ACCOUNT

#: Bytes of an input.
MAX_INPUT = 262_144
_NAME = re.compile(r"[0-9A-Za-z_-]{1,80}")


class Error(Exception):
    """Raised by what an execution does: its error and cause.

    Args:
        error: such as ``States.TaskFailed``; None: there is none.
        cause: None: there is none.
    """

    def __init__(self, error: str | None = None, cause: str | None = None) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause


#: Gets an input and gives an output, or raises `Error`.
Work = Callable[[Any], Any]


@define
class Machine:
    """A state machine."""

    arn: str
    #: What an execution does when it is looked at first; None: nothing, before a test ends it.
    work: Work | None
    #: Further fields of its description, such as ``type`` and ``status``.
    fields: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        return self.arn.rpartition(":")[2]


@define
class Execution:
    """An execution."""

    arn: str
    machine: Machine
    #: As it was asked for, with version or alias.
    started_with: str
    input: str
    status: str = "RUNNING"
    output: str | None = None
    error: str | None = None
    cause: str | None = None
    started: float = field(factory=time.time)
    stopped: float | None = None
    #: Its history, as GetExecutionHistory shows it.
    events: list[dict[str, Any]] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.happen("ExecutionStarted", executionStartedEventDetails={"input": self.input})

    @property
    def name(self) -> str:
        """Its name, which nobody else has."""
        return self.arn.rpartition(":")[2]

    def happen(self, kind: str, **details: Any) -> None:
        """One more event; it follows the one before."""
        number = len(self.events) + 1
        event = {"timestamp": time.time(), "type": kind, "id": number, "previousEventId": number - 1}
        self.events.append({**event, **details})

    def end(self, status: str, *, error: str | None = None, cause: str | None = None) -> None:
        """Ends it in any status but SUCCEEDED."""
        self.status, self.error, self.cause, self.stopped = status, error, cause, time.time()
        kind = {"FAILED": "Failed", "TIMED_OUT": "TimedOut"}.get(status, "Aborted")
        said = {name: text for name, text in (("error", error), ("cause", cause)) if text is not None}
        self.happen(f"Execution{kind}", **{f"execution{kind}EventDetails": said})

    def succeed(self, output: Any = None, *, text: str | None = None) -> None:
        """Ends it well.

        Args:
            output: What it has come to.
            text: The output as it stands in the answer, where that is no JSON.
        """
        self.status, self.stopped = "SUCCEEDED", time.time()
        self.output = json.dumps(output) if text is None else text
        self.happen("ExecutionSucceeded", executionSucceededEventDetails={"output": self.output})

    def live(self) -> None:
        """It is looked at: it does its work."""
        if self.status != "RUNNING" or self.machine.work is None:
            return
        try:
            self.succeed(self.machine.work(json.loads(self.input)))
        except Error as error:
            self.end("FAILED", error=error.error, cause=error.cause)

    def shown(self) -> dict[str, Any]:
        """As DescribeExecution shows it."""
        fields = {
            **self.listed(),
            "input": self.input,
            "output": self.output,
            "error": self.error,
            "cause": self.cause,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def listed(self) -> dict[str, Any]:
        """As ListExecutions shows it."""
        fields = {
            "executionArn": self.arn,
            "stateMachineArn": self.machine.arn,
            "name": self.name,
            "status": self.status,
            "startDate": self.started,
            "stopDate": self.stopped,
        }
        return {name: value for name, value in fields.items() if value is not None}


class FakeStepFunctions(JsonService):
    """Step Functions. A test ends an execution, or adds to its history, by what `executions` has."""

    name = "states"

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._machines: dict[str, Machine] = {}
        self._executions: dict[str, Execution] = {}
        self._hidden: set[str] = set()
        #: Executions of a page of a list, and events of one of a history, at most.
        self.page = 1000

    def add(self, name: str, work: Work | None = None, *versions: str, **fields: Any) -> str:
        """A state machine, whose ARN comes back.

        Args:
            name: Its name.
            work: What its executions do; None: nothing, before a test ends them.
            versions: The versions and aliases that it has.
            fields: Further ones of its description, such as ``type="EXPRESS"``.
        """
        arn = f"arn:aws:states:eu-central-1:{ACCOUNT}:stateMachine:{name}"
        with self._lock:
            for each in (arn, *(f"{arn}:{version}" for version in versions)):
                self._machines[each] = Machine(arn, work, fields)
        return arn

    @property
    def executions(self) -> list[Execution]:
        """The executions that were started and not forgotten, oldest first."""
        with self._lock:
            return list(self._executions.values())

    def forget(self, execution: Execution) -> None:
        """It is no longer known, and its name may be used again: as 90 days after its end."""
        with self._lock:
            del self._executions[execution.arn]

    def hide(self, execution: Execution) -> None:
        """It is not shown, as one that was started just now may not be; its name is taken."""
        with self._lock:
            self._hidden.add(execution.arn)

    def show(self, execution: Execution) -> None:
        """It is shown again."""
        with self._lock:
            self._hidden.discard(execution.arn)

    @property
    def actions(self) -> dict[str, Callable[[Call], dict[str, Any]]]:
        return {
            "StartExecution": self._start,
            "DescribeExecution": self._describe,
            "ListExecutions": self._list,
            "StopExecution": self._stop,
            "GetExecutionHistory": self._history,
            "DescribeStateMachine": self._describe_machine,
        }

    def needs(self, call: Call) -> list[Need]:
        """A version or an alias is asked for by the ARN of its machine, and named beside it."""
        asked, action = call.parameters, f"states:{call.action}"
        if "executionArn" in asked:
            return [Need(action, asked["executionArn"])]
        parts = asked["stateMachineArn"].split(":")
        context = {"states:StateMachineQualifier": parts[7]} if len(parts) > 7 else {}
        return [Need(action, ":".join(parts[:7]), context)]

    def _machine(self, call: Call) -> Machine:
        arn = call.parameters["stateMachineArn"]
        if arn.split(":")[3:5] != [call.region, call.account]:
            raise Refusal("InvalidArn", f"Invalid Arn: '{arn}' is of another region or account.")
        if arn not in self._machines:
            raise Refusal("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
        return self._machines[arn]

    def _execution(self, call: Call) -> Execution:
        arn = call.parameters["executionArn"]
        found = self._executions.get(arn)
        if found is None or arn in self._hidden:
            raise Refusal("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
        return found

    def _start(self, call: Call) -> dict[str, Any]:
        with self._lock:
            machine, asked = self._machine(call), call.parameters
            name, text = asked["name"], asked["input"]
            if _NAME.fullmatch(name) is None:
                raise Refusal("InvalidName", f"Invalid Name: '{name}'")
            if len(text.encode()) > MAX_INPUT:
                raise Refusal("InvalidExecutionInput", "Input exceeds 262144 bytes.")
            begin = machine.arn.rpartition(":stateMachine:")[0]
            kind = "express" if machine.fields.get("type") == "EXPRESS" else "execution"
            arn = f"{begin}:{kind}:{machine.name}:{name}"
            known = self._executions.get(arn)
            if known is not None and (known.input != text or known.status != "RUNNING"):
                raise Refusal("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
            if known is None:
                known = self._executions[arn] = Execution(arn, machine, asked["stateMachineArn"], text)
            return {"executionArn": arn, "startDate": known.started}

    def _describe(self, call: Call) -> dict[str, Any]:
        with self._lock:
            execution = self._execution(call)
            execution.live()
            return execution.shown()

    def _list(self, call: Call) -> dict[str, Any]:
        with self._lock:
            machine, asked = self._machine(call), call.parameters
            found = [
                each.listed()
                for each in reversed(self._executions.values())
                if each.machine.arn == machine.arn
                and each.status == asked.get("statusFilter", each.status)
                and each.arn not in self._hidden
            ]
            return self._paged("executions", found, asked)

    def _stop(self, call: Call) -> dict[str, Any]:
        with self._lock:
            execution = self._execution(call)
            if execution.status == "RUNNING":
                asked = call.parameters
                execution.end("ABORTED", error=asked.get("error"), cause=asked.get("cause"))
            return {"stopDate": execution.stopped}

    def _history(self, call: Call) -> dict[str, Any]:
        with self._lock:
            events = self._execution(call).events
            ordered = events[::-1] if call.parameters.get("reverseOrder") else list(events)
            return self._paged("events", ordered, call.parameters)

    def _paged(self, name: str, found: list[Any], asked: dict[str, Any]) -> dict[str, Any]:
        """A page, whose token is of what there was when it was given."""
        start, _, size = asked.get("nextToken", f"0/{len(found)}").partition("/")
        most = min(asked.get("maxResults") or 100, self.page)
        end = min(int(start) + most, int(size))
        more = {"nextToken": f"{end}/{size}"} if end < int(size) else {}
        return {name: found[int(start) : end], **more}

    def _describe_machine(self, call: Call) -> dict[str, Any]:
        with self._lock:
            machine = self._machine(call)
            return {
                "stateMachineArn": call.parameters["stateMachineArn"],
                "name": machine.name,
                "status": "ACTIVE",
                "type": "STANDARD",
                "definition": "{}",
                "roleArn": f"arn:aws:iam::{ACCOUNT}:role/load",
                "creationDate": time.time(),
                **machine.fields,
            }
