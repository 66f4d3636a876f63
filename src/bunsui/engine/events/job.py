"""Facts about one job."""

from __future__ import annotations

from attrs import frozen

from bunsui.engine.events.base import Event
from bunsui.model.artifact import Artifact
from bunsui.model.json import NULL, Json
from bunsui.model.session import Failure

__all__ = [
    "AttemptFailed",
    "AttemptLost",
    "ConditionEvaluated",
    "FanOutStarted",
    "FanOutSucceeded",
    "JobCancelled",
    "JobEvent",
    "JobFailed",
    "JobReused",
    "JobSkipped",
    "JobStalled",
    "JobStarted",
    "JobSubmitted",
    "JobSucceeded",
    "JobUnknown",
    "ReuseFailed",
]


@frozen
class JobEvent(Event):
    """A fact about one job."""

    job: str


@frozen
class ConditionEvaluated(JobEvent):
    """The job's condition was evaluated, after all that it waits for had ended."""

    #: Whether the job may run; else JobSkipped follows.
    result: bool


@frozen
class JobStarted(JobEvent):
    """An attempt is about to start; committed before it does."""

    #: Starts at 1.
    attempt: int
    #: The attempt's idempotency key.
    key: str
    #: The attempt's span, as W3C Trace Context's ``traceparent``; None: there is no trace of it.
    trace: str | None = None


@frozen
class JobSubmitted(JobEvent):
    """The attempt's work was submitted to a remote service, or was found there."""

    attempt: int
    #: What the service knows it by: any runner can go on with it.
    handle: Json


@frozen
class JobSucceeded(JobEvent):
    """An attempt succeeded, and so the job did."""

    attempt: int
    output: Json = NULL
    #: The session of an equal job whose output this is, by its cache; None: the attempt ran.
    cached_from: str | None = None


@frozen
class JobReused(JobEvent):
    """The job did not run: it took over the output that it had in the session which this one runs again."""

    #: The session in which an attempt made the output.
    session: str
    output: Json = NULL


@frozen
class ReuseFailed(JobEvent):
    """The output that the job was to take over is gone: it runs."""

    reason: str


@frozen
class AttemptFailed(JobEvent):
    """An attempt failed, and another one follows."""

    attempt: int
    error: Failure
    #: Seconds until the next attempt may start.
    delay: float


@frozen
class AttemptLost(JobEvent):
    """The attempt was lost with its runner, or never began: it runs again under the same key."""

    attempt: int


@frozen
class JobUnknown(JobEvent):
    """It can't be told what became of the attempt, and the job's ``on_lost`` is ``unknown``."""

    attempt: int
    reason: str


@frozen
class JobStalled(JobEvent):
    """The attempt can't be followed from here, as something is missing that only a person can give.

    Its work may run on at its service. What was not begun for want of it says AttemptLost next.
    """

    attempt: int
    #: ``aws-credentials``: the session pauses with it.
    reason: str
    #: What is missing, and what to do about it, for a person.
    message: str


@frozen
class JobFailed(JobEvent):
    """The job failed: its last attempt did, or (attempt 0) it could not start."""

    attempt: int
    error: Failure


@frozen
class JobSkipped(JobEvent):
    """The job may not run."""

    reason: str


@frozen
class JobCancelled(JobEvent):
    """The job was given up, before it started or while it ran."""

    reason: str


@frozen
class FanOutStarted(JobEvent):
    """The job's list was evaluated: it runs once for each item."""

    #: How many items there are.
    count: int


@frozen
class FanOutSucceeded(JobEvent):
    """All items succeeded; the job's output is the list of theirs, in the order of the items."""

    #: The list, where it is an artifact; None: it is made of the items' own.
    output: Artifact | None = None
