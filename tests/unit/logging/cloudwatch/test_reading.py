"""Reading the logs of a session from CloudWatch Logs: page by page, each record once."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bunsui.aws.connections import Connections
from bunsui.aws.log_group import LogGroup
from bunsui.aws.settings import AwsSettings
from bunsui.errors import AwsError
from bunsui.logging.cloudwatch.calls import Calls
from bunsui.logging.cloudwatch.events import MAX_TEXT
from bunsui.logging.cloudwatch.jobs import CloudJobLog, CloudLogStore
from bunsui.logging.cloudwatch.logs import CloudLogs
from bunsui.logging.cloudwatch.reading import GRACE, GroupLogs, Twice
from bunsui.logging.cloudwatch.writer import Writer
from bunsui.logging.filters import Filter, make_filter
from bunsui.logging.log_store import LogStore
from bunsui.logging.reading import Reading
from bunsui.logging.records import to_line
from bunsui.model.times import to_text
from bunsui.runner.clock import SystemClock
from bunsui_tests.aws.endpoint import FakeAws

pytestmark = pytest.mark.usefixtures("aws_environment")

GROUP = LogGroup("/bunsui/team")
SESSION = "abcdefghijklmnop"
ALL = Filter()


class Clock(SystemClock):
    """This machine's, and as much later as it is told."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead)

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


def line(message: str, job: str = "a", at: datetime | None = None) -> bytes:
    time_ = to_text(at or datetime.now(UTC))
    return to_line({"time": time_, "level": "INFO", "job": job, "stream": "log", "message": message})


@pytest.fixture
def logs(fake_aws: FakeAws) -> Iterator[CloudLogs]:
    """The logs in a group, to be written."""
    made = CloudLogs(GROUP, AwsSettings(endpoints={"": fake_aws.url}), SystemClock())
    yield made
    made.close()


def write(logs: CloudLogs, folder: Any, *lines: bytes, job: str = "a") -> None:
    """Writes lines to the log of a job, and has them sent."""
    sinks = logs.sinks()
    with sinks.taken(folder / SESSION, job) as log:
        for each in lines:
            log.append(each)
    assert logs._writer is not None
    assert logs._writer.flush(60)


def source(fake_aws: FakeAws, clock: SystemClock | None = None, **more: Any) -> GroupLogs:
    """The logs of the session, to be read."""
    connections = Connections(AwsSettings(endpoints={"": fake_aws.url}), wait=lambda *_: False)
    return GroupLogs(Calls(GROUP, connections), SESSION, clock or SystemClock(), lambda: None, **more)


def read(fake_aws: FakeAws, *wanted: str, chosen: Filter = ALL, last: int | None = None) -> list[str]:
    """The messages that somebody else reads."""
    made = source(fake_aws)
    try:
        return [each.message for each in Reading(SESSION, made, wanted or None, chosen).records(last)]
    finally:
        made.close()


def test_what_is_written_is_read(fake_aws: FakeAws, logs: CloudLogs, tmp_path: Any) -> None:
    """By time over all jobs, and of one job alone; of another session nothing."""
    begin = datetime.now(UTC)
    times = [begin + timedelta(milliseconds=n) for n in range(6)]
    write(logs, tmp_path, *(line(f"a{n}", "a", times[n]) for n in (0, 2, 4)), job="a")
    write(logs, tmp_path, *(line(f"b{n}", "b", times[n]) for n in (1, 3, 5)), job="b")
    fake_aws.logs.put(GROUP.name, "abcdefghijklmnoq/a", line("another").decode())
    assert ["a0", "b1", "a2", "b3", "a4", "b5"] == read(fake_aws)
    assert ["b1", "b3", "b5"] == read(fake_aws, "b")
    assert ["a4", "b5"] == read(fake_aws, last=2)
    assert ["b5"] == read(fake_aws, chosen=make_filter(None, times[5], None, None, None, begin))
    assert ["a4"] == read(fake_aws, chosen=make_filter(None, None, None, "a[34]", None, begin))


def test_nothing_is_there(fake_aws: FakeAws) -> None:
    """Neither a group, nor a stream: that is no error."""
    assert [] == read(fake_aws)
    fake_aws.logs.put(GROUP.name, "another/a", "x")
    assert [] == read(fake_aws)


