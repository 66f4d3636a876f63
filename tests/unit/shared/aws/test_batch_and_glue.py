"""Batch and Glue of the tests' own AWS, as real boto3 meets them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from bunsui_tests.aws.endpoint import FakeAws


@pytest.fixture
def batch(fake_aws: FakeAws) -> Iterator[Any]:
    fake_aws.batch.add_queue("q")
    fake_aws.batch.define("d")
    made = fake_aws.client("batch")
    yield made
    made.close()


@pytest.fixture
def glue(fake_aws: FakeAws) -> Iterator[Any]:
    fake_aws.glue.define("load", ExecutionProperty={"MaxConcurrentRuns": 2})
    made = fake_aws.client("glue")
    yield made
    made.close()


def refused(call: Any, **arguments: Any) -> str:
    """The code by which a call is refused."""
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return str(raised.value.response["Error"]["Code"])


def submit(batch: Any, name: str, **more: Any) -> str:
    return str(batch.submit_job(jobName=name, jobQueue="q", jobDefinition="d", **more)["jobId"])


def listed(batch: Any, name: str) -> list[str]:
    found = batch.list_jobs(jobQueue="q", filters=[{"name": "JOB_NAME", "values": [name]}])
    return [job["jobId"] for job in found["jobSummaryList"]]


def test_batch_takes_the_same_twice(batch: Any) -> None:
    """The same name gives another job; the filter finds both, newest first, and knows no case."""
    first, second = submit(batch, "a"), submit(batch, "A")
    assert [second, first] == listed(batch, "a")


def test_a_job_lives(batch: Any) -> None:
    """It has its next status with each look at it, and ends with the code 0."""
    id_ = submit(batch, "a")
    found = [batch.describe_jobs(jobs=[id_])["jobs"][0] for _ in range(4)]
    assert ["RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"] == [job["status"] for job in found]
    assert 0 == found[-1]["container"]["exitCode"]


def test_what_batch_refuses(batch: Any, fake_aws: FakeAws) -> None:
    """More than 30 KiB, names that are none, what is not there, and more than 100 jobs at a look."""
    variables = {"environment": [{"name": "A", "value": "x" * 30_720}]}
    same = {"jobQueue": "q", "jobDefinition": "d"}
    for wrong in (
        {**same, "jobName": "a", "containerOverrides": variables},
        {**same, "jobName": "-a"},
        {**same, "jobName": "a", "jobQueue": "r"},
        {**same, "jobName": "a", "jobDefinition": "d:2"},
    ):
        assert "ClientException" == refused(batch.submit_job, **wrong)
    assert "ClientException" == refused(batch.describe_jobs, jobs=["a"] * 101)
    assert "ClientException" == refused(batch.terminate_job, jobId="a", reason="b")
    assert [] == fake_aws.batch.jobs


def test_a_job_is_terminated(batch: Any) -> None:
    """One that has not begun is cancelled; its reason is the one that was given."""
    id_ = submit(batch, "a")
    batch.terminate_job(jobId=id_, reason="enough")
    (job,) = batch.describe_jobs(jobs=[id_])["jobs"]
    assert ("FAILED", "enough", True) == (job["status"], job["statusReason"], job["isCancelled"])


def test_glue_takes_the_same_twice(glue: Any) -> None:
    """The same arguments give another run, as many as may run at once; the newest are listed first."""
    ids = [glue.start_job_run(JobName="load", Arguments={"--a": "1"})["JobRunId"] for _ in range(2)]
    assert "ConcurrentRunsExceededException" == refused(glue.start_job_run, JobName="load")
    found = glue.get_job_runs(JobName="load", MaxResults=1)
    assert [ids[1]] == [run["Id"] for run in found["JobRuns"]]
    rest = glue.get_job_runs(JobName="load", MaxResults=1, NextToken=found["NextToken"])
    assert ([ids[0]], False) == ([run["Id"] for run in rest["JobRuns"]], "NextToken" in rest)


def test_a_run_lives(glue: Any) -> None:
    """It has its next state with each look at it."""
    run = glue.start_job_run(JobName="load")["JobRunId"]
    found = [glue.get_job_run(JobName="load", RunId=run)["JobRun"]["JobRunState"] for _ in range(2)]
    assert ["RUNNING", "SUCCEEDED"] == found


def test_a_run_that_can_not_be_stopped(glue: Any) -> None:
    """The answer says so, and is no error."""
    answer = glue.batch_stop_job_run(JobName="load", JobRunIds=["jr_1"])
    (error,) = answer["Errors"]
    assert ("EntityNotFoundException", []) == (
        error["ErrorDetail"]["ErrorCode"],
        answer["SuccessfulSubmissions"],
    )
    assert "EntityNotFoundException" == refused(glue.get_job_run, JobName="load", RunId="jr_1")
    assert "EntityNotFoundException" == refused(glue.start_job_run, JobName="laod")
