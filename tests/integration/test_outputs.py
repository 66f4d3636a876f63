"""The outputs that a pipeline declares: what a session gives, and what can be wrong with them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui import Job, Pipeline, Runner
from bunsui.engine import events as ev
from bunsui.stores.memory import MemoryStore


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    """A runner that is closed at the end, on the real disk."""
    store = f"sqlite:///{tmp_path}/store.db"
    with Runner(store, autoload_plugins=False, config={"env": ["OUTPUTS_TEST"]}) as made:
        yield made


def rows() -> dict[str, Any]:
    return {"rows": 3, "files": ["a", {"name": "b"}], "${x}": "${item}"}


def fail() -> None:
    raise ValueError("no")


def declared(outputs: dict[str, Any], *more: Job, **fields: Any) -> Pipeline:
    """A pipeline with the job `load`, and these outputs."""
    return Pipeline(
        name="declared", jobs=[Job.from_callable(rows, id="load"), *more], outputs=outputs, **fields
    )


class TestValues:
    """What a session gives."""

    def test_references_are_resolved(self, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
        """As values, in parts, within text, at any depth; all that can be named can be named here."""
        monkeypatch.setenv("OUTPUTS_TEST", "here")
        outputs = {
            "all": "${jobs.load.output}",
            "rows": "${jobs.load.output.rows}",
            "deep": {"list": ["${jobs.load.output.files[1].name}", 1, None, True]},
            "text": "${jobs.load.output.rows} rows in ${target}",
            "status": "${jobs.load.status}",
            "about": "${pipeline.name} ${session.id} ${env.OUTPUTS_TEST}",
            "plain": "$${target}",
        }
        pipeline = declared(outputs, parameters=[bunsui.Parameter("target", default="t")])
        session = runner.run(pipeline)

        assert "succeeded" == session.status
        assert {
            "all": rows(),
            "rows": 3,
            "deep": {"list": ["b", 1, None, True]},
            "text": "3 rows in t",
            "status": "succeeded",
            "about": f"declared {session.id} here",
            "plain": "${target}",
        } == session.outputs

    def test_they_are_in_the_history(self, runner: Runner) -> None:
        """Whoever reads the session later finds what it gave then."""
        session = runner.run(declared({"rows": "${jobs.load.output.rows}"}))
        last = next(event for event in session.events() if isinstance(event, ev.SessionSucceeded))
        with Runner(runner.store, autoload_plugins=False) as other:
            again = other.session(session.id).outputs

        assert last.outputs is not None
        assert ({"rows": 3}, {"rows": 3}) == (last.outputs.value, again)

    def test_a_change_of_them_is_nobody_elses(self, runner: Runner) -> None:
        """Each time it is asked for, a session gives them anew."""
        session = runner.run(declared({"files": "${jobs.load.output.files}"}))
        session.outputs["files"].append("c")

        assert {"files": ["a", {"name": "b"}]} == session.outputs

    def test_what_did_not_run_is_null(self, runner: Runner) -> None:
        """With any path; the session succeeds."""
        skipped = Job.from_callable(rows, id="skipped", condition="false")
        allowed = Job.from_callable(fail, id="allowed", allow_failure=True)
        outputs = {"s": "${jobs.skipped.output.rows}", "f": "${jobs.allowed.output.a[0]}"}
        session = runner.run(declared(outputs, skipped, allowed))

        assert ("succeeded", {"s": None, "f": None}) == (session.status, session.outputs)

    def test_before_the_session_has_succeeded(self, runner: Runner) -> None:
        """There are none: each is None, by its name."""
        seen: list[Any] = []

        def look() -> None:
            seen.append(runner.session(bunsui.current_call().session_id).outputs)

        session = runner.run(declared({"rows": 1}, Job.from_callable(look, id="look", depends_on=["load"])))

        assert ([{"rows": None}], {"rows": 1}) == (seen, session.outputs)

    def test_of_a_session_that_failed(self, runner: Runner) -> None:
        """They are not even looked at: what it says is what the job said."""
        session = runner.run(
            declared({"x": "${jobs.load.output.nothing}"}, Job.from_callable(fail, id="bad"))
        )

        assert ("failed", {"x": None}) == (session.status, session.outputs)
        with pytest.raises(bunsui.SessionFailed) as caught:
            session.raise_for_status()
        assert (["bad"], None) == (list(caught.value.errors), caught.value.reason)

    def test_without_them(self, runner: Runner) -> None:
        """Every job's output, by its id."""
        session = runner.run(declared({}))

        assert {"load": rows()} == session.outputs