@pytest.mark.parametrize("page", [1, 3, 10_000])
@pytest.mark.parametrize("last", [None, 0, 1, 4, 100])
def test_pages(fake_aws: FakeAws, logs: CloudLogs, tmp_path: Any, page: int, last: int | None) -> None:
    """However few lines a page has, and however many are wanted from the end."""
    write(logs, tmp_path, *(line(str(n)) for n in range(10)))
    fake_aws.logs.page = page
    expected = list(map(str, range(10)))
    assert (expected if last is None else expected[10 - min(last, 10) :]) == read(fake_aws, last=last)


def test_the_line_is_that_of_a_file(fake_aws: FakeAws, logs: CloudLogs, tmp_path: Any) -> None:
    """Each event is the very line that the file of the same job has, and its name."""
    lines = [line('a "quoted" {x}'), line('{"event":"a-1"}'), line("é\u2028")]
    write(logs, tmp_path, *lines)
    files = LogStore(SystemClock())
    with files.taken(tmp_path / "files", "a") as log:
        for each in lines:
            log.append(each)
    kept = fake_aws.logs.lines(GROUP.name, f"{SESSION}/a")
    assert all(line.rpartition(',"event":"')[2].endswith('"}') for line in kept)
    stream = source(fake_aws).source("a")
    stream.look(0)
    assert (tmp_path / "files" / "a.jsonl").read_bytes() == stream.block(0)


def test_what_was_sent_twice_is_read_once(fake_aws: FakeAws, logs: CloudLogs, tmp_path: Any) -> None:
    """The answer to a batch was lost. A job that logs the same line twice has logged it twice."""
    same = line("same")
    fake_aws.faults.drop_after("logs", "PutLogEvents", times=2)
    write(logs, tmp_path, same, same, line("b"))
    write(logs, tmp_path, same)
    assert 10 == len(fake_aws.logs.lines(GROUP.name, f"{SESSION}/a"))
    assert ["same", "same", "b", "same"] == read(fake_aws)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), max_size=12), st.data())
def test_twice(batches: list[tuple[int, int]], data: st.DataObject) -> None:
    """Of batches that are sent again, at any later time, each event is read once, in its order."""
    numbers = itertools.count()
    sent: list[list[int]] = []
    for again, size in batches:
        batch = [next(numbers) for _ in range(size)]
        sent.append(batch)
        for _ in range(again):
            sent.append(data.draw(st.sampled_from(sent)))
    twice = Twice()
    found = [twice.line(b'{"n":%d,"event":"ab.0-%d"}' % (n, n)) for batch in sent for n in batch]
    expected = [b'{"n":%d}' % n for n in range(next(numbers))]
    assert expected == [each for each in found if each is not None]


def test_twice_of_many_writers() -> None:
    """Each has its own numbers; what nobody of us has sent is read as it is, each time."""
    twice = Twice()
    lines = [b'{"event":"a.0-0"}', b'{"x":1,"event":"a.0-1"}', b'{"x":1,"event":"b.0-1"}', b"raw", b"raw"]
    assert [b'{"event":"a.0-0"}', b'{"x":1}', b'{"x":1}', b"raw", b"raw"] == [twice.line(x) for x in lines]
    assert [None, None] == [twice.line(each) for each in lines[1:3]]


def test_a_token_that_has_expired(fake_aws: FakeAws, logs: CloudLogs, tmp_path: Any) -> None:
    """It is good for a day: who follows for longer goes on by times, and reads nothing twice."""
    clock = Clock()
    made = source(fake_aws, clock, is_followed=True)
    reading = Reading(SESSION, made, None, Filter())
    write(logs, tmp_path, line("a"), line("b"))
    assert ["a", "b"] == [each.message for each in reading.records()]
    write(logs, tmp_path, line("c"))
    fault = fake_aws.faults.throttle("logs", "GetLogEvents", code="InvalidParameterException", times=1)
    clock.ahead = 60
    assert ["c"] == [each.message for each in reading.records()]
    assert 1 == fault.hits
    made.close()


def test_following(fake_aws: FakeAws, logs: CloudLogs, tmp_path: Any) -> None:
    """Until a look that is ten seconds behind the session's end: what comes late is given, each line once."""
    clock = Clock()
    made = source(fake_aws, clock, is_followed=True)
    reading = Reading(SESSION, made, None, Filter())
    steps = iter([("a", "one"), ("b", "two"), None, ("a", "late")])
    rests: list[bool] = []

    def wait(any_new: bool) -> None:
        del any_new
        step = next(steps, None)
        if step is not None:
            write(logs, tmp_path, line(step[1], step[0]), job=step[0])
        clock.ahead += 3
        rests.append(len(rests) >= 1)

    found = [each.message for each in reading.follow(lambda: bool(rests and rests[-1]), wait)]
    assert ["one", "two", "late"] == found
    assert clock.ahead >= GRACE.total_seconds()
    made.close()


