"""How sessions, and jobs that fan out, come to rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from bunsui.engine import events as ev
from bunsui.engine.actions import Action, Gather, Record
from bunsui.engine.reasons import stopped
from bunsui.engine.units import named
from bunsui.model.artifact import INLINE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from bunsui.engine.fanout import FanOut
    from bunsui.engine.fold import Fold
    from bunsui.engine.units import Unit
    from bunsui.model.session import JobState

#: Runners that may die one after the other, over a session that gets nowhere, before it is set aside.
MAX_DEATHS = 10


def paused(
    at: datetime, state: Fold, unknown: Collection[Unit], suspects: Collection[Unit]
) -> ev.SessionPaused | None:
    """How a session comes to rest before its end, once nothing runs that could be followed; None: it goes on.

    Args:
        at: the time of what is recorded.
        state: the session's.
        unknown: of which nobody can tell what became.
        suspects: what ran when the last runner died.
    """
    if unknown:
        return ev.SessionPaused(at, "unknown-job", f"it can't be told what became of {named(unknown)}")
    if state.deaths >= MAX_DEATHS:
        ran = f"; when the last one did, {named(suspects)} ran" if suspects else ""
        text = f"{state.deaths} runners in a row died, and no job came to its end{ran}"
        return ev.SessionPaused(at, "crash-loop", text)
    # A session that is to end does so without what is missing: what can't be stopped is named.
    if state.stall is not None and stopped(state) is None:
        return ev.SessionPaused(at, state.stall.reason, state.stall.message)
    if state.pause is not None:
        return ev.SessionPaused(at, "user", state.pause.reason)
    return None


def ended(at: datetime, state: Fold, *, failed: bool) -> ev.Event:
    """How a session ends whose jobs have all ended, and whose declared outputs are not called for.

    Args:
        at: the time of what is recorded.
        state: the session's.
        failed: whether a job failed that was not allowed to.
    """
    if state.is_overdue:
        return ev.SessionTimedOut(at)
    if state.cancel is not None:
        return ev.SessionCancelled(at)
    return ev.SessionFailed(at) if failed else ev.SessionSucceeded(at)


def settlements(
    at: datetime,
    fans: Mapping[str, FanOut],
    begun: Collection[Action],
    items: Mapping[str, Sequence[JobState]],
) -> list[Action]:
    """How jobs end whose items are over; those whose list is being made wait for it.

    Args:
        at: the time of what is recorded.
        fans: those that are over, by job.
        begun: what the driver carries out beside its turns.
        items: where the items of each job stand.
    """
    actions: list[Action] = []
    for job, fan in fans.items():
        gather = Gather(job)
        if gather in begun:
            continue
        large = fan.has_succeeded and _list_size(items[job]) > INLINE
        actions.append(gather if large else Record(_settled(at, job, fan)))
    return actions


def _settled(at: datetime, job: str, fan: FanOut) -> ev.Event:
    """How a job ends whose items are over."""
    if fan.has_succeeded:
        return ev.FanOutSucceeded(at, job)
    if fan.failure is not None:
        item, failure = fan.failure
        message = f"item {item}: {failure.message}"
        return ev.JobFailed(at, job, 0, evolve(failure, message=message, retryable=False))
    return ev.JobCancelled(at, job, fan.halted or "")


def _list_size(items: Sequence[JobState]) -> int:
    """Bytes of the list, as JSON, of what the items of a job returned."""
    return sum(item.encoded_output.size for item in items) + max(len(items) - 1, 0) + 2
