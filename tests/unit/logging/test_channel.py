"""What comes out of a pipe of a process, as records."""

from __future__ import annotations

import functools
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bunsui.local.redaction import Redactor
from bunsui.logging import log_store
from bunsui.logging.attempt import AttemptLog
from bunsui.logging.channel import MAX_LINE, Channel
from bunsui.logging.collector import Collector
from bunsui.logging.files import FolderLogs
from bunsui.logging.filters import Filter
from bunsui.logging.log_store import JobLog, LogStore
from bunsui.logging.reading import Reading
from bunsui.model.log import LogRecord
from bunsui.runner.clock import SystemClock
from bunsui_tests.held import held, leaves_nothing

CLOCK = SystemClock()
MARK = b"\x1e0123456789abcdef:"


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


def log_in(folder: Path, collector: Collector, redactor: Redactor | None = None) -> AttemptLog:
    return AttemptLog(LogStore(CLOCK), collector, CLOCK, folder / "s", "a", 1, None, redactor)


def records(folder: Path) -> list[LogRecord]:
    return list(Reading("s", FolderLogs(folder / "s"), None, Filter()).records())


def structured(n: object, **others: object) -> bytes:
    """A record of a worker, on its line."""
    record = {"level": "INFO", "logger": "mine", "message": "", "n": n} | others
    return MARK + json.dumps(record).encode() + b"\n"


def said(*pieces: bytes, redactor: Redactor | None = None) -> list[Any]:
    """The messages that come of these pieces of stderr; of a record its field `n`."""
    found: list[Any] = []

    def write(lines: bytes) -> None:
        found.extend(json.loads(line)["message"] for line in lines.splitlines())

    out, into = os.pipe()
    os.set_blocking(out, False)
    take = lambda record: found.append(record["n"])  # noqa: E731 - one of two small callbacks
    channel = Channel(
        out, "stderr", write, CLOCK, "a", 1, None, redactor, MARK, take, lambda *lost: found.append(lost)
    )
    for piece in pieces:
        os.write(into, piece)
        channel.read()
    os.close(into)
    channel.finish()
    channel.close()
    return found


@pytest.mark.parametrize(
    ("written", "messages"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a\n\nb\n", ["a", "", "b"]),
        (b"no line break", ["no line break"]),
        (b"dos\r\nunix\n10%\r20%\n", ["dos", "unix", "10%\r20%"]),
        ("é\u2028\x1b[2J\0\n".encode(), ["é\u2028\x1b[2J\0"]),
        (b"\xff\xfe\n", ["\\xff\\xfe"]),
        (b'"quoted" \\ {"level":"ERROR"}\n', ['"quoted" \\ {"level":"ERROR"}']),
    ],
)
def test_lines(written: bytes, messages: list[str]) -> None:
    """A record for each line, whatever is in it."""
    assert messages == said(written)


@given(
    st.lists(st.one_of(st.binary(max_size=20), st.integers(0, 99)), max_size=8),
    st.lists(st.integers(0, 400), max_size=12),
)
def test_records_among_lines(parts: list[bytes | int], cuts: list[int]) -> None:
    """Records keep their place among the lines, wherever the stream is cut; an open line ends before one."""
    data, expected, open_line = b"", [], b""
    for part in parts:
        if isinstance(part, int):
            data += structured(part)
            expected += [open_line, part] if open_line else [part]
            open_line = b""
        else:
            *lines, open_line = (open_line + part).split(b"\n")
            data += part
            expected += lines
    expected += [open_line] if open_line else []
    texts = [
        each if isinstance(each, int) else each.removesuffix(b"\r").decode("utf-8", "backslashreplace")
        for each in expected
    ]
    places = sorted({min(cut, len(data)) for cut in cuts})
    pieces = [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]
    assert texts == said(*filter(None, pieces))


def test_damaged_record_is_text() -> None:
    """Where something else came into it, all of it is shown."""
    assert ["before", MARK.decode() + '{"n": oops1}', "after"] == said(
        b"before\n" + MARK + b'{"n": oops1}\nafter\n'
    )


