"""OpenTelemetry's SDK with exporters in memory, and what they got as plain values."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Histogram, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bunsui.monitoring.exporting import Providers
from bunsui_tests.otlp import SeenPoint, SeenSpan, SpanEvent, SpanLink


class Told:
    """Providers that nobody else has, and what they were told."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meter_provider = MeterProvider([self._reader])
        self.providers = Providers(self.tracer_provider, self.meter_provider)

    @property
    def spans(self) -> list[SeenSpan]:
        """Those that have ended, in that order."""
        return [_span(span) for span in self._exporter.get_finished_spans()]

    @property
    def points(self) -> list[SeenPoint]:
        """What was measured so far."""
        data = self._reader.get_metrics_data()
        return [
            _point(metric, point, scope.scope.name)
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        ]


def _span(span: ReadableSpan) -> SeenSpan:
    context: Any = span.context
    return SeenSpan(
        name=span.name,
        kind=span.kind.name,
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        parent_id="" if span.parent is None else f"{span.parent.span_id:016x}",
        start=span.start_time or 0,
        end=span.end_time or 0,
        attributes=_plain(span.attributes),
        status=span.status.status_code.name,
        message=span.status.description or "",
        events=tuple(SpanEvent(each.name, each.timestamp, _plain(each.attributes)) for each in span.events),
        links=tuple(
            SpanLink(f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}", _plain(link.attributes))
            for link in span.links
        ),
        scope=span.instrumentation_scope.name if span.instrumentation_scope else "",
        resource={},
    )


def _point(metric: Any, point: Any, scope: str) -> SeenPoint:
    is_histogram = isinstance(metric.data, Histogram)
    return SeenPoint(
        name=metric.name,
        unit=metric.unit,
        kind="histogram" if is_histogram else "sum",
        temporality=metric.data.aggregation_temporality.name,
        is_monotonic=not is_histogram and metric.data.is_monotonic,
        attributes=_plain(point.attributes),
        value=point.sum if is_histogram else point.value,
        count=point.count if is_histogram else 1,
        bounds=tuple(point.explicit_bounds) if is_histogram else (),
        buckets=tuple(point.bucket_counts) if is_histogram else (),
        scope=scope,
        resource={},
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in (attributes or {}).items()
    }
