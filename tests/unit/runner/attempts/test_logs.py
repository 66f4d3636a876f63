"""Where the logs of jobs are."""

from __future__ import annotations

import gc
import json
import logging
import re
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from bunsui.local.identity import this_process
from bunsui.local.redaction import Redactor
from bunsui.runner.attempts.logs import Logs, logger


def test_nothing_before_it_is_needed(tmp_path: Path) -> None:
    """No folder is made before a log is."""
    Logs(tmp_path / "logs").session_folder("s1")
    assert list(tmp_path.iterdir()) == []


def records(folder: Path) -> list[dict[str, Any]]:
    """The lines of the log of job `a`."""
    return [json.loads(line) for line in (folder / "a.jsonl").read_text(encoding="utf-8").splitlines()]


def test_private(tmp_path: Path) -> None:
    """Only their owner may look into the logs, and their folders."""
    log = Logs(tmp_path / "logs").attempt("s1", "a", 1)
    logger(log, "x").info("secret")
    log.close()
    folder = tmp_path / "logs" / "s1"
    found = [folder.parent, folder, folder / "a.jsonl", folder / ".jobs"]
    assert [0o700, 0o700, 0o600, 0o600] == [stat.S_IMODE(path.stat().st_mode) for path in found]


def test_logger(tmp_path: Path) -> None:
    """A record has level, logger, message and what was given as extra, from DEBUG on; in UTC."""
    log = Logs(tmp_path).attempt("s1", "a", 2, 7)
    logger(log, "x.y").debug("%d rows", 3, extra={"table": "t", "odd": {1}})
    log.close()
    (record,) = records(tmp_path / "s1")
    assert record.pop("time").endswith("Z")
    assert record == {
        "level": "DEBUG",
        "job": "a",
        "item": 7,
        "attempt": 2,
        "stream": "log",
        "logger": "x.y",
        "message": "3 rows",
        "fields": {"table": "t", "odd": "{1}"},
    }


def test_level_of_ones_own(tmp_path: Path) -> None:
    """It counts as the one below it, and its name is kept."""
    log = Logs(tmp_path).attempt("s1", "a", 1)
    logger(log, "x").log(35, "between")
    log.close()
    (record,) = records(tmp_path / "s1")
    assert ("WARNING", {"level_name": "Level 35"}) == (record["level"], record["fields"])


def test_logger_is_the_jobs_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What a job logs reaches none of the host's handlers, and no logger stays behind."""
    before = set(logging.Logger.manager.loggerDict)
    log = Logs(tmp_path).attempt("s1", "a", 1)
    logger(log, "mine").warning("mine")
    log.close()
    assert ([], before) == (caplog.records, set(logging.Logger.manager.loggerDict))


def test_after_its_end(tmp_path: Path) -> None:
    """What a thread logs that an attempt has left behind is kept as well."""
    log = Logs(tmp_path).attempt("s1", "a", 1)
    log.close()
    logger(log, "x").info("late")
    assert ["late"] == [record["message"] for record in records(tmp_path / "s1")]


def test_folder_that_cant_be_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A log that can't be written raises nothing in the job; a warning says so, and how much is lost."""
    (tmp_path / "logs").write_text("a file in the folder's place")
    log = Logs(tmp_path / "logs").attempt("s1", "a", 1)
    logger(log, "x").info("one")
    logger(log, "x").info("two")
    log.close()
    first, last = [record.getMessage() for record in caplog.records]
    assert ("can't be written" in first, "has lost 2 records" in last) == (True, True)


def test_temporary_folder_goes_with_its_logs() -> None:
    """Logs without a folder have a temporary one, which is gone with them."""
    logs = Logs(None)
    log = logs.attempt("s1", "a", 1)
    logger(log, "x").info("x")
    log.close()
    folder = logs.session_folder("s1")
    there = (folder / "a.jsonl").exists()
    del logs
    gc.collect()
    assert (True, False) == (there, folder.parent.exists())


@pytest.mark.parametrize(("started", "stays"), [(1, False), (None, True)])
def test_temporary_folder_of_a_killed_runner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: int | None, stays: bool
) -> None:
    """It is removed by the next one, where it is certain that its process has ended."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / "bunsui-logs-left"
    left.mkdir()
    owner = this_process() if started is None else {**this_process(), "started": started}
    (left / "owner.json").write_text(json.dumps(owner), encoding="utf-8")
    (tmp_path / "bunsui-logs-unknown").mkdir()
    Logs(None).session_folder("s1")
    assert (stays, True) == (left.exists(), (tmp_path / "bunsui-logs-unknown").exists())


def test_one_temporary_folder() -> None:
    """Threads that ask for the temporary folder at once get the same."""
    logs, barrier, found = Logs(None), threading.Barrier(8), set()

    def ask() -> None:
        barrier.wait(20)
        found.add(logs.session_folder("s1"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1


def test_exception_that_holds_a_secret(tmp_path: Path) -> None:
    """Message, traceback, stack and fields pass through what takes secrets out."""
    log = Logs(tmp_path).attempt("s1", "a", 1, redactor=Redactor(["hunter2secret"]))
    try:
        raise ValueError("hunter2secret")
    except ValueError:
        extra = {"hunter2secret": ["hunter2secret", 1]}
        logger(log, "x").exception("with %s", "hunter2secret", stack_info=True, extra=extra)
    log.close()
    (record,) = records(tmp_path / "s1")
    assert ("with ***", {"***": ["***", 1]}) == (record["message"], record["fields"])
    assert ("hunter2secret" in str(record), "ValueError: ***" in record["exception"]) == (False, True)


def test_record_that_cant_be_formatted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its arguments are shown nowhere; the log says that there was one, and where."""
    log = Logs(tmp_path).attempt("s1", "a", 1)
    logger(log, "x").info("%d rows", "hunter2")
    log.close()
    (record,) = records(tmp_path / "s1")
    said = r"a log record from test_logs.py:\d+ can't be written: TypeError"
    assert ("", True) == (capsys.readouterr().err, bool(re.fullmatch(said, record["message"])))


def test_clear(tmp_path: Path) -> None:
    """What an attempt has left beside its log goes, and nothing else; there may be nothing."""
    logs = Logs(tmp_path)
    folder = logs.attempt("s1", "a", 1).files.parent
    (folder / "a.jsonl").touch()
    for name in ("a.1.files", "a.1.2.files", "b.1.files"):
        (folder / name).mkdir()
    logs.clear("s1", "a", 1, None)
    logs.clear("s2", "a", 1, None)
    assert ["a.1.2.files", "a.jsonl", "b.1.files"] == sorted(each.name for each in folder.iterdir())


def test_clear_makes_no_folder() -> None:
    """Nobody else can have left anything where the folder is a temporary one."""
    logs = Logs(None)
    logs.clear("s1", "a", 1, None)
    assert logs._folder is None
