"""The one fold: events in, what they amount to out. Private, mutable, and fast."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bunsui.engine import events as ev
from bunsui.engine.transitions import IllegalTransition, next_job_status, next_session_status
from bunsui.model.session import Attempt, JobState, SessionState
from bunsui.model.status import JobStatus, SessionStatus

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime


class Fold:
    """What a history amounts to so far.

    Job states are frozen and replaced, never changed, so that a snapshot is a copy of one dict. They are
    made by their constructor: `attrs.evolve` costs five times as much, and this runs for every event.
    """

    def __init__(self, jobs: Iterable[str]) -> None:
        self.status = SessionStatus.CREATED
        self.created: ev.SessionCreated | None = None
        self.jobs: dict[str, JobState] = dict.fromkeys(jobs, JobState())
        #: How many jobs have each status; what the session's index entry shows.
        self.counts: dict[JobStatus, int] = dict.fromkeys(JobStatus, 0)
        self.counts[JobStatus.PENDING] = len(self.jobs)
        #: The claim that is in force: None before the first and after a release.
        self.claim: ev.RunnerClaimed | None = None
        self.epoch = 0
        #: The requests that the history answers, by id.
        self.requests: set[str] = set()
        self.pause: ev.PauseRequested | None = None
        self.cancel: ev.CancelRequested | None = None
        self.paused_reason: str | None = None
        self.started_at: datetime | None = None
        self.finished_at: datetime | None = None
        self.last_at: datetime | None = None

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
            jobs=dict(self.jobs),
            paused_reason=self.paused_reason,
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
        self.claim = event
        self.epoch = event.epoch

    def _released(self, event: ev.RunnerReleased) -> None:
        if self.claim is None or event.epoch != self.epoch:
            raise IllegalTransition(f"release of epoch {event.epoch}, which holds no claim")
        self._session(event)
        self.claim = None

    def _started(self, event: ev.SessionStarted) -> None:
        self._session(event)
        self.started_at = event.at

    def _pause_requested(self, event: ev.PauseRequested) -> None:
        self._session(event)
        self.requests.add(event.request)
        self.pause = event

    def _cancel_requested(self, event: ev.CancelRequested) -> None:
        self._session(event)
        self.requests.add(event.request)
        self.cancel = event

    def _paused(self, event: ev.SessionPaused) -> None:
        self._session(event)
        self.paused_reason = event.reason
        self.pause = None

    def _resumed(self, event: ev.SessionResumed) -> None:
        self._session(event)
        self.paused_reason = None
        self.pause = None

    def _ended(self, event: ev.Event) -> None:
        if any(self.counts[status] for status in JobStatus if not status.is_terminal):
            raise IllegalTransition(f"{type(event).__name__} while jobs are open")
        self._session(event)
        self.finished_at = event.at
        self.paused_reason = None

    # Jobs

    def _before(self, event: ev.JobEvent) -> tuple[JobState, JobStatus]:
        """The job's state before `event` and its status afterwards."""
        try:
            state = self.jobs[event.job]
        except KeyError:
            raise IllegalTransition(
                f"{type(event).__name__} for job '{event.job}', which the definition does not have"
            ) from None
        if self.status is not SessionStatus.RUNNING and type(event) is not ev.JobCancelled:
            raise IllegalTransition(f"{type(event).__name__} in a session that is {self.status}")
        return state, next_job_status(event, state.status)

    def _set(self, job: str, before: JobState, after: JobState) -> None:
        self.counts[before.status] -= 1
        self.counts[after.status] += 1
        self.jobs[job] = after

    def _job_started(self, event: ev.JobStarted) -> None:
        before, status = self._before(event)
        attempts = before.attempts
        # A lost attempt runs again under its own number.
        if attempts and attempts[-1].finished_at is None:
            attempts = attempts[:-1]
        if event.attempt != len(attempts) + 1:
            raise IllegalTransition(f"attempt {event.attempt} of job '{event.job}' after {len(attempts)}")
        self._set(
            event.job,
            before,
            JobState(
                status,
                (*attempts, Attempt(event.attempt, event.at)),
                before.error,
                before.started_at or event.at,
            ),
        )

    def _last_attempt(self, event: Any, before: JobState) -> Attempt:
        last = before.attempts[-1]
        if last.number != event.attempt:
            raise IllegalTransition(
                f"{type(event).__name__} of attempt {event.attempt} of job '{event.job}',"
                f" whose attempt {last.number} runs"
            )
        return last

    def _job_succeeded(self, event: ev.JobSucceeded) -> None:
        before, status = self._before(event)
        last = self._last_attempt(event, before)
        done = Attempt(last.number, last.started_at, event.at)
        self._set(
            event.job,
            before,
            JobState(
                status,
                (done,) if last.number == 1 else (*before.attempts[:-1], done),
                None,
                before.started_at,
                event.at,
                None,
                event.output,
            ),
        )

    def _attempt_failed(self, event: ev.AttemptFailed) -> None:
        before, status = self._before(event)
        last = self._last_attempt(event, before)
        failed = Attempt(last.number, last.started_at, event.at, event.error)
        attempts = (*before.attempts[:-1], failed)
        self._set(event.job, before, JobState(status, attempts, event.error, before.started_at))

    def _attempt_lost(self, event: ev.AttemptLost) -> None:
        before, status = self._before(event)
        self._last_attempt(event, before)
        self._set(
            event.job,
            before,
            JobState(status, before.attempts, before.error, before.started_at),
        )

    def _job_failed(self, event: ev.JobFailed) -> None:
        before, status = self._before(event)
        attempts = before.attempts
        if before.status is JobStatus.RUNNING:
            last = self._last_attempt(event, before)
            failed = Attempt(last.number, last.started_at, event.at, event.error)
            attempts = (*attempts[:-1], failed)
        elif event.attempt:
            raise IllegalTransition(
                f"JobFailed of attempt {event.attempt} of job '{event.job}', which is {before.status}"
            )
        self._set(
            event.job,
            before,
            JobState(status, attempts, event.error, before.started_at, event.at),
        )

    def _job_given_up(self, event: ev.JobSkipped | ev.JobCancelled) -> None:
        before, status = self._before(event)
        attempts = before.attempts
        if before.status is JobStatus.RUNNING:
            last = attempts[-1]
            attempts = (*attempts[:-1], Attempt(last.number, last.started_at, event.at))
        self._set(
            event.job,
            before,
            JobState(status, attempts, before.error, before.started_at, event.at, event.reason),
        )


