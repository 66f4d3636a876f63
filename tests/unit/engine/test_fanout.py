"""Jobs that run once for each item of a list: what is decided, and at what cost."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import pytest
from attrs import evolve

from bunsui.engine import events as ev
from bunsui.engine.actions import Evaluate, Expand, Gather, Record, Recover, Start, Stop
from bunsui.engine.decide import Machine
from bunsui.engine.fanout import FanOut
from bunsui.engine.transitions import IllegalTransition
from bunsui.model.artifact import INLINE, Artifact
from bunsui.model.json import Json
from bunsui.model.pipeline import Job, RetryPolicy, checked
from bunsui.model.session import Failure
from bunsui.model.status import JobStatus

T0 = datetime(2026, 1, 1, tzinfo=UTC)
ERROR = Failure("E", "m")
FATAL = Failure("E", "m", retryable=False)
RETRY = RetryPolicy(max_attempts=3)


def fan(job: str, *depends_on: str, **fields: Any) -> Job:
    return Job(id=job, type="custom", depends_on=depends_on, for_each="${list}", **fields)


def plain(job: str, *depends_on: str, **fields: Any) -> Job:
    return Job(id=job, type="custom", depends_on=depends_on, **fields)


def machine_of(*jobs: Job, **fields: Any) -> Machine:
    """A machine whose session has just started."""
    machine = Machine(checked(name="p", jobs=jobs, **fields))
    machine.handle(ev.SessionCreated(T0, session_id="s", pipeline="p", digest="d", parameters={}))
    machine.handle(ev.RunnerClaimed(T0, "r", 1))
    machine.handle(ev.SessionStarted(T0))
    return machine


def after(machine: Machine, *events: ev.Event) -> Machine:
    for event in events:
        machine.handle(event)
    return machine


def fanned(count: int, *events: ev.Event, follow: tuple[Job, ...] = (), **fields: Any) -> Machine:
    """A machine whose job a has fanned out to so many items."""
    session = {name: fields.pop(name) for name in ("on_failure",) if name in fields}
    return after(
        machine_of(fan("a", **fields), *follow, **session), ev.FanOutStarted(T0, "a", count), *events
    )


def started(item: int, attempt: int = 1, job: str = "a") -> ev.ItemStarted:
    return ev.ItemStarted(T0, job, item, attempt, "key")


def done(item: int, attempt: int = 1, job: str = "a") -> ev.ItemSucceeded:
    return ev.ItemSucceeded(T0, job, item, attempt, Json.of(item))


def failed(item: int, attempt: int = 1, error: Failure = FATAL) -> ev.ItemFailed:
    return ev.ItemFailed(T0, "a", item, attempt, error)


def again(item: int, attempt: int = 1) -> ev.ItemAttemptFailed:
    return ev.ItemAttemptFailed(T0, "a", item, attempt, ERROR, 9.0)


def lost(item: int, attempt: int = 1) -> ev.ItemAttemptLost:
    return ev.ItemAttemptLost(T0, "a", item, attempt)


CRASH = ev.RunnerClaimed(T0, "r2", 2)
PAUSE = ev.PauseRequested(T0, "q")
CANCEL = ev.CancelRequested(T0, "q", "enough")
JOB_FAILED = Record(ev.JobFailed(T0, "a", 0, Failure("E", "item 0: m", retryable=False)))
SUCCEEDED = Record(ev.FanOutSucceeded(T0, "a"))

# The list


def test_a_job_that_may_run_is_asked_for_its_items() -> None:
    """What it runs for is found out when all that it waits for has ended, not before."""
    machine = after(machine_of(plain("x"), fan("a", "x")), ev.JobStarted(T0, "x", 1, "key"))
    assert [] == machine.decide(T0, 9)
    machine.handle(ev.JobSucceeded(T0, "x", 1))
    assert [Expand("a")] == machine.decide(T0, 9)


def test_the_items_are_asked_for_without_room() -> None:
    """To find them out takes no place."""
    assert [Expand("a")] == machine_of(fan("a")).decide(T0, 0)


def test_the_items_are_asked_for_once() -> None:
    """A machine made from a history in which they are known does not ask again."""
    assert Expand("a") not in fanned(1, CRASH).decide(T0, 9)


def test_an_answer_that_was_lost_is_asked_for_again() -> None:
    """A crash before it was durable asks again."""
    assert [Expand("a")] == after(machine_of(fan("a")), CRASH).decide(T0, 9)


def test_what_is_no_list_fails_the_job() -> None:
    """The job has failed without a start, and what follows it is skipped."""
    machine = machine_of(fan("a"), plain("b", "a"))
    after(machine, ev.JobFailed(T0, "a", 0, Failure("NotAList", "m", retryable=False)))
    assert [Record(ev.JobSkipped(T0, "b", "job 'a' is failed"))] == machine.decide(T0, 9)


def test_no_item_is_success_at_once() -> None:
    """A list without items makes a job that succeeded."""
    assert [SUCCEEDED] == fanned(0).decide(T0, 9)


def test_no_item_lets_what_follows_start() -> None:
    """What follows a job without items starts as after any success."""
    machine = fanned(0, ev.FanOutSucceeded(T0, "a"), follow=(plain("b", "a"),))
    assert [Start("b", 1)] == machine.decide(T0, 9)


# The condition


def test_the_condition_is_evaluated_before_the_list() -> None:
    """A job with both is first asked whether, then for what it runs."""
    machine = machine_of(fan("a", condition="${yes}"))
    assert [Evaluate("a")] == machine.decide(T0, 9)
    machine.handle(ev.ConditionEvaluated(T0, "a", result=True))
    assert [Expand("a")] == machine.decide(T0, 9)


def test_a_false_condition_skips_the_whole_job() -> None:
    """Nobody asks for the items of a job that may not run."""
    machine = after(machine_of(fan("a", condition="${no}")), ev.ConditionEvaluated(T0, "a", result=False))
    assert [Record(ev.JobSkipped(T0, "a", "its condition is false: ${no}"))] == machine.decide(T0, 9)


def test_the_condition_is_evaluated_once_for_all_items() -> None:
    """Items start without being asked, also after a crash."""
    evaluated = ev.ConditionEvaluated(T0, "a", result=True)
    machine = after(machine_of(fan("a", condition="${yes}")), evaluated, ev.FanOutStarted(T0, "a", 2), CRASH)
    assert [Start("a", 1, 0), Start("a", 1, 1)] == machine.decide(T0, 9)


# Starting


def test_each_item_starts_in_its_order() -> None:
    """The job runs once per item, the first ones first."""
    assert [Start("a", 1, 0), Start("a", 1, 1), Start("a", 1, 2)] == fanned(3).decide(T0, 9)


def test_each_item_starts_once() -> None:
    """What has started does not start again while it runs, nor after it has ended."""
    assert [] == fanned(2, started(0), started(1), done(0)).decide(T0, 9)


def test_as_many_items_start_as_there_is_room() -> None:
    """The driver's room limits items as it limits jobs."""
    assert [Start("a", 1, 0), Start("a", 1, 1)] == fanned(3).decide(T0, 2)


