"""Glue jobs: Python shell jobs that really run in ministack, and states that runs go through at moto.

What neither can do, such as a lost answer, is tested with an endpoint of our own in ``tests/unit/jobs``.
"""

from __future__ import annotations

from typing import Any

import pytest

import bunsui
from bunsui_tests.aws.emulators import Ministack, Moto
from bunsui_tests.conditions import until

pytestmark = pytest.mark.usefixtures("aws_environment")

ROLE = "arn:aws:iam::000000000000:role/glue"
#: ministack gives a script its arguments as variables.
SCRIPT = """
import json, os
import boto3

if os.environ["day"] == "never":
    raise ValueError("no such day")
bucket, _, key = os.environ["BUNSUI_OUTPUT_URL"].removeprefix("s3://").partition("/")
output = {"day": os.environ["day"], "rows": sum(json.loads(os.environ["rows"]))}
boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=json.dumps(output))
"""


def load(**fields: Any) -> bunsui.Pipeline:
    return bunsui.Pipeline("Load", jobs=[bunsui.Job("load", "glue", job_name="load", **fields)])


class TestScripts:
    """Scripts that really run."""

    @pytest.fixture
    def place(self, ministack: Ministack) -> Ministack:
        """With a job ``load``, and a bucket."""
        s3 = ministack.client("s3")
        s3.create_bucket(Bucket="etl", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        s3.put_object(Bucket="etl", Key="load.py", Body=SCRIPT)
        command = {"Name": "pythonshell", "ScriptLocation": "s3://etl/load.py", "PythonVersion": "3.9"}
        ministack.client("glue").create_job(Name="load", Role=ROLE, Command=command)
        return ministack

    def run(self, place: Ministack, **parameters: Any) -> bunsui.Session:
        aws = {"endpoint_url": place.url}
        with bunsui.Runner("memory://", artifacts="s3://etl/large", aws=aws) as runner:
            return runner.run(load(parameters=parameters, arguments={"AWS_ENDPOINT_URL": place.url}))

    def test_output(self, place: Ministack) -> None:
        """It gets the parameters, and what it leaves is the job's output."""
        session = self.run(place, day="2026-01-31", rows=[1, 2])
        assert session.outputs == {"load": {"day": "2026-01-31", "rows": 3}}

    def test_error(self, place: Ministack) -> None:
        """Its exception is in the job's error."""
        error = self.run(place, day="never").jobs["load"].error
        assert error is not None
        assert error.code == "Glue.FAILED"
        assert "ValueError: no such day" in error.message


class TestStates:
    """Runs that go through their states."""

    @pytest.fixture
    def place(self, moto_server: Moto) -> Moto:
        """With a job ``load``, whose runs go on with every second look at them."""
        moto_server.transition("glue::job_run", progression="manual", times=1)
        command = {"Name": "glueetl", "ScriptLocation": "s3://etl/load.py"}
        moto_server.client("glue").create_job(Name="load", Role=ROLE, Command=command)
        return moto_server

    def test_arguments(self, place: Moto) -> None:
        """Glue has the parameters, and whose run it is."""
        with bunsui.Runner("memory://", aws={"endpoint_url": place.url}) as runner:
            session = runner.run(load(parameters={"day": "2026-01-31"}))
        assert session.status == "succeeded"
        (run,) = place.client("glue").get_job_runs(JobName="load")["JobRuns"]
        assert run["Arguments"]["--day"] == "2026-01-31"
        assert run["Arguments"]["--BUNSUI_SESSION_ID"] == session.id

    def test_taken_over(self, place: Moto, tmp_path: Any) -> None:
        """Another runner goes on with a run that the first one has let go of, and starts none."""
        store = f"sqlite:///{tmp_path}/store.db"
        with bunsui.Runner(store, aws={"endpoint_url": place.url}) as first:
            session = first.start(load())
            until(lambda: any(event.__class__.__name__ == "JobSubmitted" for event in session.events()))
            first.close(timeout=0)
        with bunsui.Runner(store, aws={"endpoint_url": place.url}) as second:
            assert second.resume(session.id).status == "succeeded"
        assert len(place.client("glue").get_job_runs(JobName="load")["JobRuns"]) == 1

    def test_as_many_as_may_run(self, place: Moto) -> None:
        """moto lets one run of a job go at a time: the other one waits for it."""
        with bunsui.Runner("memory://", aws={"endpoint_url": place.url}) as runner:
            first, second = runner.start(load()), runner.start(load())
            assert {first.wait(60), second.wait(60)} == {"succeeded"}

    def test_missing_job(self, place: Moto) -> None:
        """A Glue job that is not there fails its job, and is found out before a run."""
        pipeline = bunsui.Pipeline("p", jobs=[bunsui.Job("load", "glue", job_name="laod")])
        with bunsui.Runner("memory://", aws={"endpoint_url": place.url}) as runner:
            assert runner.check(load()) == []
            assert [problem.code for problem in runner.check(pipeline)] == ["unknown-glue-job"]
            error = runner.run(pipeline).jobs["load"].error
        assert error is not None
        assert error.code == "Glue.EntityNotFoundException"
