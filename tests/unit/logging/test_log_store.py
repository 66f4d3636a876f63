"""The files that the logs of jobs are kept in."""

from __future__ import annotations

import json
import logging
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bunsui.logging.files import FolderLogs
from bunsui.logging.filters import Filter
from bunsui.logging.log_store import INDEX, LIMIT, SEGMENT, JobLog, LogStore
from bunsui.logging.reading import Reading
from bunsui.logging.records import to_line
from bunsui.runner.clock import SystemClock
from bunsui_tests.held import descriptors

CLOCK = SystemClock()


def line(text: str, size: int = 0) -> bytes:
    """A record with this message, of so many bytes where that is more."""
    record = {"time": "2013-01-31T17:00:00.000000Z", "level": "INFO", "job": "a", "stream": "stdout"}
    short = to_line({**record, "message": text})
    return to_line({**record, "message": text + "." * (size - len(short))}) if size else short


def open_log(folder: Path, segment: int = SEGMENT, limit: int = LIMIT) -> JobLog:
    return JobLog(folder / "s", "a", CLOCK, segment, limit)


def said(folder: Path) -> list[str]:
    """The messages that are kept, damaged lines in brackets."""
    records = Reading("s", FolderLogs(folder / "s"), None, Filter()).records()
    return [f"[{r.message}]" if r.damaged else r.message.rstrip(".") for r in records]


def lost(folder: Path) -> list[Any]:
    """What records say that some are missing."""
    return [
        r.fields["lost"]
        for r in Reading("s", FolderLogs(folder / "s"), None, Filter()).records()
        if "lost" in r.fields
    ]


@contextmanager
def file_size(most: int) -> Iterator[None]:
    """No file may be larger than that: writing beyond it fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_next_file(tmp_path: Path) -> None:
    """A file that is large enough is left, and all of them are one log, for a later writer too."""
    for first in (0, 5):
        log = open_log(tmp_path, segment=300)
        for n in range(first, first + 5):
            log.append(line(str(n)))
        log.close()
    names = sorted(path.name for path in (tmp_path / "s").iterdir())
    assert [".jobs", "a.0001.jsonl", "a.0002.jsonl", "a.jsonl"] == names
    assert list(map(str, range(10))) == said(tmp_path)


def test_limit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What does not fit is counted in a last record, also of later attempts; a warning says how much."""
    for _ in range(2):
        log = open_log(tmp_path, segment=1000, limit=4000)
        log.append(b"".join(line(str(n), 200) for n in range(30)))
        log.append(line("more"))
        log.close()
        log.warn()
    kept = said(tmp_path)
    size = sum(path.stat().st_size for path in (tmp_path / "s").glob("a*.jsonl"))
    assert (list(map(str, range(17))), 18, True) == (kept[:17], len(kept), size <= 4000)
    assert (kept[17].startswith("this log is full"), [14 + 31]) == (True, lost(tmp_path))
    assert ["14", "31"] == [record.getMessage().split(": ")[-1].split()[0] for record in caplog.records]


def test_limit_of_many_attempts_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The count stands in the log as soon as one ends; the warning comes once, with the last."""
    log = open_log(tmp_path, limit=2000)
    log.append(line("x", 3000))
    for n in range(1, 5):
        log.settle()
        assert [n] == lost(tmp_path)
        log.append(line("more"))
    assert [] == caplog.records
    log.close()
    log.warn()
    (warning,) = caplog.records
    assert ([5], True) == (lost(tmp_path), "is full: 5 records" in warning.getMessage())


def test_last_record_is_written_over_in_its_place(tmp_path: Path) -> None:
    """The file is no longer for it, and its lines are lines of JSON."""
    log = open_log(tmp_path, limit=2000)
    log.append(line("x", 3000))
    size = (tmp_path / "s" / "a.jsonl").stat().st_size
    log.close()
    data = (tmp_path / "s" / "a.jsonl").read_bytes()
    assert (size, [1]) == (len(data), [json.loads(each)["fields"]["lost"] for each in data.splitlines()])


@pytest.mark.parametrize("room", range(0, 400, 7))
def test_full_disk(tmp_path: Path, room: int) -> None:
    """Wherever it is full: nothing is raised, what is whole is kept, the rest counted where it is missing."""
    log = open_log(tmp_path)
    log.append(line("first"))
    full = (tmp_path / "s" / "a.jsonl").stat().st_size + room
    with file_size(full):
        log.append(b"".join(line(str(n)) for n in range(3)))
        log.append(line("3") + line("4"))
    log.append(line("last"))
    log.close()
    kept = said(tmp_path)
    whole = [text for text in kept if text in {"0", "1", "2", "3", "4"}]
    assert (["first", "last"], 5) == ([kept[0], kept[-1]], len(whole) + sum(lost(tmp_path)))
    assert whole == sorted(whole)


def test_disk_that_stays_full(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two warnings: that it can't be written, and at the end how many are lost."""
    log = open_log(tmp_path)
    log.append(line("first"))
    with file_size((tmp_path / "s" / "a.jsonl").stat().st_size):
        for n in range(5):
            log.append(line(str(n)))
        log.close()
        log.warn()
    first, last = [record.getMessage() for record in caplog.records]
    assert ("File too large" in first, last.endswith("has lost 5 records")) == (True, True)
    assert ["first"] == said(tmp_path)


