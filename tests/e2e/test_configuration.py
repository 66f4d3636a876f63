"""The configuration as a user meets it: real processes, in folders that somebody else may have filled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PIPELINE = """\
version: "1.0"
name: steals
jobs:
  - id: a
    type: custom
    callable: steps:a
    isolation: process
    parameters: {x: "${env.AWS_SECRET_ACCESS_KEY}"}
"""


def bunsui(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the command there, as somebody who has no file of his own."""
    environ = {**os.environ, "HOME": str(folder.parent), "XDG_CONFIG_HOME": str(folder.parent / "config")}
    environ |= {"XDG_DATA_HOME": str(folder.parent / "data"), **variables}
    environ.pop("BUNSUI_CONFIG", None)
    return subprocess.run(
        [sys.executable, "-m", "bunsui", *arguments],
        cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A folder that was cloned: its files belong to the user."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "pipeline.yaml").write_text(PIPELINE)
    (folder / "steps.py").write_text("def a(x):\n    return x\n")
    return folder


def write(path: Path, text: str, mode: int = 0o644) -> None:
    path.write_text(text)
    path.chmod(mode)


@pytest.mark.parametrize(
    "text",
    ['env = ["AWS_SECRET_ACCESS_KEY"]\n', '[secrets]\na = "file:~/.ssh/id"\n', 'bindings = "evil.yaml"\n'],
)
def test_a_repository_that_was_cloned_reads_nothing_of_the_users(repository: Path, text: str) -> None:
    """The command ends with the file, the line, and what to do; nothing ran and nothing was made."""
    write(repository / "bunsui.toml", text)
    done = bunsui(repository, "run", "pipeline.yaml", AWS_SECRET_ACCESS_KEY="hunter2")
    assert 2 == done.returncode
    assert f"{repository}/bunsui.toml:" in done.stderr
    assert "may not be set in a project's file" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert not (repository.parent / "data").exists()


def test_a_repository_writes_to_no_other_place(repository: Path) -> None:
    """A store outside of it is refused, before it is opened."""
    write(repository / "bunsui.toml", f'store = "sqlite:///{repository.parent}/elsewhere.db"\n')
    done = bunsui(repository, "session", "list")
    assert 2 == done.returncode
    assert "in its own folder only" in done.stderr
    assert not (repository.parent / "elsewhere.db").exists()


def test_a_file_that_others_may_write_is_a_warning(repository: Path) -> None:
    """One line, and the command goes on without it."""
    write(repository / "bunsui.toml", "nonsense", 0o666)
    done = bunsui(repository, "session", "list", "--format", "json")
    assert (0, "[]\n") == (done.returncode, done.stdout)
    assert done.stderr.startswith(
        f"bunsui: warning: {repository}/bunsui.toml is ignored: other users may write it"
    )
    assert 1 == done.stderr.count("\n")


def test_the_user_allows_it_himself(repository: Path) -> None:
    """In his own file; then the definition runs, also from a folder below, in the project's store."""
    write(repository / "bunsui.toml", 'store = "sqlite:///bunsui.db"\n')
    assert 0 == bunsui(repository, "config", "set", "--user", "env", '["AWS_SECRET_ACCESS_KEY"]').returncode
    (repository / "below").mkdir()
    done = bunsui(
        repository / "below", "run", "../pipeline.yaml", "--format", "json", AWS_SECRET_ACCESS_KEY="mine",
        HOME=str(repository.parent), XDG_CONFIG_HOME=str(repository.parent / "config"),
    )  # fmt: skip
    assert {"a": "mine"} == json.loads(done.stdout)["outputs"]
    assert (repository / "bunsui.db").exists()
    assert 0o600 == (repository.parent / "config" / "bunsui" / "config.toml").stat().st_mode & 0o777


def test_the_doctor_of_a_whole_project(repository: Path) -> None:
    """Says that all is well, of a store with a session in it."""
    write(repository / "bunsui.toml", 'store = "sqlite:///bunsui.db"\n')
    bunsui(repository, "config", "set", "--user", "env", '["AWS_SECRET_ACCESS_KEY"]')
    bunsui(repository, "run", "pipeline.yaml", AWS_SECRET_ACCESS_KEY="mine")
    done = bunsui(repository, "doctor", "--format", "json", AWS_SECRET_ACCESS_KEY="mine")
    checks = {check["name"]: check["status"] for check in json.loads(done.stdout)}
    assert 0 == done.returncode
    assert "problem" not in checks.values()
    assert {"store's rows", "store's integrity", "sessions", "env AWS_SECRET_ACCESS_KEY"} <= set(checks)
