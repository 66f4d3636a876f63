"""The history of an execution as a job's log."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

import bunsui
from bunsui.aws.connections import Connections
from bunsui.aws.settings import AwsSettings
from bunsui.jobs.step_function import StepFunctionJobType
from bunsui.ports.remote_log import RemoteLog
from bunsui.ports.services import Services
from bunsui.testing import FakeClock
from bunsui_tests.attempts import make_call
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.step_functions import Execution

pytestmark = pytest.mark.usefixtures("aws_environment")

Page = Callable[..., bunsui.LogPage]


@pytest.fixture
def kind(fake_aws: FakeAws) -> Iterator[StepFunctionJobType]:
    made = Connections(AwsSettings(endpoints={"": fake_aws.url}))
    yield StepFunctionJobType().for_runner(Services(made, FakeClock(), Random(0)))
    made.close()


@pytest.fixture
def handle(fake_aws: FakeAws, kind: StepFunctionJobType) -> Any:
    """Of an execution that has started."""
    return kind.submit(make_call(options={"state_machine": fake_aws.machines.add("load")}))


@pytest.fixture
def execution(fake_aws: FakeAws, handle: Any) -> Execution:
    (found,) = fake_aws.machines.executions
    assert found.arn == handle["execution"]
    return found


@pytest.fixture
def page(kind: StepFunctionJobType, handle: Any) -> Page:
    """A page of the log, from a token on."""

    def read(token: Any = None, **fields: Any) -> bunsui.LogPage:
        about = RemoteLog(
            session_id="s", job_id="a", attempt=1, handle=handle, started_at=datetime.now(UTC), **fields
        )
        return kind.log_page(about, token)

    return read


def texts(page: bunsui.LogPage) -> list[str]:
    return [line.text for line in page.lines]


def entered(execution: Execution, name: str, kind: str = "Task") -> None:
    execution.happen(f"{kind}StateEntered", stateEnteredEventDetails={"name": name, "input": "{}"})


def test_events(execution: Execution, page: Page) -> None:
    """Each is a line: what happened, in which state, and what went wrong."""
    cause = json.dumps({"errorMessage": "no such table", "errorType": "ValueError"})
    entered(execution, "Load")
    execution.happen(
        "TaskScheduled", taskScheduledEventDetails={"resourceType": "lambda", "resource": "invoke"}
    )
    execution.happen("TaskStarted", taskStartedEventDetails={})
    execution.happen("TaskFailed", taskFailedEventDetails={"error": "ValueError", "cause": cause})
    execution.happen("TaskStateExited", stateExitedEventDetails={"name": "Load"})
    entered(execution, "Each", "Map")
    execution.happen("MapIterationStarted", mapIterationStartedEventDetails={"name": "Each", "index": 2})
    execution.happen("WaitStateAborted")
    execution.end("FAILED", error="Gone", cause="for good")
    found = page()
    assert texts(found) == [
        "ExecutionStarted",
        "TaskStateEntered Load",
        "TaskScheduled Load: lambda invoke",
        "TaskStarted Load",
        "TaskFailed Load: ValueError: no such table",
        "TaskStateExited Load",
        "MapStateEntered Each",
        "MapIterationStarted Each [2]",
        "WaitStateAborted Each",
        "ExecutionFailed Each: Gone: for good",
    ]
    assert [i for i, line in enumerate(found.lines) if line.level == "ERROR"] == [4, 8, 9]
    assert (found.is_end, found.lines[0].time.tzinfo) == (True, UTC)


def test_no_data(execution: Execution, page: Page) -> None:
    """What states are given is not the log's: it may be much, and secret."""
    execution.happen(
        "PassStateEntered", stateEnteredEventDetails={"name": "Ask", "input": '{"key": "canary"}'}
    )
    execution.succeed({"key": "canary"})
    assert "canary" not in "".join(texts(page()))


def test_pages(execution: Execution, page: Page, fake_aws: FakeAws) -> None:
    """A long history is read page by page, each with the names of states that an earlier one has."""
    entered(execution, "Load")
    for _ in range(8):
        execution.happen("TaskStarted", taskStartedEventDetails={})
    first = page(limit=4)
    second = page(first.token, limit=4)
    third = page(second.token, limit=4)
    assert [len(each.lines) for each in (first, second, third)] == [4, 4, 2]
    assert [each.is_end for each in (first, second, third)] == [False, False, True]
    assert set(texts(second)) == {"TaskStarted Load"}
    assert len(fake_aws.called("states", "GetExecutionHistory")) == 3


def test_followed(execution: Execution, page: Page, fake_aws: FakeAws) -> None:
    """From the end on, what has happened since is read, all of it and once."""
    entered(execution, "Load")
    read = page()
    assert texts(page(read.token)) == []
    fake_aws.machines.page = 3  # What came meanwhile is more than a page.
    for number in range(7):
        execution.happen("TaskStarted", taskStartedEventDetails={"resource": str(number)})
    later = page(read.token)
    assert texts(later) == [f"TaskStarted Load: {number}" for number in range(7)]
    execution.succeed()
    last = page(later.token)
    assert texts(last) == ["ExecutionSucceeded Load"]
    assert (texts(page(last.token)), last.is_end) == ([], True)


def test_the_last_lines(execution: Execution, page: Page, fake_aws: FakeAws) -> None:
    """They are read with one call, and what comes later is read from there."""
    for number in range(50):
        execution.happen("TaskStarted", taskStartedEventDetails={"resource": str(number)})
    found = page(last=2)
    assert texts(found) == ["TaskStarted: 48", "TaskStarted: 49"]
    execution.succeed()
    assert texts(page(found.token, last=2)) == ["ExecutionSucceeded"]
    assert len(fake_aws.called("states", "GetExecutionHistory")) == 2


def test_not_shown_yet(execution: Execution, page: Page, fake_aws: FakeAws) -> None:
    """It has no lines, and all of them when it is shown."""
    fake_aws.machines.hide(execution)
    read = page()
    assert (texts(read), read.is_end) == ([], True)
    fake_aws.machines.show(execution)
    assert texts(page(read.token)) == ["ExecutionStarted"]


def test_what_was_not_submitted(kind: StepFunctionJobType) -> None:
    """It has no log."""
    about = RemoteLog(session_id="s", job_id="a", attempt=1, started_at=datetime.now(UTC))
    assert kind.log_page(about, None) == bunsui.LogPage()


def test_a_session_shows_it(fake_aws: FakeAws) -> None:
    """It stands among the session's records, errors as such."""
    machine = fake_aws.machines.add("done", lambda given: given)
    job = bunsui.Job("a", "step_function", state_machine=machine)
    with bunsui.Runner("memory://", aws={"endpoint_url": fake_aws.url}) as runner:
        session = runner.run(bunsui.Pipeline("p", jobs=[job]))
        assert "ExecutionSucceeded" in [record.message for record in session.logs(job="a")]
