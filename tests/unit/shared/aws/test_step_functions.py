"""Step Functions of the tests' own AWS, as real boto3 meets it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.step_functions import Error


@pytest.fixture
def states(fake_aws: FakeAws) -> Iterator[Any]:
    made = fake_aws.client("stepfunctions")
    yield made
    made.close()


@pytest.fixture
def machine(fake_aws: FakeAws) -> str:
    """Whose executions do nothing by themselves."""
    return fake_aws.machines.add("load", None, "live")


def code(call: Any, **arguments: Any) -> str:
    """The code with which a call is refused."""
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return str(raised.value.response["Error"]["Code"])


def test_names(fake_aws: FakeAws, states: Any, machine: str) -> None:
    """A name is one execution's: with the same input while it runs it is started once, else it is refused."""
    asked = {"stateMachineArn": machine, "name": "x", "input": "{}"}
    arn = states.start_execution(**asked)["executionArn"]
    assert arn == states.start_execution(**{**asked, "stateMachineArn": f"{machine}:live"})["executionArn"]
    assert "ExecutionAlreadyExists" == code(states.start_execution, **{**asked, "input": "1"})
    fake_aws.machines.executions[0].succeed()
    assert "ExecutionAlreadyExists" == code(states.start_execution, **asked)
    fake_aws.machines.forget(fake_aws.machines.executions[0])
    assert arn == states.start_execution(**asked)["executionArn"]
    assert 1 == len(fake_aws.machines.executions)


def test_what_is_refused(states: Any, machine: str) -> None:
    """Names and inputs that Step Functions does not take, and machines that are not there."""
    asked = {"stateMachineArn": machine, "name": "x", "input": "{}"}
    assert "InvalidName" == code(states.start_execution, **{**asked, "name": "a b"})
    long = json.dumps("x" * 262_143)
    assert "InvalidExecutionInput" == code(states.start_execution, **{**asked, "input": long})
    missing = {"stateMachineArn": f"{machine}s"}
    assert "StateMachineDoesNotExist" == code(states.start_execution, **{**asked, **missing})
    assert "StateMachineDoesNotExist" == code(states.describe_state_machine, **missing)
    assert "ExecutionDoesNotExist" == code(states.describe_execution, executionArn=f"{machine}:x")


def test_work(fake_aws: FakeAws, states: Any) -> None:
    """What a machine does is done at the first look: an output, or an error and its cause."""

    def work(given: Any) -> Any:
        if given == 0:
            raise Error("Zero", "it is none")
        return given + 1

    machine = fake_aws.machines.add("add", work)
    found = []
    for given in ("1", "0"):
        arn = states.start_execution(stateMachineArn=machine, name=f"n{given}", input=given)["executionArn"]
        found.append(states.describe_execution(executionArn=arn))
    assert [("SUCCEEDED", "2"), ("FAILED", None)] == [(each["status"], each.get("output")) for each in found]
    assert ("Zero", "it is none") == (found[1]["error"], found[1]["cause"])


def test_lists(fake_aws: FakeAws, states: Any, machine: str) -> None:
    """Those of one machine and status, the newest first, page by page; not what is hidden."""
    for number in range(5):
        states.start_execution(stateMachineArn=machine, name=str(number), input="{}")
    fake_aws.machines.executions[2].succeed()
    fake_aws.machines.hide(fake_aws.machines.executions[3])
    asked = {"stateMachineArn": machine, "statusFilter": "RUNNING", "maxResults": 2}
    first = states.list_executions(**asked)
    second = states.list_executions(**asked, nextToken=first["nextToken"])
    names = [[each["name"] for each in page["executions"]] for page in (first, second)]
    assert ([["4", "1"], ["0"]], False) == (names, "nextToken" in second)


def test_stopped(states: Any, machine: str) -> None:
    """It says why; stopping again changes nothing."""
    arn = states.start_execution(stateMachineArn=machine, name="x", input="{}")["executionArn"]
    for cause in ("first", "second"):
        states.stop_execution(executionArn=arn, cause=cause)
    found = states.describe_execution(executionArn=arn)
    assert ("ABORTED", "first") == (found["status"], found["cause"])


def test_history(fake_aws: FakeAws, states: Any, machine: str) -> None:
    """In both orders; a token is of what there was when it was given."""
    arn = states.start_execution(stateMachineArn=machine, name="x", input="{}")["executionArn"]
    (execution,) = fake_aws.machines.executions
    execution.happen("WaitStateEntered", stateEnteredEventDetails={"name": "Rest"})
    first = states.get_execution_history(executionArn=arn, maxResults=1)
    execution.succeed()
    second = states.get_execution_history(executionArn=arn, maxResults=5, nextToken=first["nextToken"])
    ids = [[event["id"] for event in page["events"]] for page in (first, second)]
    assert ([[1], [2]], False) == (ids, "nextToken" in second)
    backwards = states.get_execution_history(executionArn=arn, reverseOrder=True)["events"]
    assert [3, 2, 1] == [event["id"] for event in backwards]
