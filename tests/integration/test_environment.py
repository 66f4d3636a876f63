"""`${env.X}`: what a definition may name, and which value it gets."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui import Job, Pipeline, Runner
from bunsui.engine import events as ev

NAME = "ENVIRONMENT_TEST"
LISTED = {"env": [NAME, "ENVIRONMENT_TEST_NOT_SET"]}


@pytest.fixture(autouse=True)
def variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "first")
    monkeypatch.setenv("ENVIRONMENT_TEST_UNLISTED", "unlisted value")


def echo(**given: Any) -> dict[str, Any]:
    return given


def test_every_place(tmp_path: Path) -> None:
    """Input, fields, conditions, items and outputs."""
    script = "import json, os, sys; json.dump(sys.argv[1:], open(os.environ['BUNSUI_OUTPUT'], 'w'))"
    variable = f"${{env.{NAME}}}"
    jobs = [
        {"id": "command", "type": "custom", "command": ["python", "-c", script, variable, f"a {variable}"]},
        {"id": "fan", "type": "custom", "callable": "builtins:dict"}
        | {"for_each": [variable, [variable]], "parameters": {"item": "${item}", "own": variable}},
        {"id": "if", "type": "custom", "command": ["true"], "condition": f'{variable} == "first"'},
        {"id": "not", "type": "custom", "command": ["true"], "condition": f'{variable} in ["second"]'},
    ]
    outputs = {"text": f"<{variable}>", "command": "${jobs.command.output}", "fan": "${jobs.fan.output}"}
    outputs |= {"if": "${jobs.if.status}", "not": "${jobs.not.status}"}
    definition = {"version": "1.0", "name": "p", "jobs": jobs, "outputs": outputs}
    with Runner(f"sqlite:///{tmp_path}/s.db", config=LISTED, autoload_plugins=False) as runner:
        session = runner.run(Pipeline.from_dict(definition))

    assert {
        "text": "<first>",
        "command": ["first", "a first"],
        "fan": [{"item": "first", "own": "first"}, {"item": ["first"], "own": "first"}],
        "if": "succeeded",
        "not": "skipped",
    } == session.outputs


@pytest.mark.parametrize(
    ("name", "code", "message", "hint"),
    [
        (
            "ENVIRONMENT_TEST_UNLISTED",
            "unlisted-env",
            "${env.ENVIRONMENT_TEST_UNLISTED}: the runner's configuration does not allow"
            " 'ENVIRONMENT_TEST_UNLISTED'",
            'list it under \'env\', as in Runner(config={"env": ["ENVIRONMENT_TEST_UNLISTED"]}), or with:'
            f' bunsui config set --user env \'["{NAME}", "ENVIRONMENT_TEST_NOT_SET",'
            ' "ENVIRONMENT_TEST_UNLISTED"]\'',
        ),
        (
            "ENVIRONMENT_TEST_NOT_SET",
            "missing-env",
            "${env.ENVIRONMENT_TEST_NOT_SET}: the variable ENVIRONMENT_TEST_NOT_SET is not set",
            "set it before the start",
        ),
    ],
)
def test_what_is_not_there_is_refused_at_the_start(name: str, code: str, message: str, hint: str) -> None:
    """With the place that names it, and nothing is written."""
    job = Job.from_callable(echo, id="a", parameters={"deep": [{"x": f"a ${{env.{name}}}"}]})
    with Runner("memory://", config=LISTED, autoload_plugins=False) as runner:
        with pytest.raises(bunsui.DefinitionError) as caught:
            runner.start(Pipeline(name="p", jobs=[job]))
        assert [] == runner.sessions()

    assert [(code, "/jobs/0/parameters/deep/0/x", message, hint)] == [
        (p.code, p.path, p.message, p.hint) for p in caught.value.problems
    ]
    assert "unlisted value" not in str(caught.value)


def test_all_that_is_missing_is_said_at_once() -> None:
    """Variables, secrets and pools together."""
    job = Job.from_callable(echo, id="a", parameters={"x": "${env.X1}", "y": "${secrets.s}"}, pool="gpu")
    with (
        Runner("memory://", autoload_plugins=False) as runner,
        pytest.raises(bunsui.DefinitionError) as caught,
    ):
        runner.start(Pipeline(name="p", jobs=[job]))

    assert {"unlisted-env", "unknown-secret", "unknown-pool"} == {p.code for p in caught.value.problems}


def test_only_what_is_named_is_kept(tmp_path: Path) -> None:
    """The history has the variables that the definition names, and no others that are listed."""
    config = {"env": [NAME, "ENVIRONMENT_TEST_UNLISTED"]}
    job = Job.from_callable(echo, id="a", parameters={"x": f"${{env.{NAME}}}"})
    with Runner(f"sqlite:///{tmp_path}/s.db", config=config, autoload_plugins=False) as runner:
        session = runner.run(Pipeline(name="p", jobs=[job]))
    created = next(event for event in session.events() if isinstance(event, ev.SessionCreated))

    assert {NAME: "first"} == created.env


def test_a_parameters_value_names_no_variable() -> None:
    """It is text."""
    job = Job.from_callable(echo, id="a", parameters={"x": "${p}"})
    pipeline = Pipeline(name="p", parameters=[bunsui.Parameter("p")], jobs=[job])
    with Runner("memory://", config=LISTED, autoload_plugins=False) as runner:
        session = runner.run(pipeline, {"p": f"${{env.{NAME}}} ${{env.OTHER}}"})

    assert {"x": f"${{env.{NAME}}} ${{env.OTHER}}"} == session.outputs["a"]


def test_the_value_is_that_of_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the variable is, and whether it is listed at all, where the session goes on."""
    entered, opened = threading.Event(), threading.Event()

    def gate() -> None:
        entered.set()
        assert opened.wait(30)

    later = {"x": f"${{env.{NAME}}}"}
    job = Job("later", "custom", {"callable": "builtins:dict"}, ["gate"], later)
    pipeline = Pipeline(name="p", jobs=[Job.from_callable(gate, id="gate"), job])
    with Runner(f"sqlite:///{tmp_path}/s.db", config=LISTED, autoload_plugins=False) as runner:
        session = runner.start(pipeline)
        assert entered.wait(30)
        session.pause()
        opened.set()
        assert "paused" == session.wait(30)
    monkeypatch.delenv(NAME)
    with Runner(f"sqlite:///{tmp_path}/s.db", autoload_plugins=False) as other:
        assert {"x": "first"} == other.resume(session.id).outputs["later"]


def test_a_change_while_it_runs_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even by the next job."""

    def change() -> None:
        monkeypatch.setenv(NAME, "second")

    jobs = [
        Job.from_callable(change, id="change"),
        Job.from_callable(echo, id="a", depends_on=["change"], parameters={"x": f"${{env.{NAME}}}"}),
    ]
    with Runner("memory://", config=LISTED, autoload_plugins=False) as runner:
        session = runner.run(Pipeline(name="p", jobs=jobs))

    assert {"x": "first"} == session.outputs["a"]


def test_any_text_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that looks like JSON or like a reference is what it is."""
    for value in ("1", "[1]", "${p} ${env.X}", "$${x}", "", "\u00e9\n"):
        monkeypatch.setenv(NAME, value)
        job = Job.from_callable(echo, id="a", parameters={"x": f"${{env.{NAME}}}", "y": f"<${{env.{NAME}}}>"})
        with Runner("memory://", config=LISTED, autoload_plugins=False) as runner:
            found = runner.run(Pipeline(name="p", jobs=[job])).outputs["a"]
        assert {"x": value, "y": f"<{value}>"} == json.loads(json.dumps(found))
