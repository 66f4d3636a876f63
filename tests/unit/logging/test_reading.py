"""Reading logs across jobs and files, while they are written and after that."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bunsui.errors import NotFound, StoreError
from bunsui.logging.files import FolderLogs
from bunsui.logging.filters import Filter, make_filter
from bunsui.logging.log_store import JobLog
from bunsui.logging.reading import Reading
from bunsui.logging.records import to_line
from bunsui.model.times import to_text
from bunsui.runner.clock import SystemClock

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def record(job: str, message: str, second: float = 0) -> bytes:
    """A line of a log."""
    at = to_text(NOW + timedelta(seconds=second))
    return to_line({"time": at, "level": "INFO", "job": job, "stream": "log", "message": message})


def write(folder: Path, job: str, *lines: bytes, segment: int = 10**9) -> None:
    """Appends lines to the log of a job, each by itself."""
    log = JobLog(folder, job, SystemClock(), segment)
    for line in lines:
        log.append(line)
    log.close()


def read(folder: Path, *wanted: str, last: int | None = None, **given: Any) -> list[str]:
    """The messages."""
    names = ("level", "since", "until", "grep", "fields")
    chosen = make_filter(*(given.get(name) for name in names), now=NOW)
    return [
        each.message
        for each in Reading(folder.name, FolderLogs(folder), wanted or None, chosen).records(last)
    ]


def test_by_time(tmp_path: Path) -> None:
    """Records of several jobs are given by time, those of one job as they were written."""
    write(
        tmp_path, "a", record("a", "a1", 1), record("a", "a5", 5), record("a", "a2", 2), record("a", "a9", 9)
    )
    write(tmp_path, "b", record("b", "b0", 0), record("b", "b3", 3), record("b", "b7", 7))
    assert ["b0", "a1", "b3", "a5", "a2", "b7", "a9"] == read(tmp_path)
    assert ["b0", "b3", "b7"] == read(tmp_path, "b")
    assert ["b7", "a9"] == read(tmp_path, last=2)


def test_segments(tmp_path: Path) -> None:
    """A log goes on over its files; the last records are those of the last ones."""
    write(tmp_path, "a", *(record("a", str(n)) for n in range(50)), segment=300)
    assert len(list(tmp_path.glob("a.*.jsonl"))) > 5
    assert list(map(str, range(50))) == read(tmp_path)
    assert [list(map(str, range(50 - n, 50))) for n in (0, 1, 7, 50)] == [
        read(tmp_path, last=n) for n in (0, 1, 7, 99)[:3]
    ] + [read(tmp_path, last=99)]


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None)
@given(
    logs=st.dictionaries(
        st.sampled_from(["a", "b", "c-1", "d_2"]),
        st.lists(st.tuples(st.integers(0, 5), st.text(max_size=5))),
        max_size=4,
    ),
    segment=st.sampled_from([100, 10**6]),
    least=st.sampled_from([None, NOW + timedelta(seconds=2)]),
)
def test_merge(tmp_path_factory, logs, segment, least) -> None:
    """Whatever jobs log, all that is wanted is given, once, in each job's order, and by time."""
    folder = tmp_path_factory.mktemp("logs")
    for job, said in logs.items():
        write(folder, job, *(record(job, text, second) for second, text in said), segment=segment)
    found = list(
        Reading(
            folder.name, FolderLogs(folder), None, make_filter(None, least, None, None, None, NOW)
        ).records()
    )
    for job, said in logs.items():
        of_job = [(each.time, each.message) for each in found if each.job == job]
        expected = [(NOW + timedelta(seconds=second), text) for second, text in said]
        assert [each for each in expected if least is None or each[0] >= least] == of_job
    if all(said == sorted(said, key=lambda each: each[0]) for said in logs.values()):
        assert sorted(each.time for each in found) == [each.time for each in found]


def test_torn(tmp_path: Path) -> None:
    """A line that nobody completed is a damaged record, at the end and before the next file."""
    write(tmp_path, "a", record("a", "one"))
    with (tmp_path / "a.jsonl").open("ab") as file:
        file.write(b'{"time":"2026-01-31T12:00')
    (tmp_path / "a.0001.jsonl").write_bytes(record("a", "two") + b'{"tim')
    found = list(Reading(tmp_path.name, FolderLogs(tmp_path), None, Filter()).records())
    assert [("one", False), ('{"time":"2026-01-31T12:00', True), ("two", False), ('{"tim', True)] == [
        (each.message, each.damaged) for each in found
    ]


