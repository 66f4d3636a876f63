"""What plugins bring, by name: all of it, or what no two of them claim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bunsui.model.lazy import cached_property
from bunsui.plugins import contributions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import click

    from bunsui.plugins.contributions import Kind
    from bunsui.ports.alerts import AlertChannel
    from bunsui.ports.job_type import JobType
    from bunsui.ports.registered import Registered
    from bunsui.ports.secrets import SecretSource
    from bunsui.ports.store import Store


class ByName:
    """What plugins bring, by name.

    Each raises PluginError where two plugins claim one name, unless it is that of a `Usable`.
    """

    def _registered(self, kind: Kind) -> Registered[Any]:
        """All of a kind."""
        raise NotImplementedError

    @cached_property
    def job_types(self) -> Mapping[str, JobType]:
        """Every job type by its name."""
        return self._registered(contributions.JOB_TYPES)

    @cached_property
    def stores(self) -> Mapping[str, Callable[[str], Store]]:
        """What opens a store, by the scheme of its URL."""
        return self._registered(contributions.STORES)

    @cached_property
    def secret_sources(self) -> Mapping[str, SecretSource]:
        """Every secret source by its name."""
        return self._registered(contributions.SECRET_SOURCES)

    @cached_property
    def alert_channels(self) -> Mapping[str, AlertChannel]:
        """Every type of alert channel by its name."""
        return self._registered(contributions.ALERT_CHANNELS)

    @cached_property
    def cli_commands(self) -> Mapping[str, click.Command]:
        """The commands that plugins add to ``bunsui``, by name."""
        return self._registered(contributions.COMMANDS)


class Usable(ByName):
    """The same without names that two plugins claim: only who needs one of these fails by that.

    Args:
        ask: gives what is not claimed twice.
    """

    def __init__(self, ask: Callable[[Kind], Registered[Any]]) -> None:
        self._ask = ask

    def _registered(self, kind: Kind) -> Registered[Any]:
        return self._ask(kind)
