"""``session start --detach``: a session whose command has ended, and whose terminal is gone."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bunsui_tests.conditions import until

DEFINITION = """\
version: "1.0"
name: flow
parameters:
  - {name: n, type: integer, default: 1}
jobs:
  - {id: a, type: custom, command: [python, wait.py], parameters: {n: "${n}"}}
  - {id: b, type: custom, command: [python, -c, "pass"], depends_on: [a]}
"""


def bunsui(folder: Path, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """A command that has ended, in the folder, on its store."""
    options = {"cwd": folder, "capture_output": True, "text": True, "timeout": 120} | more
    environment = os.environ | {"BUNSUI_STORE": "sqlite:///s.db"}
    command = [sys.executable, "-m", "bunsui", *arguments]
    return subprocess.run(command, env=environment, check=False, **options)


def status(folder: Path, session: str) -> dict[str, Any]:
    return json.loads(bunsui(folder, "session", "status", session, "--format", "json").stdout)


def processes(folder: Path) -> list[int]:
    """The background processes whose working directory is the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes()
            if b"bunsui.cli.background" in command and (path / "cwd").resolve() == folder.resolve():
                found.append(int(path.name))
        except OSError:
            continue
    return found


def test_it_prints_the_id_alone_and_goes_on(folder: Path) -> None:
    """Exit code 0 while the first job waits; later the session succeeds, and no process of ours is left."""
    started = bunsui(folder, "session", "start", "p.yaml", "--detach", "-p", "n=12345678")
    assert 0 == started.returncode
    assert re.fullmatch(r"[a-z2-7]{16}\n", started.stdout)
    session = started.stdout.strip()
    assert "running" == status(folder, session)["status"]
    until((folder / "begun").exists)
    (process,) = processes(folder)
    # Neither parameters nor store can be read by others, and nothing of it is at a terminal.
    assert b"12345678" not in Path(f"/proc/{process}/cmdline").read_bytes()
    assert process == os.getsid(process)
    log = Path(started.stderr.removeprefix("it runs in the background; log: ").strip())
    streams = [Path(f"/proc/{process}/fd/{number}").resolve() for number in (0, 1, 2)]
    assert [Path(os.devnull), log.resolve(), log.resolve()] == streams
    assert 0o600 == log.stat().st_mode & 0o777
    (folder / "go").touch()
    until(lambda: not processes(folder))
    ended = status(folder, session)
    assert ("succeeded", {"n": 12345678}) == (ended["status"], ended["parameters"])
    assert f"session {session} succeeded in" in log.read_text(encoding="utf-8")


def test_its_messages_outlive_it_where_logs_do_not(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are no log of a job: they stay beside the store, also where the logs go with the runner."""
    monkeypatch.setenv("BUNSUI_LOGS", "none")
    (folder / "go").touch()
    started = bunsui(folder, "session", "start", "p.yaml", "--detach")
    session = started.stdout.strip()
    log = Path(started.stderr.removeprefix("it runs in the background; log: ").strip())
    until(lambda: not processes(folder))
    assert f"s.db-logs/runner-{session}.log" in str(log)
    assert f"session {session} succeeded in" in log.read_text(encoding="utf-8")


def test_it_outlives_its_terminal(folder: Path) -> None:
    """A terminal that is closed, and the SIGHUP to all that stood in it, do not reach it."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "bunsui", "session", "start", "p.yaml", "--detach"]
    environment = os.environ | {"BUNSUI_STORE": "sqlite:///s.db"}
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), slave)
    process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **streams)
    os.close(slave)
    assert 0 == process.wait(60)
    os.close(master)
    until((folder / "begun").exists)
    (background,) = processes(folder)
    os.kill(background, signal.SIGHUP)
    (folder / "go").touch()
    until(lambda: not processes(folder))
    assert "succeeded" == status(folder, "@last")["status"]


def test_a_killed_one_leaves_a_session_that_can_be_resumed(folder: Path) -> None:
    """kill -9 of the background process: resume finishes it."""
    session = bunsui(folder, "session", "start", "p.yaml", "--detach").stdout.strip()
    until((folder / "begun").exists)
    (process,) = processes(folder)
    os.kill(process, signal.SIGKILL)
    until(lambda: not processes(folder))
    (folder / "go").touch()
    resumed = bunsui(folder, "session", "resume", session[:6], "--format", "json")
    assert (0, "succeeded") == (resumed.returncode, json.loads(resumed.stdout)["status"])