@pytest.mark.parametrize("free", [0, -3])
def test_without_room_no_item_starts(free: int) -> None:
    """No room, or less than none, starts nothing."""
    assert [] == fanned(3).decide(T0, free)


def test_max_concurrency_items_run_at_a_time() -> None:
    """A job's own limit counts its items that run."""
    machine = fanned(4, max_concurrency=2)
    assert [Start("a", 1, 0), Start("a", 1, 1)] == machine.decide(T0, 9)
    after(machine, started(0), started(1))
    assert [] == machine.decide(T0, 9)
    after(machine, done(1))
    assert [Start("a", 1, 2)] == machine.decide(T0, 9)


def test_max_concurrency_is_each_jobs_own() -> None:
    """One job's limit is not another's."""
    machine = machine_of(fan("a", max_concurrency=1), fan("b", max_concurrency=2))
    after(machine, ev.FanOutStarted(T0, "a", 5), ev.FanOutStarted(T0, "b", 5))
    assert [Start("a", 1, 0), Start("b", 1, 0), Start("b", 1, 1)] == machine.decide(T0, 9)


def test_the_pipelines_max_concurrency_counts_items() -> None:
    """Items count as jobs do, and the job that they belong to does not."""
    machine = machine_of(fan("a"), plain("b"), max_concurrency=2)
    after(machine, ev.JobStarted(T0, "b", 1, "key"), ev.FanOutStarted(T0, "a", 5))
    assert [Start("a", 1, 0)] == machine.decide(T0, 9)
    after(machine, started(0))
    assert [] == machine.decide(T0, 9)


