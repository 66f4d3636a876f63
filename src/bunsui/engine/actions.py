"""What to do next: the engine's answers, carried out by a driver."""

from __future__ import annotations

from attrs import frozen

from bunsui.engine.events import Event

__all__ = ["Action", "Record", "Recover", "Start", "Stop"]


@frozen
class Record:
    """Put this fact into the history, and give it back to the engine."""

    event: Event


@frozen
class Start:
    """Resolve the job's input, and start this attempt.

    Comes back as JobStarted, or as JobFailed where the input can't be resolved.
    """

    job: str
    attempt: int


@frozen
class Recover:
    """Find out what became of an attempt whose runner is gone.

    Comes back as AttemptLost where it is to run again.
    """

    job: str
    attempt: int


@frozen
class Stop:
    """Stop the work of this attempt. What the work then says comes back as it always does."""

    job: str
    attempt: int


Action = Record | Start | Recover | Stop
