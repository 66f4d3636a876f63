"""Step Functions jobs: what executions are started with, and what comes of their ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from random import Random
from typing import Any

import pytest

import bunsui
from bunsui.aws.connections import Connections
from bunsui.aws.settings import AwsSettings
from bunsui.jobs.step_function import StepFunctionJobType
from bunsui.ports.permissions import Permission, Unnamed, Where
from bunsui.ports.services import Services
from bunsui.testing import FakeClock, JobTypeSuite
from bunsui_tests.attempts import make_call
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.step_functions import Error, Execution

pytestmark = pytest.mark.usefixtures("aws_environment")

BEGIN = "arn:aws:states:eu-central-1:123456789012"
LOAD = f"{BEGIN}:stateMachine:load"


@pytest.fixture
def aws(fake_aws: FakeAws) -> FakeAws:
    """With a state machine, whose executions do nothing by themselves."""
    fake_aws.machines.add("load", None, "7", "live")
    return fake_aws


@pytest.fixture
def runner(aws: FakeAws) -> Iterator[bunsui.Runner]:
    with bunsui.Runner("memory://", aws={"endpoint_url": aws.url}) as made:
        yield made


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def kind(aws: FakeAws, clock: FakeClock) -> Iterator[StepFunctionJobType]:
    """Of a runner in another region than the state machine."""
    made = Connections(AwsSettings(endpoints={"": aws.url}, region="us-west-2"))
    yield StepFunctionJobType().for_runner(Services(made, clock, Random(0)))
    made.close()


def pipeline(**fields: Any) -> bunsui.Pipeline:
    return bunsui.Pipeline("p", jobs=[bunsui.Job("a", "step_function", **{"state_machine": LOAD, **fields})])


def call_of(number: int = 1, **fields: Any) -> bunsui.JobCall:
    """An attempt with a key of its own."""
    return make_call(**{"options": {"state_machine": LOAD}, "idempotency_key": f"k{number}", **fields})


def ended(
    runner: bunsui.Runner, aws: FakeAws, end: Callable[[Execution], None], **fields: Any
) -> bunsui.JobState:
    """The job, whose execution ended so."""
    session = runner.start(pipeline(**fields))
    aws.wait_for_calls("states", "StartExecution")
    end(aws.machines.executions[0])
    session.wait()
    return session.jobs["a"]


class Own(StepFunctionJobType):
    """The type as a plugin would bring it: under a name that no other has."""

    name = "own_step_function"


class TestStepFunction(JobTypeSuite):
    """What every job type must do."""

    parameters = {"day": "2026-01-31"}
    invalid_options = [{}, {"state_machine": ""}, {"state_machine": "load"}]
    options = {"state_machine": f"{BEGIN}:stateMachine:good"}
    failing_options = {"state_machine": f"{BEGIN}:stateMachine:bad"}
    slow_options = {"state_machine": f"{BEGIN}:stateMachine:slow"}

    @pytest.fixture
    def job_type(
        self, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> Own:
        caplog.set_level("INFO", "botocore")  # Who turns on more of it has whole requests in their log.

        def bad(_: Any) -> Any:
            raise Error("NoSuchTable", "there is no table")

        fake_aws.machines.add("good", lambda given: {"given": [*given]})
        fake_aws.machines.add("bad", bad)
        fake_aws.machines.add("slow")
        monkeypatch.setenv("AWS_ENDPOINT_URL", fake_aws.url)
        made = Connections(AwsSettings(endpoints={"": fake_aws.url}))
        return Own(Services(made, FakeClock(), Random(0)))


class TestCheck:
    """What is refused before anything runs."""

    @pytest.mark.parametrize(
        ("arn", "why"),
        [
            ("load", "no ARN of a state machine"),
            (f"{BEGIN}:execution:load:x", "the ARN of an execution:"),
            (f"{BEGIN}:express:load:x:y", "the ARN of an execution of an express state machine"),
            (f"{BEGIN}:stateMachine:load/each", "the ARN of a Map state, which can't be started by itself"),
            (LOAD.replace("1", "\u0661"), "no ARN of a state machine"),  # A digit, and none of ASCII.
            (f"{BEGIN}:stateMachine:lo ad", "no ARN of a state machine"),
            ("arn:aws:lambda:eu-central-1:123456789012:function:load", "no ARN of a state machine"),
        ],
    )
    def test_no_state_machine(self, arn: str, why: str) -> None:
        """What an ARN is of is told, and what to name."""
        with pytest.raises(bunsui.DefinitionError) as caught:
            pipeline(state_machine=arn)
        (problem,) = caught.value.problems
        assert problem.code == "bad-value"
        assert why in problem.message
        assert problem.message.endswith(f"name a state machine, such as {LOAD}")

    @pytest.mark.parametrize("qualifier", ["", ":7", ":live"])
    def test_versions_and_aliases(self, qualifier: str) -> None:
        """They may be named, and so may those of other partitions, and what is known later only."""
        assert pipeline(state_machine=f"{LOAD}{qualifier}")
        assert pipeline(state_machine=f"{LOAD}{qualifier}".replace("arn:aws:", "arn:aws-cn:"))

    def test_another_region(self) -> None:
        """A region that is not the state machine's is a mistake."""
        with pytest.raises(
            bunsui.DefinitionError, match="the state machine is in eu-central-1: leave it out"
        ):
            pipeline(region="us-west-2")
        assert pipeline(region="eu-central-1")

    def test_no_machine_by_reference(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """What becomes known later is checked then: nothing is started."""
        job = bunsui.Job("a", "step_function", state_machine="${machine}")
        made = bunsui.Pipeline("p", parameters=[bunsui.Parameter("machine")], jobs=[job])
        error = runner.run(made, {"machine": "load"}).jobs["a"].error
        assert error is not None
        assert (error.code, aws.called("states")) == ("InvalidOptions", [])

    def test_bound(self) -> None:
        """As any job of AWS it can be bound to this machine; then nobody asks AWS."""
        bindings = {"step_function": {LOAD: lambda day: {"rows": [day]}}}
        made = bunsui.Pipeline(
            "p",
            jobs=[
                bunsui.Job("a", "step_function", state_machine=LOAD, parameters={"day": 1}),
                bunsui.Job(
                    "b", "step_function", state_machine=LOAD, parameters={"day": "${jobs.a.output.rows[0]}"},
                    depends_on=["a"],
                ),
            ],
        )  # fmt: skip
        with bunsui.Runner("memory://", bindings=bindings) as runner:
            assert runner.run(made).outputs == {"a": {"rows": [1]}, "b": {"rows": [1]}}


class TestStart:
    """What an execution is started with."""

    def test_name_and_input(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """The attempt's key is the name, the parameters are the input; all is asked of its own region."""
        ended(runner, aws, Execution.succeed, parameters={"day": "2026-01-31", "rows": [1, {"a": None}]})
        (call,) = aws.called("states", "StartExecution")
        assert len(call.parameters["name"]) == 64
        assert json.loads(call.parameters["input"]) == {"day": "2026-01-31", "rows": [1, {"a": None}]}
        assert call.parameters["stateMachineArn"] == LOAD
        assert {call.region for call in aws.called("states")} == {"eu-central-1"}

    @pytest.mark.parametrize("qualifier", ["7", "live"])
    def test_version(self, aws: FakeAws, kind: StepFunctionJobType, qualifier: str) -> None:
        """A version or an alias is started; its executions are called as those of the machine."""
        call = call_of(options={"state_machine": f"{LOAD}:{qualifier}"})
        handle = kind.submit(call)
        assert handle == {"execution": f"{BEGIN}:execution:load:k1", "region": "eu-central-1"}
        assert aws.machines.executions[0].started_with == f"{LOAD}:{qualifier}"
        assert kind.find(call) == bunsui.Found(handle)

    def test_role(self, aws: FakeAws, kind: StepFunctionJobType) -> None:
        """The job's own role asks, then and later."""
        role = "arn:aws:iam::123456789012:role/etl"
        aws.sts.add_role(role)
        handle = kind.submit(call_of(options={"state_machine": LOAD, "role": role}))
        kind.poll([handle])
        keys = {call.access_key for call in aws.called("states")}
        assert (handle["role"], len(keys & {call.access_key for call in aws.called("sts")})) == (role, 0)

    def test_too_large(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """What Step Functions would refuse is refused before the call; it counts bytes."""
        job = runner.run(pipeline(parameters={"t": "ä" * 131_072})).jobs["a"]
        assert job.error is not None
        assert (job.error.code, job.error.retryable) == ("StepFunctions.PayloadTooLarge", False)
        assert "Step Functions takes at most 262,144" in job.error.message
        assert aws.called("states", "StartExecution") == []

    def test_as_large_as_may_be(self, aws: FakeAws, kind: StepFunctionJobType) -> None:
        """262,144 bytes are not too much."""
        kind.submit(call_of(parameters={"t": "x" * (262_144 - len('{"t":""}'))}))
        assert len(aws.machines.executions[0].input) == 262_144

    def test_large_input_on_s3(self, aws: FakeAws, clock: FakeClock) -> None:
        """Where artifacts are on S3, the input says where the whole one is."""

        class Objects:
            kept = ""

            def put_input(self, session: str, text: str) -> str:
                self.kept = text
                return f"s3://bucket/{session}"

            def read_output(self, url: str) -> Any:
                raise NotImplementedError

            def output_url(self, session: str, name: str) -> str:
                raise NotImplementedError

        objects = Objects()
        made = Connections(AwsSettings(endpoints={"": aws.url}))
        kind = StepFunctionJobType().for_runner(Services(made, clock, Random(0), objects))
        kind.submit(call_of(parameters={"t": "x" * 300_000}))
        made.close()
        assert json.loads(aws.machines.executions[0].input) == {"bunsui_parameters_url": "s3://bucket/s1"}
        assert json.loads(objects.kept) == {"t": "x" * 300_000}

    def test_express(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """One that can't be followed is not started."""
        arn = aws.machines.add("quick", type="EXPRESS")
        error = runner.run(pipeline(state_machine=arn)).jobs["a"].error
        assert error is not None
        assert (error.code, error.retryable) == ("StepFunctions.StateMachineTypeNotSupported", False)
        assert error.message.endswith("can't be followed; nothing was started: name a standard one")
        assert aws.machines.executions == []

    def test_express_unseen(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """Who may not look at the machine learns it from what was started."""
        arn = aws.machines.add("quick", type="EXPRESS")
        aws.faults.deny("states", "DescribeStateMachine")
        error = runner.run(pipeline(state_machine=arn, retry=3)).jobs["a"].error
        assert error is not None
        assert "it has been started, and what becomes of it is not known" in error.message
        assert len(aws.machines.executions) == 1

    def test_machine_that_may_not_be_looked_at(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """A standard one runs all the same."""
        aws.faults.deny("states", "DescribeStateMachine")
        assert ended(runner, aws, Execution.succeed).status == "succeeded"

    def test_looked_at_once(self, aws: FakeAws, kind: StepFunctionJobType) -> None:
        """What a machine is does not change."""
        for number in range(3):
            kind.submit(call_of(number))
        assert len(aws.called("states", "DescribeStateMachine")) == 1

    def test_look_without_an_answer(self, aws: FakeAws, kind: StepFunctionJobType) -> None:
        """Nothing was begun, so there is nothing to look for: it is asked again."""
        aws.faults.drop_after("states", "DescribeStateMachine")
        with pytest.raises(bunsui.AwsError) as caught:
            kind.submit(call_of())
        assert caught.value.kind == "busy"

    def test_missing_machine(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """A state machine that is not there fails the job."""
        error = runner.run(pipeline(state_machine=f"{LOAD}s")).jobs["a"].error
        assert error is not None
        assert (error.code, error.retryable) == ("StepFunctions.StateMachineDoesNotExist", False)

    def test_as_many_as_may_run(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """Where so many run that no other may, it waits until one has ended."""
        aws.faults.throttle("states", "StartExecution", code="ExecutionLimitExceeded", times=1)
        session = runner.start(pipeline())
        aws.wait_for_calls("states", "StartExecution", 2)
        aws.wait_for_calls("states", "DescribeExecution")
        aws.machines.executions[0].succeed()
        assert session.wait() == "succeeded"

    def test_denied(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """The permission is called as IAM calls it."""
        aws.faults.deny("states", "StartExecution")
        error = runner.run(pipeline()).jobs["a"].error
        assert error is not None
        assert error.code == "StepFunctions.AccessDeniedException"
        assert "needs the permission states:StartExecution" in error.message


class TestOnce:
    """An attempt has one execution."""

    @pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED"])
    def test_attached(self, aws: FakeAws, kind: StepFunctionJobType, status: str) -> None:
        """What was started under the name is the attempt's, also with another input, or when it has ended."""
        handle = kind.submit(call_of())
        if status == "SUCCEEDED":
            aws.machines.executions[0].succeed()
        for parameters in ({}, {"secret": "changed"}):
            assert kind.submit(call_of(parameters=parameters)) == handle
        assert len(aws.machines.executions) == 1

    @pytest.mark.parametrize("has_ended", [False, True])
    def test_lost_answer(self, aws: FakeAws, runner: bunsui.Runner, has_ended: bool) -> None:
        """It is looked for, and followed."""
        if has_ended:
            aws.machines.add("load", lambda given: [given])
        aws.faults.drop_after("states", "StartExecution", times=1)
        session = runner.start(pipeline(parameters={"day": 1}))
        aws.wait_for_calls("states", "DescribeExecution")
        if not has_ended:
            aws.machines.executions[0].succeed([{"day": 1}])
        assert session.wait() == "succeeded"
        assert session.outputs == {"a": [{"day": 1}]}
        assert len(aws.machines.executions) == 1

    def test_lost_answer_of_what_is_not_shown_yet(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """Step Functions shows it late: it is started again under its name, and so not twice."""

        def late(_: Any) -> bool:
            for execution in aws.machines.executions:
                aws.machines.hide(execution)
            return True

        aws.faults.drop_after("states", "StartExecution", times=1, when=late)
        session = runner.start(pipeline())
        aws.wait_for_calls("states", "StartExecution", 2)
        (execution,) = aws.machines.executions
        execution.succeed()
        aws.machines.show(execution)
        assert session.wait() == "succeeded"
        assert len(aws.machines.executions) == 1


class TestFinding:
    """What is said of an execution that is looked for by its attempt's key."""

    def call(self, clock: FakeClock, days: float = 0) -> bunsui.JobCall:
        """An attempt that started so long ago."""
        return call_of(started_at=clock.now() - timedelta(days=days))

    def test_found(self, aws: FakeAws, kind: StepFunctionJobType, clock: FakeClock) -> None:
        """It is known by what `submit` gave."""
        handle = kind.submit(self.call(clock))
        assert kind.find(self.call(clock, 60)) == bunsui.Found(handle)

    def test_not_there(self, kind: StepFunctionJobType, clock: FakeClock) -> None:
        """It may be started: if it is there all the same, its name keeps it from being two."""
        assert kind.find(self.call(clock, 28)) == bunsui.NeverRan(is_certain=False)

    def test_not_there_any_more(self, kind: StepFunctionJobType, clock: FakeClock) -> None:
        """Its name may have been forgotten with it."""
        assert kind.find(self.call(clock, 30)) == bunsui.CannotTell()

    def test_start_that_is_not_known(self, kind: StepFunctionJobType) -> None:
        """Nobody can tell of an attempt whose start is in no history."""
        assert kind.find(call_of()) == bunsui.CannotTell()

    def test_missing_for_long(self, aws: FakeAws, kind: StepFunctionJobType, clock: FakeClock) -> None:
        """One that is not shown counts as running for a minute; then nobody can tell."""
        handle = kind.submit(call_of())
        aws.machines.forget(aws.machines.executions[0])
        assert kind.poll([handle]) == [bunsui.Running()]
        clock.advance(59)
        assert kind.poll([handle]) == [bunsui.Running()]
        clock.advance(1)
        assert kind.poll([handle]) == [bunsui.CannotTell()]


LAMBDA = json.dumps({"errorMessage": "no such table", "errorType": "ValueError", "stackTrace": ["x"]})
NESTED = json.dumps({"Status": "FAILED", "Error": "ValueError", "Cause": LAMBDA, "Input": "{}"})


class TestEnd:
    """What comes of an execution's end."""

    def test_output(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """Its output is the job's, as a value."""
        job = ended(runner, aws, lambda each: each.succeed({"rows": [{"n": 3}]}))
        assert (job.status, job.output) == ("succeeded", {"rows": [{"n": 3}]})

    def test_output_that_is_no_json(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """As no AWS has it, but emulators may: it is said."""
        job = ended(runner, aws, lambda each: each.succeed(text="An output"))
        assert job.error is not None
        assert (job.error.code, job.error.retryable) == ("OutputNotJson", False)

    @pytest.mark.parametrize(
        ("status", "error", "cause", "code", "text", "retryable"),
        [
            ("FAILED", "States.TaskFailed", "out of disk", "States.TaskFailed", "out of disk", True),
            ("FAILED", "NoSuchTable", None, "NoSuchTable", "Step Functions gives no cause", True),
            ("FAILED", "ValueError", LAMBDA, "ValueError", "no such table", True),
            ("FAILED", "States.TaskFailed", NESTED, "States.TaskFailed", "no such table", True),
            ("FAILED", "States.TaskFailed", '{"StoppedReason": "oom"}', "States.TaskFailed", "oom", True),
            ("FAILED", "States.TaskFailed", '{"other": 1}', "States.TaskFailed", '{"other": 1}', True),
            ("FAILED", "States.Runtime", "no path", "States.Runtime", "no path", False),
            ("FAILED", "States.DataLimitExceeded", "big", "States.DataLimitExceeded", "big", False),
            ("FAILED", "no table!", "x", "StepFunctions.ExecutionFailed", "no table!: x", True),
            ("FAILED", None, None, "StepFunctions.ExecutionFailed", "gives no cause", True),
            ("TIMED_OUT", None, None, "StepFunctions.TimedOut", "longer than its state machine allows", True),
            ("TIMED_OUT", "States.Timeout", "x", "StepFunctions.TimedOut", "States.Timeout: x", True),
            ("ABORTED", None, "by Ada", "StepFunctions.Aborted", "the execution was stopped: by Ada", True),
            ("ABORTED", None, None, "StepFunctions.Aborted", "Step Functions gives no cause", True),
            ("LOST", None, None, "StepFunctions.LOST", "the execution has the status LOST", True),
        ],
    )  # fmt: skip
    def test_failures(
        self,
        aws: FakeAws,
        runner: bunsui.Runner,
        status: str,
        error: str | None,
        cause: str | None,
        code: str,
        text: str,
        retryable: bool,
    ) -> None:
        """The execution's own error is the code; what a cause says stands in the message."""
        job = ended(runner, aws, lambda each: each.end(status, error=error, cause=cause))
        assert job.error is not None
        assert (job.status, job.error.code, job.error.retryable) == ("failed", code, retryable)
        assert job.error.message.endswith(text) or text in job.error.message

    def test_goes_on(self, aws: FakeAws, kind: StepFunctionJobType) -> None:
        """One that waits for whoever has redriven it has not ended."""
        handle = kind.submit(call_of())
        aws.machines.executions[0].status = "PENDING_REDRIVE"
        assert kind.poll([handle]) == [bunsui.Running()]

    def test_cancelled(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """Who cancels the session has the execution stopped, which says by whom."""
        session = runner.start(pipeline())
        aws.wait_for_calls("states", "DescribeExecution")
        session.cancel()
        assert session.wait() == "cancelled"
        (execution,) = aws.machines.executions
        assert (execution.status, execution.cause) == ("ABORTED", "stopped by bunsui")

    def test_stopped_here(self, aws: FakeAws, kind: StepFunctionJobType) -> None:
        """What was stopped from here is told as what anybody else has stopped."""
        handle = kind.submit(call_of())
        kind.cancel(handle)
        text = "the execution was stopped: stopped by bunsui"
        assert kind.poll([handle]) == [bunsui.Failed("StepFunctions.Aborted", text)]

    def test_cancelled_without_a_key(self, aws: FakeAws, kind: StepFunctionJobType) -> None:
        """Who may not encrypt the reason stops it without one."""
        handle = kind.submit(call_of())
        aws.faults.throttle(
            "states",
            "StopExecution",
            code="KmsAccessDeniedException",
            when=lambda call: "cause" in call.parameters,
        )
        kind.cancel(handle)
        (execution,) = aws.machines.executions
        assert (execution.status, execution.cause) == ("ABORTED", None)

    @pytest.mark.parametrize("code", ["ExecutionDoesNotExist", "ValidationException"])
    def test_cancelling_what_has_ended(self, aws: FakeAws, kind: StepFunctionJobType, code: str) -> None:
        """It is none that could be stopped: that is no error."""
        handle = kind.submit(call_of())
        aws.faults.throttle("states", "StopExecution", code=code)
        kind.cancel(handle)

    def test_cancelling_without_an_answer(self, aws: FakeAws, kind: StepFunctionJobType) -> None:
        """Whether it is stopped is open."""
        handle = kind.submit(call_of())
        aws.faults.drop_before("states", "StopExecution")
        with pytest.raises(bunsui.AwsError):
            kind.cancel(handle)


class TestPermissions:
    """What whoever runs such a job has to be allowed."""

    where = Where("us-west-2", "210987654321")

    def test_named(self) -> None:
        """A version or an alias is named beside its machine, whose ARN it has in policies."""
        only = {"StringEquals": {"states:StateMachineQualifier": "live"}}
        assert [*StepFunctionJobType().permissions({"state_machine": f"{LOAD}:live"}, self.where)] == [
            Permission(("states:StartExecution", "states:DescribeStateMachine"), (LOAD,), only),
            Permission(("states:ListExecutions",), (LOAD,)),
            Permission(("states:DescribeExecution", "states:StopExecution"), (f"{BEGIN}:execution:load:*",)),
        ]

    def test_without_a_version(self) -> None:
        """Nothing more is asked for."""
        started, *_ = StepFunctionJobType().permissions({"state_machine": LOAD}, self.where)
        assert started == Permission(("states:StartExecution", "states:DescribeStateMachine"), (LOAD,))

    def test_unnamed(self) -> None:
        """What is known later can't be named."""
        (found,) = StepFunctionJobType().permissions({"state_machine": "${m}"}, self.where)
        assert found == Unnamed("'state_machine' is known only when the job starts")
