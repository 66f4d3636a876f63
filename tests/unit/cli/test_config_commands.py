"""``bunsui config`` in this process, and what other commands take from the configuration."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import yaml

from bunsui.cli.main import run

PIPELINE = """\
version: "1.0"
name: flow
jobs:
  - id: reads
    type: custom
    pool: gpu
    callable: steps:reads
    isolation: process
    parameters: {region: "${env.REGION}", password: "${secrets.db}"}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which the command runs, and a user's file that is not there yet."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setenv("BUNSUI_CONFIG", str(tmp_path / "user" / "config.toml"))
    return project


def test_set_get_list_unset(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The project's file is made here; --user means the user's own."""
    assert 0 == run(["config", "set", "lease", "45"])
    assert 0 == run(["config", "set", "--user", "secrets.db", "env:DB_PASSWORD"])
    assert {"lease": 45} == tomllib.loads((folder / "bunsui.toml").read_text())
    capsys.readouterr()
    assert 0 == run(["config", "get", "lease"])
    assert ("45.0\n", "") == capsys.readouterr()
    assert 0 == run(["config", "get", "secrets.db"])
    assert ("env:DB_PASSWORD\n", "") == capsys.readouterr()
    assert 0 == run(["config", "list", "--show-origin"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["KEY", "VALUE", "ORIGIN"] == lines[0]
    assert ["lease", "45.0", f"{folder}/bunsui.toml:1"] in lines
    assert ["secrets.db", "env:DB_PASSWORD", f"{tmp_path}/user/config.toml:2"] in lines
    assert 0 == run(["config", "unset", "lease"])
    capsys.readouterr()
    assert 0 == run(["config", "get", "lease"])
    assert "30.0\n" == capsys.readouterr().out


def test_the_project_is_found_from_below(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file is changed, and none is made."""
    run(["config", "set", "lease", "45"])
    run(["config", "set", "--user", "lease", "50"])
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    assert 0 == run(["config", "set", "lease", "60"])
    assert {"lease": 60} == tomllib.loads((folder / "bunsui.toml").read_text())
    assert [] == list((folder / "below").iterdir())


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_list_for_programs(folder: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    """Goes to stdout alone, with the same shape in both formats."""
    run(["config", "set", "--user", "pools.gpu", "2"])
    capsys.readouterr()
    assert 0 == run(["config", "list", "--show-origin", "--format", form])
    out, err = capsys.readouterr()
    found = {each["key"]: each for each in (json.loads(out) if form == "json" else yaml.safe_load(out))}
    assert "" == err
    assert {"source": "user", "line": 2, "variable": None} == {
        name: found["pools.gpu"]["origin"][name] for name in ("source", "line", "variable")
    }
    assert 2 == found["pools.gpu"]["value"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["set", "leese", "1"], 2, "bunsui: there is no key 'leese'; did you mean 'lease'?\n"),
        (
            ["set", "lease", "0"],
            2,
            "bunsui: lease is 0; it is a number of seconds above 0, at most a year, such as 30;"
            " try: bunsui config set lease 30\n",
        ),
        (["get", "leese"], 2, "bunsui: there is no key 'leese'; did you mean 'lease'?\n"),
        (["get", "bindings"], 3, "bunsui: 'bindings' is not set; 'bunsui config list' shows what is\n"),
    ],
)
def test_a_wrong_key_or_value(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    """Exit code 2, with an example; 3 for one that is not set."""
    Path(folder.parent / "user").mkdir()
    (folder.parent / "user" / "config.toml").touch(0o600)
    assert code == run(["config", *arguments])
    assert ("", message) == capsys.readouterr()


def test_a_misspelt_variable_is_a_warning(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing else: it may be somebody else's."""
    monkeypatch.delenv("BUNSUI_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    monkeypatch.setenv("BUNSUI_LEESE", "5")
    assert 0 == run(["config", "list"])
    assert "warning: BUNSUI_LEESE is not read; did you mean 'BUNSUI_LEASE'?\n" == capsys.readouterr().err


def test_a_run_takes_what_is_configured(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables, secrets and pools, which no option gives; and the project's store, in the project."""
    (folder / "pipeline.yaml").write_text(PIPELINE)
    (folder / "steps.py").write_text(
        "def reads(region, password):\n    return {'region': region, 'length': len(password)}\n"
    )
    monkeypatch.setenv("REGION", "eu-1")
    monkeypatch.setenv("DB_PASSWORD", "hunter2-hunter2")
    assert 0 == run(["config", "set", "--user", "env", '["REGION"]'])
    assert 0 == run(["config", "set", "--user", "secrets.db", "env:DB_PASSWORD"])
    assert 0 == run(["config", "set", "pools.gpu", "1"])
    assert 0 == run(["config", "set", "store", "sqlite:///here.db"])
    capsys.readouterr()
    assert 0 == run(["run", "pipeline.yaml", "--format", "json"])
    out, _ = capsys.readouterr()
    assert {"region": "eu-1", "length": 15} == json.loads(out)["outputs"]["reads"]
    assert (folder / "here.db").exists()
    assert 2 == run(["config", "set", "pools.gpu", "0"])
    assert 0 == run(["config", "unset", "pools.gpu"])
    assert 2 == run(["run", "pipeline.yaml"])


def test_local_is_configured(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that would run on AWS is then an error that says so."""
    (folder.parent / "user").mkdir()
    (folder.parent / "user" / "config.toml").touch(0o600)
    (folder / "p.yaml").write_text('version: "1.0"\nname: p\njobs:\n  - {id: a, type: lambda, function: f}\n')
    monkeypatch.setenv("BUNSUI_LOCAL", "1")
    assert 2 == run(["run", "p.yaml", "--store", "memory://"])
    assert "the run is local" in capsys.readouterr().err


def test_a_file_that_is_ignored_is_a_line_on_stderr(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not a line of this library's source."""
    (folder / "bunsui.toml").write_text("lease = 5\n")
    (folder / "bunsui.toml").chmod(0o666)
    (folder.parent / "user").mkdir()
    (folder.parent / "user" / "config.toml").touch(0o600)
    assert 0 == run(["config", "get", "lease"])
    out, err = capsys.readouterr()
    assert "30.0\n" == out
    assert err.startswith(f"warning: {folder}/bunsui.toml is ignored: other users may write it")


def test_a_link_that_leads_nowhere(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever has made a project does not choose where its user makes a file."""
    (folder / "bunsui.toml").symlink_to(tmp_path / "elsewhere" / "x")
    assert 2 == run(["config", "set", "lease", "45"])
    assert "bunsui.toml is a link that leads nowhere; remove it" in capsys.readouterr().err
    assert not (tmp_path / "elsewhere").exists()


def test_what_is_not_configured_is_told_with_its_command(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it is typed: what is configured already stays."""
    (folder / "p.yaml").write_text(PIPELINE, encoding="utf-8")
    assert 0 == run(["config", "set", "--user", "env", '["HOME"]'])
    assert 2 == run(["run", "p.yaml", "--store", "memory://"])
    said = capsys.readouterr().err
    assert 'or with: bunsui config set --user env \'["HOME", "REGION"]\'\n' in said
    assert "or with: bunsui config set --user secrets.db env:VARIABLE\n" in said
    assert "or with: bunsui config set pools.gpu 2\n" in said