def test_items_leave_the_room_that_jobs_take() -> None:
    """Jobs and items that start together share what room there is."""
    machine = after(machine_of(plain("b"), fan("a")), ev.FanOutStarted(T0, "a", 5))
    assert [Start("b", 1), Start("a", 1, 0)] == machine.decide(T0, 2)


# The end


def test_the_job_succeeds_when_all_items_have() -> None:
    """The last item's success is the job's, whatever their order."""
    machine = fanned(2, started(0), started(1), done(1))
    assert [] == machine.decide(T0, 9)
    after(machine, done(0))
    assert [SUCCEEDED] == machine.decide(T0, 9)


def test_what_follows_waits_for_all_items() -> None:
    """A job behind a fan-out does not start while an item runs."""
    machine = fanned(2, started(0), started(1), done(0), follow=(plain("b", "a"),))
    assert [] == machine.decide(T0, 9)


def test_an_items_failure_lets_no_new_item_start() -> None:
    """After it, items that never ran never do."""
    assert [] == fanned(4, started(0), started(1), failed(0)).decide(T0, 9)


def test_an_items_failure_fails_the_job_after_the_running_items_end() -> None:
    """The job fails when the last of its running items has ended, with the failed item's error."""
    machine = fanned(4, started(0), started(1), failed(0), done(1))
    assert [JOB_FAILED] == machine.decide(T0, 9)


def test_an_item_that_can_not_start_fails_the_job() -> None:
    """An input that can't be resolved fails the item, and so the job."""
    assert [JOB_FAILED] == fanned(2, failed(0, 0)).decide(T0, 9)


def test_the_first_failure_is_the_jobs() -> None:
    """A second item that fails does not change the error."""
    machine = fanned(3, started(0), started(1), failed(0), failed(1, error=Failure("F", "n")))
    assert [JOB_FAILED] == machine.decide(T0, 9)


def test_a_start_decided_together_with_one_that_fails_runs_and_ends() -> None:
    """Where the first of two starts fails, the second, already on its way, runs; then the job fails."""
    machine = fanned(5)
    assert [Start("a", 1, 0), Start("a", 1, 1)] == machine.decide(T0, 2)
    after(machine, failed(0, 0), started(1))
    assert [] == machine.decide(T0, 2)
    after(machine, done(1))
    assert [JOB_FAILED] == machine.decide(T0, 2)


def test_a_waiting_retry_is_dropped_when_an_item_fails() -> None:
    """The job does not wait for the next attempt of an item that can't save it."""
    assert [JOB_FAILED] == fanned(2, started(0), started(1), again(1), failed(0)).decide(T0, 9)


def test_a_retry_that_was_dropped_is_no_longer_waited_for() -> None:
    """Once the job has ended, no timer is kept for its items, and one that fires does no harm."""
    machine = fanned(2, started(0), started(1), again(1), failed(0), JOB_FAILED.event)
    machine.retry_due(("a", 1))
    assert ({}, [Record(ev.SessionFailed(T0))]) == (machine.waiting, machine.decide(T0, 9))


