"""The job types of a runner: those of its plugins, each made for it once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from attrs import evolve

from bunsui.ports.job_type import JobType
from bunsui.ports.made import made_for
from bunsui.ports.registered import Registered, left_out

if TYPE_CHECKING:
    from bunsui.aws.connections import Connections
    from bunsui.errors import PluginError
    from bunsui.plugins.registry import Plugins
    from bunsui.ports.services import Services


class JobTypes(Registered[JobType]):
    """The job types of a runner, by name. Plugins are asked for them once somebody looks into it.

    Args:
        plugins: bring them.
        services: what the runner has for them.
    """

    __slots__ = ("_made", "_plugins", "_services")

    def __init__(self, plugins: Plugins, services: Services) -> None:
        self._plugins = plugins
        self._services = services
        self._made: dict[str, JobType] = {}

    def with_connections(self, aws: Connections) -> JobTypes:
        """The same types, made anew, which call AWS through other connections."""
        return JobTypes(self._plugins, evolve(self._services, aws=aws))

    @property
    def left_out(self) -> tuple[PluginError, ...]:
        """See `Registered.left_out`."""
        return left_out(self._plugins.usable.job_types)

    def __getitem__(self, name: str) -> JobType:
        made = self._made.get(name)
        if made is None:
            # Of two threads that come at once one makes it for nothing.
            kind = self._plugins.usable.job_types[name]
            # What it calls itself: that is its name wherever it is registered.
            given: JobType = made_for(self._services, kind, JobType, "job type", kind.name)
            made = self._made.setdefault(name, given)
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(self._plugins.usable.job_types)

    def __len__(self) -> int:
        return len(self._plugins.usable.job_types)
