"""``session watch``: at a real terminal, through a pipe, and as JSON, on a session of another process."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from bunsui_tests.conditions import until

DEFINITION = """\
version: "1.0"
name: flow
jobs:
  - {id: a, type: custom, command: [python, wait.py]}
  - {id: each, type: custom, command: [python, wait.py], for_each: [1, 2, 3], max_concurrency: 1,
     depends_on: [a]}
  - {id: bad, type: custom, command: [python, -c, "import sys; sys.exit(3)"], depends_on: [each]}
"""


def bunsui(folder: Path, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """A command on the store of the folder."""
    environment = os.environ | {"BUNSUI_STORE": "sqlite:///s.db", "TERM": "xterm"} | options.pop("env", {})
    for name in ("COLUMNS", "LINES"):  # They would be taken for the terminal's size.
        environment.pop(name, None)
    command = [sys.executable, "-m", "bunsui", *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment, **options)


@pytest.fixture
def running(folder: Path) -> Any:
    """The id of a session that another process drives, whose first job waits."""
    process = bunsui(
        folder, "run", "p.yaml", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    session = process.stdout.readline().decode().split()[1]
    until((folder / "begun").exists)
    yield session
    (folder / "go").touch()
    process.communicate(timeout=60)


class Terminal:
    """A terminal on which a session is watched."""

    def __init__(self, folder: Path, session: str, rows: int, columns: int, **env: str) -> None:
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), slave)
        self.process = bunsui(folder, "session", "watch", session, env=env, start_new_session=True, **streams)
        os.close(slave)
        self.text = ""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_until(self, *words: str) -> str:
        """What was written since the last call, up to all of these words or the end."""
        read = ""
        deadline = time.monotonic() + 60
        while not (words and all(word in read for word in words)):
            assert time.monotonic() < deadline, read
            if not select.select([self.master], [], [], 1)[0]:
                continue
            try:
                got = os.read(self.master, 65536).decode(errors="replace")
            except OSError:  # Linux says so when the other end is closed.
                got = ""
            if not got:
                assert not words, read
                break
            read += got
        self.text += read
        return read

    def close(self) -> int:
        os.close(self.master)
        return self.process.wait(60)


@pytest.mark.parametrize(("rows", "columns"), [(40, 100), (3, 12), (500, 500)])
def test_a_table_until_it_rests(folder: Path, running: str, rows: int, columns: int) -> None:
    """Jobs, statuses and the progress of a fan-out; exit code 0 though it fails; the cursor is back."""
    terminal = Terminal(folder, running, rows, columns)
    terminal.read_until("session")
    if columns > 20:
        terminal.read_until("running", "a ", "JOB", "2 pending")
    (folder / "go").touch()
    terminal.read_until()
    assert 0 == terminal.close()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.text)
    assert terminal.text.rindex("\x1b[?25h") > terminal.text.rindex("\x1b[?25l")
    assert f"session {running} failed in" in plain
    if columns > 20:
        assert "3 of 3 items" in plain
        assert "ExitCode.3" in plain


def test_ctrl_c_stops_the_watching_alone(folder: Path, running: str) -> None:
    """Exit code 130, how to see it again, and the session goes on."""
    terminal = Terminal(folder, running[:5], 24, 80)
    terminal.read_until("running")
    terminal.process.send_signal(signal.SIGINT)
    assert f"bunsui session watch {running}" in terminal.read_until().replace("\r\n", "")
    assert 130 == terminal.close()
    status = bunsui(folder, "session", "status", running, "--format", "json", stdout=subprocess.PIPE)
    assert "running" == json.loads(status.communicate(timeout=60)[0])["status"]


def test_it_fits_a_terminal_that_changes(folder: Path, running: str) -> None:
    """The next drawing has the new width."""
    terminal = Terminal(folder, running, 24, 30)
    assert "SECONDS" not in terminal.read_until("running", "STATUS")
    terminal.resize(24, 200)
    terminal.read_until("SECONDS")
    (folder / "go").touch()
    terminal.read_until()
    assert 0 == terminal.close()


def test_no_colours_where_none_are_wanted(folder: Path, running: str) -> None:
    """NO_COLOR leaves bold and the cursor's moves."""
    terminal = Terminal(folder, running, 24, 80, NO_COLOR="1")
    (folder / "go").touch()
    terminal.read_until()
    assert 0 == terminal.close()
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", terminal.text)


