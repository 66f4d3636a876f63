"""Who started a command leaves it: its terminal is closed, its messages can't be read, or it was to stay."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

DEFINITION = """\
version: "1.0"
name: p
jobs:
  - {id: a, type: custom, command: [python, wait.py]}
  - {id: b, type: custom, command: [python, -c, "pass"], depends_on: [a]}
"""
WAIT = """\
import pathlib, time
pathlib.Path("begun").touch()
while not pathlib.Path("go").exists():
    time.sleep(0.02)
"""
#: Starts the command as nohup does: with SIGHUP ignored.
NOHUP = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a pipeline whose first job waits for the file ``go``."""
    (tmp_path / "p.yaml").write_text(DEFINITION, encoding="utf-8")
    (tmp_path / "wait.py").write_text(WAIT, encoding="utf-8")
    return tmp_path


def bunsui(
    folder: Path, *arguments: str, before: tuple[str, ...] = (), **streams: Any
) -> subprocess.Popen[bytes]:
    """A command on the store of the folder."""
    return subprocess.Popen(
        [*before, sys.executable, "-m", "bunsui", *arguments, "--store", f"sqlite:///{folder}/s.db"],
        cwd=folder,
        start_new_session=True,
        **streams,
    )


def until_begun(folder: Path) -> None:
    """Returns when the first job runs."""
    deadline = time.monotonic() + 60
    while not (folder / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_closed_terminal_interrupts(folder: Path) -> None:
    """The exit code is 130, though nothing can be written there any more."""
    master, slave = pty.openpty()
    process = bunsui(folder, "run", "p.yaml", stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    until_begun(folder)
    os.close(master)
    process.send_signal(signal.SIGHUP)

    assert 130 == process.wait(60)


def test_nohup_lets_a_run_outlive_its_terminal(folder: Path) -> None:
    """A SIGHUP that was ignored when the command started stays ignored."""
    process = bunsui(folder, "run", "p.yaml", before=(sys.executable, "-c", NOHUP), stdout=subprocess.PIPE)
    until_begun(folder)
    process.send_signal(signal.SIGHUP)
    (folder / "go").touch()

    said, _ = process.communicate(timeout=60)
    assert (0, True) == (process.returncode, b"succeeded in" in said)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("run", "no.yaml"), 2), (("session", "list", "--limit", "x"), 2), (("session", "status", "no"), 3)],
)
def test_a_message_that_cannot_be_written_changes_no_exit_code(
    folder: Path, arguments: tuple[str, ...], code: int
) -> None:
    """Who looks at the exit code alone learns the same with a full disk behind stderr."""
    with Path("/dev/full").open("wb") as full:
        assert code == bunsui(folder, *arguments, stderr=full).wait(60)
