"""ECS jobs: what tasks are started with, and what comes of their ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from random import Random
from typing import Any

import pytest

import bunsui
from bunsui.aws.connections import Connections
from bunsui.aws.settings import AwsSettings
from bunsui.jobs.ecs import EcsJobType
from bunsui.ports.services import Services
from bunsui.testing import FakeClock
from bunsui_tests.attempts import make_call
from bunsui_tests.aws.ecs_tasks import Script
from bunsui_tests.aws.endpoint import FakeAws

pytestmark = pytest.mark.usefixtures("aws_environment")


@pytest.fixture
def aws(fake_aws: FakeAws) -> FakeAws:
    """With a task definition, whose tasks do nothing by themselves."""
    fake_aws.ecs.define("t")
    fake_aws.ecs.script = Script(every=None)
    return fake_aws


@pytest.fixture
def runner(aws: FakeAws) -> Iterator[bunsui.Runner]:
    with bunsui.Runner("memory://", aws={"endpoint_url": aws.url}) as made:
        yield made


def pipeline(**fields: Any) -> bunsui.Pipeline:
    return bunsui.Pipeline("p", jobs=[bunsui.Job("a", "ecs", **{"task_definition": "t", **fields})])


def ended(runner: bunsui.Runner, aws: FakeAws, *, fields: Any = None, **stop: Any) -> bunsui.JobState:
    """The job, whose task ended so."""
    session = runner.start(pipeline(**fields or {}))
    aws.wait_for_calls("ecs", "RunTask")
    aws.ecs.stop(aws.ecs.tasks[0], **stop)
    session.wait()
    return session.jobs["a"]


def asked(runner: bunsui.Runner, aws: FakeAws, **fields: Any) -> dict[str, Any]:
    """What RunTask was called with."""
    ended(runner, aws, fields=fields)
    (call,) = aws.called("ecs", "RunTask")
    return dict(call.parameters)


def environment(parameters: dict[str, Any]) -> dict[str, str]:
    """The variables of the container."""
    (container,) = parameters["overrides"]["containerOverrides"]
    return {each["name"]: each["value"] for each in container["environment"]}


@pytest.fixture
def kind(aws: FakeAws) -> Iterator[EcsJobType]:
    made = Connections(AwsSettings(endpoints={"": aws.url}))
    yield EcsJobType().for_runner(Services(made, FakeClock(), Random(0)))
    made.close()


class TestStart:
    """What a task is started with."""

    def test_token_and_origin(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """The attempt's key is the client token; by "started by" the task is found again."""
        found = asked(runner, aws)
        key = environment(found)["BUNSUI_IDEMPOTENCY_KEY"]
        assert (found["clientToken"], found["startedBy"], found["count"]) == (key, f"bunsui/{key}", 1)
        assert len(key) == 64

    def test_parameters(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """The container has the variables of a command on this machine."""
        found = environment(asked(runner, aws, parameters={"day": "2026-01-31", "rows": [1, 2]}))
        assert found["BUNSUI_PARAM_DAY"] == "2026-01-31"
        assert found["BUNSUI_PARAM_ROWS"] == "[1,2]"
        assert json.loads(found["BUNSUI_PARAMETERS"]) == {"day": "2026-01-31", "rows": [1, 2]}
        assert (found["BUNSUI_JOB_ID"], found["BUNSUI_ATTEMPT"]) == ("a", "1")

    def test_fargate(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """Launch type, network, size and platform are those of the job."""
        network = {"subnets": ["subnet-1"], "security_groups": ["sg-1"], "assign_public_ip": False}
        found = asked(
            runner, aws, launch_type="FARGATE", network=network, cpu=512, memory="1024",
            platform_version="1.4.0", tags={"team": "data"}, task_role="arn:aws:iam::123456789012:role/t",
        )  # fmt: skip
        assert found["launchType"] == "FARGATE"
        assert found["networkConfiguration"] == {
            "awsvpcConfiguration": {
                "subnets": ["subnet-1"],
                "securityGroups": ["sg-1"],
                "assignPublicIp": "DISABLED",
            }
        }
        assert found["overrides"] | {"containerOverrides": None} == {
            "containerOverrides": None,
            "cpu": "512",
            "memory": "1024",
            "taskRoleArn": "arn:aws:iam::123456789012:role/t",
        }
        assert (found["platformVersion"], found["tags"]) == ("1.4.0", [{"key": "team", "value": "data"}])

    def test_capacity_providers(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """In place of a launch type, capacity providers by weight."""
        found = asked(runner, aws, capacity_providers={"FARGATE_SPOT": 3, "FARGATE": 1})
        assert found["capacityProviderStrategy"] == [
            {"capacityProvider": "FARGATE_SPOT", "weight": 3},
            {"capacityProvider": "FARGATE", "weight": 1},
        ]

    def test_not_both(self) -> None:
        """A launch type and capacity providers exclude each other."""
        with pytest.raises(bunsui.DefinitionError):
            pipeline(launch_type="EC2", capacity_providers={"x": 1})

    def test_command(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """The container's command, numbers as text."""
        found = asked(runner, aws, command=["load", 3])
        assert found["overrides"]["containerOverrides"][0]["command"] == ["load", "3"]

    def test_cluster_and_region(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """Where it runs; all further calls are made there, too."""
        aws.ecs.add_cluster("etl")
        found = asked(runner, aws, cluster="etl", region="us-west-2")
        assert found["cluster"] == "etl"
        assert {call.region for call in aws.called("ecs")} == {"us-west-2"}

    def test_only_essential_container(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """The parameters go to the container without which the task ends."""
        aws.ecs.define("t", {"name": "proxy", "essential": False}, "work")
        found = asked(runner, aws)
        assert found["overrides"]["containerOverrides"][0]["name"] == "work"

    def test_several_containers(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """Where there are several, the job has to name one."""
        aws.ecs.define("t", "one", "two")
        job = runner.run(pipeline()).jobs["a"]
        assert job.error is not None
        assert job.error.code == "ECS.SeveralContainers"
        assert job.error.message.endswith("(one, two); name one as 'container'")

    def test_missing_container(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """A container that the definition does not have is told with those that it has."""
        job = runner.run(pipeline(container="mian")).jobs["a"]
        assert job.error is not None
        assert (job.error.code, job.error.message) == (
            "ECS.NoSuchContainer",
            "task definition 't:1' has no container 'mian'; it has main",
        )

    def test_too_large(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """What ECS would refuse is refused before the call."""
        job = runner.run(pipeline(parameters={"t": "x" * 8192})).jobs["a"]
        assert job.error is not None
        assert (job.error.code, job.error.retryable) == ("ECS.OverridesTooLarge", False)
        assert "ECS takes at most 8,192" in job.error.message
        assert aws.called("ecs", "RunTask") == []

    def test_not_placed(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """Failures beside the tasks are the job's error, and may be retried: nothing was started."""
        aws.ecs.fail("RESOURCE:MEMORY", detail="2048 MiB are wanted")
        job = runner.run(pipeline()).jobs["a"]
        assert job.error is not None
        assert (job.error.code, job.error.retryable) == ("ECS.RESOURCE:MEMORY", True)
        assert job.error.message == (
            "cluster 'default' has not started task definition 't': RESOURCE:MEMORY (2048 MiB are wanted)"
        )

    def test_placed_later(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """Another attempt has another token, and so may be started."""
        aws.ecs.fail()
        session = runner.start(pipeline(retry={"max_attempts": 2, "delay": 0, "on": ["ECS.RESOURCE:*"]}))
        aws.wait_for_calls("ecs", "RunTask", 2)
        aws.ecs.stop(aws.ecs.tasks[0])
        assert session.wait() == "succeeded"
        tokens = [call.parameters["clientToken"] for call in aws.called("ecs", "RunTask")]
        assert len(set(tokens)) == 2

    def test_definition_without_an_answer(self, aws: FakeAws, kind: EcsJobType) -> None:
        """Nothing was begun, so there is nothing to look for: it is asked again."""
        aws.faults.drop_after("ecs", "DescribeTaskDefinition")
        with pytest.raises(bunsui.AwsError) as caught:
            kind.submit(make_call(options={"task_definition": "t"}))
        assert caught.value.kind == "busy"

    @pytest.mark.parametrize("field", ["command", "group", "tags"])
    def test_secrets_where_all_can_read_them(self, field: str) -> None:
        """What the console shows of a task has none."""
        secret = "${secrets.s}"
        value: Any = {"command": ["run", secret], "group": secret, "tags": {"a": secret}}[field]
        with pytest.raises(bunsui.DefinitionError, match=f"secrets.*'{field}'|'{field}'.*secret"):
            bunsui.Runner("memory://", aws={"region": "eu-central-1"}).run(pipeline(**{field: value}))

    def test_role_that_is_not_allowed_by_reference(self, aws: FakeAws) -> None:
        """Nothing is started, and the job fails without another attempt."""
        job = bunsui.Job("a", "ecs", task_definition="t", role="${role}", retry=3)
        made = bunsui.Pipeline("p", parameters=[bunsui.Parameter("role")], jobs=[job])
        with bunsui.Runner("memory://", aws={"endpoint_url": aws.url, "allowed_roles": []}) as runner:
            session = runner.run(made, {"role": "arn:aws:iam::210987654321:role/etl"})
        error = session.jobs["a"].error
        assert error is not None
        assert (error.code, len(session.jobs["a"].attempts)) == ("PermissionDenied", 1)
        assert session.status == "failed"

    def test_missing_definition(self, runner: bunsui.Runner) -> None:
        """A task definition that is not there fails the job."""
        job = runner.run(pipeline(task_definition="other")).jobs["a"]
        assert job.error is not None
        assert (job.error.code, job.error.retryable) == ("ECS.ClientException", False)


class TestEnd:
    """What comes of a task's end."""

    def test_success(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """The code 0 is success."""
        job = ended(runner, aws)
        assert (job.status, job.output) == ("succeeded", None)

    @pytest.mark.parametrize(
        ("stop", "code", "text"),
        [
            ({"exit_code": 3}, "ExitCode.3", "container 'main' ended with code 3: Essential container"),
            (
                {"exit_code": 137, "container_reason": "OutOfMemoryError: killed"},
                "ExitCode.137",
                "OutOfMemoryError: killed",
            ),
            (
                {"exit_code": None, "stop_code": "TaskFailedToStart", "reason": "CannotPullContainerError"},
                "ECS.TaskFailedToStart",
                "the task was stopped: CannotPullContainerError",
            ),
            ({"exit_code": None}, "ECS.EssentialContainerExited", "container 'main' has no exit code"),
            (
                {
                    "exit_code": 143,
                    "stop_code": "SpotInterruption",
                    "reason": "It was interrupted.",
                },
                "ECS.SpotInterruption",
                "It was interrupted.",
            ),
            (
                {"exit_code": 0, "stop_code": "UserInitiated", "reason": "Task stopped by user"},
                "ECS.UserInitiated",
                "the task was stopped: Task stopped by user",
            ),
            (
                {"exit_code": 0, "stop_code": "", "reason": "stopped by bunsui"},
                "ECS.UserInitiated",
                "the task was stopped: stopped by bunsui",
            ),
        ],
    )
    def test_failures(
        self, aws: FakeAws, runner: bunsui.Runner, stop: dict[str, Any], code: str, text: str
    ) -> None:
        """Any other code, a missing one, and what was stopped are failures that say why."""
        job = ended(runner, aws, **stop)
        assert job.error is not None
        assert (job.status, job.error.code) == ("failed", code)
        assert text in job.error.message

    def test_own_container_counts(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """What a container beside it ended with is not the job's."""
        aws.ecs.define("t", "work", {"name": "proxy", "essential": False})
        job = ended(runner, aws, exit_code={"work": 0, "proxy": 1})
        assert job.status == "succeeded"

    def test_cancelled(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """Who cancels the session has the task stopped."""
        session = runner.start(pipeline())
        aws.wait_for_calls("ecs", "DescribeTasks")
        session.cancel()
        assert session.wait() == "cancelled"
        assert [call.parameters["task"] for call in aws.called("ecs", "StopTask")] == [aws.ecs.tasks[0].arn]
        assert aws.ecs.tasks[0].status == "STOPPED"

    def test_gone(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """A task that ECS does not show is waited for a while, and is found where it comes back."""
        session = runner.start(pipeline())
        (task,) = [aws.ecs.tasks[0] for _ in aws.wait_for_calls("ecs", "RunTask")]
        aws.ecs.forget(task)
        aws.wait_for_calls("ecs", "DescribeTasks", 2)
        assert session.status == "running"
        aws.ecs.show(task)
        aws.ecs.stop(task)
        assert session.wait() == "succeeded"


class Objects:
    """A place for outputs, each of which is 1 and takes three seconds to read."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.error: Exception | None = None

    def put_input(self, session: str, text: str) -> str:
        raise NotImplementedError

    def read_output(self, url: str) -> int:
        assert url.startswith("s3://")
        self._clock.advance(3)
        if self.error is not None:
            raise self.error
        return 1

    def output_url(self, session: str, name: str) -> str:
        return f"s3://bucket/{session}/{name}"


class TestPolling:
    """How tasks are watched."""

    def test_polling_error_is_no_failure(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """What DescribeTasks fails with says nothing about the task."""
        aws.faults.server_error("ecs", "DescribeTasks", times=1)
        aws.faults.throttle("ecs", "DescribeTasks", times=1)
        aws.faults.deny("ecs", "DescribeTasks", times=1)
        job = ended(runner, aws)
        assert job.status == "succeeded"
        assert len(aws.called("ecs", "DescribeTasks")) == 4

    @pytest.fixture
    def kind(self, aws: FakeAws) -> Iterator[EcsJobType]:
        """Of a runner in eu-central-1 whose artifacts are on S3."""
        made = Connections(AwsSettings(endpoints={"": aws.url}, region="eu-central-1"))
        self.clock = FakeClock()
        self.objects = Objects(self.clock)
        yield EcsJobType().for_runner(Services(made, self.clock, Random(0), self.objects))
        made.close()

    def submitted(self, kind: EcsJobType, *clusters: str) -> list[Any]:
        """The handles of tasks, one in each of these clusters."""
        return [
            kind.submit(
                make_call(options={"task_definition": "t", "cluster": cluster}, idempotency_key=f"k{i}")
            )
            for i, cluster in enumerate(clusters)
        ]

    def test_many_outputs(self, aws: FakeAws, kind: EcsJobType, monkeypatch: pytest.MonkeyPatch) -> None:
        """No poll reads for long: what it does not come to, the next one reads. Each reads something."""
        describe = EcsJobType._describe

        def slowly(*arguments: Any) -> Any:
            self.clock.advance(60)
            return describe(*arguments)

        monkeypatch.setattr(EcsJobType, "_describe", slowly)
        handles = self.submitted(kind, *["default"] * 4)
        for task in aws.ecs.tasks:
            aws.ecs.stop(task)
        assert kind.poll(handles) == [bunsui.Succeeded(1)] * 2 + [bunsui.Running()] * 2
        assert kind.poll(handles[2:]) == [bunsui.Succeeded(1)] * 2

    def test_cluster_that_may_not_be_looked_at(
        self, aws: FakeAws, kind: EcsJobType, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What another one has is known all the same; it is said what is missing."""
        aws.ecs.add_cluster("a")
        aws.ecs.add_cluster("b")
        aws.faults.deny("ecs", "DescribeTasks", when=lambda call: call.parameters["cluster"] == "b")
        handles = self.submitted(kind, "a", "b")
        for _ in range(5):
            assert kind.poll(handles) == [bunsui.Running()] * 2
        aws.ecs.stop(aws.ecs.tasks[0])
        assert kind.poll(handles) == [bunsui.Succeeded(1), bunsui.Running()]
        (message,) = caplog.messages
        assert "it is asked again (5 times so far)" in message
        assert "needs the permission ecs:DescribeTasks" in message

    def test_output_that_may_not_be_read(
        self, aws: FakeAws, kind: EcsJobType, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The task has done its work: it is read once somebody has allowed it, and that is asked for."""
        (handle,) = self.submitted(kind, "default")
        aws.ecs.stop(aws.ecs.tasks[0])
        self.objects.error = bunsui.AwsError(
            "denied", service="s3", action="GetObject", code="AccessDenied", kind="refused"
        )
        for _ in range(5):
            assert kind.poll([handle]) == [bunsui.Running()]
        assert caplog.messages == ["denied; it is asked again (5 times so far)"]
        self.objects.error = None
        assert kind.poll([handle]) == [bunsui.Succeeded(1)]

    def test_output_that_is_refused(self, aws: FakeAws, kind: EcsJobType) -> None:
        """Such as by a bucket that is not there: nobody can read it, ever."""
        (handle,) = self.submitted(kind, "default")
        aws.ecs.stop(aws.ecs.tasks[0])
        self.objects.error = bunsui.AwsError(
            "gone", service="s3", action="GetObject", code="NoSuchBucket", kind="refused"
        )
        assert kind.poll([handle]) == [bunsui.Failed("S3.NoSuchBucket", "gone", retryable=False)]

    def test_who_goes_on_elsewhere(self, aws: FakeAws, kind: EcsJobType) -> None:
        """It is asked for in the region where it runs, whatever the region of who asks."""
        (handle,) = self.submitted(kind, "default")
        other = Connections(AwsSettings(endpoints={"": aws.url}, region="us-west-2"))
        there = EcsJobType().for_runner(Services(other, self.clock, Random(0), self.objects))
        aws.ecs.stop(aws.ecs.tasks[0])
        assert there.poll([handle]) == [bunsui.Succeeded(1)]
        other.close()

    def test_who_goes_on_with_fewer_roles(self, aws: FakeAws, kind: EcsJobType) -> None:
        """That says nothing of the task: it is asked again until the role is allowed."""
        (handle,) = self.submitted(kind, "default")
        none = Connections(AwsSettings(endpoints={"": aws.url}, allowed_roles=()))
        fewer = EcsJobType().for_runner(Services(none, self.clock, Random(0), self.objects))
        with pytest.raises(bunsui.AwsError, match="jobs may not take the role r") as caught:
            fewer.poll([handle | {"role": "r"}])
        assert caught.value.kind == "open"
        none.close()


class TestFinding:
    """What is said of a task that is looked for by its attempt's key."""

    @pytest.fixture
    def kind(self, aws: FakeAws) -> Iterator[EcsJobType]:
        made = Connections(AwsSettings(endpoints={"": aws.url}))
        self.clock = FakeClock()
        yield EcsJobType().for_runner(Services(made, self.clock, Random(0)))
        made.close()

    def call(self, minutes: float = 0) -> bunsui.JobCall:
        """An attempt that started so long ago."""
        started = self.clock.now() - timedelta(minutes=minutes)
        return make_call(options={"task_definition": "t"}, started_at=started)

    @pytest.mark.parametrize("status", ["RUNNING", "STOPPED"])
    def test_found(self, aws: FakeAws, kind: EcsJobType, status: str) -> None:
        """Among those that run, and those that have stopped; it is known by what `submit` gave."""
        handle = kind.submit(self.call())
        if status == "STOPPED":
            aws.ecs.stop(aws.ecs.tasks[0])
        assert kind.find(self.call()) == bunsui.Found(handle)

    def test_not_there(self, kind: EcsJobType) -> None:
        """It may be started: if ECS has it all the same, the client token keeps it from having two."""
        assert kind.find(self.call(54)) == bunsui.NeverRan(is_certain=False)

    def test_not_there_any_more(self, kind: EcsJobType) -> None:
        """After an hour a task that has stopped is shown no more, and its token may have been forgotten."""
        assert kind.find(self.call(56)) == bunsui.CannotTell()

    def test_start_that_is_not_known(self, kind: EcsJobType) -> None:
        """Nobody can tell of an attempt whose start is in no history."""
        assert kind.find(make_call(options={"task_definition": "t"})) == bunsui.CannotTell()

    def test_missing_for_long(self, aws: FakeAws, kind: EcsJobType) -> None:
        """A task that is not shown counts as running for a minute; then nobody can tell."""
        handle = kind.submit(self.call())
        aws.ecs.forget(aws.ecs.tasks[0])
        assert kind.poll([handle]) == [bunsui.Running()]
        self.clock.advance(59)
        assert kind.poll([handle]) == [bunsui.Running()]
        self.clock.advance(1)
        assert kind.poll([handle]) == [bunsui.CannotTell()]

    def test_other_parameters_under_the_same_token(self, aws: FakeAws, kind: EcsJobType) -> None:
        """Such as a secret that was changed meanwhile: the task that there is is the attempt's."""
        handle = kind.submit(self.call())
        changed = make_call({"day": "2"}, options={"task_definition": "t"}, started_at=self.clock.now())
        assert kind.submit(changed) == handle
        assert len(aws.ecs.tasks) == 1

    def test_one_group_for_each_account_and_region(self, kind: EcsJobType) -> None:
        """Clusters share one; roles and regions do not."""
        base = {"task": "x", "cluster": "a", "container": "main"}
        same = kind.poll_group(base) == kind.poll_group(base | {"cluster": "b"})
        others = {kind.poll_group(base | more) for more in ({}, {"region": "eu-west-1"}, {"role": "r"})}
        assert (same, len(others)) == (True, 3)
