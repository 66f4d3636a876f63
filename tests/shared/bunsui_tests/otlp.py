"""A receiver of OTLP over HTTP on loopback, which gives what came as plain values.

It can fail, hang and recover, as a collector may: https://opentelemetry.io/docs/specs/otlp/#otlphttp.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from attrs import frozen
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

#: What Content-Type binary protobuf has.
PROTOBUF = "application/x-protobuf"


@frozen
class SpanLink:
    """What a span is linked to: ids as lower-case hex."""

    trace_id: str
    span_id: str
    attributes: dict[str, Any]


@frozen
class SpanEvent:
    """What happened in a span."""

    name: str
    #: Nanoseconds since the epoch.
    at: int
    attributes: dict[str, Any]


@frozen
class SeenSpan:
    """A span as it was received: ids as lower-case hex, times in nanoseconds since the epoch."""

    name: str
    #: Such as ``SERVER`` or ``INTERNAL``.
    kind: str
    trace_id: str
    span_id: str
    #: Empty where it has none.
    parent_id: str
    start: int
    end: int
    attributes: dict[str, Any]
    #: ``UNSET``, ``OK`` or ``ERROR``.
    status: str
    message: str
    events: tuple[SpanEvent, ...]
    links: tuple[SpanLink, ...]
    scope: str
    resource: dict[str, Any]


@frozen
class SeenPoint:
    """A point of a metric as it was received."""

    name: str
    unit: str
    #: ``sum``, ``gauge`` or ``histogram``.
    kind: str
    #: ``DELTA`` or ``CUMULATIVE``; empty for a gauge.
    temporality: str
    is_monotonic: bool
    attributes: dict[str, Any]
    #: Of a sum or gauge; of a histogram the sum of what was recorded.
    value: float
    #: How often a histogram was recorded to; 1 otherwise.
    count: int
    bounds: tuple[float, ...]
    buckets: tuple[int, ...]
    scope: str
    resource: dict[str, Any]


class Receiver:
    """Takes spans at ``/v1/traces`` and metrics at ``/v1/metrics``, until it is closed.

    What comes while it fails or hangs is not kept.
    """

    def __init__(self) -> None:
        #: In the order they came.
        self.spans: list[SeenSpan] = []
        #: In the order they came: what is cumulative is there once for each export.
        self.points: list[SeenPoint] = []
        #: The headers of each request that was taken, names in lower case.
        self.headers: list[dict[str, str]] = []
        #: How many requests came while it failed, and how many while it hung.
        self.failed = 0
        self.hung = 0
        self._changed = threading.Condition()
        self._status = 200
        self._go_on = threading.Event()
        self._go_on.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver._answer(self, body)

            def log_message(self, *args: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """What ``OTEL_EXPORTER_OTLP_ENDPOINT`` is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fail(self, status: int = 503) -> None:
        """Answers with this status from now on."""
        with self._changed:
            self._status = status

    def hang(self) -> None:
        """Answers nobody any more until `recover` or `close`."""
        self._go_on.clear()

    def recover(self) -> None:
        """Takes what comes from now on; who was left hanging gets no answer."""
        with self._changed:
            self._status = 200
        self._go_on.set()

    def wait_for(self, met: Callable[[Receiver], object], seconds: float = 20) -> None:
        """Returns once `met` is true of this receiver.

        Raises:
            AssertionError: it has not become so.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: met(self), seconds):
                raise AssertionError(
                    f"it did not come; {len(self.spans)} spans and {len(self.points)} points did, "
                    f"{self.failed} requests failed and {self.hung} hung"
                )

    def close(self) -> None:
        """Ends it."""
        self._go_on.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _answer(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        if not self._go_on.is_set():
            with self._changed:
                self.hung += 1
                self._changed.notify_all()
            self._go_on.wait()
            request.close_connection = True
            return
        status, answer = self._take(request, body)
        request.send_response(status)
        request.send_header("Content-Type", PROTOBUF)
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)

    def _take(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        with self._changed:
            if self._status != 200:
                self.failed += 1
                self._changed.notify_all()
                return self._status, b""
            if request.headers["Content-Type"] != PROTOBUF:
                return 415, b""
            if request.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            answer: Any
            if request.path == "/v1/traces":
                self.spans += _spans(ExportTraceServiceRequest.FromString(body))
                answer = ExportTraceServiceResponse()
            elif request.path == "/v1/metrics":
                self.points += _points(ExportMetricsServiceRequest.FromString(body))
                answer = ExportMetricsServiceResponse()
            else:
                return 404, b""
            self.headers.append({name.lower(): value for name, value in request.headers.items()})
            self._changed.notify_all()
            return 200, answer.SerializeToString()


def _spans(request: Any) -> list[SeenSpan]:
    return [
        SeenSpan(
            name=span.name,
            kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            start=span.start_time_unix_nano,
            end=span.end_time_unix_nano,
            attributes=_attributes(span.attributes),
            status=Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
            message=span.status.message,
            events=tuple(
                SpanEvent(event.name, event.time_unix_nano, _attributes(event.attributes))
                for event in span.events
            ),
            links=tuple(
                SpanLink(link.trace_id.hex(), link.span_id.hex(), _attributes(link.attributes))
                for link in span.links
            ),
            scope=scope.scope.name,
            resource=_attributes(resource.resource.attributes),
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _points(request: Any) -> list[SeenPoint]:
    return [
        _point(metric, point, scope.scope.name, _attributes(resource.resource.attributes))
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in getattr(metric, metric.WhichOneof("data")).data_points
    ]


def _point(metric: Any, point: Any, scope: str, resource: dict[str, Any]) -> SeenPoint:
    kind = metric.WhichOneof("data")
    data = getattr(metric, kind)
    is_histogram = kind == "histogram"
    temporality = ""
    if kind != "gauge":
        name = AggregationTemporality.Name(data.aggregation_temporality)
        temporality = name.removeprefix("AGGREGATION_TEMPORALITY_")
    return SeenPoint(
        name=metric.name,
        unit=metric.unit,
        kind=kind,
        temporality=temporality,
        is_monotonic=kind == "sum" and data.is_monotonic,
        attributes=_attributes(point.attributes),
        value=point.sum if is_histogram else getattr(point, point.WhichOneof("value")),
        count=point.count if is_histogram else 1,
        bounds=tuple(point.explicit_bounds) if is_histogram else (),
        buckets=tuple(point.bucket_counts) if is_histogram else (),
        scope=scope,
        resource=resource,
    )


def _attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    found = getattr(value, kind)
    if kind == "array_value":
        return [_value(each) for each in found.values]
    return _attributes(found.values) if kind == "kvlist_value" else found
