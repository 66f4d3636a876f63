"""Providers by configuration: where traces and metrics go, and that nothing hangs or is set globally."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest
from opentelemetry import metrics, trace

import bunsui
from bunsui.monitoring import MetricsCollector
from bunsui.monitoring.exporting import providers
from bunsui_tests.otlp import Receiver


@pytest.fixture(name="receiver")
def _receiver(monkeypatch):
    """A collector on loopback, which the standard variables name; metrics are sent at the end."""
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "3600000")
        yield receiver


def recorded(given):
    """Records a span and a figure with these providers."""
    given.tracer_provider.get_tracer("test").start_span("RUN etl").end()
    MetricsCollector(meter_provider=given.meter_provider).record_success_rate("etl", True)


# OTLP


def test_otlp(receiver):
    """Spans and metrics come to the collector, from a service that says who it is."""
    given = providers("otlp")
    recorded(given)
    assert given.shutdown(20)
    [span], [point] = receiver.spans, receiver.points
    assert ("RUN etl", "bunsui.pipeline.runs", 1) == (span.name, point.name, point.value)
    named = {"service.name": "bunsui", "service.version": bunsui.__version__}
    assert named == {key: span.resource.get(key) for key in named}
    assert span.resource == point.resource


def test_otlp_as_the_variables_say(receiver, monkeypatch):
    """A name of its own, whose version is not ours; headers; compression; attributes of the resource."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "etl")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=data")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    given = providers("otlp")
    recorded(given)
    assert given.shutdown(20)
    resource = receiver.spans[0].resource
    assert ("etl", "prod", None) == (
        resource["service.name"],
        resource["deployment.environment.name"],
        resource.get("service.version"),
    )
    assert {("data", "gzip")} == {(each["x-team"], each["content-encoding"]) for each in receiver.headers}


@pytest.mark.parametrize(
    ("variable", "left_out", "kept"),
    [
        ("OTEL_TRACES_EXPORTER", "tracer_provider", "meter_provider"),
        ("OTEL_METRICS_EXPORTER", "meter_provider", "tracer_provider"),
    ],
)
def test_one_of_them(receiver, monkeypatch, variable, left_out, kept):
    """Where the standard variable says `none`, there is no provider of it."""
    monkeypatch.setenv(variable, "none")
    given = providers("otlp")
    assert getattr(given, left_out) is None
    assert getattr(given, kept) is not None
    assert given.shutdown(20)


def test_a_collector_that_fails_and_recovers(receiver):
    """What was refused with 503 is sent again, and comes once."""
    receiver.fail()
    given = providers("otlp")
    given.tracer_provider.get_tracer("test").start_span("RUN etl").end()
    sender = threading.Thread(target=given.tracer_provider.force_flush)
    sender.start()
    receiver.wait_for(lambda it: it.failed)
    receiver.recover()
    sender.join()
    assert given.shutdown(20)
    assert ["RUN etl"] == [span.name for span in receiver.spans]


def test_a_collector_that_hangs(receiver):
    """The end waits for no longer than it is told, and says that something was left."""
    receiver.hang()
    given = providers("otlp")
    recorded(given)
    assert not given.shutdown(0.05)
    receiver.wait_for(lambda it: it.hung)
    assert given.shutdown(60)  # The second one does nothing.
    receiver.recover()
    for thread in given._enders:
        thread.join()


def test_two_ends(receiver):
    """The second one does nothing, and warns of nothing."""
    given = providers("otlp")
    assert (True, True) == (given.shutdown(20), given.shutdown(20))


def test_no_thread_is_left(receiver):
    """All that were started have ended with it."""
    before = set(threading.enumerate())
    given = providers("otlp")
    recorded(given)
    assert set(threading.enumerate()) > before
    assert given.shutdown(20)
    left = set(threading.enumerate()) - before
    # Those of the receiver end by themselves.
    assert [] == [thread.name for thread in left if not thread.name.startswith("Thread-")]


EXIT = """
import sys
from bunsui.monitoring import exporting
exporting.AT_EXIT = 0.2
given = exporting.providers("otlp")
given.tracer_provider.get_tracer("test").start_span("RUN etl").end()
"""


def test_the_end_of_the_process(receiver):
    """What is left is sent where nobody has called `shutdown`."""
    source = EXIT.replace("0.2", "20")
    subprocess.run([sys.executable, "-c", source], check=True, timeout=60)
    assert ["RUN etl"] == [span.name for span in receiver.spans]


def test_the_end_of_the_process_does_not_wait_for_a_collector_that_hangs(receiver, monkeypatch):
    """No longer than `AT_EXIT`; the SDK alone waits 30 seconds."""
    receiver.hang()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600")
    subprocess.run([sys.executable, "-c", EXIT], check=True, timeout=25)
    receiver.wait_for(lambda it: it.hung)


FORK = """
import os, sys
from bunsui.monitoring import MetricsCollector
from bunsui.monitoring.exporting import providers
given = providers("otlp")
tracer, metrics = given.tracer_provider.get_tracer("t"), MetricsCollector(meter_provider=given.meter_provider)
tracer.start_span("before").end()
metrics.record_success_rate("etl", True)
if (child := os.fork()) == 0:
    tracer.start_span("child").end()
    given.tracer_provider.force_flush()
    given.meter_provider.force_flush()
    assert given.shutdown(0)
    sys.exit(7)  # With all that Python does at an end.
assert 7 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(given.shutdown(20))
"""


