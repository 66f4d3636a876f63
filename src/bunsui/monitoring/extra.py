"""What to say where the extra ``telemetry`` is not installed."""

from __future__ import annotations

from bunsui.errors import ConfigError


def missing_extra(what: str) -> ConfigError:
    """The error of what needs OpenTelemetry's SDK, or its exporter for OTLP, which is not there."""
    return ConfigError(
        f"{what} needs OpenTelemetry's SDK, which is not installed", hint="pip install 'bunsui[telemetry]'"
    )
