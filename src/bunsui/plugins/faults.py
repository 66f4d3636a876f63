"""How faults of plugins are told: in errors, and in warnings."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING

from attrs import frozen

from bunsui.model.text import text_of

if TYPE_CHECKING:
    from bunsui.errors import PluginError
    from bunsui.plugins.contributions import Kind
    from bunsui.plugins.registration import Registration

#: Set to 1, it keeps entry points from being imported.
DISABLE_AUTOLOAD = "BUNSUI_DISABLE_PLUGIN_AUTOLOAD"
#: Most characters that are told of what a plugin has raised.
MAX_SAID = 500


def warn_of(error: PluginError) -> None:
    """Warns of a plugin at the line outside of this library that led here."""
    level, frame = 1, sys._getframe()  # noqa: SLF001 - as `warnings` itself does
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        level, frame = level + 1, frame.f_back
    warnings.warn(f"a plugin is disabled: {error}", RuntimeWarning, stacklevel=level)


#: functools: between a cached property and who reads it.
_OURS = ("bunsui", "functools")


@frozen
class Claim:
    """A name that two plugins claim: neither can be used by it."""

    name: str
    by: tuple[Registration, Registration]
    error: PluginError


def claimed_twice(kind: Kind, name: str, first: Registration, second: Registration) -> PluginError:
    """The error of a name that two plugins bring."""
    hint = "give it another name, or leave one of them out"
    if second.is_installed:
        hint = f"uninstall one of them, or leave all installed plugins out with {DISABLE_AUTOLOAD}=1"
    return second.fault(f" registers the {kind.title} '{name}', as plugin {first.origin} does", hint)


def traceback_of(error: PluginError) -> str | None:
    """That of what a plugin has raised."""
    from bunsui.local.results import foreign_traceback  # noqa: PLC0415 - only for who asks what is wrong

    return None if error.__cause__ is None else foreign_traceback(error.__cause__)


def said(error: BaseException) -> str:
    """The type and the text of what foreign code has raised."""
    text = text_of(error)
    if len(text) > MAX_SAID:
        text = f"{text[:MAX_SAID]}... ({len(text)} characters)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
