"""The command ``bunsui``."""

from __future__ import annotations

import io
import os
import sys
import warnings

import click

from bunsui import __version__, errors
from bunsui.cli.commands.alerts import alerts_group
from bunsui.cli.commands.config import config_group
from bunsui.cli.commands.doctor import doctor_command
from bunsui.cli.commands.logs import logs_group
from bunsui.cli.commands.pipeline import pipeline_group
from bunsui.cli.commands.plugins import plugins_command
from bunsui.cli.commands.run import run_command
from bunsui.cli.commands.schema import explain_command, schema_command
from bunsui.cli.commands.session import session_group
from bunsui.cli.commands.stats import stats_command
from bunsui.cli.commands.store import store_group
from bunsui.cli.exit_codes import INTERRUPTED, exit_code
from bunsui.cli.group import Commands
from bunsui.cli.logged import logged
from bunsui.cli.render import has_colours, printable_lines, refusal
from bunsui.cli.streams import around, lost, note, unread
from bunsui.concurrency.trace_context import carried, gone_on


def _version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        import sqlite3  # noqa: PLC0415 - only here

        click.echo(f"bunsui {__version__} (SQLite {sqlite3.sqlite_version})")
        context.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_version,
    help="Print the version, with SQLite's.",
)
@logged
def cli() -> None:
    """Durable data pipelines: every run is a session that survives its process.

    \b
    Exit codes: 0 ok, 1 the session did not succeed, 2 usage or invalid definition, 3 not found,
    4 not permitted, 5 wrong state or conflict, 6 store or AWS unavailable, 7 paused, 130 interrupted.
    """  # noqa: D301 - click reads the control character


cli.add_command(run_command)
pipeline_group.add_command(stats_command)
cli.add_command(pipeline_group)
cli.add_command(session_group)
cli.add_command(config_group)
cli.add_command(store_group)
cli.add_command(doctor_command)
cli.add_command(logs_group)
cli.add_command(schema_command)
cli.add_command(explain_command)
cli.add_command(plugins_command)
cli.add_command(alerts_group)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    note(
        printable_lines(f"bunsui: warning: {message}")
    )  # Without the line of this library that it came from.


def run(arguments: list[str] | None = None) -> int:
    """Runs the command line and returns its exit code."""
    with around():
        if isinstance(sys.stderr, io.TextIOWrapper):
            sys.stderr.reconfigure(errors="backslashreplace")  # What a terminal can't show is escaped.
        code = _run(arguments)
        error = lost()
        if error is None:
            return code
        note(f"bunsui: the output can't be written: {error.strerror}")
        return code or 1


def _run(arguments: list[str] | None) -> int:
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            with gone_on(carried(os.environ)):  # Of who has started this command, such as a traced scheduler.
                result = cli.main(args=arguments, prog_name="bunsui", standalone_mode=False)
    except click.ClickException as error:
        with unread():
            error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except errors.BunsuiError as error:
        note(refusal(error, colours=has_colours(sys.stderr)))
        return exit_code(error)
    return result if isinstance(result, int) else 0
