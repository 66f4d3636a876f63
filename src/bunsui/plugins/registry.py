"""`Plugins`: an immutable registry, passed to whoever needs it. There is no global one."""

from __future__ import annotations

import os
import re
import warnings
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pluggy

from bunsui.dsl.fields import IDENTIFIER_PATTERN, JOB_FIELDS
from bunsui.dsl.problems import did_you_mean
from bunsui.errors import ConfigError, PluginError
from bunsui.plugins import builtins, hookspecs
from bunsui.ports.hooks import PROJECT
from bunsui.ports.job_type import JobType
from bunsui.ports.secrets import SecretSource
from bunsui.stores.urls import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bunsui.engine.events import Event
    from bunsui.ports.store import Store

#: Set to 1, it keeps entry points from being imported.
DISABLE_AUTOLOAD = "BUNSUI_DISABLE_PLUGIN_AUTOLOAD"

_LEFT_OUT = f"uninstall it, or leave all installed plugins out with {DISABLE_AUTOLOAD}=1"


class Plugins:
    """What is registered: the built-ins, then `plugins`, then installed entry points of the group ``bunsui``.

    Args:
        plugins: modules or objects whose functions are marked with `bunsui.hookimpl`.
        autoload: whether entry points are imported; BUNSUI_DISABLE_PLUGIN_AUTOLOAD=1 keeps them out too.

    Raises:
        PluginError: one of `plugins` has no hook, one that does not exist, or one of other arguments.
    """

    def __init__(self, plugins: Sequence[Any] = (), autoload: bool = True) -> None:
        manager = pluggy.PluginManager(PROJECT)
        manager.add_hookspecs(hookspecs)
        self._manager = manager
        self._distributions: dict[str, str] = {}
        self._register(builtins, "bunsui", "bunsui")
        for plugin in plugins:
            name = getattr(plugin, "__name__", None) or type(plugin).__name__
            self._register(plugin, name, None)
        if autoload and os.environ.get(DISABLE_AUTOLOAD, "") in ("", "0"):
            self._autoload()

    def _register(self, plugin: Any, name: str, distribution: str | None) -> None:
        if self._manager.is_registered(plugin):
            return  # Given, and installed too.
        # Two plugins may have the same name.
        key = f"{name}@{id(plugin):x}"
        if distribution is not None:
            self._distributions[key] = distribution
        wrong, hint = None, None
        try:
            self._manager.register(plugin, key)
        except pluggy.PluginValidationError as error:
            wrong = str(error).rpartition("\n")[2]  # Behind the plugin's repr.
        known = [hook for hook in vars(hookspecs) if hook.startswith("bunsui_")]
        hooks = self._manager.get_hookcallers(plugin) or ()
        if not hooks and wrong is None:
            wrong, hint = (
                "it has no hook",
                "mark its functions with @bunsui.hookimpl, such as bunsui_job_types()",
            )
        for hook in hooks:
            if not hook.has_spec() and not all(found.optionalhook for found in hook.get_hookimpls()):
                wrong, hint = f"there is no hook '{hook.name}'", did_you_mean(hook.name, known)
        if wrong is not None:
            if self._manager.is_registered(plugin):
                self._manager.unregister(plugin)
            raise self._error(key, f": {wrong}", hint)

    def _error(self, key: str, text: str, hint: str | None = None) -> PluginError:
        """An error that begins with the plugin's name."""
        return PluginError(
            f"plugin {self._origin(key)}{text}",
            plugin=key.partition("@")[0],
            distribution=self._distributions.get(key),
            hint=hint,
        )

    def _autoload(self) -> None:
        # Imported late: 10 ms that nobody needs who switches entry points off.
        from importlib.metadata import entry_points  # noqa: PLC0415

        for entry in entry_points(group=PROJECT):
            distribution = entry.dist.name if entry.dist is not None else None
            try:
                self._register(entry.load(), entry.name, distribution)
            except Exception as error:  # Foreign code: one bad plugin must not break the others.
                origin = f"'{entry.name}'{f' ({distribution})' if distribution else ''}"
                reason = f"plugin {origin}: {type(error).__name__}: {error}"
                text = str(error) if isinstance(error, PluginError) else reason
                warnings.warn(f"a plugin is disabled: {text}", RuntimeWarning, stacklevel=3)

    def _each(self, hook: str, convert: Callable[[Any], Any]) -> Iterable[tuple[str, Any]]:
        """(plugin's key, what its implementation returned, converted), in the order of registration."""
        caller = getattr(self._manager.hook, hook)
        for implementation in caller.get_hookimpls():
            name = implementation.plugin_name
            try:
                result = convert(implementation.function())
            except Exception as error:  # Foreign code.
                # Whoever installed it may know nothing of its code, and can't do anything while it is there.
                hint = _LEFT_OUT if name in self._distributions else None
                text = f" failed in {hook}: {type(error).__name__}: {error}"
                raise self._error(name, text, hint) from error
            yield name, result

    def _origin(self, key: str) -> str:
        distribution = self._distributions.get(key)
        name = key.partition("@")[0]
        return f"'{name}'" if distribution in (None, name) else f"'{name}' ({distribution})"

    @cached_property
    def job_types(self) -> Mapping[str, JobType]:
        """Every job type by its name.

        Raises:
            PluginError: two claim one name, or one is not a job type.
        """
        found: dict[str, JobType] = {}
        origins: dict[str, str] = {}
        for plugin, types in self._each("bunsui_job_types", list):
            for job_type in types:
                self._check_job_type(job_type, plugin)
                name = job_type.name
                if name in found:
                    raise self._duplicate("job type", name, origins[name], plugin)
                found[name] = job_type
                origins[name] = plugin
        return MappingProxyType(found)

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
            raise self._error(plugin, f": {wrong}")

    def _duplicate(self, kind: str, name: str, first: str, second: str) -> PluginError:
        return self._error(
            second,
            f" registers the {kind} '{name}', as plugin {self._origin(first)} does",
            "remove one of them, or switch entry points off with autoload_plugins=False",
        )

    @cached_property
    def stores(self) -> Mapping[str, Callable[[str], Store]]:
        """What opens a store, by the scheme of its URL.

        Raises:
            PluginError: two claim one scheme.
        """
        found: dict[str, Callable[[str], Store]] = {}
        origins: dict[str, str] = {}
        for plugin, factories in self._each("bunsui_stores", dict):
            for scheme, factory in factories.items():
                if scheme in found:
                    raise self._duplicate("store", scheme, origins[scheme], plugin)
                found[scheme] = factory
                origins[scheme] = plugin
        return MappingProxyType(found)

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
                f"store '{shown(url)}' begins with none of {known}",
                hint=(did_you_mean(scheme, self.stores) if separator else None)
                or "a store is named by a URL, such as sqlite:///bunsui.db",
            )
        return factory(url)

    @cached_property
    def secret_sources(self) -> Mapping[str, SecretSource]:
        """Every secret source by its name.

        Raises:
            PluginError: two claim one name, or one is not a secret source.
        """
        found: dict[str, SecretSource] = {}
        origins: dict[str, str] = {}
        for plugin, sources in self._each("bunsui_secret_sources", dict):
            for name, source in sources.items():
                if not isinstance(name, str) or not re.match(IDENTIFIER_PATTERN, name):
                    raise self._error(plugin, f": {name!r} is not a name for a secret source")
                if not isinstance(source, SecretSource):
                    # Its type alone: it could be the secret.
                    what = f"secret source '{name}' is {type(source).__name__}"
                    raise self._error(plugin, f": {what}, not an instance of bunsui.SecretSource")
                if name in found:
                    raise self._duplicate("secret source", name, origins[name], plugin)
                found[name] = source
                origins[name] = plugin
        return MappingProxyType(found)

    @property
    def has_observers(self) -> bool:
        """Whether any plugin wants to see events."""
        return bool(self._manager.hook.bunsui_session_event.get_hookimpls())

    def observe(self, session_id: str, event: Event) -> list[tuple[str, BaseException]]:
        """Shows a committed event to every observer; (plugin, exception) of those that failed."""
        failed = []
        for implementation in self._manager.hook.bunsui_session_event.get_hookimpls():
            values = {"session_id": session_id, "event": event}
            try:
                implementation.function(*(values[name] for name in implementation.argnames))
            except BaseException as error:  # Foreign code: it may raise SystemExit, too.
                failed.append((self._origin(implementation.plugin_name), error))
        return failed
