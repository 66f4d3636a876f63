"""The spans of jobs at AWS, and the trace that their work is given: each by its own way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import baggage, context

import bunsui
from bunsui.monitoring.conventions import result_of_code
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.otlp import SeenSpan
from bunsui_tests.telemetry import Told

pytestmark = pytest.mark.usefixtures("aws_environment")

MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:load"
LOG = {
    "logDriver": "awslogs",
    "options": {"awslogs-group": "/etl", "awslogs-stream-prefix": "run", "awslogs-region": "eu-central-1"},
}


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def runner(fake_aws: FakeAws, told: Told) -> Iterator[bunsui.Runner]:
    made = bunsui.Runner(
        "memory://",
        autoload_plugins=False,
        aws={"endpoint_url": fake_aws.url, "region": "eu-central-1"},
        config={"telemetry": told.providers},
    )
    with made:
        yield made


def ran(runner: bunsui.Runner, kind: str, **fields: Any) -> bunsui.Session:
    session = runner.run(bunsui.Pipeline("orders", [bunsui.Job("load", kind, **fields)]))
    assert "succeeded" == session.status, session.jobs["load"].error
    return session


def span(runner: bunsui.Runner, told: Told, name: str) -> SeenSpan:
    """The one with this name, once all are told."""
    runner.close()
    (found,) = [each for each in told.spans if each.name == name]
    return found


def ids(traceparent: str) -> tuple[str, str]:
    """Those of the trace and of the span."""
    _, trace, span_id, _ = traceparent.split("-")
    return trace, span_id


def ids_of(found: SeenSpan) -> tuple[str, str]:
    return found.trace_id, found.span_id


def url_of(runner: bunsui.Runner, told: Told) -> str:
    return str(span(runner, told, "load").attributes["cicd.pipeline.task.run.url.full"])


@pytest.mark.parametrize(
    "function",
    ["extract", "extract:live", "arn:aws:lambda:eu-central-1:123456789012:function:extract"],
    ids=["name", "qualified", "arn"],
)
def test_lambda(fake_aws: FakeAws, runner: bunsui.Runner, told: Told, function: str) -> None:
    """The call is a span of kind CLIENT within the attempt, and it is what the function goes on with."""
    fake_aws.functions.add("extract", lambda _, context: context["custom"], versions={"live": "7"})
    session = ran(runner, "lambda", function=function)
    call = span(runner, told, "extract")
    assert ("CLIENT", ids_of(call)) == (call.kind, ids(session.outputs["load"]["TRACEPARENT"]))
    assert {
        "faas.invoked_name": "extract",
        "faas.invoked_provider": "aws",
        "faas.invoked_region": "eu-central-1",
    } == {name: value for name, value in call.attributes.items() if name.startswith("faas.")}
    attempt = span(runner, told, "attempt load")
    assert (attempt.span_id, attempt.trace_id) == (call.parent_id, call.trace_id)
    assert (call.start, call.end) == (attempt.start, attempt.end)


def test_lambda_that_fails(fake_aws: FakeAws, runner: bunsui.Runner, told: Told) -> None:
    """What the function raised is a failure of the user's code, and the call's error, too."""

    def fail(*_: Any) -> None:
        raise ValueError("no such table")

    fake_aws.functions.add("extract", fail)
    runner.run(bunsui.Pipeline("orders", [bunsui.Job("load", "lambda", function="extract")]))
    call = span(runner, told, "extract")
    assert ("Lambda.ValueError", "ERROR") == (call.attributes["error.type"], call.status)
    assert "failure" == span(runner, told, "load").attributes["cicd.pipeline.task.run.result"]


def test_lambda_in_another_region(fake_aws: FakeAws, runner: bunsui.Runner, told: Told) -> None:
    fake_aws.functions.add("extract", lambda *_: None)
    ran(runner, "lambda", function="extract", region="us-west-2")
    assert "us-west-2" == span(runner, told, "extract").attributes["faas.invoked_region"]


def test_a_bound_function_is_no_call(runner: bunsui.Runner, told: Told) -> None:
    """What runs on this machine calls nobody; it goes on with the attempt."""
    bound = bunsui.Runner(
        "memory://",
        autoload_plugins=False,
        bindings={"lambda": {"extract": lambda event, context: context.client_context.custom}},
        config={"telemetry": told.providers},
    )
    session = ran(bound, "lambda", function="extract")
    attempt = span(bound, told, "attempt load")
    assert ids_of(attempt) == ids(session.outputs["load"]["TRACEPARENT"])
    assert "extract" not in [each.name for each in told.spans]


def test_ecs(fake_aws: FakeAws, runner: bunsui.Runner, told: Told) -> None:
    fake_aws.ecs.define("t", {"name": "main", "logConfiguration": LOG})
    ran(runner, "ecs", task_definition="t", launch_type="FARGATE", network={"subnets": ["subnet-1"]})
    (task,) = fake_aws.ecs.tasks
    attempt = span(runner, told, "attempt load")
    assert {
        "bunsui.job.attempt": 1,
        "aws.ecs.task.arn": task.arn,
        "aws.ecs.cluster.arn": "arn:aws:ecs:eu-central-1:123456789012:cluster/default",
        "aws.ecs.launchtype": "fargate",
        "aws.log.group.names": ["/etl"],
        "aws.log.stream.names": [f"run/main/{task.id}"],
    } == attempt.attributes
    assert ids_of(attempt) == ids(task.environment["TRACEPARENT"])
    assert url_of(runner, told) == (
        "https://eu-central-1.console.aws.amazon.com/ecs/v2/clusters/default/tasks/"
        f"{task.id}?region=eu-central-1"
    )


def test_step_functions(fake_aws: FakeAws, runner: bunsui.Runner, told: Told) -> None:
    """The trace is in the input, beside the job's own parameters; it leaves out nobody's."""
    fake_aws.machines.add("load", lambda given: given)
    session = ran(runner, "step_function", state_machine=MACHINE, parameters={"day": "2026-01-31"})
    (start,) = fake_aws.called("states", "StartExecution")
    attempt = span(runner, told, "attempt load")
    given = json.loads(start.parameters["input"])
    assert ({"day", "_bunsui"}, ids_of(attempt)) == (set(given), ids(given["_bunsui"]["traceparent"]))
    execution = attempt.attributes["bunsui.aws.execution.arn"]
    assert execution.endswith(f":execution:load:{start.parameters['name']}")
    assert MACHINE == attempt.attributes["aws.step_functions.state_machine.arn"]
    assert url_of(runner, told).endswith(f"/v2/executions/details/{execution}")
    assert session.outputs["load"] == given


def test_a_parameter_of_the_same_name(fake_aws: FakeAws, runner: bunsui.Runner) -> None:
    """Is the job's own, and stays."""
    fake_aws.machines.add("load", lambda given: given)
    session = ran(runner, "step_function", state_machine=MACHINE, parameters={"_bunsui": 1})
    assert {"load": {"_bunsui": 1}} == session.outputs