def test_records_behind_a_damaged_one() -> None:
    """They are records: only what is damaged is text, up to the end of its line or to the next record."""
    broken = structured(1)[:-9]
    told = (MARK + broken[len(MARK) :]).decode()
    assert [0, told + "child", "text", 2, 3] == said(
        structured(0) + broken + b"child\ntext\n" + structured(2) + structured(3)
    )
    assert [told, 2, 3] == said(broken + structured(2) + structured(3))
    assert [told * 2, 2] == said(broken, broken, structured(2))


@given(st.data())
def test_damaged_records_wherever_the_stream_is_cut(data: st.DataObject) -> None:
    """All that comes is told in its order, records as records, the rest as text."""
    parts = data.draw(st.lists(st.sampled_from(["record", "torn", "text", "line"]), max_size=8))
    written, expected, open_line = b"", [], b""
    for n, part in enumerate(parts):
        if part == "record":
            written += structured(n)
            expected += [open_line.decode(), n] if open_line else [n]
            open_line = b""
            continue
        piece = {"torn": structured(n)[:-5], "text": b"abc", "line": b"abc\n"}[part]
        *lines, open_line = (open_line + piece).split(b"\n")
        written += piece
        expected += [line.decode() for line in lines]
    expected += [open_line.decode()] if open_line else []
    places = sorted(data.draw(st.lists(st.integers(0, len(written)), max_size=6)))
    cut = [written[a:b] for a, b in zip([0, *places], [*places, len(written)], strict=True)]
    assert expected == said(*filter(None, cut))


@pytest.mark.parametrize("other", [{"level": 3}, {"message": None}, {"logger": ["a"]}])
def test_a_record_that_lacks_what_each_has(other: dict[str, object]) -> None:
    """A job that knows the mark may write anything: that is its text, and ends nothing."""
    made_up = structured(1, **other)
    assert [made_up.decode().rstrip("\n"), 2] == said(made_up + structured(2))


@pytest.mark.parametrize("depth", [300, 700, 5000])
def test_a_record_that_is_nested_deeply(tmp_path: Path, collector: Collector, depth: int) -> None:
    """Where it can't be written as a record it is text; those behind it are records."""
    lists = b"[" * depth + b"]" * depth
    deep = b'{"level":"INFO","logger":"x","message":"x","fields":{"a":' + lists + b"}}"
    log = log_in(tmp_path, collector, Redactor(["hunter2"]))
    with log.streams() as pipes:
        mark = pipes.mark.encode()
        os.write(pipes.stderr, mark + deep + b"\n" + structured(1, message="next").replace(MARK, mark))
    log.close()
    first, second = records(tmp_path)
    assert "next" == second.message
    assert first.stream == ("log" if depth == 300 else "stderr") or depth == 700  # By the Python.


