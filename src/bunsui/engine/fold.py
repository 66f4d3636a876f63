"""The one fold: events in, what they amount to out. Private, mutable, and fast."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import evolve

from bunsui.engine import attempts
from bunsui.engine import events as ev
from bunsui.engine.transitions import (
    IllegalTransition,
    next_item_status,
    next_job_status,
    next_session_status,
)
from bunsui.model.artifact import Artifact
from bunsui.model.job import MAX_ITEMS
from bunsui.model.json import NULL, Json
from bunsui.model.session import JobState, SessionState
from bunsui.model.status import JobStatus, SessionStatus

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from bunsui.model.session import Failure


class Fold:
    """What a history amounts to so far.

    Job states are frozen and replaced, never changed, so that a snapshot is a copy of one dict.
    """

    def __init__(self, jobs: Iterable[str]) -> None:
        self.status = SessionStatus.CREATED
        self.created: ev.SessionCreated | None = None
        self.jobs: dict[str, JobState] = dict.fromkeys(jobs, JobState())
        #: The items of the jobs that fan out now.
        self.items: dict[str, list[JobState]] = {}
        #: How many jobs have each status; what the session's index entry shows.
        self.counts: dict[JobStatus, int] = dict.fromkeys(JobStatus, 0)
        self.counts[JobStatus.PENDING] = len(self.jobs)
        #: The claim that is in force: None before the first and after a release.
        self.claim: ev.RunnerClaimed | None = None
        self.epoch = 0
        #: The span of the run that began with the last claim, and may have ended; None: there is none.
        self.trace: str | None = None
        #: Claims, one after the other, whose runner did not give the session back and brought no attempt to
        #: its end: what would kill every runner is so seen.
        self.deaths = 0
        #: The requests that the history answers, by id.
        self.requests: set[str] = set()
        self.pause: ev.PauseRequested | None = None
        self.cancel: ev.CancelRequested | None = None
        #: Whether the pipeline's timeout was over before anybody asked to cancel.
        self.is_overdue = False
        #: The declared outputs of a session that succeeded.
        self.outputs: Json | None = None
        #: Why the session failed, where it was not a job that did.
        self.error: Failure | None = None
        self.paused_reason: str | None = None
        self.paused_message: str | None = None
        #: The first attempt that stalled, until the session has come to rest by it.
        self.stall: ev.JobStalled | ev.ItemStalled | None = None
        self.started_at: datetime | None = None
        self.finished_at: datetime | None = None
        self.last_at: datetime | None = None
        #: Seconds in which it was driven and not paused, up to `_active_since`.
        self.active = 0.0
        self._active_since: datetime | None = None

    def apply(self, event: ev.Event) -> None:
        """Takes one more event.

        Raises:
            IllegalTransition: it can't follow what happened before it. Nothing has changed then.
        """
        if self.created is None and type(event) is not ev.SessionCreated:
            raise IllegalTransition(f"{type(event).__name__} before the session was created")
        _APPLY[type(event)](self, event)
        self.last_at = event.at

    def snapshot(self, position: int) -> SessionState:
        """The state as a frozen value.

        Raises:
            IllegalTransition: nothing has been applied yet.
        """
        created = self.created
        if created is None:
            raise IllegalTransition("an empty history has no state")
        return SessionState(
            id=created.session_id,
            status=self.status,
            pipeline=created.pipeline,
            parameters=created.parameters,
            tags=created.tags,
            jobs={
                job: evolve(state, items=tuple(self.items[job])) if job in self.items else state
                for job, state in self.jobs.items()
            },
            outputs=self.outputs,
            error=self.error,
            paused_reason=self.paused_reason,
            paused_message=self.paused_message,
            rerun_of=created.rerun_of,
            created_at=created.at,
            started_at=self.started_at,
            finished_at=self.finished_at,
            epoch=self.epoch,
            position=position,
        )

    # Sessions

    def _created(self, event: ev.SessionCreated) -> None:
        if self.created is not None:
            raise IllegalTransition("SessionCreated in a session that exists")
        self.created = event

    def _ignored(self, event: ev.Unknown) -> None:
        pass

    def _session(self, event: ev.Event) -> None:
        self.status = next_session_status(event, self.status)

    def _claimed(self, event: ev.RunnerClaimed) -> None:
        if event.epoch != self.epoch + 1:
            raise IllegalTransition(f"claim of epoch {event.epoch} after epoch {self.epoch}")
        self._session(event)
        if self.claim is not None:
            self.deaths += 1
        self.claim = event
        self.epoch = event.epoch
        self.trace = event.trace
        self.stall = None
        if self.status is SessionStatus.RUNNING:
            # Between the last fact of a dead runner and this one, nobody drove.
            self._rest_at(self.last_at)
            self._active_since = event.at

    def _released(self, event: ev.RunnerReleased) -> None:
        if self.claim is None or event.epoch != self.epoch:
            raise IllegalTransition(f"release of epoch {event.epoch}, which holds no claim")
        self._session(event)
        self.claim = None
        self._rest_at(event.at)

    def _rest_at(self, at: datetime | None) -> None:
        """Counts the time up to `at`; further time counts only from a claim or resumption on."""
        if self._active_since is not None and at is not None:
            self.active += (at - self._active_since).total_seconds()
        self._active_since = None

    def _started(self, event: ev.SessionStarted) -> None:
        self._session(event)
        self.started_at = self._active_since = event.at

    def _pause_requested(self, event: ev.PauseRequested) -> None:
        self._session(event)
        self.requests.add(event.request)
        self.pause = event

    def _resume_requested(self, event: ev.ResumeRequested) -> None:
        self._session(event)
        self.requests.add(event.request)
        self.pause = None

    def _cancel_requested(self, event: ev.CancelRequested) -> None:
        self._session(event)
        self.requests.add(event.request)
        self.cancel = event

    def _paused(self, event: ev.SessionPaused) -> None:
        self._session(event)
        self.paused_reason, self.paused_message = event.reason, event.message
        self.pause = self.stall = None
        self.deaths = 0  # Whoever resumes it has been told.
        self._rest_at(event.at)

    def _resumed(self, event: ev.SessionResumed) -> None:
        self._session(event)
        self.paused_reason = self.paused_message = None
        self.pause = self.stall = None
        self._active_since = event.at

    def _timeout_reached(self, event: ev.TimeoutReached) -> None:
        self._session(event)
        self.is_overdue = self.is_overdue or self.cancel is None

    def _ended(self, event: ev.Event) -> None:
        if any(self.counts[status] for status in JobStatus if not status.is_terminal):
            raise IllegalTransition(f"{type(event).__name__} while jobs are open")
        self._session(event)
        self.finished_at = event.at
        self.paused_reason = self.paused_message = None
        if isinstance(event, ev.SessionSucceeded):
            self.outputs = event.outputs
        elif isinstance(event, ev.SessionFailed):
            self.error = event.error

    # Jobs

    def _before(self, event: ev.JobEvent) -> tuple[JobState, JobStatus]:
        """The job's state before `event` and its status afterwards."""
        try:
            state = self.jobs[event.job]
        except KeyError:
            raise IllegalTransition(
                f"{type(event).__name__} for job '{event.job}', which the definition does not have"
            ) from None
        if self.status is not SessionStatus.RUNNING and type(event) not in _WHILE_IT_RESTS:
            raise IllegalTransition(f"{type(event).__name__} in a session that is {self.status}")
        return state, next_job_status(event, state.status)

    def _set(self, job: str, before: JobState, after: JobState) -> None:
        self.counts[before.status] -= 1
        self.counts[after.status] += 1
        self.jobs[job] = after
        if after.status in _PROGRESS:
            self.deaths = 0

    def _job_started(self, event: ev.JobStarted) -> None:
        before, status = self._before(event)
        self._set(event.job, before, attempts.started(before, status, event))

    def _job_submitted(self, event: ev.JobSubmitted) -> None:
        before, status = self._before(event)
        self._set(event.job, before, attempts.submitted(before, status, event))

    def _job_unknown(self, event: ev.JobUnknown) -> None:
        before, status = self._before(event)
        self._set(event.job, before, attempts.unknown(before, status, event))

    def _job_stalled(self, event: ev.JobStalled) -> None:
        before, status = self._before(event)
        self._set(event.job, before, attempts.stalled(before, status, event))
        self.stall = self.stall or event

    def _job_succeeded(self, event: ev.JobSucceeded) -> None:
        before, status = self._before(event)
        self._set(event.job, before, attempts.succeeded(before, status, event))

    def _job_reused(self, event: ev.JobReused) -> None:
        before, status = self._before(event)
        self._set(event.job, before, attempts.reused(before, status, event))

    def _attempt_failed(self, event: ev.AttemptFailed) -> None:
        before, status = self._before(event)
        self._set(event.job, before, attempts.attempt_failed(before, status, event))

    def _attempt_lost(self, event: ev.AttemptLost) -> None:
        before, status = self._before(event)
        self._set(event.job, before, attempts.lost(before, status, event))

    def _job_failed(self, event: ev.JobFailed) -> None:
        before, status = self._before(event)
        if event.job in self.items:
            self._settled(event, before, status, error=event.error)
        else:
            self._set(event.job, before, attempts.failed(before, status, event))

    def _job_given_up(self, event: ev.JobSkipped | ev.JobCancelled) -> None:
        before, status = self._before(event)
        if event.job in self.items:
            self._settled(event, before, status, reason=event.reason)
        else:
            self._set(event.job, before, attempts.given_up(before, status, event))

    def _unchanged(self, event: ev.ConditionEvaluated | ev.ReuseFailed) -> None:
        self._before(event)

    # Fan-outs

    def _fan_out_started(self, event: ev.FanOutStarted) -> None:
        before, status = self._before(event)
        if not 0 <= event.count <= MAX_ITEMS:
            raise IllegalTransition(f"FanOutStarted for job '{event.job}' with {event.count} items")
        self._set(event.job, before, JobState(status, started_at=event.at))
        self.items[event.job] = [_PENDING] * event.count

    def _fan_out_succeeded(self, event: ev.FanOutSucceeded) -> None:
        before, status = self._before(event)
        items = self.items.get(event.job, [_PENDING])
        if any(item.status is not JobStatus.SUCCEEDED for item in items):
            raise IllegalTransition(
                f"FanOutSucceeded for job '{event.job}', whose items have not all succeeded"
            )
        self._settled(event, before, status, output=event.output or _listed(event.job, items))

    def _settled(
        self,
        event: ev.JobEvent,
        before: JobState,
        status: JobStatus,
        *,
        error: Failure | None = None,
        reason: str | None = None,
        output: Json = NULL,
    ) -> None:
        items = tuple(self.items[event.job])
        open_ = (JobStatus.RUNNING, JobStatus.UNKNOWN)
        for i, item in enumerate(items):
            if item.status in open_:
                text = f"{type(event).__name__} for job '{event.job}' while item {i} is {item.status}"
                raise IllegalTransition(text)
        del self.items[event.job]
        self._set(
            event.job,
            before,
            JobState(status, (), error, before.started_at, event.at, reason, output, items),
        )

    def _item(self, event: ev.ItemEvent) -> None:
        items = self.items.get(event.job)
        if items is None or not 0 <= event.item < len(items):
            raise IllegalTransition(
                f"{type(event).__name__} for item {event.item} of job '{event.job}', which has no such item"
            )
        if self.status is not SessionStatus.RUNNING and type(event) not in _WHILE_IT_RESTS:
            raise IllegalTransition(f"{type(event).__name__} in a session that is {self.status}")
        before = items[event.item]
        status = next_item_status(event, before.status)
        items[event.item] = after = _ITEM[type(event)](before, status, event)
        if isinstance(event, ev.ItemStalled):
            self.stall = self.stall or event
        if after.status in _PROGRESS:
            self.deaths = 0


