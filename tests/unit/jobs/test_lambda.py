"""Lambda jobs: what functions are given, what comes of what they return, and of what goes wrong."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

import bunsui
from bunsui.aws.connections import Connections
from bunsui.aws.settings import AwsSettings
from bunsui.jobs.aws_lambda import LambdaJobType
from bunsui.ports.services import Services
from bunsui.testing import FakeClock
from bunsui_tests.attempts import make_call
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.environment import ACCESS_KEY
from bunsui_tests.aws.functions import FunctionDied

pytestmark = pytest.mark.usefixtures("aws_environment")


@pytest.fixture
def runner(fake_aws: FakeAws) -> Iterator[bunsui.Runner]:
    with bunsui.Runner("memory://", aws={"endpoint_url": fake_aws.url}) as made:
        yield made


def pipeline(**fields: Any) -> bunsui.Pipeline:
    return bunsui.Pipeline("p", jobs=[bunsui.Job("a", "lambda", function="f", **fields)])


def failure(runner: bunsui.Runner, **fields: Any) -> bunsui.JobError:
    """What the job failed with."""
    session = runner.run(pipeline(**fields))
    assert session.status == "failed"
    error = session.jobs["a"].error
    assert error is not None
    return error


class TestCall:
    """What a function is called with, and what it returns."""

    def test_event_and_output(self, fake_aws: FakeAws, runner: bunsui.Runner) -> None:
        """The parameters are the event; what is returned is the output."""
        fake_aws.functions.add("f", lambda event, _: {"rows": event["n"] + 1})
        assert runner.run(pipeline(parameters={"n": 1})).outputs == {"a": {"rows": 2}}

    def test_nothing_returned(self, fake_aws: FakeAws, runner: bunsui.Runner) -> None:
        """A function that returns nothing has the output null."""
        fake_aws.functions.add("f", lambda *_: None)
        assert runner.run(pipeline()).outputs == {"a": None}

    def test_client_context(self, fake_aws: FakeAws, runner: bunsui.Runner) -> None:
        """It finds the session, the job, the attempt and the key of the attempt, as one that is bound."""
        fake_aws.functions.add("f", lambda _, context: context["custom"])
        session = runner.run(pipeline())
        found = session.outputs["a"]
        assert found.pop("BUNSUI_IDEMPOTENCY_KEY") != ""
        assert found == {"BUNSUI_SESSION_ID": session.id, "BUNSUI_JOB_ID": "a", "BUNSUI_ATTEMPT": "1"}

    def test_qualifier(self, fake_aws: FakeAws, runner: bunsui.Runner) -> None:
        """A version or an alias is called where one is named."""
        fake_aws.functions.add("f", lambda *_: None, versions={"live": "7"})
        runner.run(pipeline(qualifier="live"))
        assert [call.version for call in fake_aws.functions.invocations] == ["7"]

    def test_region(self, fake_aws: FakeAws, runner: bunsui.Runner) -> None:
        """A job's own region wins over the runner's."""
        fake_aws.functions.add("f", lambda *_: None)
        runner.run(pipeline(region="us-west-2"))
        assert [call.region for call in fake_aws.called("lambda")] == ["us-west-2"]

    def test_role(self, fake_aws: FakeAws, runner: bunsui.Runner) -> None:
        """A job's own role is taken, under the session's id."""
        role = "arn:aws:iam::210987654321:role/etl"
        fake_aws.sts.add_role(role)
        fake_aws.functions.add("f", lambda *_: None)
        session = runner.run(pipeline(role=role))
        assert [call.account for call in fake_aws.called("lambda")] == ["210987654321"]
        assert [taken.name for taken in fake_aws.sts.sessions] == [session.id]

    def test_sent(self, fake_aws: FakeAws, runner: bunsui.Runner) -> None:
        """Where it is not waited for, the job is over once Lambda has taken the event."""
        ran = threading.Event()
        fake_aws.functions.add("f", lambda *_: ran.set())
        assert runner.run(pipeline(invocation="send")).outputs == {"a": None}
        assert [call.type for call in fake_aws.functions.invocations] == ["Event"]
        assert ran.wait(10)

    def test_log(self, fake_aws: FakeAws, runner: bunsui.Runner) -> None:
        """The end of its log is the job's, with the request that it is of."""
        fake_aws.functions.add("f", lambda *_: fake_aws.functions.log("three rows"))
        session = runner.run(pipeline())
        (request,) = [call.request_id for call in fake_aws.functions.invocations]
        found = {record.message: record.fields for record in session.logs(job="a")}
        assert found["three rows"] == {"aws_request_id": request}


