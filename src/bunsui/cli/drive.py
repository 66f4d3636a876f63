"""Driving a session from the command line until it rests, and letting go of it when interrupted."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from bunsui.cli import render
from bunsui.model.status import SessionStatus

if TYPE_CHECKING:
    from bunsui.runner.handle import Session
    from bunsui.runner.runner import Runner

#: Exit codes of a session that did not succeed, and of one that rests, paused.
FAILED, PAUSED, INTERRUPTED = 1, 7, 130


@contextlib.contextmanager
def _termination_interrupts() -> Iterator[None]:
    """SIGTERM ends the command as Ctrl-C does: what was claimed is released."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def drive(runner: Runner, begin: Callable[[], Session], form: str) -> int:
    """Begins a session, waits until it rests, prints it, and returns the exit code.

    Args:
        runner: closed in any case.
        begin: starts or resumes the session, and returns at once.
        form: ``text`` or ``json``.
    """
    session: Session | None = None
    with _termination_interrupts():
        try:
            session = begin()
            if form == "text":
                click.echo(f"session {session.id}")
            session.wait()
        except KeyboardInterrupt:
            _let_go(runner, session)
            return INTERRUPTED
        finally:
            runner.close(timeout=0)
    state = session.state
    if form == "json":
        render.data(render.session_data(state, session.outputs), form)
    else:
        render.outcome(session)
    if state.status is SessionStatus.SUCCEEDED:
        return 0
    if not state.status.is_resting:
        return FAILED
    if state.status is SessionStatus.PAUSED:
        click.echo(f"continue it with: bunsui session resume {session.id}", err=True)
        return PAUSED
    return FAILED


def _let_go(runner: Runner, session: Session | None) -> None:
    with contextlib.suppress(KeyboardInterrupt):  # Once more: the claim then ends with the process.
        runner.close(timeout=0)
    if session is None:
        click.echo("\ninterrupted before the session began", err=True)
        return
    click.echo(
        f"\ninterrupted; session {session.id} is kept. Continue it with:"
        f"\n  bunsui session resume {session.id}",
        err=True,
    )
