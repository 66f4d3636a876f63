"""A plugin's hook for events, as whoever shows them needs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from bunsui.engine.events import Event


@frozen
class Observer:
    """One implementation of ``bunsui_session_event``."""

    #: The plugin and its distribution, as messages name them.
    origin: str
    #: Shows it an event of a session; it may raise anything.
    call: Callable[[str, Event], Any]


def taking(function: Callable[..., Any], names: tuple[str, ...]) -> Callable[[str, Event], Any]:
    """A hook's function as one that takes session and event, whichever of them it names, in its order."""
    if names == ("session_id", "event"):
        return function

    def call(session_id: str, event: Event) -> Any:
        given = {"session_id": session_id, "event": event}
        return function(*(given[name] for name in names))

    return call
