"""What a hook may return: taken apart, and refused where it could not be used later."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from inspect import isclass
from types import CoroutineType
from typing import TYPE_CHECKING, Any, get_args

from attrs import frozen

from bunsui.dsl.fields import IDENTIFIER_PATTERN, IDENTIFIER_RULE, PRINTABLE_PATTERN
from bunsui.ports.job_type import JobType, OnLost
from bunsui.ports.secrets import SecretSource

if TYPE_CHECKING:
    from bunsui.ports.alerts import AlertChannel
    from bunsui.ports.remote import RemoteJobType
    from bunsui.ports.store import Store

#: RFC 3986, section 3.1, in lower case.
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*\Z")
#: The commands of bunsui itself, those included that are still to come.
OWN_COMMANDS = frozenset(
    [
        "alerts",
        "auth",
        "config",
        "doctor",
        "explain",
        "interactive",
        "logs",
        "pipeline",
        "plugins",
        "run",
        "schema",
        "session",
        "store",
        "worker",
    ]
)
_COMMAND = re.compile(r"[a-z][a-z0-9-]*\Z")


#: How a bound function can be called: see `bunsui.ports.job_type.Function`.
STYLES = ("keywords", "lambda")
#: Longest name of a job type, in characters.
MAX_NAME = 64


class Wrong(Exception):
    """What a hook returned can't be used; the text says why."""


@frozen
class Kind:
    """A kind of thing that plugins bring, each under a name."""

    #: The hook that is asked for it.
    hook: str
    #: What one of them is called.
    title: str
    #: From what a plugin's hook returned to (name, thing); raises `Wrong`. True: it comes with bunsui.
    taken: Callable[[Any, bool], Iterable[tuple[str, Any]]]


def _returned(hook: str, result: Any, wanted: str) -> Wrong:
    if type(result) is CoroutineType:
        result.close()  # Else Python warns, at a line of ours, that nobody has awaited it.
    return Wrong(f"{hook} returned {type(result).__name__}; return {wanted}")


def _listed(hook: str, result: Any) -> list[Any]:
    if result is None or isinstance(result, str | Mapping) or not isinstance(result, Iterable):
        raise _returned(hook, result, "a list")
    return list(result)


def _mapped(hook: str, result: Any) -> list[tuple[Any, Any]]:
    if not isinstance(result, Mapping):
        raise _returned(hook, result, "a mapping by name")
    return list(result.items())


def _job_types(result: Any, built_in: bool) -> Iterable[tuple[str, JobType]]:
    for job_type in _listed("bunsui_job_types", result):
        if isclass(job_type) and issubclass(job_type, JobType):
            raise Wrong(f"{job_type.__name__} is a class; return an instance, {job_type.__name__}()")
        if not isinstance(job_type, JobType):
            raise Wrong(f"{job_type!r} is not an instance of bunsui.JobType")
        kind = type(job_type).__name__
        name, schema = getattr(job_type, "name", None), getattr(job_type, "schema", None)
        if not isinstance(name, str):
            raise Wrong(f"{kind} has no 'name'")
        if not re.match(PRINTABLE_PATTERN, name) or name != name.strip() or len(name) > MAX_NAME:
            form = f"printable text of one line, at most {MAX_NAME} characters"
            raise Wrong(f"{kind}: {name!r} is not a name for a job type: {form}")
        if schema is None:
            raise Wrong(f"{kind} has no 'schema'")
        if not isinstance(schema, dict):
            raise Wrong(f"{kind}: its 'schema' is of type {type(schema).__name__}, not a dict")
        # Those that come with bunsui are checked by its tests: a start need not wait for that.
        if not built_in:
            from bunsui.plugins.schemas import what_is_wrong  # noqa: PLC0415 - see above

            if (wrong := what_is_wrong(schema)) is not None:
                raise Wrong(f"job type '{name}'{wrong}")
            _check_attributes(f"job type '{name}'", job_type)
        yield name, job_type


def _check_attributes(what: str, job_type: JobType) -> None:
    from bunsui.ports.remote import RemoteJobType  # noqa: PLC0415 - only for those of plugins

    words = get_args(OnLost)
    if job_type.on_lost not in words:
        raise Wrong(f"{what}: its on_lost is {job_type.on_lost!r}, not one of {', '.join(words)}")
    fields = job_type.schema.get("properties", {})
    if job_type.binding_field is not None and job_type.binding_field not in fields:
        field = job_type.binding_field
        raise Wrong(f"{what}: its binding_field is {field!r}, which its schema does not have")
    if job_type.binding_style not in STYLES:
        style = job_type.binding_style
        raise Wrong(f"{what}: its binding_style is {style!r}, not one of {', '.join(STYLES)}")
    names: Any = job_type.open_fields
    if isinstance(names, str) or not isinstance(names, Iterable) or not {*names} <= {*fields, "parameters"}:
        raise Wrong(f"{what}: its open_fields are {names!r}; they are names of its own fields")
    if isinstance(job_type, RemoteJobType):
        _check_polls(job_type, what)


