"""``--log-level`` and ``--log-format``: the log of bunsui itself, on stderr."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bunsui.cli.main import run
from bunsui.logging import json_schema

PIPELINE = """
version: "1.0"
name: p
jobs:
  - {id: a, type: custom, command: ["false"], retry: {max_attempts: 2, delay: 0}}
"""
#: Those above DEBUG.
TOLD = ["SessionStarted", "AttemptFailed", "JobFailed", "SessionFailed"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a pipeline; no test leaves a handler or a level behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BUNSUI_STORE", "memory://")
    (tmp_path / "p.yaml").write_text(PIPELINE)
    logger = logging.getLogger("bunsui")
    before = logger.level, [*logger.handlers]
    yield tmp_path
    assert before == (logger.level, logger.handlers)


def events(text: str) -> list[str]:
    """The events of lines of JSON, each of which has to be what the schema says."""
    found = [json.loads(line) for line in text.splitlines()]
    for record in found:
        jsonschema.validate(record, json_schema())
        assert record["session"]
    return [record["fields"]["event"] for record in found]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "p.yaml", "--log-format", "json", "--log-level", "info"], TOLD),
        (["--log-format", "json", "--log-level", "INFO", "run", "p.yaml"], TOLD),
        (["--log-format", "json", "run", "p.yaml"], TOLD),
        (["--log-format", "json", "--log-level", "debug", "run", "p.yaml", "--log-level", "error"], TOLD[2:]),
        (["--log-level", "warning", "run", "p.yaml", "--log-format", "json"], TOLD[1:]),
        (["run", "p.yaml", "--log-format", "json", "--log-level", "critical"], []),
    ],
)
def test_options(arguments: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A line of JSON for each record, wherever they stand; those of a command count more."""
    assert 1 == run(arguments)
    assert expected == events(capsys.readouterr().err)


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    """The format of whoever says only the level; stdout is as without."""
    assert 1 == run(["run", "p.yaml", "--log-level", "error"])
    out, err = capsys.readouterr()
    assert ["ERROR    bunsui.sessions: job failed", "ERROR    bunsui.sessions: session failed"] == [
        line[28:].partition(" session=")[0] for line in err.splitlines()
    ]
    assert "bunsui.sessions" not in out


def test_without(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written."""
    assert 1 == run(["run", "p.yaml"])
    assert "" == capsys.readouterr().err


def test_the_configuration(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its keys, and variables, say the same; an option counts more."""
    (folder / "bunsui.toml").write_text('log_level = "warning"\nlog_format = "json"\n')
    (folder / "bunsui.toml").chmod(0o644)
    assert 1 == run(["run", "p.yaml"])
    assert TOLD[1:] == events(capsys.readouterr().err)
    monkeypatch.setenv("BUNSUI_LOG_LEVEL", "ERROR")
    assert 1 == run(["run", "p.yaml"])
    assert TOLD[2:] == events(capsys.readouterr().err)
    assert 1 == run(["run", "p.yaml", "--log-level", "info"])
    assert TOLD == events(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("BUNSUI_LOG_LEVEL", "BUNSUI_LOG_LEVEL is 'x'; it is one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ("BUNSUI_LOG_FORMAT", "BUNSUI_LOG_FORMAT is 'x'; it is text or json"),
    ],
)
def test_a_wrong_configuration(
    variable: str, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that needs it says so, once; others go on, so that it can be mended."""
    monkeypatch.setenv(variable, "x")
    assert (2, 0) == (run(["run", "p.yaml"]), run(["explain"]))
    assert f"bunsui: {message}\n" == capsys.readouterr().err


@pytest.mark.parametrize("option", ["--log-level", "--log-format"])
def test_a_wrong_option(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is wrong usage."""
    assert 2 == run(["run", "p.yaml", option, "x"])
    assert f"Invalid value for '{option}': 'x' is not one of" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "session start", "session resume", "session rerun"])
def test_commands_that_have_them(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Those that drive a session."""
    assert 0 == run([*command.split(), "--help"])
    assert "--log-format [text|json]" in capsys.readouterr().out


def test_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """It can be printed."""
    assert 0 == run(["schema", "--log"])
    assert json_schema() == json.loads(capsys.readouterr().out)


def bunsui(*arguments: str, **given: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "bunsui", *arguments], text=True, check=False, **given)


def test_nobody_reads_stderr() -> None:
    """The exit code is the session's."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        done = bunsui("run", "p.yaml", "--log-level", "debug", stdout=subprocess.PIPE, stderr=gone)
    assert 1 == done.returncode
    assert "failed in" in done.stdout


def test_in_the_background(folder: Path) -> None:
    """It is written where the messages of the process go."""
    done = bunsui(
        *("session", "start", "p.yaml", "--detach", "--store", "sqlite:///s.db"),
        *("--log-level", "info", "--log-format", "json"),
        capture_output=True,
    )
    assert 0 == done.returncode
    log = folder / "s.db-logs" / done.stdout.strip() / "runner.log"
    until = time.monotonic() + 30
    while "SessionFailed" not in log.read_text():
        assert time.monotonic() < until
        time.sleep(0.02)
    assert TOLD == events("\n".join(line for line in log.read_text().splitlines() if line.startswith("{")))
