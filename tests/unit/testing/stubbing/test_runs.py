"""Whole pipelines with stubs: what is checked, what runs, and what is told of it."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bunsui
from bunsui import BunsuiError, ConfigError, DefinitionError, JobError, Pipeline, SessionFailed
from bunsui.engine import events as ev
from bunsui.testing import FakeClock, Takes, in_turn, run_pipeline

ETL = """
version: "1.0"
name: etl
parameters:
  - {name: bucket, type: string, required: true}
  - {name: parts, type: integer, default: 3, minimum: 1}
jobs:
  - id: extract
    type: lambda
    function: extract-${bucket}
    parameters: {bucket: "${bucket}"}
  - id: clean
    type: ecs
    task_definition: clean:3
    depends_on: [extract]
    for_each: "${jobs.extract.output.parts}"
    parameters: {part: "${item}", of: "${parts}"}
  - id: load
    type: custom
    command: [no-such-program]
    depends_on: [clean]
    parameters: {parts: "${jobs.clean.output}"}
  - id: report
    type: custom
    callable: no_such_module:report
    depends_on: [load]
    condition: "${jobs.load.output.rows} > 10"
outputs: {rows: "${jobs.load.output.rows}"}
"""
STUBS = {
    "extract": {"parts": ["a", "b"]},
    "clean": lambda call: f"{call.item}{call.item_index}",
    "load": {"rows": 12},
    "report": "sent",
}


def parse(jobs: str, more: str = "") -> Pipeline:
    return Pipeline.parse(f'version: "1.0"\nname: p\n{more}\njobs:\n{jobs}')


def test_a_whole_pipeline():
    """Whatever the types of its jobs: each is given what it would be given, and all else is real."""
    run = run_pipeline(Pipeline.parse(ETL), {"bucket": "b"}, stubs=STUBS)
    assert ("succeeded", {"rows": 12}) == (run.status, run.outputs)
    assert {"bucket": "b"} == run.received("extract")
    assert {"function": "extract-b"} == run.calls["extract"][0].options
    assert [{"part": "a", "of": 3}, {"part": "b", "of": 3}] == [c.parameters for c in run.calls["clean"]]
    assert {"parts": ["a0", "b1"]} == run.received("load")
    assert run is run.raise_for_status()


def test_a_path_is_loaded(tmp_path):
    """A definition's file will do; no bindings beside it are needed."""
    (tmp_path / "pipeline.yaml").write_text(ETL, encoding="utf-8")
    for path in (tmp_path / "pipeline.yaml", str(tmp_path / "pipeline.yaml")):
        assert "succeeded" == run_pipeline(path, {"bucket": "b"}, stubs=STUBS).status


def test_no_folder_is_needed(tmp_path):
    """Where all jobs have stubs, that of the definition may be gone."""
    folder = tmp_path / "gone"
    folder.mkdir()
    (folder / "pipeline.yaml").write_text(ETL, encoding="utf-8")
    pipeline = Pipeline.load(folder / "pipeline.yaml")
    shutil.rmtree(folder)
    assert "succeeded" == run_pipeline(pipeline, {"bucket": "b"}, stubs=STUBS).status
    runs = "- {id: a, type: custom, command: [pwd]}\n"
    folder.mkdir()
    (folder / "pipeline.yaml").write_text(f'version: "1.0"\nname: p\njobs:\n{runs}', encoding="utf-8")
    pipeline = Pipeline.load(folder / "pipeline.yaml")
    shutil.rmtree(folder)
    with pytest.raises(ConfigError, match="is gone"):
        run_pipeline(pipeline)


def test_a_stub_wins_over_a_binding(tmp_path):
    """What is bound does not run."""
    (tmp_path / "bindings.yaml").write_text("lambda: {extract-b: 'nowhere:nothing'}", encoding="utf-8")
    (tmp_path / "pipeline.yaml").write_text(ETL, encoding="utf-8")
    assert "succeeded" == run_pipeline(tmp_path / "pipeline.yaml", {"bucket": "b"}, stubs=STUBS).status
    bound = {"lambda": {"extract-b": lambda event, context: pytest.fail("it ran")}}
    run = run_pipeline(Pipeline.parse(ETL), {"bucket": "b"}, stubs=STUBS, bindings=bound)
    assert "succeeded" == run.status


