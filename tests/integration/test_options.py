"""Fields of a job's type that hold references: resolved, and validated, when the job starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import bunsui


def run(
    tmp_path: Path, job: dict[str, Any], bindings: Any = None, *, local: bool = False, **parameters: Any
) -> bunsui.JobState:
    """The state of job `x` after a run with these parameters."""
    definition = {
        "version": "1.0",
        "name": "options",
        "parameters": [{"name": name, "type": "object" if isinstance(value, dict) else "string"}
                       for name, value in parameters.items()],
        "jobs": [{"id": "x", **job}],
    }  # fmt: skip
    store = f"sqlite:///{tmp_path}/s.db"
    with bunsui.Runner(store, bindings=bindings, autoload_plugins=False, local=local) as runner:
        return runner.run(bunsui.Pipeline.from_dict(definition), parameters).jobs["x"]


def test_an_argument_of_a_command_may_be_a_reference(tmp_path: Path) -> None:
    """It arrives as one argument, whatever it holds."""
    script = "import sys, os, json; json.dump(sys.argv[1:], open(os.environ['BUNSUI_OUTPUT'], 'w'))"
    job = {"type": "custom", "command": ["python", "-c", script, "--name=${name}", "${name}"]}
    state = run(tmp_path, job, name="$(x); -rf `y` 'z'")

    assert ["--name=$(x); -rf `y` 'z'", "$(x); -rf `y` 'z'"] == state.output


def test_a_resolved_field_of_a_wrong_type_fails_the_job(tmp_path: Path) -> None:
    """The job type's schema holds for what came in, too."""
    state = run(tmp_path, {"type": "custom", "command": ["echo", "${thing}"]}, thing={"a": 1})

    assert state.error is not None
    assert ("failed", "InvalidOptions", False) == (state.status, state.error.code, state.error.retryable)
    assert (
        "'command[1]' of job 'x' (its references resolved) must be text or a number, not a mapping"
        == state.error.message
    )


def test_a_parameter_that_nobody_gave_is_named_with_what_to_do(tmp_path: Path) -> None:
    """Which reference brought null in, and that a default would do."""
    job = {"type": "custom", "command": ["echo", "${thing}"]}
    definition = {
        "version": "1.0",
        "name": "p",
        "parameters": [{"name": "thing"}],
        "jobs": [{"id": "x", **job}],
    }
    with bunsui.Runner(f"sqlite:///{tmp_path}/s.db", autoload_plugins=False) as runner:
        state = runner.run(bunsui.Pipeline.from_dict(definition)).jobs["x"]
    assert state.error is not None
    assert (
        "'command[1]' of job 'x' (its references resolved) must be text or a number, not null:"
        " nothing came of ${thing}; give the parameter 'thing' a default, such as \"\""
    ) == state.error.message


def test_an_output_that_is_null_is_named(tmp_path: Path) -> None:
    """A default is no remedy there."""
    jobs = [
        {"id": "a", "type": "custom", "command": ["true"]},
        {"id": "x", "type": "custom", "command": ["echo", "${jobs.a.output}"], "depends_on": ["a"]},
    ]
    definition = {"version": "1.0", "name": "p", "jobs": jobs}
    with bunsui.Runner(f"sqlite:///{tmp_path}/s.db", autoload_plugins=False) as runner:
        state = runner.run(bunsui.Pipeline.from_dict(definition)).jobs["x"]
    assert state.error is not None
    assert state.error.message.endswith("not null: nothing came of ${jobs.a.output}")


def test_a_function_named_by_a_reference_is_found_among_the_bindings(tmp_path: Path) -> None:
    """Which one runs is known when the job starts."""
    bindings = {"lambda": {"one": lambda event, context: 1, "two": lambda event, context: 2}}
    state = run(tmp_path, {"type": "lambda", "function": "${which}"}, bindings, which="two")

    assert 2 == state.output


def test_a_function_named_by_a_reference_that_is_not_bound_fails_the_job(tmp_path: Path) -> None:
    """With its name, and why it can't run here."""
    job = {"type": "lambda", "function": "${which}"}
    state = run(tmp_path, job, {"lambda": {}}, local=True, which="three")

    assert state.error is not None
    text = "function 'three' is not bound, and the run is local, so nothing may run on AWS"
    assert ("UnboundJob", text) == (state.error.code, state.error.message)


class Exploding(bunsui.JobType):
    """A job type whose look at its options fails."""

    name = "exploding"
    schema = {"type": "object", "properties": {"target": {"type": "string"}}}
    binding_field = "target"

    def unavailable(self, options: Any) -> str | None:
        if options["target"] == "boom":
            raise RuntimeError("boom")
        return None

    def run(self, call: bunsui.JobCall) -> Any:
        return call.options["target"]


@pytest.mark.parametrize(("target", "status"), [("boom", "failed"), ("fine", "succeeded")])
def test_a_job_type_that_raises_while_it_is_started_fails_its_job(
    tmp_path: Path, target: str, status: str
) -> None:
    """The runner goes on, and the same type's other jobs run."""

    class Plugin:
        @bunsui.hookimpl
        def bunsui_job_types(self) -> list[bunsui.JobType]:
            return [Exploding()]

    pipeline = bunsui.Pipeline(
        name="p",
        parameters=[bunsui.Parameter("target")],
        jobs=[bunsui.Job("x", "exploding", {"target": "${target}"})],
    )
    with bunsui.Runner("memory://", plugins=[Plugin()], autoload_plugins=False) as runner:
        session = runner.run(pipeline, {"target": target})

    assert status == session.jobs["x"].status


def test_a_field_that_bindings_name_may_be_left_out() -> None:
    """Where a plugin's type does not require it: then nothing is bound, and the type runs the job."""

    class Loose(bunsui.JobType):
        name = "loose"
        schema = {"type": "object", "properties": {"target": {"type": "string"}}}
        binding_field = "target"

        def run(self, call: bunsui.JobCall) -> Any:
            return sorted(call.options)

    class Plugin:
        @bunsui.hookimpl
        def bunsui_job_types(self) -> list[bunsui.JobType]:
            return [Loose()]

    with bunsui.Runner("memory://", plugins=[Plugin()], autoload_plugins=False, config={}) as runner:
        session = runner.run(bunsui.Pipeline(name="p", jobs=[bunsui.Job("a", "loose")]))
    assert {"a": []} == dict(session.outputs)
