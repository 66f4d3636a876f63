"""``bunsui logs``: what is shown of the logs of a session, in which form, and how that ends."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bunsui import Job, LogRecord, Pipeline, Runner
from bunsui.cli.log_text import COLUMNS, csv_line, json_line, text
from bunsui.cli.main import run
from bunsui.logging.log_store import JobLog
from bunsui.logging.records import to_line
from bunsui.runner.clock import SystemClock
from bunsui_tests.injections import INJECTIONS

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
#: What a job may say to harm who looks at its log.
HOSTILE = [
    *("\x00", "\x07", "\x08", "\x0b", "\x0c", "\r", "\r\n", "\x7f", "\x85", "\x9b31m", "\x90", "\x9d0;t\x9c"),
    *(
        "\x1b[2J",
        "\x1b[31mred",
        "\x1b]0;title\x07",
        "\x1b]52;c;cm0=\x07",
        "\x1b]8;;http://x\x1b\\x",
        "\x1bc",
        "\x1b[6n",
    ),
    *("\x1bP+q\x1b\\", "\x1b[?1049h", "\x0e", "\x1b(0", "a\x08\x08b", "\x1b[1A\x1b[2K"),
    *(
        "\u202e",
        "\u202d",
        "\u2066",
        "\u2067",
        "\u2068",
        "\u2069",
        "\u200e",
        "\u200f",
        "\u061c",
        "\ufeff",
        "\u200b",
    ),
    *(
        "\u2028",
        "\u2029",
        "\ud800",
        "2026-01-31T12:00:00.000000Z ERROR    a log: forged\u2028x",
        "\U000e0001",
    ),
]


def say(job: str, message: str, *, level: str = "INFO", minute: int = 0) -> bytes:
    """A line of a log."""
    time = f"2026-01-31T12:{minute:02}:00.000000Z"
    found = {"time": time, "level": level, "job": job, "attempt": 1, "stream": "stdout", "message": message}
    return to_line(found)


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A session with the logs of two jobs."""
    monkeypatch.setenv("BUNSUI_STORE", f"sqlite:///{tmp_path}/store.db")
    monkeypatch.chdir(tmp_path)
    jobs = [Job("a", "custom", {"command": ["true"]}), Job("b", "custom", {"command": ["true"]})]
    with Runner() as runner:
        found = runner.run(Pipeline("p", jobs))
        folder, session_id = found.log_folder, found.id
    for job, lines in {
        "a": [say("a", "one"), say("a", "three", minute=2, level="ERROR")],
        "b": [say("b", "two", minute=1)],
    }.items():
        log = JobLog(folder, job, SystemClock())
        log.append(b"".join(lines))
        log.close()
    return session_id


def messages(out: str) -> list[str]:
    """Those of lines of JSON."""
    return [json.loads(line)["message"] for line in out.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["filter"], ["one", "two", "three"]),
        (["filter", "--job", "a"], ["one", "three"]),
        (["filter", "--job", "a", "--job", "b", "--until", "2026-01-31T12:02:00Z"], ["one", "two"]),
        (["filter", "--level", "warning"], ["three"]),
        (["filter", "--since", "2026-01-31T14:01:00+02:00"], ["two", "three"]),
        (["filter", "--grep", "^t[wh]"], ["two", "three"]),
        (["filter", "--field", "stream=stdout", "--field", "level=INFO"], ["one", "two"]),
        (["tail", "-n", "2"], ["two", "three"]),
        (["tail", "-f"], ["one", "two", "three"]),
        (["download", "-o", "-"], ["one", "two", "three"]),
    ],
)
def test_filters(session: str, capsys: pytest.CaptureFixture[str], arguments, expected) -> None:
    """Each command gives what its options ask for; @last is the newest session."""
    assert 0 == run(["logs", arguments[0], "@last", *arguments[1:], "--format", "jsonl"])
    assert expected == messages(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--since", "soon"], 2, "since is 'soon', which is no time; such as '10m'"),
        (["--since", "1m", "--until", "10m"], 2, "which is before it; no record is of both; swap them"),
        (["--grep", "("], 2, "grep is '(', which is no regular expression of RE2"),
        (["--level", "eror"], 2, "did you mean 'ERROR'?"),
        (["--field", "stream"], 2, "--field is 'stream'; it is KEY=VALUE, such as stream=stderr"),
        (["--job", "aa"], 3, "the session has no job 'aa'; did you mean 'a'?"),
    ],
)
def test_wrong(session: str, capsys: pytest.CaptureFixture[str], arguments, code, said) -> None:
    """What is asked for wrongly ends with its exit code and says how it is done."""
    assert code == run(["logs", "filter", session, *arguments])
    assert said in capsys.readouterr().err


