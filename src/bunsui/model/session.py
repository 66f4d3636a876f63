"""What a session's history amounts to: frozen snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from bunsui import errors
from bunsui.model.json import NULL, Json
from bunsui.model.status import JobStatus, SessionStatus

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Attempt", "Failure", "JobState", "SessionState"]


@frozen
class Failure:
    """Why an attempt or a job failed.

    Such as::

        session = runner.run(pipeline, {"source_bucket": "missing"})
        failure = session.jobs["extract_data"].error
        print(failure.code, failure.retryable)  # LookupError True
    """

    #: Such as ``ValueError``, ``ExitCode.3``, ``JobTimeout``; what ``retry: {on: [...]}`` matches.
    code: str
    #: What happened, for a person; without the values of secrets.
    message: str
    #: Whether another attempt can help.
    retryable: bool = True

    def to_error(self) -> errors.JobError:
        """The error that this stands for, of the class that its code names.

        Such as::

            error = bunsui.Failure("JobTimeout", "it took longer than 5 s").to_error()
            print(type(error).__name__, error.code)  # JobTimeout JobTimeout
        """
        cls = getattr(errors, self.code, errors.JobError)
        if not (isinstance(cls, type) and issubclass(cls, errors.JobError)):
            cls = errors.JobError
        return cls(self.message, code=self.code, retryable=self.retryable)


@frozen
class Attempt:
    """One try of a job.

    Such as::

        attempt = session.jobs["load_data"].attempts[0]
        print(attempt.number, attempt.error, attempt.finished_at > attempt.started_at)  # 1 None True
    """

    #: Starts at 1.
    number: int
    #: In UTC.
    started_at: datetime
    #: None while it runs, and where its end is not known.
    finished_at: datetime | None = None
    #: Why it failed; None where it did not, or runs.
    error: Failure | None = None
    #: What a remote service knows it by, once it was submitted to one.
    handle: Json | None = None
    #: The session of an equal job whose output it took, by the job's cache; None: it ran.
    cached_from: str | None = None
    #: Its span, as W3C Trace Context's ``traceparent``; None: there is no trace of it.
    trace: str | None = None


@frozen
class JobState:
    """Where one job of a session stands.

    Such as::

        state = session.jobs["load_data"]
        print(state.status, state.attempt_count, state.output)  # succeeded 1 3
    """

    #: Where it stands.
    status: JobStatus = JobStatus.PENDING
    #: Oldest first.
    attempts: tuple[Attempt, ...] = ()
    #: Why it failed, or failed last.
    error: Failure | None = None
    #: The first attempt's, in UTC; None before it.
    started_at: datetime | None = None
    #: When it ended, in UTC; None until then.
    finished_at: datetime | None = None
    #: Why it was skipped or cancelled, or its outcome is unknown.
    reason: str | None = None
    #: The output as JSON text, which `output` decodes; ``null`` unless it succeeded.
    encoded_output: Json = NULL
    #: Of a job that fans out: the state of each item, in their order; None of any other.
    items: tuple[JobState, ...] | None = None
    #: The session whose output it took over instead of running; None where it ran, or has yet to.
    reused_from: str | None = None

    @property
    def attempt_count(self) -> int:
        """How many attempts there were, those of all items together."""
        return len(self.attempts) + sum(len(item.attempts) for item in self.items or ())

    @property
    def cached_from(self) -> str | None:
        """The session whose output its last attempt found in the cache; None where it ran."""
        return self.attempts[-1].cached_from if self.attempts else None

    @property
    def output(self) -> Any:
        """What the job returned, decoded anew at each call; None unless it succeeded.

        Raises:
            NotFound: it is an artifact that is gone.
            StoreError: it is an artifact that is damaged, or can't be read.
        """
        return self.encoded_output.value


@frozen
class SessionState:
    """A session at one position of its history.

    Such as::

        state = session.state
        print(state.status, state.epoch, dict(state.parameters))  # succeeded 1 {'source_bucket': 'flights'}
    """

    #: 16 characters of base32, in small letters.
    id: str
    #: Where it stands.
    status: SessionStatus
    #: The pipeline's name.
    pipeline: str
    #: The values of all declared parameters.
    parameters: Mapping[str, Any]
    #: What it was started with: texts by text.
    tags: Mapping[str, str]
    #: By id, in the definition's order.
    jobs: Mapping[str, JobState] = field(factory=dict)
    #: The declared outputs, once it has succeeded; None where none are declared.
    outputs: Json | None = None
    #: Why it failed, where it was not a job that did.
    error: Failure | None = None
    #: ``user``, ``unknown-job``, ``crash-loop`` or ``aws-credentials``; None unless it is paused.
    paused_reason: str | None = None
    #: What there is to say about the pause: what the user gave as reason, or what is to be done.
    paused_message: str | None = None
    #: The session that this one runs again; None where it is none of these.
    rerun_of: str | None = None
    #: In UTC, as are the other times.
    created_at: datetime | None = None
    #: When its first runner began to drive it.
    started_at: datetime | None = None
    #: When it ended; None until then.
    finished_at: datetime | None = None
    #: How often the session was claimed.
    epoch: int = 0
    #: The number of commits that this is the fold of.
    position: int = 0
