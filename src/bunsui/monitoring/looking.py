"""Whether OpenTelemetry is in use in this program, found out without importing it: that takes 100 ms."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.context import Context

#: Variables with which OpenTelemetry itself is told to set a global provider.
_VARIABLES = {"trace": "OTEL_PYTHON_TRACER_PROVIDER", "metrics": "OTEL_PYTHON_METER_PROVIDER"}


def may_be_set(room: str) -> bool:
    """Whether there may be a global provider: there is none without the module, or the variable.

    Args:
        room: ``trace`` or ``metrics``.
    """
    return f"opentelemetry.{room}" in sys.modules or bool(os.environ.get(_VARIABLES[room]))


def is_in_use() -> bool:
    """Whether there may be a global provider of either kind, or a trace that somebody has begun."""
    return may_be_set("trace") or may_be_set("metrics")


def current_context() -> Context | None:
    """The context of OpenTelemetry here, where a span is under way in it; None: there is none."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None or not trace.get_current_span().get_span_context().is_valid:
        return None
    from opentelemetry.context import get_current  # noqa: PLC0415 - see the module

    return get_current()
