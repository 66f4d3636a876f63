"""Running sessions again: what is reused, what runs, and that the plan says so beforehand."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

import bunsui
from bunsui.engine import events as ev
from bunsui_tests.conditions import until

JOBS: list[dict[str, Any]] = [
    {"id": "extract", "parameters": {"source": "${source}"}},
    {"id": "clean", "parameters": {"of": "${jobs.extract.output.source}"}, "depends_on": ["extract"]},
    {"id": "load", "parameters": {"table": "${table}"}, "depends_on": ["clean"]},
    {"id": "aside", "for_each": [1, 2], "parameters": {"item": "${item}"}},
]
PARAMETERS = [
    {"name": "source", "type": "string", "default": "s"},
    {"name": "table", "type": "string", "default": "t"},
]


class Steps(bunsui.JobType):
    """``type: step``: returns its input, or fails where it is told to; knows what ran."""

    name = "step"
    schema: Any = {"type": "object", "properties": {"mode": {"type": "string"}}}

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.failing: set[str] = set()
        #: Jobs that wait until they are told to end.
        self.held: dict[str, threading.Event] = {}

    def run(self, call: bunsui.JobCall) -> Any:
        self.ran.append(call.job_id)
        if call.job_id in self.held:
            assert self.held[call.job_id].wait(30)
        if call.job_id in self.failing:
            raise bunsui.JobError("no", code="No", retryable=False)
        return dict(call.parameters)

    @bunsui.hookimpl
    def bunsui_job_types(self) -> list[bunsui.JobType]:
        return [self]


@pytest.fixture
def steps() -> Steps:
    return Steps()


@pytest.fixture
def runner(steps: Steps) -> Any:
    with bunsui.Runner("memory://", plugins=[steps], autoload_plugins=False) as made:
        yield made


@pytest.fixture
def pipeline(steps: Steps) -> Callable[..., bunsui.Pipeline]:
    plugins = bunsui.Plugins([steps], autoload=False)

    def make(jobs: list[dict[str, Any]] | None = None, **fields: Any) -> bunsui.Pipeline:
        definition = {
            "version": "1.0",
            "name": "flow",
            "parameters": PARAMETERS,
            **fields,
            "jobs": [{"type": "step", **job} for job in jobs or JOBS],
        }
        return bunsui.Pipeline.from_dict(definition, plugins)

    return make


def failed(runner: bunsui.Runner, steps: Steps, pipeline: bunsui.Pipeline, *jobs: str) -> bunsui.Session:
    steps.failing = {*jobs}
    session = runner.run(pipeline)
    assert ("failed" if jobs else "succeeded") == session.status
    steps.failing = set()
    steps.ran.clear()
    return session


def test_what_had_succeeded_does_not_run_again(runner: Any, steps: Steps, pipeline: Any) -> None:
    """By default a failed job and all that follows it run; the others have the outputs that they had."""
    before = failed(runner, steps, pipeline(), "clean")
    after = runner.rerun(before.id)
    assert ["clean", "load"] == steps.ran
    assert "succeeded" == after.status
    assert {"source": "s"} == after.outputs["extract"]
    assert [{"item": 1}, {"item": 2}] == after.outputs["aside"]
    assert {"of": "s"} == after.outputs["clean"]
    assert (before.id, before.id, None) == (
        after.state.rerun_of,
        after.jobs["extract"].reused_from,
        after.jobs["load"].reused_from,
    )
    assert (0, 1) == (after.jobs["extract"].attempt_count, after.jobs["load"].attempt_count)


def test_parameters_of_a_rerun_that_are_no_mapping(runner: Any, steps: Steps, pipeline: Any) -> None:
    """They are refused as those of a start are."""
    session = failed(runner, steps, pipeline())
    with pytest.raises(bunsui.DefinitionError, match="parameters are of type int, not a mapping"):
        runner.rerun(session.id, parameters=3)


def test_the_session_before_stays_as_it_is(runner: Any, steps: Steps, pipeline: Any) -> None:
    """A rerun is a session of its own, with the parameters and tags of the one before."""
    steps.failing = {"load"}
    before = runner.run(pipeline(), {"table": "x"}, tags={"team": "data"})
    history = list(before.events())
    steps.failing = set()
    after = runner.rerun(before.id)
    assert after.id != before.id
    assert history == list(runner.session(before.id).events())
    assert {"source": "s", "table": "x"} == after.parameters
    assert {"team": "data"} == after.tags


@pytest.mark.parametrize(
    ("jobs", "ran"),
    [
        ("all", ["aside", "aside", "clean", "extract", "load"]),
        (["clean"], ["clean"]),
        (["clean+"], ["clean", "load"]),
        (["extract+", "load"], ["clean", "extract", "load"]),
        (["load", "aside"], ["aside", "aside", "load"]),
        ([], []),
        ("failed", []),
    ],
)
def test_the_chosen_jobs_run(runner: Any, steps: Steps, pipeline: Any, jobs: Any, ran: list[str]) -> None:
    """``a`` is one job, ``a+`` all that follows it too; all else that had succeeded is reused."""
    before = failed(runner, steps, pipeline())
    after = runner.rerun(before.id, jobs)
    assert ran == sorted(steps.ran)
    assert "succeeded" == after.status
    assert before.outputs == after.outputs


AFTERMATH: list[dict[str, Any]] = [
    {"id": "a", "allow_failure": True},
    {"id": "b", "depends_on": ["a"], "parameters": {"a": "${jobs.a.status}"}},
    {"id": "c", "depends_on": ["b"], "parameters": {"b": "${jobs.b.output.a}"}},
    {"id": "d", "depends_on": ["a"], "condition": "failed(a)"},
    {"id": "e", "depends_on": ["d"], "condition": "always()", "parameters": {"d": "${jobs.d.status}"}},
    {"id": "aside"},
]


@pytest.mark.parametrize(
    ("jobs", "ran"),
    [(["aside"], "a aside b c e"), ([], "a b c e"), (["a"], "a b c e"), (["b"], "a b c e")],
)
def test_what_follows_a_job_that_had_failed_runs(
    runner: Any, steps: Steps, pipeline: Any, jobs: list[str], ran: str
) -> None:
    """Whatever is chosen, a job that had failed runs, and may succeed: nothing made of its failure stays."""
    steps.failing = {"a"}
    before = runner.run(pipeline(AFTERMATH))
    assert ("succeeded", "failed") == (before.status, before.outputs["c"]["b"])
    steps.failing = set()
    steps.ran.clear()
    plan = runner.plan(rerun=before.id, jobs=jobs)
    after = runner.rerun(before.id, jobs)
    assert ran.split() == sorted(steps.ran)
    assert ({"b": "succeeded"}, {"d": "skipped"}) == (after.outputs["c"], after.outputs["e"])
    assert ("it follows 'a', which runs" if "b" not in jobs else "it was asked for") == plan.job("b").reason
    assert {*ran.split()} == {job.id for job in plan.jobs if job.prospect in ("run", "maybe")} - {"d"}


def test_what_follows_a_job_that_is_skipped_again_is_reused(runner: Any, steps: Steps, pipeline: Any) -> None:
    """A branch that is not taken either time runs nobody; one whose condition is new each time does."""
    jobs = [
        {"id": "a"},
        {"id": "never", "depends_on": ["a"], "condition": "${table} == 'x'"},
        {"id": "session", "depends_on": ["a"], "condition": "${session.id} == 'x'"},
        {"id": "b", "depends_on": ["a", "never"], "condition": "always()"},
        {"id": "c", "depends_on": ["a", "session"], "condition": "always()"},
        {"id": "load", "depends_on": ["a"]},
    ]
    before = failed(runner, steps, pipeline(jobs), "load")
    after = runner.rerun(before.id)
    assert ["c", "load"] == sorted(steps.ran)
    assert (before.id, None) == (after.jobs["b"].reused_from, after.jobs["c"].reused_from)
    assert (before.id, "skipped") == (after.jobs["a"].reused_from, after.jobs["never"].status)
    steps.ran.clear()
    runner.rerun(before.id, ["a"])  # What it comes to now decides whether the others are skipped.
    assert ["a", "b", "c", "load"] == sorted(steps.ran)


def test_a_changed_binding_runs_what_is_bound(tmp_path: Path) -> None:
    """What a stub on this machine returned is no output of the real thing, nor of another stub."""
    jobs = [
        {"id": "stubbed", "type": "lambda", "function": "f"},
        {"id": "other", "type": "lambda", "function": "g"},
        {"id": "named", "type": "lambda", "function": "${name}"},
        {"id": "unknown", "type": "lambda", "function": "${jobs.other.output}", "depends_on": ["other"]},
    ]
    pipeline = bunsui.Pipeline.from_dict(
        {
            "version": "1.0",
            "name": "flow",
            "parameters": [{"name": "name", "type": "string", "default": "f"}],
            "jobs": jobs,
        }
    )
    write = "import json, os; open(os.environ['BUNSUI_OUTPUT'], 'w').write(json.dumps('g'))"
    other = {"command": [sys.executable, "-c", write]}
    store = f"sqlite:///{tmp_path}/store.db"

    def runner(stub: Any, base: Any = other) -> bunsui.Runner:
        return bunsui.Runner(store, bindings={"lambda": {"f": stub, "g": base}}, autoload_plugins=False)

    with runner({"command": ["true"]}) as made:
        before = made.run(pipeline)
        assert "succeeded" == before.status
        assert {"reuse": 4} == made.plan(rerun=before.id, jobs=[]).counts
    with runner({"command": ["true"], "shell": False}) as made:
        assert {"reuse": 4} == made.plan(rerun=before.id, jobs=[]).counts
    with runner({"command": ["sh", "-c", "true"]}) as made:
        plan = made.plan(rerun=before.id, jobs=[])
        assert ["stubbed", "named", "unknown"] == [job.id for job in plan.jobs if job.prospect == "run"]
        assert "its binding changed" == plan.job("stubbed").reason
        after = made.rerun(before.id, [])
        assert {"other"} == {job for job, state in after.jobs.items() if state.reused_from}


def test_a_binding_in_another_folder_is_the_same(tmp_path: Path) -> None:
    """A checkout somewhere else does the same work, as a definition there does."""
    definition = 'version: "1.0"\nname: flow\njobs: [{id: a, type: lambda, function: f}]\n'
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "p.yaml").write_text(definition)
        (tmp_path / folder / "bindings.yaml").write_text('lambda: {f: {command: ["true"]}}\n')
    with bunsui.Runner("memory://", autoload_plugins=False) as runner:
        before = runner.run(runner.load(tmp_path / "one/p.yaml"))
        moved = runner.load(tmp_path / "two/p.yaml")
        assert {"reuse": 1} == runner.plan(moved, rerun=before.id, jobs=[]).counts


def test_another_session_of_the_same_id_is_not_taken_over(tmp_path: Path) -> None:
    """A key that was used again after the housekeeping names another session than was run again."""
    store = f"sqlite:///{tmp_path}/store.db"
    steps = Steps()
    plugins = bunsui.Plugins([steps], autoload=False)
    definition = {"version": "1.0", "name": "flow", "parameters": PARAMETERS}
    jobs = [{"type": "step", "id": id_, "parameters": {"of": "${table}"}} for id_ in ("first", "second")]
    jobs[1] |= {"depends_on": ["first"]}
    pipeline = bunsui.Pipeline.from_dict({**definition, "jobs": jobs}, plugins)
    with bunsui.Runner(store, plugins=[steps], autoload_plugins=False) as runner:
        before = runner.run(pipeline, idempotency_key="key")
        steps.held["first"] = threading.Event()
        after = runner.start_rerun(before.id, ["first"])
        after.pause()
        steps.held.pop("first").set()
        after.wait()
        assert "paused" == after.status
        with contextlib.closing(sqlite3.connect(tmp_path / "store.db")) as connection, connection:
            connection.execute("DELETE FROM commits WHERE history = ?", (before.id,))
        again = runner.run(pipeline, {"table": "other"}, idempotency_key="key")
        assert (before.id, "succeeded") == (again.id, again.status)
        steps.ran.clear()
        after.resume()
        after.wait()
        assert ["second"] == steps.ran
        assert {"of": "t"} == after.outputs["second"]


def test_a_changed_parameter_runs_what_it_reaches(runner: Any, steps: Steps, pipeline: Any) -> None:
    """The jobs whose input names the parameter run, and all downstream of them."""
    before = failed(runner, steps, pipeline())
    after = runner.rerun(before.id, parameters={"table": "other"})
    assert ["load"] == steps.ran
    assert {"table": "other"} == after.outputs["load"]
    steps.ran.clear()
    runner.rerun(before.id, parameters={"source": "other"})
    assert ["clean", "extract", "load"] == sorted(steps.ran)


def test_a_changed_definition_runs_what_is_changed(runner: Any, steps: Steps, pipeline: Any) -> None:
    """A changed option, a new job, and a parameter that is declared no more."""
    before = failed(runner, steps, pipeline())
    jobs = [
        JOBS[0],
        {**JOBS[1], "mode": "strict"},
        {**JOBS[2], "parameters": {"table": "t"}},
        JOBS[3],
        {"id": "report", "depends_on": ["aside"]},
    ]
    after = runner.rerun(before.id, pipeline=pipeline(jobs, parameters=PARAMETERS[:1]))
    assert ["clean", "load", "report"] == sorted(steps.ran)
    assert {"source": "s"} == after.parameters


def test_a_rerun_of_a_rerun_knows_the_first(runner: Any, steps: Steps, pipeline: Any) -> None:
    """An output that is handed on twice names the session in which it was made."""
    first = failed(runner, steps, pipeline(), "load")
    steps.failing = {"load"}
    second = runner.rerun(first.id)
    steps.failing = set()
    third = runner.rerun(second.id)
    assert "succeeded" == third.status
    assert first.id == third.jobs["extract"].reused_from
    assert second.id == third.state.rerun_of
    again = runner.rerun(third.id, ["extract"])
    assert (first.id, third.id) == (again.jobs["clean"].reused_from, again.jobs["load"].reused_from)


def test_conditions_are_asked_again(runner: Any, steps: Steps, pipeline: Any) -> None:
    """A job that was skipped runs where its condition is true now, and the other way round."""
    jobs = [
        {"id": "a"},
        {"id": "b", "depends_on": ["a"], "condition": "${table} == 't'"},
        {"id": "c", "depends_on": ["a"], "condition": "${table} != 't'"},
    ]
    before = failed(runner, steps, pipeline(jobs))
    after = runner.rerun(before.id, parameters={"table": "other"})
    assert ["c"] == steps.ran
    assert ["succeeded", "skipped", "succeeded"] == [str(job.status) for job in after.jobs.values()]


def test_what_a_cancelled_session_had_is_reused(runner: Any, steps: Steps, pipeline: Any) -> None:
    """Also of a session that was cancelled: only what it had not come to runs."""
    steps.held["clean"] = threading.Event()
    before = runner.start(pipeline())
    # All that is to be reused has ended.
    until(lambda: "clean" in steps.ran and "succeeded" == before.jobs["aside"].status)
    before.cancel()
    steps.held.pop("clean").set()
    before.wait()
    assert "cancelled" == before.status
    steps.ran.clear()
    assert "succeeded" == runner.rerun(before.id).status
    # What ran when it was cancelled may have ended well all the same.
    assert ["load"] == [job for job in steps.ran if job != "clean"]


@pytest.mark.parametrize(
    ("jobs", "error", "text"),
    [
        ("fialed", bunsui.ConfigError, 'it is "failed", "all" or a list'),
        (7, bunsui.ConfigError, "jobs is 7"),
        ([7], bunsui.ConfigError, "jobs is \\[7\\]"),
        (["lod"], bunsui.NotFound, "has no job 'lod'; did you mean 'load'"),
        (["lod+"], bunsui.NotFound, "has no job 'lod'"),
    ],
)
def test_jobs_that_say_nothing(
    runner: Any, steps: Steps, pipeline: Any, jobs: Any, error: type[Exception], text: str
) -> None:
    """What `jobs` can't be is an error that says what it can, and nothing starts."""
    before = failed(runner, steps, pipeline())
    with pytest.raises(error, match=text):
        runner.rerun(before.id, jobs)
    assert 1 == len(runner.sessions())


