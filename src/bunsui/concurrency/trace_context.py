"""The trace that this process goes on with, as who started it says in variables."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: W3C Trace Context and Baggage as variables: "Environment Variables as Context Propagation Carriers" in the
#: specification of OpenTelemetry.
VARIABLES = ("TRACEPARENT", "TRACESTATE", "BAGGAGE")


def carried(variables: Mapping[str, str]) -> dict[str, str]:
    """Those of some variables that say which trace to go on with."""
    return {name: variables[name] for name in VARIABLES if name in variables}


class _Variables:
    """How a propagator looks up what it knows as a header, such as ``traceparent`` or ``X-Amzn-Trace-Id``."""

    def get(self, carrier: Mapping[str, str], key: str) -> list[str] | None:
        # As variables of an environment they are in capitals.
        value = carrier.get(key.upper().replace("-", "_"))
        return None if value is None else [value]

    def keys(self, carrier: Mapping[str, str]) -> list[str]:
        return [name.lower().replace("_", "-") for name in carrier]


@contextlib.contextmanager
def gone_on(environment: Mapping[str, str]) -> Iterator[None]:
    """Goes on with the caller's trace while this lasts, where OpenTelemetry's API is installed.

    Args:
        environment: variables such as ``TRACEPARENT``; where there is none, nothing is imported.
    """
    token = None
    if environment:
        try:
            from opentelemetry import context, propagate  # noqa: PLC0415 - only where there is a trace

            getter: Any = _Variables()  # Of no class of the API: that is imported here alone.
            found = propagate.extract(environment, getter=getter)
            token = None if found is None else context.attach(found)  # Whatever propagator is configured.
        except Exception as error:  # Whatever a propagator that is configured here raises: the work goes on.
            import logging  # noqa: PLC0415 - commands import this, and rarely log

            logging.getLogger(__name__).debug(
                "the trace is not gone on with: %s: %s", type(error).__name__, error
            )
    try:
        yield
    finally:
        if token is not None:
            context.detach(token)
