"""Whether traces and metrics could go where they are to go."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bunsui.diagnosis.check import Check, Status
from bunsui.diagnosis.telemetry import telemetry
from bunsui_tests.otlp import Receiver


def found(kind: str, **variables: str) -> list[Check]:
    """What is found but for the extra."""
    return [check for check in telemetry(kind, variables) if check.name == "telemetry"]


@pytest.mark.parametrize(
    ("kind", "count"), [("auto", 0), ("off", 0), ("otlp", 1), ("emf", 1), ("emf:stdout", 1)]
)
def test_the_extra(kind: str, count: int) -> None:
    """It is looked at where the configuration needs it, and nowhere else."""
    checks = [check for check in telemetry(kind, {}) if check.name == "extra telemetry"]
    assert [Status.OK] * count == [check.status for check in checks]


def test_a_collector() -> None:
    """Whether somebody listens there; no password of its URL is shown."""
    with Receiver() as receiver:
        [there] = found("otlp", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint.replace("//", "//me:hunter2@"))
    assert (Status.OK, f"somebody listens at {receiver.endpoint}") == (there.status, there.what)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        [gone] = found("otlp", OTEL_EXPORTER_OTLP_ENDPOINT=url)
    assert Status.WARNING is gone.status
    assert f"no collector can be reached at {url}: Connection refused" == gone.what


def test_a_collector_for_each_signal() -> None:
    """Each has variables of its own; who is switched off is not looked for."""
    with Receiver() as spans, Receiver() as metrics:
        own = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{spans.endpoint}/v1/traces",
            "OTEL_EXPORTER_OTLP_ENDPOINT": metrics.endpoint,
        }
        both = {f"somebody listens at {each.endpoint}" for each in (spans, metrics)}
        assert both == {check.what for check in found("otlp", **own)}
        [one] = found("otlp", **own, OTEL_TRACES_EXPORTER="none")
        assert f"somebody listens at {metrics.endpoint}" == one.what


def test_a_url_that_is_none() -> None:
    """Is a problem."""
    [check] = found("otlp", OTEL_EXPORTER_OTLP_ENDPOINT="http://[::1")
    assert (Status.PROBLEM, "a collector's URL is none: Invalid IPv6 URL") == (check.status, check.what)


def test_a_file(tmp_path: Path) -> None:
    """Whether lines can be added to it; it is not made."""
    path = tmp_path / "metrics.jsonl"
    assert [(Status.OK, f"metrics are added to {path}")] == [(c.status, c.what) for c in found(f"emf:{path}")]
    assert not path.exists()
    path.touch()
    assert [Status.OK] == [check.status for check in found(f"emf:{path}")]
    for wrong in (tmp_path, tmp_path / "gone" / "metrics.jsonl"):
        [check] = found(f"emf:{wrong}")
        assert (Status.PROBLEM, f"{wrong} can't be written") == (check.status, check.what)
    assert [] == found("emf:stdout")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("OTEL_PROPAGATORS", "nope", "a variable OTEL_* is wrong: Propagator nope not found."),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'"),
    ],
)
def test_a_variable_that_is_wrong(tmp_path: Path, variable: str, value: str, said: str) -> None:
    """What every run would end with, doctor says."""
    command = [sys.executable, "-m", "bunsui", "doctor", "--store", "memory://", "--format", "json"]
    environment = {**os.environ, "HOME": str(tmp_path), "BUNSUI_TELEMETRY": "otlp", variable: value}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    told = [check for check in json.loads(done.stdout) if check["name"] == "telemetry"]
    assert ["problem"] == [check["status"] for check in told], done
    assert told[0]["what"].startswith(said)