def test_a_forked_process(receiver):
    """It sends nothing, waits for nothing and ends; its parent sends each once."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK], check=True, capture_output=True, text=True, timeout=60
    )
    assert "True\n" == done.stdout
    assert (["before"], [1]) == (
        [span.name for span in receiver.spans],
        [point.value for point in receiver.points],
    )


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "^OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc', and bunsui sends"),
        (
            {
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/json",
            },
            "^OTEL_EXPORTER_OTLP_METRICS_PROTOCOL is 'http/json'",
        ),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "0"}, r"^a variable OTEL_\* is wrong: .*interval"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, r"^a variable OTEL_\* is wrong: .*max_queue_size"),
    ],
)
def test_wrong_variables(receiver, monkeypatch, variables, message):
    """They are an error that says what to set; nothing has been started then."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    before = set(threading.enumerate())
    with pytest.raises(bunsui.ConfigError, match=message):
        providers("otlp")
    assert before == set(threading.enumerate())


def test_http_for_one_signal_is_enough(receiver, monkeypatch):
    """A variable of a signal counts before that of all."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    for signal in ("TRACES", "METRICS"):
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "http/protobuf")
    assert providers("otlp").shutdown(20)


# EMF


@pytest.mark.parametrize(("kind", "stream"), [("emf", "err"), ("emf:stderr", "err"), ("emf:stdout", "out")])
def test_emf(kind, stream, capsys):
    """Metrics alone, as lines of JSON; on standard error, where nobody expects the data of a command."""
    given = providers(kind)
    assert given.tracer_provider is None
    MetricsCollector(meter_provider=given.meter_provider).record_success_rate("etl", True)
    assert given.shutdown(20)
    said = capsys.readouterr()
    document = json.loads(getattr(said, stream))
    assert (1, "bunsui") == (document["bunsui.pipeline.runs"], document["service.name"])
    assert "" == (said.out if stream == "err" else said.err)


def test_emf_to_a_file(tmp_path):
    """Such as one that CloudWatch's agent reads."""
    given = providers(f"emf:{tmp_path}/metrics.jsonl")
    MetricsCollector(meter_provider=given.meter_provider).record_success_rate("etl", True)
    assert given.shutdown(20)
    text = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8")
    assert 1 == json.loads(text)["bunsui.pipeline.runs"]


# Nothing, and what an application has set


def test_off():
    """There are none, whatever is set."""
    given = providers("off")
    assert (None, None, True) == (given.tracer_provider, given.meter_provider, given.shutdown())


LOOK = """
import sys
from bunsui.monitoring.exporting import providers
found = []
def look():
    given = providers("auto")
    found.append([given.tracer_provider, given.meter_provider])
look()
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
from opentelemetry import metrics, trace
look()
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
meter = MeterProvider()
metrics.set_meter_provider(meter)
look()
tracer = TracerProvider()
trace.set_tracer_provider(tracer)
look()
assert [[None, None], [None, None], [None, meter], [tracer, meter]] == found
assert providers("off").meter_provider is None
assert providers("auto").shutdown(0)
assert not meter._shutdown
"""


def test_auto():
    """What the application has set as global; nothing where it has not, and then nothing is imported."""
    subprocess.run([sys.executable, "-c", LOOK], check=True, timeout=60)


NOTHING = """
from opentelemetry import metrics, trace
from bunsui.monitoring.exporting import providers
trace.set_tracer_provider(trace.NoOpTracerProvider())
metrics.set_meter_provider(metrics.NoOpMeterProvider())
given = providers("auto")
assert given.tracer_provider is given.meter_provider is None
"""


def test_auto_where_what_is_set_does_nothing():
    """Then there is nothing to be recorded, and it costs nothing."""
    subprocess.run([sys.executable, "-c", NOTHING], check=True, timeout=60)


def test_nothing_is_set_globally(receiver):
    """An application's own choice stays open, and other libraries' spans do not go where ours do."""
    before = trace._TRACER_PROVIDER, metrics._internal._METER_PROVIDER
    given = providers("otlp")
    assert before == (trace._TRACER_PROVIDER, metrics._internal._METER_PROVIDER)
    assert given.shutdown(20)


# What is wrong


@pytest.mark.parametrize("kind", ["", "OTLP", "otlp:x", "emf:", "console", "auto:", None, 7])
def test_no_telemetry(kind):
    """It is refused, and what there is, is named."""
    with pytest.raises(
        bunsui.ConfigError, match=r"^there is no telemetry .*; it is auto, otlp, emf, off, or emf"
    ):
        providers(kind)


@pytest.mark.parametrize(
    ("kind", "module"),
    [
        ("otlp", "opentelemetry.exporter"),
        ("otlp", "opentelemetry.sdk.trace"),
        ("emf", "opentelemetry.sdk.metrics"),
    ],
)
def test_without_the_extra(kind, module):
    """It says what to install."""
    source = f"""
import sys
sys.modules[{module!r}] = None
import bunsui
from bunsui.monitoring.exporting import providers
assert providers("off").shutdown() and providers("auto").shutdown()
try:
    providers({kind!r})
except bunsui.ConfigError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True)
    needed = f"telemetry '{kind}' needs OpenTelemetry's SDK, which is not installed"
    assert f"{needed}; pip install 'bunsui[telemetry]'\n" == done.stdout
