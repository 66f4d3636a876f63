"""Whether the configured alert channels could be used. Nothing is sent."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

from bunsui.aws.connections import Connections
from bunsui.diagnosis.check import Check, failed, ok
from bunsui.errors import BunsuiError, ConfigError
from bunsui.monitoring.channels.channels import Channels
from bunsui.ports.services import Services
from bunsui.runner.alerting.alerting import require_channels
from bunsui.runner.clock import SystemClock

if TYPE_CHECKING:
    from bunsui.configuration.config import Config
    from bunsui.plugins.registry import Plugins


def channels(config: Config, plugins: Plugins) -> Iterator[Check]:
    """Each configured channel: its type, its options, the secrets that it names; and those of alerts."""
    settings = config.names
    if not settings.alert_channels and not settings.alerts:
        return
    services = Services(Connections(), SystemClock(), Random())  # noqa: S311 - for jitter
    # Nobody asks for a secret here.
    found = Channels(
        settings.alert_channels, plugins.usable.alert_channels, services, str, tuple(settings.secrets)
    )
    for name, channel in settings.alert_channels.items():
        try:
            found.check_one(name)
        except BunsuiError as error:
            yield failed(f"alert channel {name}", error, f"look at {channel.place}")
        else:
            what = f"its type {channel.type} takes its options; 'bunsui alerts test {name}' sends something"
            yield ok(f"alert channel {name}", what)
    try:
        require_channels(settings.alerts, found.names, settings.alerts_place)
    except ConfigError as error:
        yield failed("configured alerts", error, "name a channel that is configured")
