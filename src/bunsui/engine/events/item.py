"""Facts about one item of a job that fans out."""

from __future__ import annotations

from attrs import frozen

from bunsui.engine.events.job import JobEvent
from bunsui.model.json import NULL, Json
from bunsui.model.session import Failure

__all__ = [
    "ItemAttemptFailed",
    "ItemAttemptLost",
    "ItemCancelled",
    "ItemEvent",
    "ItemFailed",
    "ItemStalled",
    "ItemStarted",
    "ItemSubmitted",
    "ItemSucceeded",
    "ItemUnknown",
]


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
    #: The attempt's span, as W3C Trace Context's ``traceparent``; None: there is no trace of it.
    trace: str | None = None


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
class ItemStalled(ItemEvent):
    """The attempt can't be followed from here, as something is missing that only a person can give.

    Its work may run on at its service. What was not begun for want of it says ItemAttemptLost next.
    """

    attempt: int
    reason: str
    message: str


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
