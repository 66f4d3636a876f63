"""`Plugins`: an immutable registry, passed to whoever needs it. There is no global one."""

from __future__ import annotations

import os
import warnings
from functools import cached_property
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pluggy

from bunsui.dsl.problems import did_you_mean
from bunsui.dsl.schema import JOB_FIELDS
from bunsui.errors import ConfigError, PluginError
from bunsui.plugins import builtins, hookspecs
from bunsui.ports.hooks import PROJECT
from bunsui.ports.job_type import JobType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bunsui.engine.events import Event
    from bunsui.ports.store import Store

#: Set to 1, it keeps entry points from being imported.
DISABLE_AUTOLOAD = "BUNSUI_DISABLE_PLUGIN_AUTOLOAD"


class Plugins:
    """What is registered: the built-ins, then `plugins`, then installed entry points of the group ``bunsui``.

    Args:
        plugins: modules or objects whose functions are marked with `bunsui.hookimpl`.
        autoload: whether entry points are imported; BUNSUI_DISABLE_PLUGIN_AUTOLOAD=1 keeps them out too.

    Raises:
        PluginError: one of `plugins` has a misspelt hook.
    """

    def __init__(self, plugins: Sequence[Any] = (), autoload: bool = True) -> None:
        manager = pluggy.PluginManager(PROJECT)
        manager.add_hookspecs(hookspecs)
        self._manager = manager
        self._distributions: dict[str, str] = {}
        self._register(builtins, "bunsui", "bunsui")
        for plugin in plugins:
            name = getattr(plugin, "__name__", None) or type(plugin).__name__
            self._register(plugin, f"{name}@{id(plugin):x}", None)
        if autoload and os.environ.get(DISABLE_AUTOLOAD, "") in ("", "0"):
            self._autoload()

    def _register(self, plugin: Any, name: str, distribution: str | None) -> None:
        self._manager.register(plugin, name)
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            self._manager.unregister(plugin)
            raise PluginError(str(error), plugin=name, distribution=distribution) from error
        if distribution is not None:
            self._distributions[name] = distribution

    def _autoload(self) -> None:
        for entry in entry_points(group=PROJECT):
            distribution = entry.dist.name if entry.dist is not None else None
            try:
                self._register(entry.load(), entry.name, distribution)
            except Exception as error:  # Foreign code: one bad plugin must not break the others.
                warnings.warn(
                    f"plugin '{entry.name}' of {distribution} is disabled:"
                    f" {type(error).__name__}: {error}",
                    RuntimeWarning,
                    stacklevel=4,
                )

    def _each(self, hook: str) -> Iterable[tuple[str, Any]]:
        """(plugin's name, what its implementation returned), in the order of registration."""
        caller = getattr(self._manager.hook, hook)
        for implementation in caller.get_hookimpls():
            name = implementation.plugin_name
            try:
                result = implementation.function()
            except Exception as error:  # Foreign code.
                raise PluginError(
                    f"plugin '{self._origin(name)}' failed in {hook}: {type(error).__name__}: {error}",
                    plugin=name,
                    distribution=self._distributions.get(name),
                ) from error
            yield name, result

    def _origin(self, name: str) -> str:
        distribution = self._distributions.get(name)
        plain = name.partition("@")[0]
        return plain if distribution in (None, plain) else f"{plain} ({distribution})"

    @cached_property
    def job_types(self) -> Mapping[str, JobType]:
        """Every job type by its name.

        Raises:
            PluginError: two claim one name, or one is not a job type.
        """
        found: dict[str, JobType] = {}
        origins: dict[str, str] = {}
        for plugin, types in self._each("bunsui_job_types"):
            for job_type in types:
                self._check_job_type(job_type, plugin)
                name = job_type.name
                if name in found:
                    raise self._duplicate("job type", name, origins[name], plugin)
                found[name] = job_type
                origins[name] = plugin
        return found

    def _check_job_type(self, job_type: Any, plugin: str) -> None:
        wrong = None
        if not isinstance(job_type, JobType):
            wrong = f"{job_type!r} is not an instance of bunsui.JobType"
        elif not isinstance(getattr(job_type, "name", None), str):
            wrong = f"{type(job_type).__name__} has no 'name'"
        elif not isinstance(getattr(job_type, "schema", None), dict):
            wrong = f"{type(job_type).__name__} has no 'schema'"
        elif common := sorted(set(job_type.schema.get("properties", {})) & set(JOB_FIELDS)):
            wrong = f"job type '{job_type.name}' has a field of every job: {', '.join(common)}"
        if wrong is not None:
            raise PluginError(
                f"plugin '{self._origin(plugin)}': {wrong}",
                plugin=plugin,
                distribution=self._distributions.get(plugin),
            )

    def _duplicate(self, kind: str, name: str, first: str, second: str) -> PluginError:
        return PluginError(
            f"{kind} '{name}' is registered twice: by {self._origin(first)} and {self._origin(second)}",
            plugin=second,
            distribution=self._distributions.get(second),
            hint="remove one of them, or switch entry points off with autoload_plugins=False",
        )

    @cached_property
    def stores(self) -> Mapping[str, Callable[[str], Store]]:
        """What opens a store, by the scheme of its URL.

        Raises:
            PluginError: two claim one scheme.
        """
        found: dict[str, Callable[[str], Store]] = {}
        origins: dict[str, str] = {}
        for plugin, factories in self._each("bunsui_stores"):
            for scheme, factory in factories.items():
                if scheme in found:
                    raise self._duplicate("store", scheme, origins[scheme], plugin)
                found[scheme] = factory
                origins[scheme] = plugin
        return found

    def open_store(self, url: str) -> Store:
        """Opens the store that a URL names.

        Raises:
            ConfigError: the URL is wrong, or no plugin knows its scheme.
            StoreError: the store can't be opened.
        """
        scheme, separator, _ = url.partition("://")
        factory = self.stores.get(scheme) if separator else None
        if factory is None:
            known = ", ".join(f"{name}://" for name in self.stores)
            raise ConfigError(
                f"store '{url}' begins with none of {known}",
                hint=did_you_mean(scheme, self.stores) or "such as sqlite:///bunsui.db",
            )
        return factory(url)

    @property
    def has_observers(self) -> bool:
        """Whether any plugin wants to see events."""
        return bool(self._manager.hook.bunsui_session_event.get_hookimpls())

    def observe(self, session_id: str, event: Event) -> list[tuple[str, Exception]]:
        """Shows a committed event to every observer; (plugin, exception) of those that failed."""
        failed = []
        for implementation in self._manager.hook.bunsui_session_event.get_hookimpls():
            values = {"session_id": session_id, "event": event}
            try:
                implementation.function(*(values[name] for name in implementation.argnames))
            except Exception as error:  # Foreign code.
                failed.append((self._origin(implementation.plugin_name), error))
        return failed
