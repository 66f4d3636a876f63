"""What the commands print: one place for every shape."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from bunsui.dsl.problems import display_width, printable
from bunsui.engine import events as ev
from bunsui.model.status import JobStatus
from bunsui.model.times import to_text
from bunsui.ports.hooks import hookimpl

if TYPE_CHECKING:
    from datetime import datetime

    from bunsui.model.session import JobState, SessionState
    from bunsui.runner.handle import Session
    from bunsui.runner.index import SessionSummary

#: Characters of a job's output that the end of a run shows on one line.
SHOWN_OUTPUT = 2000


class Progress:
    """An observer that prints a line when an attempt starts or ends: job, status, attempt, seconds.

    Args:
        quiet: whether it prints nothing, and only knows the session.
        session_id: the session, where it is known already.
    """

    def __init__(self, *, quiet: bool, session_id: str | None = None) -> None:
        #: Characters that the longest job id takes.
        self.width = 0
        #: The session, as soon as it is durable.
        self.session_id = session_id
        self._quiet = quiet
        self._begun = False
        self._started: dict[str, datetime] = {}

    @hookimpl
    def bunsui_session_event(self, session_id: str, event: ev.Event) -> None:
        """Prints what happened to a job."""
        self.session_id = session_id
        if self._quiet:
            return
        if not self._begun:
            self._begun = True
            say(f"session {session_id}")
        match event:
            case ev.JobStarted():
                self._started[event.job] = event.at
                self._line(event.job, "running", event.attempt)
            case ev.JobSucceeded():
                self._line(event.job, "succeeded", event.attempt, event.at)
            case ev.AttemptFailed():
                again = f"{event.error.code}, again in {event.delay:.1f} s"
                self._line(event.job, "retrying", event.attempt, event.at, again)
            case ev.JobFailed():
                self._line(event.job, "failed", event.attempt, event.at, event.error.code)
            case ev.JobSkipped():
                self._line(event.job, "skipped", 0, note=event.reason)
            case ev.JobCancelled():
                self._line(event.job, "cancelled", 0, note=event.reason)
            case ev.AttemptLost():
                self._line(event.job, "lost", event.attempt, note="its runner is gone; it runs again")

    def _line(self, job: str, status: str, attempt: int, at: datetime | None = None, note: str = "") -> None:
        parts = [f"{job:<{self.width}}", f"{status:<9}"]
        if attempt:
            parts.append(f"attempt {attempt}")
        if at is not None and job in self._started:
            parts.append(f"{(at - self._started[job]).total_seconds():7.2f} s")
        if note:
            parts.append(printable(note))
        say("  ".join(parts).rstrip())


def say(text: str) -> None:
    """Prints a line of a run, which goes on where nobody can read it any more, as behind `| head`."""
    try:
        click.echo(text)
    except OSError:  # Or a full disk behind `>`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def job_data(state: JobState) -> dict[str, Any]:
    """A job as ``session status`` and ``run`` give it."""
    error = state.error
    return {
        "status": str(state.status),
        "attempts": len(state.attempts),
        "output": state.output,
        "error": (
            None
            if error is None or state.status is JobStatus.SUCCEEDED
            else {"code": error.code, "message": error.message, "retryable": error.retryable}
        ),
        "started_at": time_data(state.started_at),
        "finished_at": time_data(state.finished_at),
    }


def session_data(state: SessionState, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """A session as ``session status`` and ``run`` give it."""
    return {
        "session_id": state.id,
        "pipeline": state.pipeline,
        "status": str(state.status),
        "paused_reason": state.paused_reason,
        "parameters": dict(state.parameters),
        "outputs": dict(outputs),
        "jobs": {job: job_data(job_state) for job, job_state in state.jobs.items()},
    }


def summary_data(summary: SessionSummary) -> dict[str, Any]:
    """A session as ``session list`` gives it."""
    return {
        "session_id": summary.session_id,
        "pipeline": summary.pipeline,
        "status": str(summary.status),
        "created_at": time_data(summary.created_at),
        "started_at": time_data(summary.started_at),
        "finished_at": time_data(summary.finished_at),
        "jobs": dict(summary.jobs),
    }


def time_data(at: datetime | None) -> str | None:
    """A time as text, or None."""
    return None if at is None else to_text(at)


def data(value: Any, form: str) -> None:
    """Prints one document to stdout, as ``json`` or ``yaml``."""
    if form == "json":
        click.echo(json.dumps(value, indent=2))  # ASCII: any output of a job can be said in it.
        return
    import yaml  # noqa: PLC0415 - only for this format

    click.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), nl=False)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table: columns as wide as what they hold."""
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(display_width, column)) for column in zip(headings, *shown, strict=True)]
    for row in (headings, *shown):
        cells = (
            f"{cell}{' ' * (width - display_width(cell))}" for cell, width in zip(row, widths, strict=True)
        )
        click.echo("  ".join(cells).rstrip())


def jobs(state: SessionState) -> None:
    """Prints a line for each job of a session."""
    rows = []
    for job, job_state in state.jobs.items():
        seconds = ""
        if job_state.started_at is not None and job_state.finished_at is not None:
            seconds = f"{(job_state.finished_at - job_state.started_at).total_seconds():.2f}"
        rows.append(
            (
                job,
                str(job_state.status),
                str(len(job_state.attempts)),
                seconds,
                job_state.reason or "",
            )
        )
    table(("JOB", "STATUS", "ATTEMPTS", "SECONDS", "REASON"), rows)


def outcome(session: Session) -> None:
    """Prints how a session ended or rests: outputs, errors with their logs, and what to do next."""
    state = session.state
    outputs = session.outputs
    say("\noutputs")
    for job, output in outputs.items():
        if state.jobs[job].status is JobStatus.SUCCEEDED:
            text = printable(json.dumps(output, ensure_ascii=False))
            say(f"  {job}: {text[:SHOWN_OUTPUT]}{'…' if len(text) > SHOWN_OUTPUT else ''}")
    failed = {job: s for job, s in state.jobs.items() if s.status is JobStatus.FAILED}
    if failed:
        say("\nfailed")
    for job, job_state in failed.items():
        error = job_state.error
        if error is not None:
            say(f"  {job}: {printable(error.code)}: {printable(error.message)}")
        log = session.log_folder / f"{job}.{len(job_state.attempts)}.log"
        if log.exists():
            say(f"    log: {log}")
    took = ""
    if state.started_at is not None and state.finished_at is not None:
        took = f" in {(state.finished_at - state.started_at).total_seconds():.2f} s"
    reason = f" ({state.paused_reason})" if state.paused_reason else ""
    say(f"\nsession {state.id} {state.status}{reason}{took}")
