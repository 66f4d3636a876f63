"""``bunsui doctor`` in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bunsui.cli.main import run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BUNSUI_STORE", f"sqlite:///{tmp_path}/store.db")
    monkeypatch.setenv("BUNSUI_DISABLE_PLUGIN_AUTOLOAD", "1")
    return tmp_path


def found(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in json.loads(capsys.readouterr().out)}


def test_nothing_is_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, and nothing is made."""
    assert 0 == run(["doctor", "--format", "json"])
    assert all(set(check) == {"name", "status", "what", "remedy"} for check in found(capsys).values())
    assert not (folder / "store.db").exists()


def test_a_problem(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1; each that is not well has a remedy."""
    (folder / "store.db").write_bytes(b"no database" * 1000)
    assert 1 == run(["doctor", "--format", "json"])
    checks = found(capsys)
    assert "problem" == checks["store"]["status"]
    assert all((check["status"] == "ok") == (check["remedy"] is None) for check in checks.values())
    assert 1 == run(["doctor"])
    assert "\nproblem  store: " in capsys.readouterr().out


def test_a_configuration_that_is_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Is a problem with its line, and the rest is still looked at."""
    (folder / "bunsui.toml").write_text("lease = 5\nleese = 6\n")
    (folder / "bunsui.toml").chmod(0o600)
    assert 1 == run(["doctor", "--format", "json", "--store", "memory://"])
    checks = found(capsys)
    assert f"{folder}/bunsui.toml:2: there is no key 'leese'" == checks["configuration"]["what"]
    assert "did you mean 'lease'?" == checks["configuration"]["remedy"]
    assert "ok" == checks["store's writes"]["status"]


@pytest.mark.parametrize("mode", [0o600, 0o666])
def test_files(folder: Path, capsys: pytest.CaptureFixture[str], mode: int) -> None:
    """What was read, and what was left out: a warning, which is no failure."""
    (folder / "bunsui.toml").write_text("lease = 5\n")
    (folder / "bunsui.toml").chmod(mode)
    assert 0 == run(["doctor", "--format", "table"])
    out = capsys.readouterr().out
    line = "bunsui.toml of the project was read" if mode == 0o600 else "bunsui.toml is ignored: other users"
    assert line in out


def test_a_secret_is_not_shown(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its value, nor what stands in place of a reference."""
    monkeypatch.setenv("DB", "hunter2")
    monkeypatch.setenv("BUNSUI_SECRETS", '{"a": "env:DB", "b": "hunter2:x"}')
    assert 1 == run(["doctor"])
    captured = capsys.readouterr()
    assert "hunter2" not in captured.out + captured.err
    assert "ok       secret a: its source gave a text" in captured.out
    assert "problem  secret b: " in captured.out