def test_long_lines(tmp_path: Path) -> None:
    """A line may be longer than what is read at once."""
    texts = ["x" * 3_000_000, "y", "z" * 1_500_000]
    write(tmp_path, "a", *(record("a", text) for text in texts))
    assert texts == read(tmp_path)
    assert texts[1:] == read(tmp_path, last=2)


def test_other_files(tmp_path: Path) -> None:
    """What is no log is not taken for one."""
    for name in ("a.jsonl.bak", "a.old.jsonl", "README", ".hidden.jsonl"):
        (tmp_path / name).write_bytes(record("a", "no"))
    assert [] == read(tmp_path)


# What is gone


def check(folder: Path, *wanted: str, expected: tuple[str, ...] = ()) -> list[str]:
    """The messages, once all that should be there was."""
    reading = Reading(folder.name, FolderLogs(folder), wanted or None, Filter(), lambda: expected)
    found = [each.message for each in reading.records()]
    reading.check()
    return found


def test_gone(tmp_path: Path) -> None:
    """A log that is gone is an error that names job, session and file; all else is read before."""
    folder = tmp_path / "session1"
    for job in ("a", "b"):
        write(folder, job, record(job, job))
    (folder / "a.jsonl").unlink()
    said = f"^the log of job 'a' of session session1 is gone: {folder}/a.jsonl"
    reading = Reading(folder.name, FolderLogs(folder), None, Filter())
    assert ["b"] == [each.message for each in reading.records()]
    with pytest.raises(NotFound, match=said):
        reading.check()
    with pytest.raises(NotFound, match=said + "; logs are where the session's runner kept them"):
        check(folder, "a")
    assert ["b"] == check(folder, "b")


@pytest.mark.parametrize("number", [0, 1, 2])
def test_part_gone(tmp_path: Path, number: int) -> None:
    """Of a log of which a file is gone the others are read, and the file is named."""
    write(tmp_path, "a", *(record("a", str(n)) for n in range(4)), segment=1)
    path = tmp_path / ("a.jsonl" if number == 0 else f"a.{number:04}.jsonl")
    path.unlink()
    reading = Reading(tmp_path.name, FolderLogs(tmp_path), None, Filter())
    assert [str(n) for n in range(4) if n != number] == [each.message for each in reading.records()]
    with pytest.raises(NotFound, match=f"is gone: {path}; all else"):
        reading.check()


def test_all_gone(tmp_path: Path) -> None:
    """Where the folder is gone, jobs that must have had one tell; where nobody has logged, nothing is."""
    assert [] == check(tmp_path / "s")
    assert [] == check(tmp_path / "s", "b", expected=("a",))
    with pytest.raises(NotFound, match=r"job 'a' of session s is gone: .*/s/a\.jsonl; also .*/s/b\.jsonl"):
        check(tmp_path / "s", expected=("a", "b"))


def test_silent(tmp_path: Path) -> None:
    """A job that has never logged has no log, and that is no error."""
    write(tmp_path, "a", record("a", "a"))
    assert [] == check(tmp_path, "b", expected=("a", "b"))


def test_starts_meanwhile(tmp_path: Path) -> None:
    """A job that begins to log while others are read is not gone."""
    write(tmp_path, "a", record("a", "a"))
    reading = Reading(tmp_path.name, FolderLogs(tmp_path), None, Filter())
    for _ in reading.records():
        write(tmp_path, "b", record("b", "b"))
    reading.check()


def test_unreadable(tmp_path: Path) -> None:
    """A log that can't be read is an error that names it."""
    (tmp_path / "a.jsonl").mkdir()
    with pytest.raises(StoreError, match=r"^the log .*a\.jsonl can't be read: Is a directory"):
        read(tmp_path)


# Following


def follow(folder: Path, rests: Callable[[], bool], wait: Callable[[bool], None]) -> Iterator[str]:
    """The messages of a log that is followed from its beginning."""
    return (
        each.message for each in Reading(folder.name, FolderLogs(folder), None, Filter()).follow(rests, wait)
    )


