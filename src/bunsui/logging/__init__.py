"""Logs: those of jobs, written as lines of JSON and read again, and the application's own.

Its names are for the application's own log; they are loaded when they are used. Importing this package
configures nothing, and adds no handler.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bunsui.logging.cloudwatch.handler import CloudWatchHandler
    from bunsui.logging.configuring import Configured, configure
    from bunsui.logging.context import ContextFilter
    from bunsui.logging.formats import JsonFormatter, TextFormatter
    from bunsui.logging.levels import LevelSet, LogLevel, set_level
    from bunsui.logging.schema import json_schema
    from bunsui.logging.structured_logger import StructuredLogger

__all__ = [
    "CloudWatchHandler",
    "Configured",
    "ContextFilter",
    "JsonFormatter",
    "LevelSet",
    "LogLevel",
    "StructuredLogger",
    "TextFormatter",
    "configure",
    "json_schema",
    "set_level",
]

_HOME = {
    "CloudWatchHandler": "bunsui.logging.cloudwatch.handler",
    "Configured": "bunsui.logging.configuring",
    "ContextFilter": "bunsui.logging.context",
    "JsonFormatter": "bunsui.logging.formats",
    "LevelSet": "bunsui.logging.levels",
    "LogLevel": "bunsui.logging.levels",
    "StructuredLogger": "bunsui.logging.structured_logger",
    "TextFormatter": "bunsui.logging.formats",
    "configure": "bunsui.logging.configuring",
    "json_schema": "bunsui.logging.schema",
    "set_level": "bunsui.logging.levels",
}

if not TYPE_CHECKING:
    # Not for type checkers: to them a module with __getattr__ has every name.
    def __getattr__(name: str) -> object:
        if name in _HOME:
            value = getattr(_import_module(_HOME[name]), name)
            globals()[name] = value
            return value
        raise AttributeError(f"module 'bunsui.logging' has no attribute '{name}'", name=name)
