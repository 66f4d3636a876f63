"""The instruments of OpenTelemetry that metrics are recorded with. A run's id is never an attribute."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from opentelemetry.metrics import get_meter

from bunsui.monitoring import conventions as names

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.util.types import Attributes

#: The bounds of the buckets of durations, in seconds: from a job of a notebook to one of a night.
BUCKETS = (0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 1800, 3600, 7200, 14400, 43200, 86400)


class Instruments:
    """Records what sessions and their jobs come to. Any thread may call it.

    Args:
        meter_provider: of the application; None: the global one.
    """

    def __init__(self, meter_provider: MeterProvider | None = None) -> None:
        meter = get_meter(names.SCOPE, version("bunsui"), meter_provider)

        def histogram(name: str, description: str) -> Any:
            return meter.create_histogram(
                name, unit="s", description=description, explicit_bucket_boundaries_advisory=BUCKETS
            )

        self._run_duration = histogram(names.RUN_DURATION, "How long a run took")
        self._run_active = meter.create_up_down_counter(
            names.RUN_ACTIVE, unit="{run}", description="Runs that are under way"
        )
        self._run_errors = meter.create_counter(
            names.RUN_ERRORS, unit="{error}", description="Errors that ended runs"
        )
        self._runs = meter.create_counter(
            names.RUNS, unit="{run}", description="Runs that ended, as an application counted them"
        )
        self._job_duration = histogram(names.JOB_DURATION, "How long a job took, its retries included")
        self._job_queue = histogram(
            names.JOB_QUEUE_DURATION, "How long a job waited for its start when nothing upstream held it up"
        )
        self._job_retries = meter.create_counter(
            names.JOB_RETRIES, unit="{retry}", description="Attempts that failed and were followed by another"
        )

    def run_entered(self, pipeline: str, state: str) -> None:
        """Counts a run into a state: `conventions.PENDING`, `EXECUTING` or `FINALIZING`."""
        self._run_active.add(1, {names.PIPELINE_NAME: pipeline, names.RUN_STATE: state})

    def run_left(self, pipeline: str, state: str) -> None:
        """Counts a run out of a state."""
        self._run_active.add(-1, {names.PIPELINE_NAME: pipeline, names.RUN_STATE: state})

    def run_ended(
        self,
        pipeline: str,
        duration: float,
        result: str | None,
        error_type: str | None = None,
        state: str = names.EXECUTING,
    ) -> None:
        """Records how long a run took, in seconds, and how it ended; None: that is not known."""
        attributes = {names.PIPELINE_NAME: pipeline, names.RUN_STATE: state}
        if result is not None:
            attributes[names.PIPELINE_RESULT] = result
        if error_type is not None:
            attributes[names.ERROR_TYPE] = error_type
            self._run_errors.add(1, {names.PIPELINE_NAME: pipeline, names.ERROR_TYPE: error_type})
        self._run_duration.record(duration, attributes)

    def run_counted(self, pipeline: str, result: str) -> None:
        """Counts a run that an application tells of."""
        self._runs.add(1, {names.PIPELINE_NAME: pipeline, names.PIPELINE_RESULT: result})

    def job_ended(
        self,
        pipeline: str,
        job_type: str,
        duration: float | None,
        queued: float | None,
        result: str,
    ) -> None:
        """Records how long a job took and how long it waited, both in seconds.

        Args:
            pipeline: its name.
            job_type: the job's.
            duration: from its first attempt's start to its end; None: it never started.
            queued: from when nothing upstream held it up any more to that start; None: likewise.
            result: how it ended.
        """
        attributes: Attributes = _of_job(pipeline, job_type, result)
        if duration is not None:
            self._job_duration.record(duration, attributes)
        if queued is not None:
            self._job_queue.record(queued, attributes)

    def job_retried(self, pipeline: str, job_type: str, result: str, error_type: str) -> None:
        """Counts an attempt that is followed by another."""
        self._job_retries.add(1, {**_of_job(pipeline, job_type, result), names.ERROR_TYPE: error_type})


def _of_job(pipeline: str, job_type: str, result: str) -> dict[str, str]:
    return {names.PIPELINE_NAME: pipeline, names.JOB_TYPE: job_type, names.TASK_RUN_RESULT: result}
