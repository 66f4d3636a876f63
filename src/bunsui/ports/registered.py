"""What plugins brought, by name, and which of them could not bring anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TypeVar

from bunsui.errors import PluginError

__all__ = ["Registered", "left_out", "unavailable"]

T = TypeVar("T")

#: What helps where an installed plugin can't be used.
REMEDY = "'bunsui plugins' lists them all; update, mend or uninstall it"


class Registered(Mapping[str, T]):
    """An immutable mapping from name to what a plugin brought under it.

    Args:
        found: what there is.
        left_out: why each plugin was disabled that may have brought something else.
    """

    __slots__ = ("_found", "left_out")

    def __init__(self, found: Mapping[str, T], left_out: tuple[PluginError, ...] = ()) -> None:
        self._found = MappingProxyType(dict(found))
        self.left_out = left_out

    def __getitem__(self, name: str) -> T:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return f"Registered({', '.join(self._found)})"


def left_out(found: Mapping[str, object]) -> tuple[PluginError, ...]:
    """Why plugins were disabled that may have brought what is not in `found`."""
    return found.left_out if isinstance(found, Registered) else ()


def unavailable(what: str, why: tuple[PluginError, ...], hint: str | None = None) -> PluginError:
    """The error of something that is not there, where a disabled plugin may have brought it.

    Args:
        what: what is not there, as the beginning of a sentence.
        why: see `left_out`; at least one.
        hint: what to do; None: `REMEDY`.
    """
    first = why[0]
    reasons = "; ".join(error.message for error in why)
    text = f"{what}; a plugin that may have it is disabled: {reasons}"
    error = PluginError(text, plugin=first.plugin, distribution=first.distribution, hint=hint or REMEDY)
    error.__cause__ = first
    return error
