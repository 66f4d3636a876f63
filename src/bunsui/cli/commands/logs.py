"""``bunsui logs ...``."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from bunsui.cli.log_text import ENDINGS, FORMATS
from bunsui.cli.options import Command, session_argument, session_id, store_option
from bunsui.cli.streams import note
from bunsui.dsl.problems import quoted
from bunsui.errors import ConfigError

if TYPE_CHECKING:
    from bunsui.model.log import LogRecord

#: Records that are written at once; each at once where they are followed.
_BATCH = 1000


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
        yield session.logs(jobs or None, fields=wanted, **given)


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
@click.option("-n", "--lines", type=click.IntRange(0), default=20, show_default=True, metavar="N")
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

    It ends with the session, and joins jobs that start later.
    """
    with _records(store, text, jobs, fields, last=lines, **given) as records:
        _print(records, form, at_once=bool(given["follow"]))


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
        _print(records, form)


@logs_group.command("download")
@_filters
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE|DIR",
    type=click.Path(),
    help="A file for all; a folder (or a name that ends with /) for a file of each job.",
)
def download_command(
    text: str,
    jobs: tuple[str, ...],
    fields: tuple[str, ...],
    form: str,
    store: str | None,
    output: str,
    **given: Any,
) -> None:
    """Save the records of a session to a file, or to a file for each job."""
    path = Path(output)
    apart = path.is_dir() or output.endswith("/")
    if apart:
        path.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as saved, _records(store, text, jobs, fields, **given) as records:
        files: dict[str, IO[str]] = {}
        count = 0
        try:
            for record in records:
                name = f"{record.job}.{ENDINGS[form]}" if apart else ""
                if name not in files:
                    files[name] = saved.enter_context(_saving(path / name if apart else path, form))
                files[name].write(f"{FORMATS[form][0](record)}\n")
                count += 1
        finally:
            # What could be read is kept, also where one of several logs is gone.
            if not apart and not files:
                saved.enter_context(_saving(path, form))
            saved.close()
    note(f"{count} records saved in {output}")


@contextlib.contextmanager
def _saving(path: Path, form: str) -> Iterator[IO[str]]:
    """A file that is there when it is complete, for its owner alone."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with contextlib.ExitStack() as on_failure:
        on_failure.callback(os.unlink, name)
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            heading = FORMATS[form][1]
            if heading is not None:
                file.write(f"{heading}\n")
            yield file
        Path(name).replace(path)
        on_failure.pop_all()


def _print(records: Iterator[LogRecord], form: str, *, at_once: bool = False) -> None:
    show, heading = FORMATS[form]
    if heading is not None:
        click.echo(heading)
    _write(records, show, 1 if at_once else _BATCH)


def _write(records: Iterator[LogRecord], show: Callable[[LogRecord], str], batch: int) -> None:
    lines: list[str] = []
    try:
        for record in records:
            lines.append(show(record))
            if len(lines) >= batch:
                click.echo("\n".join(lines))
                lines.clear()
    finally:
        # Before an error says what is missing.
        if lines:
            click.echo("\n".join(lines))