@pytest.mark.parametrize("unit", [b"x", "é".encode(), "😀".encode()])
@pytest.mark.parametrize("size", [MAX_LINE, MAX_LINE + 1, 3 * MAX_LINE + 5])
def test_long_line(tmp_path: Path, collector: Collector, unit: bytes, size: int) -> None:
    """It is cut into records that say that they go on, between characters."""
    data = unit * (size // len(unit))
    log = log_in(tmp_path, collector)
    with log.streams() as pipes:
        feeding = threading.Thread(target=feed, args=(os.dup(pipes.stdout), data + b"\nnext\n"))
        feeding.start()
        feeding.join()
    log.close()
    *parts, last, following = records(tmp_path)
    assert (data.decode(), "next") == ("".join(r.message for r in [*parts, last]), following.message)
    assert [True] * len(parts) + [False, False] == [r.continues for r in [*parts, last, following]]
    assert all(len(r.message.encode()) <= MAX_LINE for r in parts)


def feed(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.close(descriptor)


def test_all_is_there_when_the_streams_are_left(tmp_path: Path, collector: Collector) -> None:
    """Also an open line, and what was held back; nobody waits for the thread that reads."""
    for n in range(100):
        log = log_in(tmp_path / str(n), collector, Redactor(["hunter2 and more"]))
        with log.streams() as pipes:
            os.write(pipes.stdout, b"one\nhunter2")
        log.close()
        assert ["one", "hunter2"] == [record.message for record in records(tmp_path / str(n))]


def test_child_that_goes_on(tmp_path: Path, collector: Collector) -> None:
    """It holds nobody up, what it writes later is taken in, and it never meets a closed pipe."""
    log = log_in(tmp_path, collector, Redactor(["hunter2 and more"]))
    with log.streams() as pipes:
        child = os.dup(pipes.stdout)
        os.write(child, b"before, hunter2")
    log.close()
    before = [record.message for record in records(tmp_path)]
    os.write(child, b" and more, after\n")
    os.close(child)
    collector.close()
    assert (["before, "], ["before, ", "***, after"]) == (
        before,
        [record.message for record in records(tmp_path)],
    )


def test_what_is_missing_is_told_while_a_child_goes_on(
    tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log that is full says at the end of the process how much it lacks, not only at the child's."""
    monkeypatch.setattr(log_store, "JobLog", functools.partial(JobLog, limit=3000))
    log = log_in(tmp_path, collector)
    with log.streams() as pipes:
        child = os.dup(pipes.stdout)
        os.write(child, b"x\n" * 1000)
    log.close()
    *kept, last = records(tmp_path)
    os.write(child, b"y\n" * 10)
    os.close(child)
    collector.close()
    later = records(tmp_path)[-1]
    assert (1000, 1010) == (len(kept) + last.fields["lost"], len(kept) + later.fields["lost"])


def test_noisy_child_does_not_hold_the_end(tmp_path: Path, collector: Collector) -> None:
    """Streams can be left while somebody goes on writing as fast as he can."""
    log = log_in(tmp_path, collector)
    ended = threading.Event()

    def shout(descriptor: int) -> None:
        while not ended.is_set():
            os.write(descriptor, b"x" * 99 + b"\n")
        os.close(descriptor)

    with log.streams() as pipes:
        thread = threading.Thread(target=shout, args=(os.dup(pipes.stdout),))
        thread.start()
    ended.set()
    thread.join()
    log.close()


def test_nothing_before_the_first_stream(tmp_path: Path) -> None:
    """No thread, no descriptor and no file is there for an attempt that writes nothing."""
    before = held()
    collector = Collector()
    log = log_in(tmp_path, collector)
    log.close()
    assert (set(), []) == (held() - before, list(tmp_path.iterdir()))


def test_nothing_is_left(tmp_path: Path) -> None:
    """After its end a collector has neither a thread nor a descriptor."""
    with leaves_nothing():
        collector = Collector()
        for n in range(10):
            log = log_in(tmp_path / str(n), collector)
            with log.streams() as pipes:
                os.write(pipes.stderr, b"x\n")
            log.close()
        collector.close()


def test_short_secret_as_a_line() -> None:
    """One of less than 4 characters is masked where it is the whole line, and nowhere else."""
    assert ["***", "abc.", "x"] == said(b"abc\nabc.\nx\n", redactor=Redactor(["abc", "something else"]))


def test_short_secret_as_a_line_that_ends_in_crlf() -> None:
    """Its line break is none of it, also where the stream ends within that."""
    redactor = Redactor(["abc", "something else"])
    assert ["***", "abc.", "***", "x"] == said(b"abc\r\nabc.\r\nabc\r\nx", redactor=redactor)
    assert ["***"] == said(b"abc\r", redactor=redactor)


def test_short_secret_as_the_last_line(tmp_path: Path, collector: Collector) -> None:
    """What an error quotes is as it is in the log."""
    log = log_in(tmp_path, collector, Redactor(["abc"]))
    with log.streams() as pipes:
        os.write(pipes.stderr, b"before\nabc\r\n")
        assert "***" == pipes.last_line()
    log.close()


@pytest.mark.parametrize("created", [1.7e12, float("nan"), float("inf"), "yesterday", -1e30])
def test_a_record_whose_time_is_none(tmp_path: Path, collector: Collector, created: object) -> None:
    """It has the time at which it came; whoever reads the pipes of all jobs must not end by it."""
    log = log_in(tmp_path, collector)
    log.take({"level": "INFO", "logger": "mine", "message": "odd", "created": created})
    log.close()
    (record,) = records(tmp_path)
    assert ("odd", True) == (record.message, abs((CLOCK.now() - record.time).total_seconds()) < 3600)
