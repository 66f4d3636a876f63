"""Pools: the room in them limits what starts, over what there is in all."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bunsui.engine import events as ev
from bunsui.engine.actions import Start
from bunsui.engine.decide import Machine
from bunsui.model.pipeline import Job, RetryPolicy, checked
from bunsui.model.session import Failure

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def job(name: str, pool: str | None = None, **fields: Any) -> Job:
    return Job(id=name, type="custom", pool=pool, **fields)


def machine_of(*jobs: Job, **fields: Any) -> Machine:
    """A machine whose session has just started."""
    machine = Machine(checked(name="p", jobs=jobs, **fields))
    machine.handle(ev.SessionCreated(T0, session_id="s", pipeline="p", digest="d", parameters={}))
    machine.handle(ev.RunnerClaimed(T0, "r", 1))
    machine.handle(ev.SessionStarted(T0))
    return machine


def test_as_many_start_as_the_pool_has_room_for() -> None:
    """Room in all does not help where the pool is full."""
    machine = machine_of(job("a", "gpu"), job("b", "gpu"), job("c", "gpu"))
    assert [Start("a", 1), Start("b", 1)] == machine.decide(T0, 9, {"gpu": 2})


def test_as_many_start_as_there_is_room_in_all() -> None:
    """Room in the pool does not help where there is none in all."""
    assert [Start("a", 1)] == machine_of(job("a", "gpu"), job("b", "gpu")).decide(T0, 1, {"gpu": 9})


@pytest.mark.parametrize("room", [0, -2])
def test_a_full_pool_starts_nothing(room: int) -> None:
    """No room, or less than none, where a pool has been made smaller, starts nothing."""
    assert [] == machine_of(job("a", "gpu")).decide(T0, 9, {"gpu": room})


@pytest.mark.parametrize("pools", [None, {}, {"db": 3}])
def test_a_pool_that_is_not_named_has_no_room(pools: dict[str, int] | None) -> None:
    """Nothing starts in a pool that the driver does not have."""
    assert [] == machine_of(job("a", "gpu")).decide(T0, 9, pools)


def test_a_full_pool_does_not_hold_up_the_others() -> None:
    """Jobs behind one whose pool is full start, in other pools and in none."""
    machine = machine_of(job("a", "gpu"), job("b", "db"), job("c"))
    assert {Start("b", 1), Start("c", 1)} == set(machine.decide(T0, 9, {"gpu": 0, "db": 1}))


def test_a_job_without_pool_counts_in_none() -> None:
    """It takes no room from a pool."""
    machine = machine_of(job("a"), job("b"), job("c", "gpu"))
    assert {Start("a", 1), Start("b", 1), Start("c", 1)} == set(machine.decide(T0, 9, {"gpu": 1}))


def test_jobs_of_all_pools_share_the_room_that_there_is_in_all() -> None:
    """Never more start than the driver has room for, whatever the pools say."""
    machine = machine_of(job("a", "gpu"), job("b", "db"), job("c"))
    assert 2 == len(machine.decide(T0, 2, {"gpu": 9, "db": 9}))


def test_the_pipelines_max_concurrency_counts_jobs_in_pools() -> None:
    """A pool does not lift the session's own limit."""
    machine = machine_of(job("a", "gpu"), job("b", "gpu"), max_concurrency=1)
    assert [Start("a", 1)] == machine.decide(T0, 9, {"gpu": 9})


def test_each_item_counts_in_its_jobs_pool() -> None:
    """A fan-out in a pool takes a place of it for each item."""
    machine = machine_of(job("a", "gpu", for_each="${list}"))
    machine.handle(ev.FanOutStarted(T0, "a", 5))
    assert [Start("a", 1, 0), Start("a", 1, 1)] == machine.decide(T0, 9, {"gpu": 2})


def test_jobs_and_items_share_their_pool() -> None:
    """What starts together takes its room together."""
    machine = machine_of(*(job(name, "gpu", for_each="${list}") for name in "ab"), job("c", "gpu"))
    machine.handle(ev.FanOutStarted(T0, "a", 5))
    machine.handle(ev.FanOutStarted(T0, "b", 5))
    assert [Start("c", 1), Start("a", 1, 0), Start("a", 1, 1)] == machine.decide(T0, 9, {"gpu": 3})


