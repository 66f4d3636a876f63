"""The statuses of sessions and jobs, and which of them are final."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["JobStatus", "SessionStatus"]


class SessionStatus(StrEnum):
    """Where a session stands.

    Such as::

        print(session.status == "succeeded", session.status.is_terminal)  # True True
        paused = bunsui.SessionStatus.PAUSED
        print(paused.is_resting, paused.is_terminal)  # True False
    """

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"

    # Enum hashes its members' names, in Python; text that is equal must hash equal, and this is faster.
    __hash__ = str.__hash__

    @property
    def is_terminal(self) -> bool:
        """Whether the session has ended: nothing changes it any more."""
        return self in _TERMINAL_SESSION

    @property
    def is_resting(self) -> bool:
        """Whether the session has ended or is paused."""
        return self is SessionStatus.PAUSED or self in _TERMINAL_SESSION


class JobStatus(StrEnum):
    """Where a job of a session stands.

    Such as::

        status = session.jobs["load_data"].status
        print(status is bunsui.JobStatus.SUCCEEDED, status.is_terminal)  # True True
    """

    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    __hash__ = str.__hash__

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended in this session."""
        return self in _TERMINAL_JOB


_TERMINAL_SESSION = frozenset(
    {
        SessionStatus.SUCCEEDED,
        SessionStatus.FAILED,
        SessionStatus.CANCELLED,
        SessionStatus.TIMED_OUT,
    }
)
_TERMINAL_JOB = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.SKIPPED, JobStatus.CANCELLED})
