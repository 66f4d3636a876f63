"""AWS: who calls it, where, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bunsui.model.later import LATER, not_yet

if not TYPE_CHECKING:
    # Not for type checkers: to them a module with __getattr__ has every name.
    def __getattr__(name: str) -> Any:
        if name in LATER["bunsui.aws"]:
            raise AttributeError(not_yet(f"bunsui.aws.{name}"), name=name)
        raise AttributeError(f"module 'bunsui.aws' has no attribute '{name}'", name=name)
