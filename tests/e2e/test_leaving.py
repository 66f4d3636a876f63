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


QUICK = """\
version: "1.0"
name: quick
jobs:
  - {id: a, type: custom, command: [python, -c, "%s"]}
"""


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pipeline that succeeds, one that fails, and sessions of them."""
    folder = tmp_path_factory.mktemp("quick")
    (folder / "good.yaml").write_text(QUICK % "print(2)", encoding="utf-8")
    (folder / "bad.yaml").write_text(QUICK % "print(1); raise SystemExit(3)", encoding="utf-8")
    for name, code in (("good", 0), ("bad", 1)):
        process = bunsui(folder, "run", f"{name}.yaml", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert code == process.wait(60)
    return folder


#: Commands that print something, and their exit codes.
PRINTING = [
    (("session", "list"), 0),
    (("session", "list", "--format", "json"), 0),
    (("session", "status", "@last"), 0),
    (("session", "watch", "@last"), 0),
    (("logs", "filter", "@last"), 0),
    (("logs", "tail", "-f", "@last"), 0),
    (("logs", "download", "@last", "-o", "-"), 0),
    (("session", "start", "good.yaml"), 0),
    (("session", "start", "good.yaml", "--format", "json"), 0),
    (("session", "start", "bad.yaml"), 1),
    (("session", "start", "bad.yaml", "--format", "json"), 1),
]


@pytest.mark.parametrize(("arguments", "code"), PRINTING)
def test_a_reader_that_has_gone_is_no_failure(quick: Path, arguments: tuple[str, ...], code: int) -> None:
    """As `| head` goes: the exit code is the command's own, and nothing is said."""
    read, write = os.pipe()
    os.close(read)
    process = bunsui(quick, *arguments, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    _, said = process.communicate(timeout=60)
    assert (code, b"") == (process.returncode, said)


@pytest.mark.parametrize("arguments", [("--help",), ("schema",), ("explain",), ("config", "list")])
def test_nor_is_it_of_what_needs_no_store(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Also where click prints."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "bunsui", *arguments]
    done = subprocess.run(command, cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (0, b"") == (done.returncode, done.stderr)


@pytest.mark.parametrize(("arguments", "code"), PRINTING)
def test_a_stdout_that_is_closed(quick: Path, arguments: tuple[str, ...], code: int) -> None:
    """As with `>&-`: the exit code is the command's own, and no file that it opens is taken for stdout."""
    process = bunsui(quick, *arguments, before=("sh", "-c", 'exec "$@" >&-', "sh"), stderr=subprocess.PIPE)
    _, said = process.communicate(timeout=60)
    assert (code, b"") == (process.returncode, said)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("arguments", [arguments for arguments, _ in PRINTING])
def test_an_output_that_is_lost_is_told(quick: Path, arguments: tuple[str, ...]) -> None:
    """Whoever wanted it knows: exit code 1, and why. The session has run all the same."""
    with Path("/dev/full").open("wb") as full:
        process = bunsui(quick, *arguments, stdout=full, stderr=subprocess.PIPE)
        _, said = process.communicate(timeout=60)
    assert (1, b"bunsui: the output can't be written: No space left on device\n") == (
        process.returncode,
        said,
    )
