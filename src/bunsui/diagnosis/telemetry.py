"""Whether traces and metrics could go where the configuration's ``telemetry`` says. Nothing is sent."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from bunsui.diagnosis.check import Check, Status, failed, ok, problem, warning
from bunsui.diagnosis.installation import imports
from bunsui.errors import ConfigError
from bunsui.monitoring.exporting import providers
from bunsui.monitoring.extra import standard_variables
from bunsui.monitoring.telemetry import Telemetry
from bunsui.stores.access import may_write

#: The libraries of the extra that is needed where they go to a collector, or to CloudWatch.
LIBRARIES: Mapping[str, str] = {
    "opentelemetry-sdk": "opentelemetry.sdk.metrics",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry.exporter.otlp.proto.http.trace_exporter",
}
#: Where a collector is that no variable names: "OpenTelemetry Protocol Exporter" in the specification.
COLLECTOR = "http://localhost:4318"
#: Seconds that a collector may take to answer.
PATIENCE = 3.0


def telemetry(kind: str, environ: Mapping[str, str] = os.environ) -> Iterator[Check]:
    """The extra that it needs; whether it can be made; and whether its collector, or its file, is there.

    Args:
        kind: what is configured.
        environ: names the collector.
    """
    name, _, place = kind.partition(":")
    if name not in ("otlp", "emf"):
        return
    installed = list(imports("extra telemetry", LIBRARIES, "pip install 'bunsui[telemetry]'"))
    yield from installed
    if any(check.status is not Status.OK for check in installed):
        return
    try:
        made = providers(kind)
        try:
            with standard_variables():
                Telemetry(made)
        finally:
            made.shutdown(0)
        collectors = sorted(_collectors(environ)) if name == "otlp" else ()
    except ConfigError as error:
        yield failed("telemetry", error, "every run ends with this until it is corrected")
        return
    except ValueError as error:
        yield problem(
            "telemetry", f"a collector's URL is none: {error}", "correct OTEL_EXPORTER_OTLP_ENDPOINT"
        )
        return
    if name == "otlp":
        yield from map(collector, collectors)
    elif place not in ("", "stdout", "stderr"):
        yield _file(Path(place).expanduser())


def collector(url: str) -> Check:
    """Whether somebody listens where a collector is."""
    parts = urlsplit(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), PATIENCE).close()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        remedy = "start the collector, or name it in OTEL_EXPORTER_OTLP_ENDPOINT: all is lost until then"
        return warning("telemetry", f"no collector can be reached at {url}: {why}", remedy)
    return ok("telemetry", f"somebody listens at {url}")


def _collectors(environ: Mapping[str, str]) -> set[str]:
    """Where spans and metrics are sent, without the path."""
    found = set()
    for signal in ("TRACES", "METRICS"):
        if environ.get(f"OTEL_{signal}_EXPORTER", "").strip().lower() != "none":
            of_all = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or COLLECTOR
            parts = urlsplit(environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT") or of_all)
            found.add(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")  # Never a password.
    return found


def _file(path: Path) -> Check:
    """Whether lines can be added to a file, which need not be there."""
    if path.exists():
        can_be = not path.is_dir() and may_write(path)
    else:
        can_be = path.parent.is_dir() and may_write(path.parent)
    if can_be:
        return ok("telemetry", f"metrics are added to {path}")
    return problem("telemetry", f"{path} can't be written", "name another file: all is lost until then")
