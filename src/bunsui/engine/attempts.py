"""What one more fact makes of a job's state, or of an item's: both go through attempts in the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bunsui.engine.transitions import IllegalTransition
from bunsui.model.session import Attempt, JobState
from bunsui.model.status import JobStatus

if TYPE_CHECKING:
    from datetime import datetime

    from bunsui.engine import events as ev
    from bunsui.model.session import Failure

# States are made by their constructor: `attrs.evolve` costs five times as much, and this runs each time.


#: The statuses in which the last attempt has no recorded end.
_OPEN_ATTEMPT = (JobStatus.RUNNING, JobStatus.UNKNOWN)


def _whose(event: ev.JobEvent) -> str:
    item = getattr(event, "item", None)
    return f"job '{event.job}'" if item is None else f"item {item} of job '{event.job}'"


def _last(before: JobState, event: _Numbered) -> Attempt:
    if not before.attempts:
        raise IllegalTransition(f"{type(event).__name__} of {_whose(event)}, which has no attempt of its own")
    last = before.attempts[-1]
    if last.number != event.attempt:
        raise IllegalTransition(
            f"{type(event).__name__} of attempt {event.attempt} of {_whose(event)},"
            f" whose attempt {last.number} runs"
        )
    return last


def _ended(
    last: Attempt, at: datetime, error: Failure | None = None, cached_from: str | None = None
) -> Attempt:
    return Attempt(last.number, last.started_at, at, error, last.handle, cached_from, last.trace)


def started(before: JobState, status: JobStatus, event: ev.JobStarted | ev.ItemStarted) -> JobState:
    """An attempt began."""
    attempts = before.attempts
    # A lost attempt runs again under its own number.
    if attempts and attempts[-1].finished_at is None:
        attempts = attempts[:-1]
    if event.attempt != len(attempts) + 1:
        raise IllegalTransition(f"attempt {event.attempt} of {_whose(event)} after {len(attempts)}")
    return JobState(
        status,
        (*attempts, Attempt(event.attempt, event.at, trace=event.trace)),
        before.error,
        before.started_at or event.at,
    )


def submitted(before: JobState, status: JobStatus, event: ev.JobSubmitted | ev.ItemSubmitted) -> JobState:
    """The last attempt's work has a name at a remote service."""
    last = _last(before, event)
    at_service = Attempt(last.number, last.started_at, handle=event.handle, trace=last.trace)
    return JobState(status, (*before.attempts[:-1], at_service), before.error, before.started_at)


def succeeded(before: JobState, status: JobStatus, event: ev.JobSucceeded | ev.ItemSucceeded) -> JobState:
    """The last attempt succeeded."""
    last = _last(before, event)
    done = _ended(last, event.at, None, event.cached_from)
    return JobState(
        status,
        (done,) if last.number == 1 else (*before.attempts[:-1], done),
        None,
        before.started_at,
        event.at,
        None,
        event.output,
    )


def reused(before: JobState, status: JobStatus, event: ev.JobReused) -> JobState:
    """It took an output over, without an attempt of its own."""
    if before.attempts:
        raise IllegalTransition(f"JobReused of {_whose(event)}, which has attempts of its own")
    return JobState(status, finished_at=event.at, encoded_output=event.output, reused_from=event.session)


def attempt_failed(
    before: JobState, status: JobStatus, event: ev.AttemptFailed | ev.ItemAttemptFailed
) -> JobState:
    """The last attempt failed, and another one follows."""
    last = _last(before, event)
    failed_one = _ended(last, event.at, event.error)
    return JobState(status, (*before.attempts[:-1], failed_one), event.error, before.started_at)


def lost(before: JobState, status: JobStatus, event: ev.AttemptLost | ev.ItemAttemptLost) -> JobState:
    """The last attempt runs again."""
    _last(before, event)
    return JobState(status, before.attempts, before.error, before.started_at)


def unknown(before: JobState, status: JobStatus, event: ev.JobUnknown | ev.ItemUnknown) -> JobState:
    """What became of the last attempt is not known, and somebody has to say it."""
    _last(before, event)
    return JobState(status, before.attempts, before.error, before.started_at, reason=event.reason)


def stalled(before: JobState, status: JobStatus, event: ev.JobStalled | ev.ItemStalled) -> JobState:
    """The last attempt can't be followed from here: nothing else has changed."""
    del status
    _last(before, event)
    return before


def failed(before: JobState, status: JobStatus, event: ev.JobFailed | ev.ItemFailed) -> JobState:
    """The last attempt failed, or none could start, and no other follows."""
    attempts = before.attempts
    if before.status in _OPEN_ATTEMPT:
        last = _last(before, event)
        ended = _ended(last, event.at, event.error)
        attempts = (*attempts[:-1], ended)
    elif event.attempt:
        raise IllegalTransition(
            f"{type(event).__name__} of attempt {event.attempt} of {_whose(event)}, which is {before.status}"
        )
    return JobState(status, attempts, event.error, before.started_at, event.at)


def given_up(
    before: JobState, status: JobStatus, event: ev.JobSkipped | ev.JobCancelled | ev.ItemCancelled
) -> JobState:
    """It was skipped or cancelled."""
    attempts = before.attempts
    if before.status in _OPEN_ATTEMPT:
        last = attempts[-1]
        attempts = (*attempts[:-1], _ended(last, event.at))
    return JobState(status, attempts, before.error, before.started_at, event.at, event.reason)


if TYPE_CHECKING:
    _Numbered = (
        ev.JobSucceeded
        | ev.ItemSucceeded
        | ev.AttemptFailed
        | ev.ItemAttemptFailed
        | ev.AttemptLost
        | ev.ItemAttemptLost
        | ev.JobSubmitted
        | ev.ItemSubmitted
        | ev.JobUnknown
        | ev.ItemUnknown
        | ev.JobStalled
        | ev.ItemStalled
        | ev.JobFailed
        | ev.ItemFailed
    )
