"""Lines of CloudWatch's embedded metric format: valid by AWS's schema, and true to the metrics."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

import bunsui
from bunsui.monitoring import EmfMetricExporter, MetricsCollector

SCHEMA = Draft7Validator(
    json.loads((Path(__file__).parents[2] / "fixtures" / "emf-schema.json").read_text(encoding="utf-8"))
)


class Written:
    """A provider of meters, and the documents that its exporter has written."""

    def __init__(self, stream=None, **options):
        self.stream = io.StringIO() if stream is None else stream
        self.exporter = EmfMetricExporter(None if "path" in options else self.stream, **options)
        reader = PeriodicExportingMetricReader(self.exporter, export_interval_millis=float("inf"))
        self.provider = MeterProvider([reader], Resource({"service.name": "etl"}), shutdown_on_exit=False)
        self.meter = self.provider.get_meter("test")

    def documents(self):
        """What came since the last call; each line is checked."""
        self.provider.force_flush()
        text = self.stream.getvalue()
        self.stream.seek(0)
        self.stream.truncate()
        return [checked(line) for line in text.splitlines()]


def checked(line):
    """The document of a line: it is valid by the schema, and holds what the schema can't say."""
    document = json.loads(line)
    SCHEMA.validate(document)
    for directive in document["_aws"]["CloudWatchMetrics"]:
        assert len(directive["Metrics"]) <= 100
        for dimension in (each for dimensions in directive["Dimensions"] for each in dimensions):
            value = document[dimension]
            assert isinstance(value, str)
            assert 1 <= len(value) <= 1024
            assert value.strip()
            assert (value + dimension).isascii()
            assert (value + dimension).isprintable()
            assert not dimension.startswith(":")
        for metric in directive["Metrics"]:
            value = document[metric["Name"]]
            if isinstance(value, dict):
                assert 1 <= len(value["Values"]) == len(value["Counts"]) <= 100
                assert sum(value["Counts"]) == value["Count"]
                assert all(value["Min"] <= each <= value["Max"] for each in value["Values"])
            else:
                assert isinstance(value, int | float)
    return document


@pytest.fixture(name="written")
def _written():
    return Written()


def test_a_document(written):
    """Namespace, dimensions, units, time in milliseconds; the service beside them, as no dimension."""
    MetricsCollector(meter_provider=written.provider).record_success_rate("etl", True)
    [document] = written.documents()
    assert {
        "_aws": {
            "Timestamp": document["_aws"]["Timestamp"],
            "CloudWatchMetrics": [
                {
                    "Namespace": "bunsui",
                    "Dimensions": [["cicd.pipeline.name", "cicd.pipeline.result"]],
                    "Metrics": [{"Name": "bunsui.pipeline.runs", "Unit": "Count"}],
                }
            ],
        },
        "cicd.pipeline.name": "etl",
        "cicd.pipeline.result": "success",
        "service.name": "etl",
        "bunsui.pipeline.runs": 1,
    } == document
    assert 1_600_000_000_000 < document["_aws"]["Timestamp"] < 10_000_000_000_000


