"""What plugins bring, without names that two of them claim."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from bunsui.plugins import contributions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import click

    from bunsui.plugins.contributions import Kind
    from bunsui.ports.job_type import JobType
    from bunsui.ports.registered import Registered
    from bunsui.ports.secrets import SecretSource
    from bunsui.ports.store import Store


class Asking(Protocol):
    """What a registry has of a kind."""

    def __call__(self, kind: Kind, *, strict: bool) -> Registered[Any]:
        """Where it is not strict, names that two plugins claim are left out."""


class Usable:
    """Job types, stores, secret sources and commands by name, as those need them who use some of them.

    Args:
        ask: the registry's.
    """

    def __init__(self, ask: Asking) -> None:
        self._ask = ask

    @cached_property
    def job_types(self) -> Mapping[str, JobType]:
        """Every job type by its name."""
        return self._ask(contributions.JOB_TYPES, strict=False)

    @cached_property
    def stores(self) -> Mapping[str, Callable[[str], Store]]:
        """What opens a store, by the scheme of its URL."""
        return self._ask(contributions.STORES, strict=False)

    @cached_property
    def secret_sources(self) -> Mapping[str, SecretSource]:
        """Every secret source by its name."""
        return self._ask(contributions.SECRET_SOURCES, strict=False)

    @cached_property
    def cli_commands(self) -> Mapping[str, click.Command]:
        """The commands that plugins add to ``bunsui``, by name."""
        return self._ask(contributions.COMMANDS, strict=False)
