"""The one entry point of the engine: facts in, actions out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bunsui.engine import events as ev
from bunsui.engine import reasons
from bunsui.engine.actions import Action, Conclude, Evaluate, Expand, Gather, Record, Reuse
from bunsui.engine.fanout import FanOut
from bunsui.engine.fold import Fold
from bunsui.engine.matching import applies
from bunsui.engine.ready import Ready
from bunsui.engine.resting import ended, paused, settlements
from bunsui.engine.reuses import Reuses
from bunsui.engine.under_way import UnderWay
from bunsui.engine.units import Unit, cancelled
from bunsui.expressions.conditions import parse_condition
from bunsui.model.status import JobStatus, SessionStatus

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from bunsui.model.pipeline import Pipeline, RetryPolicy
    from bunsui.model.session import Failure


class Machine:
    """Decides what a session does next.

    A driver gives it every fact (`handle`), new or replayed, and asks what to do (`decide`). What is
    decided follows from the facts alone, so a machine that is made from a history goes on where the
    one before it stopped. Nothing here is O(jobs), but for a claim and what halts a session: a
    cancellation, a timeout, a failure with ``on_failure: stop``.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.state = Fold(pipeline.graph.upstream)
        self._under_way = UnderWay()
        #: Attempts that have started and not ended, those of which nobody can tell what became, until
        #: somebody says it, and which of those that run can't be followed from here.
        self.running = self._under_way.running
        self.unknown = self._under_way.unknown
        self.stalled = self._under_way.stalled
        #: Attempts that failed and whose wait is not over, with the fact that began it.
        self.waiting: dict[Unit, ev.AttemptFailed | ev.ItemAttemptFailed] = {}
        self._missing = {job: len(parents) for job, parents in pipeline.graph.upstream.items()}
        self._ready = Ready()
        self._to_evaluate: dict[str, None] = {}
        self._to_expand: dict[str, None] = {}
        self._reuses = Reuses(pipeline.graph.downstream)
        #: Jobs that fan out, while they do; and those of them that are over.
        self._fans: dict[str, FanOut] = {}
        self._to_settle: dict[str, FanOut] = {}
        #: What the driver has begun and not given the fact for: lists of fan-outs, outputs that are taken
        #: over, the declared outputs.
        self._begun: set[Gather | Reuse | Conclude] = set()
        self._not_succeeded: set[str] = set()
        self._to_skip: dict[str, str] = {}
        self._to_cancel: dict[Unit, str] = {}
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
            if isinstance(event, ev.ItemEvent):
                self._handle_item(event)
            else:
                self._handle_job(event)
        elif type(event) is ev.SessionCreated:
            self._begin(event)
        elif type(event) is ev.RunnerClaimed:
            self._under_way.claimed()
            self._begun.clear()
        elif type(event) is ev.CancelRequested:
            self._stop(event.reason or reasons.CANCELLED_REASON)
        elif type(event) is ev.TimeoutReached:
            self._stop(reasons.TIMEOUT_REASON)

    def _begin(self, event: ev.SessionCreated) -> None:
        self._reuses.choose(event.reuse)
        for job in [job for job, count in self._missing.items() if not count]:
            self._released(job)

    def _handle_job(self, event: ev.JobEvent) -> None:
        job = event.job
        if isinstance(event, ev.JobStarted):
            self._ready.discard(job, self.pipeline.job(job).pool)
            self.waiting.pop(job, None)
            # A start decided together with one that failed, and so halted the session: it runs, and ends.
            self._to_cancel.pop(job, None)
            self.running[job] = event.attempt
            return
        if isinstance(event, ev.JobSubmitted):
            return
        if isinstance(event, ev.JobStalled):
            self._has_stalled(job)
            return
        self._under_way.ended(job)
        if isinstance(event, ev.JobSucceeded):
            # Somebody said so of an attempt that the session's end was to give up.
            self._to_cancel.pop(job, None)
            self._rest(job, succeeded=True)
        elif isinstance(event, ev.FanOutSucceeded | ev.JobReused):
            self._forget(job)
            self._rest(job, succeeded=True)
        elif isinstance(event, ev.AttemptFailed | ev.AttemptLost):
            self._again(event)
        elif isinstance(event, ev.ConditionEvaluated):
            self._condition_evaluated(event)
        elif isinstance(event, ev.ReuseFailed):
            self._reuse_failed(job)
        elif isinstance(event, ev.FanOutStarted):
            self._begin_fan_out(event)
        elif isinstance(event, ev.JobUnknown):
            self._is_unknown(job, event.attempt)
        else:
            self._ended_badly(event)

    def _has_stalled(self, unit: Unit) -> None:
        """Nobody here can follow an attempt; but what is stopped is waited for."""
        if self.stop_reason is None:
            self.stalled.add(unit)

    def _is_unknown(self, unit: Unit, attempt: int) -> None:
        """Somebody has to say what became of an attempt, unless the session is to end anyway."""
        self.unknown[unit] = attempt
        if (reason := self.stop_reason) is not None:
            self._to_cancel[unit] = f"{reason}; what became of attempt {attempt} is not known"

    def _again(self, event: ev.AttemptFailed | ev.AttemptLost) -> None:
        """Another attempt follows."""
        if self._halted is not None:
            self._to_cancel[event.job] = self._halted
        elif isinstance(event, ev.AttemptFailed):
            self.waiting[event.job] = event
        else:
            self._make_ready(event.job, event.attempt)

    def _condition_evaluated(self, event: ev.ConditionEvaluated) -> None:
        job = self.pipeline.job(event.job)
        self._to_evaluate.pop(job.id, None)
        if self._halted is not None:
            return  # It is in _to_cancel already.
        if event.result:
            self._admit(job.id)
        else:
            self._to_skip[job.id] = reasons.is_false(job.condition)

    def _ended_badly(self, event: ev.JobEvent) -> None:
        """The job failed, or was skipped or cancelled."""
        job = event.job
        self._forget(job)
        failed = isinstance(event, ev.JobFailed)
        allowed = failed and self.pipeline.job(job).allow_failure
        if failed and not allowed:
            self._failed = True
            if self.pipeline.on_failure == "stop" and self._halted is None:
                self._halt(f"job '{job}' failed")
        self._rest(job, succeeded=allowed)

    def _forget(self, job: str) -> None:
        """Drops all plans for a job that has ended."""
        self._begun.discard(Reuse(job))
        self._ready.forget(job, self.pipeline.job(job).pool)
        fan = self._fans.pop(job, None)
        if fan is not None:
            self._to_settle.pop(job, None)
            self._begun.discard(Gather(job))
            for item in fan.waiting:
                self.waiting.pop((job, item), None)
        for plans in (
            self.waiting,
            self._to_evaluate,
            self._to_expand,
            self._reuses.due,
            self._to_skip,
            self._to_cancel,
        ):
            plans.pop(job, None)

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
            if self._halted is None:  # Else it is in _to_cancel already.
                self._released(child)

    def _released(self, job: str) -> None:
        """All that the job waits for has ended."""
        condition = self.pipeline.job(job).condition
        reason = None
        if self._not_succeeded and (condition is None or not parse_condition(condition).replaces_upstream):
            reason = self._obstacle(job)
        if reason is not None:
            self._to_skip[job] = reason
        elif condition is not None:
            self._to_evaluate[job] = None
        else:
            self._admit(job)

    def _obstacle(self, job: str) -> str | None:
        for parent in self.pipeline.graph.upstream[job]:
            if parent in self._not_succeeded:
                return f"job '{parent}' is {self.state.jobs[parent].status}"
        return None

    def _admit(self, job: str) -> None:
        """The job may run."""
        if self._reuses.takes(job):
            return
        if self.pipeline.job(job).for_each is not None:
            self._to_expand[job] = None
        else:
            self._make_ready(job, 1)

    def _reuse_failed(self, job: str) -> None:
        """It has no output to take over: it runs."""
        self._begun.discard(Reuse(job))
        self._reuses.failed(job)
        if self._halted is None:  # Else it is in _to_cancel already.
            self._admit(job)

    def _make_ready(self, job: str, attempt: int) -> None:
        self._ready.add(job, self.pipeline.job(job).pool, attempt)

    # Fan-outs

    def _begin_fan_out(self, event: ev.FanOutStarted) -> None:
        self._to_expand.pop(event.job, None)
        self._to_cancel.pop(event.job, None)
        fan = FanOut(event.count, self.pipeline.job(event.job).max_concurrency)
        fan.halted = self._halted
        self._fans[event.job] = fan
        self._look_at(event.job, fan)

    def _handle_item(self, event: ev.ItemEvent) -> None:
        job, unit = event.job, (event.job, event.item)
        fan = self._fans[job]
        self.waiting.pop(unit, None)
        if isinstance(event, ev.ItemStarted):
            self.running[unit] = event.attempt
        elif isinstance(event, ev.ItemStalled):
            self._has_stalled(unit)
        elif not isinstance(event, ev.ItemSubmitted):
            self._under_way.ended(unit)
            self._to_cancel.pop(unit, None)
            if isinstance(event, ev.ItemAttemptFailed):
                self.waiting[unit] = event
            elif isinstance(event, ev.ItemUnknown):
                self._is_unknown(unit, event.attempt)
        fan.handle(event)
        self._look_at(job, fan)

    def _look_at(self, job: str, fan: FanOut) -> None:
        """Notes what can be done about a fan-out now."""
        self._ready.look_at(job, self.pipeline.job(job).pool, fan)
        if fan.is_over:
            self._to_settle[job] = fan
        else:
            self._to_settle.pop(job, None)

    def _stop(self, reason: str) -> None:
        """Nothing starts any more, and what runs is stopped."""
        self._under_way.stop()
        self._halt(reason)
        for unit, attempt in self.unknown.items():
            self._is_unknown(unit, attempt)

    def _halt(self, reason: str) -> None:
        """Nothing starts any more: what has not started is given up."""
        if self._halted is None:
            self._halted = reason
        for plans in (self._ready, self._to_skip, self._to_evaluate, self._to_expand, self._reuses.due):
            plans.clear()
        self._to_cancel = {
            job: reason
            for job, state in self.state.jobs.items()
            if state.status in (JobStatus.PENDING, JobStatus.RETRYING)
        }
        for job, fan in self._fans.items():
            fan.halted = reason
            self._look_at(job, fan)

    def retry_due(self, unit: Unit) -> None:
        """The wait of a failed attempt is over."""
        failed = self.waiting.pop(unit, None)
        if failed is None or self._halted is not None:
            return
        if isinstance(unit, str):
            self._make_ready(unit, failed.attempt + 1)
        else:
            fan = self._fans[unit[0]]
            fan.again(unit[1], failed.attempt + 1)
            self._look_at(unit[0], fan)

    def begun(self, action: Gather | Reuse | Conclude) -> None:
        """The driver carries this action out beside its turns, and gives the fact later."""
        self._begun.add(action)

    # Decisions out

    @property
    def has_ready(self) -> bool:
        """Whether attempts could start if there were places for them, as far as the session goes on."""
        return bool(self._ready)

    @property
    def stop_reason(self) -> str | None:
        """Why running work is stopped, or None where it is not."""
        return reasons.stopped(self.state)

    def retry_policy(self, job: str, attempt: int, failure: Failure) -> RetryPolicy | None:
        """The policy by which a failed attempt is followed by another one, or None if it is not."""
        policy = self.pipeline.job(job).retry
        if self._halted is not None or attempt >= policy.max_attempts:
            return None
        fan = self._fans.get(job)
        if fan is not None and fan.is_ending:
            return None
        return policy if applies(policy, failure) else None

    def decide(self, at: datetime, free: int, pools: Mapping[str, int] | None = None) -> list[Action]:
        """What to do now.

        Args:
            at: the time of what is recorded.
            free: how many attempts the driver can start.
            pools: how many of these may count in each pool; one that is not named has no room.

        Returns:
            The actions, in order; carry out all of them, then ask again. An empty list: wait. Without a
            new fact the answer stays the same, but for `Recover` and `Stop`, which are given once.
        """
        state = self.state
        if state.status is SessionStatus.CREATED:
            if state.cancel is None:
                return [Record(ev.SessionStarted(at))]
        elif state.status.is_terminal:
            return []
        if ending := self._ending(at):
            return ending
        if not self._open:
            return self._end(at)
        if state.status is not SessionStatus.RUNNING:
            return []
        if self._to_skip:
            return [Record(ev.JobSkipped(at, job, reason)) for job, reason in self._to_skip.items()]
        if (pause := paused(at, state, self.unknown, self._under_way.suspects)) is not None:
            return [Record(pause)] if self._under_way.is_at_rest and not self._begun else []
        if self._to_evaluate or self._to_expand or self._reuses.due:
            settling: list[Action] = [
                *map(Evaluate, self._to_evaluate),
                *map(Expand, self._to_expand),
                *(action for job in self._reuses.due if (action := Reuse(job)) not in self._begun),
            ]
            if settling:  # Else large outputs are being taken over: nobody waits for them who need not.
                return settling
        return self._starts(free, pools or {}) if self._ready else []

    def _starts(self, free: int, pools: Mapping[str, int]) -> list[Action]:
        limit = self.pipeline.max_concurrency
        if limit is not None:
            free = min(free, limit - len(self.running))
        return [*self._ready.starts(free, pools)]

    def _ending(self, at: datetime) -> list[Action]:
        """What is to be brought to an end first."""
        # What runs while the session is paused is nobody's to follow.
        if self.state.status is not SessionStatus.PAUSED and (asked := self._under_way.asked()):
            return asked
        if self._to_cancel:
            return [Record(cancelled(at, unit, reason)) for unit, reason in self._to_cancel.items()]
        return settlements(at, self._to_settle, self._begun, self.state.items) if self._to_settle else []

    def _end(self, at: datetime) -> list[Action]:
        if self.pipeline.outputs and not self._failed and self.stop_reason is None:
            return [] if Conclude() in self._begun else [Conclude()]
        return [Record(ended(at, self.state, failed=self._failed))]