class TestWrong:
    """What goes wrong is the job's error."""

    def test_handlers_own_error(self, fake_aws: FakeAws, runner: bunsui.Runner) -> None:
        """The type of the exception is the code, after "Lambda."."""

        def body(*_: Any) -> None:
            raise ValueError("no such table")

        fake_aws.functions.add("f", body)
        error = failure(runner)
        assert (error.code, error.message, error.retryable) == ("Lambda.ValueError", "no such table", True)

    def test_retry_by_code(self, fake_aws: FakeAws, runner: bunsui.Runner) -> None:
        """`retry: {on: [...]}` matches it."""

        def body(_: Any, context: Any) -> str:
            if context["custom"]["BUNSUI_ATTEMPT"] == "1":
                raise KeyError("x")
            return "done"

        fake_aws.functions.add("f", body)
        retry = {"max_attempts": 2, "delay": 0, "on": ["Lambda.KeyError"]}
        assert runner.run(pipeline(retry=retry)).outputs == {"a": "done"}

    def test_died(self, fake_aws: FakeAws, runner: bunsui.Runner) -> None:
        """A function that runs into its own timeout says so by its code."""

        def body(*_: Any) -> None:
            raise FunctionDied("Sandbox.Timedout", "Task timed out after 3.00 seconds")

        fake_aws.functions.add("f", body)
        assert failure(runner).code == "Lambda.Sandbox.Timedout"

    def test_missing(self, runner: bunsui.Runner) -> None:
        """A function that is not there fails its job, and no other attempt is made."""
        error = failure(runner, retry=3)
        assert (error.code, error.retryable) == ("Lambda.ResourceNotFoundException", False)
        assert "lambda Invoke of 'f' (in eu-central-1, in account 123456789012) failed" in error.message

    def test_denied(self, fake_aws: FakeAws, runner: bunsui.Runner) -> None:
        """The error says which permission is missing."""
        fake_aws.functions.add("f", lambda *_: None)
        fake_aws.faults.deny("lambda", "Invoke")
        error = failure(runner)
        assert error.code == "Lambda.AccessDeniedException"
        assert error.message.endswith("the caller needs the permission lambda:InvokeFunction")

    def test_role_that_is_not_allowed(self, fake_aws: FakeAws) -> None:
        """Before the session is there, where the role is written out; then nothing is called."""
        role = "arn:aws:iam::210987654321:role/etl"
        with bunsui.Runner("memory://", aws={"endpoint_url": fake_aws.url, "allowed_roles": []}) as runner:
            with pytest.raises(bunsui.PermissionDenied, match="job 'a': jobs may not take the role"):
                runner.run(pipeline(role=role))
            assert runner.sessions() == []
        assert fake_aws.calls == []

    def test_role_that_is_not_allowed_by_reference(self, fake_aws: FakeAws) -> None:
        """Where the role is a parameter, its job fails, without another attempt."""
        role = "arn:aws:iam::210987654321:role/etl"
        job = bunsui.Job("a", "lambda", function="f", role="${role}", retry=3)
        made = bunsui.Pipeline("p", parameters=[bunsui.Parameter("role")], jobs=[job])
        with bunsui.Runner("memory://", aws={"endpoint_url": fake_aws.url, "allowed_roles": []}) as runner:
            session = runner.run(made, {"role": role})
        error = session.jobs["a"].error
        assert error is not None
        assert (error.code, len(session.jobs["a"].attempts)) == ("PermissionDenied", 1)

    @pytest.mark.parametrize(("invocation", "most"), [("wait", 6 * 1024 * 1024), ("send", 1024 * 1024)])
    def test_too_large(self, fake_aws: FakeAws, runner: bunsui.Runner, invocation: str, most: int) -> None:
        """An event that Lambda would refuse is refused before the call; one that just fits is sent."""
        fake_aws.functions.add("f", lambda *_: None)
        fits = "x" * (most - len(json.dumps({"t": ""}, separators=(",", ":"))))
        runner.run(pipeline(parameters={"t": fits}, invocation=invocation)).raise_for_status()
        error = failure(runner, parameters={"t": fits + "x"}, invocation=invocation)
        assert (error.code, error.retryable) == ("Lambda.PayloadTooLarge", False)
        assert f"the event has {most + 1:,} bytes" in error.message
        assert len(fake_aws.called("lambda")) == 1


