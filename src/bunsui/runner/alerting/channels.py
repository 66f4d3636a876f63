"""The channels of a runner, put together of what is configured and registered."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING

from bunsui.aws.connections import Connections
from bunsui.monitoring.channels.channels import Channels
from bunsui.ports.alerts import Alert
from bunsui.ports.services import Services
from bunsui.runner.attempts.secrets import Secrets
from bunsui.runner.clock import SystemClock

if TYPE_CHECKING:
    from datetime import datetime

    from bunsui.configuration.config import Config
    from bunsui.configuration.settings import Settings
    from bunsui.plugins.registry import Plugins

#: What stands in the place of a pipeline's name in an alert that is about none.
NO_PIPELINE = "bunsui"


def channels_of(settings: Settings, plugins: Plugins, services: Services, secrets: Secrets) -> Channels:
    """The channels that alerts can be sent through; plugins are asked for theirs, and nothing is sent.

    Args:
        settings: what is configured.
        plugins: whose types of channels there are.
        services: what the runner has for them.
        secrets: the runner's.
    """
    types = plugins.usable.alert_channels
    return Channels(settings.alert_channels, types, services, secrets.get, secrets.names)


@contextmanager
def channels_without_runner(config: Config, plugins: Plugins) -> Iterator[Channels]:
    """The channels of a configuration, for who sends something without a Runner, which needs a store.

    Raises:
        ConfigError: what is configured for AWS or for secrets is wrong.
    """
    settings = config.names
    connections = Connections(config.aws)
    found: Channels | None = None
    try:
        services = Services(connections, SystemClock(), Random())  # noqa: S311 - for jitter
        sources = plugins.usable.secret_sources if settings.secrets else {}
        found = channels_of(settings, plugins, services, Secrets(settings.secrets, sources, services))
        yield found
    finally:
        if found is not None:
            found.close()
        connections.close()


def alert_for_test(now: datetime) -> Alert:
    """An alert that says that alerts arrive; each has an id of its own.

    Args:
        now: when it is made; aware and in UTC.
    """
    summary = "This is a test: alerts of bunsui arrive here"
    return Alert(f"test-{uuid.uuid4().hex}", "test", NO_PIPELINE, now, summary)
