"""The tests' receiver of OTLP tells what OpenTelemetry's own exporters send."""

from __future__ import annotations

import threading

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Link, SpanKind, StatusCode

from bunsui_tests.otlp import Receiver, SpanEvent, SpanLink


@pytest.fixture(name="receiver")
def _receiver():
    with Receiver() as receiver:
        yield receiver


def provider(receiver, **options):
    """A provider of tracers whose spans are sent as they end."""
    given = TracerProvider(resource=Resource({"service.name": "etl"}), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{receiver.endpoint}/v1/traces", **options)
    given.add_span_processor(SimpleSpanProcessor(exporter))
    return given


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_spans_come_with_all_that_they_hold(receiver, compression):
    """Ids, times, attributes, events, links, status, scope and resource; compressed or not."""
    tracer = provider(receiver, compression=compression).get_tracer("scope")
    with tracer.start_as_current_span("RUN etl", kind=SpanKind.SERVER) as parent:
        link = Link(parent.get_span_context(), {"why": "resumed"})
        with tracer.start_as_current_span(
            "load", attributes={"n": 2, "of": ("a", "b")}, links=[link]
        ) as span:
            span.add_event("retried", {"again": True}, timestamp=17)
            span.set_status(StatusCode.ERROR, "it broke")

    child, root = receiver.spans
    assert ("RUN etl", "SERVER", "", "UNSET") == (root.name, root.kind, root.parent_id, root.status)
    assert ("load", "INTERNAL", root.span_id, "ERROR") == (
        child.name,
        child.kind,
        child.parent_id,
        child.status,
    )
    assert "it broke" == child.message
    assert {"n": 2, "of": ["a", "b"]} == child.attributes
    assert (SpanEvent("retried", 17, {"again": True}),) == child.events
    assert (SpanLink(root.trace_id, root.span_id, {"why": "resumed"}),) == child.links
    assert ("scope", {"service.name": "etl"}) == (child.scope, child.resource)
    assert 0 < root.start <= child.start <= child.end <= root.end
    assert f"{parent.get_span_context().span_id:016x}" == root.span_id


def test_metrics_come_as_points(receiver):
    """A counter, an up-down counter and a histogram with its buckets."""
    exporter = OTLPMetricExporter(endpoint=f"{receiver.endpoint}/v1/metrics")
    given = MeterProvider(
        [PeriodicExportingMetricReader(exporter, export_interval_millis=float("inf"))], shutdown_on_exit=False
    )
    meter = given.get_meter("scope")
    meter.create_counter("runs", unit="{run}").add(2, {"name": "etl"})
    meter.create_up_down_counter("active").add(-1)
    histogram = meter.create_histogram("took", unit="s", explicit_bucket_boundaries_advisory=(1, 5))
    histogram.record(0.5)
    histogram.record(7)
    given.force_flush()
    given.shutdown()

    points = {point.name: point for point in receiver.points}
    runs, active, took = points["runs"], points["active"], points["took"]
    assert (2, "{run}", "sum", True, {"name": "etl"}) == (
        runs.value,
        runs.unit,
        runs.kind,
        runs.is_monotonic,
        runs.attributes,
    )
    assert (-1, "sum", False) == (active.value, active.kind, active.is_monotonic)
    assert (7.5, 2, (1, 5), (1, 0, 1)) == (took.value, took.count, took.bounds, took.buckets)
    assert ("histogram", "CUMULATIVE") == (took.kind, took.temporality)


def test_it_fails_and_recovers(receiver):
    """An exporter tries again after 503; what it gets through then is there once."""
    receiver.fail()
    tracer = provider(receiver, timeout=30).get_tracer("scope")
    sender = threading.Thread(target=lambda: tracer.start_span("one").end())
    sender.start()
    receiver.wait_for(lambda it: it.failed)
    assert [] == receiver.spans
    receiver.recover()
    sender.join()
    assert ["one"] == [span.name for span in receiver.spans]


def test_it_hangs(receiver, caplog):
    """Who asks while it hangs gets no answer, and what was sent is not kept."""
    receiver.hang()
    tracer = provider(receiver, timeout=0.2).get_tracer("scope")
    tracer.start_span("lost").end()
    assert 1 <= receiver.hung
    receiver.recover()
    tracer.start_span("kept").end()
    assert ["kept"] == [span.name for span in receiver.spans]
    assert caplog.records


def test_what_never_comes_is_an_assertion_of_its_own(receiver):
    """A wait says what did come."""
    with pytest.raises(AssertionError, match="it did not come; 0 spans and 0 points did"):
        receiver.wait_for(lambda it: it.spans, 0.01)