def test_the_same_input_gives_the_same_history():
    """Ids and times too: but for the process that wrote it."""

    def history():
        stubs = {
            **STUBS,
            "extract": in_turn(JobError("busy", code="Busy"), Takes(3, {"parts": ["a", "b", "c"]})),
            "clean": lambda call: Takes(5 - call.item_index, call.item),
        }
        text = ETL.replace("    function:", "    retry: {max_attempts: 2, delay: 9}\n    function:")
        run = run_pipeline(Pipeline.parse(text), {"bucket": "b"}, stubs=stubs)
        events = [event for event in run.session.events() if not isinstance(event, ev.RunnerClaimed)]
        calls = [(call.idempotency_key, call.parameters) for calls in run.calls.values() for call in calls]
        return run.session.id, events, calls

    assert history() == history()


def test_a_run_has_its_own_time():
    """It begins when its clock says, and leaves that where it has ended."""
    clock = FakeClock(datetime(2026, 3, 1, tzinfo=UTC))
    pipeline = parse("- {id: a, type: lambda, function: f, parameters: {at: '${session.started_at}'}}")
    run = run_pipeline(pipeline, stubs={"a": Takes(60, 1)}, clock=clock)
    assert run.received("a")["at"].startswith("2026-03-01T00:00:00")
    assert datetime(2026, 3, 1, 0, 1, tzinfo=UTC) == clock.now() == run.session.finished_at


def test_stubs_run_side_by_side_on_the_clock():
    """Ten that take a minute each take a minute, or as many as their concurrency says."""
    job = "- {id: a, type: lambda, function: f, for_each: [1, 2, 3, 4, 5, 6], MORE}"
    stubs = {"a": Takes(60)}
    assert 60 == run_pipeline(parse(job.replace(", MORE", "")), stubs=stubs).seconds
    assert 180 == run_pipeline(parse(job.replace("MORE", "max_concurrency: 2")), stubs=stubs).seconds


def test_the_pipelines_timeout_comes():
    """What still takes its time then is stopped."""
    jobs = "- {id: a, type: lambda, function: f}\n- {id: b, type: lambda, function: g, depends_on: [a]}"
    run = run_pipeline(parse(jobs, "timeout: 100"), stubs={"a": Takes(60), "b": Takes(60)})
    assert ("timed_out", 100) == (run.status, run.seconds)
    assert ("succeeded", "cancelled") == (run.jobs["a"].status, run.jobs["b"].status)


def test_stubs_are_called_in_the_tests_own_thread():
    """So what belongs to a thread can be used in them."""
    seen = []
    run_pipeline(
        parse("- {id: a, type: lambda, function: f, for_each: [1, 2, 3]}"),
        stubs={"a": lambda call: seen.append(threading.current_thread())},
    )
    assert [threading.current_thread()] * 3 == seen


def test_pools_are_there():
    """A test needs no configuration for them."""
    run = run_pipeline(parse("- {id: a, type: lambda, function: f, pool: gpu}"), stubs={"a": 1})
    assert "succeeded" == run.status


def test_variables_and_secrets_are_given():
    """The stub is given their values; nothing that is shown has the secret."""
    job = "- {id: a, type: lambda, function: f, parameters: {r: '${env.REGION}', p: '${secrets.db}'}}"
    run = run_pipeline(parse(job), stubs={"a": 1}, env={"REGION": "north"}, secrets={"db": "hunter-2"})
    assert {"r": "north", "p": "hunter-2"} == run.received("a")
    shown = [repr(run), repr(run.calls), repr(list(run.session.events())), repr(run.jobs)]
    assert [] == [text for text in shown if "hunter-2" in text]


def test_a_secret_that_is_returned_fails_the_job():
    """As in any run."""
    job = "- {id: a, type: lambda, function: f, parameters: {p: '${secrets.db}'}}"
    run = run_pipeline(parse(job), stubs={"a": lambda c: c.parameters["p"]}, secrets={"db": "hunter-2"})
    assert "SecretInOutput" == run.jobs["a"].error.code


def test_what_is_not_given_is_told_with_the_tests_remedy():
    """A variable, a secret and a stub that are missing: all at once."""
    job = "- {id: a, type: lambda, function: 'x', parameters: {r: '${env.REGION}', p: '${secrets.db}'}}"
    with pytest.raises(DefinitionError) as seen:
        run_pipeline(parse(job), stubs={"a": 1})
    assert "give its value: env={'REGION': ...}" in str(seen.value)
    assert "give its value: secrets={'db': ...}" in str(seen.value)
    with pytest.raises(DefinitionError, match=r"give it a stub: stubs=\{'a': \.\.\.\}"):
        run_pipeline(parse("- {id: a, type: lambda, function: 'x'}"))