def test_a_retry_that_is_due_after_a_failure_does_not_start() -> None:
    """While other items still run, a wait that is over starts nothing."""
    machine = fanned(3, started(0), started(1), started(2), again(1), failed(0))
    machine.retry_due(("a", 1))
    assert [] == machine.decide(T0, 9)


def test_an_item_lost_after_a_failure_does_not_run_again() -> None:
    """What a crash took from a job that fails anyway is not run again."""
    assert [JOB_FAILED] == fanned(2, started(0), started(1), failed(0), CRASH, lost(1)).decide(T0, 9)


def test_an_allowed_failure_of_a_fan_out_lets_what_follows_start() -> None:
    """allow_failure is the whole job's."""
    machine = fanned(
        1, started(0), failed(0), JOB_FAILED.event, follow=(plain("b", "a"),), allow_failure=True
    )
    assert [Start("b", 1)] == machine.decide(T0, 9)


# Retries


def test_an_item_retries_by_itself() -> None:
    """An item's second attempt starts when its wait is over, whatever the others do."""
    machine = fanned(2, started(0), started(1), again(0), retry=RETRY)
    assert [] == machine.decide(T0, 9)
    machine.retry_due(("a", 0))
    assert [Start("a", 2, 0)] == machine.decide(T0, 9)


def test_a_waiting_item_takes_no_place() -> None:
    """While one item waits, the next one may run in its place."""
    machine = fanned(2, started(0), again(0), max_concurrency=1, retry=RETRY)
    assert [Start("a", 1, 1)] == machine.decide(T0, 9)


def test_the_job_waits_for_an_item_that_waits() -> None:
    """All other items have succeeded: still the job goes on."""
    assert [] == fanned(2, started(0), started(1), again(0), done(1), retry=RETRY).decide(T0, 9)


def test_attempts_are_counted_for_each_item() -> None:
    """What one item has used up is not taken from another."""
    machine = fanned(2, started(0), again(0), started(0, 2), again(0, 2), started(1), retry=RETRY)
    assert RETRY is machine.retry_policy("a", 1, ERROR)


def test_no_attempt_follows_once_another_item_has_failed() -> None:
    """An item that fails while the job comes to its end has failed."""
    machine = fanned(2, started(0), started(1), failed(0), retry=RETRY)
    assert machine.retry_policy("a", 1, ERROR) is None


def test_a_second_attempt_that_can_not_start_leaves_no_wait_behind() -> None:
    """A machine made from that history waits for nothing, and a timer that fires does no harm."""
    machine = fanned(1, started(0), again(0), failed(0, 0), retry=RETRY)
    assert {} == machine.waiting
    after(machine, JOB_FAILED.event).retry_due(("a", 0))
    assert [Record(ev.SessionFailed(T0))] == machine.decide(T0, 9)


def test_a_wait_survives_a_pause_and_a_new_runner() -> None:
    """A machine made from a paused history knows the item's wait, with the fact that began it."""
    machine = fanned(
        1,
        started(0),
        again(0),
        PAUSE,
        ev.SessionPaused(T0, "user"),
        ev.RunnerReleased(T0, 1),
        CRASH,
        ev.SessionResumed(T0),
        retry=RETRY,
    )
    assert {("a", 0): again(0)} == machine.waiting


# Crashes


def test_every_running_item_is_asked_for_after_a_crash() -> None:
    """A new runner asks what became of each attempt, of items as of jobs."""
    machine = fanned(3, started(0), started(1), done(0), started(2), CRASH)
    assert [Recover("a", 1, 1), Recover("a", 1, 2)] == machine.decide(T0, 9)


