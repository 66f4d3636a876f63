"""What a run tells of itself beside its history: traces, metrics and alerts.

Its names are loaded when they are used; OpenTelemetry is imported by what records something with it.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bunsui.monitoring.emf import EmfMetricExporter
    from bunsui.monitoring.exporting import Providers, providers
    from bunsui.monitoring.figures import JobFigures, Percentiles, PipelineFigures, Snapshot
    from bunsui.monitoring.metrics import MetricsCollector

__all__ = [
    "EmfMetricExporter",
    "JobFigures",
    "MetricsCollector",
    "Percentiles",
    "PipelineFigures",
    "Providers",
    "Snapshot",
    "providers",
]

_HOME = {
    "EmfMetricExporter": "bunsui.monitoring.emf",
    "JobFigures": "bunsui.monitoring.figures",
    "MetricsCollector": "bunsui.monitoring.metrics",
    "Percentiles": "bunsui.monitoring.figures",
    "PipelineFigures": "bunsui.monitoring.figures",
    "Providers": "bunsui.monitoring.exporting",
    "Snapshot": "bunsui.monitoring.figures",
    "providers": "bunsui.monitoring.exporting",
}

if not TYPE_CHECKING:
    # Not for type checkers: to them a module with __getattr__ has every name.
    def __getattr__(name: str) -> object:
        if name in _HOME:
            value = getattr(_import_module(_HOME[name]), name)
            globals()[name] = value
            return value
        raise AttributeError(f"module 'bunsui.monitoring' has no attribute '{name}'", name=name)
