"""How executions of state machines are watched: together where that can be, and none starves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

import bunsui
from bunsui.aws.connections import Connections
from bunsui.aws.settings import AwsSettings
from bunsui.jobs import step_function
from bunsui.jobs.step_function import StepFunctionJobType
from bunsui.ports.services import Services
from bunsui.testing import FakeClock
from bunsui_tests.attempts import make_call
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.messages import Call

pytestmark = pytest.mark.usefixtures("aws_environment")

Submit = Callable[..., list[Any]]


@pytest.fixture
def aws(fake_aws: FakeAws) -> FakeAws:
    """With two state machines, whose executions do nothing by themselves."""
    fake_aws.machines.add("load")
    fake_aws.machines.add("report")
    return fake_aws


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def kind(aws: FakeAws, clock: FakeClock) -> Iterator[StepFunctionJobType]:
    made = Connections(AwsSettings(endpoints={"": aws.url}))
    yield StepFunctionJobType().for_runner(Services(made, clock, Random(0)))
    made.close()


@pytest.fixture
def submit(kind: StepFunctionJobType) -> Submit:
    """Starts so many executions of a machine, and gives their handles."""

    def start(count: int, name: str = "load") -> list[Any]:
        options = {"state_machine": f"arn:aws:states:eu-central-1:123456789012:stateMachine:{name}"}
        return [
            kind.submit(make_call(options=options, idempotency_key=f"{name}-{number}"))
            for number in range(count)
        ]

    return start


@pytest.fixture
def polls(aws: FakeAws, kind: StepFunctionJobType) -> Callable[[list[Any]], tuple[list[Any], list[str]]]:
    """Polls, and gives what it said with the actions that it called."""

    def poll(handles: list[Any]) -> tuple[list[Any], list[str]]:
        before = len(aws.calls)
        said = [*kind.poll(handles)]
        return said, [call.action for call in aws.calls[before:]]

    return poll


RUNNING, DONE = bunsui.Running(), bunsui.Succeeded(1)


def slow(clock: FakeClock, seconds: float) -> Callable[[Call], bool]:
    """Has each look take so long; it strikes none."""

    def when(_: Call) -> bool:
        clock.advance(seconds)
        return False

    return when


def test_few(submit: Submit, polls: Any) -> None:
    """Ten are looked at one by one."""
    assert polls(submit(10)) == ([RUNNING] * 10, ["DescribeExecution"] * 10)


def test_many(aws: FakeAws, submit: Submit, polls: Any) -> None:
    """Of more, those that run are listed; only what is not among them is looked at."""
    handles = submit(1000)
    for number in (3, 950):
        aws.machines.executions[number].succeed(1)
    said, actions = polls(handles)
    assert [i for i, each in enumerate(said) if each == DONE] == [3, 950]
    assert said.count(RUNNING) == 998
    assert actions == ["ListExecutions", "DescribeExecution", "DescribeExecution"]


def test_several_pages(aws: FakeAws, submit: Submit, polls: Any) -> None:
    """A list is read on until all are found that are looked for, the newest first, or it ends."""
    handles = submit(60)
    aws.machines.page = 20
    assert polls(handles)[1] == ["ListExecutions"] * 3
    assert polls(handles[-15:])[1] == ["ListExecutions"]


def test_pages_have_a_bound(
    aws: FakeAws, submit: Submit, polls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where many more run than are looked for, the list is left; the rest is looked at."""
    monkeypatch.setattr(step_function, "MAX_PAGES", 2)
    handles = submit(60)
    aws.machines.page = 20
    said, actions = polls(handles[:12])
    assert (said, actions) == ([RUNNING] * 12, ["ListExecutions"] * 2 + ["DescribeExecution"] * 12)


def test_each_machine_by_itself(aws: FakeAws, submit: Submit, polls: Any) -> None:
    """A list is one machine's."""
    said, actions = polls([*submit(11), *submit(2, "report")])
    assert (said, sorted(actions)) == ([RUNNING] * 13, ["DescribeExecution"] * 2 + ["ListExecutions"])


def test_no_permission_to_list(aws: FakeAws, submit: Submit, polls: Any) -> None:
    """Each is looked at, and no list is asked for again."""
    aws.faults.deny("states", "ListExecutions")
    handles = submit(12)
    assert polls(handles) == ([RUNNING] * 12, ["ListExecutions"] + ["DescribeExecution"] * 12)
    assert polls(handles) == ([RUNNING] * 12, ["DescribeExecution"] * 12)


def test_list_without_an_answer(aws: FakeAws, submit: Submit, polls: Any) -> None:
    """Each is looked at; the next poll asks for the list again."""
    handles = submit(12)
    aws.faults.throttle("states", "ListExecutions", times=1)
    assert polls(handles)[1] == ["ListExecutions"] + ["DescribeExecution"] * 12
    assert polls(handles)[1] == ["ListExecutions"]