def test_a_lost_item_runs_again_under_its_number() -> None:
    """The same attempt of the same item starts again, and the items that never ran after it."""
    machine = fanned(3, started(0), again(0), started(0, 2), started(1), CRASH, lost(0, 2), lost(1))
    assert [Start("a", 2, 0), Start("a", 1, 1), Start("a", 1, 2)] == machine.decide(T0, 9)


def test_items_that_have_ended_do_not_run_again() -> None:
    """After a crash only what had not ended runs."""
    assert [Start("a", 1, 2)] == fanned(3, started(0), done(0), started(1), done(1), CRASH).decide(T0, 9)


# Pause, cancel, timeout, stop


def test_a_pause_lets_the_running_items_end() -> None:
    """After a request to pause no item starts, and the session pauses when those that run have ended."""
    machine = fanned(3, started(0), PAUSE)
    assert [] == machine.decide(T0, 9)
    after(machine, done(0))
    assert [Record(ev.SessionPaused(T0, "user"))] == machine.decide(T0, 9)


def test_a_fan_out_goes_on_after_a_pause() -> None:
    """The items that were left start with the resumption."""
    machine = fanned(3, started(0), PAUSE, done(0), ev.SessionPaused(T0, "user"))
    assert [] == machine.decide(T0, 9)
    after(machine, ev.SessionResumed(T0))
    assert [Start("a", 1, 1), Start("a", 1, 2)] == machine.decide(T0, 9)


def test_a_pause_after_the_last_item_settles_the_job_first() -> None:
    """What the items amounted to is recorded before the session pauses."""
    machine = fanned(1, started(0), PAUSE, done(0), follow=(plain("b", "a"),))
    assert [SUCCEEDED] == machine.decide(T0, 9)
    after(machine, SUCCEEDED.event)
    assert [Record(ev.SessionPaused(T0, "user"))] == machine.decide(T0, 9)


def test_a_pause_before_the_list_was_asked_for() -> None:
    """Nothing is asked for in a session that is to pause."""
    assert [Record(ev.SessionPaused(T0, "user"))] == after(machine_of(fan("a")), PAUSE).decide(T0, 9)


@pytest.mark.parametrize(
    ("stop", "reason"),
    [(CANCEL, "enough"), (ev.TimeoutReached(T0), "the session took longer than its timeout")],
    ids=["cancel", "timeout"],
)
def test_a_stop_in_the_middle(stop: ev.Event, reason: str) -> None:
    """Each running item is told to stop, none starts, and the job is cancelled once they have ended."""
    machine = fanned(4, started(0), done(0), started(1), started(2), stop)
    assert [Stop("a", 1, 1), Stop("a", 1, 2)] == machine.decide(T0, 9)
    assert [] == machine.decide(T0, 9)
    after(machine, ev.ItemCancelled(T0, "a", 1, reason), done(2))
    assert [Record(ev.JobCancelled(T0, "a", reason))] == machine.decide(T0, 9)


def test_a_stop_gives_up_an_item_that_waits() -> None:
    """A wait does not hold a cancellation up."""
    machine = fanned(2, started(0), again(0), CANCEL, retry=RETRY)
    assert [Record(ev.JobCancelled(T0, "a", "enough"))] == machine.decide(T0, 9)


def test_a_stop_that_comes_too_late_for_every_item() -> None:
    """Where all items succeed although they were told to stop, so does the job."""
    machine = fanned(1, started(0), CANCEL, done(0))
    assert [SUCCEEDED] == machine.decide(T0, 9)


def test_a_cancellation_while_paused_in_the_middle() -> None:
    """A fan-out that was paused half way is cancelled without a resumption."""
    machine = fanned(2, started(0), PAUSE, done(0), ev.SessionPaused(T0, "user"), CANCEL)
    assert [Record(ev.JobCancelled(T0, "a", "enough"))] == machine.decide(T0, 9)


