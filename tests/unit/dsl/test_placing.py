"""Where in its file a pipeline says what turns out to be wrong once it is to run."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

import bunsui
from bunsui.cli.main import run
from bunsui.dsl.placing import placed
from bunsui.testing import run_pipeline

PIPELINE = """\
version: "1.0"
name: flow
parameters:
  - {name: day, required: true}
  - name: key
    secret: true
    default: ${secrets.key}
defaults: {pool: gpu}
templates:
  shell:
    type: custom
    inputs: [{name: variable}]
    command: [echo, "${env.FIRST} ${inputs.variable}"]
jobs:
  - id: first
    template: shell
    with: {variable: FIRST}
    pool: cpu
  - {id: second, type: custom, command: [echo], parameters: {a/b: [0, "${env.SECOND}"]}}
  - {id: third, type: lambda, function: load}
outputs: {region: ["${env.REGION}"]}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pipeline's file, in the current folder; the store is there, too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BUNSUI_STORE", "sqlite:///bunsui.db")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = Path("p.yaml")
    path.write_text(PIPELINE, encoding="utf-8")
    return path


def refused(
    pipeline: bunsui.Pipeline, given: dict[str, Any] | None = None, *, local: bool = False, **config: Any
) -> list[Any]:
    """What a Runner says of it: code, line, column, path, and the text that is marked."""
    with (
        bunsui.Runner("memory://", config=config, local=local) as runner,
        pytest.raises(bunsui.DefinitionError) as caught,
    ):
        runner.start(pipeline, given)
    return [
        (
            found.code,
            found.file,
            found.line,
            found.column,
            found.path,
            found.source and found.source[found.column - 1 :][: found.length],
        )
        for found in caught.value.problems
    ]


def test_what_is_not_configured_is_shown_in_the_file(file: Path) -> None:
    """Whoever uses it: a job's own fields, its template, the defaults, outputs, and a parameter's default."""
    expected = [
        ("unknown-secret", "p.yaml", 7, 14, "/parameters/key", "${secrets.key}"),
        ("unknown-pool", "p.yaml", 8, 18, "/jobs/1/pool", "gpu"),
        ("unlisted-env", "p.yaml", 13, 21, "/jobs/0/command/1", '"${env.FIRST} ${inputs.variable}"'),
        ("unknown-pool", "p.yaml", 18, 11, "/jobs/0/pool", "cpu"),
        ("unlisted-env", "p.yaml", 19, 71, "/jobs/1/parameters/a~1b/1", '"${env.SECOND}"'),
        ("unlisted-env", "p.yaml", 21, 20, "/outputs/region/0", '"${env.REGION}"'),
    ]
    assert expected == refused(bunsui.Pipeline.load(file), {"day": "1"})


def test_a_job_that_is_not_bound_is_shown_in_the_file(file: Path) -> None:
    """At the name that would have to be bound."""
    file.write_text(
        'version: "1.0"\nname: p\njobs:\n  - {id: third, type: lambda, function: load}\n', encoding="utf-8"
    )
    expected = [("unbound-job", "p.yaml", 4, 41, "/jobs/0/function", "load")]
    assert expected == refused(bunsui.Pipeline.load(file), local=True)


def test_a_missing_parameter_is_shown_where_it_is_declared(file: Path) -> None:
    """One that was given is not the definition's fault, and has no place in it."""
    expected = [
        ("unknown-parameter", None, None, None, "/parameters/dya", None),
        ("missing-parameter", "p.yaml", 4, 12, "/parameters/day", "day"),
    ]
    assert expected == refused(bunsui.Pipeline.load(file), {"dya": "1"})
    secret = ("unknown-secret", None, None, None, "/parameters/key", None)
    assert secret == refused(bunsui.Pipeline.load(file), {"day": "1", "key": "${secrets.x}"})[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.unlink(),
        lambda file: file.write_text("", encoding="utf-8"),
        lambda file: file.write_text("version: [", encoding="utf-8"),
        lambda file: file.write_text(PIPELINE.replace("id: third", "id: tird"), encoding="utf-8"),
        lambda file: file.write_text(PIPELINE.replace("id: third", "id: second"), encoding="utf-8"),
    ],
    ids=["gone", "empty", "broken", "another", "wrong"],
)
def test_a_file_that_says_something_else_by_now_is_not_shown(file: Path, change: Any) -> None:
    """Then only the paths are known."""
    pipeline = bunsui.Pipeline.load(file)
    change(file)
    assert {None} == {found[1] for found in refused(pipeline, {"day": "1"})}


