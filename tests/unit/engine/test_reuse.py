"""Jobs that take their outputs over: nobody waits for them who need not, and what is gone runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import hypothesis.strategies as st
from hypothesis import given

from bunsui.engine import events as ev
from bunsui.engine.actions import Evaluate, Reuse, Start
from bunsui.engine.decide import Machine
from bunsui.model.pipeline import Job, checked

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def job(name: str, *parents: str, **fields: Any) -> Job:
    return Job(id=name, type="custom", depends_on=parents, **fields)


def ran(name: str) -> list[ev.Event]:
    """One attempt that succeeds."""
    return [ev.JobStarted(T0, name, 1, "key"), ev.JobSucceeded(T0, name, 1)]


def machine_of(reuse: tuple[str, ...], *jobs: Job) -> Machine:
    """A machine of a session that runs another one again, and has just started."""
    machine = Machine(checked(name="p", jobs=jobs))
    created = ev.SessionCreated(
        T0, session_id="s", pipeline="p", digest="d", parameters={}, rerun_of="before", reuse=reuse
    )
    for event in (created, ev.RunnerClaimed(T0, "r", 1), ev.SessionStarted(T0)):
        machine.handle(event)
    return machine


def test_others_start_while_an_output_is_taken_over() -> None:
    """A large output takes its time: what does not depend on it starts meanwhile."""
    machine = machine_of(("large",), job("large"), job("other"), job("behind", "large"))
    assert [Reuse("large")] == machine.decide(T0, 9)
    machine.begun(Reuse("large"))
    assert [Start("other", 1)] == machine.decide(T0, 9)
    machine.handle(ran("other")[0])
    assert [] == machine.decide(T0, 9)
    machine.handle(ev.JobReused(T0, "large", "before"))
    assert [Start("behind", 1)] == machine.decide(T0, 9)


def test_what_follows_a_job_whose_output_is_gone_runs() -> None:
    """Its new attempt may come to something else: an output made of the earlier one is not taken over."""
    always = {"condition": "always()"}
    machine = machine_of(
        ("a", "aside", "behind", "far"),
        job("a"),
        job("aside"),
        job("runs", "a", **always),
        job("behind", "a", **always),
        job("far", "runs", **always),
    )
    assert {Reuse("a"), Reuse("aside")} == {*machine.decide(T0, 9)}
    machine.handle(ev.ReuseFailed(T0, "a", "it is gone"))
    machine.handle(ev.JobReused(T0, "aside", "before"))
    for event in ran("a"):
        machine.handle(event)
    assert [Evaluate("runs"), Evaluate("behind")] == machine.decide(T0, 9)
    for name in ("runs", "behind"):
        machine.handle(ev.ConditionEvaluated(T0, name, result=True))
    assert {Start("runs", 1), Start("behind", 1)} == {*machine.decide(T0, 9)}
    for event in (*ran("runs"), *ran("behind")):
        machine.handle(event)
    machine.handle(ev.ConditionEvaluated(T0, "far", result=True))
    assert [Start("far", 1)] == machine.decide(T0, 9)


@given(st.data())
def test_nothing_is_taken_over_below_what_runs_for_want_of_an_output(data: st.DataObject) -> None:
    """For graphs at random: a job is taken over exactly where it was to be and nothing above it was gone."""
    count = data.draw(st.integers(1, 8))
    names = [f"j{i}" for i in range(count)]
    jobs = [
        job(name, *(data.draw(st.sets(st.sampled_from(names[:i]))) if i else ()))
        for i, name in enumerate(names)
    ]
    reuse = data.draw(st.sets(st.sampled_from(names)))
    gone = data.draw(st.sets(st.sampled_from(names)))
    machine = machine_of(tuple(sorted(reuse)), *jobs)
    reused: set[str] = set()
    while actions := machine.decide(T0, 99):
        ending: list[ev.Event] = []
        for action in actions:
            if isinstance(action, Reuse) and action.job in gone:
                ending.append(ev.ReuseFailed(T0, action.job, "gone"))
            elif isinstance(action, Reuse):
                reused.add(action.job)
                ending.append(ev.JobReused(T0, action.job, "before"))
            elif isinstance(action, Start):
                ending += ran(action.job)
            else:
                ending.append(action.event)  # type: ignore[union-attr]
        for event in ending:
            machine.handle(event)
    assert "succeeded" == machine.state.status
    above = {name: {name} for name in names}
    for one in jobs:
        above[one.id] |= set().union(*(above[parent] for parent in one.depends_on))
    lost = {name for name in reuse & gone if not (above[name] - {name}) & reuse & gone}
    assert {name for name in reuse if not above[name] & lost} == reused
