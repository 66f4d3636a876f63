"""What plugins bring, made for one runner: job types, secret sources and alert channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from bunsui.errors import PluginError
from bunsui.model.text import text_of

if TYPE_CHECKING:
    from bunsui.ports.services import Services


class Brought(Protocol):
    """What a plugin brings that is made for each runner."""

    def for_runner(self, services: Services) -> object:
        """The same, as one runner uses it."""


def made_for(
    services: Services, brought: Brought, kind: type[Any], what: str, name: str, *, says: bool = True
) -> Any:
    """What somebody's ``for_runner`` gives.

    Args:
        services: what the runner has for it.
        brought: whose it is.
        kind: what it has to give.
        what: the same, for a person, such as ``job type``.
        name: the name under which it is registered.
        says: whether what it raises may be shown, and not the name of its type alone.

    Raises:
        PluginError: it failed, or gave something else.
    """
    try:
        made = brought.for_runner(services)
    except KeyboardInterrupt:  # Of who waits for this.
        raise
    except BaseException as error:  # Foreign code: it may raise SystemExit, too.
        text = f"for_runner() of {what} '{name}' failed: {type(error).__name__}"
        text += f": {text_of(error)}" if says else ""
        raise PluginError(text, plugin=name) from error
    if not isinstance(made, kind):
        text = f"for_runner() of {what} '{name}' gave {type(made).__name__}, which is no {what}"
        raise PluginError(text, plugin=name)
    return made