def test_a_crash_in_a_cancellation_gives_up_what_was_lost() -> None:
    """Items that were lost are not run again in a session that was cancelled."""
    machine = fanned(2, started(0), CANCEL, CRASH)
    assert [Recover("a", 1, 0)] == machine.decide(T0, 9)
    after(machine, lost(0))
    assert [Record(ev.JobCancelled(T0, "a", "enough"))] == machine.decide(T0, 9)


def test_a_cancellation_while_the_list_is_found_out() -> None:
    """A list that comes after the request to cancel starts no item."""
    machine = after(machine_of(fan("a")), CANCEL, ev.FanOutStarted(T0, "a", 3))
    assert [Record(ev.JobCancelled(T0, "a", "enough"))] == machine.decide(T0, 9)


def elsewhere(*events: ev.Event) -> Machine:
    """A session of on_failure: stop, whose job x has failed while job a had a running item."""
    return fanned(
        3,
        ev.JobStarted(T0, "x", 1, "key"),
        started(0),
        ev.JobFailed(T0, "x", 1, FATAL),
        *events,
        follow=(plain("x"),),
        on_failure="stop",
    )


def test_a_failure_elsewhere_lets_the_running_items_end() -> None:
    """With on_failure: stop no new item starts, nothing is told to stop, and then the job is cancelled."""
    machine = elsewhere()
    assert [] == machine.decide(T0, 9)
    after(machine, done(0))
    assert [Record(ev.JobCancelled(T0, "a", "job 'x' failed"))] == machine.decide(T0, 9)


def test_a_failure_elsewhere_does_not_harm_a_fan_out_whose_items_all_run() -> None:
    """Running work ends: where nothing was left to start, the job succeeds."""
    machine = fanned(
        1,
        ev.JobStarted(T0, "x", 1, "key"),
        started(0),
        ev.JobFailed(T0, "x", 1, FATAL),
        done(0),
        follow=(plain("x"),),
        on_failure="stop",
    )
    assert [SUCCEEDED] == machine.decide(T0, 9)


def test_an_item_that_fails_after_a_failure_elsewhere_fails_its_job() -> None:
    """A failure of its own says more than that the session stops."""
    assert [JOB_FAILED] == elsewhere(failed(0)).decide(T0, 9)


def test_a_fan_out_that_fails_stops_the_session() -> None:
    """With on_failure: stop the failure of a fan-out counts as any job's, once the job has failed."""
    machine = fanned(2, started(0), failed(0), follow=(plain("b"),), on_failure="stop")
    assert [JOB_FAILED] == machine.decide(T0, 9)
    after(machine, JOB_FAILED.event)
    assert [Record(ev.JobCancelled(T0, "b", "job 'a' failed"))] == machine.decide(T0, 9)


# Cost


def run_through(count: int, at_once: int = 8) -> int:
    """Runs a fan-out to its end; gives back how often the machine was asked."""
    machine = fanned(count)
    waiting: list[int] = []
    asked = 0
    while True:
        asked += 1
        actions = machine.decide(T0, at_once - len(waiting))
        for action in actions:
            if isinstance(action, Record | Gather):
                assert action in (SUCCEEDED, Gather("a"))
                return asked
            assert isinstance(action, Start)
            assert action.item is not None
            machine.handle(started(action.item, action.attempt))
            waiting.append(action.item)
        machine.handle(done(waiting.pop(0)))


def lines(call: Callable[[], object]) -> int:
    """How many lines of bunsui a call runs: a measure of cost that is the same on every machine."""
    count = 0

    def tracer(frame: FrameType, kind: str, argument: object) -> Any:
        nonlocal count
        # Not of what the garbage collector, which may come at any time, calls.
        count += kind == "line" and str(frame.f_globals.get("__name__")).startswith("bunsui.")
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def test_ten_thousand_items_run() -> None:
    """The most items that are allowed run to their end, the machine asked once for each and once more."""
    assert 10_001 == run_through(10_000)


