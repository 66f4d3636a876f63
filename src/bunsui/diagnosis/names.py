"""What definitions may name: variables, secrets, pools, bindings."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from bunsui.aws.connections import Connections
from bunsui.aws.settings import AwsSettings
from bunsui.configuration.settings import Settings
from bunsui.diagnosis.check import Check, failed, ok, problem, warning
from bunsui.errors import BunsuiError, ConfigError
from bunsui.ports.services import Services
from bunsui.runner.attempts.secrets import Secrets
from bunsui.runner.clock import SystemClock

if TYPE_CHECKING:
    from bunsui.configuration.config import Config
    from bunsui.plugins.registry import Plugins

#: Seconds that a source may take for one secret.
PATIENCE = 10.0


def names(config: Config, plugins: Plugins, environ: Mapping[str, str]) -> Iterator[Check]:
    """Whether what is configured for definitions is there."""
    for name in config.names.env:
        place = config.origin("env")
        if name in environ:
            yield ok(f"env {name}", f"the variable is set; {place} lets definitions read it")
        else:
            yield problem(
                f"env {name}", f"the variable is not set, which {place} names", f"set {name}, or take it out"
            )
    if config.names.secrets:
        yield from _secrets(config, plugins)
    for name, places in config.pools.items():
        yield _pool(name, places, config)
    if config.bindings is not None:
        yield _bindings(config.bindings, plugins)


def _secrets(config: Config, plugins: Plugins) -> Iterator[Check]:
    try:
        aws = config.aws
    except ConfigError:  # It has a check of its own.
        aws = AwsSettings()
    connections = Connections(aws)
    services = Services(connections, SystemClock(), Random())  # noqa: S311 - for jitter
    try:
        for name in config.names.secrets:
            yield secret(name, config.names, plugins, services)
    finally:
        connections.close()


def secret(
    name: str, settings: Settings, plugins: Plugins, services: Services, patience: float = PATIENCE
) -> Check:
    """Whether the source of a secret gives one. Its value is not looked at but for whether it is empty.

    Args:
        name: the secret's.
        settings: what is configured.
        plugins: whose sources are asked.
        services: what they are made with.
        patience: seconds that the source may take.
    """
    reference = settings.secrets[name]
    answers: list[Check] = []

    def ask() -> None:
        answers.append(_asked(name, settings, plugins, services))

    # A source that hangs does not end with its thread: that must not keep this process.
    asking = threading.Thread(target=ask, name="bunsui-doctor", daemon=True)
    asking.start()
    asking.join(patience)
    if answers:
        return answers[0]
    return problem(
        f"secret {name}",
        f"its source gave no answer in {patience:.0f} seconds; {reference.place or 'config'} names it",
        "look whether the service behind it can be reached from here",
    )


def _asked(name: str, settings: Settings, plugins: Plugins, services: Services) -> Check:
    reference = settings.secrets[name]
    remedy = f"look at {reference.place or 'the configuration'}: it says where the value is found"
    try:
        value = Secrets({name: reference}, plugins.usable.secret_sources, services).get(name)
    except BunsuiError as error:
        # Their texts hold nothing of what the source said.
        return failed(f"secret {name}", error, remedy)
    if not value:
        return warning(f"secret {name}", "its source gave an empty text", remedy)
    return ok(f"secret {name}", "its source gave a text")


def _pool(name: str, places: int, config: Config) -> Check:
    if places > config.max_concurrency:
        return warning(
            f"pool {name}",
            f"{places} jobs at once, but a runner has {config.max_concurrency} at most",
            f"set max_concurrency to {places} or more, or the pool to less",
        )
    return ok(f"pool {name}", f"{places} at once, of {config.max_concurrency} that a runner has")


def _bindings(path: str, plugins: Plugins) -> Check:
    from bunsui.local import bindings  # noqa: PLC0415 - with all that reads definitions

    try:
        found = bindings.load(Path(path), plugins.usable.job_types)
    except BunsuiError as error:
        return failed("bindings", error, "mend the file, or: bunsui config unset --user bindings")
    number = sum(map(len, found.values()))
    return ok("bindings", f"{path} was read: {number} bound")
