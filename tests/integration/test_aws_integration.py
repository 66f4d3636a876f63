"""Jobs at AWS over HTTP: Lambda functions that really run, ECS tasks that go through their states, S3, STS.

Functions run in ministack, tasks and roles are moto's; S3 is tested on both. Where BUNSUI_TEST_AWS_ENDPOINT
names an endpoint, such as LocalStack's, all of it runs there. What no emulator can do is tested with an
endpoint of the tests' own, in ``test_aws_outages.py``, ``test_aws_exit_codes.py`` and ``tests/unit/jobs``.
"""

from __future__ import annotations

import io
import json
import os
import uuid
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui_tests.aws.environment import client
from bunsui_tests.conditions import until

pytestmark = pytest.mark.usefixtures("aws_environment")

ENDPOINT = os.environ.get("BUNSUI_TEST_AWS_ENDPOINT")
ROLE = "arn:aws:iam::000000000000:role/lambda"
HANDLERS = """
import json, os, urllib.parse

def count(event, context):
    print("counting", event["bucket"])
    return {"rows": len(event["bucket"])}

def double(event, context):
    return event["rows"] * 2

def fail(event, context):
    raise ValueError("no such table")

def size(event, context):
    import boto3

    bucket, _, key = event["bunsui_parameters_url"].removeprefix("s3://").partition("/")
    text = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return len(json.loads(text)["text"])
"""
DECORATED = """
from bunsui import StateError, current_call
from bunsui.aws import lambda_handler

@lambda_handler
def whole(event, context):
    try:
        job = current_call().job_id
    except StateError:
        job = None
    return [len(event["text"]), job]
"""
#: What such a function is deployed with.
PACKAGES = ("attr", "attrs", "bunsui")


class Endpoint:
    """An endpoint that somebody else has started."""

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self, service: str) -> Any:
        return client(service, self.url)


@pytest.fixture
def functions(request: pytest.FixtureRequest) -> Any:
    """Where functions run."""
    return Endpoint(ENDPOINT) if ENDPOINT else request.getfixturevalue("ministack")


@pytest.fixture
def tasks(request: pytest.FixtureRequest) -> Any:
    """Where there are tasks: each goes on with every second look at it."""
    if ENDPOINT:
        return Endpoint(ENDPOINT)
    moto = request.getfixturevalue("moto_server")
    moto.transition("ecs::task", progression="manual", times=1)
    return moto


@pytest.fixture(params=["ministack", "moto_server"])
def buckets(request: pytest.FixtureRequest) -> Any:
    """Where there are buckets."""
    return Endpoint(ENDPOINT) if ENDPOINT else request.getfixturevalue(request.param)


@pytest.fixture
def deployed(functions: Any) -> Callable[..., str]:
    """Deploys one of the handlers, and gives its function's name."""
    made = functions.client("lambda")

    def deploy(handler: str, *packages: str) -> str:
        name = f"{handler}-{uuid.uuid4().hex[:8]}"
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as files:
            files.writestr("handlers.py", DECORATED if packages else HANDLERS)
            for package in packages:
                folder = Path(str(import_module(package).__file__)).parent
                for path in folder.rglob("*.py"):
                    files.write(path, path.relative_to(folder.parent))
        made.create_function(
            FunctionName=name,
            Runtime="python3.12",
            Role=ROLE,
            Handler=f"handlers.{handler}",
            Code={"ZipFile": archive.getvalue()},
        )
        until(lambda: _is_active(made, name))
        return name

    return deploy


def _is_active(made: Any, name: str) -> bool:
    return made.get_function(FunctionName=name)["Configuration"].get("State", "Active") == "Active"


@pytest.fixture
def network(tasks: Any) -> dict[str, Any]:
    """A cluster, a task definition, and a network for its tasks."""
    ecs, ec2 = tasks.client("ecs"), tasks.client("ec2")
    ecs.create_cluster(clusterName="etl")
    ecs.register_task_definition(
        family="transform-task",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "main", "image": "transform:1", "memory": 512}],
    )
    network = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    # Else moto gives the interfaces of tasks no name, and misses it.
    ec2.modify_vpc_attribute(VpcId=network, EnableDnsHostnames={"Value": True})
    subnet = ec2.create_subnet(VpcId=network, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="etl", Description="etl", VpcId=network)["GroupId"]
    return {"subnets": [subnet], "security_groups": [group]}


def runner_at(endpoint: Any, store: str = "memory://", **more: Any) -> bunsui.Runner:
    return bunsui.Runner(store, aws={"endpoint_url": endpoint.url}, **more)


def task(network: dict[str, Any], **fields: Any) -> bunsui.Pipeline:
    """A pipeline of one task on Fargate."""
    options = {"cluster": "etl", "launch_type": "FARGATE", "network": network, **fields}
    job = bunsui.Job("transform", "ecs", task_definition="transform-task", **options)
    return bunsui.Pipeline("Transform", jobs=[job])


@pytest.fixture
def bucket(buckets: Any) -> str:
    """A bucket of the test's own."""
    name = f"bunsui-{uuid.uuid4().hex[:12]}"
    buckets.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    return name


