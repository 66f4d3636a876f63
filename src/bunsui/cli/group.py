"""The commands of ``bunsui``: its own, and those of plugins, which are loaded where others are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bunsui.cli.streams import note
from bunsui.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where an invocation keeps what it has found.
_FOUND = "bunsui.commands"


class Commands(click.Group):
    """A group that also has the commands of installed plugins (the hook ``bunsui_cli_commands``)."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, sorted, for the help."""
        own = super().list_commands(ctx)
        try:
            return sorted({*own, *_of_plugins(ctx)})
        except PluginError as error:  # The help is what somebody needs who wants to mend that.
            note(f"bunsui: warning: the commands of plugins are left out: {error}")
            return own

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name: bunsui's own, else one of a plugin's."""
        own = super().get_command(ctx, cmd_name)
        return _of_plugins(ctx).get(cmd_name) if own is None else own


def _of_plugins(ctx: click.Context) -> Mapping[str, click.Command]:
    """Those of plugins; none has the name of one of bunsui's own."""
    found: Mapping[str, click.Command] | None = ctx.meta.get(_FOUND)
    if found is None:
        from bunsui.plugins.registry import Plugins  # noqa: PLC0415 - not for commands of its own

        found = ctx.meta[_FOUND] = Plugins().cli_commands
    return found
