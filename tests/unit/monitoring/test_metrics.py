"""What a MetricsCollector records is what the instruments then hold; what is wrong is recorded nowhere."""

from __future__ import annotations

import subprocess
import sys
from math import inf, nan

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import bunsui
from bunsui.monitoring import MetricsCollector
from bunsui.testing import FakeStore

ETL = {"cicd.pipeline.name": "etl"}
JOB = {**ETL, "bunsui.job.type": "custom"}


class Collected:
    """A collector, and what its instruments hold."""

    def __init__(self):
        self._reader = InMemoryMetricReader()
        self._provider = MeterProvider([self._reader], shutdown_on_exit=False)
        self.metrics = MetricsCollector(meter_provider=self._provider)

    def points(self):
        """(name, unit, value or (count, sum), attributes) of each point."""
        data = self._reader.get_metrics_data()
        return [
            (
                metric.name,
                metric.unit,
                point.value if hasattr(point, "value") else (point.count, point.sum),
                dict(point.attributes),
            )
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        ]


@pytest.fixture(name="collected")
def _collected():
    return Collected()


def test_execution_time(collected):
    """A histogram of the conventions; without a result none is claimed."""
    collected.metrics.record_execution_time("etl", 1.5)
    collected.metrics.record_execution_time("etl", 2)
    expected = ("cicd.pipeline.run.duration", "s", (2, 3.5), {**ETL, "cicd.pipeline.run.state": "executing"})
    assert [expected] == collected.points()


def test_execution_time_of_a_failure(collected):
    """What it failed with is an attribute, and counts as an error."""
    collected.metrics.record_execution_time("etl", 1.5, error_type="ValueError")
    failed = {"cicd.pipeline.result": "failure", "error.type": "ValueError"}
    by_name = {name: (unit, value, attributes) for name, unit, value, attributes in collected.points()}
    assert {
        "cicd.pipeline.run.duration": (
            "s",
            (1, 1.5),
            {**ETL, **failed, "cicd.pipeline.run.state": "executing"},
        ),
        "cicd.pipeline.run.errors": ("{error}", 1, {**ETL, "error.type": "ValueError"}),
    } == by_name


def test_success_rate(collected):
    """A counter by result: the rate is a ratio of two of its sums."""
    for success in (True, True, False):
        collected.metrics.record_success_rate("etl", success)
    name, unit, result = "bunsui.pipeline.runs", "{run}", "cicd.pipeline.result"
    assert [
        (name, unit, 1, {**ETL, result: "failure"}),
        (name, unit, 2, {**ETL, result: "success"}),
    ] == sorted(collected.points())


def test_jobs(collected):
    """Duration, queue time and retries, by pipeline, job type and result."""
    collected.metrics.record_job_duration("etl", "custom", 3, result="timeout")
    collected.metrics.record_queue_time("etl", "custom", 0)
    collected.metrics.record_retry("etl", "custom", "JobTimeout")
    task = "cicd.pipeline.task.run.result"
    assert [
        ("bunsui.job.duration", "s", (1, 3), {**JOB, task: "timeout"}),
        ("bunsui.job.queue.duration", "s", (1, 0), {**JOB, task: "success"}),
        ("bunsui.job.retries", "{retry}", 1, {**JOB, task: "timeout", "error.type": "JobTimeout"}),
    ] == sorted(collected.points())


@pytest.mark.parametrize("seconds", [-1, -0.001, nan, inf, -inf, "1", None, True, 10**400, 1j])
def test_no_duration(collected, seconds):
    """It is refused: one NaN would spoil the sum of all that was recorded before."""
    metrics = collected.metrics
    for call in (
        lambda: metrics.record_execution_time("etl", seconds),
        lambda: metrics.record_job_duration("etl", "custom", seconds),
        lambda: metrics.record_queue_time("etl", "custom", seconds),
    ):
        with pytest.raises(bunsui.ConfigError, match=r"^duration is .* number of seconds of at least 0$"):
            call()
    assert [] == collected.points()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda it: it.record_execution_time("", 1), r"^pipeline_id is ''; it is a name"),
        (lambda it: it.record_execution_time(7, 1), r"^pipeline_id is 7; it is a name"),
        (lambda it: it.record_execution_time("etl", 1, result="succes"), "did you mean 'success'"),
        (lambda it: it.record_execution_time("etl", 1, result=[]), "there are: success, failure"),
        (lambda it: it.record_execution_time("etl", 1, error_type=""), "^error_type is ''"),
        (lambda it: it.record_success_rate("etl", 1), "^success is 1; it is True or False"),
        (lambda it: it.record_success_rate(None, True), "^pipeline_id is None"),
        (lambda it: it.record_job_duration("etl", None, 1), "^job_type is None"),
        (lambda it: it.record_job_duration("etl", "custom", 1, result="ok"), "^there is no result 'ok'"),
        (lambda it: it.record_retry("etl", "custom", None), "^error_type is None"),
    ],
)
def test_wrong_input(collected, call, message):
    """It is an error that says what it may be; nothing is recorded."""
    with pytest.raises(bunsui.ConfigError, match=message):
        call(collected.metrics)
    assert [] == collected.points()


def test_what_it_counts_from():
    """A Store, or what has one; without one there is nothing to count."""
    with bunsui.Runner("memory://", config=bunsui.Config()) as runner:
        assert 0 == MetricsCollector(runner).snapshot().sessions
    assert 0 == MetricsCollector(FakeStore()).snapshot(since="7d").sessions
    with pytest.raises(bunsui.ConfigError, match=r"^this MetricsCollector has no store"):
        MetricsCollector().snapshot()
    with pytest.raises(bunsui.ConfigError, match=r"^store is str; it is a Store or a Runner"):
        MetricsCollector("memory://")


LOOK = """
import sys
from bunsui.monitoring import MetricsCollector
from bunsui.testing import FakeStore

metrics = MetricsCollector(FakeStore())
metrics.snapshot()
print([name for name in sys.modules if name.startswith("opentelemetry")])
metrics.record_execution_time("etl", 1.0)
print("opentelemetry" in sys.modules, "opentelemetry.sdk" in sys.modules)
"""


def test_opentelemetry_comes_with_the_first_figure():
    """Neither the name nor a snapshot imports it; recording does, and imports its API alone."""
    done = subprocess.run([sys.executable, "-c", LOOK], check=True, capture_output=True, text=True)
    assert ["[]", "True False"] == done.stdout.splitlines()
