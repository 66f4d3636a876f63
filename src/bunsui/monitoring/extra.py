"""What to say where OpenTelemetry can't be used: it is not installed, or not set up as it has to be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bunsui.errors import ConfigError


def missing_extra(what: str) -> ConfigError:
    """The error of what needs OpenTelemetry's SDK, or its exporter for OTLP, which is not there."""
    return ConfigError(
        f"{what} needs OpenTelemetry's SDK, which is not installed", hint="pip install 'bunsui[telemetry]'"
    )


@contextmanager
def standard_variables() -> Iterator[None]:
    """What OpenTelemetry does as its variables say; it reads some of them when it is imported.

    Raises:
        ConfigError: one of them is wrong.
    """
    try:
        yield
    except ValueError as error:
        text = " ".join(str(error).split())
        raise ConfigError(
            f"a variable OTEL_* is wrong: {text:.200}", hint="correct it, or set telemetry to off"
        ) from error