def test_a_bound_of_time(aws: FakeAws, clock: FakeClock, submit: Submit, polls: Any) -> None:
    """No poll looks for long; each goes on with those that were not looked at for longest."""
    aws.faults.deny("states", "ListExecutions")
    handles = submit(12)
    aws.faults.drop_before("states", "DescribeExecution", when=slow(clock, 1.0))
    for execution in aws.machines.executions[6:]:
        execution.succeed(1)
    assert polls(handles)[0] == [RUNNING] * 12  # These six run.
    assert polls(handles)[0] == [RUNNING] * 6 + [DONE] * 6


def test_each_machine_gets_a_look(aws: FakeAws, clock: FakeClock, submit: Submit, polls: Any) -> None:
    """One that takes all the time leaves one look to the others."""
    handles = [*submit(2), *submit(2, "report")]
    aws.faults.drop_before("states", "DescribeExecution", when=slow(clock, 6.0))
    assert polls(handles) == ([RUNNING] * 4, ["DescribeExecution"] * 2)
    looked = [call.parameters["executionArn"] for call in aws.called("states", "DescribeExecution")]
    assert looked == [handles[0]["execution"], handles[2]["execution"]]


def test_throttled_on_the_way(aws: FakeAws, submit: Submit, polls: Any) -> None:
    """What was answered counts; nothing else is asked meanwhile, and it comes first next time."""
    handles = submit(6)
    for execution in aws.machines.executions:
        execution.succeed(1)
    last = handles[3]["execution"]
    fault = aws.faults.throttle(
        "states", "DescribeExecution", when=lambda call: call.parameters["executionArn"] == last
    )
    assert polls(handles) == ([DONE] * 3 + [RUNNING] * 3, ["DescribeExecution"] * 4)
    # One that is never answered keeps the others from nothing.
    assert polls(handles[3:]) == ([RUNNING, DONE, DONE], ["DescribeExecution"] * 3)
    fault.end()
    assert polls(handles[3:4])[0] == [DONE]


def test_nothing_is_answered(aws: FakeAws, kind: StepFunctionJobType, submit: Submit) -> None:
    """That says something of AWS, and nothing of the executions."""
    handles = submit(3)
    aws.faults.deny("states", "DescribeExecution")
    with pytest.raises(bunsui.AwsError) as caught:
        kind.poll(handles)
    assert (caught.value.kind, len(aws.called("states", "DescribeExecution"))) == ("open", 1)
    assert "needs the permission states:DescribeExecution" in str(caught.value)


@pytest.mark.parametrize("count", [2, 12])
def test_no_credentials(aws: FakeAws, kind: StepFunctionJobType, submit: Submit, count: int) -> None:
    """Then nobody is asked for the rest."""
    handles = submit(count)
    aws.faults.expire(aws.calls[0].access_key)
    with pytest.raises(bunsui.AwsError) as caught:
        kind.poll(handles)
    assert caught.value.kind == "credentials"


def test_one_that_is_not_shown(aws: FakeAws, submit: Submit, polls: Any, clock: FakeClock) -> None:
    """It counts as running for a minute, unless it is shown meanwhile, in a list or by itself."""
    handles = submit(12)
    gone, late = aws.machines.executions[0], aws.machines.executions[1]
    aws.machines.hide(gone)
    aws.machines.hide(late)
    assert polls(handles)[0] == [RUNNING] * 12
    clock.advance(59)
    aws.machines.show(late)
    assert polls(handles)[0] == [RUNNING] * 12
    aws.machines.hide(late)
    clock.advance(2)
    assert polls(handles)[0] == [bunsui.CannotTell()] + [RUNNING] * 11


def test_not_shown_where_looks_are_slow(aws: FakeAws, submit: Submit, polls: Any, clock: FakeClock) -> None:
    """A poll that does not come to it says nothing of it: its minute goes on."""
    handles = submit(3)
    aws.faults.drop_before("states", "DescribeExecution", when=slow(clock, 25.0))
    aws.machines.hide(aws.machines.executions[0])
    for _ in range(3):
        assert polls(handles) == ([RUNNING] * 3, ["DescribeExecution"])
    assert polls(handles)[0] == [bunsui.CannotTell(), RUNNING, RUNNING]


def test_a_polling_error_is_no_failure(aws: FakeAws) -> None:
    """Whatever the look fails with, the job goes on."""
    machine = aws.machines.add("done", lambda given: given)
    for fault in (aws.faults.server_error, aws.faults.throttle, aws.faults.deny):
        fault("states", "DescribeExecution", times=1)
    job = bunsui.Job("a", "step_function", state_machine=machine)
    with bunsui.Runner("memory://", aws={"endpoint_url": aws.url}) as runner:
        assert runner.run(bunsui.Pipeline("p", jobs=[job])).status == "succeeded"
    assert len(aws.called("states", "DescribeExecution")) == 4


def test_groups(kind: StepFunctionJobType) -> None:
    """State machines share a group; roles and regions do not."""
    base = {"execution": "arn:aws:states:eu-central-1:123456789012:execution:a:x", "region": "eu-central-1"}
    same = kind.poll_group(base) == kind.poll_group(base | {"execution": base["execution"] + "y"})
    others = {kind.poll_group(base | more) for more in ({}, {"region": "eu-west-1"}, {"role": "r"})}
    assert (same, len(others)) == (True, 3)
