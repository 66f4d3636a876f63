"""What ``session prune`` asks and prints."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from bunsui.cli import render
from bunsui.cli.streams import note
from bunsui.dsl.problems import quoted
from bunsui.errors import ConfigError, StoreError
from bunsui.stores.sqlite_errors import FULL

if TYPE_CHECKING:
    from bunsui.runner.runner import Runner
    from bunsui.runner.sessions.pruning import Pruned


def age(text: str) -> timedelta:
    """What ``--older-than`` says.

    Raises:
        ConfigError: it is no duration of more than 0.
    """
    from bunsui.runner.sessions import pruning  # noqa: PLC0415 - with all that sessions are made of

    weeks = text.endswith("w")
    try:
        return pruning.age(f"{text.removesuffix('w')}d" if weeks else text) * (7 if weeks else 1)
    except (ConfigError, OverflowError):
        hint = "such as 30d or 1w (ms, s, m, h, d, w); more than 0"
        raise ConfigError(f"--older-than is {quoted(text)}, which is no duration", hint=hint) from None


def confirmed(runner: Runner, older_than: str) -> bool:
    """Whether somebody at a terminal agrees to what would be removed; yes, where that is nothing.

    Raises:
        UsageError: there is no terminal.
    """
    would = runner.prune(age(older_than), dry_run=True)
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask at; give --yes to remove them, or --dry-run")
    if not would.sessions:
        return True
    sessions = render.count(len(would.sessions), "session")
    question = f"Remove {sessions} that ended longer ago than {older_than}, with logs and artifacts?"
    return click.confirm(question, err=True)


def prune(runner: Runner, older_than: str, *, dry_run: bool) -> Pruned:
    """Removes sessions; see `Runner.prune`. Where the disk is full, it says what can be removed by hand."""
    try:
        return runner.prune(age(older_than), dry_run=dry_run)
    except StoreError as error:
        path = runner.store.path
        if error.hint != FULL or path is None:
            raise
        hint = (
            f"free some space first: in {render.printable(str(path))}-logs each session has a folder, and"
            " those that nobody needs may be removed by hand"
        )
        raise StoreError(error.message, hint=hint, lasting=error.lasting) from error


def show(pruned: Pruned, form: str) -> None:
    """Prints what was removed, or would be, and what could not be."""
    if form != "table":
        render.data(_data(pruned), form)
        return
    rows = [
        (
            session.session_id,
            session.pipeline,
            str(session.status),
            render.time_data(session.finished_at) or "",
            size(session.log_bytes + session.artifact_bytes),
        )
        for session in pruned.sessions
    ]
    if rows:
        render.table(("SESSION", "PIPELINE", "STATUS", "FINISHED", "FILES"), rows)
    for kept in pruned.kept:
        note(render.printable(f"session {kept.session_id} can't be removed: {kept.reason}"))
    what = f"{render.count(len(rows), 'session')} {'would be' if pruned.dry_run else 'were'} removed"
    note(
        f"{what if len(rows) != 1 else what.replace('were', 'was')}, with {size(pruned.log_bytes)} of logs"
        f" and {size(pruned.artifact_bytes)} of artifacts"
    )


def _data(pruned: Pruned) -> dict[str, Any]:
    return {
        "dry_run": pruned.dry_run,
        "sessions": [
            {
                "session_id": session.session_id,
                "pipeline": session.pipeline,
                "status": str(session.status),
                "finished_at": render.time_data(session.finished_at),
                "log_bytes": session.log_bytes,
                "artifact_bytes": session.artifact_bytes,
            }
            for session in pruned.sessions
        ],
        "kept": [
            {"session_id": kept.session_id, "pipeline": kept.pipeline, "reason": kept.reason}
            for kept in pruned.kept
        ],
        "log_bytes": pruned.log_bytes,
        "artifact_bytes": pruned.artifact_bytes,
    }


def size(count: int) -> str:
    """Bytes for people, such as ``1.5 MB``."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
