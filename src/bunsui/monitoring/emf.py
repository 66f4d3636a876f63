"""Metrics as lines of JSON from which CloudWatch Logs makes metrics: its embedded metric format (EMF).

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

A document has the metrics of one set of attributes: those are its dimensions. Counters and histograms are
what was added since the document before, as CloudWatch adds up what it is given. Of a histogram the middle of
each bucket stands for its values, as in AWS's own exporter for OpenTelemetry's collector.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from math import isfinite
from typing import IO, TYPE_CHECKING, Any

from bunsui.errors import ConfigError
from bunsui.monitoring import conventions as names
from bunsui.monitoring.extra import missing_extra

try:
    from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter
    from opentelemetry.sdk.metrics.export import (
        AggregationTemporality,
        HistogramDataPoint,
        MetricExporter,
        MetricExportResult,
        NumberDataPoint,
    )
except ImportError as error:
    raise missing_extra("EmfMetricExporter") from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from opentelemetry.sdk.metrics.export import Metric, MetricsData

_log = logging.getLogger(__name__)
#: Most metrics of a document, and most values of a metric.
MAX_METRICS = MAX_VALUES = 100
#: Most dimensions of a set.
MAX_DIMENSIONS = 30
#: Most characters of a dimension's value, of its name, and of the name of a metric or a namespace.
MAX_VALUE, MAX_DIMENSION_NAME, MAX_NAME = 1024, 250, 1024
#: CloudWatch's units by those of OpenTelemetry, which are UCUM's; what stands in braces is counted.
UNITS = {
    "s": "Seconds",
    "ms": "Milliseconds",
    "us": "Microseconds",
    "By": "Bytes",
    "kBy": "Kilobytes",
    "MBy": "Megabytes",
    "GBy": "Gigabytes",
    "TBy": "Terabytes",
    "bit": "Bits",
    "By/s": "Bytes/Second",
    "bit/s": "Bits/Second",
    "%": "Percent",
    "1": "None",
    "": "None",
}
#: What each run has for itself: as dimensions they would make a metric for each run, which costs.
_OF_ONE_RUN = frozenset({names.RUN_ID, names.TASK_RUN_ID, names.TASK_RUN_URL})
_METADATA = "_aws"
#: By class of instrument; all others are what they are: cumulative.
_DELTA: dict[type, AggregationTemporality] = dict.fromkeys(
    (Counter, Histogram, ObservableCounter), AggregationTemporality.DELTA
)


class EmfMetricExporter(MetricExporter):
    """Writes metrics as lines of EMF, for an OpenTelemetry SDK's metric reader. Any thread may call it.

    What a Lambda function or a container prints goes to CloudWatch Logs, which makes metrics of such lines:
    nothing else is needed there.

    Such as::

        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

        from bunsui.monitoring import EmfMetricExporter, MetricsCollector

        provider = MeterProvider([PeriodicExportingMetricReader(EmfMetricExporter(namespace="etl"))])
        MetricsCollector(meter_provider=provider).record_success_rate("ETL Pipeline", True)
        provider.shutdown()

    Args:
        stream: where to; None: what ``sys.stdout`` is when it writes. It is flushed, and never closed.
        path: a file in its place, to which lines are added; it is made with the first one.
        namespace: CloudWatch's, 1 to 1,024 characters.

    Raises:
        ConfigError: the extra ``telemetry`` is not installed; both or a wrong argument is given.
    """

    def __init__(
        self,
        stream: IO[str] | None = None,
        *,
        path: str | os.PathLike[str] | None = None,
        namespace: str = "bunsui",
    ) -> None:
        super().__init__(preferred_temporality=_DELTA)
        if stream is not None and path is not None:
            raise ConfigError("both a stream and a path are given", hint="give one of them")
        if not isinstance(namespace, str) or not 1 <= len(namespace) <= MAX_NAME:
            raise ConfigError(
                f"namespace is {namespace!r:.100}", hint=f"it is a text of 1 to {MAX_NAME} characters"
            )
        self._stream = stream
        self._path = None if path is None else os.fspath(path)
        #: Whether the last lines could not be written.
        self._has_failed = False
        self._namespace = namespace
        self._lock = threading.Lock()
        self._process = os.getpid()

    def export(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,  # noqa: ARG002 - the base class's
        **kwargs: Any,  # noqa: ARG002 - likewise
    ) -> MetricExportResult:
        """Writes all of it, a line for each document; see `opentelemetry.sdk.metrics.export.MetricExporter`.

        In a process that was forked it writes nothing: it would be what the parent writes, once more.
        """
        if os.getpid() != self._process:
            return MetricExportResult.SUCCESS
        lines = (f"{json.dumps(document)}\n" for document in documents(metrics_data, self._namespace))
        try:
            self._write("".join(lines))
        except (OSError, ValueError) as error:  # A full disk; a stream that is closed.
            if not self._has_failed:  # Said once, not with each export: nobody else says so.
                self._has_failed = True
                why = getattr(error, "strerror", None) or error
                _log.warning("metrics can't be written to %s: %s", self._path or "the stream", why)
            return MetricExportResult.FAILURE
        self._has_failed = False
        return MetricExportResult.SUCCESS

    def _write(self, lines: str) -> None:
        if not lines:
            return
        with self._lock:
            if self._path is not None:
                with open(self._path, "a", encoding="utf-8") as file:  # noqa: PTH123 - it is a path as text
                    file.write(lines)
                return
            stream = sys.stdout if self._stream is None else self._stream
            if stream is None:  # Of a process that was started without one.
                raise ValueError("there is no standard output")
            stream.write(lines)
            stream.flush()

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - the base class's
        """Nothing is kept back."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Nothing is held open."""


