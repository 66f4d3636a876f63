"""The commands of ``bunsui``: its own, and those of plugins, which are loaded where others are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bunsui.model.later import LATER, not_yet
from bunsui.plugins.contributions import OWN_COMMANDS
from bunsui.ports.registered import left_out, unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where an invocation keeps what it has found.
_FOUND = "bunsui.commands"


class Commands(click.Group):
    """A group that also has the commands of installed plugins (the hook ``bunsui_cli_commands``)."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, sorted, for the help."""
        return sorted({*super().list_commands(ctx), *_of_plugins(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name: bunsui's own, else one of a plugin's.

        Raises:
            PluginError: there is none, and a plugin can't be used that may have it.
            UsageError: a later version has it.
        """
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        if cmd_name in OWN_COMMANDS:  # No plugin has it.
            raise click.UsageError(not_yet(f"the command '{cmd_name}'"), ctx)
        found = _of_plugins(ctx)
        if cmd_name not in found and (why := left_out(found)):
            raise unavailable(f"there is no command '{cmd_name}'", why)
        return found.get(cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command; to the traceback of one that fails it adds whose fault that is."""
        try:
            return super().invoke(ctx)
        except Exception as error:  # Foreign code, perhaps; it goes on.
            name = ctx.invoked_subcommand
            if name is not None and name not in self.commands:
                error.add_note(f"The command '{name}' of bunsui is a plugin's: 'bunsui plugins' lists them.")
            raise


class Subcommands(click.Group):
    """A group of bunsui's own."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name.

        Raises:
            UsageError: a later version has it.
        """
        found = super().get_command(ctx, cmd_name)
        if found is None and cmd_name in LATER.get(f"bunsui {self.name}", ()):
            raise click.UsageError(not_yet(f"the command '{self.name} {cmd_name}'"), ctx)
        return found


def _of_plugins(ctx: click.Context) -> Mapping[str, click.Command]:
    """Those of plugins; none has the name of one of bunsui's own."""
    found: Mapping[str, click.Command] | None = ctx.meta.get(_FOUND)
    if found is None:
        from bunsui.plugins.registry import Plugins  # noqa: PLC0415 - not for commands of its own

        found = ctx.meta[_FOUND] = Plugins().usable.cli_commands
    return found
