"""``lambda`` jobs whose function uses `bunsui.aws.lambda_handler`, in AWS's own runtime of Python."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import pytest
from attrs import evolve

import bunsui
from bunsui.jobs.aws_lambda import LambdaJobType
from bunsui.ports.services import Services
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.runtime import Runtime

pytestmark = pytest.mark.usefixtures("aws_environment")

SOURCE = Path(bunsui.__file__).parents[1]
SITE = Path(str(find_spec("attrs") and find_spec("attrs").origin)).parents[1]  # type: ignore[union-attr]
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HANDLERS = """
import bunsui
from bunsui.aws import lambda_handler

@lambda_handler
def load(event, context):
    from opentelemetry import trace
    call = bunsui.current_call()
    call.logger.warning("loading %s", call.job_id)
    span = trace.get_current_span().get_span_context()
    if event.get("fails") and call.attempt == 1:
        raise bunsui.JobError(call.idempotency_key, code="Again")
    return [call.session_id, call.job_id, call.attempt, call.idempotency_key, dict(call.parameters),
            dict(call.environment), f"{span.trace_id:032x}", f"{span.span_id:016x}"]
"""


class Traced(LambdaJobType):
    """``type: traced``: a lambda job whose calls belong to a trace."""

    name: ClassVar[str] = "traced"

    def for_runner(self, services: Services) -> LambdaJobType:
        return Traced(services)

    def run(self, call: bunsui.JobCall) -> Any:
        return super().run(evolve(call, environment={"TRACEPARENT": f"00-{TRACE}-{SPAN}-01"}))


class Plugin:
    @bunsui.hookimpl
    def bunsui_job_types(self) -> list[bunsui.JobType]:
        return [Traced()]


@pytest.fixture
def runner(fake_aws: FakeAws, tmp_path: Path) -> Iterator[bunsui.Runner]:
    """Calls an endpoint whose function ``load`` runs in AWS's runtime."""
    (tmp_path / "handlers.py").write_text(HANDLERS, encoding="utf-8")
    with Runtime(tmp_path, "handlers.load", SOURCE, SITE) as runtime:

        def load(event: Any, client_context: Any) -> Any:
            written = len(runtime.log)
            try:
                return runtime(event, client_context)
            finally:
                for line in runtime.log[written:].splitlines():
                    fake_aws.functions.log(line)

        fake_aws.functions.add("load", load)
        with bunsui.Runner("memory://", aws={"endpoint_url": fake_aws.url}, plugins=[Plugin()]) as made:
            yield made


def keys(fake_aws: FakeAws) -> list[str]:
    """Those that were sent."""
    return [
        each.client_context["custom"]["BUNSUI_IDEMPOTENCY_KEY"] for each in fake_aws.functions.invocations
    ]


def test_it_knows_the_job(runner: bunsui.Runner, fake_aws: FakeAws) -> None:
    """Its session, its attempt, the key under which it is called, its input; there is no trace."""
    job = bunsui.Job("a", "lambda", function="load", parameters={"rows": 3})
    session = runner.run(bunsui.Pipeline("Load", [job]))
    [key] = keys(fake_aws)
    assert [session.id, "a", 1, key, {"rows": 3}, {}, "0" * 32, "0" * 16] == session.jobs["a"].output


def test_it_reports(runner: bunsui.Runner) -> None:
    """What it logs is in the job's log."""
    session = runner.run(bunsui.Pipeline("Load", [bunsui.Job("a", "lambda", function="load")]))
    found = [(record.level, record.message) for record in session.logs(job="a")]
    assert [("WARNING", True)] == [(level, True) for level, text in found if "loading a" in text]


def test_another_attempt_has_another_key(runner: bunsui.Runner, fake_aws: FakeAws) -> None:
    """And the same function, in the same process, is told."""
    job = bunsui.Job(
        "a", "lambda", function="load", parameters={"fails": True}, retry={"max_attempts": 2, "delay": 0}
    )
    session = runner.run(bunsui.Pipeline("Load", [job]))
    first, second = keys(fake_aws)
    attempts = session.jobs["a"].attempts
    assert first != second
    assert attempts[0].error is not None
    assert ("Lambda.JobError", first) == (attempts[0].error.code, attempts[0].error.message)
    assert [2, second] == session.jobs["a"].output[2:4]


def test_it_goes_on_with_the_trace(runner: bunsui.Runner) -> None:
    """That its call belongs to: its spans are children of the caller's."""
    session = runner.run(bunsui.Pipeline("Load", [bunsui.Job("a", "traced", {"function": "load"})]))
    assert "succeeded" == session.status, session.jobs["a"].error
    assert [{"TRACEPARENT": f"00-{TRACE}-{SPAN}-01"}, TRACE, SPAN] == session.jobs["a"].output[5:]
