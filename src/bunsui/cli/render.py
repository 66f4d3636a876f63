"""What the commands print: one place for every shape."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

import click

from bunsui.cli import alert_text
from bunsui.cli.outputs import Shown
from bunsui.cli.streams import note, say
from bunsui.dsl.problems import display_width
from bunsui.dsl.problems import printable as printable  # noqa: PLC0414 - for the commands, too
from bunsui.errors import BunsuiError, DefinitionError
from bunsui.model.status import JobStatus, SessionStatus
from bunsui.model.times import to_text
from bunsui.runner.sessions.assuming import WORDS

if TYPE_CHECKING:
    from datetime import datetime

    from bunsui.dsl.diff import Difference
    from bunsui.dsl.problems import Problem
    from bunsui.model.session import Failure, JobState, SessionState
    from bunsui.runner.handle import Session
    from bunsui.runner.registered import PipelineSummary
    from bunsui.runner.sessions.index import SessionSummary

#: Behind the status of a session that is open and that nobody drives.
ORPHANED = " (orphaned)"


def job_data(state: JobState, output: Any) -> dict[str, Any]:
    """A job, with what it returned, as ``session status`` and ``run`` give it."""
    error = state.error
    return {
        "status": str(state.status),
        "attempts": state.attempt_count,
        "output": output,
        "error": (
            None
            if error is None or state.status is JobStatus.SUCCEEDED
            else {"code": error.code, "message": error.message, "retryable": error.retryable}
        ),
        "started_at": time_data(state.started_at),
        "finished_at": time_data(state.finished_at),
    }


def session_data(session: Session) -> dict[str, Any]:
    """A session as ``session status`` and ``run`` give it; what can't be read of it is null, and noted."""
    shown = Shown(session)
    state = shown.state
    return {
        "session_id": state.id,
        "pipeline": state.pipeline,
        "status": str(state.status),
        "paused_reason": state.paused_reason,
        "parameters": dict(state.parameters),
        "outputs": shown.outputs,
        "jobs": {job: job_data(job_state, shown.jobs[job]) for job, job_state in state.jobs.items()},
        **alert_text.data(session),
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


def pipeline_data(summary: PipelineSummary) -> dict[str, Any]:
    """A registered pipeline as ``pipeline list`` gives it."""
    return {
        "name": summary.name,
        "revision": summary.revision,
        "digest": summary.digest,
        "created_at": time_data(summary.created_at),
        "updated_at": time_data(summary.updated_at),
        "description": summary.description,
        "jobs": summary.jobs,
    }


def problem_data(problem: Problem) -> dict[str, Any]:
    """A problem as ``pipeline validate`` gives it."""
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "path": problem.path,
        "code": problem.code,
        "severity": problem.severity,
        "message": problem.message,
        "hint": problem.hint,
    }


def difference_data(difference: Difference) -> dict[str, Any]:
    """A difference as ``pipeline diff`` gives it."""
    return {
        "change": str(difference.change),
        "path": difference.path,
        "what": difference.what,
        "field": difference.field,
        "before": difference.before,
        "after": difference.after,
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

    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    if printable_lines(text) != text:  # Such as a mark that turns the direction of what follows.
        text = yaml.safe_dump(value, sort_keys=False, allow_unicode=False)
    click.echo(text, nl=False)


def printable_lines(text: str) -> str:
    """`text`, which may have several lines, safe for a terminal."""
    return "\n".join(map(printable, text.split("\n")))


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
                str(job_state.attempt_count),
                seconds,
                job_note(job_state),
            )
        )
    table(("JOB", "STATUS", "ATTEMPTS", "SECONDS", "REASON"), rows)


def job_note(state: JobState) -> str:
    """Why a job was not run, or how far one that fans out has come, or where its output is from."""
    origin = "" if state.reused_from is None else f"reused from {state.reused_from}"
    if state.cached_from is not None:
        origin = f"cached from {state.cached_from}"
    return state.reason or _items_done(state) or origin


def _items_done(state: JobState) -> str:
    """How far a job that fans out has come; "" for any other."""
    if not state.items:
        return ""
    done = sum(item.status is JobStatus.SUCCEEDED for item in state.items)
    return f"{done} of {count(len(state.items), 'item')}"


def error_text(error: Failure) -> str:
    """Why a job or a session failed."""
    return f"{printable(error.code)}: {printable(error.message)}"


def outcome(session: Session, at: str, *, is_orphaned: bool = False) -> None:
    """Prints how a session ended or rests: outputs, errors with their logs, and what to do next.

    Args:
        session: which one.
        at: what names the store in the commands that are proposed.
        is_orphaned: whether it is open and nobody drives it.
    """
    shown = Shown(session)
    state = shown.state
    for number, (name, text) in enumerate(shown.lines()):
        if number == 0:
            say("\noutputs")
        say(f"  {name}: {text}")
    failed = {job: s for job, s in state.jobs.items() if s.status is JobStatus.FAILED}
    if failed or state.error is not None:
        say("\nfailed")
    for job, job_state in failed.items():
        error = job_state.error
        if error is not None:
            say(f"  {job}: {error_text(error)}")
        _log_command(session, job, at)
    if state.error is not None:
        say(f"  outputs: {error_text(state.error)}")
    say(f"\n{ending(state)}{ORPHANED if is_orphaned else ''}")


