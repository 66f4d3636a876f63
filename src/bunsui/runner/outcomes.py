"""What became of an attempt, as the fact that the history holds: of a job, or of one item of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bunsui.engine import events as ev

if TYPE_CHECKING:
    from datetime import datetime

    from bunsui.engine.actions import Recover, Start
    from bunsui.model.json import Json
    from bunsui.model.session import Failure
    from bunsui.runner.work import Work


def started(at: datetime, work: Work) -> ev.Event:
    """The attempt is about to start."""
    if work.item_index is None:
        return ev.JobStarted(at, work.job.id, work.attempt, work.key)
    return ev.ItemStarted(at, work.job.id, work.item_index, work.attempt, work.key)


def not_started(at: datetime, start: Start, failure: Failure) -> ev.Event:
    """The attempt can't start, and none will."""
    if start.item is None:
        return ev.JobFailed(at, start.job, 0, failure)
    return ev.ItemFailed(at, start.job, start.item, 0, failure)


def succeeded(at: datetime, work: Work, output: Json) -> ev.Event:
    """The attempt succeeded."""
    if work.item_index is None:
        return ev.JobSucceeded(at, work.job.id, work.attempt, output)
    return ev.ItemSucceeded(at, work.job.id, work.item_index, work.attempt, output)


def failed(at: datetime, work: Work, failure: Failure) -> ev.Event:
    """The attempt failed, and no other follows."""
    if work.item_index is None:
        return ev.JobFailed(at, work.job.id, work.attempt, failure)
    return ev.ItemFailed(at, work.job.id, work.item_index, work.attempt, failure)


def again(at: datetime, work: Work, failure: Failure, delay: float) -> ev.Event:
    """The attempt failed, and another one follows."""
    if work.item_index is None:
        return ev.AttemptFailed(at, work.job.id, work.attempt, failure, delay)
    return ev.ItemAttemptFailed(at, work.job.id, work.item_index, work.attempt, failure, delay)


def cancelled(at: datetime, work: Work, reason: str) -> ev.Event:
    """The attempt was stopped."""
    if work.item_index is None:
        return ev.JobCancelled(at, work.job.id, reason)
    return ev.ItemCancelled(at, work.job.id, work.item_index, reason)


def lost(at: datetime, recover: Recover) -> ev.Event:
    """What became of the attempt can't be known."""
    if recover.item is None:
        return ev.AttemptLost(at, recover.job, recover.attempt)
    return ev.ItemAttemptLost(at, recover.job, recover.item, recover.attempt)