def test_nobody_asks_too_often(fake_aws: FakeAws, logs: CloudLogs, tmp_path: Any) -> None:
    """Between two looks nothing is called, however often somebody looks."""
    write(logs, tmp_path, line("a"))
    made = source(fake_aws, is_followed=True)
    reading = Reading(SESSION, made, None, Filter())
    assert ["a"] == [each.message for each in reading.records()]
    before = len(fake_aws.calls)
    for _ in range(50):
        assert [] == list(reading.records())
    assert before == len(fake_aws.calls)
    made.close()


@pytest.mark.parametrize("is_followed", [True, False])
def test_what_can_t_be_read(fake_aws: FakeAws, logs: CloudLogs, tmp_path: Any, is_followed: bool) -> None:
    """Who follows waits for a minute, and who does not for a few tries; what is denied is said at once."""
    write(logs, tmp_path, line("a"))
    clock = Clock()
    made = source(fake_aws, clock, is_followed=is_followed)
    reading = Reading(SESSION, made, None, Filter())
    fake_aws.faults.throttle("logs", "GetLogEvents", times=5)
    if is_followed:
        assert [] == list(reading.records())
        clock.ahead += 5
        assert ["a"] == [each.message for each in reading.records()]
        clock.ahead += 5
    else:
        with pytest.raises(AwsError, match="ThrottlingException"):
            list(reading.records())
    fake_aws.faults.deny("logs", "GetLogEvents")
    with pytest.raises(AwsError) as raised:
        list(reading.records())
    assert "logs:GetLogEvents" in str(raised.value.hint)
    made.close()


def test_a_record_that_is_too_long(fake_aws: FakeAws, logs: CloudLogs, tmp_path: Any) -> None:
    """Is there, and says that it was cut."""
    write(logs, tmp_path, line("x" * 3_000_000), line("after"))
    long, after = read(fake_aws)
    assert (True, "after") == (long.endswith("[cut: it had 3,000,002 bytes]"), after)
    assert max(len(each) for each in fake_aws.logs.lines(GROUP.name, f"{SESSION}/a")) <= MAX_TEXT


def test_a_log_that_is_full(fake_aws: FakeAws, logs: CloudLogs, tmp_path: Any) -> None:
    """Of an attempt 100 MiB are sent; what follows is counted, and the count is the last record."""
    logs.sinks()
    assert logs._writer is not None
    with CloudLogStore(logs._writer, SystemClock(), 1000).taken(tmp_path / SESSION, "a") as log:
        for n in range(30):
            log.append(line(str(n)))
    assert logs._writer.flush(60)
    made = source(fake_aws)
    records = list(Reading(SESSION, made, None, Filter()).records())
    made.close()
    kept = [each.message for each in records if each.logger is None]
    told = [dict(each.fields) for each in records if each.logger == "bunsui.logs"]
    assert list(map(str, range(len(kept)))) == kept
    assert [{"lost": 0, "full": True}, {"lost": 30 - len(kept), "full": True}] == told


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(-3, 3), st.integers(1, 200)), max_size=15))
def test_as_files(fake_aws: FakeAws, tmp_path_factory: Any, steps: list[tuple[str, int, int]]) -> None:
    """What is read from CloudWatch Logs is, job by job, what files would have."""
    folder = tmp_path_factory.mktemp("logs")
    session = f"s{time.monotonic_ns()}"
    logs = CloudLogs(GROUP, AwsSettings(endpoints={"": fake_aws.url}), SystemClock())
    both = [logs.sinks(), LogStore(SystemClock())]
    for n, (job, later, count) in enumerate(steps):
        at = datetime.now(UTC) + timedelta(seconds=later)
        data = b"".join(line(f"{n}.{each}", job, at) for each in range(count))
        for sinks in both:
            with sinks.taken(folder / session, job) as log:
                log.append(data)
    logs.close()
    for job in "ab":
        path = folder / session / f"{job}.jsonl"
        made = GroupLogs(
            Calls(GROUP, Connections(AwsSettings(endpoints={"": fake_aws.url}))),
            session,
            SystemClock(),
            lambda: None,
        )
        stream = made.source(job)
        stream.look(0)
        found = b""
        while block := stream.block(0):
            found += block
        assert (path.read_bytes() if path.exists() else b"") == found
        made.close()


def numbered(number: int, mark: str = "ab.0") -> bytes:
    return b'{"n":%d,"event":"%s-%d"}' % (number, mark.encode(), number)


