"""What becomes of sessions, in the program's log: for who operates it.

Records are made of committed events, on the thread that drives, and only where somebody listens: a Runner
has no thread for that, and adds no handler. Without any handler nothing is made, so that `logging` does not
print on stderr, by itself, what a program shows in its own way.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bunsui.engine import events as happened
from bunsui.model.session import Failure

if TYPE_CHECKING:
    from bunsui.engine.events import Event
    from bunsui.model.pipeline import Pipeline

#: The logger of all that is said here.
LOGGER: Final = "bunsui.sessions"
_log = logging.getLogger(LOGGER)
#: Frames between who is named as the caller, which is this module, and `write`.
_DEPTH = 2


class Line(NamedTuple):
    """How an event is told."""

    level: int
    message: str
    #: The attributes of the event that are told, too.
    fields: tuple[str, ...] = ()


#: The events that are told. Their texts are part of no interface; the field ``event`` names the event.
LINES: Mapping[type[Event], Line] = {
    happened.SessionStarted: Line(logging.INFO, "session started"),
    happened.RunnerClaimed: Line(logging.INFO, "session taken over by a runner", ("runner", "epoch")),
    happened.PauseRequested: Line(logging.INFO, "pause requested", ("reason",)),
    happened.ResumeRequested: Line(logging.INFO, "pause taken back", ("reason",)),
    happened.CancelRequested: Line(logging.INFO, "cancellation requested", ("reason",)),
    happened.SessionPaused: Line(logging.WARNING, "session paused", ("reason", "message")),
    happened.SessionResumed: Line(logging.INFO, "session resumed"),
    happened.TimeoutReached: Line(logging.WARNING, "timeout of the session reached"),
    happened.SessionSucceeded: Line(logging.INFO, "session succeeded"),
    happened.SessionFailed: Line(logging.ERROR, "session failed", ("error",)),
    happened.SessionCancelled: Line(logging.WARNING, "session cancelled"),
    happened.SessionTimedOut: Line(logging.ERROR, "session timed out"),
    happened.JobStarted: Line(logging.DEBUG, "job started"),
    happened.ItemStarted: Line(logging.DEBUG, "item started"),
    happened.JobSubmitted: Line(logging.DEBUG, "job submitted"),
    happened.ItemSubmitted: Line(logging.DEBUG, "item submitted"),
    happened.FanOutStarted: Line(logging.DEBUG, "job fanned out", ("count",)),
    happened.JobSucceeded: Line(logging.DEBUG, "job succeeded", ("cached_from",)),
    happened.ItemSucceeded: Line(logging.DEBUG, "item succeeded", ("cached_from",)),
    happened.FanOutSucceeded: Line(logging.DEBUG, "job succeeded"),
    happened.JobReused: Line(logging.DEBUG, "job reused", ("session",)),
    happened.ReuseFailed: Line(logging.WARNING, "output to reuse is gone: the job runs", ("reason",)),
    happened.JobSkipped: Line(logging.DEBUG, "job skipped", ("reason",)),
    happened.AttemptFailed: Line(logging.WARNING, "attempt failed: another follows", ("error", "delay")),
    happened.ItemAttemptFailed: Line(logging.WARNING, "attempt failed: another follows", ("error", "delay")),
    happened.AttemptLost: Line(logging.WARNING, "attempt lost: it runs again"),
    happened.ItemAttemptLost: Line(logging.WARNING, "attempt lost: it runs again"),
    happened.JobUnknown: Line(logging.ERROR, "it is not known what became of the job", ("reason",)),
    happened.ItemUnknown: Line(logging.ERROR, "it is not known what became of the item", ("reason",)),
    happened.JobStalled: Line(logging.WARNING, "job can't be followed", ("reason", "message")),
    happened.ItemStalled: Line(logging.WARNING, "item can't be followed", ("reason", "message")),
    happened.JobFailed: Line(logging.ERROR, "job failed", ("error",)),
    happened.ItemFailed: Line(logging.ERROR, "item failed", ("error",)),
    happened.JobCancelled: Line(logging.INFO, "job cancelled", ("reason",)),
    happened.ItemCancelled: Line(logging.INFO, "item cancelled", ("reason",)),
}


def narrate(session: str, pipeline: Pipeline, events: Sequence[Event], trace: str | None = None) -> None:
    """Logs events that have been committed, as far as somebody listens; never raises.

    Args:
        session: its id.
        pipeline: what it runs.
        events: of one commit.
        trace: the span of the run, as the history has it; None: there is none.
    """
    if not _log.hasHandlers():
        return
    for event in events:
        line = LINES.get(type(event))
        # What is below the level costs a look into a table: a session may have 100,000 such events.
        if line is not None and _log.isEnabledFor(line.level):
            # Foreign code: the handlers of the host may raise anything, and the session goes on.
            with contextlib.suppress(BaseException):
                _tell(session, pipeline, event, line, trace)


def _tell(session: str, pipeline: Pipeline, event: Event, line: Line, trace: str | None) -> None:
    level = _level(event, line, pipeline)
    if level is None or not _log.isEnabledFor(level):
        return
    fields: dict[str, Any] = {"event": type(event).__name__, "pipeline": pipeline.name}
    for name in line.fields:
        value = getattr(event, name)
        if isinstance(value, Failure):
            fields |= {"code": value.code, "error": value.message, "retryable": value.retryable}
        elif value is not None:
            fields[name] = value
    from bunsui.logging.context import about  # noqa: PLC0415 - only where somebody listens
    from bunsui.logging.structured_logger import write  # noqa: PLC0415 - as above

    where = {name: getattr(event, name, None) for name in ("job", "item", "attempt")}
    with about(session, **where, trace=trace):
        write(_log, level, line.message, fields, {}, depth=_DEPTH)


def _level(event: Event, line: Line, pipeline: Pipeline) -> int | None:
    """The level of an event; None: it tells nothing."""
    if isinstance(event, happened.RunnerClaimed):
        return None if event.epoch == 1 else line.level  # Else the session starts with it.
    if isinstance(event, happened.SessionPaused) and event.reason == "user":
        return logging.INFO
    if isinstance(event, happened.JobFailed | happened.ItemFailed) and pipeline.job(event.job).allow_failure:
        return logging.WARNING
    return line.level