def _listed(job: str, items: list[JobState]) -> Json:
    """The list of the items' outputs, where the history does not hold it."""
    outputs = [item.encoded_output for item in items]
    if any(type(output) is Artifact for output in outputs):
        # Nothing is read here; whoever wrote such a history wrote the list as an artifact, too.
        raise IllegalTransition(f"FanOutSucceeded for job '{job}' without the list, which is an artifact")
    return Json(f"[{','.join(output.text for output in outputs)}]")


_PENDING = JobState()
#: A paused session that is cancelled gives up its jobs; one of which an item had failed before has failed.
_WHILE_IT_RESTS = (ev.JobCancelled, ev.ItemCancelled, ev.JobFailed)
#: A job or item that comes to one of these has got somewhere.
_PROGRESS = frozenset({JobStatus.RETRYING, *(status for status in JobStatus if status.is_terminal)})
_ITEM: dict[type[ev.Event], Callable[[JobState, JobStatus, Any], JobState]] = {
    ev.ItemStarted: attempts.started,
    ev.ItemSubmitted: attempts.submitted,
    ev.ItemSucceeded: attempts.succeeded,
    ev.ItemAttemptFailed: attempts.attempt_failed,
    ev.ItemAttemptLost: attempts.lost,
    ev.ItemUnknown: attempts.unknown,
    ev.ItemStalled: attempts.stalled,
    ev.ItemFailed: attempts.failed,
    ev.ItemCancelled: attempts.given_up,
}
_APPLY: dict[type[ev.Event], Callable[[Fold, Any], None]] = {
    ev.SessionCreated: Fold._created,
    ev.RunnerClaimed: Fold._claimed,
    ev.RunnerReleased: Fold._released,
    ev.SessionStarted: Fold._started,
    ev.PauseRequested: Fold._pause_requested,
    ev.ResumeRequested: Fold._resume_requested,
    ev.CancelRequested: Fold._cancel_requested,
    ev.SessionPaused: Fold._paused,
    ev.SessionResumed: Fold._resumed,
    ev.SessionSucceeded: Fold._ended,
    ev.SessionFailed: Fold._ended,
    ev.SessionCancelled: Fold._ended,
    ev.JobStarted: Fold._job_started,
    ev.JobSubmitted: Fold._job_submitted,
    ev.JobSucceeded: Fold._job_succeeded,
    ev.JobReused: Fold._job_reused,
    ev.ReuseFailed: Fold._unchanged,
    ev.AttemptFailed: Fold._attempt_failed,
    ev.AttemptLost: Fold._attempt_lost,
    ev.JobUnknown: Fold._job_unknown,
    ev.JobStalled: Fold._job_stalled,
    ev.JobFailed: Fold._job_failed,
    ev.JobSkipped: Fold._job_given_up,
    ev.JobCancelled: Fold._job_given_up,
    ev.Unknown: Fold._ignored,
    ev.TimeoutReached: Fold._timeout_reached,
    ev.SessionTimedOut: Fold._ended,
    ev.ConditionEvaluated: Fold._unchanged,
    ev.FanOutStarted: Fold._fan_out_started,
    ev.FanOutSucceeded: Fold._fan_out_succeeded,
    **dict.fromkeys(_ITEM, Fold._item),
}
