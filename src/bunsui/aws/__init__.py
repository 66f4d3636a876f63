"""AWS: who calls it, where, and what came of it.

Its names are loaded when they are used.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bunsui.aws.deployed import lambda_handler
    from bunsui.aws.policies import iam_policy

__all__ = ["iam_policy", "lambda_handler"]

_HOME = {"iam_policy": "bunsui.aws.policies", "lambda_handler": "bunsui.aws.deployed"}

if not TYPE_CHECKING:
    # Not for type checkers: to them a module with __getattr__ has every name.
    def __getattr__(name: str) -> object:
        if name in _HOME:
            value = getattr(_import_module(_HOME[name]), name)
            globals()[name] = value
            return value
        raise AttributeError(f"module 'bunsui.aws' has no attribute '{name}'", name=name)