def test_what_no_longer_fits(runner: Any, steps: Steps, pipeline: Any) -> None:
    """Another pipeline, a parameter that the definition now needs, a value that it no longer takes."""
    before = failed(runner, steps, pipeline())
    with pytest.raises(bunsui.ConfigError, match="ran the pipeline 'flow', not 'other'"):
        runner.rerun(before.id, pipeline=pipeline(name="other"))
    needs = [*PARAMETERS, {"name": "day", "type": "string", "required": True}]
    with pytest.raises(bunsui.DefinitionError, match="needs the parameter 'day', text"):
        runner.rerun(before.id, pipeline=pipeline(parameters=needs))
    narrow = [PARAMETERS[0], {"name": "table", "type": "string", "enum": ["a", "b"]}]
    with pytest.raises(bunsui.DefinitionError, match="it must be one of: a, b"):
        runner.rerun(before.id, pipeline=pipeline(parameters=narrow))
    with pytest.raises(bunsui.DefinitionError, match="has no parameter 'tabel'"):
        runner.rerun(before.id, parameters={"tabel": "x"})
    assert 1 == len(runner.sessions())


def test_what_is_not_declared_any_more_is_left_out(runner: Any, steps: Steps, pipeline: Any) -> None:
    """Parameters of the session that the definition has given up, in the plan and in the rerun."""
    before = failed(runner, steps, pipeline(parameters=[*PARAMETERS, {"name": "gone", "default": "x"}]))
    assert "gone" in before.state.parameters
    plan = runner.plan(pipeline(), rerun=before.id)
    again = runner.rerun(before.id, pipeline=pipeline())
    assert (again.state.parameters, False) == (plan.parameters, "gone" in plan.parameters)
    with pytest.raises(bunsui.DefinitionError, match="has no parameter 'gone'"):
        runner.rerun(before.id, pipeline=pipeline(), parameters={"gone": "x"})


