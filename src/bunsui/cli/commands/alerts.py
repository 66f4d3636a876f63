"""``bunsui alerts ...``."""

from __future__ import annotations

import click

from bunsui.cli import render
from bunsui.cli.group import Subcommands
from bunsui.cli.options import format_option
from bunsui.errors import BunsuiError


@click.group("alerts", cls=Subcommands)
def alerts_group() -> None:
    """Look at the channels that alerts are sent through, and try them."""


@alerts_group.command("test")
@click.argument("channel")
def test_command(channel: str) -> None:
    """Send a test alert through CHANNEL, a configured one or a type that needs no options, such as log.

    It ends with 0 only if the channel has taken it, and asks nobody whether it was read.
    """
    from datetime import UTC, datetime  # noqa: PLC0415 - only here, as what follows

    from bunsui.configuration.config import Config  # noqa: PLC0415
    from bunsui.plugins.registry import Plugins  # noqa: PLC0415
    from bunsui.runner.alerting import alert_for_test, channels_without_runner  # noqa: PLC0415

    alert = alert_for_test(datetime.now(UTC))
    with channels_without_runner(Config.load(), Plugins()) as channels:
        kind = channels.type_of(channel)
        channels.send_within(channel, alert)
    click.echo(render.printable(f"{channel} ({kind}) has taken the alert {alert.id}"))


@alerts_group.command("channels")
@format_option("table", "json", "yaml")
def channels_command(form: str) -> int:
    """List the channels that there are, and what is wrong with those that can't be used.

    Nothing is sent. Exit code 2 where one can't be used.
    """
    from bunsui.configuration.config import Config  # noqa: PLC0415 - only here, as what follows
    from bunsui.plugins.registry import Plugins  # noqa: PLC0415
    from bunsui.runner.alerting import channels_without_runner  # noqa: PLC0415

    found: list[dict[str, str | None]] = []
    with channels_without_runner(Config.load(), Plugins()) as channels:
        for name in channels.names:
            try:
                channels.check_one(name)
                wrong = None
            except BunsuiError as error:
                wrong = str(error)
            found.append({"name": name, "type": channels.type_of(name), "problem": wrong})
    if form == "table":
        rows = [(row["name"] or "", row["type"] or "", row["problem"] or "ok") for row in found]
        render.table(("CHANNEL", "TYPE", "STATE"), rows)
    else:
        render.data(found, form)
    return 2 if any(row["problem"] for row in found) else 0