def _check_polls(job_type: RemoteJobType, what: str) -> None:
    """What it says of its polls: raises where a runner could not keep to it."""
    for name in ("poll_interval", "poll_patience", "poll_interval_max"):
        seconds = getattr(job_type, name)
        if name == "poll_interval_max" and seconds is None:
            continue
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
            raise Wrong(f"{what}: its {name} is {seconds!r}, not a number of seconds above 0")
    first, longest = job_type.poll_interval, job_type.poll_interval_max
    if longest is not None and longest < first:
        raise Wrong(f"{what}: its poll_interval_max is {longest!r}, less than its poll_interval, {first!r}")
    batch = job_type.poll_batch
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise Wrong(f"{what}: its poll_batch is {batch!r}, not a number of handles above 0")


def _stores(result: Any, built_in: bool) -> Iterable[tuple[str, Callable[[str], Store]]]:
    del built_in
    for scheme, factory in _mapped("bunsui_stores", result):
        if not isinstance(scheme, str) or not _SCHEME.match(scheme):
            raise Wrong(f"{scheme!r} is not the scheme of a URL, such as 'redis'")
        if not callable(factory):
            raise Wrong(f"store '{scheme}' is {type(factory).__name__}, not a function that opens a store")
        yield scheme, factory


def _secret_sources(result: Any, built_in: bool) -> Iterable[tuple[str, SecretSource]]:
    del built_in
    for name, source in _mapped("bunsui_secret_sources", result):
        if not isinstance(name, str) or not re.match(IDENTIFIER_PATTERN, name):
            raise Wrong(f"{name!r} is not a name for a secret source: {IDENTIFIER_RULE}")
        if not isinstance(source, SecretSource):
            if isclass(source) and issubclass(source, SecretSource):
                raise Wrong(f"{source.__name__} is a class; give an instance, {source.__name__}()")
            # Its type alone: it could be the secret.
            what = f"secret source '{name}' is {type(source).__name__}"
            raise Wrong(f"{what}, not an instance of bunsui.SecretSource")
        yield name, source


def _alert_channels(result: Any, built_in: bool) -> Iterable[tuple[str, AlertChannel]]:
    from bunsui.ports.alerts import AlertChannel  # noqa: PLC0415 - few sessions have alerts

    for name, channel in _mapped("bunsui_alert_channels", result):
        if not isinstance(name, str) or not re.match(IDENTIFIER_PATTERN, name):
            raise Wrong(f"{name!r} is not a name for an alert channel: {IDENTIFIER_RULE}")
        what = f"alert channel '{name}'"
        if not isinstance(channel, AlertChannel):
            if isclass(channel) and issubclass(channel, AlertChannel):
                raise Wrong(f"{channel.__name__} is a class; give an instance, {channel.__name__}()")
            raise Wrong(f"{what} is {type(channel).__name__}, not an instance of bunsui.AlertChannel")
        if not built_in:
            _check_channel(what, channel)
        yield name, channel


def _check_channel(what: str, channel: AlertChannel) -> None:
    from bunsui.plugins.schemas import wrong_with  # noqa: PLC0415 - only for those of plugins

    schema: Any = channel.schema
    if not isinstance(schema, dict):
        raise Wrong(f"{what}: its 'schema' is of type {type(schema).__name__}, not a dict")
    if (wrong := wrong_with(schema, ("type",), "every channel")) is not None:
        raise Wrong(f"{what}{wrong}")
    names: Any = channel.secret_options
    fields = schema.get("properties", {})
    if isinstance(names, str) or not isinstance(names, Iterable) or not {*names} <= {*fields}:
        raise Wrong(f"{what}: its secret_options are {names!r}; they are names of its own options")


def _commands(result: Any, built_in: bool) -> Iterable[tuple[str, Any]]:
    del built_in
    from click import Command  # noqa: PLC0415 - only who asks for commands has the extra

    for command in _listed("bunsui_cli_commands", result):
        if not isinstance(command, Command):
            raise Wrong(f"{command!r} is not an instance of click.Command")
        if not isinstance(command.name, str) or not _COMMAND.match(command.name):
            raise Wrong(f"{command.name!r} is not a name for a command: lower case letters, digits and '-'")
        if command.name in OWN_COMMANDS:
            raise Wrong(f"'{command.name}' is one of bunsui's own commands")
        yield command.name, command


JOB_TYPES = Kind("bunsui_job_types", "job type", _job_types)
STORES = Kind("bunsui_stores", "store", _stores)
SECRET_SOURCES = Kind("bunsui_secret_sources", "secret source", _secret_sources)
ALERT_CHANNELS = Kind("bunsui_alert_channels", "alert channel", _alert_channels)
COMMANDS = Kind("bunsui_cli_commands", "command", _commands)

#: What a registry needs; observers bring nothing, and commands are for the command line alone.
KINDS = (JOB_TYPES, STORES, SECRET_SOURCES, ALERT_CHANNELS)
