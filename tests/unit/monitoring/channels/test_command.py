"""Alerts to a program of this machine: what it is given, and how it ends."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from bunsui.errors import AlertNotTaken, ConfigError
from bunsui.monitoring.channels.command import MAX_SAID, CommandChannel
from bunsui.monitoring.channels.options import check_options
from bunsui.ports.alerts import AlertChannel
from bunsui.testing import AlertChannelSuite
from bunsui.testing.alert_channel.sending import LONG, full, minimal

#: Writes what it was given to files, or does what a file tells it to.
PROGRAM = """
import json, os, sys, time, uuid
from pathlib import Path

folder = Path(sys.argv[1])
if (folder / "hangs").exists():
    time.sleep(600)
if (folder / "fails").exists():
    sys.exit("nobody is on call")
found = {"argv": sys.argv[2:], "env": dict(os.environ), "stdin": sys.stdin.read()}
(folder / f"{uuid.uuid4().hex}.tmp").write_text(json.dumps(found))
for path in folder.glob("*.tmp"):
    try:
        path.rename(path.with_suffix(".json"))
    except FileNotFoundError:
        pass
"""


def options_of(folder: Path, *more: str, **others: Any) -> dict[str, Any]:
    """What runs the program with a folder of its own."""
    return {"command": [sys.executable, "-c", PROGRAM, str(folder), *more], **others}


def given(folder: Path) -> list[dict[str, Any]]:
    """What the program was given, each time."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


class TestCommand(AlertChannelSuite):
    """A real process."""

    patience = 30.0

    @pytest.fixture
    def channel(self, tmp_path: Path) -> AlertChannel:
        self.folder = tmp_path
        self.options: Mapping[str, Any] = options_of(tmp_path, timeout=20)
        return CommandChannel()

    def received(self) -> Sequence[str]:
        return [each["stdin"] for each in given(self.folder)]

    @contextmanager
    def failing(self) -> Iterator[None]:
        (self.folder / "fails").touch()
        yield
        (self.folder / "fails").unlink()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        self.options = options_of(self.folder, timeout=1)
        (self.folder / "hangs").touch()
        yield
        (self.folder / "hangs").unlink()


def test_what_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The alert on its standard input and in its environment, and nothing of it among its arguments."""
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    monkeypatch.setenv("PAGER_TEAM", "data")
    alert = evolve(full(), summary="-rf $(id)\n--help")
    CommandChannel().send(alert, options_of(tmp_path, "--team", env=["PAGER_TEAM", "NOT_SET"]))
    (found,) = given(tmp_path)
    assert ["--team"] == found["argv"]
    assert alert.to_dict() == json.loads(found["stdin"]) == json.loads(found["env"]["BUNSUI_ALERT"])
    assert ("-rf $(id)\\n--help", "data") == (
        found["env"]["BUNSUI_ALERT_SUMMARY"],
        found["env"]["PAGER_TEAM"],
    )
    assert os.environ["PATH"] == found["env"]["PATH"]
    assert not {"DB_PASSWORD", "NOT_SET"} & {*found["env"]}


def test_no_shell(tmp_path: Path) -> None:
    """Arguments are given as they are."""
    CommandChannel().send(minimal(), options_of(tmp_path, "$HOME; touch x", "`id`", "*"))
    assert ["$HOME; touch x", "`id`", "*"] == given(tmp_path)[0]["argv"]


def test_a_long_one(tmp_path: Path) -> None:
    """All that fits stands on the standard input; what no variable can hold is cut there, and says so."""
    alert = evolve(minimal(), details={"text": "x" * (LONG // 2)})
    CommandChannel().send(alert, options_of(tmp_path))
    (found,) = given(tmp_path)
    assert alert.to_dict() == json.loads(found["stdin"])
    in_variable = json.loads(found["env"]["BUNSUI_ALERT"])
    assert (alert.id, True, False) == (in_variable["id"], in_variable["is_cut"], "details" in in_variable)


def test_it_fails() -> None:
    """What it has written last to its standard error is said, on one line."""
    command = [
        "sh",
        "-c",
        f"printf 'x%.0s' $(seq {MAX_SAID}) >&2; printf '\\none\\033[31m\\n two' >&2; exit 3",
    ]
    with pytest.raises(AlertNotTaken) as caught:
        CommandChannel().send(minimal(), {"command": command})
    begin, end = "the command 'sh' exited with 3: x", "x one\\x1b[31m two"
    assert caught.value.message.startswith(begin)
    assert caught.value.message.endswith(end)
    assert len(caught.value.message) == len(begin) - 1 + MAX_SAID


def test_what_it_says_of_a_variable_that_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret may stand there, which the alerts of a session show; also where that has several lines."""
    monkeypatch.setenv("PAGER_TOKEN", f"hunter2\nhunter2 {'y' * MAX_SAID}")
    command = ["sh", "-c", 'echo "no entry with $PAGER_TOKEN" >&2; exit 3']
    with pytest.raises(AlertNotTaken) as caught:
        CommandChannel().send(minimal(), {"command": command, "env": ["PAGER_TOKEN", "NOT_SET"]})
    assert "the command 'sh' exited with 3: no entry with ***" == caught.value.message