def test_gone(session: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a log that is gone, all else is shown and saved before that is said."""
    with Runner() as runner:
        path = runner.session(session).log_folder / "b.jsonl"
    path.unlink()
    assert 3 == run(["logs", "filter", session, "--format", "jsonl"])
    shown = capsys.readouterr()
    assert ["one", "three"] == messages(shown.out)
    assert f"the log of job 'b' of session {session} is gone: {path}" in shown.err
    assert 3 == run(["logs", "download", session, "-o", "x", "--format", "jsonl"])
    assert ["one", "three"] == messages(Path("x").read_text())


@pytest.mark.parametrize("cached", [False, True])
def test_never_was(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch, cached: bool) -> None:
    """Attempts that end before there is a process have no log, which is not taken for one that is gone."""
    monkeypatch.setenv("BUNSUI_STORE", f"sqlite:///{tmp_path}/store.db")
    monkeypatch.chdir(tmp_path)
    fields: dict[str, Any] = {"cache": {}} if cached else {"parameters": {"key": "${secrets.k}"}}
    pipeline = Pipeline("p", [Job("fetch", "custom", {"command": ["echo", "hello"]}, **fields)])
    with Runner(config={"secrets": {"k": "env:BNS_NO_KEY"}}) as runner:
        sessions = [runner.run(pipeline) for _ in range(1 + cached)]
    assert ("succeeded" if cached else "failed") == sessions[-1].status
    assert not sessions[-1].log_folder.exists()
    capsys.readouterr()
    for arguments in (["filter"], ["tail"], ["download", "-o", "-"]):
        assert 0 == run(["logs", arguments[0], "@last", *arguments[1:]])
        assert "" == capsys.readouterr().out


@pytest.mark.parametrize("command", ["exit 1", "kill -9 $$", "true"])
def test_whole_folder_gone(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """What a process has left is missed, however that has ended."""
    monkeypatch.setenv("BUNSUI_STORE", f"sqlite:///{tmp_path}/store.db")
    monkeypatch.chdir(tmp_path)
    with Runner() as runner:
        done = runner.run(Pipeline("p", [Job("a", "custom", {"command": command, "shell": True})]))
    shutil.rmtree(done.log_folder)
    assert 3 == run(["logs", "filter", "@last"])
    assert f"the log of job 'a' of session {done.id} is gone" in capsys.readouterr().err


def test_download(session: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file is written for its owner alone, and one that is there is replaced only with --force."""
    path = tmp_path / "x.jsonl"
    assert 0 == run(["logs", "download", session, "-o", str(path), "--format", "jsonl"])
    assert ["one", "two", "three"] == messages(path.read_text())
    assert f"3 records saved in {path}" in capsys.readouterr().err
    path.write_text("mine")
    assert 2 == run(["logs", "download", session, "-o", str(path)])
    assert ("mine", True) == (path.read_text(), "is there already" in capsys.readouterr().err)
    assert 0 == run(
        ["logs", "download", session, "-o", str(path), "--format", "jsonl", "--force", "--job", "b"]
    )
    assert (["two"], 0o600) == (messages(path.read_text()), path.stat().st_mode & 0o777)
    assert 2 == run(["logs", "download", session, "-o", "no/such/folder"])
    assert "'no/such/folder' can't be written: No such file" in capsys.readouterr().err
    assert [] == list(tmp_path.glob(".x.*"))


def test_download_leaves_what_is_no_file(session: str, tmp_path: Path) -> None:
    """A pipe is written to, as a device would be, also behind a link; it is not replaced by a file."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        for path in (pipe, link):
            assert 2 == run(["logs", "download", session, "-o", str(path), "--format", "jsonl"])
            assert 0 == run(["logs", "download", session, "-o", str(path), "--format", "jsonl", "--force"])
            assert ["one", "two", "three"] == messages(os.read(reader, 65536).decode())
    finally:
        os.close(reader)
    assert (True, True) == (pipe.is_fifo(), link.is_symlink())


def test_download_behind_a_link(session: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The link stays, and what it leads to is replaced; one in a circle is an error, and so is a folder."""
    target, link, circle = tmp_path / "elsewhere" / "x", tmp_path / "link", tmp_path / "circle"
    target.parent.mkdir()
    target.write_text("mine")
    link.symlink_to(target)
    circle.symlink_to(circle)
    for _ in range(2):  # Then where it leads nowhere.
        assert 0 == run(["logs", "download", session, "-o", str(link), "--format", "jsonl", "--force"])
        assert ["one", "two", "three"] == messages(target.read_text())
        target.unlink()
    assert link.is_symlink()
    for path, said in ((circle, "can't be written: "), (target.parent, "is a folder; name a file in it")):
        capsys.readouterr()
        assert 2 == run(["logs", "download", session, "-o", str(path), "--force"])
        assert said in capsys.readouterr().err
    assert circle.is_symlink()


@pytest.mark.parametrize("hostile", dict.fromkeys([*HOSTILE, *INJECTIONS.values()]))
def test_text_is_safe(hostile: str) -> None:
    """Nothing that a job says controls a terminal, in any part of its record, or looks like another one."""
    record = LogRecord(
        NOW, "INFO", "a", f"x{hostile}y", logger=hostile, fields={hostile: hostile}, exception=f"E{hostile}"
    )
    shown = text(record)
    first, *more = shown.split("\n")
    assert all(line.startswith("    ") for line in more)
    assert all(line.isprintable() for line in (first, *more))
    assert csv_line(record)[:-1].isprintable()
    assert json_line(record).isprintable()
    assert f"x{hostile}y" == json.loads(json_line(record))["message"]


def test_hostile_strings() -> None:
    """There are as many of them as the design asks for."""
    assert len(set(HOSTILE)) >= 40


def test_csv(session: str, capsys: pytest.CaptureFixture[str]) -> None:
    """CSV has a heading, lines that end with CR LF, and cells with quotes and commas that are read back."""
    assert 0 == run(["logs", "filter", session, "--format", "csv"])
    out = capsys.readouterr().out
    record = LogRecord(NOW, "INFO", "a", 'say "x", y', fields={"n": 1})
    rows = list(csv.DictReader(io.StringIO(f"{out}{csv_line(record)}\n", newline="")))
    assert (list(COLUMNS), ["one", "two", "three", 'say "x", y'], '{"n": 1}') == (
        list(rows[0]),
        [row["message"] for row in rows],
        rows[-1]["fields"],
    )


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_csv_formulas(formula: str) -> None:
    """What a spreadsheet would take for a formula is text."""
    cells = next(csv.reader([csv_line(LogRecord(NOW, "INFO", "a", formula))]))
    assert f"'{formula}" == cells[COLUMNS.index("message")]


def test_closed_pipe(session: str, tmp_path: Path) -> None:
    """Where nobody reads on, as with `| head`, the command ends quietly."""
    with Runner() as runner:
        log = JobLog(runner.session(session).log_folder, "a", SystemClock())
    log.append(say("a", "x" * 100) * 20_000)
    log.close()
    command = [sys.executable, "-m", "bunsui", "logs", "filter", session]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert (b"", 0) == (process.stderr.read(), process.wait())


def test_follows_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """tail -f joins the jobs of a session that another process runs, and ends with it."""
    monkeypatch.setenv("BUNSUI_STORE", f"sqlite:///{tmp_path}/store.db")
    go = tmp_path / "go"
    wait = (
        f"import os,time\nprint('begins', flush=True)\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.01)"
    )
    jobs = [
        Job("a", "custom", {"command": [sys.executable, "-c", wait]}),
        Job("b", "custom", {"command": [sys.executable, "-c", "print('follows')"]}, depends_on=["a"]),
    ]
    with Runner() as runner:
        session = runner.start(Pipeline("p", jobs))
        command = [sys.executable, "-m", "bunsui", "logs", "tail", "-f", session.id, "--format", "jsonl"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ) as process:
            first = process.stdout.readline()
            go.touch()
            rest = process.stdout.read()
            assert (["begins", "follows"], 0) == (messages((first + rest).decode()), process.wait())
