"""Batch jobs: what they are submitted with, and what comes of their ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from random import Random
from typing import Any, ClassVar

import pytest

import bunsui
from bunsui.aws.connections import Connections
from bunsui.aws.settings import AwsSettings
from bunsui.jobs.aws_lookup import LookedUpJobType
from bunsui.jobs.batch import BatchJobType
from bunsui.jobs.batch_job import failure_of, log_of
from bunsui.ports.permissions import Permission, Unnamed, Where
from bunsui.ports.services import Services
from bunsui.runner.clock import SystemClock
from bunsui.testing import FakeClock, JobTypeSuite
from bunsui_tests.attempts import make_call
from bunsui_tests.aws.batch import BatchJob, Script
from bunsui_tests.aws.endpoint import FakeAws

pytestmark = pytest.mark.usefixtures("aws_environment")

PREFIX = "arn:aws:batch:eu-central-1:123456789012"


@pytest.fixture
def aws(fake_aws: FakeAws) -> FakeAws:
    """With a queue and a job definition, whose jobs do nothing by themselves."""
    fake_aws.batch.add_queue("q")
    fake_aws.batch.define("d")
    fake_aws.batch.script = Script(every=None)
    return fake_aws


@pytest.fixture
def runner(aws: FakeAws) -> Iterator[bunsui.Runner]:
    with bunsui.Runner("memory://", aws={"endpoint_url": aws.url}) as made:
        yield made


@pytest.fixture
def listed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not listed is looked for again for a moment only."""
    monkeypatch.setattr(LookedUpJobType, "shown_within", 0.1)


def pipeline(**fields: Any) -> bunsui.Pipeline:
    given = {"job_queue": "q", "job_definition": "d", **fields}
    return bunsui.Pipeline("p", jobs=[bunsui.Job("a", "batch", **given)])


def soon(job: BatchJob) -> Script:
    """Such a job runs, and ends well when it is first asked for."""
    job.move("RUNNING")
    return Script()


def ended(runner: bunsui.Runner, aws: FakeAws, *, fields: Any = None, **end: Any) -> bunsui.JobState:
    """The job, which ended so at Batch."""
    session = runner.start(pipeline(**fields or {}))
    aws.wait_for_calls("batch", "DescribeJobs")
    aws.batch.end(aws.batch.jobs[0], **end)
    session.wait()
    return session.jobs["a"]


def asked(runner: bunsui.Runner, aws: FakeAws, **fields: Any) -> dict[str, Any]:
    """What SubmitJob was called with."""
    ended(runner, aws, fields=fields)
    (call,) = aws.called("batch", "SubmitJob")
    return dict(call.parameters)


def environment(parameters: dict[str, Any]) -> dict[str, str]:
    """The variables of the container."""
    return {each["name"]: each["value"] for each in parameters["containerOverrides"]["environment"]}