class BusyObjects:
    """A place for inputs that has no time at first."""

    calls = 0

    def put_input(self, session: str, text: str) -> str:
        self.calls += 1
        if self.calls == 1:
            raise bunsui.AwsError("slow down", service="s3", action="PutObject", kind="busy")
        return "s3://bucket/input"

    def read_output(self, url: str) -> Any:
        raise NotImplementedError

    def output_url(self, session: str, name: str) -> str:
        raise NotImplementedError


class TestOutages:
    """Throttling and outages are waited out, by one layer that repeats calls."""

    def test_throttled(self, fake_aws: FakeAws, runner: bunsui.Runner) -> None:
        """A call that was throttled is made again; that is no attempt of the job's."""
        fake_aws.functions.add("f", lambda *_: "done")
        fake_aws.faults.throttle("lambda", times=2)
        session = runner.run(pipeline())
        assert (session.outputs, len(session.jobs["a"].attempts)) == ({"a": "done"}, 1)
        assert len(fake_aws.called("lambda")) == 3

    def test_cancelled_while_it_waits(self, fake_aws: FakeAws, runner: bunsui.Runner) -> None:
        """Who waits for Lambda to take a call can be stopped at once."""
        fake_aws.functions.add("f", lambda *_: None)
        fake_aws.faults.throttle("lambda")
        session = runner.start(pipeline())
        fake_aws.wait_for_calls("lambda", "Invoke", 2)
        session.cancel()
        assert session.wait() == "cancelled"
        assert fake_aws.functions.invocations == []

    def test_failing_service(self, fake_aws: FakeAws, runner: bunsui.Runner) -> None:
        """What fails at Lambda itself is called again, under the same key."""
        fake_aws.functions.add("f", lambda *_: "done")
        fake_aws.faults.server_error("lambda", times=2)
        assert runner.run(pipeline()).outputs == {"a": "done"}

    def test_lost_answer(self, fake_aws: FakeAws, runner: bunsui.Runner) -> None:
        """It is called again, and can tell by the key that it was called before."""
        keys: list[str] = []

        def body(_: Any, context: Any) -> int:
            keys.append(context["custom"]["BUNSUI_IDEMPOTENCY_KEY"])
            return len(keys)

        fake_aws.functions.add("f", body)
        fake_aws.faults.drop_after("lambda", times=1)
        session = runner.run(pipeline())
        assert (session.outputs, len(session.jobs["a"].attempts)) == ({"a": 2}, 1)
        assert len(set(keys)) == 1

    def test_answers_that_are_always_lost(self, fake_aws: FakeAws, runner: bunsui.Runner) -> None:
        """After three of them the attempt has failed: a function does not run for ever."""
        fake_aws.functions.add("f", lambda *_: None)
        fake_aws.faults.drop_after("lambda")
        error = failure(runner)
        assert (error.code, error.retryable) == ("Lambda.NoAnswer", True)
        assert len(fake_aws.functions.invocations) == 3

    def test_pages_of_a_gateway(self, fake_aws: FakeAws, runner: bunsui.Runner) -> None:
        """Something between here and Lambda answers instead: the function may run, so it is called thrice."""
        fake_aws.functions.add("f", lambda *_: None)
        fake_aws.faults.server_error("lambda", status=504, code="504", after=True)
        assert failure(runner).code == "Lambda.504"
        assert len(fake_aws.functions.invocations) == 3

    def test_event_that_can_not_be_kept_for_now(self, fake_aws: FakeAws) -> None:
        """It is put on S3 again, and Lambda called once."""
        fake_aws.functions.add("f", lambda event, _: event)
        connections, objects = Connections(AwsSettings(endpoints={"": fake_aws.url})), BusyObjects()
        kind = LambdaJobType().for_runner(Services(connections, FakeClock(), Random(0), objects))
        call = make_call({"t": "x" * 6 * 1024 * 1024}, options={"function": "f"})
        assert kind.run(call) == {"bunsui_parameters_url": "s3://bucket/input"}
        assert (objects.calls, len(fake_aws.functions.invocations)) == (2, 1)
        connections.close()

    def test_lost_answer_where_nobody_may_guess(self, fake_aws: FakeAws, runner: bunsui.Runner) -> None:
        """With `on_lost: unknown` the session pauses, and somebody is asked."""
        fake_aws.functions.add("f", lambda *_: None)
        fake_aws.faults.drop_after("lambda")
        session = runner.run(pipeline(on_lost="unknown"))
        assert (session.status, session.paused_reason) == ("paused", "unknown-job")
        assert len(fake_aws.functions.invocations) == 1

    def test_lost_answer_that_is_a_failure(self, fake_aws: FakeAws, runner: bunsui.Runner) -> None:
        """With `on_lost: fail` the job has failed."""
        fake_aws.functions.add("f", lambda *_: None)
        fake_aws.faults.drop_after("lambda")
        assert failure(runner, on_lost="fail").code == "JobLost"

    def test_no_credentials_any_more(
        self, fake_aws: FakeAws, runner: bunsui.Runner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The session pauses; once there are others it goes on, as if nothing had been."""
        fake_aws.functions.add("f", lambda *_: "done")
        fake_aws.faults.expire(ACCESS_KEY)
        session = runner.run(pipeline())
        assert (session.status, session.paused_reason) == ("paused", "aws-credentials")
        assert "renew the credentials" in (session.state.paused_message or "")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANEW")
        session = runner.resume(session.id)
        assert (session.outputs, len(session.jobs["a"].attempts)) == ({"a": "done"}, 1)


def test_half_an_hour_without_aws(fake_aws: FakeAws, caplog: pytest.LogCaptureFixture) -> None:
    """A function is called again, ever more seldom, until AWS is there again; the job's log says so."""
    fake_aws.functions.add("f", lambda *_: "done")
    clock, tries = FakeClock(), 0
    with contextlib.ExitStack() as away:
        away.enter_context(fake_aws.outage())

        def wait(_: threading.Event, seconds: float) -> bool:
            nonlocal tries
            tries += 1
            clock.advance(seconds)
            if clock.monotonic() > 1800:
                away.close()
            return False

        aws = Connections(AwsSettings(endpoints={"": fake_aws.url}), random=Random(1), wait=wait)
        kind = LambdaJobType().for_runner(Services(aws, clock, Random(1)))
        assert kind.run(make_call(options={"function": "f"})) == "done"
        aws.close()
    # After the first ten the budget is used up, and each waits for a whole minute.
    assert 30 <= tries <= 45
    assert "AWS was not reached" in caplog.text
