"""What a plan says of a run that has not begun, and that it begins nothing."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import bunsui


def pipeline(*jobs: dict[str, Any], **fields: Any) -> bunsui.Pipeline:
    definition = {"version": "1.0", "name": "flow", **fields}
    listed = [{"type": "custom", "command": ["true"], **job} for job in jobs]
    return bunsui.Pipeline.from_dict({**definition, "jobs": listed})


def planned(*jobs: dict[str, Any], **fields: Any) -> bunsui.Plan:
    with bunsui.Runner("memory://", config={"env": ["HOME"], "secrets": {"db": "env:HOME"}}) as runner:
        return runner.plan(pipeline(*jobs, **fields))


X = {"parameters": [{"name": "x", "type": "integer", "default": 3}]}


def test_order_and_stages() -> None:
    """Jobs come in an order in which they can run, by stages that can run at once."""
    jobs = ({"id": "c", "depends_on": ["a", "b"]}, {"id": "a"}, {"id": "b", "depends_on": ["a"]}, {"id": "d"})
    plan = planned(*jobs)
    assert (("a", "d"), ("b",), ("c",)) == plan.stages
    assert [1, 1, 2, 3] == [plan.job(job).stage for job in "adbc"]
    assert {"run": 4} == plan.counts
    order = [job.id for job in plan.jobs]
    assert order.index("a") < order.index("b") < order.index("c")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({}, 5), ({"max_concurrency": 2}, 2), ({"max_concurrency": 50}, 5)],
)
def test_concurrency_is_the_smallest_of_the_limits(fields: Any, expected: int) -> None:
    """The widest stage, the items of fan-outs counted, the pipeline's limit and the runner's."""
    jobs = ({"id": "a"}, {"id": "f", "for_each": [1, 2, 3, 4]}, {"id": "z", "depends_on": ["a", "f"]})
    assert expected == planned(*jobs, **fields).concurrency
    with bunsui.Runner("memory://", max_concurrency=1) as runner:
        assert 1 == runner.plan(pipeline(*jobs)).concurrency


def test_a_list_that_nobody_knows_yet_is_as_wide_as_it_may_be() -> None:
    """Its items are not counted, and its own limit holds."""
    jobs = (
        {"id": "a"},
        {"id": "f", "for_each": "${jobs.a.output}", "depends_on": ["a"], "max_concurrency": 7},
    )
    plan = planned(*jobs)
    assert (None, True, 7) == (plan.job("f").items, plan.job("f").fans_out, plan.concurrency)


def test_inputs_are_resolved_as_far_as_they_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parameters, variables and names are put in; outputs, items and secrets stay as they are written."""
    monkeypatch.setenv("HOME", "/home/me")
    inputs = {
        "n": "${x}",
        "text": "${x} in ${env.HOME} of ${pipeline.name}",
        "rows": "${jobs.a.output.rows}",
        "mixed": "${x}: ${jobs.a.output.rows}",
        "key": "${secrets.db}",
        "when": "${session.started_at}",
    }
    plan = planned({"id": "a"}, {"id": "b", "depends_on": ["a"], "parameters": inputs}, **X)
    assert {
        **inputs,
        "n": 3,
        "text": "3 in /home/me of flow",
        "mixed": "3: ${jobs.a.output.rows}",
    } == plan.job("b").parameters
    assert {"x": 3} == plan.parameters
    assert "/home/me" not in repr(planned({"id": "a", "parameters": {"key": "${secrets.db}"}}))


def test_conditions_that_can_be_told() -> None:
    """A false one skips the job and what follows; one that nobody can tell yet makes all of that doubtful."""
    plan = planned(
        {"id": "a"},
        {"id": "no", "condition": "${x} > 5", "depends_on": ["a"]},
        {"id": "after", "depends_on": ["no"]},
        {"id": "always", "depends_on": ["after"], "condition": "always()"},
        {"id": "yes", "condition": "${x} < 5"},
        {"id": "who", "condition": "${jobs.a.output.n} > 5", "depends_on": ["a"]},
        {"id": "behind", "depends_on": ["who", "yes"]},
        **X,
    )
    assert {
        "a": ("run", None),
        "no": ("skip", "its condition is false: ${x} > 5"),
        "after": ("skip", "'no', which it depends on, is skipped"),
        "always": ("maybe", "if always()"),
        "yes": ("run", None),
        "who": ("maybe", "if ${jobs.a.output.n} > 5"),
        "behind": ("maybe", "if 'who' runs"),
    } == {job.id: (job.prospect, job.reason) for job in plan.jobs}


def test_the_critical_path_without_a_past_is_the_longest_chain() -> None:
    """No durations: the longest chain of jobs that run, and nothing is said of seconds."""
    jobs = ({"id": "a"}, {"id": "b", "depends_on": ["a"]}, {"id": "c", "depends_on": ["b"]}, {"id": "d"})
    plan = planned(*jobs)
    assert (("a", "b", "c"), None, 0) == (plan.critical_path, plan.seconds, plan.past_sessions)