def test_counters_and_histograms_are_what_was_added(written):
    """CloudWatch adds documents up: what was there before is not in the next one; an up-down counter is."""
    counter = written.meter.create_counter("c")
    active = written.meter.create_up_down_counter("active")
    took = written.meter.create_histogram("took", unit="s", explicit_bucket_boundaries_advisory=(1, 5))
    for _ in range(2):
        counter.add(3)
        active.add(1)
        took.record(2)
        took.record(4)
        found = written.documents()
        assert [3] == [document["c"] for document in found if "c" in document]
        [histogram] = [document["took"] for document in found if "took" in document]
        assert {"Values": [3], "Counts": [2], "Min": 2, "Max": 4, "Count": 2, "Sum": 6} == histogram
    assert [2] == [document["active"] for document in found if "active" in document]
    # What did not change is not written again, but for what is there now.
    assert [["active"]] == [
        [metric["Name"] for metric in document["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
        for document in written.documents()
    ]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_a_histogram_is_true_to_its_values(values):
    """Count, sum, least and greatest are exact; each value of a bucket stands within that bucket."""
    written = Written()
    bounds = [1, 10, 100, 1000]
    took = written.meter.create_histogram("took", explicit_bucket_boundaries_advisory=bounds)
    for value in values:
        took.record(value)
    [document] = written.documents()
    found = document["took"]
    assert (len(values), min(values), max(values)) == (found["Count"], found["Min"], found["Max"])
    assert sum(values) == pytest.approx(found["Sum"])
    # The first bucket ends with its bound: (-inf, 1], (1, 10], ...
    bucket = lambda value: sum(bound < value for bound in bounds)  # noqa: E731 - short as it is
    counts = [0] * 5
    for value in values:
        counts[bucket(value)] += 1
    assert [count for count in counts if count] == found["Counts"]
    assert sorted(found["Values"]) == found["Values"]


def test_metrics_of_one_set_of_attributes_share_a_document(written):
    """Up to a hundred; what is more is in another."""
    for number in range(150):
        written.meter.create_counter(f"c{number}").add(1, {"pipeline": "etl"})
    written.meter.create_counter("other").add(1, {"pipeline": "another"})
    sizes = [
        (document["pipeline"], len(document["_aws"]["CloudWatchMetrics"][0]["Metrics"]))
        for document in written.documents()
    ]
    assert [("another", 1), ("etl", 50), ("etl", 100)] == sorted(sizes)


def test_a_histogram_of_many_buckets_is_split(written):
    """A metric has a hundred values at most: the rest is in another document, and nothing is lost."""
    took = written.meter.create_histogram("took", explicit_bucket_boundaries_advisory=list(range(1, 250)))
    for value in range(250):
        took.record(value + 0.5)
    found = [document["took"] for document in written.documents()]
    assert [100, 100, 50] == [each["Count"] for each in found]
    middles = [value for each in found for value in each["Values"]]
    assert [value + 0.5 for value in range(250)] == pytest.approx(middles, abs=0.25)
    assert sum(value + 0.5 for value in range(250)) == pytest.approx(
        sum(each["Sum"] for each in found), abs=1
    )


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("s", "Seconds"),
        ("ms", "Milliseconds"),
        ("By", "Bytes"),
        ("{run}", "Count"),
        ("{retry}", "Count"),
        ("%", "Percent"),
        ("1", "None"),
        ("", "None"),
        ("furlong", "None"),
    ],
)
def test_units(written, unit, expected):
    """CloudWatch's by those of OpenTelemetry; what it does not know has none."""
    written.meter.create_counter("c", unit=unit).add(1)
    [document] = written.documents()
    assert expected == document["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Unit"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x" * 2000, "x" * 1024),
        ("分水", "\\u5206\\u6c34"),
        ("two\nlines", "two\\nlines"),
        (True, "true"),
        (1.5, "1.5"),
        (("a", "b"), '["a", "b"]'),
    ],
)
def test_values_of_dimensions(written, value, expected):
    """They are texts of printable ASCII that CloudWatch takes, each other value another."""
    written.meter.create_counter("c").add(1, {"d": value})
    [document] = written.documents()
    assert ([["d"]], expected) == (document["_aws"]["CloudWatchMetrics"][0]["Dimensions"], document["d"])


@pytest.mark.parametrize("value", ["", " ", "\t"[:0]])
def test_what_is_no_dimension(written, value):
    """CloudWatch takes none that is empty or white space."""
    written.meter.create_counter("c").add(1, {"d": value, "e": "x"})
    [document] = written.documents()
    assert ([["e"]], value) == (document["_aws"]["CloudWatchMetrics"][0]["Dimensions"], document["d"])


def test_a_run_is_no_dimension(written):
    """It would be a metric of its own for each; it stands beside them, for Logs Insights."""
    for key in ("cicd.pipeline.run.id", "cicd.pipeline.task.run.id", "cicd.pipeline.task.run.url.full"):
        written.meter.create_counter("c").add(1, {key: "abc", "d": "x"})
        [document] = written.documents()
        assert ([["d"]], "abc") == (document["_aws"]["CloudWatchMetrics"][0]["Dimensions"], document[key])