def test_batch(fake_aws: FakeAws, runner: bunsui.Runner, told: Told) -> None:
    fake_aws.batch.add_queue("q")
    fake_aws.batch.define("d")
    ran(runner, "batch", job_queue="q", job_definition="d")
    (job,) = fake_aws.batch.jobs
    assert ids_of(span(runner, told, "attempt load")) == ids(job.environment["TRACEPARENT"])
    assert url_of(runner, told).endswith(f"/batch/home?region=eu-central-1#jobs/detail/{job.id}")


def test_glue(fake_aws: FakeAws, runner: bunsui.Runner, told: Told) -> None:
    fake_aws.glue.define("load")
    ran(runner, "glue", job_name="load")
    (run,) = fake_aws.glue.runs
    assert ids_of(span(runner, told, "attempt load")) == ids(run.arguments["--TRACEPARENT"])
    assert url_of(runner, told).endswith(f"#/job/load/run/{run.id}")


def test_nothing_is_sent_along_without_a_trace(fake_aws: FakeAws) -> None:
    """The input of an execution is the job's own."""
    fake_aws.machines.add("load", lambda given: given)
    with bunsui.Runner(
        "memory://", autoload_plugins=False, aws={"endpoint_url": fake_aws.url}, config={"telemetry": "off"}
    ) as runner:
        assert {"load": {"day": 1}} == ran(
            runner, "step_function", state_machine=MACHINE, parameters={"day": 1}
        ).outputs


@pytest.fixture
def much_baggage() -> Iterator[None]:
    """As much as W3C Baggage allows."""
    full = baggage.set_baggage("b", "y" * 4000, baggage.set_baggage("a", "x" * 4000))
    token = context.attach(full)
    yield
    context.detach(token)


@pytest.mark.usefixtures("much_baggage")
def test_no_job_fails_for_its_trace(fake_aws: FakeAws, runner: bunsui.Runner) -> None:
    """What is too much with the trace goes without; nothing of it is needed on S3."""
    fake_aws.ecs.define("t")
    fake_aws.batch.add_queue("q")
    fake_aws.batch.define("d")
    fake_aws.machines.add("load", lambda given: len(given["text"]))
    ran(runner, "ecs", task_definition="t", parameters={"day": "2026-01-31"})
    ran(runner, "batch", job_queue="q", job_definition="d", parameters={"day": "2026-01-31"})
    session = ran(runner, "step_function", state_machine=MACHINE, parameters={"text": "x" * 260_000})
    assert {"load": 260_000} == session.outputs
    assert "TRACEPARENT" not in fake_aws.ecs.tasks[0].environment
    assert "2026-01-31" == fake_aws.ecs.tasks[0].environment["BUNSUI_PARAM_DAY"]
    assert "TRACEPARENT" not in fake_aws.batch.jobs[0].environment


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("ValueError", "failure"),
        ("ExitCode.3", "failure"),
        ("Lambda.ValueError", "failure"),
        ("Lambda.TooManyRequestsException", "error"),
        ("Glue.FAILED", "failure"),
        ("Glue.TIMEOUT", "timeout"),
        ("Batch.Timeout", "timeout"),
        ("Batch.HostTerminated", "error"),
        ("ECS.NotPlaced", "error"),
        ("StepFunctions.TimedOut", "timeout"),
        ("StepFunctions.ExecutionFailed", "failure"),
        ("StepFunctions.AccessDeniedException", "error"),
        ("States.TaskFailed", "failure"),
        ("States.Timeout", "timeout"),
        ("AwsError", "error"),
        ("STS.AccessDenied", "error"),
        ("PermissionDenied", "error"),
        ("JobLost", "error"),
        ("JobTimeout", "timeout"),
        ("JobCancelled", "cancellation"),
    ],
)
def test_results(code: str, result: str) -> None:
    """By the code of the failure: whose fault it was."""
    assert result == result_of_code(code)
