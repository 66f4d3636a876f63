"""Who started a command leaves it: its terminal is closed, its messages can't be read, or it was to stay."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bunsui_tests.conditions import until

DEFINITION = """\
version: "1.0"
name: p
jobs:
  - {id: a, type: custom, command: [python, wait.py]}
  - {id: b, type: custom, command: [python, -c, "pass"], depends_on: [a]}
"""
#: Starts the command as nohup does: with SIGHUP ignored.
NOHUP = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.execv(sys.argv[1], sys.argv[1:])
"""


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


def test_a_closed_terminal_interrupts(folder: Path) -> None:
    """The exit code is 130, though nothing can be written there any more."""
    master, slave = pty.openpty()
    process = bunsui(folder, "run", "p.yaml", stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    until((folder / "begun").exists)
    os.close(master)
    process.send_signal(signal.SIGHUP)

    assert 130 == process.wait(60)


def test_nohup_lets_a_run_outlive_its_terminal(folder: Path) -> None:
    """A SIGHUP that was ignored when the command started stays ignored."""
    process = bunsui(folder, "run", "p.yaml", before=(sys.executable, "-c", NOHUP), stdout=subprocess.PIPE)
    until((folder / "begun").exists)
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