def test_what_is_configured_here_does_not_count(monkeypatch, tmp_path):
    """A test is the same on every machine."""
    monkeypatch.setenv("BUNSUI_STORE", f"sqlite:///{tmp_path}/x.db")
    monkeypatch.setenv("REGION", "here")
    job = "- {id: a, type: lambda, function: f, parameters: {r: '${env.REGION}'}}"
    with pytest.raises(DefinitionError, match="REGION"):
        run_pipeline(parse(job), stubs={"a": 1})
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        ("{id: a, type: custom, callable: 'no_such_module:f'}", "No module named 'no_such_module'"),
        ("{id: a, type: custom, callable: 'json:nothing'}", "has no 'nothing'"),
        ("{id: a, type: custom, command: [no-such-program]}", "there is no program 'no-such-program'"),
    ],
)
def test_what_can_not_run_here_is_told_before_anything_starts(job, reason):
    """And what to do about it; what comes before it has not run."""
    called = []
    pipeline = parse(f"- {{id: first, type: lambda, function: f}}\n- {job[:-1]}, depends_on: [first]}}")
    with pytest.raises(DefinitionError) as seen:
        run_pipeline(pipeline, stubs={"first": called.append})
    assert reason in str(seen.value)
    assert "give it a stub: stubs={'a': ...}" in str(seen.value)
    assert [] == called


def test_a_stub_for_no_job_is_refused():
    """With the id that was meant."""
    with pytest.raises(ConfigError, match="did you mean 'extract'"):
        run_pipeline(Pipeline.parse(ETL), {"bucket": "b"}, stubs={**STUBS, "extrct": 1})
    with pytest.raises(ConfigError, match="it has: extract, clean, load, report"):
        run_pipeline(Pipeline.parse(ETL), {"bucket": "b"}, stubs={**STUBS, "zzz": 1})


@pytest.mark.parametrize(
    ("parameters", "text"),
    [({}, "bucket"), ({"bucket": 3}, "bucket"), ({"bucket": "b", "parts": 0}, "parts")],
)
def test_parameters_are_checked(parameters, text):
    """As `Runner.run` does."""
    with pytest.raises(DefinitionError, match=text):
        run_pipeline(Pipeline.parse(ETL), parameters, stubs=STUBS)


def test_no_pipeline():
    """What is none is told."""
    with pytest.raises(ConfigError, match="not dict"):
        run_pipeline({"name": "p"})
    with pytest.raises(DefinitionError, match=r"nowhere\.yaml"):
        run_pipeline("nowhere.yaml")


def test_options_are_validated_for_the_real_type():
    """A stub does not make up for what the job would fail with."""
    job = "- {id: a, type: lambda, function: '${name}'}"
    run = run_pipeline(parse(job, "parameters: [{name: name, type: string}]"), {"name": ""}, stubs={"a": 1})
    assert "InvalidOptions" == run.jobs["a"].error.code
    assert () == run.calls["a"]


def test_a_reference_that_leads_nowhere_fails_its_job():
    """What a stub returned lacks what the next job asks for."""
    jobs = "- {id: a, type: lambda, function: f}\n- {id: b, type: lambda, function: g, depends_on: [a],"
    run = run_pipeline(parse(jobs + " parameters: {n: '${jobs.a.output.n}'}}"), stubs={"a": {}, "b": 1})
    assert "failed" == run.jobs["b"].status
    with pytest.raises(AssertionError, match="job 'b' was not called: it is failed"):
        run.received("b")


def test_a_skipped_job_was_not_called():
    """The message says why."""
    stubs = {**STUBS, "load": {"rows": 1}}
    run = run_pipeline(Pipeline.parse(ETL), {"bucket": "b"}, stubs=stubs)
    assert "skipped" == run.jobs["report"].status
    with pytest.raises(AssertionError, match=r"job 'report' was not called: it is skipped \(.*> 10"):
        run.received("report")


def test_a_failed_run():
    """Its text has the errors; `raise_for_status` raises them."""
    stubs = {**STUBS, "load": JobError("full", code="Full")}
    run = run_pipeline(Pipeline.parse(ETL), {"bucket": "b"}, stubs=stubs)
    assert "load failed" in repr(run)
    assert "load: Full: full" in repr(run)
    with pytest.raises(SessionFailed, match="Full: full"):
        run.raise_for_status()