def test_what_is_missing_is_noted_while_it_is_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """However often that is asked for: once in the file, and in one warning; what comes later is whole."""
    log = open_log(tmp_path)
    log.append(b"".join(line(str(n), 300) for n in range(3)))
    with file_size((tmp_path / "s" / "a.jsonl").stat().st_size + 20):  # A torn line is left.
        log.append(line("3") + line("4"))
        for _ in range(2):
            log.settle()
        assert (["0", "1"], [3]) == (said(tmp_path)[:-1], lost(tmp_path))
    log.append(line("5"))
    log.settle()
    log.close()
    assert (["0", "1", "5"], [3]) == ([text for text in said(tmp_path) if text.isdigit()], lost(tmp_path))
    assert 4 == (tmp_path / "s" / "a.jsonl").read_bytes().count(b"\n")
    assert ["3"] == [text.split()[-2] for text in map(logging.LogRecord.getMessage, caplog.records[1:])]


def test_a_loss_that_stays_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where there is no room for the notice either, and again where there is more to tell."""
    log = open_log(tmp_path)
    log.append(line("first"))
    with file_size((tmp_path / "s" / "a.jsonl").stat().st_size):
        for _ in range(2):
            log.append(line("more"))
            for _ in range(2):
                log.settle()
        log.close()
        log.warn()
    said_last = [record.getMessage().rpartition(" has ")[2] for record in caplog.records[1:]]
    assert ["lost 1 records", "lost 2 records"] == said_last


def test_the_notice_counts_once(tmp_path: Path) -> None:
    """Also where there was room for it but for the end of its line."""
    for room in range(300):
        log = open_log(tmp_path / str(room))
        log.append(line("first"))
        size = (tmp_path / str(room) / "s" / "a.jsonl").stat().st_size
        for most in (size, size + room):
            with file_size(most):
                log.append(line("lost"))
        log.append(line("last"))
        log.close()
        kept = said(tmp_path / str(room))
        assert ("last", 2) == (kept[-1], sum(lost(tmp_path / str(room))) + kept.count("lost"))


@pytest.mark.parametrize("first", [3, 9])
def test_the_notice_takes_the_room_of_the_last_records(tmp_path: Path, first: int) -> None:
    """Where the disk stays full, wherever: what is lost and what gave way to the notice is counted in it."""
    for room in range(400):
        folder = tmp_path / str(room)
        log = open_log(folder)
        for n in range(first):
            log.append(line(str(n)))
        file = folder / "s" / "a.jsonl"
        with file_size(file.stat().st_size + room):
            log.append(b"".join(line(str(n)) for n in range(first, first + 4)))
            for n in range(first + 4, 20):
                log.append(line(str(n)))
            log.close()
            assert file.read_bytes().endswith(b"}\n") or file.read_bytes().endswith(b" \n")
        *kept, notice = said(folder)
        assert (list(map(str, range(len(kept)))), [20 - len(kept)]) == (kept, lost(folder))
        assert (True, True) == (notice.startswith(f"{20 - len(kept)} records are"), len(kept) >= first - 3)
        log = open_log(folder)
        log.append(line("later"))
        log.close()
        assert [*kept, notice, "later"] == said(folder)


def test_who_follows_is_not_disturbed_by_that(tmp_path: Path) -> None:
    """What they have read is not given again, nor anything that is no record."""
    for room in range(0, 300, 5):
        folder = tmp_path / str(room)
        log = open_log(folder)
        log.append(b"".join(line(str(n)) for n in range(6)))
        reading = Reading("s", FolderLogs(folder / "s"), None, Filter())
        with file_size((folder / "s" / "a.jsonl").stat().st_size + room):
            log.append(b"".join(line(str(n)) for n in range(6, 9)))
            found = list(reading.records(ends=False))
            log.close()
        found += reading.records(ends=False)
        log = open_log(folder)
        log.append(line("later"))
        log.close()
        found += reading.records()
        assert [] == [record for record in found if record.damaged]
        said_ = [record.message for record in found if "lost" not in record.fields]
        assert [*map(str, range(len(said_) - 1)), "later"] == said_


def test_the_notice_in_the_file_before(tmp_path: Path) -> None:
    """Where the next one can't even be begun."""
    log = open_log(tmp_path, segment=500)
    for n in range(5):
        log.append(line(str(n), 100))
    (tmp_path / "s" / "a.0001.jsonl").symlink_to("nowhere")  # Which is not followed.
    log.append(line("5"))
    log.close()
    assert ["0", "1", "2", "3 records are missing here: the disk did not take more"] == said(tmp_path)