def ending(state: SessionState) -> str:
    """How a session ended or rests, on one line."""
    took = ""
    if state.started_at is not None and state.finished_at is not None:
        took = f" in {(state.finished_at - state.started_at).total_seconds():.2f} s"
    reason = f" ({state.paused_reason})" if state.paused_reason else ""
    again = "" if state.rerun_of is None else f", a rerun of {state.rerun_of}"
    return f"session {state.id} {state.status}{reason}{took}{again}"


def _log_command(session: Session, job: str, at: str) -> None:
    """Says how to see the log of a failed job, where it has one, or asking for that may take its time."""
    from bunsui.runner.sessions.session_logs import costs_calls  # noqa: PLC0415 - where a job failed

    try:
        if not costs_calls(session) and not any(session.logs(job, last=1)):
            return
    except (BunsuiError, OSError) as error:
        say(f"    log: {printable(str(error))}")
        return
    say(f"    log: bunsui logs filter {session.id} --job {job}{at}")


def pause(state: SessionState, at: str) -> None:
    """Says on stderr why a session is paused and how to go on with it; of any other, nothing."""
    if state.status is not SessionStatus.PAUSED:
        return
    if state.paused_message is not None:
        note(f"{state.paused_reason}: {printable(state.paused_message)}")
    command = f"continue it with: bunsui session resume {state.id}{at}"
    unknown = [job for job, job_state in state.jobs.items() if _is_unknown(job_state)]
    if not unknown:
        note(command)
        return
    said = " ".join(f"--assume WORD {job}" for job in unknown)
    note(f"{command} {said}\nwhere WORD says what became of it: {', '.join(WORDS)}")


def unattended(session: Session, at: str) -> str | None:
    """What to do where nobody drives a session that could go on; None where somebody does, or it rests."""
    if not session.is_orphaned:
        return None
    return f"nobody drives it; continue it with: bunsui session resume {session.id}{at}"


def not_stopped(state: SessionState, reason: str) -> None:
    """Says on stderr what the end of a cancelled session leaves open: work that may go on elsewhere.

    Args:
        state: the session.
        reason: what is said of work that was stopped.
    """
    for job, job_state in state.jobs.items():
        parts = [(job, job_state), *((f"{job}[{i}]", item) for i, item in enumerate(job_state.items or ()))]
        for name, part in parts:
            if part.status is JobStatus.CANCELLED and part.attempts and part.reason not in (None, reason):
                handle = part.attempts[-1].handle
                known = "" if handle is None else f"; its service knows it as {handle.text}"
                note(f"{name}: {printable(f'{part.reason}{known}')}")


def _is_unknown(state: JobState) -> bool:
    return any(part.status is JobStatus.UNKNOWN for part in (state, *(state.items or ())))


def has_colours(stream: IO[str]) -> bool:
    """Whether a stream is a terminal that colours are wanted on; see https://no-color.org."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def problem_text(problem: Problem, *, colours: bool) -> str:
    """A problem for a terminal; with colours, its severity and its carets stand out."""
    text = problem.render()
    if not colours:
        return text
    tone = "red" if problem.severity == "error" else "yellow"
    mark = f"{problem.severity}[{problem.code}]"
    text = text.replace(mark, click.style(mark, fg=tone, bold=True), 1)
    carets = re.compile(r"^( +\| +)(\^+)", re.MULTILINE)
    return carets.sub(lambda match: match[1] + click.style(match[2], fg=tone, bold=True), text)


def refusal(error: BunsuiError, *, colours: bool) -> str:
    """Why a command does nothing: problems as ``pipeline validate`` shows them, of other errors the text."""
    if isinstance(error, DefinitionError):
        return "\n".join(problem_text(problem, colours=colours) for problem in error.problems)
    # A name in it may be somebody else's, and so may be a path.
    return printable_lines(f"bunsui: {error}")


def problem_annotation(problem: Problem) -> str:
    """A problem as a workflow command of GitHub Actions, which shows it beside the line.

    See https://docs.github.com/actions/reference/workflow-commands-for-github-actions; what is escaped,
    and how: https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts.
    """
    properties: dict[str, object] = {}
    if problem.file is not None:
        properties["file"] = printable_lines(problem.file)
    if problem.line is not None:
        properties["line"] = problem.line
    if problem.column is not None:
        properties |= {"col": problem.column, "endColumn": problem.column + problem.length}
    properties["title"] = f"bunsui {problem.code}"
    given = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    lines = [problem.message] if problem.hint is None else [problem.message, problem.hint]
    message = _escaped("\n".join(map(printable, lines)))
    return f"::{'error' if problem.severity == 'error' else 'warning'} {given}::{message}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def count(number: int, noun: str) -> str:
    """Such as ``1 error`` or ``2 errors``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def problem_counts(files: int, problems: Sequence[Problem]) -> str:
    """Such as ``2 files: 3 errors, 1 warning``."""
    errors = sum(problem.severity == "error" for problem in problems)
    numbers = {"error": errors, "warning": len(problems) - errors}
    found = ", ".join(count(number, noun) for noun, number in numbers.items() if number)
    return f"{count(files, 'file')}: {found or 'no problems'}"
