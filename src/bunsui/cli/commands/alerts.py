"""``bunsui alerts ...``."""

from __future__ import annotations

import click

from bunsui.cli import render
from bunsui.cli.group import Subcommands
from bunsui.cli.options import format_option, store_option
from bunsui.cli.streams import note
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

    from bunsui.configuration.config import Config  # noqa: PLC0415 - see above
    from bunsui.plugins.registry import Plugins  # noqa: PLC0415 - see above
    from bunsui.runner.alerting.channels import (  # noqa: PLC0415 - see above
        alert_for_test,
        channels_without_runner,
    )

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
    from bunsui.plugins.registry import Plugins  # noqa: PLC0415 - see above
    from bunsui.runner.alerting.channels import channels_without_runner  # noqa: PLC0415 - see above

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


@alerts_group.command("sweep")
@store_option
@format_option("text", "json")
def sweep_command(store: str | None, form: str) -> int:
    """Send the alerts that are due, of all sessions of the store, once.

    A runner that has channels does so by itself while it drives sessions. Call this from a scheduler, such as
    each minute from cron, where no runner lives all the time: a session whose runner died is found so, too.

    Exit code 1 where something could not be sent or looked at; it is tried again the next time.
    """
    from bunsui.runner.runner import Runner  # noqa: PLC0415 - only here

    with Runner(store) as runner:
        swept = runner.sweep_alerts()
    if form == "json":
        found = {"delivered": swept.delivered, "failed": swept.failed, "waiting": swept.waiting}
        more = {"watched": swept.watched, "unknown": sorted(swept.unknown)}
        render.data({**found, **more, "failures": swept.failures, "errors": swept.errors}, form)
    else:
        text = f"{swept.delivered} sent, {swept.failed} failed, {swept.waiting} waiting"
        click.echo(f"{text}; {render.count(swept.watched, 'session')} watched")
        if swept.unknown:
            note(render.printable(f"no channel here: {', '.join(sorted(swept.unknown))}"))
        for channel, why in swept.failures.items():
            note(render.printable(f"channel {channel}: {why}"))
        for session, why in swept.errors.items():
            note(render.printable(f"session {session}: {why}"))
    return 1 if swept.failed or swept.errors else 0
