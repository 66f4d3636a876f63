"""Driving a session from the command line until it rests, and letting go of it when interrupted."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from bunsui.cli import render
from bunsui.model.status import SessionStatus

if TYPE_CHECKING:
    from bunsui.model.pipeline import Pipeline
    from bunsui.runner.handle import Session
    from bunsui.runner.runner import Runner

#: Exit codes: the session did not succeed, the command was interrupted, the session rests, paused.
FAILED, INTERRUPTED, PAUSED = 1, 130, 7


@contextlib.contextmanager
def _termination_interrupts() -> Iterator[None]:
    """SIGTERM and SIGHUP end the command as Ctrl-C does: what was claimed is released."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    # SIGHUP: the terminal was closed.
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def prepare(pipeline: Pipeline, progress: render.Progress) -> None:
    """Makes this process ready for a pipeline: how wide its jobs' names are, where its modules lie."""
    progress.width = max(len(job.id) for job in pipeline.jobs)
    if pipeline.base_dir is not None:
        sys.path.insert(0, str(pipeline.base_dir))


def drive(runner: Runner, begin: Callable[[], Session], progress: render.Progress, form: str) -> int:
    """Begins a session, waits until it rests, prints it, and returns the exit code.

    Args:
        runner: closed in any case.
        begin: starts or resumes the session, and returns as soon as it is claimed.
        progress: an observer of the runner: it knows the session as soon as it is durable.
        form: ``text`` or ``json``.
    """
    with _termination_interrupts():
        try:
            session = begin()
            session.wait()
        except KeyboardInterrupt:
            return _let_go(runner, progress)
        finally:
            # Once more Ctrl-C: the claim then ends with this process.
            with contextlib.suppress(KeyboardInterrupt):
                runner.close(timeout=0)
    state = session.state
    if form == "json":
        render.data(render.session_data(state, session.outputs), form)
    else:
        render.outcome(session)
    if state.status is SessionStatus.SUCCEEDED:
        return 0
    if state.status is SessionStatus.PAUSED:
        click.echo(f"continue it with: bunsui session resume {session.id}", err=True)
        return PAUSED
    return FAILED


def _let_go(runner: Runner, progress: render.Progress) -> int:
    with contextlib.suppress(KeyboardInterrupt):
        runner.close(timeout=0)  # Shows the observers all that is durable, too.
    session = progress.session_id
    if session is None:
        click.echo("\ninterrupted before the session began", err=True)
    else:
        click.echo(
            f"\ninterrupted; session {session} is kept. Continue it with:\n  bunsui session resume {session}",
            err=True,
        )
    return INTERRUPTED
