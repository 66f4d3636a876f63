"""What commands end with where AWS refuses, or nobody may call it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bunsui.cli.main import run
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.environment import ACCESS_KEY

Said = Callable[[], tuple[str, str]]
DEFINITION = """\
version: "1.0"
name: p
jobs:
  - {id: a, type: lambda, function: extract}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_aws: FakeAws) -> Path:
    """With a definition; the configuration names the endpoint."""
    (tmp_path / "pipeline.yaml").write_text(DEFINITION, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BUNSUI_STORE", "sqlite:///here.db")
    monkeypatch.setenv("BUNSUI_AWS", json.dumps({"endpoint_url": fake_aws.url}))
    return tmp_path


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """What was printed since the last time that it was asked for."""
    return lambda: tuple(capsys.readouterr())  # type: ignore[return-value]


def test_no_credentials(folder: Path, said: Said, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 6; there is no session, and nothing was called."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert run(["run", "pipeline.yaml"]) == 6
    assert "job 'a': lambda Invoke of 'extract'" in (text := said()[1])
    assert "there are no valid credentials" in text
    assert "or bind function 'extract' to run it on this machine" in text
    assert run(["session", "list"]) == 0
    assert said()[1].startswith("no sessions")
    assert not (folder / "here.db").exists()
    assert fake_aws.calls == []


def test_no_region(folder: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    """Likewise."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    assert run(["run", "pipeline.yaml"]) == 6
    assert "no region is named; name one: " in said()[1]


@pytest.mark.usefixtures("aws_environment")
def test_no_such_profile(
    folder: Path, said: Said, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Likewise."""
    monkeypatch.setenv("BUNSUI_AWS", json.dumps({"endpoint_url": fake_aws.url, "profile": "yours"}))
    assert run(["run", "pipeline.yaml"]) == 6
    assert "(yours) could not be found" in said()[1]


@pytest.mark.usefixtures("aws_environment")
def test_missing_function(folder: Path, said: Said) -> None:
    """During a run it is the job's error: exit code 1."""
    assert run(["run", "pipeline.yaml"]) == 1
    assert "Lambda.ResourceNotFoundException" in "".join(said())


@pytest.mark.usefixtures("aws_environment")
def test_denied(folder: Path, said: Said, fake_aws: FakeAws) -> None:
    """Likewise a permission that is missing; it is named."""
    fake_aws.functions.add("extract", lambda *_: None)
    fake_aws.faults.deny("lambda")
    assert run(["run", "pipeline.yaml"]) == 1
    assert "the caller needs the permission lambda:InvokeFunction" in "".join(said())


@pytest.mark.usefixtures("aws_environment")
def test_credentials_lost(
    folder: Path, said: Said, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session pauses: exit code 7, with what to do; then it goes on where it was."""
    fake_aws.functions.add("extract", lambda *_: "done")
    fake_aws.faults.expire(ACCESS_KEY)
    assert run(["run", "pipeline.yaml"]) == 7
    assert "renew the credentials" in "".join(said())
    assert run(["session", "status", "@last", "--format", "json"]) == 0
    assert json.loads(said()[0])["paused_reason"] == "aws-credentials"
    assert run(["session", "resume", "@last"]) == 7
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANEW")
    said()
    assert run(["session", "resume", "@last", "--format", "json"]) == 0
    assert json.loads(said()[0])["outputs"] == {"a": "done"}


@pytest.mark.usefixtures("aws_environment")
def test_check(folder: Path, said: Said, fake_aws: FakeAws) -> None:
    """Denied 4, else 6; 0 where all is there."""
    assert run(["pipeline", "check", "pipeline.yaml"]) == 6
    assert "pipeline.yaml:4:37: error[unknown-function]" in "".join(said())
    fake_aws.functions.add("extract", lambda *_: None)
    assert run(["pipeline", "check", "pipeline.yaml"]) == 0
    fake_aws.faults.deny("lambda")
    assert run(["pipeline", "check", "pipeline.yaml"]) == 4
    assert "error[denied]" in "".join(said())
