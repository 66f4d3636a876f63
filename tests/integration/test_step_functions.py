"""State machines that really run: in ministack (JSONata, nested executions), and in moto (JSONPath).

Where BUNSUI_TEST_AWS_ENDPOINT names an endpoint, all of it runs there. What no emulator can do, such as
losing answers, is tested with an endpoint of the tests' own, in ``tests/unit/jobs/test_step_function.py``.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import bunsui
from bunsui_tests.aws.environment import client
from bunsui_tests.conditions import until

pytestmark = pytest.mark.usefixtures("aws_environment")

ENDPOINT = os.environ.get("BUNSUI_TEST_AWS_ENDPOINT")
ROLE = "arn:aws:iam::000000000000:role/machines"
#: Gives what it is given, deep inside of something else, and the execution's name.
NEST = {
    "QueryLanguage": "JSONata",
    "StartAt": "Nest",
    "States": {
        "Nest": {
            "Type": "Pass",
            "Output": {
                "table": {"rows": [{"day": "{% $states.input.day %}"}]},
                "key": "{% $states.context.Execution.Name %}",
            },
            "End": True,
        }
    },
}
PASS = {"StartAt": "Keep", "States": {"Keep": {"Type": "Pass", "End": True}}}
FAIL = {
    "StartAt": "Give up",
    "States": {"Give up": {"Type": "Fail", "Error": "NoSuchTable", "Cause": "there is no table 'orders'"}},
}
WAIT = {
    "StartAt": "Rest",
    "States": {"Rest": {"Type": "Wait", "Seconds": 600, "Next": "Done"}, "Done": {"Type": "Succeed"}},
}
#: Waits until somebody is done with an activity.
ASK = {"StartAt": "Ask", "States": {"Ask": {"Type": "Task", "Resource": "?", "End": True}}}


class Endpoint:
    """An endpoint that somebody else has started."""

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self, service: str) -> Any:
        return client(service, self.url)


@pytest.fixture
def machines(request: pytest.FixtureRequest) -> Any:
    """Where JSONata and activities are known."""
    return Endpoint(ENDPOINT) if ENDPOINT else request.getfixturevalue("ministack")


@pytest.fixture
def paths(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Where JSONPath is."""
    if ENDPOINT:
        yield Endpoint(ENDPOINT)
        return
    moto = request.getfixturevalue("moto_server")
    moto.post("/moto-api/config", {"stepfunctions": {"execute_state_machine": True}})
    yield moto
    moto.post("/moto-api/config", {"stepfunctions": {"execute_state_machine": False}})


def deploy(endpoint: Any, definition: Any) -> str:
    """A state machine, whose ARN comes back."""
    made = endpoint.client("stepfunctions").create_state_machine(
        name=f"machine-{uuid.uuid4().hex[:8]}", definition=json.dumps(definition), roleArn=ROLE
    )
    return str(made["stateMachineArn"])


def runner_at(endpoint: Any, store: str = "memory://", **more: Any) -> bunsui.Runner:
    # In another region: state machines say theirs.
    return bunsui.Runner(store, aws={"endpoint_url": endpoint.url, "region": "us-west-2"}, **more)


def one(machine: str, **fields: Any) -> bunsui.Pipeline:
    return bunsui.Pipeline("p", jobs=[bunsui.Job("a", "step_function", state_machine=machine, **fields)])


def is_submitted(session: bunsui.Session) -> Callable[[], bool]:
    return lambda: any(type(event).__name__ == "JobSubmitted" for event in session.events())


def executions(endpoint: Any, machine: str) -> list[dict[str, Any]]:
    return list(endpoint.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"])


def test_outputs_are_handed_on(machines: Any) -> None:
    """What stands deep inside of one's output is the input of the next one; the name is the attempt's key."""
    machine, keep = deploy(machines, NEST), deploy(machines, PASS)
    definition = bunsui.Pipeline.from_dict({
        "version": "1.0",
        "name": "Two machines",
        "jobs": [
            {"id": "nest", "type": "step_function", "state_machine": machine,
             "parameters": {"day": "2026-01-31"}},
            {"id": "keep", "type": "step_function", "state_machine": keep, "depends_on": ["nest"],
             "parameters": {"first": "${jobs.nest.output.table.rows[0]}", "rows": [1, 2]}},
        ],
    })  # fmt: skip
    with runner_at(machines) as runner:
        session = runner.run(definition)
    assert session.outputs["keep"] == {"first": {"day": "2026-01-31"}, "rows": [1, 2]}
    (execution,) = executions(machines, machine)
    assert session.outputs["nest"]["key"] == execution["name"]


def starting(machine: str) -> dict[str, Any]:
    """Starts an execution of another machine, and waits for its end."""
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Parameters": {"StateMachineArn": machine, "Input.$": "$"},
        "End": True,
    }
    return {"StartAt": "Inner", "States": {"Inner": task}}


def test_one_that_starts_another(machines: Any) -> None:
    """What comes of the inner one stands in the output of the outer one, as a value."""
    machine = deploy(machines, starting(deploy(machines, NEST)))
    with runner_at(machines) as runner:
        outputs = runner.run(one(machine, parameters={"day": "2026-01-31"})).outputs
    assert outputs["a"]["Output"]["table"] == {"rows": [{"day": "2026-01-31"}]}