def test_a_full_pool_does_not_hold_up_the_items_of_others() -> None:
    """Items behind those whose pool is full start."""
    machine = machine_of(job("a", "gpu", for_each="${list}"), job("b", for_each="${list}"))
    machine.handle(ev.FanOutStarted(T0, "a", 1))
    machine.handle(ev.FanOutStarted(T0, "b", 1))
    assert [Start("b", 1, 0)] == machine.decide(T0, 9, {"gpu": 0})


def test_a_fan_outs_own_limit_holds_within_its_pool() -> None:
    """The smaller of both limits counts."""
    machine = machine_of(job("a", "gpu", for_each="${list}", max_concurrency=1))
    machine.handle(ev.FanOutStarted(T0, "a", 5))
    assert [Start("a", 1, 0)] == machine.decide(T0, 9, {"gpu": 3})


def test_a_retry_counts_in_its_pool() -> None:
    """A later attempt needs a place as the first one did."""
    machine = machine_of(job("a", "gpu", retry=RetryPolicy(max_attempts=2)))
    machine.handle(ev.JobStarted(T0, "a", 1, "key"))
    machine.handle(ev.AttemptFailed(T0, "a", 1, Failure("E", "m"), 1.0))
    machine.retry_due("a")
    assert [] == machine.decide(T0, 9, {"gpu": 0})
    assert [Start("a", 2)] == machine.decide(T0, 9, {"gpu": 1})


def test_a_lost_attempt_counts_in_its_pool() -> None:
    """After a crash too."""
    machine = machine_of(job("a", "gpu"))
    machine.handle(ev.JobStarted(T0, "a", 1, "key"))
    machine.handle(ev.RunnerClaimed(T0, "r2", 2))
    machine.handle(ev.AttemptLost(T0, "a", 1))
    assert [] == machine.decide(T0, 9, {"gpu": 0})
    assert [Start("a", 1)] == machine.decide(T0, 9, {"gpu": 1})


def test_what_waits_for_a_pool_is_cancelled() -> None:
    """A job that never got a place does not keep a cancelled session open."""
    machine = machine_of(job("a", "gpu"))
    machine.handle(ev.CancelRequested(T0, "q", "enough"))
    machine.handle(ev.JobCancelled(T0, "a", "enough"))
    assert ev.SessionCancelled(T0) == machine.decide(T0, 9, {"gpu": 1})[0].event  # type: ignore[union-attr]


def test_what_waits_for_a_pool_does_not_hold_up_a_pause() -> None:
    """The session pauses with the job that waits, and it starts after the resumption."""
    machine = machine_of(job("a", "gpu"))
    machine.handle(ev.PauseRequested(T0, "q"))
    machine.handle(ev.SessionPaused(T0, "user"))
    machine.handle(ev.SessionResumed(T0))
    assert [Start("a", 1)] == machine.decide(T0, 9, {"gpu": 1})


def test_it_says_whether_there_is_something_that_waits_for_a_place() -> None:
    """A job or an item that may start, whatever its pool; not one that has started or waits for another."""
    machine = machine_of(job("a", "gpu"), job("b", depends_on=("a",)), job("each", for_each=[1]))
    assert machine.has_ready
    machine.handle(ev.JobStarted(T0, "a", 1, "key"))
    assert not machine.has_ready
    machine.handle(ev.FanOutStarted(T0, "each", 1))
    assert machine.has_ready
    machine.handle(ev.ItemStarted(T0, "each", 0, 1, "key"))
    assert not machine.has_ready
    machine.handle(ev.JobSucceeded(T0, "a", 1))
    assert machine.has_ready


def test_fan_outs_in_a_full_pool_are_not_looked_at() -> None:
    """However many wait for it: each step of a session would look at all of them again."""

    class Counting(dict[str, Any]):
        looked_at = 0

        def items(self) -> Any:
            for pair in super().items():
                Counting.looked_at += 1
                yield pair

    jobs = [job(f"a{i}", "gpu", for_each=[1, 2]) for i in range(100)]
    machine = machine_of(*jobs, job("b", "db", for_each=[1]))
    for each in (*jobs, job("b")):
        machine.handle(ev.FanOutStarted(T0, each.id, 2 if each.id != "b" else 1))
    fans = machine._ready._fans
    fans.update({pool: Counting(found) for pool, found in fans.items()})
    assert [Start("b", 1, 0)] == machine.decide(T0, 9, {"gpu": 0, "db": 1})
    assert 1 == Counting.looked_at
