"""What happened: the facts that a session's history is made of.

Each is listed with its fields and version in docs/architecture/history.rst. A class is never changed
in a way that an older history could not be read by: new fields have defaults, new meanings new names.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import evolve, field, frozen

from bunsui.model.artifact import Artifact
from bunsui.model.json import NULL, Json, copied
from bunsui.model.session import Failure

__all__ = [
    "EVENTS",
    "AttemptFailed",
    "AttemptLost",
    "CancelRequested",
    "ConditionEvaluated",
    "Event",
    "FanOutStarted",
    "FanOutSucceeded",
    "ItemAttemptFailed",
    "ItemAttemptLost",
    "ItemCancelled",
    "ItemEvent",
    "ItemFailed",
    "ItemStarted",
    "ItemSubmitted",
    "ItemSucceeded",
    "ItemUnknown",
    "JobCancelled",
    "JobEvent",
    "JobFailed",
    "JobReused",
    "JobSkipped",
    "JobStarted",
    "JobSubmitted",
    "JobSucceeded",
    "JobUnknown",
    "PauseRequested",
    "ResumeRequested",
    "ReuseFailed",
    "RunnerClaimed",
    "RunnerReleased",
    "SessionCancelled",
    "SessionCreated",
    "SessionFailed",
    "SessionPaused",
    "SessionResumed",
    "SessionStarted",
    "SessionSucceeded",
    "SessionTimedOut",
    "TimeoutReached",
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
    #: The variables of the environment that the definition names, as they were when it was started.
    env: Mapping[str, str] = field(factory=dict)
    #: The folder of the file with the bindings, where one was named: callables are looked up there, too.
    bindings_dir: str | None = None
    #: The session that this one runs again.
    rerun_of: str | None = None
    #: The jobs that take their outputs over from that session instead of running.
    reuse: tuple[str, ...] = ()


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
class ResumeRequested(Event):
    """Somebody took a pause back before the session had come to rest."""

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

    #: ``user``, ``unknown-job`` (it can't be told what became of an attempt) or ``crash-loop`` (its runners
    #: died one after the other, and nothing came of it).
    reason: str
    #: What there is to say about it, for a person.
    message: str | None = None


@frozen
class SessionResumed(Event):
    """The pause is over."""


@frozen
class TimeoutReached(Event):
    """The pipeline's timeout is over: nothing new starts, running work is stopped."""


@frozen
class SessionSucceeded(Event):
    """All jobs ended, none failed that was not allowed to."""

    #: The declared outputs; None where the definition declares none.
    outputs: Json | None = None


@frozen
class SessionFailed(Event):
    """All jobs ended, and one failed that was not allowed to, or the outputs can't be made."""

    #: Why, where it was not a job that failed.
    error: Failure | None = None


@frozen
class SessionCancelled(Event):
    """All jobs ended after a request to cancel."""


@frozen
class SessionTimedOut(Event):
    """All jobs ended after the pipeline's timeout."""


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


@frozen
class ItemEvent(JobEvent):
    """A fact about one item of a job that fans out."""

    #: Starts at 0.
    item: int


@frozen
class ItemStarted(ItemEvent):
    """An attempt for the item is about to start; committed before it does."""

    #: Starts at 1, for each item.
    attempt: int
    #: The attempt's idempotency key.
    key: str


@frozen
class ItemSubmitted(ItemEvent):
    """The work of an attempt for the item was submitted to a remote service, or was found there."""

    attempt: int
    #: What the service knows it by: any runner can go on with it.
    handle: Json


@frozen
class ItemSucceeded(ItemEvent):
    """An attempt for the item succeeded."""

    attempt: int
    output: Json = NULL
    #: The session of an equal job whose output this is, by its cache; None: the attempt ran.
    cached_from: str | None = None


@frozen
class ItemAttemptFailed(ItemEvent):
    """An attempt for the item failed, and another one follows."""

    attempt: int
    error: Failure
    #: Seconds until the next attempt may start.
    delay: float


@frozen
class ItemAttemptLost(ItemEvent):
    """The attempt was lost with its runner, or never began: it runs again under the same key."""

    attempt: int


@frozen
class ItemUnknown(ItemEvent):
    """It can't be told what became of the attempt, and the job's ``on_lost`` is ``unknown``."""

    attempt: int
    reason: str


@frozen
class ItemFailed(ItemEvent):
    """The item failed, and the job will when its running items have ended."""

    #: 0 where the attempt could not start.
    attempt: int
    error: Failure


@frozen
class ItemCancelled(ItemEvent):
    """The item was stopped while it ran."""

    reason: str


@frozen
class Unknown(Event):
    """An event of a later version that this one may ignore; kept as it is."""

    name: str
    data: Mapping[str, Any]


#: The fields of events that hold mappings; all others are values that can't be changed.
MAPPINGS: Mapping[type[Event], tuple[str, ...]] = {
    SessionCreated: ("parameters", "bindings", "tags", "env"),
    RunnerClaimed: ("process",),
    Unknown: ("data",),
}


def detached(event: Event) -> Event:
    """The event for somebody who may do anything to it: what can be changed of it is a copy."""
    names = MAPPINGS.get(type(event))
    if names is None:
        return event
    return evolve(event, **{name: copied(dict(getattr(event, name))) for name in names})


#: Every event by its name in a history.
EVENTS: dict[str, type[Event]] = {
    cls.__name__: cls
    for cls in (
        SessionCreated,
        RunnerClaimed,
        RunnerReleased,
        SessionStarted,
        PauseRequested,
        ResumeRequested,
        CancelRequested,
        TimeoutReached,
        SessionPaused,
        SessionResumed,
        SessionSucceeded,
        SessionFailed,
        SessionCancelled,
        SessionTimedOut,
        ConditionEvaluated,
        JobStarted,
        JobSubmitted,
        JobSucceeded,
        JobReused,
        ReuseFailed,
        AttemptFailed,
        AttemptLost,
        JobUnknown,
        JobFailed,
        JobSkipped,
        JobCancelled,
        FanOutStarted,
        FanOutSucceeded,
        ItemStarted,
        ItemSubmitted,
        ItemSucceeded,
        ItemAttemptFailed,
        ItemAttemptLost,
        ItemUnknown,
        ItemFailed,
        ItemCancelled,
    )
}