def test_a_notice_that_gives_way_is_counted_on(tmp_path: Path) -> None:
    """What it said is in the new one's number."""
    log = open_log(tmp_path)
    log.append(line("first", 300))
    log.lose(5, "why")
    log.append(line("second"))
    with file_size((tmp_path / "s" / "a.jsonl").stat().st_size):
        log.append(line("third"))
        log.close()
    assert (["first", "7 records are missing here: the disk did not take more"], [7]) == (
        said(tmp_path),
        lost(tmp_path),
    )


def test_folder_that_is_removed(tmp_path: Path) -> None:
    """What comes after that is kept, in a new one."""
    log = open_log(tmp_path)
    log.append(line("before"))
    shutil.rmtree(tmp_path / "s")
    log.append(line("after"))
    log.close()
    assert ["after"] == said(tmp_path)


def test_folder_that_comes_back(tmp_path: Path) -> None:
    """What was lost while a file stood in its place is counted before what follows."""
    (tmp_path / "s").write_text("in its place")
    log = open_log(tmp_path)
    log.append(line("0") + line("1"))
    (tmp_path / "s").unlink()
    log.append(line("2"))
    log.close()
    assert ([2], "2") == (lost(tmp_path), said(tmp_path)[-1])


def test_torn_line_of_a_killed_writer(tmp_path: Path) -> None:
    """The next one starts on a line of its own, and what is torn is shown with a mark."""
    log = open_log(tmp_path)
    log.append(line("0"))
    log.close()
    with (tmp_path / "s" / "a.jsonl").open("ab") as file:
        file.write(line("torn")[:60])
    log = open_log(tmp_path)
    log.append(line("1"))
    log.close()
    torn = line("torn")[:60].decode()
    assert ["0", f"[{torn}]", "1"] == said(tmp_path)


def test_frozen_writer_that_wakes_up(tmp_path: Path) -> None:
    """Two that write to one log at once tear no line of each other."""
    logs = [open_log(tmp_path), open_log(tmp_path)]
    for n in range(200):
        logs[n % 2].append(b"".join(line(f"{n}.{i}") for i in range(20)))
    for log in logs:
        log.close()
    assert sorted(f"{n}.{i}".rstrip(".") for n in range(200) for i in range(20)) == sorted(said(tmp_path))


def test_link_in_the_place_of_a_log(tmp_path: Path) -> None:
    """It is not followed: what is behind it stays as it is."""
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a.jsonl").symlink_to(tmp_path / "victim")
    log = open_log(tmp_path)
    log.append(line("0"))
    log.close()
    assert (tmp_path / "victim").read_text() == "precious"


def test_each_job_is_noted_once(tmp_path: Path) -> None:
    """However often it is opened."""
    for _ in range(3):
        log = open_log(tmp_path)
        log.append(line("0"))
        log.close()
    assert (tmp_path / "s" / INDEX).read_text() == "a\n"


def test_store_has_one_log_for_all_that_write_to_it(tmp_path: Path) -> None:
    """Its file is closed when the last of them gives it back."""

    def of(folder: Path) -> set[tuple[str, str]]:
        return {each for each in descriptors() if each[1].startswith(str(folder))}

    store = LogStore(CLOCK)
    first, second = store.take(tmp_path / "s", "a"), store.take(tmp_path / "s", "a")
    first.append(line("0"))
    before = of(tmp_path)
    store.give_back(tmp_path / "s", "a")
    still = of(tmp_path)
    store.give_back(tmp_path / "s", "a")
    assert (True, 1, before, set()) == (first is second, len(before), still, of(tmp_path))


def test_handler_of_the_host_may_write_to_the_log(tmp_path: Path) -> None:
    """A warning about a log is given while nobody holds it."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            log.append(line("again"))

    handler = Handler()
    (tmp_path / "s").write_text("in its place")
    log = open_log(tmp_path)
    logging.getLogger("bunsui.logging").addHandler(handler)
    try:
        log.append(line("0"))
    finally:
        logging.getLogger("bunsui.logging").removeHandler(handler)
    (tmp_path / "s").unlink()
    log.append(line("1"))
    log.close()
    assert [2] == lost(tmp_path)
