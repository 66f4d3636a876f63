"""`MetricsCollector`: figures of runs, recorded with OpenTelemetry, or counted from a store."""

from __future__ import annotations

import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from bunsui.dsl.problems import did_you_mean
from bunsui.errors import ConfigError
from bunsui.monitoring import conventions as names
from bunsui.monitoring.figures import LIMIT
from bunsui.monitoring.snapshots import snapshot
from bunsui.ports.store import Store

if TYPE_CHECKING:
    from datetime import timedelta

    from opentelemetry.metrics import MeterProvider

    from bunsui.monitoring.figures import Snapshot
    from bunsui.monitoring.instruments import Instruments


class HasStore(Protocol):
    """What has a store, such as a Runner."""

    @property
    def store(self) -> Store:
        """Where everything durable lives."""


class MetricsCollector:
    """Records figures of runs on OpenTelemetry's instruments, and counts them from a store.

    What a Runner runs is recorded by the Runner where telemetry is configured; this is for what else there
    is to record under the same names, and for `snapshot`, which needs no back end. Any thread may call it.
    OpenTelemetry is imported with the first figure that is recorded.

    Such as::

        from bunsui.monitoring import MetricsCollector

        metrics = MetricsCollector(runner)
        metrics.record_execution_time("ETL Pipeline", 12.5, result="success")
        figures = metrics.snapshot("ETL Pipeline", since="7d").pipelines["ETL Pipeline"]
        print(figures.success_rate, dict(figures.runs))  # 1.0 {'succeeded': 1}

    Args:
        store: a Store, or what has one, such as a Runner; None: there is nothing to count.
        meter_provider: of the application; None: the global one, which records nothing unless it was set.

    Raises:
        ConfigError: `store` is something else.
    """

    def __init__(
        self, store: Store | HasStore | None = None, *, meter_provider: MeterProvider | None = None
    ) -> None:
        found = store if isinstance(store, Store | None) else getattr(store, "store", store)
        if not isinstance(found, Store | None):
            raise ConfigError(
                f"store is {type(store).__name__}; it is a Store or a Runner",
                hint="such as MetricsCollector(runner)",
            )
        self._store = found
        self._meter_provider = meter_provider
        self._instruments: Instruments | None = None
        self._lock = threading.Lock()

    def record_execution_time(
        self,
        pipeline_id: str,
        duration: float,
        *,
        result: str | None = None,
        error_type: str | None = None,
    ) -> None:
        """Records how long a run took, as ``cicd.pipeline.run.duration``.

        Args:
            pipeline_id: the pipeline's name. The id of a run is none: each would be a series of its own.
            duration: seconds, at least 0.
            result: how it ended: ``success``, ``failure``, ``error``, ``timeout``, ``cancellation`` or
                ``skip``. None: ``failure`` where there is an `error_type`, else it is not said.
            error_type: what it failed with, such as ``JobTimeout``; it counts in
                ``cicd.pipeline.run.errors``, too.

        Raises:
            ConfigError: an argument is wrong; nothing is recorded.
        """
        _check_name("pipeline_id", pipeline_id)
        _check_seconds("duration", duration)
        if error_type is not None:
            _check_name("error_type", error_type)
            result = names.FAILURE if result is None else result
        if result is not None:
            _check_result(result)
        self._recorded_with().run_ended(pipeline_id, duration, result, error_type)

    def record_success_rate(self, pipeline_id: str, success: bool) -> None:
        """Counts a run that ended, as ``bunsui.pipeline.runs`` with ``cicd.pipeline.result``.

        The rate is what comes out of it: runs with the result ``success`` by all runs, over any time.

        Args:
            pipeline_id: the pipeline's name.
            success: whether it succeeded: the result is ``success``, else ``failure``.

        Raises:
            ConfigError: an argument is wrong; nothing is recorded.
        """
        _check_name("pipeline_id", pipeline_id)
        if not isinstance(success, bool):
            raise ConfigError(f"success is {success!r:.100}", hint="it is True or False")
        self._recorded_with().run_counted(pipeline_id, names.SUCCESS if success else names.FAILURE)

    def record_job_duration(
        self, pipeline_id: str, job_type: str, duration: float, *, result: str = names.SUCCESS
    ) -> None:
        """Records how long a job took, its retries included, as ``bunsui.job.duration``.

        Args:
            pipeline_id: the pipeline's name.
            job_type: such as ``custom``.
            duration: seconds, at least 0.
            result: see `record_execution_time`.

        Raises:
            ConfigError: an argument is wrong; nothing is recorded.
        """
        _check_job(pipeline_id, job_type, result)
        _check_seconds("duration", duration)
        self._recorded_with().job_ended(pipeline_id, job_type, duration, None, result)

    def record_queue_time(
        self, pipeline_id: str, job_type: str, duration: float, *, result: str = names.SUCCESS
    ) -> None:
        """Records how long a job waited when nothing upstream held it up, as ``bunsui.job.queue.duration``.

        Args:
            pipeline_id: the pipeline's name.
            job_type: such as ``custom``.
            duration: seconds, at least 0.
            result: how the job ended; see `record_execution_time`.

        Raises:
            ConfigError: an argument is wrong; nothing is recorded.
        """
        _check_job(pipeline_id, job_type, result)
        _check_seconds("duration", duration)
        self._recorded_with().job_ended(pipeline_id, job_type, None, duration, result)

    def record_retry(
        self, pipeline_id: str, job_type: str, error_type: str, *, result: str | None = None
    ) -> None:
        """Counts an attempt that failed and is followed by another, as ``bunsui.job.retries``.

        Args:
            pipeline_id: the pipeline's name.
            job_type: such as ``custom``.
            error_type: what it failed with, such as ``JobTimeout``.
            result: how the attempt ended; None: what its `error_type` says.

        Raises:
            ConfigError: an argument is wrong; nothing is recorded.
        """
        _check_name("error_type", error_type)
        result = names.result_of_code(error_type) if result is None else result
        _check_job(pipeline_id, job_type, result)
        self._recorded_with().job_retried(pipeline_id, job_type, result, error_type)

    def snapshot(
        self,
        pipeline: str | None = None,
        since: timedelta | datetime | str | None = None,
        limit: int = LIMIT,
    ) -> Snapshot:
        """Figures of past runs from the store: how many, how they ended, how long they took.

        Counted are the newest runs, by their creation; a damaged one is left out, and said. Nothing is
        written.

        Args:
            pipeline: only runs of the pipeline with this name.
            since: only runs that were created since then: an aware time, how long ago as a timedelta, or
                either as a text: RFC 3339, or such as ``7d``; None: all.
            limit: runs that are counted at most; fewer where they have more than a million facts together.
                `Snapshot.has_more` says whether older ones were left out.

        Raises:
            ConfigError: an argument is wrong, or this collector has no store.
            StoreError: the store can't be read.
        """
        if self._store is None:
            raise ConfigError(
                "this MetricsCollector has no store to count from", hint="such as MetricsCollector(runner)"
            )
        return snapshot(self._store, pipeline, since, limit, datetime.now(UTC))

    def _recorded_with(self) -> Instruments:
        with self._lock:
            if self._instruments is None:
                from bunsui.monitoring.instruments import (  # noqa: PLC0415 - with OpenTelemetry: 100 ms
                    Instruments,
                )

                self._instruments = Instruments(self._meter_provider)
            return self._instruments


def _check_job(pipeline_id: object, job_type: object, result: object) -> None:
    _check_name("pipeline_id", pipeline_id)
    _check_name("job_type", job_type)
    _check_result(result)


def _check_name(argument: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{argument} is {value!r:.100}", hint="it is a name, such as 'etl'")


def _check_seconds(argument: str, value: object) -> None:
    # One infinity, or NaN, and the sum of all that was recorded before is one, too.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= sys.float_info.max:
        raise ConfigError(f"{argument} is {value!r:.100}", hint="it is a number of seconds of at least 0")


def _check_result(value: object) -> None:
    if value not in names.ALL_RESULTS:
        near = did_you_mean(value, names.ALL_RESULTS) if isinstance(value, str) else None
        raise ConfigError(
            f"there is no result {value!r:.100}", hint=near or f"there are: {', '.join(names.ALL_RESULTS)}"
        )