def test_sigterm_lets_go_of_it(folder: Path) -> None:
    """The claim is released: another runner takes the session over at once."""
    session = bunsui(folder, "session", "start", "p.yaml", "--detach").stdout.strip()
    until((folder / "begun").exists)
    (process,) = processes(folder)
    os.kill(process, signal.SIGTERM)
    until(lambda: not processes(folder))
    (folder / "go").touch()
    assert 0 == bunsui(folder, "session", "resume", session).returncode


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["p.yaml", "-p", "n=x"], 2, "parameter 'n' must be a whole number"),
        (["p.yaml", "-p", "@no.json"], 2, "no.json: error[unreadable-file]"),
        (["p.yaml", "--bindings", "no.yaml"], 2, "no.yaml"),
        (["flow"], 3, "there is no file 'flow', and there is no pipeline 'flow' in this store"),
        (["bad.yaml"], 2, "bad.yaml:1:1: error["),
        (["p.yaml", "--store", "memory://"], 2, "a store in memory ends with its process"),
        (["p.yaml", "--store", "sqlite:///p.yaml"], 6, "p.yaml"),
        (
            ["p.yaml", "--store", "sqlite:///p.yaml/s.db"],
            6,
            "p.yaml/s.db can't be made: Not a directory; name an",
        ),
        (["p.yaml", "--format", "json"], 2, "--detach prints the session's id alone"),
    ],
)
def test_what_is_wrong_is_told_at_once(folder: Path, arguments: list[str], code: int, said: str) -> None:
    """With the exit code that a run in the foreground has; no session, no process and no log is left."""
    (folder / "bad.yaml").write_text("[]\n", encoding="utf-8")
    done = bunsui(folder, "session", "start", *arguments, "--detach")
    assert (code, "") == (done.returncode, done.stdout)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    until(lambda: not processes(folder))
    assert [] == json.loads(bunsui(folder, "session", "list", "--format", "json").stdout)
    assert [] == [*folder.glob("*-logs/*")]


def test_a_process_that_falls_is_not_taken_for_a_session(folder: Path) -> None:
    """What it said comes here, and the exit code is not 0."""
    (folder / "broken").mkdir()
    (folder / "broken" / "sitecustomize.py").write_text(
        "import os, sys\nif 'bunsui.cli.background' in sys.orig_argv:\n"
        "    os.write(2, b'no memory')\n    os._exit(9)\n",
        encoding="utf-8",
    )
    path = os.pathsep.join(filter(None, (str(folder / "broken"), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"BUNSUI_STORE": "sqlite:///s.db", "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-m", "bunsui", "session", "start", "p.yaml", "--detach"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (1, "") == (done.returncode, done.stdout)
    assert "no memory" in done.stderr
    assert "the background process ended with 9 before it said that the session had begun" in done.stderr


def test_parameters_from_standard_input(folder: Path) -> None:
    """-p @- is read by the command, not by the process behind it."""
    (folder / "go").touch()
    done = bunsui(folder, "session", "start", "p.yaml", "--detach", "-p", "@-", input='{"n": 7}')
    until(lambda: not processes(folder))
    assert {"n": 7} == status(folder, done.stdout.strip())["parameters"]


def test_a_folder_that_may_only_be_read(tmp_path: Path, folder: Path) -> None:
    """Relative paths of store and bindings lead from there, and nothing is written into it."""
    (folder / "go").touch()
    here = folder / "here"
    here.mkdir()
    (here / "bindings.yaml").write_text("{}\n", encoding="utf-8")
    here.chmod(0o500)
    before = sorted(here.iterdir())
    try:
        done = bunsui(
            here, "session", "start", "../p.yaml", "--detach", "--store", "sqlite:///../other/s.db",
            "--bindings", "bindings.yaml",
        )  # fmt: skip
        until(lambda: not processes(here))
        assert before == sorted(here.iterdir())
    finally:
        here.chmod(0o700)
    assert 0 == done.returncode, done.stderr
    listed = bunsui(folder, "session", "list", "--store", "sqlite:///other/s.db", "--format", "json")
    assert ["succeeded"] == [found["status"] for found in json.loads(listed.stdout)]