@given(st.permutations(range(12)), st.lists(st.integers(0, 11), max_size=12))
def test_twice_in_any_order(order: list[int], again: list[int]) -> None:
    """Where a clock fell, what was sent later is read first: each is given once, and only ranges are held."""
    twice = Twice()
    assert order == [n for n in order if twice.line(numbered(n)) is not None]
    assert [None] * len(again) == [twice.line(numbered(n)) for n in again]
    assert {b"ab.0": [0, 12]} == twice._read


def test_a_clock_that_falls(fake_aws: FakeAws) -> None:
    """By more than an hour: what was logged before is read, too."""
    connections = Connections(AwsSettings(endpoints={"": fake_aws.url}))
    writer, clock = Writer(Calls(GROUP, connections)), Clock()
    log = CloudJobLog(writer, SESSION, "a", clock, "ab.0")
    for ahead in (5400.0, 0.0):
        clock.ahead = ahead
        for n in range(3):
            log.append(line(f"{ahead} {n}"))
    log.close()
    writer.close(30)
    connections.close()
    expected = [f"{ahead} {n}" for ahead in (5400.0, 0.0) for n in range(3)]
    assert sorted(expected) == sorted(read(fake_aws))
    assert sorted(expected) == sorted(read(fake_aws, last=10))


def test_a_reader_whose_clock_is_behind(fake_aws: FakeAws, logs: CloudLogs, tmp_path: Any) -> None:
    """It reads to the end, which AWS tells, on as many pages as there are."""
    write(logs, tmp_path, *(line(str(n)) for n in range(50)))
    fake_aws.logs.page = 7
    clock = Clock()
    clock.ahead = -600.0
    made = source(fake_aws, clock)
    assert list(map(str, range(50))) == [each.message for each in Reading(SESSION, made, None, ALL).records()]
    made.close()


@pytest.mark.parametrize("last", [None, 2])
def test_who_takes_over_has_a_clock_that_is_behind(fake_aws: FakeAws, last: int | None) -> None:
    """What it logs stands before what was read: who follows has it with the last look, and nothing twice."""
    name, now = f"{SESSION}/a", int(time.time() * 1000)

    def put(text: str, at: int, event: str) -> None:
        record = line(text)[:-2] + (f',"event":"{event}"}}'.encode() if event else b"}")
        # By the call: so it stands where its time is.
        event_ = {"timestamp": at, "message": record.decode()}
        client.put_log_events(logGroupName=GROUP.name, logStreamName=name, logEvents=[event_])

    client = fake_aws.client("logs")
    client.create_log_group(logGroupName=GROUP.name)
    client.create_log_stream(logGroupName=GROUP.name, logStreamName=name)
    put("another's", now - 2000, "")
    put("before", now - 2000, "a.0-0")
    put("first", now, "a.0-1")
    put("last", now + 5, "a.0-2")
    clock = Clock()
    made = source(fake_aws, clock, is_followed=True)
    reading, found = Reading(SESSION, made, None, Filter()), []
    found += [each.message for each in reading.records(last)]
    put("second", now - 1000 if last is None else now + 2, "b.0-0")
    rests = iter([False])

    def wait(_: bool) -> None:
        clock.ahead += 6

    found += [each.message for each in reading.follow(lambda: next(rests, True), wait)]
    assert ["another's", "before", "first", "last", "second"][last or 0 :] == found
    made.close()


def test_what_is_missing_is_said_once(fake_aws: FakeAws, tmp_path: Any) -> None:
    """Also where the answer to it was lost; and so many lines are read as are wanted, not events."""
    fake_aws.logs.put(GROUP.name, "other", "x")
    connections = Connections(AwsSettings(endpoints={"": fake_aws.url}))
    writer = Writer(Calls(GROUP, connections))
    log = CloudJobLog(writer, SESSION, "a", Clock(), "ab.0")
    fake_aws.faults.drop_after("logs", "PutLogEvents", times=1)
    log.append(b"".join(line(str(n)) for n in range(5)))
    log.lose(3, "why")
    log.append(line("end"))
    log.close()
    assert writer.flush(30)
    writer.close(30)
    connections.close()
    expected = [*map(str, range(5)), "3 records are missing here: why", "end"]
    assert 14 == len(fake_aws.logs.lines(GROUP.name, f"{SESSION}/a"))
    assert expected == read(fake_aws)
    for last in (1, 6, 10):
        assert expected[-last:] == read(fake_aws, last=last)