def test_a_cache_does_not_stand_in_for_a_stub():
    """A stub is called each time, within a run and in the next one."""
    job = "- {id: a, type: lambda, function: f, cache: {ttl: 3600}, for_each: [1, 1], parameters: {n: 2}}"
    pipeline = parse(job)
    for output in (1, 2):
        run = run_pipeline(pipeline, stubs={"a": output})
        assert ({"a": [output] * 2}, 2) == (run.outputs, len(run.calls["a"]))


def test_jobs_without_a_stub_run(tmp_path):
    """Commands, callables of a module beside the definition, and those of this process."""
    (tmp_path / "steps.py").write_text("def double(n):\n    return n * 2\n", encoding="utf-8")
    (tmp_path / "pipeline.yaml").write_text(
        f"""
version: "1.0"
name: mixed
jobs:
  - {{id: a, type: lambda, function: f}}
  - id: b
    type: custom
    callable: "steps:double"
    depends_on: [a]
    parameters: {{n: "${{jobs.a.output}}"}}
  - id: c
    type: custom
    command: ["{sys.executable}", "-c", "import json; print(json.dumps({{'c': 1}}))"]
    depends_on: [b]
    timeout: 60
""",
        encoding="utf-8",
    )
    run = run_pipeline(tmp_path / "pipeline.yaml", stubs={"a": Takes(7200, 4)})
    assert {"a": 4, "b": 8} == {job: run.raise_for_status().outputs[job] for job in ("a", "b")}
    assert "succeeded" == run.jobs["c"].status
    with pytest.raises(AssertionError, match="'b' has no stub"):
        run.received("b")


def test_a_real_job_has_its_timeout_in_real_time(tmp_path):
    """Also where hours have passed on the clock before."""
    text = f"""
version: "1.0"
name: slow
jobs:
  - {{id: a, type: lambda, function: f}}
  - id: b
    type: custom
    command: ["{sys.executable}", "-c", "import time; time.sleep(600)"]
    depends_on: [a]
    timeout: 0.5
"""
    run = run_pipeline(Pipeline.parse(text), stubs={"a": Takes(7200)})
    assert "JobTimeout" == run.jobs["b"].error.code


def test_async_jobs_without_a_stub_run():
    """In the runner's event loop."""

    async def twice(n):
        return n * 2

    pipeline = Pipeline(name="p", jobs=[bunsui.Job.from_callable(twice, parameters={"n": 4})])
    assert {"twice": 8} == run_pipeline(pipeline).outputs


def test_a_job_that_never_ends_ends_the_run():
    """After as long as the test's patience, with the name of what goes on."""
    ended = threading.Event()
    pipeline = Pipeline(name="p", jobs=[bunsui.Job.from_callable(lambda: ended.wait(60), id="waits")])
    try:
        with pytest.raises(BunsuiError, match=r"(?s)nothing that runs has ended.*job 'waits', attempt 1"):
            run_pipeline(pipeline, patience=0.2)
    finally:
        ended.set()


def test_a_paused_run_is_given_back():
    """A job of which nobody can tell what became, and whose pipeline then waits for somebody."""
    from bunsui.testing import FakeService

    service = FakeService(lambda call: service.forget(call.idempotency_key))
    definition = {"version": "1.0", "name": "p", "jobs": [{"id": "a", "type": "fake"}]}
    plugins = bunsui.Plugins([service], autoload=False)
    run = run_pipeline(Pipeline.from_dict(definition, plugins=plugins), plugins=[service])
    assert ("paused", "unknown") == (run.status, run.jobs["a"].status)


def test_nothing_is_left_behind():
    """No thread, after a hundred runs."""
    pipeline = parse("- {id: a, type: lambda, function: f}")
    before = set(threading.enumerate())
    for _ in range(100):
        run_pipeline(pipeline, stubs={"a": Takes(1)})
    assert set(threading.enumerate()) <= before


def test_nothing_sleeps(monkeypatch):
    """Days pass, and nobody asks the machine to wait."""

    def sleep(seconds):
        raise AssertionError(f"somebody sleeps for {seconds}")

    monkeypatch.setattr(time, "sleep", sleep)
    job = "- {id: a, type: lambda, function: f, retry: {max_attempts: 9, delay: 86400, max_delay: 86400}}"
    run = run_pipeline(parse(job), stubs={"a": in_turn(*[ValueError] * 8, Takes(86_400, 1))})
    assert ("succeeded", 9) == (run.status, run.jobs["a"].attempt_count)
    assert run.seconds > 86_400


