"""Providers that send OTLP over HTTP, in the background; all else the standard variables say."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan

# The SDK starts its threads anew in a process that is forked. What they would send, the parent sends, and the
# connection is the parent's, too: so there they send nothing.


class _Spans(OTLPSpanExporter):
    def __init__(self) -> None:
        super().__init__()
        self._process = os.getpid()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if os.getpid() != self._process:
            return SpanExportResult.SUCCESS
        return super().export(spans)


class _Metrics(OTLPMetricExporter):
    def __init__(self) -> None:
        super().__init__()
        self._process = os.getpid()

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        if os.getpid() != self._process:
            return MetricExportResult.SUCCESS
        return super().export(metrics_data, timeout_millis, **kwargs)


def tracer_provider(resource: Resource) -> TracerProvider:
    """A provider of tracers whose spans are sent in batches."""
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_Spans()))
    return provider


def meter_provider(resource: Resource) -> MeterProvider:
    """A provider of meters whose metrics are sent each minute, or as ``OTEL_METRIC_EXPORT_INTERVAL`` says."""
    reader = PeriodicExportingMetricReader(_Metrics())
    return MeterProvider([reader], resource, shutdown_on_exit=False)
