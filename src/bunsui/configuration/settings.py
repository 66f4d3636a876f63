"""What definitions may name, and what a Runner uses where it is not told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from bunsui.configuration.checking import NAME_RULE, check
from bunsui.configuration.user_folders import user_folder
from bunsui.dsl.fields import IDENTIFIER_PATTERN, MAX_ALERTS
from bunsui.dsl.problems import did_you_mean, quoted
from bunsui.errors import ConfigError
from bunsui.model.alerts import AlertRule
from bunsui.stores.urls import sqlite_url

if TYPE_CHECKING:
    from bunsui.monitoring.channels.configured import ConfiguredChannel
    from bunsui.monitoring.exporting import Providers

#: What a variable of the environment may be called.
VARIABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*(?!\n)$"

_IDENTIFIER = re.compile(IDENTIFIER_PATTERN)
_VARIABLE = re.compile(VARIABLE_PATTERN)
_REFERENCE_FORM = "of the form SOURCE:KEY, such as env:DB_PASSWORD"


def default_store() -> str:
    """The URL of the store where none is configured: a SQLite file in the user's data directory.

    Raises:
        ConfigError: he has no home folder.
    """
    folder = user_folder("data")
    if folder is None:
        raise ConfigError(
            "no store is named, and this user has no home folder where one could be",
            hint="name one with --store or BUNSUI_STORE, such as sqlite:////var/lib/bunsui.db, or set HOME",
        )
    return sqlite_url(folder / "bunsui.db")


@frozen
class SecretReference:
    """Where the value of a secret is found."""

    #: The name of a secret source.
    source: str
    #: What the source knows it by; never empty.
    key: str
    #: Where it was configured, such as a file and a line; "" where that is not known.
    place: str = field(default="", eq=False)


def _unchanging(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(mapping))


@frozen
class Settings:
    """What the ``config`` argument of a Runner says."""

    #: The variables of the environment that definitions may name.
    env: tuple[str, ...] = ()
    #: The secrets that definitions may name.
    secrets: Mapping[str, SecretReference] = field(factory=dict, converter=_unchanging)
    #: The channels that alerts are sent through.
    alert_channels: Mapping[str, ConfiguredChannel] = field(factory=dict, converter=_unchanging)
    #: Whom to tell of what, whatever the definitions say.
    alerts: tuple[AlertRule, ...] = ()
    #: Whom OpenTelemetry's traces and metrics go to: see `bunsui.monitoring.exporting`; or the providers.
    telemetry: str | Providers = "auto"
    #: Where the alerts were configured, such as a file and a line; "" where that is not known.
    alerts_place: str = field(default="", eq=False)


_KEYS = ("env", "secrets", "alert_channels", "alerts", "telemetry")


def read_settings(given: Mapping[str, Any] | Settings | None) -> Settings:
    """The ``config`` argument of a Runner as a value; None: nothing is configured.

    Raises:
        ConfigError: it is wrong. What stands in place of a secret's reference is never shown: it may be
            the secret.
    """
    if given is None:
        return Settings()
    if isinstance(given, Settings):
        return given
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"config is {type(given).__name__}, not a mapping",
            hint='such as {"env": ["REGION"], "secrets": {"db": "env:DB_PASSWORD"}}',
        )
    _refuse_others(given, _KEYS, "config")
    return Settings(
        env=_variables(given.get("env", ())),
        secrets=_references(given.get("secrets", {})),
        alert_channels=_channels(given.get("alert_channels", {})),
        alerts=read_alerts(given.get("alerts", ()), "config."),
        telemetry=_telemetry(given.get("telemetry", "auto")),
    )


def _telemetry(given: Any) -> str | Providers:
    from bunsui.configuration.keys import KEYS  # noqa: PLC0415 - it imports this module
    from bunsui.monitoring.exporting import Providers  # noqa: PLC0415 - few give one

    if not isinstance(given, Providers):
        check(given, KEYS["telemetry"], "config.", "telemetry", hidden=False)
    found: str | Providers = given
    return found


def read_alerts(given: Any, where: str) -> tuple[AlertRule, ...]:
    """Rules for alerts, as a configuration has them: a list of tables.

    Args:
        given: the list.
        where: the place that it stands in, for errors.

    Raises:
        ConfigError: one is wrong.
    """
    from bunsui.configuration.keys import KEYS  # noqa: PLC0415 - it imports this module

    if not given:
        return ()
    from bunsui.dsl.alerts import alert_problems  # noqa: PLC0415 - few have rules
    from bunsui.dsl.definition import to_rule  # noqa: PLC0415 - see above
    from bunsui.dsl.parser import plain  # noqa: PLC0415 - see above

    check(given, KEYS["alerts"], where, "alerts", hidden=False)
    if len(given) > MAX_ALERTS:
        raise ConfigError(f"{where}alerts has {len(given)} rules; there may be {MAX_ALERTS}")
    data = plain({"alerts": [dict(rule) for rule in given]})
    if problems := list(alert_problems(data, data.data["alerts"], None)):
        text = "; ".join(dict.fromkeys(problem.message for problem in problems))
        raise ConfigError(f"{where}alerts: {text}", hint=problems[0].hint)
    return tuple(to_rule(rule) for rule in data.data["alerts"])


def _channels(given: Any) -> Mapping[str, ConfiguredChannel]:
    from bunsui.configuration.keys import KEYS  # noqa: PLC0415 - it imports this module
    from bunsui.monitoring.channels.configured import configured  # noqa: PLC0415 - few have channels

    check(given, KEYS["alert_channels"], "config.", "alert_channels", hidden=True)
    return {name: configured(value, "config") for name, value in given.items()}


def _refuse_others(given: Mapping[Any, Any], known: tuple[str, ...], where: str) -> None:
    for key in given:
        if key not in known:
            hint = did_you_mean(key, known) if isinstance(key, str) else None
            keys = f"its keys are {', '.join(known[:-1])} and {known[-1]}"
            raise ConfigError(f"{where} has no key {quoted(key)}", hint=hint or keys)


def _variables(given: Any) -> tuple[str, ...]:
    if not isinstance(given, list | tuple):
        raise ConfigError(
            f"config.env is {type(given).__name__}, not a list of names", hint='such as ["REGION"]'
        )
    for i, name in enumerate(given):
        if not isinstance(name, str) or not _VARIABLE.match(name):
            # Not shown: NAME=VALUE may stand there.
            raise ConfigError(
                f"config.env[{i}] is not the name of a variable",
                hint="a name is a letter or '_', then letters, digits and '_'; its value is not given here",
            )
    return tuple(dict.fromkeys(given))


def _references(given: Any) -> Mapping[str, SecretReference]:
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"config.secrets is {type(given).__name__}, not a mapping",
            hint='such as {"db": "env:DB_PASSWORD"}',
        )
    references = {}
    for name, value in given.items():
        if not isinstance(name, str) or not _IDENTIFIER.match(name):
            raise ConfigError(f"config.secrets has the key {quoted(name)}", hint=NAME_RULE)
        references[name] = read_reference(value, f"config.secrets.{name}")
    return references


def read_reference(given: Any, where: str) -> SecretReference:
    """A reference, as ``SOURCE:KEY`` or as a mapping of both.

    Raises:
        ConfigError: it is wrong. It is never shown: it may be the secret.
    """
    if isinstance(given, Mapping):
        _refuse_others(given, ("source", "key"), where)
        for part in ("source", "key"):
            if not isinstance(given.get(part), str) or not given[part]:
                raise ConfigError(f"{where} has no text as its {part}", hint=f"or a text {_REFERENCE_FORM}")
        return SecretReference(given["source"], given["key"])
    if not isinstance(given, str):
        raise ConfigError(f"{where} is {type(given).__name__}, not a text {_REFERENCE_FORM}")
    source, _, key = given.partition(":")
    if not source or not key:
        raise ConfigError(
            f"{where} is not {_REFERENCE_FORM}", hint="it says where the value is found, not the value"
        )
    return SecretReference(source, key)
