"""``bunsui logs ...``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from bunsui.cli.log_text import FORMATS
from bunsui.cli.options import Command, session_argument, session_id, store_option
from bunsui.cli.saving import saving
from bunsui.cli.stores import again
from bunsui.cli.streams import has_reader, note
from bunsui.dsl.problems import printable, quoted
from bunsui.errors import ConfigError, NotFound

if TYPE_CHECKING:
    from bunsui.model.log import LogRecord
    from bunsui.runner.handle import Session


def _filters(command: Command) -> Command:
    """The options that say which records are wanted."""
    for option in reversed(
        [
            session_argument,
            click.option("--job", "jobs", metavar="ID", multiple=True, help="Only this job; repeatable."),
            click.option("--level", metavar="LEVEL", help="Only this level and above, such as WARNING."),
            click.option("--since", metavar="TIME", help="RFC 3339, or how long ago, such as 10m."),
            click.option("--until", metavar="TIME", help="Before this time, likewise."),
            click.option(
                "--grep", metavar="REGEX", help="Only messages and tracebacks in which it is found."
            ),
            click.option(
                "--field", "fields", metavar="KEY=VALUE", multiple=True, help="Only with this; repeatable."
            ),
            click.option(
                "--format", "form", type=click.Choice(list(FORMATS)), default="text", show_default=True
            ),
            store_option,
        ]
    ):
        command = option(command)
    return command


@contextlib.contextmanager
def _records(
    store: str | None,
    text: str,
    jobs: tuple[str, ...],
    fields: tuple[str, ...],
    **given: Any,
) -> Iterator[Iterator[LogRecord]]:
    """The records that the options ask for."""
    from bunsui.runner.runner import Runner  # noqa: PLC0415 - with all that sessions are made of

    wanted = _fields(fields)
    with Runner(store) as runner:
        session = runner.session(session_id(runner, text))
        if given.get("follow"):
            yield _followed(session, again(store), jobs or None, wanted, **given)
        else:
            yield session.logs(jobs or None, fields=wanted, **given)


def _followed(
    session: Session,
    at: str,
    jobs: tuple[str, ...] | None,
    fields: dict[str, str],
    *,
    level: str | None,
    since: str | None,
    until: str | None,
    grep: str | None,
    follow: bool,
    last: int,
) -> Iterator[LogRecord]:
    """The records of a session that is followed; where nobody drives it, that is said; see `again`."""
    from bunsui.cli.watching import noting_unattended  # noqa: PLC0415 - only here
    from bunsui.runner.sessions.session_logs import read  # noqa: PLC0415 - with all that sessions are made of

    look, now = noting_unattended(session, at), datetime.now(UTC)
    given = (jobs, level, since, until, grep, follow, fields, last)
    return read(session, now, *given, look)


def _fields(assignments: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ConfigError(f"--field is {quoted(text)}", hint="it is KEY=VALUE, such as stream=stderr")
        if found.setdefault(name, value) != value:
            raise ConfigError(f"--field names {quoted(name)} twice", hint="no record has two values of it")
    return found


@click.group("logs")
def logs_group() -> None:
    """Show, follow and save what the jobs of a session have printed and logged."""


@logs_group.command("tail")
@_filters
@click.option("-n", "--lines", type=click.IntRange(0), default=100, show_default=True, metavar="N")
@click.option("-f", "--follow", is_flag=True, help="Go on until the session rests.")
def tail_command(
    text: str,
    jobs: tuple[str, ...],
    fields: tuple[str, ...],
    form: str,
    store: str | None,
    lines: int,
    **given: Any,
) -> None:
    """Show the last records of a session, and with -f those that follow.

    It ends with the session, and joins jobs that start later. Where nobody drives the session it says so.
    """
    with _records(store, text, jobs, fields, last=lines, **given) as records:
        _show(records, form, at_once=bool(given["follow"]))


@logs_group.command("filter")
@_filters
def filter_command(
    text: str,
    jobs: tuple[str, ...],
    fields: tuple[str, ...],
    form: str,
    store: str | None,
    **given: Any,
) -> None:
    """Show the records of a session that the options ask for; without any, all."""
    with _records(store, text, jobs, fields, **given) as records:
        _show(records, form)


@logs_group.command("download")
@_filters
@click.option(
    "-o", "--output", required=True, metavar="FILE", type=click.Path(), help="Where to; - is standard output."
)
@click.option(
    "--force",
    is_flag=True,
    help="Replace the file if there is one; what is no file, such as a pipe, is written to.",
)
def download_command(
    text: str,
    jobs: tuple[str, ...],
    fields: tuple[str, ...],
    form: str,
    store: str | None,
    output: str,
    force: bool,
    **given: Any,
) -> None:
    """Save the records of a session in a file, which is there once it is complete.

    Where the log of a job is gone, what can be read is saved all the same.
    """
    with _records(store, text, jobs, fields, **given) as records:
        if output == "-":
            _show(records, form)
        else:
            _save(records, form, Path(output), force=force)


def _save(records: Iterator[LogRecord], form: str, path: Path, *, force: bool) -> None:
    gone: NotFound | None = None
    with saving(path, force=force) as file:
        try:
            count = _write(records, form, file)
        except NotFound as error:
            gone = error
    if gone is not None:
        raise gone
    note(f"{count} {'record' if count == 1 else 'records'} saved in {printable(str(path))}")


def _show(records: Iterator[LogRecord], form: str, *, at_once: bool = False) -> None:
    """Prints records; ends where nobody reads them any more."""
    try:
        _write(records, form, sys.stdout, at_once=at_once, wanted=has_reader)
    finally:
        sys.stdout.flush()  # Before an error says what is missing.


def _write(
    records: Iterator[LogRecord],
    form: str,
    file: TextIO,
    *,
    at_once: bool = False,
    wanted: Callable[[], bool] = lambda: True,
) -> int:
    """Writes records, each as it comes, as long as they are wanted, and returns how many there were."""
    show, heading = FORMATS[form]
    count = 0
    if heading is not None:
        file.write(f"{heading}\n")
    for record in records:
        file.write(f"{show(record)}\n")
        count += 1
        if at_once:
            file.flush()
        if not wanted():
            break
    return count