class TestStart:
    """What a job is submitted with."""

    def test_name(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """The attempt's key is its name, by which it is found again."""
        found = asked(runner, aws)
        assert found["jobName"] == environment(found)["BUNSUI_IDEMPOTENCY_KEY"]
        assert (found["jobQueue"], found["jobDefinition"], len(found["jobName"])) == ("q", "d", 64)

    def test_one_layer_of_attempts(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """Batch itself makes one attempt, whatever the definition says: the job's own `retry` makes more."""
        assert asked(runner, aws, retry=3)["retryStrategy"] == {"attempts": 1}

    def test_parameters(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """The container has the variables of a command on this machine."""
        found = environment(asked(runner, aws, parameters={"day": "2026-01-31", "rows": [1, 2]}))
        assert found["BUNSUI_PARAM_DAY"] == "2026-01-31"
        assert found["BUNSUI_PARAM_ROWS"] == "[1,2]"
        assert json.loads(found["BUNSUI_PARAMETERS"]) == {"day": "2026-01-31", "rows": [1, 2]}
        assert (found["BUNSUI_JOB_ID"], found["BUNSUI_ATTEMPT"]) == ("a", "1")

    def test_fields(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """Command, resources, share and tags are those of the job."""
        found = asked(
            runner, aws, command=["load", 3], environment={"A": "1"}, vcpus=0.25, memory=512, gpus="1",
            share_identifier="etl", scheduling_priority=5, tags={"team": "data"}, placeholders={"t": "x"},
        )  # fmt: skip
        assert found["containerOverrides"]["command"] == ["load", "3"]
        assert found["containerOverrides"]["resourceRequirements"] == [
            {"type": "VCPU", "value": "0.25"},
            {"type": "MEMORY", "value": "512"},
            {"type": "GPU", "value": "1"},
        ]
        assert environment(found)["A"] == "1"
        assert (found["shareIdentifier"], found["schedulingPriorityOverride"]) == ("etl", 5)
        assert (found["tags"], found["parameters"]) == ({"team": "data"}, {"t": "x"})

    def test_region(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """Where it runs; all further calls are made there, too."""
        asked(runner, aws, region="us-west-2")
        assert {call.region for call in aws.called("batch")} == {"us-west-2"}

    def test_too_large(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """What would fail at ECS, behind Batch, is refused before the call.

        The parameter is there twice; Batch adds variables of its own to what is below ECS's 8,192.
        """
        job = runner.run(pipeline(parameters={"t": "x" * 3500})).jobs["a"]
        assert job.error is not None
        assert (job.error.code, job.error.retryable) == ("Batch.OverridesTooLarge", False)
        assert "Batch takes at most 7,192" in job.error.message
        assert aws.called("batch", "SubmitJob") == []

    def test_missing_definition(self, runner: bunsui.Runner) -> None:
        """A job definition that is not there fails the job, with Batch's own word."""
        job = runner.run(pipeline(job_definition="other")).jobs["a"]
        assert job.error is not None
        assert (job.error.code, job.error.retryable) == ("Batch.ClientException", False)
        assert "JobDefinition for other not found" in job.error.message

    @pytest.mark.parametrize("field", ["command", "job_queue", "placeholders", "share_identifier", "tags"])
    def test_secrets_where_all_can_read_them(self, field: str) -> None:
        """What the console shows of a job has none."""
        secret = "${secrets.s}"
        value: Any = {"command": [secret], "tags": {"a": secret}, "placeholders": {"a": secret}}
        with pytest.raises(bunsui.DefinitionError, match=f"secrets.*'{field}'|'{field}'.*secret"):
            bunsui.Runner("memory://", aws={"region": "eu-central-1"}).run(
                pipeline(**{field: value.get(field, secret)})
            )

    def test_bound(self, aws: FakeAws) -> None:
        """A job that is bound by its definition's name runs on this machine."""
        with bunsui.Runner("memory://", bindings={"batch": {"d": lambda **_: 3}}) as runner:
            assert runner.run(pipeline()).outputs == {"a": 3}
        assert aws.calls == []


class TestEnd:
    """What comes of a job's end."""

    def test_success(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """It has gone through all its states."""
        aws.batch.script = Script()
        session = runner.run(pipeline())
        assert (session.status, session.outputs) == ("succeeded", {"a": None})

    @pytest.mark.parametrize(
        ("end", "code", "text"),
        [
            ({"exit_code": 3}, "ExitCode.3", "ended with code 3: Essential container in task exited"),
            (
                {"exit_code": 137, "reason": "OutOfMemoryError: Container killed due to memory usage"},
                "Batch.OutOfMemoryError",
                "Container killed due to memory usage (exit code 137)",
            ),
            (
                {"exit_code": None, "reason": "CannotPullContainerError: no such image"},
                "Batch.CannotPullContainerError",
                "no such image",
            ),
            (
                {"exit_code": None, "status_reason": "Host EC2 (instance i-0a1b2c3d) terminated."},
                "Batch.HostTerminated",
                "the job was stopped: Host EC2 (instance i-0a1b2c3d) terminated.",
            ),
            (
                {"exit_code": 143, "status_reason": "Your Spot Task was interrupted."},
                "Batch.SpotInterruption",
                "Your Spot Task was interrupted.",
            ),
            (
                {"exit_code": 137, "status_reason": "Job attempt duration exceeded timeout"},
                "Batch.Timeout",
                "Job attempt duration exceeded timeout",
            ),
            (
                {"exit_code": None, "status_reason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - no room"},
                "Batch.CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
                "no room",
            ),
            (
                {"exit_code": 1, "reason": "the report of the spot market was interrupted"},
                "ExitCode.1",
                "the spot market",
            ),
            ({"exit_code": None}, "Batch.NoExitCode", "the container has no exit code"),
            ({"exit_code": None, "status_reason": None}, "Batch.NoExitCode", "Batch gives no reason"),
            (
                {"exit_code": 143, "status_reason": "by hand", "isTerminated": True},
                "Batch.Terminated",
                "the job was stopped: by hand",
            ),
            (
                {"exit_code": None, "status_reason": "by hand", "isCancelled": True},
                "Batch.Cancelled",
                "the job was stopped: by hand",
            ),
            ({"exit_code": 143, "status_reason": "stopped by bunsui"}, "Batch.Terminated", "by bunsui"),
        ],
    )
    def test_failures(self, aws: FakeAws, end: dict[str, Any], code: str, text: str) -> None:
        """Each failure says why, by a code that `retry` can match, and another attempt may help."""
        made = Connections(AwsSettings(endpoints={"": aws.url}))
        kind = BatchJobType().for_runner(Services(made, FakeClock(), Random(0)))
        handle = kind.submit(make_call(options={"job_queue": "q", "job_definition": "d"}))
        aws.batch.end(aws.batch.jobs[0], **end)
        (failed,) = kind.poll([handle])
        made.close()
        assert isinstance(failed, bunsui.Failed)
        assert (failed.code, failed.retryable) == (code, True)
        assert text in failed.message

    @pytest.mark.parametrize("field", ["container", "statusReason"])
    def test_more_than_ecs_takes(self, field: str) -> None:
        """Another attempt would be as large."""
        text = "Container Overrides length must be at most 8192"
        job: dict[str, Any] = {"status": "FAILED"}
        failed = failure_of(job | {field: {"reason": text} if field == "container" else text})
        assert failed is not None
        assert (failed.code, failed.retryable) == ("Batch.OverridesTooLarge", False)

    def test_failure(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """It is the job's error."""
        job = ended(runner, aws, exit_code=3)
        assert job.error is not None
        assert (job.status, job.error.code, job.error.retryable) == ("failed", "ExitCode.3", True)

    def test_a_code_counts_whatever_the_status(self) -> None:
        """A container that ended with another code than 0 has not done its work."""
        failed = failure_of({"status": "SUCCEEDED", "container": {"exitCode": 1}})
        assert failed is not None
        assert failed.code == "ExitCode.1"
        assert failure_of({"status": "SUCCEEDED", "container": {"exitCode": 0}}) is None

    def test_a_host_that_was_taken_back(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """Another attempt is another job, with another name."""
        session = runner.start(pipeline(retry={"max_attempts": 2, "delay": 0, "on": ["Batch.Host*"]}))
        aws.wait_for_calls("batch", "SubmitJob")
        aws.batch.end(aws.batch.jobs[0], None, status_reason="Host EC2 (instance i-1) terminated.")
        aws.wait_for_calls("batch", "SubmitJob", 2)
        aws.batch.end(aws.batch.jobs[1])
        assert session.wait() == "succeeded"
        assert len({job.name for job in aws.batch.jobs}) == 2

    @pytest.mark.parametrize("status", ["RUNNABLE", "RUNNING"])
    def test_cancelled(self, aws: FakeAws, runner: bunsui.Runner, status: str) -> None:
        """Who cancels the session has the job stopped, also one that waits in its queue."""
        session = runner.start(pipeline())
        aws.wait_for_calls("batch", "DescribeJobs")
        aws.batch.move(aws.batch.jobs[0], status)
        session.cancel()
        assert session.wait() == "cancelled"
        (call,) = aws.called("batch", "TerminateJob")
        assert call.parameters == {"jobId": aws.batch.jobs[0].id, "reason": "stopped by bunsui"}
        assert aws.batch.jobs[0].status == "FAILED"

    def test_gone(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """A job that Batch does not show is waited for a while, and is found where it comes back."""
        session = runner.start(pipeline())
        (job,) = [aws.batch.jobs[0] for _ in aws.wait_for_calls("batch", "DescribeJobs")]
        aws.batch.forget(job)
        aws.wait_for_calls("batch", "DescribeJobs", 3)
        assert session.status == "running"
        aws.batch.show(job)
        aws.batch.end(job)
        assert session.wait() == "succeeded"


class TestLostAnswers:
    """A job is submitted once, whatever is lost on the way."""

    def test_answer(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """The answer to SubmitJob is lost: the job is found by its name."""
        aws.faults.drop_after("batch", "SubmitJob", times=1)
        aws.batch.script = soon
        assert runner.run(pipeline()).status == "succeeded"
        assert len(aws.batch.jobs) == 1

    def test_listed_late(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """That Batch does not list it yet is no reason to submit another."""
        aws.faults.drop_after("batch", "SubmitJob", times=1)

        def hidden(job: BatchJob) -> Script:
            job.is_listed = False
            return soon(job)

        aws.batch.script = hidden
        session = runner.start(pipeline())
        aws.wait_for_calls("batch", "ListJobs", 2)
        aws.batch.jobs[0].is_listed = True
        assert session.wait() == "succeeded"
        assert len(aws.called("batch", "SubmitJob")) == 1

    @pytest.mark.usefixtures("listed_soon")
    def test_call(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """A call that did not arrive is made again, once the job has not been listed for long enough."""
        aws.faults.drop_before("batch", "SubmitJob", times=1)
        aws.batch.script = soon
        assert runner.run(pipeline()).status == "succeeded"
        assert (len(aws.batch.jobs), len(aws.called("batch", "SubmitJob"))) == (1, 2)
        assert len(aws.called("batch", "ListJobs")) >= 2

    def test_throttled(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """What was throttled had no effect: nothing is looked for."""
        aws.faults.throttle("batch", "SubmitJob", times=2)
        aws.batch.script = soon
        assert runner.run(pipeline()).status == "succeeded"
        assert aws.called("batch", "ListJobs") == []


class Outputs:
    """A place for outputs, each of which says where it is."""

    def put_input(self, session: str, text: str) -> str:
        raise NotImplementedError

    def read_output(self, url: str) -> Any:
        return {"read": url}

    def output_url(self, session: str, name: str) -> str:
        return f"s3://bucket/{session}/{name}"


class TestMethods:
    """What is said of a job that is looked for, or at."""

    @pytest.fixture
    def kind(self, aws: FakeAws) -> Iterator[BatchJobType]:
        made = Connections(AwsSettings(endpoints={"": aws.url}))
        self.clock = FakeClock()
        yield BatchJobType().for_runner(Services(made, self.clock, Random(0)))
        made.close()

    def call(self, hours: float = 0, key: str = "k1") -> bunsui.JobCall:
        """An attempt that started so long ago."""
        started = self.clock.now() - timedelta(hours=hours)
        options = {"job_queue": "q", "job_definition": "d"}
        return make_call(options=options, started_at=started, idempotency_key=key)

    def looked_for(self, kind: BatchJobType, *, hours: float = 0) -> Any:
        """What is said in the end of an attempt that is not listed."""
        call = self.call(hours)
        for _ in range(2):
            with pytest.raises(bunsui.AwsError, match="does not list the attempt k1") as caught:
                kind.find(call)
            assert caught.value.kind == "open"
            self.clock.advance(15)
        return kind.find(call)

    @pytest.mark.parametrize("status", ["SUBMITTED", "FAILED"])
    def test_found(self, aws: FakeAws, kind: BatchJobType, status: str) -> None:
        """Among all of its queue, by what `submit` gave; not one whose name differs in its case only."""
        kind.submit(self.call(key="K1"))
        handle = kind.submit(self.call())
        aws.batch.jobs[1].created += 1
        if status == "FAILED":
            aws.batch.end(aws.batch.jobs[1], 1)
        assert kind.find(self.call()) == bunsui.Found(handle)
        assert handle == {"job": aws.batch.jobs[1].id, "region": "eu-central-1"}

    def test_not_listed(self, kind: BatchJobType) -> None:
        """It is looked for over half a minute before it counts as never begun; and anew after that."""
        assert self.looked_for(kind) == bunsui.NeverRan()
        assert self.looked_for(kind) == bunsui.NeverRan()

    def test_not_listed_any_more(self, kind: BatchJobType) -> None:
        """After a day, what has ended may have been forgotten."""
        assert self.looked_for(kind, hours=22) == bunsui.NeverRan()
        assert kind.find(self.call(23)) == bunsui.CannotTell()

    def test_start_that_is_not_known(self, kind: BatchJobType) -> None:
        """Nobody can tell of an attempt whose start is in no history."""
        found = kind.find(make_call(options={"job_queue": "q", "job_definition": "d"}))
        assert found == bunsui.CannotTell()

    def test_missing_for_long(self, aws: FakeAws, kind: BatchJobType) -> None:
        """A job that is not shown counts as running for a minute; then nobody can tell."""
        handle = kind.submit(self.call())
        aws.batch.forget(aws.batch.jobs[0])
        assert kind.poll([handle]) == [bunsui.Running()]
        self.clock.advance(60)
        assert kind.poll([handle]) == [bunsui.CannotTell()]
        kind.cancel(handle)  # That it is not there is no error of who wants it stopped.

    def test_polling_error_is_no_failure(self, aws: FakeAws, kind: BatchJobType) -> None:
        """What DescribeJobs fails with says nothing about the job: it is asked again."""
        handle = kind.submit(self.call())
        aws.faults.server_error("batch", "DescribeJobs", times=1)
        aws.faults.throttle("batch", "DescribeJobs", times=1)
        aws.faults.deny("batch", "DescribeJobs", times=1)
        for expected in ("open", "busy", "open"):
            with pytest.raises(bunsui.AwsError) as caught:
                kind.poll([handle])
            assert caught.value.kind == expected
        assert kind.poll([handle]) == [bunsui.Running()]

    def test_output(self, aws: FakeAws) -> None:
        """What the job has left where BUNSUI_OUTPUT_URL says, also for who goes on with it."""
        made = Connections(AwsSettings(endpoints={"": aws.url}))
        kind = BatchJobType().for_runner(Services(made, FakeClock(), Random(0), Outputs()))
        handle = kind.submit(make_call(options={"job_queue": "q", "job_definition": "d"}))
        (job,) = aws.batch.jobs
        assert job.environment["BUNSUI_OUTPUT_URL"] == "s3://bucket/s1/k1"
        assert kind.poll([handle]) == [bunsui.Running()]
        aws.batch.end(job)
        assert kind.poll([handle]) == [bunsui.Succeeded({"read": "s3://bucket/s1/k1"})]
        made.close()

    def test_many(self, aws: FakeAws, kind: BatchJobType) -> None:
        """250 jobs are looked at with three calls, and each has its own answer."""
        handles = [kind.submit(self.call(key=f"k{i}")) for i in range(250)]
        for i, job in enumerate(aws.batch.jobs):
            if i % 2:
                aws.batch.end(job, i % 100)
        found = kind.poll(handles)
        assert len(aws.called("batch", "DescribeJobs")) == 3
        for i, outcome in enumerate(found):
            if not i % 2:
                assert outcome == bunsui.Running()
            else:
                assert isinstance(outcome, bunsui.Failed)
                assert outcome.code == f"ExitCode.{i % 100}"

    def test_permissions(self, kind: BatchJobType) -> None:
        """Each call, and what it is made on."""
        where = Where("eu-central-1", "123456789012")
        assert list(kind.permissions({"job_queue": "q", "job_definition": "d", "tags": {}}, where)) == [
            Permission(
                ["batch:SubmitJob"],
                [f"{PREFIX}:job-queue/q", f"{PREFIX}:job-definition/d", f"{PREFIX}:job-definition/d:*"],
            ),
            Permission(["batch:TerminateJob", "batch:TagResource"], [f"{PREFIX}:job/*"]),
            Permission(["batch:DescribeJobs", "batch:ListJobs"], ["*"]),
        ]

    def test_permissions_on_revisions(self, kind: BatchJobType) -> None:
        """One that is named is the only one; a whole ARN stays what it is."""
        where = Where("eu-central-1", "123456789012")
        arn = "arn:aws:batch:us-west-2:210987654321"
        options = {"job_queue": f"{arn}:job-queue/q", "job_definition": "d:3"}
        first, *_ = kind.permissions(options, where)
        assert first == Permission(
            ["batch:SubmitJob"], [f"{arn}:job-queue/q", f"{PREFIX}:job-definition/d:3"]
        )

    @pytest.mark.parametrize(
        ("field", "name"),
        [
            ("job_queue", "*"),
            ("job_queue", "arn:aws:s3:::*"),
            ("job_queue", "arn:aws:batch:eu-central-1:123456789012:job-queue/?"),
            ("job_definition", "d:*"),
            ("job_definition", "arn:aws:s3:::*"),
        ],
    )
    def test_names_that_would_allow_more(self, kind: BatchJobType, field: str, name: str) -> None:
        """What names none stands in no policy."""
        options = {"job_queue": "q", "job_definition": "d", field: name}
        first, second, *_ = kind.permissions(options, Where("eu-central-1", "123456789012"))
        assert first == Unnamed(f"'{field}' is {name!r}, which names none")
        assert isinstance(second, Permission)
        assert second.actions == ("batch:TerminateJob",)

    def test_permissions_that_are_not_known(self, kind: BatchJobType) -> None:
        """What is named by a reference can't be said; the rest can."""
        options = {"job_queue": "${parameters.q}", "job_definition": "d"}
        first, *rest = kind.permissions(options, Where("eu-central-1", "123456789012"))
        assert first == Unnamed("'job_queue' is known only when the job starts")
        assert [each.actions[0] for each in rest if isinstance(each, Permission)] == [
            "batch:TerminateJob",
            "batch:DescribeJobs",
        ]


class TestLogs:
    """Where what a container has written is read."""

    def test_read(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """From the stream that Batch names, in the group that it uses where none is named."""

        def work(job: BatchJob) -> None:
            aws.logs.put("/aws/batch/job", job.container["logStreamName"], "one", "two")

        def script(job: BatchJob) -> Script:
            job.move("RUNNING")
            return Script(work=work)

        aws.batch.script = script
        session = runner.run(pipeline())
        assert [record.message for record in session.logs(job="a")] == ["one", "two"]

    def test_none_yet(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """A job that waits in its queue has none."""
        session = runner.start(pipeline())
        aws.wait_for_calls("batch", "DescribeJobs")
        assert list(session.logs(job="a")) == []
        assert aws.called("logs") == []
        session.cancel()
        session.wait()

    @pytest.mark.parametrize(
        ("configured", "expected"),
        [
            ({}, {"group": "/aws/batch/job", "stream": "s"}),
            (
                {"logDriver": "awslogs", "options": {"awslogs-group": "/g", "awslogs-region": "us-west-2"}},
                {"group": "/g", "stream": "s", "region": "us-west-2"},
            ),
            ({"logDriver": "splunk"}, None),
        ],
    )
    def test_place(self, configured: dict[str, Any], expected: Any) -> None:
        """What its definition says of its log is where it is read."""
        assert log_of({"container": {"logStreamName": "s", "logConfiguration": configured}}) == expected


class Batch(BatchJobType):
    """Under another name: the built-in has its own already."""

    name: ClassVar[str] = "own-batch"
    poll_interval: ClassVar[float] = 0.02


class TestSuite(JobTypeSuite):
    """What holds for every job type; a job's command says how it ends."""

    options = {"job_queue": "q", "job_definition": "d"}
    parameters = {"table": "flights"}
    invalid_options = [{}, {"job_queue": "q"}, {"job_queue": "q", "job_definition": "d", "memory": 0}]
    failing_options = {**options, "command": ["fail"]}
    slow_options = {**options, "command": ["sleep"]}
    unknown_handle = {"job": "00000000-0000-0000-0000-000000000000", "region": "eu-central-1"}

    @pytest.fixture
    def job_type(
        self, aws: FakeAws, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> Iterator[BatchJobType]:
        caplog.set_level("INFO", "botocore")  # Which logs whole requests, for who asks it to.
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
        monkeypatch.setattr("bunsui.jobs.aws_remote.MISSING_PATIENCE", 0.0)

        def script(job: BatchJob) -> Script:
            command = job.parameters["containerOverrides"].get("command")
            if command == ["sleep"]:
                return Script(every=None)
            return Script(work=lambda _: 3 if command == ["fail"] else 0)

        aws.batch.script = script
        made = Connections(AwsSettings())
        yield Batch().for_runner(Services(made, SystemClock(), Random(0)))
        made.close()