def test_a_file_that_only_looks_different_is_shown(file: Path) -> None:
    """A comment that was added since moves the places with it."""
    pipeline = bunsui.Pipeline.load(file)
    file.write_text(f"# Nightly.\n{PIPELINE}", encoding="utf-8")
    assert 8 == refused(pipeline, {"day": "1"})[0][2]


def test_the_file_is_found_from_another_folder(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named as it was given."""
    pipeline = bunsui.Pipeline.load(file)
    monkeypatch.chdir("/")
    assert ("p.yaml", 7) == refused(pipeline, {"day": "1"})[0][1:3]


def test_where_a_pipeline_is_from_is_not_what_it_says(file: Path) -> None:
    """Neither equality nor the digest knows of the file; what was pickled, or is elsewhere, still does."""
    pipeline = bunsui.Pipeline.load(file)
    plain = bunsui.Pipeline.parse(PIPELINE)
    assert (plain, plain.digest) == (pipeline, pipeline.digest)
    assert {None} == {found[1] for found in refused(plain, {"day": "1"})}
    for same in (pickle.loads(pickle.dumps(pipeline)), pipeline.at(None)):
        assert pipeline == same
        assert {"p.yaml"} == {found[1] for found in refused(same, {"day": "1"})}


def test_what_has_a_place_keeps_it(file: Path) -> None:
    """Such as a problem of the bindings' file."""
    problem = bunsui.Problem("c", "m", file="bindings.yaml", line=1, column=2, path="/jobs/0")
    pipeline = bunsui.Pipeline.load(file)
    assert [problem] == placed([problem], pipeline, {})
    elsewhere = evolve(problem, file=None, path="/tags")
    assert [elsewhere] == placed([elsewhere], pipeline, {})


def test_a_test_is_told_the_place(file: Path) -> None:
    """Of what it has not given."""
    with pytest.raises(bunsui.DefinitionError) as caught:
        run_pipeline(file, {"day": "1"})
    assert "p.yaml:19:71: error[unlisted-env]" in str(caught.value)


SHORT = 'version: "1.0"\nname: p\njobs:\n  - {id: a, type: custom, command: ["true"]}\n'
SHOWN = """\
p.yaml:4:52: error[unknown-pool]: the runner has no pool 'gpu'
    4 |   - {id: a, type: custom, command: ["true"], pool: gpu}
      |                                                    ^^^ give it, as in"""


@pytest.mark.parametrize("command", ["run", "run --plan", "session start", "session start --detach"])
def test_commands_show_the_line(file: Path, capfd: pytest.CaptureFixture[str], command: str) -> None:
    """Whichever starts a file, or says what would run."""
    file.write_text(SHORT.replace("]}", "], pool: gpu}"), encoding="utf-8")
    assert 2 == run([*command.split(), "p.yaml"])
    assert SHOWN in capfd.readouterr().err


@pytest.mark.parametrize("more", [[], ["--plan"]])
def test_a_rerun_with_a_changed_file_shows_the_line(
    file: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    """As a run does."""
    file.write_text(SHORT, encoding="utf-8")
    assert 0 == run(["run", "p.yaml"])
    file.write_text(SHORT.replace("]}", "], pool: gpu}"), encoding="utf-8")
    capsys.readouterr()
    assert 2 == run(["session", "rerun", "@last", "--file", "p.yaml", *more])
    assert SHOWN in capsys.readouterr().err
