"""AWS: who calls it, where, and what came of it.

Its names are loaded when they are used.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

from bunsui.model.later import LATER as _LATER
from bunsui.model.later import not_yet as _not_yet

if TYPE_CHECKING:
    from bunsui.aws.deployed import lambda_handler

__all__ = ["lambda_handler"]

_HOME = {"lambda_handler": "bunsui.aws.deployed"}

if not TYPE_CHECKING:
    # Not for type checkers: to them a module with __getattr__ has every name.
    def __getattr__(name: str) -> object:
        if name in _HOME:
            value = getattr(_import_module(_HOME[name]), name)
            globals()[name] = value
            return value
        if name in _LATER["bunsui.aws"]:
            raise AttributeError(_not_yet(f"bunsui.aws.{name}"), name=name)
        raise AttributeError(f"module 'bunsui.aws' has no attribute '{name}'", name=name)