def test_through_a_pipe_it_is_a_line_for_each_change(folder: Path, running: str) -> None:
    """As a run prints them, without control characters; also of what happened before."""
    watching = bunsui(folder, "session", "watch", running, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    first = [watching.stdout.readline().decode().split() for _ in range(2)]
    assert [["session", running], ["a", "running", "attempt", "1"]] == first
    (folder / "go").touch()
    out, err = watching.communicate(timeout=60)
    lines = out.decode().splitlines()
    assert (0, b"") == (watching.returncode, err)
    assert b"\x1b" not in out
    assert any(line.startswith("each[2]  succeeded  attempt 1") for line in lines)
    assert lines[-1].startswith(f"session {running} failed in")


def test_a_reader_that_has_gone(folder: Path, running: str) -> None:
    """The watching ends with the next change, long before the session rests."""
    command = ("session", "watch", running, "--format", "json")
    watching = bunsui(folder, *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert watching.stdout is not None
    assert b"SessionCreated" in watching.stdout.readline()
    watching.stdout.close()
    assert 0 == bunsui(folder, "session", "pause", running, stderr=subprocess.DEVNULL).wait(60)
    assert 0 == watching.wait(60)
    assert b"" == watching.communicate()[1]
    assert '"running"' in json_status(folder, running)


def json_status(folder: Path, session: str) -> str:
    """What ``session status`` prints of a session."""
    command = ("session", "status", session, "--format", "json")
    return bunsui(folder, *command, stdout=subprocess.PIPE).communicate(timeout=60)[0].decode()


def test_as_json_it_is_a_line_for_each_event(folder: Path, running: str) -> None:
    """Each with the session's id, the event's name, its time and its fields, from beginning to end."""
    watching = bunsui(folder, "session", "watch", "@last", "--format", "json", stdout=subprocess.PIPE)
    lines = [watching.stdout.readline()]
    (folder / "go").touch()
    lines += watching.communicate(timeout=60)[0].splitlines()
    events = [json.loads(line) for line in lines]
    assert {running} == {event["session_id"] for event in events}
    assert ("SessionCreated", "SessionFailed") == (events[0]["event"], events[-1]["event"])
    assert all(event["at"].endswith("Z") for event in events)


def test_one_that_nobody_drives(folder: Path) -> None:
    """It says so and how to go on, waits, and follows who does."""
    process = bunsui(
        folder, "run", "p.yaml", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    session = process.stdout.readline().decode().split()[1]
    until((folder / "begun").exists)
    process.kill()
    process.communicate(timeout=60)
    terminal = Terminal(folder, session, 24, 100)
    terminal.read_until("nobody drives it; continue it with: bunsui session resume")
    watching = bunsui(folder, "session", "watch", session, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said = watching.stderr.readline().decode()
    assert said.startswith(f"nobody drives it; continue it with: bunsui session resume {session} --store ")
    (folder / "go").touch()
    assert 1 == bunsui(folder, "session", "resume", session, stdout=subprocess.DEVNULL).wait(60)
    terminal.read_until()
    assert 0 == terminal.close()
    watching.communicate(timeout=60)
    assert 0 == watching.returncode


def test_one_that_is_paused(folder: Path, running: str) -> None:
    """Watching ends there, with how to go on; exit code 0."""
    pause = bunsui(folder, "session", "pause", running, stderr=subprocess.DEVNULL)
    assert 0 == pause.wait(60)
    (folder / "go").touch()
    watching = bunsui(folder, "session", "watch", running, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = watching.communicate(timeout=60)
    assert 0 == watching.returncode
    assert out.decode().endswith(f"\nsession {running} paused (user)\n")
    assert err.decode().startswith(f"continue it with: bunsui session resume {running} --store ")


def test_one_that_does_not_exist(folder: Path) -> None:
    """Exit code 3."""
    assert 3 == bunsui(folder, "session", "watch", "nobody", stderr=subprocess.DEVNULL).wait(60)