def documents(data: MetricsData, namespace: str) -> Iterator[dict[str, Any]]:
    """The documents of EMF that say what `data` does, in its order."""
    for resource in data.resource_metrics:
        service = resource.resource.attributes.get("service.name")
        beside = {} if service is None else {"service.name": str(service)}
        groups: dict[tuple[int, tuple[tuple[str, str], ...]], list[tuple[Metric, Any]]] = {}
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    key = (point.time_unix_nano // 1_000_000, _texts(point.attributes or {}))
                    groups.setdefault(key, []).append((metric, point))
        for (at, attributes), points in groups.items():
            yield from _documents(namespace, at, attributes, beside, points)


def _texts(attributes: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((str(name), _text(value)) for name, value in attributes.items()))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return (
        json.dumps(value) if isinstance(value, bool | int | float) else json.dumps(list(value), default=str)
    )


def _documents(
    namespace: str,
    at: int,
    attributes: Iterable[tuple[str, str]],
    beside: Mapping[str, str],
    points: Iterable[tuple[Metric, Any]],
) -> Iterator[dict[str, Any]]:
    """The documents of one set of attributes: each metric once in each, and no more than there may be."""
    open_: list[dict[str, tuple[str, Any]]] = [{}]
    for metric, point in points:
        name = metric.name[:MAX_NAME]
        for value in _values(point):
            room = next((each for each in open_ if name not in each and len(each) < MAX_METRICS), None)
            if room is None:
                open_.append(room := {})
            room[name] = (_unit(metric.unit), value)
    for metrics in open_:
        if metrics:
            yield _document(namespace, at, attributes, beside, metrics)


def _document(
    namespace: str,
    at: int,
    attributes: Iterable[tuple[str, str]],
    beside: Mapping[str, str],
    metrics: Mapping[str, tuple[str, Any]],
) -> dict[str, Any]:
    members: dict[str, Any] = {}
    dimensions: list[str] = []
    for name, value in attributes:
        member = _free(_ascii(name), metrics)
        text = _ascii(value)[:MAX_VALUE]
        is_dimension = (
            name not in _OF_ONE_RUN
            and bool(text.strip())  # CloudWatch takes none that is empty, or white space alone.
            and len(dimensions) < MAX_DIMENSIONS
            and len(member) <= MAX_DIMENSION_NAME
        )
        if is_dimension:
            dimensions.append(member)
        members[member] = text
    for name, value in beside.items():
        members.setdefault(_free(name, metrics), value)
    directive = {
        "Namespace": namespace,
        "Dimensions": [dimensions],
        "Metrics": [{"Name": name, "Unit": unit} for name, (unit, _) in metrics.items()],
    }
    return {
        _METADATA: {"Timestamp": at, "CloudWatchMetrics": [directive]},
        **members,
        **{name: value for name, (_, value) in metrics.items()},
    }


def _free(name: str, metrics: Mapping[str, Any]) -> str:
    """The name of an attribute among the members of a document, where no metric has it."""
    while name in metrics or name == _METADATA or not name or name.startswith(":"):
        name = f"attribute.{name}"
    return name


def _ascii(text: str) -> str:
    """A text as CloudWatch takes it for a dimension: printable ASCII. All else is escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        each if each.isascii() and each.isprintable() else each.encode("unicode_escape").decode()
        for each in text
    )


def _unit(unit: str | None) -> str:
    given = unit or ""
    return "Count" if given.startswith("{") and given.endswith("}") else UNITS.get(given, "None")


def _values(point: Any) -> Iterator[Any]:
    """What a point says: a number, or the values of a histogram, in parts of at most `MAX_VALUES`."""
    if isinstance(point, NumberDataPoint):
        if isfinite(point.value):
            yield point.value
    elif isinstance(point, HistogramDataPoint) and point.count and isfinite(point.sum):
        buckets = _buckets(point)
        for i in range(0, len(buckets), MAX_VALUES):
            part = buckets[i : i + MAX_VALUES]
            count = sum(number for _, number in part)
            yield {
                "Values": [value for value, _ in part],
                "Counts": [number for _, number in part],
                "Min": point.min if i == 0 else part[0][0],
                "Max": point.max if i + MAX_VALUES >= len(buckets) else part[-1][0],
                "Count": count,
                "Sum": point.sum if count == point.count else sum(value * number for value, number in part),
            }


def _buckets(point: HistogramDataPoint) -> list[tuple[float, int]]:
    """The middle of each bucket that is not empty, and how many values are in it.

    Its bounds are those of the bucket, and the least and the greatest of all values: the first and the last
    bucket have one bound only, and where all values are equal, the middle is that value.
    """
    bounds = (point.min, *point.explicit_bounds, point.max)
    found = []
    for i, number in enumerate(point.bucket_counts):
        if number:
            low, high = (min(max(bound, point.min), point.max) for bound in bounds[i : i + 2])
            found.append(((low + high) / 2, number))
    return found