@pytest.mark.parametrize("given", ["pipeline.yaml", {"name": "flow"}, Path("pipeline.yaml")])
def test_a_definition_that_is_no_pipeline(runner: Any, steps: Steps, pipeline: Any, given: Any) -> None:
    """Is refused with what to do, by reruns and plans alike."""
    before = failed(runner, steps, pipeline())
    message = f"a Runner runs a Pipeline, not {type(given).__name__}; load a file with runner.load"
    for call in (runner.rerun, runner.start_rerun, lambda id_, pipeline: runner.plan(pipeline, rerun=id_)):
        with pytest.raises(bunsui.ConfigError, match=message):
            call(before.id, pipeline=given)
    assert 1 == len(runner.sessions())


def test_a_definition_whose_folder_is_gone(tmp_path: Path) -> None:
    """The rerun and its plan say how it is given from where it is now; what has run is reused."""
    (tmp_path / "old").mkdir()
    text = 'version: "1.0"\nname: p\njobs: [{id: a, type: custom, command: ["true"]}]\n'
    (tmp_path / "old" / "p.yaml").write_text(text, encoding="utf-8")
    with bunsui.Runner("memory://", autoload_plugins=False) as runner:
        before = runner.run(runner.load(tmp_path / "old" / "p.yaml"))
        (tmp_path / "old").rename(tmp_path / "new")
        message = "old, is gone; give the definition from where it is now: --file FILE, in Python pipeline="
        for call in (runner.rerun, lambda id_: runner.plan(rerun=id_)):
            with pytest.raises(bunsui.ConfigError, match=message):
                call(before.id)
        again = runner.rerun(before.id, pipeline=runner.load(tmp_path / "new" / "p.yaml"))
        assert before.id == again.jobs["a"].reused_from


