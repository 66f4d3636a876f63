"""Commands that are proposed find the store that was used, from any folder and any terminal."""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from bunsui import Plugins
from bunsui.cli.main import run
from bunsui.cli.stores import again
from bunsui.stores.urls import sqlite_path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, of a user who has configured nothing."""
    monkeypatch.delenv("BUNSUI_STORE", raising=False)
    monkeypatch.setenv("BUNSUI_CONFIG", "/dev/null")
    found = tmp_path / "the project's"
    found.mkdir()
    monkeypatch.chdir(found)
    return found


def meant(proposed: str) -> Path | None:
    """The file that the proposed option means, read as a shell reads it."""
    option, url = shlex.split(proposed)
    assert "--store" == option
    return sqlite_path(url)


def test_a_store_that_counts_everywhere_is_not_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default, and that of the user's file."""
    assert "" == again(None)
    user = tmp_path / "config.toml"
    user.write_text('store = "sqlite:////somewhere/of/mine.db"\n')
    user.chmod(0o600)
    monkeypatch.setenv("BUNSUI_CONFIG", str(user))
    assert "" == again(None)


def test_an_option_is_named_with_its_folder(folder: Path) -> None:
    """Also where its path is relative, and needs quotes."""
    assert folder / "my other.db" == meant(again("sqlite:///my%20other.db"))


def test_a_folder_whose_name_is_no_utf8_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that is proposed opens the same file, and makes no other."""
    found = folder / os.fsdecode(b"n\xff")
    try:
        found.mkdir()
    except OSError:
        pytest.skip("this disk takes no such name")
    monkeypatch.chdir(found)
    proposed = again("sqlite:///s.db")
    assert found / "s.db" == meant(proposed)
    store = Plugins(autoload=False).open_store(shlex.split(proposed)[1])
    store.close()
    assert found / "s.db" == store.path


def test_the_environment_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been set for that command only."""
    monkeypatch.setenv("BUNSUI_STORE", "sqlite:///s.db")
    assert folder / "s.db" == meant(again(None))


def test_a_project_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file counts in its folder only."""
    (folder / "bunsui.toml").write_text('store = "sqlite:///s.db"\n')
    (folder / "bunsui.toml").chmod(0o600)
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    assert folder / "s.db" == meant(again(None))


def test_no_password_is_shown(folder: Path) -> None:
    """Of a plugin's store."""
    assert " --store 'pg://me:***@host/db'" == again("pg://me:hunter2@host/db")


COMMANDS = (["session", "list"], ["session", "status", "@last"], ["run", "/pipeline.yaml"])


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_working_directory_that_was_removed(
    folder: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A relative store is then nowhere: that is said, with what helps."""
    (folder / "gone").mkdir()
    os.chdir(folder / "gone")
    (folder / "gone").rmdir()
    assert 6 == run([*command, "--store", "sqlite:///rel.db"])
    assert (
        "bunsui: store rel.db can't be found: the working directory was removed; go to another folder, or"
        " name the store by its whole path, as in sqlite:////srv/bunsui.db\n"
    ) == capsys.readouterr().err
    assert 1 == run(["doctor", "--store", "sqlite:///rel.db"])


def test_links_in_a_circle(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are the system's error, as any other file that can't be opened; doctor goes on to its end."""
    (folder / "loop.db").symlink_to("loop.db")
    url = f"sqlite:///{folder}/loop.db"
    assert 6 == run(["session", "list", "--store", url])
    assert f"store {folder}/loop.db: {os.strerror(errno.ELOOP)}" in capsys.readouterr().err
    assert 1 == run(["doctor", "--store", url])


def test_no_process_for_the_background(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the system starts none, it is said; nothing has begun."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert 1 == run(["session", "start", "./p.yaml", "--detach", "--store", "sqlite:///x.db"])
    said = "the background process can't be started: Resource temporarily unavailable; run it here, without"
    assert f"{said} --detach\n" == capsys.readouterr().err
