"""From the events of a session to how its run, its jobs and their attempts ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bunsui.engine import events as ev
from bunsui.model.session import Failure
from bunsui.model.status import JobStatus, SessionStatus
from bunsui.monitoring import conventions as names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from opentelemetry.util.types import AttributeValue

    from bunsui.engine.fold import Fold
    from bunsui.engine.units import Unit
    from bunsui.model.pipeline import Pipeline
    from bunsui.monitoring.instruments import Instruments
    from bunsui.monitoring.spans import SessionSpans

#: What an attempt failed by that was lost with its runner, and one of which nobody can tell what became.
_LOST = Failure("JobLost", "what became of the attempt was lost, so it runs again")
_UNKNOWN = "OutcomeUnknown"


class Outcomes:
    """Takes in the events of one session, in their order; in one thread.

    Args:
        pipeline: its definition.
        state: what was known of it before its claim.
        spans: where that is told; None: nowhere.
        instruments: likewise.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        state: Fold,
        spans: SessionSpans | None,
        instruments: Instruments | None,
    ) -> None:
        created = state.created
        assert created is not None  # noqa: S101 - what is told of exists
        self._name = pipeline.name
        self._spans = spans
        self._instruments = instruments
        self._types = {job.id: job.type for job in pipeline.jobs}
        self._waits_for = {job.id: job.depends_on for job in pipeline.jobs}
        self._allowed = {job.id for job in pipeline.jobs if job.allow_failure}
        self._started_at = state.started_at
        #: When jobs began, and when they ended: those that have.
        self._began = {job: of.started_at for job, of in state.jobs.items() if of.started_at is not None}
        self._ended = {job: of.finished_at for job, of in state.jobs.items() if of.finished_at is not None}
        #: The first failure that the session failed by.
        self._failure = next(
            (
                of.error
                for job, of in state.jobs.items()
                if of.status is JobStatus.FAILED and job not in self._allowed
            ),
            None,
        )
        self._state: str | None = None
        self._status = SessionStatus.RUNNING
        self._has_begun = False
        #: Whether the run has ended, or goes on elsewhere.
        self.is_over = False

    def take(self, event: ev.Event) -> None:
        """Takes in an event."""
        handle = self._TAKE.get(type(event))
        if handle is not None:
            handle(self, event)

    # The run

    def _enter(self, state: str | None) -> None:
        """Counts the run into a state, and out of the one before; None: it is under way no more."""
        before, self._state = self._state, state
        if self._instruments is None or before == state:
            return
        if before is not None:
            self._instruments.run_left(self._name, before)
        if state is not None:
            self._instruments.run_entered(self._name, state)

    def _claimed(self, event: ev.RunnerClaimed) -> None:
        del event
        self._has_begun = True
        self._enter(names.PENDING if self._started_at is None else names.EXECUTING)

    def _started(self, event: ev.SessionStarted) -> None:
        self._started_at = event.at
        self._enter(names.EXECUTING)

    def _ending(self, event: ev.Event) -> None:
        del event
        self._enter(names.FINALIZING)

    def _goes_on(self, event: ev.Event) -> None:
        del event
        self._status = SessionStatus.RUNNING
        self._enter(names.EXECUTING)

    def _paused(self, event: ev.SessionPaused) -> None:
        del event
        self._status = SessionStatus.PAUSED

    def _succeeded(self, event: ev.SessionSucceeded) -> None:
        self._over(event.at, SessionStatus.SUCCEEDED, None)

    def _failed(self, event: ev.SessionFailed) -> None:
        self._over(event.at, SessionStatus.FAILED, event.error or self._failure)

    def _cancelled(self, event: ev.SessionCancelled) -> None:
        self._over(event.at, SessionStatus.CANCELLED, None)

    def _timed_out(self, event: ev.SessionTimedOut) -> None:
        self._over(
            event.at, SessionStatus.TIMED_OUT, Failure("SessionTimeout", "the pipeline's timeout is over")
        )

    def _over(self, at: datetime, status: SessionStatus, failure: Failure | None) -> None:
        result = names.RESULTS[status]
        if status is SessionStatus.FAILED and failure is not None:
            result = names.result_of_code(failure.code)
        code, message = (None, "") if failure is None else (failure.code, failure.message)
        if status is SessionStatus.FAILED and code is None:
            code = names.OTHER
        state = self._state or names.EXECUTING
        self._enter(None)
        if self._instruments is not None and self._started_at is not None:
            seconds = (at - self._started_at).total_seconds()
            self._instruments.run_ended(self._name, seconds, result, code, state)
        if self._spans is not None:
            self._spans.run_ended(at, result, str(status), code, message)
        self.is_over = True

    def _released(self, event: ev.RunnerReleased) -> None:
        self.leave(event.at)

    def leave(self, at: datetime) -> None:
        """Ends all that has not ended, without a result."""
        if self.is_over:
            return
        self._enter(None)
        if self._spans is not None and self._has_begun:
            self._spans.run_ended(at, None, str(self._status))
        self.is_over = True

    # Jobs

    def _begin(self, job: str, at: datetime) -> None:
        self._began.setdefault(job, at)

    def _job_started(self, event: ev.JobStarted | ev.ItemStarted) -> None:
        self._begin(event.job, event.at)
        if self._spans is not None:
            self._spans.attempt_began(_unit(event), event.attempt, event.trace)

    def _fanned_out(self, event: ev.FanOutStarted) -> None:
        self._begin(event.job, event.at)
        if self._spans is not None:
            self._spans.fanned_out(event.job, event.at)

    def _submitted(self, event: ev.JobSubmitted | ev.ItemSubmitted) -> None:
        if self._spans is not None:
            self._spans.submitted(event.job, _unit(event), event.attempt, event.handle.value)

    def _attempt_succeeded(self, event: ev.JobSucceeded | ev.ItemSucceeded) -> None:
        self._end_attempt(event, event.attempt, None)
        if isinstance(event, ev.JobSucceeded):
            if event.cached_from is None:
                self._end_job(event, names.SUCCESS)
            else:  # It did not run: how long it took says nothing.
                self._began.pop(event.job, None)
                self._end_job(event, names.SUCCESS, None, {names.REUSED_FROM: event.cached_from})

    def _attempt_failed(self, event: ev.AttemptFailed | ev.ItemAttemptFailed) -> None:
        self._end_attempt(event, event.attempt, event.error)
        if self._instruments is not None:
            code = event.error.code
            self._instruments.job_retried(
                self._name, self._types[event.job], names.result_of_code(code), code
            )

    def _attempt_lost(self, event: ev.AttemptLost | ev.ItemAttemptLost) -> None:
        self._end_attempt(event, event.attempt, _LOST)

    def _unknown(self, event: ev.JobUnknown | ev.ItemUnknown) -> None:
        self._end_attempt(event, event.attempt, Failure(_UNKNOWN, event.reason))

    def _job_failed(self, event: ev.JobFailed | ev.ItemFailed) -> None:
        if event.attempt:
            self._end_attempt(event, event.attempt, event.error)
        if isinstance(event, ev.JobFailed):
            if self._failure is None and event.job not in self._allowed:
                self._failure = event.error
            self._end_job(event, names.result_of_code(event.error.code), event.error)

    def _given_up(self, event: ev.JobCancelled | ev.ItemCancelled) -> None:
        self._end_attempt(event, None, None)
        if isinstance(event, ev.JobCancelled):
            self._end_job(event, names.CANCELLATION)

    def _skipped(self, event: ev.JobSkipped) -> None:
        self._end_job(event, names.SKIP)

    def _reused(self, event: ev.JobReused) -> None:
        self._end_job(event, names.SUCCESS, None, {names.REUSED_FROM: event.session})

    def _fan_out_succeeded(self, event: ev.FanOutSucceeded) -> None:
        self._end_job(event, names.SUCCESS)

    def _end_attempt(self, event: ev.JobEvent, number: int | None, failure: Failure | None) -> None:
        if self._spans is not None:
            self._spans.attempt_ended(_unit(event), number, event.at, failure)

    def _end_job(
        self,
        event: ev.JobEvent,
        result: str,
        failure: Failure | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
    ) -> None:
        job, at = event.job, event.at
        kind = self._types[job]
        self._ended[job] = at
        if self._instruments is not None:
            began = self._began.get(job)
            duration = queued = None
            if began is not None:
                duration = (at - began).total_seconds()
                queued = self._queued(job, began)
            self._instruments.job_ended(self._name, kind, duration, queued, result)
        if self._spans is not None:
            self._spans.job_ended(job, kind, at, result, failure, attributes)

    def _queued(self, job: str, began: datetime) -> float | None:
        """Seconds from when nothing upstream held a job up to its start."""
        ready = [self._started_at, *map(self._ended.get, self._waits_for[job])]
        last = max((each for each in ready if each is not None), default=None)
        return None if last is None else max((began - last).total_seconds(), 0.0)

    # Behind its methods, of which it is made.
    _TAKE: ClassVar[Mapping[type[ev.Event], Callable[[Outcomes, Any], None]]] = {
        ev.RunnerClaimed: _claimed,
        ev.RunnerReleased: _released,
        ev.SessionStarted: _started,
        ev.CancelRequested: _ending,
        ev.PauseRequested: _ending,
        ev.TimeoutReached: _ending,
        ev.ResumeRequested: _goes_on,
        ev.SessionResumed: _goes_on,
        ev.SessionPaused: _paused,
        ev.SessionSucceeded: _succeeded,
        ev.SessionFailed: _failed,
        ev.SessionCancelled: _cancelled,
        ev.SessionTimedOut: _timed_out,
        ev.JobStarted: _job_started,
        ev.ItemStarted: _job_started,
        ev.FanOutStarted: _fanned_out,
        ev.JobSubmitted: _submitted,
        ev.ItemSubmitted: _submitted,
        ev.JobSucceeded: _attempt_succeeded,
        ev.ItemSucceeded: _attempt_succeeded,
        ev.AttemptFailed: _attempt_failed,
        ev.ItemAttemptFailed: _attempt_failed,
        ev.AttemptLost: _attempt_lost,
        ev.ItemAttemptLost: _attempt_lost,
        ev.JobUnknown: _unknown,
        ev.ItemUnknown: _unknown,
        ev.JobFailed: _job_failed,
        ev.ItemFailed: _job_failed,
        ev.JobCancelled: _given_up,
        ev.ItemCancelled: _given_up,
        ev.JobSkipped: _skipped,
        ev.JobReused: _reused,
        ev.FanOutSucceeded: _fan_out_succeeded,
    }


def _unit(event: ev.JobEvent) -> Unit:
    return (event.job, event.item) if isinstance(event, ev.ItemEvent) else event.job
