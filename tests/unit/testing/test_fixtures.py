"""The pytest plugin: its fixtures, in this process and in one of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import bunsui
from bunsui import ConfigError, DefinitionError, JobError, Pipeline
from bunsui.testing import Takes, in_turn

TWO = Pipeline.from_dict(
    {
        "version": "1.0",
        "name": "two",
        "jobs": [
            {
                "id": "a",
                "type": "lambda",
                "function": "a",
                "timeout": 60,
                "retry": {"max_attempts": 3, "delay": 600, "max_delay": 600, "jitter": "none"},
            },
            {"id": "b", "type": "ecs", "task_definition": "b", "depends_on": ["a"]},
        ],
    }
)


def test_a_session_runs_with_stubs(bunsui_runner, bunsui_stubs):
    """Waits between attempts, timeouts and what stubs take pass at once."""
    bunsui_stubs["a"] = in_turn(JobError("busy", code="Busy"), Takes(61), Takes(59, {"rows": 3}))
    bunsui_stubs["b"] = lambda call: call.job_id
    session = bunsui_runner.run(TWO)
    assert {"a": {"rows": 3}, "b": "b"} == session.outputs
    assert ["Busy", "JobTimeout"] == [attempt.error.code for attempt in session.jobs["a"].attempts[:2]]
    assert 600 + 60 + 600 + 59 == pytest.approx(
        (session.finished_at - session.started_at).total_seconds(), abs=5
    )
    assert {} == bunsui_stubs.received("b")


def test_sessions_one_after_the_other(bunsui_runner, bunsui_stubs):
    """Each has an id of its own, and a rerun takes over what it may."""
    bunsui_stubs.update({"a": 1, "b": JobError("broken", code="Broken", retryable=False)})
    failed = bunsui_runner.run(TWO)
    bunsui_stubs["b"] = 2
    again = bunsui_runner.rerun(failed.id)
    assert ("failed", "succeeded") == (failed.status, again.status)
    assert (1, 2) == (len(bunsui_stubs.calls["a"]), len(bunsui_stubs.calls["b"]))
    assert failed.id != again.id
    assert {again.id, failed.id} == {summary.session_id for summary in bunsui_runner.sessions()}


def test_a_session_is_paused_and_resumed(bunsui_runner, bunsui_stubs):
    """A stub may wait for the test, in a thread of its own."""
    begun, go_on = threading.Event(), threading.Event()

    def stub(call):
        begun.set()
        assert go_on.wait(30)
        return 1

    bunsui_stubs.update({"a": stub, "b": 2})
    session = bunsui_runner.start(TWO)
    assert begun.wait(30)
    session.pause()
    go_on.set()
    assert "paused" == session.wait(30)
    assert () == bunsui_stubs.calls["b"]
    assert "succeeded" == bunsui_runner.resume(session.id).status


def test_a_session_is_cancelled(bunsui_runner, bunsui_stubs):
    """While a stub waits for the test."""
    begun, go_on = threading.Event(), threading.Event()

    def stub(call):
        begun.set()
        go_on.wait(30)

    bunsui_stubs.update({"a": stub, "b": 2})
    session = bunsui_runner.start(TWO)
    assert begun.wait(30)
    session.cancel()
    go_on.set()
    assert "cancelled" == session.wait(30)


def test_stubs_may_be_async(bunsui_runner, bunsui_stubs):
    """And so may be the test."""

    async def stub(call):
        await asyncio.sleep(0)
        return call.job_id

    bunsui_stubs.update({"a": stub, "b": Takes(5, stub)})

    async def test():
        return (await bunsui_runner.run_async(TWO)).outputs

    assert {"a": "a", "b": "b"} == asyncio.run(test())


def test_a_stub_for_no_job(bunsui_runner, bunsui_stubs):
    """Nothing is started."""
    bunsui_stubs.update({"a": 1, "b": 2, "bb": 3})
    with pytest.raises(ConfigError, match="did you mean 'b'"):
        bunsui_runner.start(TWO)
    assert [] == bunsui_runner.sessions()


class TestWhatIsGiven:
    """Secrets and variables, by fixtures of one's own; pools are there by themselves."""

    @pytest.fixture
    def bunsui_secrets(self):
        return {"db": "hunter-2"}

    @pytest.fixture
    def bunsui_env(self):
        return {"REGION": "north"}

    def test_they_are_there(self, bunsui_runner, bunsui_stubs):
        """The stub gets their values."""
        bunsui_stubs["a"] = 1
        bunsui_runner.run(needing("${secrets.db} ${env.REGION}"))
        assert {"x": "hunter-2 north"} == bunsui_stubs.received("a")

    def test_a_pool_is_there(self, bunsui_runner, bunsui_stubs):
        """Of sessions that are started one after the other, each has its own."""
        bunsui_stubs["a"] = Takes(60, 1)
        sessions = [bunsui_runner.start(needing("x", pool=pool)) for pool in ("gpu", "db", "gpu")]
        assert ["succeeded"] * 3 == [session.wait(30) for session in sessions]


