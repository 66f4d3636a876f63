"""The one entry point of the engine: facts in, actions out."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from bunsui.engine import events as ev
from bunsui.engine.actions import Action, Record, Recover, Start, Stop
from bunsui.engine.fold import Fold
from bunsui.model.status import JobStatus, SessionStatus

if TYPE_CHECKING:
    from datetime import datetime

    from bunsui.model.pipeline import Pipeline, RetryPolicy
    from bunsui.model.session import Failure


class Machine:
    """Decides what a session does next.

    A driver gives it every fact (`handle`), new or replayed, and asks what to do (`decide`). What is
    decided follows from the facts alone, so a machine that is made from a history goes on where the
    one before it stopped. Nothing here is O(jobs), but for a cancellation and a claim.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.state = Fold(pipeline.graph.upstream)
        #: Attempts that have started and not ended.
        self.running: dict[str, int] = {}
        #: Attempts that failed and whose wait is not over, with the fact that began it.
        self.waiting: dict[str, ev.AttemptFailed] = {}
        self._missing = {job: len(parents) for job, parents in pipeline.graph.upstream.items()}
        self._ready: dict[str, int] = {job: 1 for job, count in self._missing.items() if not count}
        self._not_succeeded: set[str] = set()
        self._to_skip: dict[str, str] = {}
        self._to_cancel: dict[str, str] = {}
        self._to_stop: dict[str, int] = {}
        self._to_recover: dict[str, int] = {}
        self._open = len(self._missing)
        self._halted: str | None = None
        self._failed = False

    # Facts in

    def handle(self, event: ev.Event) -> None:
        """Takes one more fact.

        Raises:
            IllegalTransition: it can't follow what happened before it.
        """
        self.state.apply(event)
        if isinstance(event, ev.JobEvent):
            self._handle_job(event)
        elif type(event) is ev.RunnerClaimed:
            # Whatever ran, ran under the claim before: this runner must ask what became of it.
            self._to_recover = dict(self.running)
        elif type(event) is ev.CancelRequested:
            self._to_stop = dict(self.running)
            self._halt(event.reason or "the session was cancelled")

    def _handle_job(self, event: ev.JobEvent) -> None:
        job = event.job
        if isinstance(event, ev.JobStarted):
            self._ready.pop(job, None)
            self.waiting.pop(job, None)
            # A start decided together with one that failed, and so halted the session: it runs, and ends.
            self._to_cancel.pop(job, None)
            self.running[job] = event.attempt
            return
        self.running.pop(job, None)
        self._to_recover.pop(job, None)
        self._to_stop.pop(job, None)
        if isinstance(event, ev.JobSucceeded):
            self._rest(job, succeeded=True)
        elif isinstance(event, ev.AttemptFailed | ev.AttemptLost):
            if self._halted is not None:
                self._to_cancel[job] = self._halted
            elif isinstance(event, ev.AttemptFailed):
                self.waiting[job] = event
            else:
                self._ready[job] = event.attempt
        else:
            self._ready.pop(job, None)
            self.waiting.pop(job, None)
            self._to_skip.pop(job, None)
            self._to_cancel.pop(job, None)
            failed = isinstance(event, ev.JobFailed)
            allowed = failed and self.pipeline.job(job).allow_failure
            if failed and not allowed:
                self._failed = True
                if self.pipeline.on_failure == "stop" and self._halted is None:
                    self._halt(f"job '{job}' failed")
            self._rest(job, succeeded=allowed)

    def _rest(self, job: str, *, succeeded: bool) -> None:
        """`job` has ended: whoever waited for it alone is decided now."""
        self._open -= 1
        if not succeeded:
            self._not_succeeded.add(job)
        missing = self._missing
        for child in self.pipeline.graph.downstream[job]:
            missing[child] -= 1
            if missing[child] or self.state.jobs[child].status is not JobStatus.PENDING:
                continue
            if self._halted is not None:
                continue  # It is in _to_cancel already.
            reason = self._obstacle(child) if self._not_succeeded else None
            if reason is None:
                self._ready[child] = 1
            else:
                self._to_skip[child] = reason

    def _obstacle(self, job: str) -> str | None:
        for parent in self.pipeline.graph.upstream[job]:
            if parent in self._not_succeeded:
                return f"job '{parent}' is {self.state.jobs[parent].status}"
        return None

    def _halt(self, reason: str) -> None:
        """Nothing starts any more: what has not started is given up."""
        self._halted = reason
        self._ready.clear()
        self._to_skip.clear()
        self._to_cancel = {
            job: reason
            for job, state in self.state.jobs.items()
            if state.status in (JobStatus.PENDING, JobStatus.RETRYING)
        }

    def retry_due(self, job: str) -> None:
        """The wait of a failed attempt is over."""
        failed = self.waiting.pop(job, None)
        if failed is not None and self._halted is None:
            self._ready[job] = failed.attempt + 1

    # Decisions out

    def retry_policy(self, job: str, attempt: int, failure: Failure) -> RetryPolicy | None:
        """The policy by which a failed attempt is followed by another one, or None if it is not."""
        policy = self.pipeline.job(job).retry
        if self._halted is not None or attempt >= policy.max_attempts:
            return None
        if policy.on:
            return policy if any(matches(failure.code, pattern) for pattern in policy.on) else None
        return policy if failure.retryable else None

    def decide(self, at: datetime, free: int) -> list[Action]:
        """What to do now.

        Args:
            at: the time of what is recorded.
            free: how many attempts the driver can start.

        Returns:
            The actions, in order; carry out all of them, then ask again. An empty list: wait. Without a
            new fact the answer stays the same, but for `Stop`, which is given once.
        """
        state = self.state
        if state.status is SessionStatus.CREATED:
            if state.cancel is None:
                return [Record(ev.SessionStarted(at))]
        elif state.status.is_terminal:
            return []
        if self._to_recover:
            return [Recover(job, attempt) for job, attempt in self._to_recover.items()]
        if self._to_stop:
            stops: list[Action] = [Stop(job, attempt) for job, attempt in self._to_stop.items()]
            self._to_stop.clear()
            return stops
        if self._to_cancel:
            return [Record(ev.JobCancelled(at, job, reason)) for job, reason in self._to_cancel.items()]
        if not self._open:
            return [Record(self._end(at))]
        if state.status is not SessionStatus.RUNNING:
            return []
        if self._to_skip:
            return [Record(ev.JobSkipped(at, job, reason)) for job, reason in self._to_skip.items()]
        if state.pause is not None:
            return [] if self.running else [Record(ev.SessionPaused(at, "user"))]
        if not self._ready:
            return []
        limit = self.pipeline.max_concurrency
        if limit is not None:
            free = min(free, limit - len(self.running))
        return [Start(job, attempt) for job, attempt in islice(self._ready.items(), max(free, 0))]

    def _end(self, at: datetime) -> ev.Event:
        if self.state.cancel is not None:
            return ev.SessionCancelled(at)
        return ev.SessionFailed(at) if self._failed else ev.SessionSucceeded(at)


def matches(code: str, pattern: str) -> bool:
    """Whether an error code fits a pattern, in which ``*`` stands for any text."""
    head, *parts = pattern.split("*")
    if not parts:
        return code == pattern
    # By hand: a regex of many `.*` takes time that grows with their number as the exponent.
    tail = parts.pop()
    at, end = len(head), len(code) - len(tail)
    if at > end or not (code.startswith(head) and code.endswith(tail)):
        return False
    for part in parts:
        found = code.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