_APPLY: dict[type[ev.Event], Callable[[Fold, Any], None]] = {
    ev.SessionCreated: Fold._created,  # noqa: SLF001 - the table is part of the class
    ev.RunnerClaimed: Fold._claimed,  # noqa: SLF001
    ev.RunnerReleased: Fold._released,  # noqa: SLF001
    ev.SessionStarted: Fold._started,  # noqa: SLF001
    ev.PauseRequested: Fold._pause_requested,  # noqa: SLF001
    ev.CancelRequested: Fold._cancel_requested,  # noqa: SLF001
    ev.SessionPaused: Fold._paused,  # noqa: SLF001
    ev.SessionResumed: Fold._resumed,  # noqa: SLF001
    ev.SessionSucceeded: Fold._ended,  # noqa: SLF001
    ev.SessionFailed: Fold._ended,  # noqa: SLF001
    ev.SessionCancelled: Fold._ended,  # noqa: SLF001
    ev.JobStarted: Fold._job_started,  # noqa: SLF001
    ev.JobSucceeded: Fold._job_succeeded,  # noqa: SLF001
    ev.AttemptFailed: Fold._attempt_failed,  # noqa: SLF001
    ev.AttemptLost: Fold._attempt_lost,  # noqa: SLF001
    ev.JobFailed: Fold._job_failed,  # noqa: SLF001
    ev.JobSkipped: Fold._job_given_up,  # noqa: SLF001
    ev.JobCancelled: Fold._job_given_up,  # noqa: SLF001
    ev.Unknown: Fold._ignored,  # noqa: SLF001
}