@pytest.mark.parametrize("program", ["/nowhere/page", "/"])
def test_it_can_not_be_run(program: str) -> None:
    """It says why."""
    with pytest.raises(AlertNotTaken, match=rf"^the command '{program}' could not be run: "):
        CommandChannel().send(minimal(), {"command": [program]})


def test_what_reads_nothing() -> None:
    """A program that does not read what it is given is none the worse for it."""
    alert = evolve(minimal(), details={"text": "x" * 200_000})
    CommandChannel().send(alert, {"command": ["true"]})


def test_what_it_leaves_running() -> None:
    """A process that it leaves behind, with its standard error open, holds nobody up."""
    started = time.monotonic()
    CommandChannel().send(minimal(), {"command": ["sh", "-c", "sleep 30 & exit 0"], "timeout": 20})
    assert time.monotonic() - started < 20  # Where it waited, it would have been given up then.


def test_what_it_leaves_running_when_it_fails() -> None:
    """Likewise, and what it has said is in the error."""
    with pytest.raises(AlertNotTaken, match=r"exited with 3: nobody$"):
        CommandChannel().send(
            minimal(), {"command": ["sh", "-c", "sleep 30 & echo nobody >&2; exit 3"], "timeout": 20}
        )


def test_one_that_says_endlessly_much(tmp_path: Path) -> None:
    """The end of it is kept; what it writes to is no file, which would fill the disk."""
    script = (
        f"readlink /proc/self/fd/2 > {tmp_path}/to; head -c 5000000 /dev/zero >&2; echo the end >&2; exit 1"
    )
    with pytest.raises(AlertNotTaken) as caught:
        CommandChannel().send(minimal(), {"command": ["sh", "-c", script]})
    assert caught.value.message.endswith("the end")
    assert (tmp_path / "to").read_text().startswith("pipe:")


def test_no_secret_of_its_environment_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a variable that it was given by name."""
    monkeypatch.setenv("PAGER_TOKEN", "hunter2-hunter2")
    options = {"command": ["sh", "-c", "echo key=$PAGER_TOKEN >&2; exit 1"], "env": ["PAGER_TOKEN"]}
    with pytest.raises(AlertNotTaken, match=r"exited with 1: key=\*\*\*$"):
        CommandChannel().send(minimal(), options)


def test_closing_ends_what_runs(tmp_path: Path) -> None:
    """And nothing is started any more."""
    path = tmp_path / "pid"
    channel = CommandChannel()
    options = {"command": ["sh", "-c", f"echo $$ > {path}.new; mv {path}.new {path}; sleep 600"]}
    failures: list[AlertNotTaken] = []

    def send() -> None:
        try:
            channel.send(minimal(), options)
        except AlertNotTaken as error:
            failures.append(error)

    sending = threading.Thread(target=send, daemon=True)
    sending.start()
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    channel.close()
    sending.join(15)  # Its own limit is 20 seconds.
    assert len(failures) == 1
    assert not _runs(int(path.read_text()))
    with pytest.raises(AlertNotTaken, match="closed"):
        channel.send(minimal(), options)


def test_its_children_end_with_it(tmp_path: Path) -> None:
    """One that takes too long is ended with all that it has started."""
    path = tmp_path / "pid"
    script = f"sleep 600 & echo $! > {path}; wait"
    with pytest.raises(AlertNotTaken, match="the command 'sh' took longer than 1 seconds"):
        CommandChannel().send(minimal(), {"command": ["sh", "-c", script], "timeout": 1})
    child = int(path.read_text())
    deadline = time.monotonic() + 60
    while _runs(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    """Whether a process does something yet; one that has ended and that nobody has asked for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "it needs 'command'; it is a program with its arguments"),
        ({"command": "page --team"}, "it.command is not a program with its arguments, such as"),
        ({"command": []}, "it.command is not a program with its arguments, such as"),
        ({"command": ["a\0b"]}, "it.command[0] is not a text"),
        ({"command": ["a"], "env": ["A=b"]}, "it.env[0] is not the name of a variable, without its value"),
        ({"command": ["a"], "timeout": 600}, "it.timeout is not a number of seconds above 0, at most 50"),
    ],
)
def test_options_that_are_wrong(options: dict[str, Any], said: str) -> None:
    """Each fault is named."""
    with pytest.raises(ConfigError) as caught:
        check_options(options, CommandChannel.schema, "it")
    assert str(caught.value).startswith(said)
