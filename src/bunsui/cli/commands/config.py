"""``bunsui config ...``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bunsui.cli import render
from bunsui.cli.options import format_option
from bunsui.cli.streams import note
from bunsui.configuration import files
from bunsui.configuration.origins import Source
from bunsui.errors import ConfigError

if TYPE_CHECKING:
    from bunsui.configuration.config import Config
    from bunsui.configuration.showing import Shown

_user_option = click.option("--user", is_flag=True, help="In your own file, not in the project's.")


@click.group("config")
def config_group() -> None:
    """Look at the configuration, and change it.

    \b
    Later wins: bunsui.toml of the project (the nearest one, from this folder upwards), your own file,
    BUNSUI_<KEY> in the environment, options of a command.
    """  # noqa: D301 - click reads the control character


def _load() -> Config:
    from bunsui.configuration.config import Config, misspelt_variables  # noqa: PLC0415 - only here

    config = Config.load()
    for text in (*config.warnings, *misspelt_variables(os.environ)):
        note(f"warning: {text}")
    return config


def _file(*, user: bool) -> tuple[Path, Source]:
    """The file that a change is made in: the user's, or the nearest of a project, or one in this folder."""
    if user:
        path = files.user_path(os.environ)
        if path is None:
            raise ConfigError(
                "this user has no home folder where the file could be",
                hint=f"name the file with {files.USER_FILE_VARIABLE}, or set HOME",
            )
        return path, Source.USER
    nearest = next(files.project_paths(None), Path.cwd() / files.PROJECT_FILE)
    return nearest, Source.PROJECT


@config_group.command("set")
@click.argument("key")
@click.argument("value")
@_user_option
def set_command(key: str, value: str, user: bool) -> None:
    """Set KEY to VALUE in the project's bunsui.toml, or in your own file.

    \b
    VALUE is read by the key's type: text as it is, a number, true or false, JSON for lists and tables.
    Entries of tables have dotted keys:
      bunsui config set pools.gpu 2
      bunsui config set --user secrets.db env:DB_PASSWORD
    """  # noqa: D301 - click reads the control character
    from bunsui.configuration.editing import set_value  # noqa: PLC0415 - tomlkit: only for changes

    path, source = _file(user=user)
    set_value(path, source, key, value)
    note(f"{key} is set in {path}")


@config_group.command("unset")
@click.argument("key")
@_user_option
def unset_command(key: str, user: bool) -> None:
    """Remove KEY from the project's bunsui.toml, or from your own file."""
    from bunsui.configuration.editing import unset  # noqa: PLC0415 - tomlkit: only for changes

    path, source = _file(user=user)
    unset(path, source, key)
    note(f"{key} is removed from {path}")


@config_group.command("get")
@click.argument("key")
def get_command(key: str) -> None:
    """Print the value of KEY; of a secret, where it is found."""
    from bunsui.configuration.showing import one  # noqa: PLC0415 - only here

    click.echo(_text(one(_load(), key)))


@config_group.command("list")
@click.option("--show-origin", is_flag=True, help="Say where each value comes from.")
@format_option("table", "json", "yaml")
def list_command(show_origin: bool, form: str) -> None:
    """List every key with the value that counts here; of secrets, where they are found."""
    from bunsui.configuration.showing import every  # noqa: PLC0415 - only here

    found = list(every(_load()))
    if form != "table":
        render.data([_data(shown, origin=show_origin) for shown in found], form)
        return
    rows = [(shown.key, _text(shown.value), str(shown.origin)) for shown in found]
    width = 3 if show_origin else 2
    render.table(("KEY", "VALUE", "ORIGIN")[:width], [row[:width] for row in rows])


def _text(value: Any) -> str:
    if value is None:
        return ""
    return render.printable(value) if isinstance(value, str) else json.dumps(value)


def _data(shown: Shown, *, origin: bool) -> dict[str, Any]:
    data = {"key": shown.key, "value": shown.value}
    if origin:
        file = shown.origin.file
        data["origin"] = {
            "source": str(shown.origin.source),
            "file": None if file is None else str(file),
            "line": shown.origin.line,
            "variable": shown.origin.variable,
        }
    return data