class TestWrong:
    """Outputs that can't be made fail the session."""

    def test_a_path_that_is_not_there(self, runner: Runner) -> None:
        """The session fails and names it; its jobs have succeeded."""
        session = runner.run(declared({"x": {"deep": ["${jobs.load.output.nothing.more}"]}}))
        message = (
            "${jobs.load.output.nothing.more}: jobs.load.output has no 'nothing'; it has: rows, files, ${x}"
        )

        assert ("failed", "succeeded", {"x": None}) == (
            session.status,
            session.jobs["load"].status,
            session.outputs,
        )
        with pytest.raises(bunsui.SessionFailed) as caught:
            session.raise_for_status()
        assert f"session {session.id} is failed:\n  outputs: ReferenceError: {message}" == str(caught.value)
        assert caught.value.reason is not None
        assert ({}, "ReferenceError", message) == (
            caught.value.errors,
            caught.value.reason.code,
            caught.value.reason.message,
        )

    def test_more_than_the_store_takes(self) -> None:
        """Each output fits, all together do not."""

        class Small(MemoryStore):
            max_commit_bytes = 4096

        jobs = [Job.from_callable(lambda: "x" * 1000, id=f"j{i}") for i in range(4)]
        outputs = {job.id: f"${{jobs.{job.id}.output}}" for job in jobs}
        with Runner(Small(), autoload_plugins=False) as runner:
            session = runner.run(Pipeline(name="large", jobs=jobs, outputs=outputs))
        state = session.state

        assert state.error is not None
        assert ("failed", "OutputTooLarge", False) == (state.status, state.error.code, state.error.retryable)
        assert {"succeeded"} == {str(job.status) for job in state.jobs.values()}

    def test_a_text_that_grows_too_long(self, runner: Runner) -> None:
        """What references within a text bring is limited."""
        big = Job.from_callable(lambda: "x" * 40_000, id="big")
        session = runner.run(declared({"x": "${jobs.big.output}${jobs.big.output}"}, big))
        error = session.state.error

        assert error is not None
        assert ("failed", "ReferenceError") == (session.status, error.code)
        assert "would have more than 65,536 characters" in error.message

    def test_what_is_nested_too_deeply(self, runner: Runner) -> None:
        """An output of a job at the limit, put one level deeper, fails the session, and no other."""

        def deep() -> Any:
            value: Any = 1
            for _ in range(200):
                value = [value]
            return value

        session = runner.run(declared({"x": ["${jobs.deep.output}"]}, Job.from_callable(deep, id="deep")))
        error = session.state.error

        assert error is not None
        assert ("failed", "OutputNotJson") == (session.status, error.code)
        assert "what 'outputs' declares is not JSON: it is nested more than 200 levels deep" in error.message


TASKS = """
def load():
    return {"rows": 3}
"""


class TestCommandLine:
    """`bunsui run` and `bunsui session status`."""

    @pytest.fixture(autouse=True)
    def files(self, tmp_path: Path) -> None:
        (tmp_path / "tasks.py").write_text(TASKS, encoding="utf-8")
        for name, path in (("good", "rows"), ("bad", "nothing")):
            definition = {
                "version": "1.0",
                "name": name,
                "jobs": [{"id": "load", "type": "custom", "callable": "tasks:load"}],
                "outputs": {"loaded": f"${{jobs.load.output.{path}}}"},
            }
            (tmp_path / f"{name}.json").write_text(json.dumps(definition), encoding="utf-8")

    @staticmethod
    def bunsui(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bunsui", *arguments, "--store", f"sqlite:///{folder}/s.db"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def test_run_as_json(self, tmp_path: Path) -> None:
        """`outputs` has the declared ones; each job still has its own."""
        done = self.bunsui(tmp_path, "run", "good.json", "--format", "json")
        found = json.loads(done.stdout)

        assert (0, "succeeded", {"loaded": 3}, {"rows": 3}) == (
            done.returncode,
            found["status"],
            found["outputs"],
            found["jobs"]["load"]["output"],
        )

    def test_run_as_text(self, tmp_path: Path) -> None:
        """The declared ones alone."""
        done = self.bunsui(tmp_path, "run", "good.json")

        assert (0, "") == (done.returncode, done.stderr)
        assert "\noutputs\n  loaded: 3\n\nsession " in done.stdout

    def test_status(self, tmp_path: Path) -> None:
        """As text and as JSON."""
        session = json.loads(self.bunsui(tmp_path, "run", "good.json", "--format", "json").stdout)[
            "session_id"
        ]
        text = self.bunsui(tmp_path, "session", "status", session)
        data = self.bunsui(tmp_path, "session", "status", session, "--format", "json")

        assert "\noutputs\n  loaded: 3\n" in text.stdout
        assert {"loaded": 3} == json.loads(data.stdout)["outputs"]

    def test_outputs_that_cannot_be_made(self, tmp_path: Path) -> None:
        """Exit code 1, and what is missing is said."""
        done = self.bunsui(tmp_path, "run", "bad.json")
        line = "outputs: ReferenceError: ${jobs.load.output.nothing}: jobs.load.output has no 'nothing'"

        assert 1 == done.returncode
        assert f"\n\nfailed\n  {line}" in done.stdout
        assert "" == done.stderr

    def test_outputs_that_cannot_be_made_as_json(self, tmp_path: Path) -> None:
        """What is missing is said on stderr; stdout has the session alone."""
        done = self.bunsui(tmp_path, "run", "bad.json", "--format", "json")

        assert (1, "failed") == (done.returncode, json.loads(done.stdout)["status"])
        assert done.stderr.startswith(
            "outputs: ReferenceError: ${jobs.load.output.nothing}: jobs.load.output has"
        )
