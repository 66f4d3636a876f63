"""AWS that throttles, does not answer, or is away: every job ends as it would without that."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

import bunsui
from bunsui_tests.aws.ecs_tasks import Script
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.messages import Call
from bunsui_tests.conditions import until

pytestmark = pytest.mark.usefixtures("aws_environment")


@pytest.fixture
def aws(fake_aws: FakeAws) -> FakeAws:
    """With a task whose work is done when it is first asked for, and a function."""
    fake_aws.ecs.define("t")
    fake_aws.functions.add("f", lambda event, _: event["n"])
    return fake_aws


@pytest.fixture
def runner(aws: FakeAws) -> Iterator[bunsui.Runner]:
    with bunsui.Runner("memory://", max_concurrency=1000, aws={"endpoint_url": aws.url}) as made:
        yield made


def fan_out(kind: str, count: int, **fields: Any) -> bunsui.Pipeline:
    """A pipeline of one job with so many items."""
    job = bunsui.Job("a", kind, for_each=list(range(count)), parameters={"n": "${item}"}, **fields)
    return bunsui.Pipeline("p", jobs=[job])


def first_of_each(action: str) -> Any:
    """True of the first call of each attempt."""
    seen: set[str] = set()
    lock = threading.Lock()

    def is_first(call: Call) -> bool:
        if call.action != action:
            return False
        token = call.parameters["clientToken"]
        with lock:
            if token in seen:
                return False
            seen.add(token)
            return True

    return is_first


def test_lost_responses(aws: FakeAws, runner: bunsui.Runner) -> None:
    """The answer to each of 100 RunTask is lost once: 100 tasks, and each job has its own."""
    aws.faults.drop_after("ecs", "RunTask", when=first_of_each("RunTask"))
    session = runner.run(fan_out("ecs", 100, task_definition="t"))
    assert session.status == "succeeded"
    started = Counter(task.started_by for task in aws.ecs.tasks)
    assert (len(started), set(started.values())) == (100, {1})


def test_a_thousand_tasks(aws: FakeAws, runner: bunsui.Runner) -> None:
    """1,000 tasks at once are looked at with 10 calls a poll, each with 100 of them."""
    aws.ecs.script = Script(every=None)
    session = runner.start(fan_out("ecs", 1000, task_definition="t", max_concurrency=1000))
    until(lambda: len(aws.ecs.tasks) == 1000, 120)
    last = len(aws.calls)
    until(lambda: len(described(aws, last)) >= 25, 120)
    polled = described(aws, last)
    for task in aws.ecs.tasks:
        aws.ecs.stop(task)
    assert session.wait(120) == "succeeded"
    by_task = Counter(task for call in polled for task in call.parameters["tasks"])
    polls = max(by_task.values())
    assert len(polled) <= 15 * polls
    assert max(len(call.parameters["tasks"]) for call in aws.called("ecs", "DescribeTasks")) == 100


def described(aws: FakeAws, after: int) -> list[Call]:
    return [call for call in aws.called("ecs", "DescribeTasks") if call.number > after]


@pytest.mark.parametrize(
    ("kind", "fields", "action"),
    [("lambda", {"function": "f"}, "Invoke"), ("ecs", {"task_definition": "t"}, "RunTask")],
)
def test_throttled(aws: FakeAws, runner: bunsui.Runner, kind: str, fields: Any, action: str) -> None:
    """30% of the calls are throttled: all jobs succeed, with at most 1.5 times the calls."""
    fault = aws.faults.throttle(kind, action, share=0.3)
    session = runner.run(fan_out(kind, 300, **fields))
    assert session.status == "succeeded"
    assert fault.hits > 60
    calls = len(aws.called(kind, action))
    assert calls <= 1.5 * 300
    # Each refused call was made again once: no second layer repeats it, too.
    assert calls == 300 + fault.hits


def test_outage(aws: FakeAws, runner: bunsui.Runner) -> None:
    """AWS is away while a task runs and another job is about to start: both end well."""
    aws.ecs.script = Script(every=None)
    jobs = [
        bunsui.Job("task", "ecs", task_definition="t"),
        bunsui.Job("wait", "lambda", function="f", parameters={"n": 1}),
        bunsui.Job("then", "lambda", function="f", parameters={"n": 2}, depends_on=["wait"]),
    ]
    with aws.faults.hold("lambda", "Invoke", times=1) as hold:
        session = runner.start(bunsui.Pipeline("p", jobs=jobs))
        aws.wait_for_calls("ecs", "DescribeTasks")
        hold.wait()
        with aws.outage():
            hold.release()
            with pytest.raises(TimeoutError):
                session.wait(4)
    aws.ecs.stop(aws.ecs.tasks[0])
    assert session.wait(60) == "succeeded"
    assert session.outputs == {"task": None, "wait": 1, "then": 2}
