"""One plugin of a registry: where it came from, which hooks it has, and whether it can be used."""

from __future__ import annotations

from inspect import (
    Parameter,
    isasyncgenfunction,
    isclass,
    iscoroutinefunction,
    isgeneratorfunction,
    signature,
)
from typing import TYPE_CHECKING, Any

import pluggy
from attrs import define, field, frozen

from bunsui.dsl.problems import did_you_mean
from bunsui.errors import PluginError
from bunsui.plugins import hookspecs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: The attribute of a plugin that says which versions of the hooks it needs.
VERSIONS = "bunsui_hook_versions"

HOOKS = tuple(name for name in vars(hookspecs) if name.startswith("bunsui_"))


@frozen
class PluginInfo:
    """A plugin, as `Plugins.describe` tells of it."""

    #: That of its entry point, or of the module or class that was given.
    name: str
    #: The distribution that it came with, and its version; None where it was given.
    distribution: str | None
    version: str | None
    #: The hooks that it implements, as far as it could be imported.
    hooks: tuple[str, ...]
    #: ``active``; ``disabled``: it can't be used; ``partial``: a hook of it failed, and what that would bring
    #: is missing; ``conflict``: it claims a name that is taken; ``off``: installed plugins are left out.
    state: str
    #: Why it is not active.
    reason: str | None
    #: The traceback of what it has raised, where it has raised something.
    traceback: str | None = field(default=None, repr=False)


@define(eq=False)
class Registration:
    """A plugin in a registry."""

    #: Unique in the registry.
    key: str
    name: str
    #: Whether it was found: then its faults disable it, where those of one that was given are raised.
    is_installed: bool = False
    is_built_in: bool = False
    distribution: str | None = None
    version: str | None = None
    plugin: Any = field(default=None, repr=False)
    hooks: tuple[str, ...] = ()
    #: What the hooks that were called so far have brought: (name, thing).
    brought: dict[str, list[tuple[str, Any]]] = field(factory=dict)
    #: Why it is disabled: it could not be imported or registered.
    error: PluginError | None = None
    #: Why hooks that were called so far could bring nothing. Each stands by itself: what else the plugin
    #: brings does not depend on which was called first.
    faults: dict[str, PluginError] = field(factory=dict)

    @property
    def origin(self) -> str:
        """Its name, and the distribution with its version where that says more."""
        if self.distribution is None or self.is_built_in:
            return f"'{self.name}'"
        release = f"{self.distribution} {self.version}" if self.version else self.distribution
        return f"'{self.name}' ({release})"

    def state(self, errors: Sequence[PluginError]) -> str:
        """How it is, with all that is wrong with it; see `PluginInfo.state`."""
        if not errors:
            return "active"
        if self.error is not None or set(self.hooks) == set(self.faults):
            return "disabled"
        return "partial" if self.faults else "conflict"

    def fault(self, text: str, hint: str | None = None, *, cause: BaseException | None = None) -> PluginError:
        """An error that begins with the plugin's name; `cause` is what the plugin has raised."""
        text = f"plugin {self.origin}{text}"
        error = PluginError(text, plugin=self.name, distribution=self.distribution, hint=hint)
        error.__cause__ = cause
        return error

    def register(self, manager: pluggy.PluginManager, plugin: Any) -> None:
        """Registers the plugin's hooks.

        Raises:
            PluginError: it has none, one that does not exist or is of another form, or needs others.
        """
        wrong = _wrong_version(plugin) or self._added(manager, plugin)
        if wrong is not None:
            if manager.has_plugin(self.key):
                manager.unregister(name=self.key)
            raise self.fault(f": {wrong[0]}", wrong[1])
        self.plugin = plugin
        self.hooks = tuple(hook for hook in HOOKS if _implementation(manager, hook, self.key) is not None)

    def _added(self, manager: pluggy.PluginManager, plugin: Any) -> tuple[str, str | None] | None:
        """Adds it; what is wrong with it, and what helps."""
        try:
            manager.register(plugin, self.key)
        except pluggy.PluginValidationError as error:
            # Behind the plugin's repr.
            return _unknown_argument(plugin) or (str(error).rpartition("\n")[2], None)
        hooks = manager.get_hookcallers(plugin) or ()
        if not hooks:
            return "it has no hook", "mark its functions with @bunsui.hookimpl, such as bunsui_job_types()"
        for hook in hooks:
            found = _implementation(manager, hook.name, self.key)
            if found is None or (not hook.has_spec() and found.optionalhook):
                continue
            if not hook.has_spec():
                return f"there is no hook '{hook.name}'", did_you_mean(hook.name, HOOKS)
            if isclass(plugin) and "self" in signature(found.function).parameters:
                return "it is a class", f"give an instance: {plugin.__name__}()"
            if (arguments := _wrong_arguments(hook.name, found)) is not None:
                return f"its {hook.name} {arguments[0]}", arguments[1]
            if found.wrapper or found.hookwrapper:
                return f"its {hook.name} is a wrapper", "leave 'wrapper' out: hooks of bunsui are not wrapped"
            if hook.name == "bunsui_session_event" and isgeneratorfunction(found.function):
                return f"its {hook.name} is a generator", "leave 'yield' out: nobody would go through it"
            if iscoroutinefunction(found.function) or isasyncgenfunction(found.function):
                return f"its {hook.name} is async", "make it a plain function: nobody would await it"
        return None

    def implementation(self, manager: pluggy.PluginManager, hook: str) -> Callable[..., Any] | None:
        """Its function for a hook, or None."""
        found = None if self.error is not None else _implementation(manager, hook, self.key)
        return None if found is None else found.function


