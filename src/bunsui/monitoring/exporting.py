"""Where traces and metrics go: OpenTelemetry's providers, by what is configured as ``telemetry``.

``auto``
    What the application has set as the global providers, if it has set any: a library never does.
``otlp``
    Providers of its own, which send OTLP over HTTP as the standard variables say, such as
    ``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_METRIC_EXPORT_INTERVAL`` and ``OTEL_TRACES_SAMPLER``; see
    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/.
``emf``
    Metrics alone, as CloudWatch's embedded metric format: see `bunsui.monitoring.emf`.
``off``
    Nothing, whatever the application has set.

Nothing here sets a global provider. Threads of the SDK start with `providers`, and end with
`Providers.shutdown`, at the latest with the process, which waits `AT_EXIT` seconds for what is left to send.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import field, frozen

from bunsui.errors import ConfigError
from bunsui.monitoring.extra import missing_extra, standard_variables
from bunsui.monitoring.looking import may_be_set

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.trace import TracerProvider

Provider = TypeVar("Provider")

#: What `providers` takes, beside ``emf:`` with a place.
KINDS = ("auto", "otlp", "emf", "off")
#: Seconds that the end of a process waits for what is left to send, where nobody has called `shutdown`.
AT_EXIT = 5.0
#: What a service is called that has no name of its own.
SERVICE = "bunsui"
#: How OTLP is sent: by `opentelemetry-exporter-otlp-proto-http`, which knows this protocol alone.
PROTOCOL = "http/protobuf"
_STREAMS = ("stdout", "stderr")
#: Classes of providers that do nothing, or stand there until one is set; not all of them have public names.
_IDLE = frozenset({"NoOpTracerProvider", "ProxyTracerProvider", "NoOpMeterProvider", "_ProxyMeterProvider"})


@frozen(eq=False)
class Providers:
    """OpenTelemetry's providers for what is recorded here."""

    #: None: no spans are recorded.
    tracer_provider: TracerProvider | None = None
    #: None: no metrics are recorded.
    meter_provider: MeterProvider | None = None
    #: Those that end them, once `_end` is set; empty for those of the application, which ends them itself.
    _enders: tuple[threading.Thread, ...] = ()
    _end: threading.Event = field(factory=threading.Event)
    _process: int = field(factory=os.getpid)

    def __attrs_post_init__(self) -> None:
        if self._enders:
            atexit.register(self.shutdown, AT_EXIT)

    def shutdown(self, timeout_seconds: float = 10.0) -> bool:
        """Sends what is left, and ends what was started for it. A second call does nothing.

        What an application has set is left alone. In a process that was forked nothing is sent and nothing
        waited for: what is left is the parent's.

        Args:
            timeout_seconds: how long it may take; what has not been sent then, as the collector hangs, is
                lost.

        Returns:
            Whether it was over in time. Whether a collector took it, its exporter logs.
        """
        if not self._enders or self._end.is_set() or os.getpid() != self._process:
            return True
        self._end.set()
        atexit.unregister(self.shutdown)
        until = time.monotonic() + timeout_seconds
        for ender in self._enders:
            ender.join(max(until - time.monotonic(), 0))
        return not any(ender.is_alive() for ender in self._enders)


def providers(kind: str) -> Providers:
    """The providers for a value of the configuration's ``telemetry``.

    Args:
        kind: ``auto``, ``otlp``, ``off``, or ``emf``: to standard error, ``emf:stdout``, or ``emf:PATH``: to
            a file.

    Raises:
        ConfigError: it is something else, the extra ``telemetry`` is not installed, OTLP is to be sent
            otherwise than over HTTP, or one of the standard variables is wrong.
    """
    name, colon, place = kind.partition(":") if isinstance(kind, str) else (repr(kind)[:100], "", "")
    if name == "emf" and (place or not colon):
        with standard_variables():
            return _emf(place)
    if colon or name not in KINDS:
        raise ConfigError(
            f"there is no telemetry {kind!r:.100}", hint=f"it is {', '.join(KINDS)}, or emf:PATH"
        )
    with standard_variables():
        return {"auto": _set_by_the_application, "otlp": _otlp, "off": Providers}[name]()


def _set_by_the_application() -> Providers:
    tracer: TracerProvider | None = None
    meter: MeterProvider | None = None
    if may_be_set("trace"):
        from opentelemetry.trace import get_tracer_provider  # noqa: PLC0415 - only where somebody uses it

        tracer = _at_work(get_tracer_provider())
    if may_be_set("metrics"):
        from opentelemetry.metrics import get_meter_provider  # noqa: PLC0415 - likewise

        meter = _at_work(get_meter_provider())
    return Providers(tracer, meter)


def _at_work(provider: Provider) -> Provider | None:
    return None if type(provider).__name__ in _IDLE else provider


def _otlp() -> Providers:
    for signal in ("TRACES", "METRICS"):
        for variable in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
            protocol = os.environ.get(variable, "").strip()
            if protocol not in ("", PROTOCOL):
                raise ConfigError(
                    f"{variable} is {protocol!r:.100}, and bunsui sends OTLP over HTTP",
                    hint=f"set it to {PROTOCOL}, with the collector's port for it, which is 4318; or set"
                    " providers of your own, and telemetry to auto",
                )
            if protocol:
                break
    try:
        from bunsui.monitoring import otlp  # noqa: PLC0415 - with OpenTelemetry's SDK: 200 ms
    except ImportError as error:
        raise missing_extra("telemetry 'otlp'") from error
    resource = _resource()
    tracer = None if _is_none("OTEL_TRACES_EXPORTER") else otlp.tracer_provider(resource)
    try:
        meter = None if _is_none("OTEL_METRICS_EXPORTER") else otlp.meter_provider(resource)
    except ValueError:
        if tracer is not None:
            tracer.shutdown()
        raise
    return _own(tracer, meter)


def _emf(place: str) -> Providers:
    try:
        from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 - as above
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415 - as above
    except ImportError as error:
        raise missing_extra("telemetry 'emf'") from error
    from bunsui.monitoring.emf import EmfMetricExporter  # noqa: PLC0415 - it imports the SDK

    if place and place not in _STREAMS:
        exporter = EmfMetricExporter(path=os.path.expanduser(place))  # noqa: PTH111 - a path as text
    else:
        exporter = EmfMetricExporter(None if place == "stdout" else sys.stderr)
    reader = PeriodicExportingMetricReader(exporter)
    return _own(None, MeterProvider([reader], _resource(), shutdown_on_exit=False))


def _own(tracer: TracerProvider | None, meter: MeterProvider | None) -> Providers:
    end = threading.Event()
    # Each for as long as there is, at once: the SDK's own limits do not add up to one. They wait from the
    # beginning, as from Python 3.12 on none can be started when the process ends.
    enders = tuple(
        threading.Thread(target=_wait, args=(end, one), name="bunsui-telemetry-end", daemon=True)
        for one in (tracer, meter)
        if one is not None
    )
    for ender in enders:
        ender.start()
    return Providers(tracer, meter, enders, end)


def _wait(end: threading.Event, provider: Any) -> None:
    end.wait()
    provider.shutdown()


def _is_none(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() == "none"


def _resource() -> Resource:
    """What is said of this process: as the standard variables say, else that it is bunsui, and which."""
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - as above

    found = Resource.create()
    # What the SDK calls a service that nobody has named begins so.
    if str(found.attributes.get("service.name", "unknown_service")).startswith("unknown_service"):
        return found.merge(Resource({"service.name": SERVICE, "service.version": version("bunsui")}))
    return found
