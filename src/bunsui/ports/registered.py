"""What plugins brought, by name, and which of them could not bring anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TypeVar

from bunsui.errors import PluginError

__all__ = ["REMEDY", "Later", "Registered", "left_out", "unavailable", "with_left_out"]

T = TypeVar("T")

#: What helps where an installed plugin can't be used.
REMEDY = "'bunsui plugins' lists them all; update, mend or uninstall it"


class Registered(Mapping[str, T]):
    """An immutable mapping from name to what a plugin brought under it.

    Args:
        found: what there is.
        left_out: why each plugin is missing that may have brought something else.
    """

    __slots__ = ("_found", "_left_out")

    def __init__(self, found: Mapping[str, T], left_out: tuple[PluginError, ...] = ()) -> None:
        self._found = MappingProxyType(dict(found))
        self._left_out = left_out

    @property
    def left_out(self) -> tuple[PluginError, ...]:
        """Why each plugin is missing that may have brought something else."""
        return self._left_out

    def __getitem__(self, name: str) -> T:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self)})"


class Later(Registered[T]):
    """The same, of plugins that are asked when somebody looks into it: who never does needs none of them.

    Args:
        ask: gives what there is; it is asked each time, so it should remember.
    """

    __slots__ = ("_ask",)

    def __init__(self, ask: Callable[[], Mapping[str, T]]) -> None:
        self._ask = ask

    @property
    def left_out(self) -> tuple[PluginError, ...]:
        """See `Registered.left_out`."""
        return left_out(self._ask())

    def __getitem__(self, name: str) -> T:
        return self._ask()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ask())

    def __len__(self) -> int:
        return len(self._ask())


def left_out(found: Mapping[str, object]) -> tuple[PluginError, ...]:
    """Why plugins are missing that may have brought what is not in `found`."""
    return found.left_out if isinstance(found, Registered) else ()


def unavailable(what: str, why: tuple[PluginError, ...], hint: str | None = None) -> PluginError:
    """The error of something that is not there, where a plugin that can't be used may have brought it.

    Args:
        what: what is not there, as the beginning of a sentence.
        why: see `left_out`; at least one.
        hint: what to do; None: what the one plugin says that may have it, else `REMEDY`.
    """
    first = why[0]
    text = f"{what}; {_disabled(why)}"
    remedy = first.hint if len(why) == 1 and first.hint is not None else REMEDY
    error = PluginError(text, plugin=first.plugin, distribution=first.distribution, hint=hint or remedy)
    error.__cause__ = first
    return error


def with_left_out(hint: str, found: Mapping[str, object]) -> str:
    """A hint, such as to a name that is like the one that is not there, with the plugins that are missing."""
    why = left_out(found)
    return f"{hint}; {_disabled(why)}" if why else hint


def _disabled(why: tuple[PluginError, ...]) -> str:
    return f"a plugin that may have it is disabled: {'; '.join(error.message for error in why)}"
