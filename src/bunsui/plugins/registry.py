"""`Plugins`: an immutable registry, passed to whoever needs it. There is no global one."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from functools import partial
from importlib.util import find_spec
from types import CoroutineType, ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pluggy

from bunsui import __version__
from bunsui.dsl.problems import did_you_mean
from bunsui.errors import BunsuiError, ConfigError, PluginError
from bunsui.model.lazy import cached_property
from bunsui.plugins import builtins, contributions, hookspecs
from bunsui.plugins.contributions import Wrong
from bunsui.plugins.faults import DISABLE_AUTOLOAD, Claim, claimed_twice, said, traceback_of, warn_of
from bunsui.plugins.observer import Observer, taking
from bunsui.plugins.registration import PluginInfo, Registration
from bunsui.plugins.usable import ByName, Usable
from bunsui.ports.hooks import PROJECT
from bunsui.ports.registered import Registered, left_out, unavailable, with_left_out
from bunsui.stores.urls import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.metadata import EntryPoint

    from bunsui.aws.settings import AwsSettings
    from bunsui.plugins.contributions import Kind
    from bunsui.ports.store import Store


def autoload_is_disabled() -> bool:
    """Whether the environment keeps installed plugins out."""
    return os.environ.get(DISABLE_AUTOLOAD, "") not in ("", "0")


class Plugins(ByName):
    """What is registered: the built-ins, then `plugins`, then installed entry points of the group ``bunsui``.

    What is given is asked at once for all that it brings; what is installed, when that is needed. An
    installed plugin that can't be used is disabled, with a warning: only what needs it fails.

    Such as::

        class Team:
            @bunsui.hookimpl
            def bunsui_stores(self):
                return {"team": lambda url: runner.store}

        plugins = bunsui.Plugins([Team()])
        print("team" in plugins.stores, "lambda" in plugins.job_types)  # True True

    Args:
        plugins: modules or objects whose functions are marked with `bunsui.hookimpl`.
        autoload: whether entry points are imported; BUNSUI_DISABLE_PLUGIN_AUTOLOAD=1 keeps them out too.

    Raises:
        PluginError: one of `plugins` has no hook, one that does not exist or one of other arguments, needs
            hooks of another version, or brings what can't be used or has a name that is taken.
        ConfigError: `plugins` is no list.
    """

    #: The version of the hooks that plugins may ask for with ``bunsui_hook_versions``.
    hook_version: ClassVar[str] = hookspecs.HOOK_VERSION

    def __init__(self, plugins: Sequence[Any] = (), autoload: bool = True) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._registrations: list[Registration] = []
        #: Two threads must not ask one plugin at once.
        self._asking = threading.RLock()
        own = Registration(PROJECT, PROJECT, is_built_in=True, distribution=PROJECT, version=__version__)
        self._add(builtins, own)
        if isinstance(plugins, str) or not isinstance(plugins, Iterable):
            kind = type(plugins).__name__
            raise ConfigError(f"plugins is of type {kind}, not a list", hint="write plugins=[...]")
        for plugin in plugins:
            self._give(plugin)
        self._autoload = autoload and not autoload_is_disabled()
        if self._autoload:
            self._install()

    def _give(self, plugin: Any) -> None:
        name = plugin.__name__ if isinstance(plugin, type | ModuleType) else type(plugin).__name__
        new = Registration(f"{name}@{id(plugin):x}", name)
        try:
            added = self._add(plugin, new)
        except (PluginError, KeyboardInterrupt):
            raise
        except BaseException as error:  # Foreign code: its attributes.
            raise new.fault(f": {said(error)}") from error
        if added is None:
            return
        for kind in contributions.KINDS:
            if kind.hook in added.hooks:
                for claim in self._gathered(kind)[1]:
                    raise claim.error

    def _add(self, plugin: Any, registration: Registration) -> Registration | None:
        if any(each.plugin is plugin for each in self._registrations):
            return None  # Given, and installed too; or given twice.
        if self._manager.is_registered(plugin):
            wrong = "it equals another one that is registered, as pluggy compares them"
            raise registration.fault(f": {wrong}", "give it another __eq__, or none")
        registration.register(self._manager, plugin)
        self._registrations.append(registration)
        return registration

    def _install(self) -> None:
        for found, entry in _installed():
            try:
                plugin = entry.load()
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # Foreign code: one bad plugin must not break the others.
                self._disable(found, found.fault(f": {said(error)}", cause=error))
                continue
            try:
                self._add(plugin, found)
            except PluginError as error:
                self._disable(found, error)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # Foreign code: its attributes.
                self._disable(found, found.fault(f": {said(error)}", cause=error))

    def _disable(self, registration: Registration, error: PluginError) -> None:
        """Leaves an installed plugin out from now on."""
        registration.error = error
        if registration not in self._registrations:
            self._registrations.append(registration)
        warn_of(error)

    # What plugins bring

    def _gathered(
        self, kind: Kind, *, raising: bool = True
    ) -> tuple[dict[str, tuple[Registration, Any]], list[Claim]]:
        """Everything of a kind by name, with who brought it, and the names that two plugins claim.

        Args:
            kind: which.
            raising: whether what can't be used of a plugin that was given is raised; else it is noted.

        Raises:
            PluginError: see `raising`.
        """
        found: dict[str, tuple[Registration, Any]] = {}
        claims: list[Claim] = []
        for registration in [*self._registrations]:
            try:
                brought = self._brought(registration, kind)
            except PluginError as error:
                if raising:
                    raise
                registration.faults[kind.hook] = error
                continue
            for name, thing in brought:
                first = found.setdefault(name, (registration, thing))[0]
                if first is not registration:
                    claims.append(
                        Claim(name, (first, registration), claimed_twice(kind, name, first, registration))
                    )
        return found, claims

    def _brought(self, registration: Registration, kind: Kind) -> list[tuple[str, Any]]:
        """What one plugin brings of a kind; it is asked once."""
        found = registration.brought.get(kind.hook)
        if found is None:
            found = registration.brought[kind.hook] = self._asked(registration, kind)
        return found

    def _asked(self, registration: Registration, kind: Kind) -> list[tuple[str, Any]]:
        ask = registration.implementation(self._manager, kind.hook)
        if ask is None:
            return []
        try:
            found = [*kind.taken(ask(), registration.is_built_in)]
            names = [name for name, _ in found]
            if twice := [name for name in names if names.count(name) > 1]:
                raise Wrong(f"it registers the {kind.title} '{twice[0]}' twice")
            if registration.is_installed and (own := self._own(kind).intersection(names)):
                raise Wrong(f"it registers the {kind.title} '{min(own)}', which bunsui has itself")
        except Wrong as error:
            fault = registration.fault(f": {error}")
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # Foreign code.
            fault = registration.fault(f" failed in {kind.hook}: {said(error)}", cause=error)
        else:
            return found
        if not registration.is_installed:
            raise fault
        registration.faults[kind.hook] = fault
        warn_of(fault)
        return []

    def _own(self, kind: Kind) -> set[str]:
        """The names of what comes with bunsui."""
        return {name for name, _ in self._brought(self._registrations[0], kind)}

    def _registered(self, kind: Kind, *, strict: bool = True) -> Registered[Any]:
        with self._asking:
            found, claims = self._gathered(kind)
            if claims and strict:
                raise claims[0].error
            claimed = {claim.name for claim in claims}
            why = (each.error or each.faults.get(kind.hook) for each in self._registrations)
            usable = {name: thing for name, (_, thing) in found.items() if name not in claimed}
            left_out = [error for error in why if error is not None]
            return Registered(usable, (*left_out, *(claim.error for claim in claims), *self._switched_off()))

    def _switched_off(self) -> Iterator[PluginError]:
        """Why what is installed is missing, where the environment says so."""
        if not self._autoload and autoload_is_disabled():
            names = ", ".join(found.name for found, _ in _installed())
            if names:
                text = f"installed plugins ({names}) are left out: {DISABLE_AUTOLOAD} is set"
                yield PluginError(text, plugin=names, hint="unset it, or give the plugin to the Runner")

    @cached_property
    def usable(self) -> Usable:
        """The same without names that two plugins claim: only who needs one of these fails by that."""
        return Usable(partial(self._registered, strict=False))

    def open_store(self, url: str, aws: AwsSettings | None = None) -> Store:
        """Opens the store that a URL names.

        Such as::

            print(bunsui.Plugins().open_store("memory://").find("session"))  # []

        Args:
            url: of a scheme that a plugin knows.
            aws: as whom, and where, AWS is called where the URL says nothing else; None: as AWS's own tools
                find it.

        Raises:
            ConfigError: the URL is wrong, or no plugin knows its scheme.
            PluginError: what should open it failed, or returned something else; or no plugin knows the
                scheme, and one is disabled.
            StoreError: the store can't be opened.
        """
        from bunsui.ports.store import Store  # noqa: PLC0415 - with all that stores are made of

        scheme, separator, _ = url.partition("://")
        factory = self.usable.stores.get(scheme) if separator else None
        if factory is None:
            raise self._unknown_store(url, scheme if separator else None)
        try:
            store: Any = factory(url)
            if aws is not None and issubclass(type(store), Store):
                store = store.with_aws(aws)
        except (BunsuiError, KeyboardInterrupt):
            raise
        except BaseException as error:  # Foreign code.
            raise self._bringer(contributions.STORES, scheme).fault(
                f" failed to open the store '{shown(url)}': {said(error)}"
            ) from error
        if not issubclass(type(store), Store):  # By its type: what it says of itself is foreign code.
            if type(store) is CoroutineType:
                store.close()
            raise self._bringer(contributions.STORES, scheme).fault(
                f" opened '{shown(url)}' as {type(store).__name__}, which is not a bunsui.ports.store.Store"
            )
        return cast("Store", store)

    def _unknown_store(self, url: str, scheme: str | None) -> BunsuiError:
        known = ", ".join(f"{name}://" for name in self.usable.stores)
        text = f"store '{shown(url)}' begins with none of {known}"
        near = None if scheme is None else did_you_mean(scheme, self.usable.stores)
        if scheme is not None and near is None and (why := left_out(self.usable.stores)):
            return unavailable(text, why)
        hint = "a store is named by a URL, such as sqlite:///bunsui.db"
        return ConfigError(text, hint=hint if near is None else with_left_out(near, self.usable.stores))

    def _bringer(self, kind: Kind, name: str) -> Registration:
        return self._gathered(kind)[0][name][0]

    # What there is

    def describe(self) -> list[PluginInfo]:
        """Every plugin and whether it can be used, the built-ins first; each is asked for all that it brings.

        Where installed plugins are left out, they are named, and not imported.

        Such as::

            print([plugin.name for plugin in bunsui.Plugins(autoload=False).describe()][:1])  # ['bunsui']
        """
        wrong: dict[str, list[PluginError]] = {each.key: [] for each in self._registrations}
        with self._asking:
            for kind in (*contributions.KINDS, *([contributions.COMMANDS] if find_spec("click") else [])):
                for claim in self._gathered(kind, raising=False)[1]:
                    for each in claim.by:
                        wrong[each.key].append(claim.error)
        found = []
        for each in self._registrations:
            errors = [*([each.error] if each.error else []), *each.faults.values(), *wrong[each.key]]
            found.append(
                PluginInfo(
                    each.name,
                    each.distribution,
                    each.version,
                    each.hooks,
                    each.state(errors),
                    reason="; ".join(map(str, errors)) or None,
                    traceback="\n".join(filter(None, map(traceback_of, errors))) or None,
                )
            )
        return found if self._autoload else [*found, *self._left_off()]

    def _left_off(self) -> Iterator[PluginInfo]:
        reason = (
            f"{DISABLE_AUTOLOAD} is set" if autoload_is_disabled() else "this registry has autoload=False"
        )
        for registration, _ in _installed():
            yield PluginInfo(
                registration.name, registration.distribution, registration.version, (), "off", reason
            )

    # Observers

    @property
    def observers(self) -> Sequence[Observer]:
        """Whoever wants to see events, in the order of registration."""
        origins = {each.key: each.origin for each in self._registrations if each.error is None}
        return [
            Observer(origins[found.plugin_name], taking(found.function, found.argnames))
            for found in self._manager.hook.bunsui_session_event.get_hookimpls()
            if found.plugin_name in origins
        ]


def _installed() -> Iterator[tuple[Registration, EntryPoint]]:
    # Imported late: 10 ms that nobody needs who switches entry points off.
    from importlib.metadata import entry_points  # noqa: PLC0415 - see above

    for entry in entry_points(group=PROJECT):
        found = Registration(f"{entry.name}@{entry.value}", entry.name, is_installed=True)
        if entry.dist is not None:
            found.distribution, found.version = entry.dist.name, entry.dist.version
        yield found, entry
