"""What a session's history says of how long things took and how they ended; nothing else is kept of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bunsui.engine import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime


class JobWalk:
    """One job in one session. Times are seconds of `Walk.clock`."""

    __slots__ = ("attempts", "ended", "outcome", "queued", "retries", "started")

    def __init__(self) -> None:
        self.attempts = self.retries = 0
        self.started: float | None = None
        self.ended: float | None = None
        #: How long it waited for its start when nothing upstream held it up.
        self.queued: float | None = None
        #: One of `bunsui.monitoring.figures.OUTCOMES`; None: it is open.
        self.outcome: str | None = None


class Walk:
    """Goes through the facts of one session, in their order.

    Args:
        upstream: what each job of its definition waits for.
    """

    def __init__(self, upstream: Mapping[str, Sequence[str]]) -> None:
        self._upstream = upstream
        #: In the definition's order.
        self.jobs = {job: JobWalk() for job in upstream}
        self.started: float | None = None
        self.ended: float | None = None
        self._created: datetime | None = None
        self._paused_at: datetime | None = None
        self._paused = 0.0

    def clock(self, at: datetime) -> float:
        """Seconds since the session's creation in which it was not paused."""
        created = self._created or at
        paused = self._paused
        if self._paused_at is not None:
            paused += (at - self._paused_at).total_seconds()
        return (at - created).total_seconds() - paused

    def apply(self, event: ev.Event) -> None:
        """Takes one more fact.

        Raises:
            KeyError: it is of a job that the definition does not have.
        """
        take = _APPLY.get(type(event))
        if take is not None:
            take(self, event)

    def _create(self, event: ev.SessionCreated) -> None:
        self._created = event.at

    def _start(self, event: ev.SessionStarted) -> None:
        self.started = self.clock(event.at)

    def _pause(self, event: ev.SessionPaused) -> None:
        self._paused_at = event.at

    def _resume(self, event: ev.SessionResumed) -> None:
        if self._paused_at is not None:
            self._paused += (event.at - self._paused_at).total_seconds()
            self._paused_at = None

    def _end(self, event: ev.Event) -> None:
        self.ended = self.clock(event.at)

    def _attempt(self, event: ev.JobStarted | ev.ItemStarted) -> None:
        self.jobs[event.job].attempts += 1
        self._begin(event)

    def _begin(self, event: ev.JobEvent) -> None:
        job = self.jobs[event.job]
        if job.started is not None:
            return
        job.started = self.clock(event.at)
        ends = [self.jobs[above].ended for above in self._upstream[event.job]]
        free = max((end for end in ends if end is not None), default=self.started)
        if free is not None:
            # What ended after it, it did not wait for.
            job.queued = max(job.started - free, 0.0)

    def _retry(self, event: ev.AttemptFailed | ev.ItemAttemptFailed) -> None:
        self.jobs[event.job].retries += 1

    def _succeed(self, event: ev.JobSucceeded) -> None:
        self._settle(event, "succeeded" if event.cached_from is None else "cached")

    def _settle(self, event: ev.JobEvent, outcome: str) -> None:
        job = self.jobs[event.job]
        job.outcome, job.ended = outcome, self.clock(event.at)


def _as(outcome: str) -> Callable[[Walk, Any], None]:
    return lambda walk, event: walk._settle(event, outcome)


_APPLY: dict[type[ev.Event], Callable[[Walk, Any], None]] = {
    ev.SessionCreated: Walk._create,
    ev.SessionStarted: Walk._start,
    ev.SessionPaused: Walk._pause,
    ev.SessionResumed: Walk._resume,
    ev.JobStarted: Walk._attempt,
    ev.ItemStarted: Walk._attempt,
    ev.FanOutStarted: Walk._begin,
    ev.AttemptFailed: Walk._retry,
    ev.ItemAttemptFailed: Walk._retry,
    ev.JobSucceeded: Walk._succeed,
    ev.FanOutSucceeded: _as("succeeded"),
    ev.JobFailed: _as("failed"),
    ev.JobSkipped: _as("skipped"),
    ev.JobCancelled: _as("cancelled"),
    ev.JobReused: _as("reused"),
    **dict.fromkeys(
        (ev.SessionSucceeded, ev.SessionFailed, ev.SessionCancelled, ev.SessionTimedOut),
        Walk._end,
    ),
}
