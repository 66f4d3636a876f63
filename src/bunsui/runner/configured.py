"""What a Runner works with: its arguments, and the configuration where they say nothing."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attrs import frozen

from bunsui.aws.settings import AwsSettings, read_aws
from bunsui.configuration.checking import check
from bunsui.configuration.config import Config
from bunsui.configuration.keys import KEYS
from bunsui.configuration.settings import Settings, read_settings
from bunsui.errors import ConfigError
from bunsui.ports.store import Store


@frozen
class Configured:
    """The arguments of a Runner, none of them left open."""

    store: str | Store
    bindings: Mapping[str, Mapping[str, Any]] | str | Path | None
    local: bool
    max_concurrency: int
    pools: Mapping[str, int]
    #: Seconds.
    lease: float
    artifacts: str | Path | None
    logs: str | Path | None
    capture_logging: bool
    #: As whom, and where, AWS is called.
    aws: AwsSettings
    #: The variables and secrets that definitions may name.
    names: Settings


def configured(
    config: Config | Mapping[str, Any] | None,
    *,
    store: str | Store | None,
    bindings: Mapping[str, Mapping[str, Any]] | str | Path | None,
    local: bool | None,
    max_concurrency: int | None,
    pools: Mapping[str, int] | None,
    lease: float | None,
    artifacts: str | Path | None,
    logs: str | Path | None,
    capture_logging: bool | None,
    aws: Mapping[str, Any] | AwsSettings | None,
) -> Configured:
    """The arguments of a Runner; None: what is configured. See `Runner`.

    Raises:
        ConfigError: an argument, or the configuration, is wrong.
    """
    names = None if config is None or isinstance(config, Config) else read_settings(config)
    if not isinstance(store, str | Store | None):
        raise ConfigError(f"store is {store!r}; it is a URL or a Store", hint="such as 'sqlite:///bunsui.db'")
    if not isinstance(bindings, Mapping | str | PathLike | None):
        raise ConfigError(f"bindings is {bindings!r}", hint="it is a mapping, or the path of a bindings file")
    # As where they are configured; what else a Runner takes may also be what no file can hold.
    for key, value in (
        ("local", local),
        ("max_concurrency", max_concurrency),
        ("pools", pools),
        ("lease", lease),
        ("capture_logging", capture_logging),
    ):
        if value is not None:
            check(value, KEYS[key], "", key, hidden=False)
    found = config if isinstance(config, Config) else Config()
    store = store or None  # "" has always been that, too.
    if config is None or (names is not None and store is None):
        found = Config.load()
        for text in found.warnings:
            warnings.warn(text, RuntimeWarning, stacklevel=3)
    if store is None:
        store = found.store
    # With the store: what is in it names files of that folder.
    artifacts = found.artifacts if artifacts is None else artifacts
    logs = found.logs if logs is None else logs
    if names is not None:  # Then it is all that is configured, beside the store.
        found = Config()
    return Configured(
        store=store,
        bindings=found.bindings if bindings is None else bindings,
        local=found.local if local is None else local,
        max_concurrency=found.max_concurrency if max_concurrency is None else max_concurrency,
        pools=MappingProxyType(dict(found.pools if pools is None else pools)),
        lease=found.lease if lease is None else lease,
        artifacts=artifacts,
        logs=logs,
        capture_logging=found.capture_logging if capture_logging is None else capture_logging,
        aws=found.aws if aws is None else read_aws(aws),
        names=found.names if names is None else names,
    )
