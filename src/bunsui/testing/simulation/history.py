"""What is checked of one session, with each commit that becomes durable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from bunsui.engine import events as ev
from bunsui.engine.decide import Machine
from bunsui.engine.fold import Fold
from bunsui.engine.transitions import IllegalTransition
from bunsui.model.status import JobStatus, SessionStatus
from bunsui.runner.attempts.idempotency import idempotency_key
from bunsui.stores.records import decode_body, encode_event

if TYPE_CHECKING:
    from bunsui.engine.units import Unit
    from bunsui.model.pipeline import Job, Pipeline
    from bunsui.model.session import JobState
    from bunsui.ports.store import Commit
    from bunsui.testing.simulation.ledger import Ledger
    from bunsui.testing.simulation.world import World

#: Seconds by which sums of times may be off.
EPSILON = 1e-6


class SessionHistory:
    """Folds a session's commits as they become durable, and checks each fact.

    Args:
        world: told of what does not hold.
        session: its id.
        pipeline: what it runs.
        ledger: what was really run.
        remote: the job types whose work runs elsewhere, and whether the ledger knows of it.
    """

    def __init__(
        self, world: World, session: str, pipeline: Pipeline, ledger: Ledger, remote: Mapping[str, bool]
    ) -> None:
        self.world = world
        self.session = session
        self.pipeline = pipeline
        self.fold = Fold(pipeline.graph.upstream)
        self.position = 0
        #: When it was first driven.
        self.began_at = world.time
        #: The facts, by commit.
        self.commits: list[list[ev.Event]] = []
        #: Which attempts were started, under which claim.
        self.started: set[tuple[Unit, int, int]] = set()
        #: When they were, for those that have not ended.
        self.started_at: dict[Unit, float] = {}
        #: Which can't be followed under this claim, by what is durable.
        self.stalled: set[Unit] = set()
        #: When each commit of the holder came since its claim.
        self.signs: list[float] = []
        self._ledger = ledger
        self._remote = remote
        #: The keys under which work was started.
        self.keys: set[str] = set()

    def take(self, author: str, commit: Commit, beats: Sequence[float], asked: dict[str, set[int]]) -> None:
        """Checks one more commit.

        Args:
            author: the runner that appended it.
            commit: what was appended.
            beats: when the runner that holds the session has given a sign of life.
            asked: the claims that each request was meant for, by its id.
        """
        events = decode_body(commit.body, f"commit {commit.position} of {self.session}")
        claims = any(isinstance(event, ev.RunnerClaimed) for event in events)
        for event in events:
            if isinstance(event, ev.RunnerClaimed):
                self._check_claim(author, event, beats)
                self.stalled.clear()
            elif isinstance(event, _REQUESTS):
                meant_for = asked.get(event.request, ())
                if not claims and self.fold.epoch not in meant_for:
                    self._fail("request", f"{event} was not meant for claim {self.fold.epoch}")
            self._check_author(author, event)
            self._apply(event)
        self.position = commit.position
        self.commits.append(events)
        self.signs.append(self.world.time)

    def _fail(self, kind: str, text: str) -> None:
        self.world.fail(kind, f"session {self.session}: {text}")

    def _check_author(self, author: str, event: ev.Event) -> None:
        if isinstance(event, ev.SessionCreated | ev.RunnerClaimed):
            return
        held = self.fold.claim
        if held is None or held.runner != author:
            holder = "nobody" if held is None else held.runner
            self._fail("fencing", f"{author} wrote {event} while {holder} held the claim")

    def _check_claim(self, author: str, event: ev.RunnerClaimed, beats: Sequence[float]) -> None:
        if event.runner != author:
            self._fail("fencing", f"{author} wrote the claim of {event.runner}")
        held = self.fold.claim
        if held is not None and held.runner != author:
            signs = sorted([*self.signs, *(beat for beat in beats if beat >= self.signs[0]), self.world.time])
            gap = max(later - earlier for earlier, later in pairwise(signs))
            if gap < held.lease - EPSILON:
                text = f"{author} claimed it from {held.runner}, which had not been still for {gap:.3f} s"
                self._fail("steal", f"{text}; its lease is {held.lease} s")
        self.signs.clear()

    def _apply(self, event: ev.Event) -> None:
        fold = self.fold
        if fold.status.is_terminal and not isinstance(event, ev.RunnerReleased):
            self._fail("terminal", f"{event} after its end")
        if fold.last_at is not None and event.at < fold.last_at:
            self._fail("times", f"{event} is earlier than what came before it")
        if isinstance(event, ev.JobEvent):
            self._check_job_event(event)
        elif isinstance(event, ev.TimeoutReached):
            self._check_timeout(event)
        elif isinstance(event, ev.SessionPaused):
            self._check_pause(event)
        epoch = fold.epoch
        try:
            fold.apply(event)
        except IllegalTransition as error:
            self._fail("illegal", str(error))
        if fold.epoch < epoch:
            self._fail("epoch", f"{event} took the epoch from {epoch} to {fold.epoch}")

    def _check_pause(self, event: ev.SessionPaused) -> None:
        """What runs on in a paused session is what nobody could follow."""
        stall = self.fold.stall
        if event.reason == "aws-credentials" and (stall is None or stall.message != event.message):
            self._fail("stalled", f"{event}, but nothing is missing")
        runs = [unit for unit in self.started_at if self.state_of(unit).status is JobStatus.RUNNING]
        if left := {*runs} - self.stalled:
            self._fail("stalled", f"{event} while {left} run, which can be followed")

    # Jobs

    def _check_job_event(self, event: ev.JobEvent) -> None:
        job = self.pipeline.job(event.job)
        unit = unit_of(event)
        if isinstance(event, ev.JobStarted | ev.ItemStarted):
            self._check_order(job, event)
            if self.fold.stall is not None:
                self._fail("stalled", f"{event} although something is missing: {self.fold.stall.message}")
            self.started.add((unit, event.attempt, self.fold.epoch))
            self.started_at[unit] = self.world.time
            self.stalled.discard(unit)
            self.keys.add(event.key)
            if event.key != self._key(unit, event.attempt):
                self._fail("key", f"{event} has another key than its attempt")
        elif isinstance(event, ev.JobStalled | ev.ItemStalled):
            self.stalled.add(unit)
        elif isinstance(event, ev.FanOutStarted | ev.ConditionEvaluated):
            self._check_order(job, event)
        elif isinstance(event, ev.JobSucceeded | ev.ItemSucceeded):
            # What nobody could tell, somebody has said.
            known = self._remote.get(job.type, True) and self.state_of(unit).status is JobStatus.RUNNING
            if known and not self._ledger.returned(self._key(unit, event.attempt), event.output):
                self._fail("made-up", f"{event} is not what any run of it has returned")
        elif isinstance(event, _FAILED):
            self._check_failure(job, unit, event)

    def _check_order(self, job: Job, event: ev.Event) -> None:
        for parent in job.depends_on:
            state = self.fold.jobs[parent]
            if not state.status.is_terminal:
                self._fail("order", f"{event} while '{parent}' is {state.status}")
            allowed = state.status is JobStatus.FAILED and self.pipeline.job(parent).allow_failure
            if job.condition is None and state.status is not JobStatus.SUCCEEDED and not allowed:
                self._fail("order", f"{event} although '{parent}' is {state.status}")

    def _check_failure(self, job: Job, unit: Unit, event: ev.JobEvent) -> None:
        attempt, error = event.attempt, event.error  # type: ignore[attr-defined]
        if not attempt or self.state_of(unit).status is JobStatus.UNKNOWN:
            return  # It could not start, or an item of it failed; or somebody has said it.
        if error.code == "JobLost" and job.type not in self._remote:
            if job.on_lost != "fail" or (unit, attempt, self.fold.epoch) in self.started:
                self._fail("lost", f"{event}, but its runner lives")
            return
        if error.code == "JobTimeout":
            took = self.world.time - self.started_at.get(unit, self.world.time)
            if job.timeout is None or took < job.timeout - EPSILON:
                self._fail("early-timeout", f"{event} after {took:.3f} s")
        elif job.type not in self._remote and not self._ledger.failed(self._key(unit, attempt), error.code):
            self._fail("made-up", f"{event} is not what any run of it has come to")

    def _key(self, unit: Unit, attempt: int) -> str:
        job, item = (unit, None) if isinstance(unit, str) else unit
        return idempotency_key(self.session, job, attempt, item)

    def _check_timeout(self, event: ev.Event) -> None:
        took = self.world.time - self.began_at
        if self.fold.epoch > 1 and not self.world.wall_clocks_are_right:
            return  # What was used up under earlier claims is told by the wall clock.
        if self.pipeline.timeout is None or took < self.pipeline.timeout - EPSILON:
            self._fail("early-timeout", f"{event} after {took:.3f} s")

    def state_of(self, unit: Unit) -> JobState:
        """Where a job or an item of one stands."""
        if isinstance(unit, str):
            return self.fold.jobs[unit]
        items = self.fold.items.get(unit[0]) or self.fold.jobs[unit[0]].items or ()
        return items[unit[1]]

    def runs(self, unit: Unit, attempt: int) -> bool:
        """Whether an attempt has started and not ended, by what is durable."""
        state = self.state_of(unit)
        return state.status is JobStatus.RUNNING and state.attempts[-1].number == attempt

    @property
    def unknown(self) -> list[Unit]:
        """Attempts of which nobody can tell what became, by their jobs and items."""
        units: list[Unit] = [
            job for job, state in self.fold.jobs.items() if state.status is JobStatus.UNKNOWN
        ]
        for job, items in self.fold.items.items():
            units += [(job, i) for i, state in enumerate(items) if state.status is JobStatus.UNKNOWN]
        return units

    # The end

    def check_end(self) -> None:
        """Checks that folding anew, and going on from any prefix, come to the same state."""
        flat = [event for commit in self.commits for event in commit]
        text = [encode_event(event) for event in flat]
        whole = self.fold.snapshot(self.position)
        for cut in self._cuts(len(flat)):
            machine = Machine(self.pipeline)
            for event in flat[:cut]:
                machine.handle(event)
            state = machine.state.snapshot(0)
            for event in flat[cut:]:
                machine.handle(event)
            if machine.state.snapshot(self.position) != whole:
                self._fail("replay", f"a machine made after fact {cut} of {len(flat)} came to another state")
            if state.epoch > whole.epoch or (state.status.is_terminal and state.status != whole.status):
                self._fail("epoch", f"after fact {cut} it was {state}, in the end {whole}")
        if text != [encode_event(event) for event in flat]:
            self._fail("replay", "folding has changed the facts")

    def _cuts(self, length: int) -> Iterator[int]:
        yield length
        yield self.world.random.randint(1, length)

    @property
    def rests(self) -> bool:
        """Whether it has ended, or is paused."""
        return self.fold.status.is_terminal or self.fold.status is SessionStatus.PAUSED


_REQUESTS = (ev.PauseRequested, ev.CancelRequested, ev.ResumeRequested)
_FAILED = (ev.AttemptFailed, ev.ItemAttemptFailed, ev.JobFailed, ev.ItemFailed)


def unit_of(event: ev.JobEvent) -> Unit:
    """The job that an event is about, or the item of one."""
    return (event.job, event.item) if isinstance(event, ev.ItemEvent) else event.job
