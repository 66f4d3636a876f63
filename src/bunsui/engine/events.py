"""What happened: the facts that a session's history is made of.

Each is listed with its fields and version in docs/architecture/history.rst. A class is never changed
in a way that an older history could not be read by: new fields have defaults, new meanings new names.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import field, frozen

from bunsui.model.json import NULL, Json
from bunsui.model.session import Failure

__all__ = [
    "EVENTS",
    "AttemptFailed",
    "AttemptLost",
    "CancelRequested",
    "Event",
    "JobCancelled",
    "JobEvent",
    "JobFailed",
    "JobSkipped",
    "JobStarted",
    "JobSucceeded",
    "PauseRequested",
    "RunnerClaimed",
    "RunnerReleased",
    "SessionCancelled",
    "SessionCreated",
    "SessionFailed",
    "SessionPaused",
    "SessionResumed",
    "SessionStarted",
    "SessionSucceeded",
    "Unknown",
]


@frozen
class Event:
    """A fact about a session."""

    #: When it happened: UTC, aware; never decreasing within a history.
    at: datetime


@frozen
class SessionCreated(Event):
    """The session exists. It carries what is needed to run it from any folder."""

    session_id: str
    pipeline: str
    #: The definition's digest; the definition itself is the document of kind ``definition`` with this key.
    digest: str
    parameters: Mapping[str, Any]
    #: Job type to name to binding, as far as the pipeline uses them.
    bindings: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(factory=dict)
    #: The folder of the definition.
    base_dir: str | None = None
    #: Whether everything must run on this machine.
    local: bool = False
    engine: str = "embedded"
    tags: Mapping[str, str] = field(factory=dict)


@frozen
class RunnerClaimed(Event):
    """A runner took the session over; every earlier claim ends with this."""

    runner: str
    #: One more than that of the claim before; the first is 1.
    epoch: int
    #: Where the runner lives: host, boot, pid_namespace, pid, started.
    process: Mapping[str, Any] = field(factory=dict)
    #: Seconds without a sign of life after which it counts as gone: it beats three times as often.
    lease: float = 30.0


@frozen
class RunnerReleased(Event):
    """The runner gave the session back: any other may claim it at once."""

    epoch: int


@frozen
class SessionStarted(Event):
    """The first runner began to drive it."""


@frozen
class PauseRequested(Event):
    """Somebody asked for a pause: nothing new starts, running jobs end."""

    #: The id of the request's document.
    request: str
    reason: str | None = None


@frozen
class CancelRequested(Event):
    """Somebody asked to cancel: nothing new starts, running work is stopped."""

    request: str
    reason: str | None = None


@frozen
class SessionPaused(Event):
    """The session came to rest before its end."""

    reason: str


@frozen
class SessionResumed(Event):
    """The pause is over."""


@frozen
class SessionSucceeded(Event):
    """All jobs ended, none failed that was not allowed to."""


@frozen
class SessionFailed(Event):
    """All jobs ended, and one failed that was not allowed to."""


@frozen
class SessionCancelled(Event):
    """All jobs ended after a request to cancel."""


@frozen
class JobEvent(Event):
    """A fact about one job."""

    job: str


@frozen
class JobStarted(JobEvent):
    """An attempt is about to start; committed before it does."""

    #: Starts at 1.
    attempt: int
    #: The attempt's idempotency key.
    key: str


@frozen
class JobSucceeded(JobEvent):
    """An attempt succeeded, and so the job did."""

    attempt: int
    output: Json = NULL


@frozen
class AttemptFailed(JobEvent):
    """An attempt failed, and another one follows."""

    attempt: int
    error: Failure
    #: Seconds until the next attempt may start.
    delay: float


@frozen
class AttemptLost(JobEvent):
    """The attempt's runner died and its outcome can't be known: it runs again under the same key."""

    attempt: int


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
class Unknown(Event):
    """An event of a later version that this one may ignore; kept as it is."""

    name: str
    data: Mapping[str, Any]


#: Every event by its name in a history.
EVENTS: dict[str, type[Event]] = {
    cls.__name__: cls
    for cls in (
        SessionCreated,
        RunnerClaimed,
        RunnerReleased,
        SessionStarted,
        PauseRequested,
        CancelRequested,
        SessionPaused,
        SessionResumed,
        SessionSucceeded,
        SessionFailed,
        SessionCancelled,
        JobStarted,
        JobSucceeded,
        AttemptFailed,
        AttemptLost,
        JobFailed,
        JobSkipped,
        JobCancelled,
    )
}
