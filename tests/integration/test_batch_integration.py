"""Batch jobs at moto, where they end as soon as they are submitted.

What moto can't do, such as a job that fails, is tested with an endpoint of our own in ``tests/unit/jobs``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import bunsui
from bunsui_tests.aws.emulators import Moto
from bunsui_tests.conditions import until

pytestmark = pytest.mark.usefixtures("aws_environment")


@pytest.fixture
def moto(moto_server: Moto) -> Moto:
    """With the queue ``etl`` and the job definition ``transform``."""
    iam, batch = moto_server.client("iam"), moto_server.client("batch")
    role = iam.create_role(RoleName="batch", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    place = batch.create_compute_environment(
        computeEnvironmentName="any", type="UNMANAGED", state="ENABLED", serviceRole=role
    )
    batch.create_job_queue(
        jobQueueName="etl",
        state="ENABLED",
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": place["computeEnvironmentArn"]}],
    )
    batch.register_job_definition(
        jobDefinitionName="transform",
        type="container",
        containerProperties={"image": "transform:1", "vcpus": 1, "memory": 512},
        retryStrategy={"attempts": 5},
    )
    return moto_server


@pytest.fixture
def runner(moto: Moto) -> Iterator[bunsui.Runner]:
    with bunsui.Runner("memory://", aws={"endpoint_url": moto.url}) as made:
        yield made


def transform(**fields: Any) -> bunsui.Pipeline:
    given = {"job_queue": "etl", "job_definition": "transform", **fields}
    return bunsui.Pipeline("Transform", jobs=[bunsui.Job("transform", "batch", **given)])


def test_success(moto: Moto, runner: bunsui.Runner) -> None:
    """A job is submitted, watched and ends well; Batch has its variables, and makes one attempt."""
    session = runner.run(transform(parameters={"day": "2026-01-31"}))
    assert session.status == "succeeded"
    batch = moto.client("batch")
    (listed,) = batch.list_jobs(jobQueue="etl", jobStatus="SUCCEEDED")["jobSummaryList"]
    (found,) = batch.describe_jobs(jobs=[listed["jobId"]])["jobs"]
    variables = {each["name"]: each["value"] for each in found["container"]["environment"]}
    assert (variables["BUNSUI_PARAM_DAY"], variables["BUNSUI_SESSION_ID"]) == ("2026-01-31", session.id)
    assert variables["BUNSUI_IDEMPOTENCY_KEY"] == found["jobName"]


def test_large_parameters_on_s3(moto: Moto) -> None:
    """What is too much for ECS, behind Batch, is kept on S3; the job is told where to leave its output."""
    s3, batch = moto.client("s3"), moto.client("batch")
    s3.create_bucket(Bucket="etl", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    with bunsui.Runner("memory://", artifacts="s3://etl/large", aws={"endpoint_url": moto.url}) as runner:
        session = runner.start(transform(parameters={"text": "x" * 10_000}))
        until(lambda: batch.list_jobs(jobQueue="etl", jobStatus="SUCCEEDED")["jobSummaryList"])
        session.wait(60)
        (listed,) = batch.list_jobs(jobQueue="etl", jobStatus="SUCCEEDED")["jobSummaryList"]
        (found,) = batch.describe_jobs(jobs=[listed["jobId"]])["jobs"]
        variables = {each["name"]: each["value"] for each in found["container"]["environment"]}
        bucket, _, key = variables["BUNSUI_PARAMETERS_URL"].removeprefix("s3://").partition("/")
        given = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        assert given == {"text": "x" * 10_000}
        assert variables["BUNSUI_OUTPUT_URL"].startswith(f"s3://etl/large/{session.id}/")


def test_taken_over(moto: Moto, tmp_path: Any) -> None:
    """Another runner goes on with a job that the first one has let go of, and submits none."""
    store = f"sqlite:///{tmp_path}/store.db"
    with bunsui.Runner(store, aws={"endpoint_url": moto.url}) as first:
        session = first.start(transform())
        until(lambda: any(event.__class__.__name__ == "JobSubmitted" for event in session.events()))
        first.close(timeout=0)
    with bunsui.Runner(store, aws={"endpoint_url": moto.url}) as second:
        assert second.resume(session.id).status == "succeeded"
    listed = moto.client("batch").list_jobs(jobQueue="etl", jobStatus="SUCCEEDED")["jobSummaryList"]
    assert len(listed) == 1


def test_missing_queue(runner: bunsui.Runner) -> None:
    """A queue that is not there fails its job."""
    error = runner.run(transform(job_queue="nowhere")).jobs["transform"].error
    assert error is not None
    assert error.code == "Batch.ClientException"


def test_check(runner: bunsui.Runner) -> None:
    """What is there is found, and what is not."""
    assert runner.check(transform()) == []
    problems = runner.check(transform(job_queue="nowhere", job_definition="transfrom"))
    assert {(problem.code, problem.path) for problem in problems} == {
        ("unknown-job-queue", "/jobs/0/job_queue"),
        ("unknown-job-definition", "/jobs/0/job_definition"),
    }
