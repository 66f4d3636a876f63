"""Facts about a session as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from bunsui.engine.events.base import Event
from bunsui.model.json import Json
from bunsui.model.session import Failure

__all__ = [
    "CancelRequested",
    "PauseRequested",
    "ResumeRequested",
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
]


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
    #: The span of the run that begins with the claim, as W3C Trace Context's ``traceparent``; None: there is
    #: no trace of it.
    trace: str | None = None


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
    """The session came to rest before its end. Attempts that have stalled may run on at their service."""

    #: ``user``, ``unknown-job`` (it can't be told what became of an attempt), ``crash-loop`` (its runners
    #: died one after the other, and nothing came of it) or ``aws-credentials`` (there are no valid ones).
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
