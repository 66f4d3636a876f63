"""What to do next: the engine's answers, carried out by a driver."""

from __future__ import annotations

from attrs import frozen

from bunsui.engine.events import Event

__all__ = [
    "Action",
    "Conclude",
    "Evaluate",
    "Expand",
    "Gather",
    "Record",
    "Recover",
    "Reuse",
    "Start",
    "Stop",
]


@frozen
class Record:
    """Put this fact into the history, and give it back to the engine."""

    event: Event


@frozen
class Evaluate:
    """Evaluate the job's condition.

    Comes back as ConditionEvaluated, or as JobFailed where it can't be evaluated.
    """

    job: str


@frozen
class Expand:
    """Find out for which items the job runs.

    Comes back as FanOutStarted, or as JobFailed where there is no list of items.
    """

    job: str


@frozen
class Reuse:
    """Take over the job's output from the session that this one runs again.

    Comes back as JobReused, or as ReuseFailed where the output is gone.
    """

    job: str


@frozen
class Conclude:
    """Make the declared outputs of a session whose jobs have all ended well.

    Comes back as SessionSucceeded, or as SessionFailed where they can't be made.
    """


@frozen
class Gather:
    """Make the list of what all items of the job returned: it is larger than what the history holds.

    Comes back as FanOutSucceeded, or as JobFailed where it can't be made.
    """

    job: str


@frozen
class Start:
    """Resolve the job's input, and start this attempt.

    Comes back as JobStarted, or as JobFailed where the input can't be resolved; of an item as ItemStarted
    or ItemFailed.
    """

    job: str
    attempt: int
    #: Of a job that fans out: which item; starts at 0.
    item: int | None = None


@frozen
class Recover:
    """Find out what became of an attempt whose runner is gone.

    Comes back as AttemptLost, or ItemAttemptLost, where it is to run again.
    """

    job: str
    attempt: int
    item: int | None = None


@frozen
class Stop:
    """Stop the work of this attempt. What the work then says comes back as it always does."""

    job: str
    attempt: int
    item: int | None = None


Action = Record | Evaluate | Expand | Gather | Reuse | Conclude | Start | Recover | Stop
