"""``bunsui plugins``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bunsui.cli import render
from bunsui.cli.options import format_option

if TYPE_CHECKING:
    from bunsui.plugins.registration import PluginInfo


@click.command("plugins")
@click.option("--traceback", "with_traceback", is_flag=True, help="Show where those have failed that did.")
@format_option("table", "json", "yaml")
def plugins_command(form: str, with_traceback: bool) -> None:
    """List the plugins that are installed, what they bring, and why one can't be used.

    States: active; disabled (it can't be used, which is warned of wherever plugins are loaded); partial (a
    hook of it failed, and what that would bring is missing); conflict (it claims a name that is taken); off
    (installed plugins are left out by BUNSUI_DISABLE_PLUGIN_AUTOLOAD).
    """
    import warnings  # noqa: PLC0415 - only here

    from bunsui.plugins.registry import Plugins  # noqa: PLC0415 - only here

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # What is warned of is what is listed.
        found = Plugins().describe()
    if form != "table":
        render.data([_data(each, with_traceback) for each in found], form)
        return
    rows = [
        (each.name, each.distribution or "", each.version or "", each.state, ", ".join(each.hooks))
        for each in found
    ]
    render.table(("PLUGIN", "DISTRIBUTION", "VERSION", "STATE", "HOOKS"), rows)
    for each in found:
        if each.reason is not None:
            click.echo(f"\n{render.printable(f'{each.name} is {_WORDS[each.state]}: {each.reason}')}")
        if with_traceback and each.traceback is not None:
            for line in each.traceback.splitlines():
                click.echo(f"  {render.printable(line)}")


_WORDS = {
    "disabled": "disabled",
    "partial": "disabled in part",
    "conflict": "in conflict",
    "off": "left out",
}


def _data(each: PluginInfo, with_traceback: bool) -> dict[str, object]:
    return {
        "name": each.name,
        "distribution": each.distribution,
        "version": each.version,
        "hooks": list(each.hooks),
        "state": each.state,
        "reason": each.reason,
        **({"traceback": each.traceback} if with_traceback else {}),
    }