def test_follow(tmp_path: Path) -> None:
    """Jobs, files and lines that come later are joined, whatever their times, until the session ends."""
    steps = iter(
        [
            lambda: write(tmp_path, "a", record("a", "a1", 5)),
            lambda: write(tmp_path, "a", record("a", "a2", 5), record("a", "a3", 1), segment=1),
            lambda: write(tmp_path, "b", record("b", "b1", 0)),
            lambda: None,
            lambda: write(tmp_path, "a", record("a", "a4", 5)),
        ]
    )
    found: list[str] = []
    rests = False

    def wait(any_new: bool) -> None:
        nonlocal rests
        found.append(f"waits {any_new}")
        step = next(steps, None)
        rests = step is None
        if step is not None:
            step()

    found.extend(follow(tmp_path, lambda: rests, wait))
    waits = [
        "waits False",
        "a1",
        "waits True",
        "a2",
        "a3",
        "waits True",
        "b1",
        "waits True",
        "waits False",
        "a4",
    ]
    assert [*waits, "waits True"] == found


def test_follow_reads_after_the_end(tmp_path: Path) -> None:
    """What is written just before the session rests is read, and a torn line then counts as one."""
    looks = []

    def rests() -> bool:
        looks.append(1)
        if len(looks) == 2:
            write(tmp_path, "a", record("a", "last"))
            with (tmp_path / "a.jsonl").open("ab") as file:
                file.write(b"{")
        return len(looks) == 2

    assert ["last", "{"] == list(follow(tmp_path, rests, lambda _: None))


def test_follow_waits_for_the_end_of_a_line(tmp_path: Path) -> None:
    """The beginning of a line is no record while somebody may write its end."""
    line = record("a", "whole")
    parts = iter([line[:30], line[30:-1], b"\n"])
    done = False

    def wait(_: bool) -> None:
        nonlocal done
        part = next(parts, None)
        done = part is None
        with (tmp_path / "a.jsonl").open("ab") as file:
            file.write(part or b"")

    assert ["whole"] == list(follow(tmp_path, lambda: done, wait))


def test_follow_is_fair(tmp_path: Path) -> None:
    """A job that writes faster than it is read keeps nobody from being joined."""
    write(tmp_path, "a", record("a", "a"))
    found = []
    for message in islice(follow(tmp_path, lambda: False, lambda _: None), 20):
        found.append(message)
        write(tmp_path, "a", record("a", "a"), record("a", "a"))
        if len(found) == 2:
            write(tmp_path, "b", record("b", "b"))
    assert found.count("b") == 1


def test_follow_anew(tmp_path: Path) -> None:
    """A log that somebody has removed and that is begun anew is read from its beginning."""
    write(tmp_path, "a", *(record("a", "old") for _ in range(3)))
    found = []
    for message in islice(follow(tmp_path, lambda: False, lambda _: None), 4):
        found.append(message)
        if len(found) == 3:
            (tmp_path / "a.jsonl").unlink()
            write(tmp_path, "a", record("a", "new"))
    assert ["old", "old", "old", "new"] == found


#: Appends many lines to the logs of jobs, all with the same time or an earlier one.
WRITER = """
import sys, time
from pathlib import Path
from bunsui.logging.log_store import JobLog
from bunsui.runner.clock import SystemClock

folder, job, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
log = JobLog(folder, job, SystemClock(), segment=5000)
for n in range(count):
    time_ = "2026-01-31T12:00:00.000000Z" if n % 7 else "2026-01-31T11:00:00.000000Z"
    line = f'{{"time":"{time_}","level":"INFO","job":"{job}","stream":"log","message":"{job}{n}"}}'
    log.append(line.encode() + bytes([10]))
    if n % 50 == 0:
        time.sleep(0.001)
log.close()
"""


def test_follow_loses_nothing(tmp_path: Path) -> None:
    """What processes write while it is followed is given, all of it, once, in order, with equal times."""
    jobs = ("a", "b", "c")
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), job, "600"]) for job in jobs]
    found = list(
        follow(
            tmp_path,
            lambda: all(each.poll() is not None for each in writers),
            lambda _: time.sleep(0.001),
        )
    )
    assert [0, 0, 0] == [each.wait() for each in writers]
    assert [[f"{job}{n}" for n in range(600)] for job in jobs] == [
        [each for each in found if each.startswith(job)] for job in jobs
    ]


def test_follow_a_thread(tmp_path: Path) -> None:
    """The same of a thread of this process."""
    script = compile(WRITER.replace("sys.argv", repr(["", str(tmp_path), "a", "600"])), "writer", "exec")
    writer = threading.Thread(target=exec, args=(script, {}))
    writer.start()
    found = list(follow(tmp_path, lambda: not writer.is_alive(), lambda _: time.sleep(0.001)))
    writer.join()
    assert [f"a{n}" for n in range(600)] == found