def test_one_that_starts_another_that_fails(machines: Any) -> None:
    """Why the inner one has failed is the message."""
    with runner_at(machines) as runner:
        error = runner.run(one(deploy(machines, starting(deploy(machines, FAIL))))).jobs["a"].error
    assert error is not None
    assert error.message == "there is no table 'orders'"


@pytest.mark.parametrize("where", ["machines", "paths"])
def test_failures(where: str, request: pytest.FixtureRequest) -> None:
    """The error of a Fail state is the job's code, on which it is retried; its cause is the message."""
    endpoint = request.getfixturevalue(where)
    machine = deploy(endpoint, FAIL)
    with runner_at(endpoint) as runner:
        job = runner.run(one(machine, retry={"on": ["NoSuch*"], "delay": 0, "max_attempts": 2})).jobs["a"]
    assert job.error is not None
    assert (job.error.code, job.error.message) == ("NoSuchTable", "there is no table 'orders'")
    assert (len(job.attempts), len(executions(endpoint, machine))) == (2, 2)


def test_json_path(paths: Any) -> None:
    """What is given comes back."""
    with runner_at(paths) as runner:
        session = runner.run(one(deploy(paths, PASS), parameters={"a": {"b": [1, None, "ä"]}}))
    assert session.outputs == {"a": {"a": {"b": [1, None, "ä"]}}}


def test_versions_and_aliases(machines: Any) -> None:
    """A version, and an alias of it, are run and followed; attempts that are begun again are found."""
    machine = deploy(machines, PASS)
    made = machines.client("stepfunctions")
    version = made.publish_state_machine_version(stateMachineArn=machine)["stateMachineVersionArn"]
    alias = made.create_state_machine_alias(
        name="live", routingConfiguration=[{"stateMachineVersionArn": version, "weight": 100}]
    )["stateMachineAliasArn"]
    for arn in (version, alias):
        with runner_at(machines) as runner:
            assert runner.check(one(arn)) == []
            assert runner.run(one(arn, parameters={"n": 1})).outputs == {"a": {"n": 1}}


def test_taken_over(machines: Any, tmp_path: Any) -> None:
    """Another runner goes on with an execution that the first one has let go of, and starts none."""
    store, made = f"sqlite:///{tmp_path}/store.db", machines.client("stepfunctions")
    activity = made.create_activity(name=f"ask-{uuid.uuid4().hex[:8]}")["activityArn"]
    ask = json.loads(json.dumps(ASK).replace("?", activity))
    machine = deploy(machines, ask)
    with runner_at(machines, store) as first:
        session = first.start(one(machine))
        until(is_submitted(session))
        first.close(timeout=0)
    with runner_at(machines, store) as second:
        token = made.get_activity_task(activityArn=activity)["taskToken"]
        made.send_task_success(taskToken=token, output='{"rows": 3}')
        assert second.resume(session.id).outputs == {"a": {"rows": 3}}
    assert len(executions(machines, machine)) == 1


@pytest.mark.parametrize("where", ["machines", "paths"])
def test_cancelled(where: str, request: pytest.FixtureRequest) -> None:
    """Who cancels the session has the execution stopped, which says by whom."""
    endpoint = request.getfixturevalue(where)
    machine = deploy(endpoint, WAIT)
    with runner_at(endpoint) as runner:
        session = runner.start(one(machine))
        until(is_submitted(session))
        session.cancel()
        assert session.wait() == "cancelled"
    (execution,) = executions(endpoint, machine)
    found = endpoint.client("stepfunctions").describe_execution(executionArn=execution["executionArn"])
    # moto does not keep what it is told.
    assert (found["status"], found.get("cause", "")) == (
        "ABORTED",
        "" if where == "paths" and not ENDPOINT else "stopped by bunsui",
    )


def test_log(machines: Any) -> None:
    """The history stands in the session's log, with the states' names; what failed is an error."""
    with runner_at(machines) as runner:
        session = runner.run(one(deploy(machines, FAIL)))
        records = [*session.logs(job="a")]
    messages = {record.message: record.level for record in records}
    assert messages["FailStateEntered Give up"] == "INFO"
    failed = [text for text in messages if text.startswith("ExecutionFailed")]
    assert [(text.rpartition(": ")[2], messages[text]) for text in failed] == [
        ("there is no table 'orders'", "ERROR")
    ]


def test_check(machines: Any) -> None:
    """What is there is found, and what is not."""
    machine = deploy(machines, PASS)
    with runner_at(machines) as runner:
        problems = runner.check(
            bunsui.Pipeline(
                "p", jobs=[*one(machine).jobs, bunsui.Job("b", "step_function", state_machine=f"{machine}x")]
            )
        )
    assert [(problem.code, problem.path) for problem in problems] == [
        ("unknown-state-machine", "/jobs/1/state_machine")
    ]


def test_express(machines: Any) -> None:
    """One that can't be followed is not started."""
    made = machines.client("stepfunctions").create_state_machine(
        name=f"quick-{uuid.uuid4().hex[:8]}", definition=json.dumps(PASS), roleArn=ROLE, type="EXPRESS"
    )
    with runner_at(machines) as runner:
        error = runner.run(one(made["stateMachineArn"])).jobs["a"].error
    assert error is not None
    assert error.code == "StepFunctions.StateMachineTypeNotSupported"
