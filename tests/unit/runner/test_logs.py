"""Where the logs of jobs are."""

from __future__ import annotations

import gc
import logging
import re
import stat
import threading
from pathlib import Path

import pytest

from bunsui.runner.logs import Logs


def test_nothing_before_it_is_needed(tmp_path: Path) -> None:
    """No folder is made before a log is."""
    Logs(tmp_path / "logs").session_folder("s1")
    assert list(tmp_path.iterdir()) == []


def test_path(tmp_path: Path) -> None:
    """An attempt's log is SESSION/JOB.ATTEMPT.log, in a folder that exists."""
    path = Logs(tmp_path / "logs").path("s1", "a", 2)
    assert (tmp_path / "logs" / "s1" / "a.2.log", True) == (path, path.parent.is_dir())


def test_private(tmp_path: Path) -> None:
    """Only their owner may look into the folders of logs."""
    path = Logs(tmp_path / "logs").path("s1", "a", 1)
    modes = [stat.S_IMODE(folder.stat().st_mode) for folder in (path.parent, path.parent.parent)]
    assert [0o700, 0o700] == modes


def test_write_appends(tmp_path: Path) -> None:
    """Text is put behind what is there; what is no Unicode is escaped."""
    logs = Logs(tmp_path)
    path = logs.path("s1", "a", 1)
    logs.write(path, "é\n")
    logs.write(path, "\ud800\n")
    assert path.read_bytes() == "é\n\\ud800\n".encode()


def test_logger(tmp_path: Path) -> None:
    """A logger writes time, level and text of each record to the file, from DEBUG on."""
    logs = Logs(tmp_path)
    path = logs.path("s1", "a", 1)
    logger = logs.logger(path)
    logger.debug("%d rows", 3)
    logger.error("no more")
    line = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (.*)")
    assert ["DEBUG 3 rows", "ERROR no more"] == [
        line.sub(r"\1", row) for row in path.read_text().splitlines()
    ]


def test_logger_is_the_jobs_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What a job logs reaches none of the host's handlers, and no logger stays behind."""
    logs = Logs(tmp_path)
    before = set(logging.Logger.manager.loggerDict)
    logs.logger(logs.path("s1", "a", 1)).warning("mine")
    assert ([], before) == (caplog.records, set(logging.Logger.manager.loggerDict))


def test_record_that_cant_be_formatted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A record with wrong arguments is reported on stderr, and raises nothing in the job."""
    logs = Logs(tmp_path)
    logs.logger(logs.path("s1", "a", 1)).info("%d rows", "three")
    assert "--- Logging error ---" in capsys.readouterr().err


def test_file_that_cant_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A log that can't be written raises nothing in the job."""
    Logs(tmp_path).logger(tmp_path).info("to a folder")
    assert "Is a directory" in capsys.readouterr().err


def test_temporary_folder_goes_with_its_logs() -> None:
    """Logs without a folder have a temporary one, which is gone with them."""
    logs = Logs(None)
    path = logs.path("s1", "a", 1)
    logs.write(path, "x")
    there = path.exists()
    del logs
    gc.collect()
    assert (True, False) == (there, path.parent.parent.exists())


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


def test_items_have_logs_of_their_own(tmp_path: Path) -> None:
    """The log of an item's attempt is SESSION/JOB.ITEM.ATTEMPT.log."""
    assert tmp_path / "s1" / "a.0.2.log" == Logs(tmp_path).path("s1", "a", 2, 0)


def test_logger_that_redacts(tmp_path: Path) -> None:
    """Each record passes through what takes secrets out, with its exception and its stack."""
    logs = Logs(tmp_path)
    path = logs.path("s1", "a", 1)
    logger = logs.logger(path, lambda text: text.replace("hunter2", "***"))
    try:
        raise ValueError("hunter2")
    except ValueError:
        logger.exception("with %s", "hunter2", stack_info=True)
    text = path.read_text()
    assert (False, True) == ("hunter2" in text, "ValueError: ***" in text)


def test_record_that_cant_be_formatted_and_may_hold_a_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its arguments are shown nowhere; the log says that there was one, and where."""
    logs = Logs(tmp_path)
    path = logs.path("s1", "a", 1)
    logs.logger(path, str.upper).info("%d rows", "hunter2")
    assert ("", True) == (
        capsys.readouterr().err,
        bool(
            re.match(r"A LOG RECORD FROM TEST_LOGS.PY:\d+ CAN'T BE WRITTEN: TYPEERROR\n\Z", path.read_text())
        ),
    )


def test_clear(tmp_path: Path) -> None:
    """What an attempt has left beside its log goes, and nothing else; there may be nothing."""
    logs = Logs(tmp_path)
    path = logs.path("s1", "a", 1)
    path.touch()
    for name in ("a.1.files", "a.1.2.files", "b.1.files"):
        (path.parent / name).mkdir()
    logs.clear("s1", "a", 1, None)
    logs.clear("s2", "a", 1, None)
    assert ["a.1.2.files", "a.1.log", "b.1.files"] == sorted(each.name for each in path.parent.iterdir())


def test_clear_makes_no_folder() -> None:
    """Nobody else can have left anything where the folder is a temporary one."""
    logs = Logs(None)
    logs.clear("s1", "a", 1, None)
    assert logs._folder is None