def test_more_attributes_than_dimensions(written):
    """Thirty at most; the others stand beside them."""
    written.meter.create_counter("c").add(1, {f"d{number:02}": "x" for number in range(40)})
    [document] = written.documents()
    assert 30 == len(document["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0])
    assert "x" == document["d39"]


@pytest.mark.parametrize("name", ["c", "_aws", ":colon"])
def test_an_attribute_that_is_called_like_something_else(written, name):
    """It has another name: neither the metric nor the metadata is lost by it."""
    written.meter.create_counter("c").add(7, {name: "x"})
    [document] = written.documents()
    assert (7, "x") == (document["c"], document[f"attribute.{name}"])


@given(
    st.dictionaries(st.text(max_size=300), st.text(max_size=1100) | st.floats() | st.booleans(), max_size=35)
)
def test_any_attributes(attributes):
    """Whatever they are, the document is valid, and the metric is in it."""
    written = Written()
    written.meter.create_counter("c").add(1, attributes)
    [document] = written.documents()
    assert 1 == document["c"]


def test_a_number_that_is_none_is_left_out(written):
    """JSON knows no infinity: the line would be invalid, and all other metrics in it lost."""
    gauge = written.meter.create_gauge("g")
    gauge.set(float("inf"))
    written.meter.create_counter("c").add(1)
    [document] = written.documents()
    assert ["c"] == [metric["Name"] for metric in document["_aws"]["CloudWatchMetrics"][0]["Metrics"]]


def test_nothing_to_say(written):
    """Nothing is written then: no empty line, no empty document."""
    written.provider.force_flush()
    assert "" == written.stream.getvalue()


def test_a_file(tmp_path):
    """Lines are added to what is there; it is not made before there is one."""
    path = tmp_path / "metrics.jsonl"
    written = Written(path=path, namespace="etl")
    written.provider.force_flush()
    assert not path.exists()
    for _ in range(2):
        written.meter.create_counter("c").add(1)
        written.provider.force_flush()
    found = [checked(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert ["etl", "etl"] == [document["_aws"]["CloudWatchMetrics"][0]["Namespace"] for document in found]


def test_stdout_as_it_is_then(capsys):
    """By default it writes to what `sys.stdout` is at that time, not to what it was at first."""
    exporter = EmfMetricExporter()
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=float("inf"))
    provider = MeterProvider([reader], shutdown_on_exit=False)
    provider.get_meter("test").create_counter("c").add(1)
    provider.force_flush()
    assert 1 == checked(capsys.readouterr().out)["c"]


def test_where_nothing_can_be_written(written, tmp_path, caplog):
    """It is a failure of the export, not an exception: metrics are lost, which is said once, and no run."""
    written.meter.create_counter("c").add(1)
    written.stream.close()
    written.provider.force_flush()
    elsewhere = Written(path=tmp_path / "none" / "metrics.jsonl")
    elsewhere.meter.create_counter("c").add(1)
    elsewhere.provider.force_flush()
    elsewhere.provider.force_flush()
    assert not (tmp_path / "none").exists()
    path = tmp_path / "none" / "metrics.jsonl"
    said = [record.getMessage() for record in caplog.records if record.name == "bunsui.monitoring.emf"]
    assert [
        "metrics can't be written to the stream: I/O operation on closed file",
        f"metrics can't be written to {path}: No such file or directory",
    ] == said


def test_a_forked_process_writes_nothing(tmp_path):
    """The metrics that it has are its parent's, who writes them."""
    path = tmp_path / "metrics.jsonl"
    source = """
import os, sys
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from bunsui.monitoring import EmfMetricExporter
exporter = EmfMetricExporter(path=sys.argv[1])
reader = PeriodicExportingMetricReader(exporter, export_interval_millis=float("inf"))
provider = MeterProvider([reader], shutdown_on_exit=False)
provider.get_meter("test").create_counter("c").add(1)
if (child := os.fork()) == 0:
    provider.force_flush()
    os._exit(0)
os.waitpid(child, 0)
print(os.path.exists(sys.argv[1]))
provider.force_flush()
"""
    done = subprocess.run([sys.executable, "-c", source, path], check=True, capture_output=True, text=True)
    assert "False\n" == done.stdout
    assert 1 == len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("options", [{"namespace": ""}, {"namespace": "x" * 1025}, {"namespace": 7}])
def test_wrong_namespaces(options):
    """They are refused."""
    with pytest.raises(bunsui.ConfigError, match=r"^namespace is .* a text of 1 to 1024 characters$"):
        EmfMetricExporter(**options)


def test_a_stream_and_a_path():
    """One of them."""
    with pytest.raises(bunsui.ConfigError, match=r"^both a stream and a path"):
        EmfMetricExporter(io.StringIO(), path="metrics.jsonl")


def test_without_the_extra():
    """It says what to install; the other names of the room work."""
    source = """
import sys
sys.modules["opentelemetry.sdk.metrics"] = None
import bunsui
from bunsui import monitoring
monitoring.MetricsCollector().record_execution_time("etl", 1)
try:
    monitoring.EmfMetricExporter
except bunsui.ConfigError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True)
    needed = "EmfMetricExporter needs OpenTelemetry's SDK, which is not installed"
    assert f"{needed}; pip install 'bunsui[telemetry]'\n" == done.stdout
