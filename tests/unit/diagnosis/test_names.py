"""Whether what definitions may name is there."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from bunsui import Config, Plugins, SecretSource, hookimpl
from bunsui.aws.connections import Connections
from bunsui.diagnosis.check import Check, Status
from bunsui.diagnosis.names import names, secret
from bunsui.ports.services import Services
from bunsui.runner.clock import SystemClock
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.secrets import FakeSecretsManager


class Source(SecretSource):
    def __init__(self, answer: Callable[[], object]) -> None:
        self.answer = answer

    def get(self, key: str) -> str:
        del key
        return self.answer()  # type: ignore[return-value]


class Brings:
    def __init__(self, answer: Callable[[], object]) -> None:
        self.answer = answer

    @hookimpl
    def bunsui_secret_sources(self) -> dict[str, SecretSource]:
        return {"own": Source(self.answer)}


def config(**variables: str) -> Config:
    return Config.load("/", environ={"BUNSUI_CONFIG": os.environ["BUNSUI_CONFIG"], **variables})


def look(found: Config, environ: dict[str, str] | None = None, *plugins: object) -> dict[str, Check]:
    return {check.name: check for check in names(found, Plugins(plugins, autoload=False), environ or {})}


def test_variables() -> None:
    """Set or not; the value is nobody's business."""
    found = look(config(BUNSUI_ENV='["A", "B"]'), {"A": "hunter2"})
    assert [("env A", "ok"), ("env B", "problem")] == [(name, check.status) for name, check in found.items()]
    assert "hunter2" not in repr(found)
    assert "BUNSUI_ENV" in found["env B"].what


def test_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each source is asked, and what it gives is not shown."""
    monkeypatch.setenv("DB", "hunter2")
    (tmp_path / "empty").touch()
    secrets = {
        "good": "env:DB",
        "gone": "env:NOT_SET_ANYWHERE",
        "empty": f"file:{tmp_path}/empty",
        "none": "vlt:x",
    }
    found = look(config(BUNSUI_SECRETS=json.dumps(secrets)))
    assert {
        "secret good": "ok",
        "secret gone": "problem",
        "secret empty": "warning",
        "secret none": "problem",
    } == {name: check.status for name, check in found.items()}
    assert "hunter2" not in repr(found)
    assert all("BUNSUI_SECRETS" in f"{check.what} {check.remedy}" for check in found.values() if check.remedy)


@pytest.mark.usefixtures("aws_environment")
def test_secrets_at_aws(fake_aws: FakeAws) -> None:
    """They are asked for where the configuration says that AWS is."""
    at_aws = FakeSecretsManager()
    at_aws.values["db"] = "hunter2"
    fake_aws.add(at_aws)
    aws = json.dumps({"endpoint_url": fake_aws.url, "region": "us-west-2"})
    secrets = '{"db": "secretsmanager:db", "gone": "secretsmanager:none"}'
    found = look(config(BUNSUI_SECRETS=secrets, BUNSUI_AWS=aws))
    assert ["ok", "problem"] == [check.status for check in found.values()]
    assert "GetSecretValue of 'none' (in us-west-2) failed" in found["secret gone"].what
    assert "hunter2" not in repr(found)


def raises() -> object:
    raise ValueError("hunter2")


@pytest.mark.parametrize("answer", [raises, lambda: 7])
def test_a_source_that_fails(answer: Callable[[], object]) -> None:
    """Is a problem, without what it said."""
    found = look(config(BUNSUI_SECRETS='{"db": "own:x"}'), {}, Brings(answer))
    assert Status.PROBLEM is found["secret db"].status
    assert "hunter2" not in repr(found)


def test_a_source_that_hangs() -> None:
    """Is not waited for."""
    settings = config(BUNSUI_SECRETS='{"db": "own:x"}').names
    plugins = Plugins([Brings(lambda: time.sleep(1) or "x")], autoload=False)
    services = Services(Connections(), SystemClock(), Random(0))
    assert "gave no answer" in secret("db", settings, plugins, services, patience=0.05).what


def test_pools() -> None:
    """One that is larger than its runner is never full."""
    found = look(config(BUNSUI_POOLS='{"a": 4, "b": 5}', BUNSUI_MAX_CONCURRENCY="4"))
    assert [("pool a", "ok"), ("pool b", "warning")] == [
        (name, check.status) for name, check in found.items()
    ]


def test_bindings(tmp_path: Path) -> None:
    """The file is read."""
    path = tmp_path / "b.yaml"
    assert Status.PROBLEM is look(config(BUNSUI_BINDINGS=str(path)))["bindings"].status
    path.write_text("lambda:\n  f: steps:f\n")
    assert f"{path} was read: 1 bound" == look(config(BUNSUI_BINDINGS=str(path)))["bindings"].what
    path.write_text("lambda: 3\n")
    assert Status.PROBLEM is look(config(BUNSUI_BINDINGS=str(path)))["bindings"].status
