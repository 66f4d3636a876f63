"""The tables: the only place where a status changes.

Each says from which statuses an event may come and what the status is afterwards. The pictures in
docs/architecture/history.rst are drawn from them.
"""

from __future__ import annotations

from bunsui.engine import events
from bunsui.errors import BunsuiError
from bunsui.model.status import JobStatus as J
from bunsui.model.status import SessionStatus as S


class IllegalTransition(BunsuiError):
    """An event that can't follow what happened before it: the history is damaged, or the engine is wrong."""


#: (event, status before) -> status after, for sessions.
SESSION: dict[tuple[type[events.Event], S], S] = {
    (events.SessionStarted, S.CREATED): S.RUNNING,
    (events.SessionPaused, S.RUNNING): S.PAUSED,
    (events.SessionResumed, S.PAUSED): S.RUNNING,
    (events.SessionSucceeded, S.RUNNING): S.SUCCEEDED,
    (events.SessionFailed, S.RUNNING): S.FAILED,
    (events.SessionCancelled, S.CREATED): S.CANCELLED,
    (events.SessionCancelled, S.RUNNING): S.CANCELLED,
    (events.SessionCancelled, S.PAUSED): S.CANCELLED,
    (events.TimeoutReached, S.RUNNING): S.RUNNING,
    (events.SessionTimedOut, S.RUNNING): S.TIMED_OUT,
}
SESSION |= {
    (event, status): status
    for event, statuses in {
        events.RunnerClaimed: (S.CREATED, S.RUNNING, S.PAUSED),
        events.RunnerReleased: tuple(S),
        events.PauseRequested: (S.CREATED, S.RUNNING, S.PAUSED),
        events.ResumeRequested: (S.CREATED, S.RUNNING),
        events.CancelRequested: (S.CREATED, S.RUNNING, S.PAUSED),
    }.items()
    for status in statuses
}

#: (event, status before) -> status after, for jobs.
JOB: dict[tuple[type[events.Event], J], J] = {
    (events.ConditionEvaluated, J.PENDING): J.PENDING,
    (events.JobReused, J.PENDING): J.SUCCEEDED,
    (events.ReuseFailed, J.PENDING): J.PENDING,
    (events.JobStarted, J.PENDING): J.RUNNING,
    (events.JobStarted, J.RETRYING): J.RUNNING,
    (events.JobSubmitted, J.RUNNING): J.RUNNING,
    (events.JobSucceeded, J.RUNNING): J.SUCCEEDED,
    (events.JobSucceeded, J.UNKNOWN): J.SUCCEEDED,
    (events.AttemptFailed, J.RUNNING): J.RETRYING,
    (events.AttemptLost, J.RUNNING): J.PENDING,
    (events.AttemptLost, J.UNKNOWN): J.PENDING,
    (events.JobUnknown, J.RUNNING): J.UNKNOWN,
    (events.JobStalled, J.RUNNING): J.RUNNING,
    (events.JobFailed, J.PENDING): J.FAILED,
    (events.JobFailed, J.RUNNING): J.FAILED,
    (events.JobFailed, J.RETRYING): J.FAILED,
    (events.JobFailed, J.UNKNOWN): J.FAILED,
    (events.JobSkipped, J.PENDING): J.SKIPPED,
    (events.JobCancelled, J.PENDING): J.CANCELLED,
    (events.JobCancelled, J.RETRYING): J.CANCELLED,
    (events.JobCancelled, J.RUNNING): J.CANCELLED,
    (events.JobCancelled, J.UNKNOWN): J.CANCELLED,
    (events.FanOutStarted, J.PENDING): J.RUNNING,
    (events.FanOutSucceeded, J.RUNNING): J.SUCCEEDED,
}

#: (event, status before) -> status after, for items of a job that runs.
ITEM: dict[tuple[type[events.Event], J], J] = {
    (events.ItemStarted, J.PENDING): J.RUNNING,
    (events.ItemStarted, J.RETRYING): J.RUNNING,
    (events.ItemSubmitted, J.RUNNING): J.RUNNING,
    (events.ItemSucceeded, J.RUNNING): J.SUCCEEDED,
    (events.ItemSucceeded, J.UNKNOWN): J.SUCCEEDED,
    (events.ItemAttemptFailed, J.RUNNING): J.RETRYING,
    (events.ItemAttemptLost, J.RUNNING): J.PENDING,
    (events.ItemAttemptLost, J.UNKNOWN): J.PENDING,
    (events.ItemUnknown, J.RUNNING): J.UNKNOWN,
    (events.ItemStalled, J.RUNNING): J.RUNNING,
    (events.ItemFailed, J.PENDING): J.FAILED,
    (events.ItemFailed, J.RUNNING): J.FAILED,
    (events.ItemFailed, J.RETRYING): J.FAILED,
    (events.ItemFailed, J.UNKNOWN): J.FAILED,
    (events.ItemCancelled, J.RUNNING): J.CANCELLED,
    (events.ItemCancelled, J.UNKNOWN): J.CANCELLED,
}


def next_session_status(event: events.Event, status: S) -> S:
    """The session's status after `event`.

    Raises:
        IllegalTransition: `event` can't happen in `status`.
    """
    try:
        return SESSION[type(event), status]
    except KeyError:
        raise IllegalTransition(f"{type(event).__name__} in a session that is {status}") from None


def next_job_status(event: events.JobEvent, status: J) -> J:
    """The job's status after `event`.

    Raises:
        IllegalTransition: `event` can't happen in `status`.
    """
    try:
        return JOB[type(event), status]
    except KeyError:
        raise IllegalTransition(f"{type(event).__name__} for job '{event.job}', which is {status}") from None


def next_item_status(event: events.ItemEvent, status: J) -> J:
    """The item's status after `event`.

    Raises:
        IllegalTransition: `event` can't happen in `status`.
    """
    try:
        return ITEM[type(event), status]
    except KeyError:
        raise IllegalTransition(
            f"{type(event).__name__} for item {event.item} of job '{event.job}', which is {status}"
        ) from None
