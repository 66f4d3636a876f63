"""Batches of events, and the queue that they come from."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bunsui.logging.cloudwatch.events import (
    MAX_BATCH,
    MAX_EVENTS,
    MAX_SPAN,
    MAX_TEXT,
    Event,
    first_batch,
    fitting_line,
    fitting_text,
)
from bunsui.logging.cloudwatch.queue import LINGER, Queue, Stream
from bunsui.logging.records import from_line, to_line
from bunsui.model.times import to_text

DAY = 24 * 3600 * 1000
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def notice(records: int, why: str) -> bytes:
    return f"<{records}: {why}>".encode()


def batches(queue: Queue, stream: Stream) -> list[list[Event]]:
    """All batches until the stream has nothing more."""
    found = []
    while stream.events:
        batch = queue.batch(stream)
        queue.sent(stream, len(batch), 0.0)
        found.append(batch)
    return found


SIZES = st.sampled_from([1, 10, 1000, 30_000, 500_000, MAX_TEXT])
STEPS = st.sampled_from([0, 1, 1000, DAY // 2, DAY - 1, DAY, 3 * DAY, -1, -1000, -2 * DAY])


@given(st.lists(st.tuples(SIZES, STEPS, st.integers(1, 3)), max_size=60))
def test_batches_obey_all_limits(given_: list[tuple[int, int, int]]) -> None:
    """Whatever sizes and times events have, in whatever order: none is lost, and their order stays."""
    queue = Queue(10**9, 10**12)
    stream = queue.open("s", notice)
    time, put = 10 * DAY, []
    for size, step, repeated in given_:
        time = max(time + step, 0)
        for _ in range(repeated):
            text = f"{len(put)}:".encode()
            put.append(text.ljust(min(max(size, len(text)), MAX_TEXT), b"."))
            assert queue.add(stream, time, put[-1], 0.0)
    found = batches(queue, stream)
    for batch in found:
        times = [event.time for event in batch]
        assert times == sorted(times)
        assert times[-1] - times[0] < MAX_SPAN
        assert len(batch) <= MAX_EVENTS
        assert sum(len(event.text) + 26 for event in batch) <= MAX_BATCH
    assert put == [event.text for batch in found for event in batch]
    assert (0, 0, 0) == (queue.events, queue.size, stream.size)


def test_most_events() -> None:
    """A batch has 10,000 events at most, and as many where there are."""
    events = [Event(0, b"x")] * (2 * MAX_EVENTS + 1)
    assert MAX_EVENTS == len(first_batch(events))
    assert 1 == len(first_batch(events, 1))


def test_exactly_full() -> None:
    """The overhead of each event counts, and the last byte fits."""
    size = MAX_BATCH // 2 - 26
    assert 2 == len(first_batch([Event(0, b"x" * size), Event(0, b"x" * size)]))
    assert 1 == len(first_batch([Event(0, b"x" * size), Event(0, b"x" * (size + 1))]))


@given(st.integers(1, 5), st.lists(st.sampled_from("abs"), max_size=40))
def test_bounds(most: int, steps: list[str]) -> None:
    """However it is filled and emptied: it holds no more, and each record is sent, or in a count."""
    queue, put, sent = Queue(most, 10**9), [], []
    streams = {name: queue.open(name, notice) for name in "ab"}
    for step in steps:
        if step == "s":
            stream = queue.due(0.0, at_once=True)
            if stream is not None:
                batch = queue.batch(stream)[:1]
                sent += [(stream.name, event) for event in batch]
                queue.sent(stream, len(batch), 0.0)
                queue.settle_all(0, 0.0)
        else:
            put.append(step)
            if not queue.add(streams[step], 0, b"x", 0.0):
                queue.lose(streams[step], 1, "full")
        assert sum(not event.missing for each in streams.values() for event in each.events) <= most
    queue.settle_all(0, 0.0)
    for name, stream in streams.items():
        told = [event for other, event in sent if other == name] + list(stream.events)
        records = sum(event.missing or 1 for event in told)
        assert put.count(name) == records
    assert queue.lost == sum(e.missing for _, e in sent) + sum(
        e.missing for each in streams.values() for e in each.events
    )


def test_what_is_missing_is_said_in_its_place() -> None:
    """Before what comes next, as soon as there is room."""
    queue = Queue(2, 10**9)
    stream = queue.open("s", notice)
    assert [True, True, False] == [queue.add(stream, 1, text, 0.0) for text in (b"a", b"b", b"c")]
    queue.lose(stream, 1, "full")
    queue.sent(stream, 2, 0.0)
    assert queue.add(stream, 2, b"d", 0.0)
    assert [b"<1: full>", b"d"] == [event.text for event in stream.events]


def test_bytes_are_bounded() -> None:
    """Not only their number."""
    queue = Queue(10**9, 100)
    stream = queue.open("s", notice)
    assert (True, False) == (queue.add(stream, 0, b"x" * 70, 0.0), queue.add(stream, 0, b"x" * 70, 0.0))


def test_times_never_fall() -> None:
    """So the order in which AWS has them is that in which they came; but a clock that was wrong is left."""
    stream = Stream("s", notice)
    hours = 3600 * 1000
    assert [100, 100, 101] == [stream.stamp(100), stream.stamp(99), stream.stamp(101)]
    assert [50 * hours, 50 * hours, 48 * hours] == [stream.stamp(n * hours) for n in (50, 49, 48)]


def test_an_event_waits_for_others() -> None:
    """For a second; not where a batch is full, nor where somebody waits for it."""
    queue = Queue()
    stream = queue.open("s", notice)
    queue.add(stream, 0, b"x", 5.0)
    assert (None, 5.0 + LINGER) == (queue.due(5.5, at_once=False), queue.next_at(at_once=False))
    assert stream is queue.due(5.5, at_once=True)
    queue.failed(stream, 0.0)
    for _ in range(MAX_EVENTS):
        queue.add(stream, 0, b"x", 5.0)
    assert stream is queue.due(5.0, at_once=False)
    assert (None, None) == (queue.due(9.0, at_once=True), queue.next_at(at_once=True))


def test_each_stream_has_its_turn() -> None:
    """One that is always full does not keep others waiting."""
    queue = Queue()
    for name in "abc":
        for _ in range(3):
            queue.add(queue.open(name, notice), 0, b"x", 0.0)
    turns = []
    for _ in range(6):
        stream = queue.due(10.0, at_once=True)
        assert stream is not None
        turns.append(stream.name)
        queue.sent(stream, 1, 0.0)
    assert list("abcabc") == turns


def test_streams_are_forgotten() -> None:
    """A stream that nobody uses, and of which all is sent, takes no memory."""
    queue = Queue()
    stream = queue.open("s", notice)
    queue.add(stream, 0, b"x", 0.0)
    queue.release(stream)
    assert ["s"] == list(queue.streams)
    queue.sent(stream, 1, 0.0)
    assert [] == list(queue.streams)


@pytest.mark.parametrize("text", ["", "x", "é" * MAX_TEXT, "\ud800", "a" * MAX_TEXT, "a" * (MAX_TEXT + 1)])
def test_texts_fit(text: str) -> None:
    """None is empty or too long; one that was cut says so, and is UTF-8."""
    data = fitting_text(text)
    assert 1 <= len(data) <= MAX_TEXT
    assert data.decode().endswith("bytes]") == (len(text.encode("utf-8", "replace")) > MAX_TEXT)


@given(
    st.sampled_from(["x", "é", "\x00", '"', "\\", "\U0001f600", "\ud800"]),
    st.sampled_from([0, 10, 400_000, 5_000_000]),
    st.sampled_from([0, 400_000]),
    st.sampled_from([0, 10, 2_000_000]),
)
def test_lines_fit(letter: str, message: int, exception: int, field: int) -> None:
    """A record that is too long is one still, with its time and job, and says that it was cut."""
    record = {
        "time": to_text(NOW), "level": "ERROR", "job": "a", "stream": "log", "logger": "x" * field,
        "message": letter * message, "fields": {"of": "me", "much": "y" * field},
        "exception": letter * exception,
    }  # fmt: skip
    line = to_line(record)[:-1]
    cut = fitting_line(line)
    found = from_line(cut, "a")
    assert len(cut) <= MAX_TEXT
    assert (NOW, "ERROR", "a", False) == (found.time, found.level, found.job, found.damaged)
    if len(line) <= MAX_TEXT:
        assert line == cut
    else:
        assert (len(line), True) == (found.fields["cut"], json.loads(line)["message"][:1000] in found.message)
