"""``bunsui pipeline check``: what it prints, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bunsui.cli.main import run
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.iam import NOT_ALLOWED, FakeIam

DEFINITION = """\
version: "1.0"
name: flow
parameters:
  - {name: function, default: extract}
jobs:
  - {id: extract, type: lambda, function: "${function}"}
  - {id: again, type: lambda, function: extract, qualifier: live}
  - {id: load, type: lambda, function: load}
  - {id: transform, type: ecs, task_definition: transform}
"""
AT = 'version: "1.0"\nname: flow\njobs:\n  - '
MISSING = AT + "{id: extract, type: lambda, function: extrct}\n"
BOUND = 'lambda: {extrct: {command: ["true"]}}\n'
LATER = (
    AT + '{id: choose, type: custom, command: ["true"]}\n'
    '  - {id: call, type: lambda, function: "${jobs.choose.output}", depends_on: [choose]}\n'
)

Said = Callable[[], tuple[str, str]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """What has been printed since: stdout and stderr."""
    return lambda: tuple(capsys.readouterr())  # type: ignore[return-value]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with definitions; the store would be in it."""
    for name, text in {"flow": DEFINITION, "missing": MISSING, "later": LATER, "bound": BOUND}.items():
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BUNSUI_STORE", f"sqlite:///{tmp_path}/store.db")
    return tmp_path


@pytest.fixture
def aws(
    fake_aws: FakeAws, aws_environment: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> FakeAws:
    """What the command asks: it has all that ``flow.yaml`` needs."""
    del aws_environment, folder
    monkeypatch.setenv("AWS_ENDPOINT_URL", fake_aws.url)
    fake_aws.add(FakeIam())
    fake_aws.functions.add("extract", print, versions={"live": "3"})
    fake_aws.functions.add("load", print)
    fake_aws.ecs.define("transform")
    return fake_aws


@pytest.mark.usefixtures("aws")
def test_nothing_is_wrong(folder: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found is counted, and nothing is printed to stdout. The store is not opened."""
    monkeypatch.setenv("BUNSUI_STORE", "nothing://that-there-is")
    assert 0 == run(["pipeline", "check", "flow.yaml"])
    assert ("", "2 functions and 1 task definition found; 1 file: no problems\n") == said()
    assert ["bound.yaml", "flow.yaml", "later.yaml", "missing.yaml"] == sorted(
        path.name for path in folder.iterdir()
    )


@pytest.mark.usefixtures("aws")
def test_something_is_missing(said: Said) -> None:
    """It is shown as 'validate' shows what is wrong; the exit code is 6."""
    assert 6 == run(["pipeline", "check", "missing.yaml"])
    expected = (
        "missing.yaml:4:43: error[unknown-function]: job 'extract': there is no function 'extrct' in"
        " eu-central-1 of account 123456789012\n"
        "    4 |   - {id: extract, type: lambda, function: extrct}\n"
        "      |                                           ^^^^^^ make it, or name another, or another"
        " 'region' or 'role'\n"
    )
    assert (expected, "1 file: 1 error\n") == said()


@pytest.mark.parametrize("service", ["lambda", "iam"])
def test_something_is_denied(service: str, aws: FakeAws, said: Said) -> None:
    """The exit code is 4, also where something else is missing."""
    if service == "lambda":
        aws.faults.deny("lambda", when=lambda call: call.parameters["FunctionName"] == "load")
    else:
        iam = FakeIam()
        iam.decide("ecs:RunTask", NOT_ALLOWED)
        aws.add(iam)

    assert 4 == run(["pipeline", "check", "flow.yaml", "-p", "function=extrct"])
    text, counts = said()
    assert ("error[denied]" in text, "error[unknown-function]" in text) == (True, True)
    assert "1 file: 2 errors" in counts


@pytest.mark.usefixtures("aws")
def test_json(said: Said) -> None:
    """A list of problems, as 'validate' gives it, and nothing else."""
    assert 6 == run(["pipeline", "check", "missing.yaml", "--format", "json"])
    text, rest = said()
    assert [
        {
            "file": "missing.yaml",
            "line": 4,
            "column": 43,
            "path": "/jobs/0/function",
            "code": "unknown-function",
            "severity": "error",
            "message": "job 'extract': there is no function 'extrct' in eu-central-1 of account 123456789012",
            "hint": "make it, or name another, or another 'region' or 'role'",
        }
    ] == json.loads(text)
    assert "" == rest
    assert 0 == run(["pipeline", "check", "flow.yaml", "--format", "json"])
    assert ("[]\n", "") == said()


@pytest.mark.usefixtures("aws")
def test_github(said: Said) -> None:
    """Workflow commands, as 'validate' gives them."""
    assert 6 == run(["pipeline", "check", "missing.yaml", "--format", "github"])
    text, rest = said()
    assert text.startswith(
        "::error file=missing.yaml,line=4,col=43,endColumn=49,title=bunsui unknown-function::job 'extract'"
    )
    assert ("", 1) == (rest, text.count("\n"))


def test_bindings(aws: FakeAws, said: Said) -> None:
    """What is bound is not asked for."""
    assert 0 == run(["pipeline", "check", "missing.yaml", "--bindings", "bound.yaml"])
    assert ("", "no job of it runs at AWS; 1 file: no problems\n") == said()
    assert [] == aws.calls


@pytest.mark.usefixtures("aws")
def test_a_warning(said: Said) -> None:
    """What is not known yet keeps the exit code 0."""
    assert 0 == run(["pipeline", "check", "later.yaml"])
    text, counts = said()
    assert "later.yaml:5:40: warning[not-checked]: job 'call'" in text
    assert "1 file: 1 warning\n" == counts


@pytest.mark.usefixtures("folder")
def test_no_credentials(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code is 6, and nothing is printed to stdout, which has problems."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert 6 == run(["pipeline", "check", "flow.yaml", "--format", "json"])
    text, rest = said()
    assert ("", True) == (text, "there are no valid credentials" in rest)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["none.yaml"], "error[unreadable-file]"),
        (["bound.yaml"], "error[missing-field]"),
        (["flow.yaml", "-p", "day=mon"], "error[unknown-parameter]"),
        (["flow.yaml", "--bindings", "none.yaml"], "error[unreadable-file]"),
    ],
)
def test_an_invalid_definition(arguments: list[str], why: str, said: Said) -> None:
    """The exit code is 2, as everywhere, and AWS is not asked."""
    assert 2 == run(["pipeline", "check", *arguments])
    text, rest = said()
    assert ("", True) == (text, why in rest)