def test_the_cost_of_an_item_does_not_grow_with_their_number() -> None:
    """Ten times as many items cost ten times as much."""
    few, many = lines(lambda: run_through(300)), lines(lambda: run_through(3_000))
    assert many < 11 * few


class _Counting(dict[int, int]):
    """A dict that counts how many of its entries are looked at."""

    looked_at = 0

    def items(self) -> Iterator[tuple[int, int]]:  # type: ignore[override]
        for item in super().items():
            self.looked_at += 1
            yield item


def test_the_cost_of_an_item_that_starts_again_does_not_grow_with_their_number() -> None:
    """Of all items that are to start again only those are looked at that do."""
    fan_out = FanOut(1_000, 1)
    for item in range(1_000):
        fan_out.handle(started(item))
        fan_out.handle(lost(item))
    fan_out._again = counting = _Counting(fan_out._again)
    for _ in range(1_000):
        ((item, attempt),) = fan_out.starts(8)
        fan_out.handle(started(item, attempt))
        fan_out.handle(done(item))
    assert 1_000 == counting.looked_at


def test_a_step_of_one_session_does_not_look_at_all_its_fan_outs() -> None:
    """A start in one of many fan-outs costs as much as in one of few."""

    def cost(count: int) -> int:
        machine = machine_of(*(fan(f"a{i}") for i in range(count)))
        for i in range(count):
            machine.handle(ev.FanOutStarted(T0, f"a{i}", 5))
        return lines(lambda: (machine.decide(T0, 1), machine.handle(started(0, job="a0"))))

    assert cost(10) == cost(1_000)


# Large lists


def ended_large(count: int = 3) -> Machine:
    """A fan-out all of whose items have succeeded, and whose list is larger than the history takes."""
    machine = fanned(count)
    for item in range(count):
        machine.handle(started(item, 1))
        machine.handle(evolve(done(item), output=LARGE))
    return machine


LARGE = Artifact("a" * 64, INLINE)
GATHERED = ev.FanOutSucceeded(T0, "a", Artifact("b" * 64, 3 * INLINE))


def test_a_large_list_is_asked_for() -> None:
    """Nothing is read for it, and it is asked for until the driver says that it has begun."""
    machine = ended_large()
    assert [Gather("a")] == machine.decide(T0, 9) == machine.decide(T0, 9)
    machine.begun(Gather("a"))
    assert [] == machine.decide(T0, 9)
    machine.handle(GATHERED)
    state = machine.state.jobs["a"]
    assert (JobStatus.SUCCEEDED, GATHERED.output) == (state.status, state.encoded_output)


def test_the_limit_of_a_list() -> None:
    """Its brackets and commas count."""
    for size, larger in ((INLINE - 4, False), (INLINE - 3, True)):
        machine = fanned(2)
        for item in range(2):
            machine.handle(started(item, 1))
        machine.handle(evolve(done(0), output=Json("1")))
        machine.handle(evolve(done(1), output=Json("1" * size)))
        assert [Gather("a") if larger else SUCCEEDED] == machine.decide(T0, 9)


def test_a_pause_waits_for_a_large_list() -> None:
    """As for running attempts: what it comes to is recorded before the session rests."""
    machine = ended_large()
    machine.begun(Gather("a"))
    machine.handle(ev.PauseRequested(T0, "r"))
    assert [] == machine.decide(T0, 9)


def test_a_next_runner_asks_for_it_again() -> None:
    """What the one before it had begun is gone with it."""
    machine = ended_large()
    machine.begun(Gather("a"))
    machine.handle(ev.RunnerClaimed(T0, "other", machine.state.epoch + 1))
    assert [Gather("a")] == machine.decide(T0, 9)


def test_a_list_of_artifacts_must_be_there() -> None:
    """A history that lacks it contradicts itself; nothing is read to find that out."""
    with pytest.raises(IllegalTransition, match="without the list"):
        ended_large().handle(ev.FanOutSucceeded(T0, "a"))