def test_a_session_that_has_not_ended(runner: Any, steps: Steps, pipeline: Any) -> None:
    """A session that runs, or is paused, is resumed or cancelled, not run again."""
    steps.held["extract"] = threading.Event()
    session = runner.start(pipeline())
    with pytest.raises(bunsui.StateError, match="is running: only one that has ended runs again"):
        runner.rerun(session.id)
    session.pause()
    steps.held["extract"].set()
    session.wait()
    with pytest.raises(bunsui.StateError, match=f"is paused.*bunsui session resume {session.id}"):
        runner.plan(rerun=session.id)
    with pytest.raises(bunsui.NotFound, match="there is no session 'nosuch'"):
        runner.rerun("nosuch")
    assert 1 == len(runner.sessions())


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_plan_tells_what_will_run(data: Any) -> None:
    """For pipelines and failures at random: what is planned to be reused is, and only what is to run runs."""
    steps = Steps()
    count = data.draw(st.integers(1, 6))
    jobs = []
    for i in range(count):
        parents = data.draw(st.sets(st.integers(0, i - 1))) if i else set()
        job = {"id": f"j{i}", "depends_on": [f"j{p}" for p in sorted(parents)]}
        job["parameters"] = {"v": data.draw(st.sampled_from(["1", "${source}", "${table}"]))}
        if parents and data.draw(st.booleans()):
            job["parameters"]["above"] = f"${{jobs.j{min(parents)}.output}}"
        if parents and data.draw(st.booleans()):
            job["parameters"]["status"] = f"${{jobs.j{max(parents)}.status}}"
        if data.draw(st.booleans()):
            job["allow_failure"] = True
        if data.draw(st.booleans()):
            job["condition"] = data.draw(st.sampled_from(["${table} == 't'", "always()", "${table} != 't'"]))
        jobs.append(job)
    plugins = bunsui.Plugins([steps], autoload=False)
    definition = {"version": "1.0", "name": "flow", "parameters": PARAMETERS}
    pipeline = bunsui.Pipeline.from_dict(
        {**definition, "jobs": [{"type": "step", **job} for job in jobs]}, plugins
    )
    with bunsui.Runner("memory://", plugins=[steps], autoload_plugins=False) as runner:
        ids = [job["id"] for job in jobs]
        steps.failing = data.draw(st.sets(st.sampled_from(ids)))
        before = runner.run(pipeline)
        steps.failing, steps.ran = set(), []
        given = data.draw(st.sampled_from([{}, {"source": "x"}, {"table": "x"}]))
        named = data.draw(st.sampled_from(ids))
        chosen = data.draw(st.sampled_from(["failed", "all", [], [named], [f"{named}+"]]))
        plan = runner.plan(rerun=before.id, parameters=given, jobs=chosen)
        after = runner.rerun(before.id, chosen, parameters=given)
        prospects = {job.id: job.prospect for job in plan.jobs}
        ran = {job for job, state in after.jobs.items() if state.attempts}
        reused = {job for job, state in after.jobs.items() if state.reused_from}
        skipped = {job for job, state in after.jobs.items() if state.status == "skipped"}
        assert {job for job, what in prospects.items() if what == "run"} <= ran
        assert {job for job, what in prospects.items() if what == "skip"} <= skipped
        assert ran <= {job for job, what in prospects.items() if what in ("run", "maybe")}
        assert reused <= {job for job, what in prospects.items() if what == "reuse"}
        assert sorted(ran) == sorted(steps.ran)
        # Running all of it anew would have come to the same.
        whole = runner.run(pipeline, given)
        assert whole.outputs == after.outputs
        assert [job.status for job in whole.jobs.values()] == [job.status for job in after.jobs.values()]