def needing(text: str, **fields) -> Pipeline:
    """A job with a text as its parameter."""
    job = {"id": "a", "type": "lambda", "function": "f", "parameters": {"x": text}, **fields}
    return Pipeline.from_dict({"version": "1.0", "name": "needing", "jobs": [job]})


def test_what_is_not_given_is_told_with_the_remedy_of_a_fixture(bunsui_runner, bunsui_stubs):
    """There are no arguments here that could be given."""
    with pytest.raises(DefinitionError, match=r"bunsui_stubs\['a'\] = \.\.\., or a binding"):
        bunsui_runner.run(needing("x"))
    bunsui_stubs["a"] = 1
    with pytest.raises(DefinitionError) as seen:
        bunsui_runner.run(needing("${secrets.db} ${env.REGION}"))
    assert "a fixture bunsui_secrets of your own, returning {'db': ...}" in str(seen.value)
    assert "a fixture bunsui_env of your own, returning {'REGION': ...}" in str(seen.value)


def pytest_in(folder: Path, test: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What a pytest of its own says of a test file."""
    (folder / "test_it.py").write_text(test, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "-W",
        "error",
        *arguments,
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)


TEST = """
import threading
import pytest
from bunsui import Job, Pipeline
from bunsui.testing import Takes

PIPELINE = Pipeline.from_dict({"version": "1.0", "name": "p", "jobs": [
    {"id": "a", "type": "lambda", "function": "f"}]})
runners = []

def test_first(bunsui_runner, bunsui_stubs):
    bunsui_stubs["a"] = Takes(3600, 1)
    assert {"a": 1} == bunsui_runner.run(PIPELINE).outputs
    runners.append(bunsui_runner)

def test_second(bunsui_runner, bunsui_stubs):
    assert {} == dict(bunsui_stubs)
    assert [] == bunsui_runner.sessions()
    left = [t for t in threading.enumerate() if t.name.startswith("bunsui")]
    [t.join(30) for t in left]  # Idle threads end by themselves, a moment later.
    assert not [t for t in left if t.is_alive()]
    with pytest.raises(Exception, match="closed"):
        runners[0].run(PIPELINE)
"""


def test_each_test_has_a_runner_of_its_own(tmp_path):
    """Found by the entry point, with nothing to import; closed afterwards, and no thread is left."""
    done = pytest_in(tmp_path, TEST)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_a_failed_assertion_in_a_stub_fails_the_test(tmp_path):
    """Also where only a job has failed by it."""
    test = TEST.replace("Takes(3600, 1)", "failing").replace('{"a": 1} ==', '"a" in')
    done = pytest_in(tmp_path, "def failing(call):\n    assert call.parameters == 5\n" + test)
    assert "assert {} == 5" in done.stdout
    assert "2 passed, 1 error" in done.stdout


def test_without_the_plugin(tmp_path):
    """Who switches it off has no fixtures, and all else works."""
    done = pytest_in(tmp_path, TEST, "-p", "no:bunsui")
    assert "fixture 'bunsui_runner' not found" in done.stdout
    test = (
        "from bunsui.testing import run_pipeline\n"
        + TEST.partition("runners")[0]
        + "def test_it():\n    assert {'a': 1} == run_pipeline(PIPELINE, stubs={'a': 1}).outputs\n"
    )
    assert "1 passed" in pytest_in(tmp_path, test, "-p", "no:bunsui").stdout


def test_the_plugin_imports_next_to_nothing():
    """pytest starts with it, whatever is tested: beside pytest itself only three small modules are loaded."""
    source = (
        "import sys, json, pytest; before = set(sys.modules); import bunsui.testing.fixtures;"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert ["bunsui", "bunsui.testing", "bunsui.testing.fixtures"] == json.loads(done.stdout)


def test_the_fixtures_are_typed_as_what_they_are(bunsui_runner, bunsui_stubs):
    """A Runner, and Stubs."""
    assert isinstance(bunsui_runner, bunsui.Runner)
    assert isinstance(bunsui_stubs, bunsui.testing.Stubs)


def test_what_is_not_there_is_not_looked_for_when_a_session_is_resumed(bunsui_runner, bunsui_stubs):
    """A stub stands in for it then, too."""
    second = {"id": "b", "type": "custom", "callable": "no_such_module:f", "depends_on": ["a"]}
    jobs = [{"id": "a", "type": "custom", "command": ["no-such-program"]}, second]
    pipeline = Pipeline.from_dict({"version": "1.0", "name": "gone", "jobs": jobs})
    begun, go_on = threading.Event(), threading.Event()

    def stub(call):
        begun.set()
        assert go_on.wait(30)

    bunsui_stubs.update({"a": stub, "b": 2})
    session = bunsui_runner.start(pipeline)
    assert begun.wait(30)
    session.pause()
    go_on.set()
    assert "paused" == session.wait(30)
    assert {"a": None, "b": 2} == bunsui_runner.resume(session.id).outputs
