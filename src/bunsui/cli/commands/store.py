"""``bunsui store``: the place where sessions live."""

from __future__ import annotations

import click

from bunsui.cli.streams import note


@click.group("store")
def store_group() -> None:
    """Make the place where sessions live."""


@store_group.command("create")
@click.argument("url", required=False)
def create_command(url: str | None) -> None:
    """Make what the store at URL needs, such as a table of DynamoDB; by default of the configured one.

    The table is billed by request, and has point-in-time recovery and an expiry of documents. What is there
    already is left as it is, so it may be called again.
    """
    from bunsui.configuration.config import Config  # noqa: PLC0415 - only here
    from bunsui.plugins.registry import Plugins  # noqa: PLC0415 - likewise
    from bunsui.stores.urls import shown  # noqa: PLC0415 - likewise

    config = Config.load(store=url)
    store = Plugins().open_store(url or config.store, config.aws)
    try:
        made = store.create()
    finally:
        store.close()
    for lack in made.lacks:
        note(f"bunsui: warning: it has no {lack}")
    click.echo(f"{shown(url or config.store)} {'was made' if made.is_new else 'is there already'}")