def test_templates_are_jobs_like_any():
    """A stub is given to a job that a template made by the id that it has."""
    text = """
version: "1.0"
name: made
templates:
  fetch:
    type: lambda
    function: fetch
jobs:
  - {id: one, template: fetch}
  - {id: two, template: fetch, depends_on: [one]}
"""
    run = run_pipeline(Pipeline.parse(text), stubs={"one": 1, "two": 2})
    assert {"one": 1, "two": 2} == run.outputs


WORKFLOWS = sorted((Path(__file__).parents[3] / "fixtures" / "workflows").glob("*.json"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.stem for path in WORKFLOWS])
def test_real_workflows(path):
    """Each runs with stubs that take as long as its tasks did, and ends when the last of them does."""
    tasks = json.loads(path.read_text(encoding="utf-8"))["tasks"]
    took = {task["id"]: task["runtime_s"] for task in tasks}
    ids = {task["id"]: f"task{number}" for number, task in enumerate(tasks)}
    jobs = [
        {"id": ids[t["id"]], "type": "lambda", "function": "f", "depends_on": [ids[p] for p in t["parents"]]}
        for t in tasks
    ]
    pipeline = Pipeline.from_dict({"version": "1.0", "name": "real", "jobs": jobs})
    run = run_pipeline(pipeline, stubs={ids[task]: Takes(took[task], task) for task in ids})
    assert {ids[task]: task for task in ids} == run.raise_for_status().outputs
    ends = {job: state.finished_at for job, state in run.jobs.items()}
    for task in tasks:
        state = run.jobs[ids[task["id"]]]
        assert all(ends[ids[parent]] <= state.started_at for parent in task["parents"])
        lasted = (state.finished_at - state.started_at).total_seconds()
        assert took[task["id"]] == pytest.approx(lasted, abs=1e-3)


#: A job: which of those before it it depends on, and what it comes to.
KINDS = st.sampled_from(["output", "fails", "flaky", "slow"])


@st.composite
def dags(draw):
    """Jobs with ids, parents and kinds; some items, conditions and allowed failures."""
    jobs = []
    for n in range(draw(st.integers(1, 7))):
        parents = draw(st.lists(st.integers(0, n - 1), unique=True, max_size=3)) if n else []
        more = {
            "allow_failure": draw(st.booleans()),
            "condition": draw(st.sampled_from([None, "always()", "1 > 2"])),
            "for_each": draw(st.sampled_from([None, [1, 2], []])),
        }
        kind = draw(KINDS)
        if kind == "fails":
            more["for_each"] = None  # Which item fails first is chance, where they are run in threads.
        jobs.append((f"j{n}", [f"j{p}" for p in parents], kind, more))
    return jobs


def behaviour(job, kind):
    """A stub, as a function of attempt and item, and as code that a runner calls."""

    def does(attempt, item):
        if kind == "fails" or (kind == "flaky" and attempt == 1):
            raise JobError(f"{job} {item}", code="Wanted")
        return [job, attempt, item]

    def code(**_):
        call = bunsui.current_call()
        return does(call.attempt, call.item)

    def stub(call):
        output = does(call.attempt, call.item)
        return Takes(3600, output) if kind == "slow" else output

    return stub, code


def outcome(session):
    """What became of a session and its jobs."""
    return session.status, {
        job: (state.status, state.attempt_count, state.output, state.error, state.reason)
        for job, state in session.jobs.items()
    }


@given(dags())
@settings(max_examples=40)
def test_it_does_what_a_runner_does(dag):
    """Statuses, attempts, outputs and errors are those of the real Runner with the same code in threads."""
    stubs, jobs = {}, []
    for job, parents, kind, more in dag:
        stubs[job], code = behaviour(job, kind)
        given = {name: value for name, value in more.items() if value is not None}
        retry = bunsui.RetryPolicy(max_attempts=2, delay=0)
        jobs.append(bunsui.Job.from_callable(code, id=job, depends_on=parents, retry=retry, **given))
    pipeline = Pipeline(name="random", jobs=jobs, on_failure="continue")
    with bunsui.Runner("memory://", autoload_plugins=False, config={}) as runner:
        expected = outcome(runner.run(pipeline))
    assert expected == outcome(run_pipeline(pipeline, stubs=stubs).session)


def test_plugins_are_a_list() -> None:
    """What a Runner takes in its place is no list of plugins that a run could add to."""
    pipeline = Pipeline(name="p", jobs=[bunsui.Job("a", "custom", options={"command": ["true"]})])
    with pytest.raises(ConfigError, match="plugins is of type Plugins, not a list"):
        run_pipeline(pipeline, plugins=bunsui.Plugins(autoload=False))  # type: ignore[arg-type]