def _implementation(manager: pluggy.PluginManager, hook: str, key: str) -> pluggy.HookImpl | None:
    caller = getattr(manager.hook, hook, None)
    found = () if caller is None else caller.get_hookimpls()
    return next((each for each in found if each.plugin_name == key), None)


def _wrong_arguments(hook: str, found: pluggy.HookImpl) -> tuple[str, str] | None:
    """What keeps a function from being given the arguments that it names."""
    known = signature(getattr(hookspecs, hook)).parameters
    for name, parameter in signature(found.function).parameters.items():
        if parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
            return f"takes {parameter}", "name the arguments that it needs"
        if parameter.kind is Parameter.KEYWORD_ONLY and parameter.default is Parameter.empty:
            return f"takes '{name}' by keyword only", "leave the * out"
        if name in known and parameter.default is not Parameter.empty:
            return f"has a default for '{name}', and would never be given it", "leave the default out"
    return None


def _unknown_argument(plugin: Any) -> tuple[str, str] | None:
    """An argument that one of its hooks is not given; pluggy does not say which hook, and which there are."""
    for hook in HOOKS:
        known = signature(getattr(hookspecs, hook)).parameters
        function = getattr(plugin, hook, None)
        for name in () if function is None else signature(function).parameters:
            if name not in known:
                may = f"it may take {', '.join(known)}" if known else "it takes none"
                return f"its {hook} takes '{name}', which it is not given", may
    return None


def _wrong_version(plugin: Any) -> tuple[str, str | None] | None:
    wanted = getattr(plugin, VERSIONS, None)
    if wanted is None:
        return None
    # Few plugins ask.
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415 - see above

    form = f'{VERSIONS} is a version specifier, such as ">=1.0,<2"'
    try:
        specifier = SpecifierSet(wanted)
    except (InvalidSpecifier, TypeError, AttributeError):
        return f"its {VERSIONS} is {wanted!r}", form
    if specifier.contains(hookspecs.HOOK_VERSION):
        return None
    return (
        f"it needs the hooks of version {wanted}, and this bunsui has {hookspecs.HOOK_VERSION}",
        "install versions of the two that fit",
    )