def test_the_critical_path_by_past_durations() -> None:
    """With past sessions it is the chain that took longest, and says how long."""
    jobs = (
        {"id": "slow", "command": ["sleep", "0.3"]},
        {"id": "a"},
        {"id": "b", "depends_on": ["a"]},
        {"id": "c", "depends_on": ["b"]},
    )
    with bunsui.Runner("memory://") as runner:
        for _ in range(2):
            runner.run(pipeline(*jobs))
        plan = runner.plan(pipeline(*jobs))
        assert (("slow",), 2) == (plan.critical_path, plan.past_sessions)
        assert plan.seconds == plan.job("slow").seconds
        assert plan.seconds is not None
        assert plan.seconds >= 0.3
        further = runner.plan(pipeline(*jobs, {"id": "new", "depends_on": ["slow"]}))
        assert (("slow", "new"), None) == (further.critical_path, further.seconds)


def test_what_is_bound_is_named() -> None:
    """A plan says what runs on this machine in place of AWS."""
    definition = {
        "version": "1.0",
        "name": "flow",
        "jobs": [{"id": "a", "type": "lambda", "function": "f"}],
    }
    with bunsui.Runner("memory://", bindings={"lambda": {"f": "nowhere:at_all"}}) as runner:
        assert "nowhere:at_all" == runner.plan(bunsui.Pipeline.from_dict(definition)).job("a").bound_to


def test_what_a_start_would_refuse_is_refused() -> None:
    """Parameters and pools that are wrong are told by the plan already; without a pipeline there is none."""
    with bunsui.Runner("memory://") as runner:
        with pytest.raises(bunsui.DefinitionError, match="has no parameter 'y'"):
            runner.plan(pipeline({"id": "a"}, **X), {"y": 1})
        with pytest.raises(bunsui.DefinitionError, match="has no pool 'gpu'"):
            runner.plan(pipeline({"id": "a", "pool": "gpu"}))
        with pytest.raises(bunsui.ConfigError, match="nothing to plan"):
            runner.plan()


def test_it_starts_and_imports_nothing(tmp_path: Path) -> None:
    """Neither the module of a callable nor that of a binding is imported, no process or thread is started,
    and no store is made.
    """
    (tmp_path / "evil.py").write_text("open('imported', 'w').close()\n")
    (tmp_path / "bindings.yaml").write_text("lambda: {f: evil:run}\n")
    (tmp_path / "flow.yaml").write_text(textwrap.dedent("""
            version: "1.0"
            name: flow
            jobs:
              - {id: a, type: custom, callable: evil:run}
              - {id: b, type: custom, callable: evil:run, isolation: process}
              - {id: c, type: lambda, function: f}
            """))
    program = """
import json, sys, threading, bunsui
def refuse(event, arguments):
    if event in ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.exec"):
        raise RuntimeError(event)
sys.addaudithook(refuse)
with bunsui.Runner("sqlite:///store.db") as runner:
    plan = runner.plan(runner.load("flow.yaml"))
    told = json.dumps([[job.id, job.prospect] for job in plan.jobs])
    print(told, threading.active_count(), "evil" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert '[["a", "run"], ["b", "run"], ["c", "run"]] 1 False' == done.stdout.strip()
    assert {"evil.py", "bindings.yaml", "flow.yaml"} == {path.name for path in tmp_path.iterdir()}


def test_what_the_cache_has_is_told() -> None:
    """A job whose equal has run is cached; one whose input is another one, or not known yet, is not."""
    jobs = (
        {"id": "a", "cache": {"ttl": "1h"}, "parameters": {"x": "${x}", "key": "${secrets.db}"}},
        {"id": "b", "cache": {}, "parameters": {"of": "${jobs.a.output}"}, "depends_on": ["a"]},
    )
    config = {"secrets": {"db": "env:HOME"}}
    with bunsui.Runner("memory://", config=config) as runner:
        assert {"run": 2} == runner.plan(pipeline(*jobs, **X)).counts
        first = runner.run(pipeline(*jobs, **X))
        plan = runner.plan(pipeline(*jobs, **X))
        assert ("cached", first.id) == (plan.job("a").prospect, plan.job("a").origin)
        assert "run" == plan.job("b").prospect
        assert "run" == runner.plan(pipeline(*jobs, **X), {"x": 4}).job("a").prospect
        assert first.id == runner.run(pipeline(*jobs, **X)).jobs["a"].cached_from


def test_what_does_not_run_holds_nobody_up() -> None:
    """What follows a cached job can run beside what the cached one could have run beside."""
    jobs = (
        {"id": "a", "cache": {}},
        {"id": "b"},
        {"id": "c", "depends_on": ["a"]},
        {"id": "d", "depends_on": ["c"]},
    )
    with bunsui.Runner("memory://") as runner:
        assert 2 == runner.plan(pipeline(*jobs[:2])).concurrency
        runner.run(pipeline(jobs[0]))
        plan = runner.plan(pipeline(*jobs))
        assert {"cached": 1, "run": 3} == plan.counts
        assert 2 == plan.concurrency
        assert 1 == runner.plan(pipeline(jobs[0], *jobs[2:])).concurrency
        assert 0 == runner.plan(pipeline(jobs[0])).concurrency