def test_a_rerun_goes_on_after_kill_9(tmp_path: Path) -> None:
    """Killed in the middle, it goes on with what it had taken over, and takes over what it had yet to."""
    (tmp_path / "flow.yaml").write_text(textwrap.dedent("""
            version: "1.0"
            name: flow
            jobs:
              - {id: a, type: custom, command: [sh, -c, 'echo a >> ran; echo 1 > $BUNSUI_OUTPUT']}
              - id: b
                type: custom
                command: [sh, -c, 'echo b >> ran; echo 2 > $BUNSUI_OUTPUT; if [ -e slow ]; then sleep 60; fi']
                depends_on: [a]
              - id: c
                type: custom
                command: [sh, -c, 'echo c >> ran; echo 3 > $BUNSUI_OUTPUT']
                depends_on: [b]
              - {id: d, type: custom, command: [sh, -c, 'echo d >> ran; test -e good'], depends_on: [c]}
            """))
    store = f"sqlite:///{tmp_path}/store.db"
    with bunsui.Runner(store) as runner:
        before = runner.run(runner.load(tmp_path / "flow.yaml"))
    assert "failed" == before.status
    (tmp_path / "slow").touch()
    (tmp_path / "good").touch()
    (tmp_path / "ran").unlink()
    program = (
        "import bunsui, sys; r = bunsui.Runner(sys.argv[1]); s = r.start_rerun(sys.argv[2], ['b', 'd']);"
    )
    program += " print(s.id, flush=True); s.wait()"
    command = [sys.executable, "-c", program, store, before.id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        session = process.stdout.readline().strip()
        deadline = time.monotonic() + 30
        while not (tmp_path / "ran").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
    (tmp_path / "slow").unlink()
    with bunsui.Runner(store) as runner:
        after = runner.resume(session)
        assert "succeeded" == after.status
        assert {"a": 1, "b": 2, "c": 3, "d": None} == after.outputs
        assert ["a", "c"] == [job for job, state in after.jobs.items() if state.reused_from == before.id]
    assert {"b", "d"} == {*(tmp_path / "ran").read_text().split()}


def test_what_is_gone_runs(tmp_path: Path) -> None:
    """The session before is removed while its rerun waits: what was to be taken over runs."""
    store = f"sqlite:///{tmp_path}/store.db"
    steps = Steps()
    definition = {"version": "1.0", "name": "flow", "parameters": PARAMETERS}
    plugins = bunsui.Plugins([steps], autoload=False)
    jobs = [{"type": "step", **job} for job in JOBS]
    pipeline = bunsui.Pipeline.from_dict({**definition, "jobs": jobs}, plugins)
    with bunsui.Runner(store, plugins=[steps], autoload_plugins=False) as runner:
        before = runner.run(pipeline)
        assert before.outputs
        steps.held["extract"] = threading.Event()
        after = runner.start_rerun(before.id, ["extract"])
        after.pause()
        steps.held["extract"].set()
        after.wait()
        (created,) = (event for event in after.events() if isinstance(event, ev.SessionCreated))
        assert {"clean", "load", "aside"} == {*created.reuse}
        assert "paused" == after.status
    with contextlib.closing(sqlite3.connect(tmp_path / "store.db")) as connection, connection:
        connection.execute("DELETE FROM commits WHERE history = ?", (before.id,))
    steps.ran.clear()
    with bunsui.Runner(store, plugins=[steps], autoload_plugins=False) as runner:
        assert "succeeded" == runner.resume(after.id).status
        assert ["clean", "load"] == steps.ran
        # What follows it runs, too, and is not asked for.
        (told,) = (event for event in after.events() if isinstance(event, ev.ReuseFailed))
        assert ("clean", f"the output of session {before.id} is gone") == (told.job, told.reason)
    assert before.outputs == after.outputs
