"""The table of ``session watch``: as many jobs as the terminal has lines, those that run first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from bunsui.cli.render import job_note, printable
from bunsui.model.status import JobStatus

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from bunsui.model.session import JobState, SessionState

#: Lines beside the jobs: session, counts, headings, what is left out, a note, and the cursor's.
AROUND = 7
#: Jobs that the last drawing, which stays, shows at least.
LAST = 20
#: Columns below which there are no attempts and seconds.
NARROW = 60
#: A job's place where not all have one: what runs, what ended last, what waits.
_FIRST = {JobStatus.RUNNING: 0, JobStatus.RETRYING: 0, JobStatus.UNKNOWN: 0, JobStatus.PENDING: 2}
#: The style of each status of sessions and jobs.
STYLES = {
    "created": "",
    "running": "cyan",
    "retrying": "yellow",
    "succeeded": "green",
    "failed": "red",
    "timed_out": "red",
    "unknown": "magenta",
    "paused": "yellow",
    "pending": "dim",
    "skipped": "dim",
    "cancelled": "dim",
}


class WatchTable:
    """What is drawn; it fits the terminal of the moment.

    Args:
        state: of the session.
        note: a line below the table.
    """

    def __init__(self, state: SessionState, note: str | None = None) -> None:
        self.state = state
        self.note = note
        #: Whether it is drawn for the last time.
        self.is_last = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draws it in as many lines as there are."""
        state, lines = self.state, max(console.size.height - AROUND, 1)
        jobs = shown(state, max(lines, LAST) if self.is_last else lines)
        yield _line(
            Text(f"session {state.id}  {printable(state.pipeline)}  "),
            Text(str(state.status), STYLES[state.status]),
        )
        yield _line(Text(_counts(state)))
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
        table.add_column("JOB", no_wrap=True, overflow="ellipsis")
        table.add_column("STATUS", no_wrap=True, overflow="ellipsis")
        is_narrow = options.max_width < NARROW
        for heading in () if is_narrow else ("ATTEMPTS", "SECONDS"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("PROGRESS", no_wrap=True, overflow="ellipsis", ratio=1)
        now = datetime.now(UTC)
        for job in jobs:
            name, status, *numbers, note = _cells(job, state.jobs[job], now)
            table.add_row(name, status, *([] if is_narrow else numbers), note)
        yield table
        if len(jobs) < len(state.jobs):
            yield _line(Text(f"and {len(state.jobs) - len(jobs):,} more"))
        if self.note is not None and not state.status.is_resting:
            yield _line(Text(self.note, "yellow"))


def _line(*parts: Text) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    for part in parts:
        line.append_text(part)
    return line


def shown(state: SessionState, lines: int) -> list[str]:
    """The jobs that are shown, in the definition's order: all, or what runs, then what ended last."""
    if len(state.jobs) <= lines:
        return list(state.jobs)
    begin = datetime.min.replace(tzinfo=UTC)

    def place(job: str) -> tuple[int, float]:
        of = state.jobs[job]
        ended = of.finished_at or begin
        return _FIRST.get(of.status, 1), -ended.timestamp() if of.finished_at else 0.0

    chosen = set(sorted(state.jobs, key=place)[:lines])
    return [job for job in state.jobs if job in chosen]


def _counts(state: SessionState) -> str:
    found: dict[JobStatus, int] = dict.fromkeys(JobStatus, 0)
    for job in state.jobs.values():
        found[job.status] += 1
    return ", ".join(f"{count:,} {status}" for status, count in found.items() if count)


def _cells(job: str, state: JobState, now: datetime) -> tuple[Text, ...]:
    seconds = ""
    if state.started_at is not None:
        end = state.finished_at or (now if state.status in _FIRST else state.started_at)
        # The clock of another machine may be ahead.
        seconds = f"{max((end - state.started_at).total_seconds(), 0.0):.1f}"
    progress = job_note(state)
    if not progress and state.error is not None and state.status is not JobStatus.SUCCEEDED:
        progress = f"{state.error.code}: {state.error.message}"
    status = str(state.status)
    return (
        Text(job),
        Text(status, STYLES[status]),
        Text(str(state.attempt_count) if state.attempt_count else ""),
        Text(seconds),
        Text(printable(progress[:200])),
    )
