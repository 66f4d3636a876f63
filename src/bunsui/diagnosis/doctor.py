"""All checks, one after the other."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bunsui.aws.settings import AwsSettings
from bunsui.configuration import files
from bunsui.configuration.config import Config, misspelt_variables
from bunsui.diagnosis import plugins as of_plugins
from bunsui.diagnosis.beside import beside
from bunsui.diagnosis.channels import channels
from bunsui.diagnosis.check import Check, Status, failed, ok, warning
from bunsui.diagnosis.deliveries import deliveries
from bunsui.diagnosis.installation import installation
from bunsui.diagnosis.names import names
from bunsui.diagnosis.sessions import sessions
from bunsui.diagnosis.sqlite_version import sqlite_version
from bunsui.diagnosis.store import content, open_store, write
from bunsui.diagnosis.telemetry import telemetry
from bunsui.errors import ConfigError
from bunsui.plugins.registry import Plugins
from bunsui.stores.urls import sqlite_path

if TYPE_CHECKING:
    from bunsui.ports.store import Store


def diagnose(store: str | None = None, again: Callable[[], str] = str) -> Iterator[Check]:
    """Looks at what is installed and configured here; each check is made when it is asked for.

    Nothing is made but a document that is removed again, in a store that is there, and a file in each folder
    beside it, likewise.

    Args:
        store: the URL of the store to look at; None: the configured one.
        again: gives what a command that is proposed needs behind it to mean the same store.
    """
    yield from installation()
    config: Config | None = None
    try:
        config = Config.load(store=store)
    except ConfigError as error:
        yield failed("configuration", error, "mend it in an editor")
    else:
        yield from configuration(config)
        yield from telemetry(config.telemetry)
    yield from sqlite_version()
    yield from of_plugins.plugins()
    registry = _registry()
    if config is not None or store is not None:
        known = config or Config()
        try:
            url = store or known.store
        except ConfigError as error:
            yield failed("store", error, "name a store")
        else:
            try:
                aws = known.aws
            except ConfigError as error:
                yield failed("aws", error, "mend it in an editor")
                aws = AwsSettings()
            yield from the_store(url, registry, known.artifacts, again, aws, known.logs)
    if config is not None:
        yield from names(config, registry, os.environ)
        yield from channels(config, registry)


def configuration(config: Config) -> Iterator[Check]:
    """The files that were read, and what was left out."""
    for text in config.warnings:
        yield warning("configuration", text, "take the right from others with chmod, or move the file away")
    if config.project_file is not None:
        yield ok("configuration", f"{config.project_file} of the project was read")
    if config.user_file is not None:
        yield ok("configuration", f"{config.user_file} of the user was read")
    elif not config.warnings and config.project_file is None:
        path = files.user_path(os.environ)
        users = "one of a user without a home folder" if path is None else path
        yield ok("configuration", f"no file: neither {users} nor a project's is there")
    for text in misspelt_variables(os.environ):
        yield warning("configuration", text, "rename or remove the variable")


def the_store(
    url: str,
    registry: Plugins,
    artifacts: str | None = None,
    again: Callable[[], str] = str,
    aws: AwsSettings | None = None,
    logs: str | None = None,
) -> Iterator[Check]:
    """The store that a URL names, its sessions, and what lies beside it, or in the places that are named."""
    store, checks = open_store(url, registry, aws)
    yield from checks
    if store is None:
        return
    try:
        yield from _opened(store, url, again)
        yield from beside(store, artifacts, aws, logs)
    finally:
        store.close()


def _opened(store: Store, url: str, again: Callable[[], str]) -> Iterator[Check]:
    written = write(store)
    yield written
    path = sqlite_path(url)
    if path is not None:
        yield from content(path, was_written=written.status is Status.OK)
    yield from sessions(store, datetime.now(UTC), again)
    yield from deliveries(store)


def _registry() -> Plugins:
    """With what is installed where that works: what does not has been told already."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Plugins()
