"""One thread for all that processes write: what goes wrong in one place ends nothing elsewhere."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from bunsui.logging.attempt import AttemptLog
from bunsui.logging.channel import Channel
from bunsui.logging.collector import Collector
from bunsui.logging.files import FolderLogs
from bunsui.logging.filters import Filter
from bunsui.logging.log_store import LogStore
from bunsui.logging.reading import Reading
from bunsui.model.log import LogRecord
from bunsui.ports.clock import Clock
from bunsui.runner.clock import SystemClock

CLOCK = SystemClock()


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


class FaultyClock(SystemClock):
    """Fails from its second call on."""

    def __init__(self) -> None:
        self._asked = 0

    def now(self) -> datetime:
        self._asked += 1
        if self._asked > 1:
            raise KeyError("hunter2")
        return super().now()


def log_in(folder: Path, collector: Collector, clock: Clock = CLOCK) -> AttemptLog:
    return AttemptLog(LogStore(CLOCK), collector, clock, folder / "s", "a", 1)


def records(folder: Path) -> list[LogRecord]:
    return list(Reading("s", FolderLogs(folder / "s"), None, Filter()).records())


def open_files() -> set[Path]:
    """What is open; of pipes, which: a number may be another's by then."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # That of the listing itself.
            found.add(descriptor.readlink())
    return found


def write_all(descriptor: int, data: bytes) -> None:
    os.set_blocking(descriptor, False)
    rest = memoryview(data)
    while rest:
        assert select.select([], [descriptor], [], 20)[1], "nobody reads it"
        rest = rest[os.write(descriptor, rest) :]


def test_a_fault_in_one_log(tmp_path: Path, collector: Collector, caplog: pytest.LogCaptureFixture) -> None:
    """Its job goes on, however much it writes; what is lost is counted, and other logs are whole."""
    faulty, other = log_in(tmp_path / "f", collector, FaultyClock()), log_in(tmp_path / "o", collector)
    with faulty.streams() as pipes, other.streams() as others:
        os.write(pipes.stdout, b"before\n")
        pipes.last_line()  # It has been read.
        write_all(pipes.stdout, (b"y" * 99 + b"\n") * 20_000 + b"open")
        write_all(others.stdout, b"o\n" * 100_000)
    faulty.close()
    other.close()
    collector.close()  # Then the count is in the log.
    told = [record.message for record in records(tmp_path / "f")]
    assert ["before"] == told[:1]
    assert all("missing here: a fault in reading them (KeyError in test_collector.py:" in m for m in told[1:])
    assert 20_001 == sum(record.fields["lost"] for record in records(tmp_path / "f")[1:])
    assert 100_000 == len(records(tmp_path / "o"))
    assert "the log of job 'a'" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_pipe_that_can_not_be_read(tmp_path: Path, collector: Collector) -> None:
    """It is closed, and the others are read."""
    source, broken = os.pipe()
    os.close(source)
    ended = threading.Event()
    nothing: Callable[..., None] = lambda *_: None  # noqa: E731 - three of its parameters
    collector.add(
        [Channel(broken, "stdout", nothing, CLOCK, "a", 1, None, None, b"", nothing, nothing)], ended.set
    )
    assert ended.wait(30)
    log = log_in(tmp_path, collector)
    with log.streams() as pipes:
        write_all(pipes.stdout, b"x\n" * 50_000)  # More than a pipe holds: somebody reads it.
    log.close()
    assert 50_000 == len(records(tmp_path))


class Interrupted(threading.Thread):
    """The first of them is interrupted while it is started."""

    when = "before"
    error: type[BaseException] = KeyboardInterrupt
    left = 1

    def start(self) -> None:
        hit, Interrupted.left = Interrupted.left > 0, Interrupted.left - 1
        if not hit or self.when == "behind":
            super().start()
        if hit:
            raise self.error


@pytest.mark.parametrize(
    ("when", "error"),
    [("before", KeyboardInterrupt), ("behind", KeyboardInterrupt), ("before", RuntimeError)],
)
@pytest.mark.parametrize("again", [True, False], ids=["again", "closed"])
def test_a_thread_that_does_not_start(
    tmp_path: Path, when: str, error: type[BaseException], again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next streams are read, by one thread; nothing is left of those that had none."""
    for name, value in {"when": when, "error": error, "left": 1}.items():
        monkeypatch.setattr(Interrupted, name, value)
    before = open_files()
    collector = Collector(Interrupted)
    first = log_in(tmp_path / "1", collector)
    with pytest.raises(error), first.streams():
        pass
    first.close()
    if again:
        for n in range(2):
            log = log_in(tmp_path / str(n), collector)
            with log.streams() as pipes:
                write_all(pipes.stdout, b"x\n" * 50_000)
            log.close()
            assert 50_000 == len(records(tmp_path / str(n)))
        assert 1 == sum(isinstance(each, Interrupted) for each in threading.enumerate())
    collector.close()
    for thread in threading.enumerate():
        if isinstance(thread, Interrupted):
            thread.join(10)
    assert not any(isinstance(each, Interrupted) for each in threading.enumerate())
    assert open_files() <= before  # What other tests have left may be closed meanwhile.
