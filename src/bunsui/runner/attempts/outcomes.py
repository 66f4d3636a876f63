"""What became of an attempt, as the fact that the history holds: of a job, or of one item of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bunsui.engine import events as ev
from bunsui.runner.attempts.missing import AWS_CREDENTIALS

if TYPE_CHECKING:
    from datetime import datetime

    from bunsui.engine.actions import Recover, Start
    from bunsui.engine.units import Unit
    from bunsui.model.json import Json
    from bunsui.model.session import Failure
    from bunsui.runner.attempts.work import Work


def started(at: datetime, work: Work, trace: str | None) -> ev.Event:
    """The attempt is about to start; `trace` is its span."""
    if work.item_index is None:
        return ev.JobStarted(at, work.job.id, work.attempt, work.key, trace)
    return ev.ItemStarted(at, work.job.id, work.item_index, work.attempt, work.key, trace)


def not_started(at: datetime, start: Start, failure: Failure) -> ev.Event:
    """The attempt can't start, and none will."""
    if start.item is None:
        return ev.JobFailed(at, start.job, 0, failure)
    return ev.ItemFailed(at, start.job, start.item, 0, failure)


def succeeded(at: datetime, work: Work, output: Json) -> ev.Event:
    """The attempt succeeded."""
    if work.item_index is None:
        return ev.JobSucceeded(at, work.job.id, work.attempt, output, work.cached_from)
    return ev.ItemSucceeded(at, work.job.id, work.item_index, work.attempt, output, work.cached_from)


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


def submitted(at: datetime, work: Work, handle: Json) -> ev.Event:
    """A remote service has the attempt's work."""
    if work.item_index is None:
        return ev.JobSubmitted(at, work.job.id, work.attempt, handle)
    return ev.ItemSubmitted(at, work.job.id, work.item_index, work.attempt, handle)


def stalled(at: datetime, work: Work, missing: str) -> ev.Event:
    """The attempt can't be followed, or begun, without credentials."""
    if work.item_index is None:
        return ev.JobStalled(at, work.job.id, work.attempt, AWS_CREDENTIALS, missing)
    return ev.ItemStalled(at, work.job.id, work.item_index, work.attempt, AWS_CREDENTIALS, missing)


def gave_up(at: datetime, unit: Unit, failure: Failure) -> ev.Event:
    """The attempt that was to follow can't start."""
    if isinstance(unit, str):
        return ev.JobFailed(at, unit, 0, failure)
    return ev.ItemFailed(at, unit[0], unit[1], 0, failure)


def unknown(at: datetime, recover: Recover, reason: str) -> ev.Event:
    """What became of the attempt can't be known, and is to be asked."""
    if recover.item is None:
        return ev.JobUnknown(at, recover.job, recover.attempt, reason)
    return ev.ItemUnknown(at, recover.job, recover.item, recover.attempt, reason)


def gone(at: datetime, recover: Recover, failure: Failure) -> ev.Event:
    """What became of the attempt can't be known, and the job fails by that."""
    if recover.item is None:
        return ev.JobFailed(at, recover.job, recover.attempt, failure)
    return ev.ItemFailed(at, recover.job, recover.item, recover.attempt, failure)


def lost(at: datetime, recover: Recover) -> ev.Event:
    """The attempt is to run again, under its own number."""
    if recover.item is None:
        return ev.AttemptLost(at, recover.job, recover.attempt)
    return ev.ItemAttemptLost(at, recover.job, recover.item, recover.attempt)