class TestLambda:
    """Functions that really run."""

    def test_outputs_are_handed_on(self, functions: Any, deployed: Callable[..., str]) -> None:
        """What one returns is the input of the next; what it prints is in the job's log."""
        definition = bunsui.Pipeline.from_dict({
            "version": "1.0",
            "name": "Two functions",
            "jobs": [
                {"id": "count", "type": "lambda", "function": deployed("count"),
                 "parameters": {"bucket": "raw"}},
                {"id": "double", "type": "lambda", "function": deployed("double"),
                 "parameters": {"rows": "${jobs.count.output.rows}"}, "depends_on": ["count"]},
            ],
        })  # fmt: skip
        with runner_at(functions) as runner:
            session = runner.run(definition)
            assert session.outputs == {"count": {"rows": 3}, "double": 6}
            assert any("counting raw" in record.message for record in session.logs(job="count"))

    def test_handlers_error(self, functions: Any, deployed: Callable[..., str]) -> None:
        """An exception of the handler fails the job with its text."""
        pipeline = bunsui.Pipeline("p", jobs=[bunsui.Job("a", "lambda", function=deployed("fail"))])
        with runner_at(functions) as runner:
            error = runner.run(pipeline).jobs["a"].error
        assert error is not None
        assert error.code.startswith("Lambda.")
        assert "no such table" in error.message

    def test_missing_function(self, functions: Any) -> None:
        """A function that is not there fails its job."""
        pipeline = bunsui.Pipeline("p", jobs=[bunsui.Job("a", "lambda", function="no-such-function")])
        with runner_at(functions) as runner:
            error = runner.run(pipeline).jobs["a"].error
        assert error is not None
        assert error.code == "Lambda.ResourceNotFoundException"

    def test_large_event(self, functions: Any, deployed: Callable[..., str]) -> None:
        """An event that is too large is kept on S3, where the function finds it."""
        name = f"bunsui-{uuid.uuid4().hex[:12]}"
        functions.client("s3").create_bucket(
            Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        text = "x" * (7 * 1024 * 1024)
        job = bunsui.Job("a", "lambda", function=deployed("size"), parameters={"text": "${text}"})
        pipeline = bunsui.Pipeline("p", parameters=[bunsui.Parameter("text")], jobs=[job])
        with runner_at(functions, artifacts=f"s3://{name}/large") as runner:
            assert runner.run(pipeline, {"text": text}).outputs == {"a": len(text)}

    def test_decorated(self, functions: Any, deployed: Callable[..., str]) -> None:
        """One with `lambda_handler` runs, and reads a large event by itself.

        ministack hands no client context on: so it has no call. In AWS's own runtime it has: see
        ``test_deployed_functions.py``.
        """
        name = f"bunsui-{uuid.uuid4().hex[:12]}"
        functions.client("s3").create_bucket(
            Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        function = deployed("whole", *PACKAGES)
        sizes = {"small": 3, "large": 7 * 1024 * 1024}
        jobs = [
            bunsui.Job(id_, "lambda", function=function, parameters={"text": f"${{{id_}}}"}) for id_ in sizes
        ]
        pipeline = bunsui.Pipeline("p", parameters=[*map(bunsui.Parameter, sizes)], jobs=jobs)
        with runner_at(functions, artifacts=f"s3://{name}/decorated") as runner:
            session = runner.run(pipeline, {id_: "x" * size for id_, size in sizes.items()})
        assert {id_: [size, None] for id_, size in sizes.items()} == session.outputs

    def test_check(self, functions: Any, deployed: Callable[..., str]) -> None:
        """What is there is found, and what is not."""
        jobs = [
            bunsui.Job("a", "lambda", function=deployed("count")),
            bunsui.Job("b", "lambda", function="no-such-function"),
        ]
        with runner_at(functions) as runner:
            problems = runner.check(bunsui.Pipeline("p", jobs=jobs))
        assert [(problem.code, problem.path) for problem in problems] == [
            ("unknown-function", "/jobs/1/function")
        ]


class TestEcs:
    """Tasks that go through their states."""

    def test_success(self, tasks: Any, network: dict[str, Any]) -> None:
        """A task is started, watched and ends well."""
        with runner_at(tasks) as runner:
            session = runner.run(task(network, parameters={"day": "2026-01-31"}))
        assert session.status == "succeeded"

    def test_overrides(self, tasks: Any, network: dict[str, Any]) -> None:
        """ECS has the parameters, and by whom the task was started."""
        with runner_at(tasks) as runner:
            session = runner.run(task(network, parameters={"day": "2026-01-31"}))
        ecs = tasks.client("ecs")
        (found,) = ecs.describe_tasks(cluster="etl", tasks=_started(ecs))["tasks"]
        assert found["startedBy"].startswith("bunsui/")
        (container,) = found["overrides"]["containerOverrides"]
        variables = {each["name"]: each["value"] for each in container["environment"]}
        assert (variables["BUNSUI_PARAM_DAY"], variables["BUNSUI_SESSION_ID"]) == ("2026-01-31", session.id)

    def test_taken_over(self, tasks: Any, network: dict[str, Any], tmp_path: Any) -> None:
        """Another runner goes on with a task that the first one has let go of, and starts none."""
        store = f"sqlite:///{tmp_path}/store.db"
        with runner_at(tasks, store) as first:
            session = first.start(task(network))
            until(lambda: any(event.__class__.__name__ == "JobSubmitted" for event in session.events()))
            first.close(timeout=0)
        with runner_at(tasks, store) as second:
            assert second.resume(session.id).status == "succeeded"
        assert len(_started(tasks.client("ecs"))) == 1

    def test_cancelled(self, tasks: Any, network: dict[str, Any]) -> None:
        """Who cancels the session has the task stopped."""
        if not ENDPOINT:
            tasks.transition("ecs::task", progression="manual", times=1000)
        with runner_at(tasks) as runner:
            session = runner.start(task(network))
            until(lambda: any(event.__class__.__name__ == "JobSubmitted" for event in session.events()))
            session.cancel()
            assert session.wait() == "cancelled"
        ecs = tasks.client("ecs")
        (found,) = ecs.describe_tasks(cluster="etl", tasks=_started(ecs))["tasks"]
        assert (found["lastStatus"], found["stoppedReason"]) == ("STOPPED", "stopped by bunsui")

    def test_parameters_and_output_on_s3(self, tasks: Any, network: dict[str, Any]) -> None:
        """What is too much for ECS is kept on S3; what the task leaves there is the output."""
        s3, ecs = tasks.client("s3"), tasks.client("ecs")
        s3.create_bucket(Bucket="etl", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        if not ENDPOINT:
            tasks.transition("ecs::task", progression="manual", times=1)
        with runner_at(tasks, artifacts="s3://etl/large") as runner:
            session = runner.start(task(network, parameters={"text": "x" * 10_000}))
            until(lambda: _started(ecs))
            (found,) = ecs.describe_tasks(cluster="etl", tasks=_started(ecs))["tasks"]
            (container,) = found["overrides"]["containerOverrides"]
            variables = {each["name"]: each["value"] for each in container["environment"]}
            bucket, _, key = variables["BUNSUI_PARAMETERS_URL"].removeprefix("s3://").partition("/")
            given = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
            assert given == {"text": "x" * 10_000}
            # As the task would.
            bucket, _, key = variables["BUNSUI_OUTPUT_URL"].removeprefix("s3://").partition("/")
            s3.put_object(Bucket=bucket, Key=key, Body=json.dumps({"rows": 3}))
            assert session.wait(60) == "succeeded"
            assert session.outputs == {"transform": {"rows": 3}}

    def test_two_accounts_and_regions(self, tasks: Any, network: dict[str, Any]) -> None:
        """A job's own role and region choose where it runs, in one session."""
        other = "arn:aws:iam::210987654321:role/etl"
        jobs = [
            *task(network).jobs,
            bunsui.Job("there", "ecs", task_definition="transform-task", role=other, region="us-west-2"),
        ]
        with runner_at(tasks) as runner:
            session = runner.run(bunsui.Pipeline("p", jobs=jobs))
        assert session.jobs["transform"].status == "succeeded"
        error = session.jobs["there"].error
        assert error is not None
        assert "us-west-2" in error.message  # Where there is no such task definition.
        assert "210987654321" in error.message

    def test_check(self, tasks: Any, network: dict[str, Any]) -> None:
        """What is there is found, and what is not."""
        with runner_at(tasks) as runner:
            assert runner.check(task(network)) == []
            problems = runner.check(task(network, cluster="nowhere"))
        assert [(problem.code, problem.path) for problem in problems] == [
            ("unknown-cluster", "/jobs/0/cluster")
        ]


def _started(ecs: Any) -> list[str]:
    """The tasks that were started, whether they run or not."""
    found = [ecs.list_tasks(cluster="etl", desiredStatus=status) for status in ("RUNNING", "STOPPED")]
    return [arn for each in found for arn in each["taskArns"]]


class TestArtifacts:
    """Large outputs on S3."""

    def test_kept_and_read(self, buckets: Any, bucket: str, tmp_path: Any) -> None:
        """An output above 32 KiB lies there, and is read from there by another runner."""
        store = f"sqlite:///{tmp_path}/store.db"
        large = ["x" * 1000] * 100
        job = bunsui.Job.from_callable(lambda: large, id="a")
        with runner_at(buckets, store, artifacts=f"s3://{bucket}/large") as runner:
            session = runner.run(bunsui.Pipeline("p", jobs=[job]))
        keys = [each["Key"] for each in buckets.client("s3").list_objects_v2(Bucket=bucket)["Contents"]]
        assert [key.rpartition("/")[0] for key in keys] == [f"large/{session.id}"]
        with runner_at(buckets, store, artifacts=f"s3://{bucket}/large") as other:
            assert other.session(session.id).outputs == {"a": large}
