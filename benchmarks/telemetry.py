"""Jobs per second with OpenTelemetry, to none at all: with the API's no-op providers, with spans and
measurements that are told of but cost nothing, and with the SDK.

Run it with::

    python benchmarks/telemetry.py [--rounds N] [--only SHAPE] [--json FILE]

Each run is a process of its own, as global providers are set once; rounds alternate between the four, and
the figures are medians of the rounds' ratios. With the SDK, spans go through a batch processor, and metrics
through a periodic reader, to exporters that throw them away: what a collector does is its own affair. What
bunsui itself adds is the third figure: all that is told of a job, to providers that do nothing with it. The
store is SQLite on a disk, as in engine.py. No figure is asserted anywhere; the goals are 0.95 and 0.6.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import engine
import shapes

SHAPES = {
    "1 -> 1000 -> 1": shapes.fan,
    "chain of 200": shapes.chain,
    "layered 1000 in 20": shapes.layered,
}


def none() -> None:
    """Nothing of OpenTelemetry is there."""


def noop() -> None:
    """The program has set the API's providers that do nothing."""
    from opentelemetry import metrics, trace

    trace.set_tracer_provider(trace.NoOpTracerProvider())
    metrics.set_meter_provider(metrics.NoOpMeterProvider())


def free() -> None:
    """The program has set providers that do nothing, but for the ids that their spans have."""
    import itertools

    from opentelemetry import metrics, trace

    ids = itertools.count(1)

    class Tracer(trace.NoOpTracer):
        def start_span(self, *given: object, **options: object) -> trace.Span:
            flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
            return trace.NonRecordingSpan(trace.SpanContext(1, next(ids), False, flags))

    class Traces(trace.TracerProvider):
        def get_tracer(self, *given: object, **options: object) -> trace.Tracer:
            return Tracer()

    class Metrics(metrics.MeterProvider):
        def get_meter(self, *given: object, **options: object) -> metrics.Meter:
            return metrics.NoOpMeter("free")

    trace.set_tracer_provider(Traces())
    metrics.set_meter_provider(Metrics())


def sdk() -> None:
    """The program has set the SDK's, with exporters that throw all away."""
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import (
        MetricExporter,
        MetricExportResult,
        PeriodicExportingMetricReader,
    )
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Spans(SpanExporter):
        def export(self, spans: object) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    class Metrics(MetricExporter):
        def export(self, *given: object, **options: object) -> MetricExportResult:
            return MetricExportResult.SUCCESS

        def force_flush(self, *given: object, **options: object) -> bool:
            return True

        def shutdown(self, *given: object, **options: object) -> None:
            pass

    traces = TracerProvider()
    # All that one run has: the queue is not to drop what the exporter would have taken.
    traces.add_span_processor(BatchSpanProcessor(Spans(), max_queue_size=2**16))
    trace.set_tracer_provider(traces)
    metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(Metrics())]))


MODES: dict[str, Callable[[], None]] = {each.__name__: each for each in (none, noop, free, sdk)}


def run(mode: str, shape: str, folder: Path) -> float:
    """Seconds that a run of this shape takes, in this process; see `engine.ours`."""
    MODES[mode]()
    return engine.ours(engine.write_definition(SHAPES[shape](), folder), folder)


def seconds(mode: str, shape: str) -> float:
    """The same in a process of its own."""
    with tempfile.TemporaryDirectory(dir=".") as name:
        command = [sys.executable, __file__, "--run", mode, shape, str(Path(name).resolve())]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def measure(shape: str, rounds: int) -> dict[str, float | str | int]:
    """The medians of `rounds` rounds of all modes; a ratio is of jobs per second."""
    jobs = len(SHAPES[shape]())
    taken = [{mode: seconds(mode, shape) for mode in MODES} for _ in range(rounds)]
    row: dict[str, float | str | int] = {"shape": shape, "jobs": jobs}
    for mode in MODES:
        row[f"{mode}_jobs_per_s"] = round(jobs / statistics.median(each[mode] for each in taken))
    for mode in ("noop", "free", "sdk"):
        row[f"{mode}_ratio"] = round(statistics.median(each["none"] / each[mode] for each in taken), 2)
    return row


def main() -> None:
    """Measures every shape and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--only", help="only this shape")
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        mode, shape, folder = arguments.run
        print(run(mode, shape, Path(folder)))
        return
    print(
        f"{'shape':<22}{'jobs':>6}{'none/s':>9}{'no-op/s':>9}{'free/s':>9}{'SDK/s':>9}"
        f"{'no-op':>8}{'free':>7}{'SDK':>7}"
    )
    results = []
    for shape in SHAPES:
        if arguments.only and arguments.only not in shape:
            continue
        row = measure(shape, arguments.rounds)
        results.append(row)
        print(
            f"{shape:<22}{row['jobs']:>6}{row['none_jobs_per_s']:>9}{row['noop_jobs_per_s']:>9}"
            f"{row['free_jobs_per_s']:>9}{row['sdk_jobs_per_s']:>9}"
            f"{row['noop_ratio']:>8}{row['free_ratio']:>7}{row['sdk_ratio']:>7}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
