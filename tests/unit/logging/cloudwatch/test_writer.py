"""The writer of CloudWatch Logs, at an endpoint that checks all limits, with all that can go wrong there."""

from __future__ import annotations

import logging
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from bunsui.logging.cloudwatch.failures import REST, SOON, Failures
from bunsui.logging.cloudwatch.queue import Queue, Stream
from bunsui.logging.cloudwatch.sending import is_sending
from bunsui.logging.cloudwatch.writer import Writer
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.faults import Fault
from bunsui_tests.aws.messages import Refusal
from bunsui_tests.conditions import until

pytestmark = pytest.mark.usefixtures("aws_environment")

GROUP = "/bunsui/team"


def now() -> int:
    return int(time.time() * 1000)


def notice(records: int, why: str) -> bytes:
    return f"<{records}: {why}>".encode()


@contextmanager
def writing(
    fake_aws: FakeAws, policy: str = "drop", retention: int | None = 30, **more: Any
) -> Iterator[Writer]:
    """A writer, closed at the end."""
    connections = Connections(AwsSettings(endpoints={"": fake_aws.url}), patience=more.pop("patience", 5.0))
    writer = Writer(Calls(LogGroup(GROUP, retention), connections), policy, **more)
    try:
        yield writer
    finally:
        writer.close()
        connections.close()


def put(writer: Writer, *texts: str | bytes, stream: str = "s", at: int | None = None) -> int:
    """Adds events to a stream."""
    opened = writer.open(stream, notice)
    data = [text.encode() if isinstance(text, str) else text for text in texts]
    taken = writer.put(opened, now() if at is None else at, data)
    writer.release(opened)
    return taken


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name == "bunsui-cloudwatch"]


def test_all_is_made_on_demand(fake_aws: FakeAws) -> None:
    """Group, retention and stream, once; the events stand there in their order."""
    with writing(fake_aws) as writer:
        assert ([], []) == (threads(), fake_aws.calls)  # Nothing before the first event.
        assert 3 == put(writer, "a", "b", "c")
        assert writer.flush(30)
        assert 1 == put(writer, "d")
    assert list("abcd") == fake_aws.logs.lines(GROUP, "s")
    assert {GROUP: 30} == fake_aws.logs.retention
    actions = [call.action for call in fake_aws.called("logs")]
    made = ["CreateLogStream", "CreateLogGroup", "PutRetentionPolicy", "CreateLogStream"]
    assert [*made, "PutLogEvents", "PutLogEvents"] == actions
    assert ([], 0) == (threads(), writer.lost)


def test_what_is_there_is_taken(fake_aws: FakeAws) -> None:
    """A group of somebody else's keeps its retention, and a stream what it has."""
    fake_aws.logs.put(GROUP, "s", "before", timestamp=now() - 1000)
    with writing(fake_aws) as writer:
        put(writer, "after")
    assert (["before", "after"], {}) == (fake_aws.logs.lines(GROUP, "s"), fake_aws.logs.retention)


def test_what_was_removed_is_made_again(fake_aws: FakeAws) -> None:
    """A stream that somebody removes in the middle."""
    with writing(fake_aws) as writer:
        put(writer, "a")
        assert writer.flush(30)
        fake_aws.client("logs").delete_log_stream(logGroupName=GROUP, logStreamName="s")
        put(writer, "b")
    assert ["b"] == fake_aws.logs.lines(GROUP, "s")


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    events=st.lists(
        st.tuples(
            st.sampled_from("ab"),
            st.sampled_from([1, 100, 300_000, MAX_TEXT]),
            st.sampled_from([0, 1, -5, 90_000]),
        ),
        max_size=25,
    )
)
def test_nothing_is_lost_or_moved(fake_aws: FakeAws, events: list[tuple[str, int, int]]) -> None:
    """Whatever the events, their times and sizes, AWS takes every batch, and has all in their order."""
    run = len(fake_aws.calls)
    expected: dict[str, list[str]] = {"a": [], "b": []}
    with writing(fake_aws, most_bytes=10**9) as writer:
        for stream, size, later in events:
            text = f"{len(expected[stream])}:".ljust(size, ".")
            expected[stream].append(text)
            put(writer, text, stream=f"{run}{stream}", at=now() + later)
    assert expected == {name: fake_aws.logs.lines(GROUP, f"{run}{name}") for name in "ab"}
    assert 0 == writer.lost


def test_many_lines_are_few_calls(fake_aws: FakeAws) -> None:
    """Lines that come one by one wait for each other."""
    with writing(fake_aws) as writer:
        for n in range(1000):
            put(writer, str(n))
    assert list(map(str, range(1000))) == fake_aws.logs.lines(GROUP, "s")
    assert len(fake_aws.called("logs", "PutLogEvents")) <= 5


def test_many_threads(fake_aws: FakeAws) -> None:
    """Any may write, to one stream or many: all is there, each thread's in its order."""
    with writing(fake_aws) as writer:

        def write(name: str) -> None:
            for n in range(200):
                put(writer, f"{name}{n}", stream="one")
                put(writer, f"{n}", stream=name)

        running = [threading.Thread(target=write, args=(name,)) for name in "abcdefgh"]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    expected = list(map(str, range(200)))
    found = fake_aws.logs.lines(GROUP, "one")
    for name in "abcdefgh":
        assert expected == fake_aws.logs.lines(GROUP, name)
        assert expected == [line[1:] for line in found if line[0] == name]
    assert 0 == writer.lost


@pytest.mark.parametrize(
    "fault",
    [
        lambda faults: faults.throttle("logs", times=5),
        lambda faults: faults.server_error("logs", status=503, times=5),
        lambda faults: faults.drop_before("logs", times=3),
        lambda faults: faults.throttle("logs", "CreateLogGroup", times=1),
        lambda faults: faults.server_error("logs", "PutLogEvents", status=500, times=2),
    ],
    ids=["throttled", "unavailable", "dropped", "group", "internal"],
)
def test_what_passes_is_waited_out(
    fake_aws: FakeAws, fault: Callable[[Any], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """All of it is there once, in its order, and nobody is told."""
    fault(fake_aws.faults)
    with writing(fake_aws) as writer:
        put(writer, *"abc")
        assert writer.flush(60)
        put(writer, *"de")
    assert (list("abcde"), 0, []) == (fake_aws.logs.lines(GROUP, "s"), writer.lost, caplog.records)


def test_an_answer_that_is_lost(fake_aws: FakeAws) -> None:
    """It is sent again: nothing is missing, and something may be there twice."""
    fake_aws.faults.drop_after("logs", "PutLogEvents", times=1)
    with writing(fake_aws) as writer:
        put(writer, *"ab")
        assert writer.flush(60)
        put(writer, "c")
    assert ["a", "b", "a", "b", "c"] == fake_aws.logs.lines(GROUP, "s")


def test_a_call_that_hangs_holds_up_nobody(fake_aws: FakeAws) -> None:
    """Neither who logs, nor another stream, nor the end for longer than it may take."""
    with writing(fake_aws, patience=60.0) as writer:
        put(writer, "before")
        assert writer.flush(30)
        hung = fake_aws.faults.hang("logs", when=lambda call: call.parameters.get("logStreamName") == "s")
        put(writer, "hangs")
        hung.wait()
        put(writer, "goes on", stream="t")
        put(writer, "waits")
        until(lambda: ["goes on"] == fake_aws.logs.lines(GROUP, "t"))
        writer.close(0.1)  # It would wait for a minute, were it not for its own deadline.
        assert hung.held
        hung.end()
    assert (["before"], 2) == (fake_aws.logs.lines(GROUP, "s"), writer.lost)


@pytest.mark.parametrize("how", ["refuse", "close"])
def test_an_outage(fake_aws: FakeAws, how: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What fits waits; what does not is counted, and the log says how much, in its place."""
    with writing(fake_aws, most_events=3) as writer:
        put(writer, "first")
        assert writer.flush(30)
        with fake_aws.outage(how):
            assert [1, 1, 1, 0] == [put(writer, text) for text in "abcd"]
            assert 0 == put(writer, "e", "f")
            assert not writer.flush(0.5)
        assert writer.flush(60)
        until(lambda: len(fake_aws.logs.lines(GROUP, "s")) >= 5)
        put(writer, "last")
    lines = fake_aws.logs.lines(GROUP, "s")
    assert ["first", "a", "b", "c", "<3: the queue to CloudWatch Logs was full>", "last"] == lines
    assert 3 == writer.lost
    assert ["3 records of logs are missing in group /bunsui/team"] == [
        record.getMessage().split(":")[0] for record in caplog.records
    ]


def test_what_is_missing_is_said_without_a_further_record(fake_aws: FakeAws) -> None:
    """As soon as there is room: of a stream of which nothing else waits, too."""
    with writing(fake_aws, most_events=2) as writer:
        held = fake_aws.faults.hold("logs", "PutLogEvents")
        put(writer, "a", "b")
        put(writer, "c", stream="t")
        held.release()
        until(lambda: fake_aws.logs.lines(GROUP, "t") != [])
    assert ["<1: the queue to CloudWatch Logs was full>"] == fake_aws.logs.lines(GROUP, "t")


def test_who_blocks_waits_for_room(fake_aws: FakeAws) -> None:
    """With a queue of three events a thousand get through, and none is lost."""
    with writing(fake_aws, "block", most_events=3) as writer:
        fake_aws.faults.throttle("logs", "PutLogEvents", times=2)
        for n in range(30):
            assert 1 == put(writer, str(n))
    assert (list(map(str, range(30))), 0) == (fake_aws.logs.lines(GROUP, "s"), writer.lost)


def test_who_blocks_does_not_wait_for_what_is_refused(
    fake_aws: FakeAws, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody knows when somebody gives the right: it is counted, and said at once, with what helps."""
    fake_aws.faults.deny("logs")
    with writing(fake_aws, "block", most_events=1) as writer:
        put(writer, "a")
        until(lambda: caplog.records != [])
        assert 0 == put(writer, "b")
    text = caplog.records[0].getMessage()
    assert "logs can't be sent to group /bunsui/team" in text
    assert "needs the permission logs:CreateLogStream" in text
    assert (2, 2) == (writer.lost, len(caplog.records))


def test_who_blocks_does_not_wait_for_ever(fake_aws: FakeAws) -> None:
    """After a minute for one record nobody waits any more, before something could be sent."""
    with writing(fake_aws, "block", most_events=1, block=0.5) as writer:
        hung = fake_aws.faults.hang("logs")
        put(writer, "a")
        assert 0 == put(writer, "b")
        writer._block = 3600.0
        assert 0 == put(writer, "c")
        hung.end()
        assert writer.flush(60)
        assert 1 == put(writer, "d")
    assert ["a", "<2: the queue to CloudWatch Logs was full>", "d"] == fake_aws.logs.lines(GROUP, "s")


def test_rejected_events_are_counted(fake_aws: FakeAws, caplog: pytest.LogCaptureFixture) -> None:
    """What AWS does not take for its time; all else is there, and the log says what is missing."""
    day = 86_400_000
    with writing(fake_aws) as writer:
        opened = writer.open("s", notice)
        writer.put(opened, now() - 15 * day, [b"old", b"older"])
        writer.put(opened, now(), [b"good"])
        writer.put(opened, now() + day // 2, [b"new"])
        assert writer.flush(30)
        until(lambda: "<" in fake_aws.logs.lines(GROUP, "s")[-1][:1])
        writer.release(opened)
    lines = fake_aws.logs.lines(GROUP, "s")
    assert "good" == lines[0]
    assert all(line.startswith("<") for line in lines[1:])
    assert (3, 3) == (writer.lost, sum(int(line[1]) for line in lines[1:]))
    assert "rejected by group" in caplog.records[0].getMessage()


def test_a_record_that_nobody_takes(fake_aws: FakeAws) -> None:
    """It is found by halves, and counted; the others of its batch are there."""
    fake_aws.logs.poison = "bad"
    with writing(fake_aws) as writer:
        put(writer, *map(str, range(20)), "bad", *map(str, range(20, 40)))
        assert writer.flush(60)
    lines = fake_aws.logs.lines(GROUP, "s")
    assert list(map(str, range(40))) == [line for line in lines if line.isdigit()]
    assert (1, True) == (writer.lost, "<1: CloudWatch Logs has refused them>" in lines)


class Faulty(Calls):
    """Has a fault of its own, once."""

    is_broken = True

    def put(self, stream: str, events: Any) -> Any:
        if stream == "s" and self.is_broken:
            self.is_broken = False
            raise ZeroDivisionError
        return super().put(stream, events)


def test_a_fault_of_ours_ends_nothing(fake_aws: FakeAws) -> None:
    """The thread goes on, other streams are sent, and at the end what failed is tried once more."""
    connections = Connections(AwsSettings(endpoints={"": fake_aws.url}))
    writer = Writer(Faulty(LogGroup(GROUP), connections))
    put(writer, "a")
    put(writer, "b", stream="t")
    until(lambda: ["b"] == fake_aws.logs.lines(GROUP, "t"))
    writer.close()
    connections.close()
    assert ["a"] == fake_aws.logs.lines(GROUP, "s")


def test_no_thread_can_be_started(fake_aws: FakeAws) -> None:
    """As where the interpreter ends: then closing sends what there is."""

    def none(*_: Any, **__: Any) -> Any:
        class Thread:
            def start(self) -> None:
                raise RuntimeError("can't start new thread")

        return Thread()

    with writing(fake_aws, thread=none) as writer:
        put(writer, "a")
    assert ["a"] == fake_aws.logs.lines(GROUP, "s")


def test_after_the_end(fake_aws: FakeAws) -> None:
    """What comes then is counted; nothing is raised, and no thread started."""
    with writing(fake_aws) as writer:
        put(writer, "a")
    assert (0, []) == (put(writer, "b"), threads())
    writer.close()


def _child(writer: Writer, done: Any) -> None:
    put(writer, "child")
    writer.close(30)
    done.put(writer.lost)


def test_a_forked_child_has_a_queue_of_its_own(fake_aws: FakeAws) -> None:
    """What waits is sent by the parent, once, and what the child adds by the child."""
    context = multiprocessing.get_context("fork")
    done = context.Queue()
    with writing(fake_aws) as writer:
        held = fake_aws.faults.hold("logs", "CreateLogStream", times=1)
        put(writer, "parent")
        held.wait()
        child = context.Process(target=_child, args=(writer, done))
        child.start()
        assert 0 == done.get(timeout=60)
        child.join()
        held.release()
    assert ["child", "parent"] == sorted(fake_aws.logs.lines(GROUP, "s"))


def test_what_sending_logs_is_marked(fake_aws: FakeAws, caplog: pytest.LogCaptureFixture) -> None:
    """botocore's records come from a thread that says so."""
    found: list[bool] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(is_sending())

    logger, handler = logging.getLogger("botocore"), Handler()
    logger.addHandler(handler)
    caplog.set_level(logging.DEBUG, "botocore")
    try:
        with writing(fake_aws) as writer:
            put(writer, "a")
    finally:
        logger.removeHandler(handler)
    assert ({True}, False) == (set(found), is_sending())


def slow(fake_aws: FakeAws, seconds: float) -> None:
    """Has every call take its time, as AWS does."""
    fault = Fault(lambda *_: time.sleep(seconds), lambda _: True, after=False, times=None, every=1, share=1.0)
    fake_aws.faults._added(fault)


def test_the_end_lasts_while_something_is_sent(fake_aws: FakeAws) -> None:
    """Of many streams, as short jobs have them, nothing is lost where AWS takes it one after the other."""
    with writing(fake_aws) as writer:
        put(writer, "first")
        assert writer.flush(30)  # What is imported and connected takes its time, too.
        slow(fake_aws, 0.15)
        for n in range(150):
            put(writer, str(n), stream=str(n))
        writer.close(2.5)  # 300 calls of 0.15 s, of 8 threads: more than 5 s.
    assert 0 == writer.lost
    assert [str(n) for n in range(150)] == [fake_aws.logs.lines(GROUP, str(n))[0] for n in range(150)]


def test_the_end_of_what_never_ends(fake_aws: FakeAws) -> None:
    """It has a limit, however much gets through; what was on its way may be there all the same."""
    with writing(fake_aws) as writer:
        put(writer, "first")
        assert writer.flush(30)
        slow(fake_aws, 0.05)
        for n in range(1000):
            put(writer, str(n), stream=str(n))
        writer.close(0.5)
    assert 0 < writer.lost < 1000


def test_streams_are_made_as_fast_as_aws_takes_it(fake_aws: FakeAws) -> None:
    """Where others make some, too, those that are refused are made a little later: nothing is lost."""
    made: list[float] = []

    def act(*_: Any) -> None:
        now = time.monotonic()
        if sum(now - each < 1 for each in made) >= 20:
            raise Refusal("ThrottlingException", "Rate exceeded", 400)
        made.append(now)

    fault = Fault(act, lambda c: c.action == "CreateLogStream", after=False, times=None, every=1, share=1.0)
    with writing(fake_aws) as writer:
        fake_aws.faults._added(fault)
        for n in range(80):
            put(writer, str(n), stream=str(n))
        writer.close()
    assert 0 == writer.lost
    # About two of each in vain, not one for each try of each stream.
    assert len(fake_aws.called("logs", "CreateLogStream")) < 2 * 80


@pytest.mark.parametrize("code", ["OperationAbortedException", "conflict"])
def test_a_group_that_several_make(fake_aws: FakeAws, code: str, caplog: pytest.LogCaptureFixture) -> None:
    """AWS refuses all but one who make it at the same time, here or on another machine."""
    if code == "conflict":
        making = threading.Lock()

        def act(*_: Any) -> None:
            if not making.acquire(blocking=False):
                raise Refusal("OperationAbortedException", "Multiple concurrent requests", 400)
            time.sleep(0.2)
            making.release()

        which = lambda call: call.action == "CreateLogGroup"  # noqa: E731 - as above
        fake_aws.faults._added(Fault(act, which, after=False, times=None, every=1, share=1.0))
    else:
        fake_aws.faults.throttle("logs", "CreateLogGroup", code=code, times=2)
    with writing(fake_aws) as writer:
        for name in "abcdefgh":
            put(writer, "x", stream=name)
    assert (0, []) == (writer.lost, caplog.records)
    assert [["x"]] * 8 == [fake_aws.logs.lines(GROUP, name) for name in "abcdefgh"]
    assert {GROUP: 30} == fake_aws.logs.retention


def test_what_was_just_made_is_not_seen_yet(fake_aws: FakeAws, caplog: pytest.LogCaptureFixture) -> None:
    """The second call about it comes too early: it is made again soon."""
    fake_aws.faults.throttle("logs", "PutLogEvents", code="ResourceNotFoundException", times=4)
    with writing(fake_aws) as writer:
        put(writer, "a")
    assert (["a"], 0, []) == (fake_aws.logs.lines(GROUP, "s"), writer.lost, caplog.records)


def test_a_retention_that_can_t_be_set(fake_aws: FakeAws, caplog: pytest.LogCaptureFixture) -> None:
    """It is said, and nothing is lost for it; it is set as soon as somebody gives the right."""
    fake_aws.faults.deny("logs", "PutRetentionPolicy", times=1)
    with writing(fake_aws) as writer:
        put(writer, "a")
        assert writer.flush(30)
        assert {} == fake_aws.logs.retention
        writer._calls._retained_at = 0.0  # Half a minute later.
        put(writer, "b", stream="t")
    assert ["a"] == fake_aws.logs.lines(GROUP, "s")
    (said,) = [record.getMessage() for record in caplog.records]
    assert "keeps logs for ever" in said
    assert "logs:PutRetentionPolicy" in said
    assert {GROUP: 30} == fake_aws.logs.retention


def test_what_is_refused_is_tried_once_more_at_the_end(fake_aws: FakeAws) -> None:
    """As where a right that was just given is not known everywhere."""
    with writing(fake_aws) as writer:
        fault = fake_aws.faults.deny("logs", "PutLogEvents", times=1)
        put(writer, "a")
        writer.close()
    assert (1, ["a"]) == (fault.hits, fake_aws.logs.lines(GROUP, "s"))


def test_who_waits_for_room_does_not_outlive_the_end(fake_aws: FakeAws) -> None:
    """Neither from when it is said that it comes, nor where it comes at once."""
    with writing(fake_aws, "block", most_events=1, block=3600.0) as writer:
        hung = fake_aws.faults.hang("logs")
        put(writer, "a")
        hung.wait()
        waiting = [threading.Thread(target=put, args=(writer, text)) for text in "bc"]
        waiting[0].start()
        until(lambda: writer._hurries == 1)
        writer.ending(0.0, 0.1)
        waiting[0].join(30)
        assert not waiting[0].is_alive()
        writer._given_up, writer._ending = False, None
        waiting[1].start()
        until(lambda: writer._hurries == 1)
        writer.close(0.1)
        waiting[1].join(30)
        assert not waiting[1].is_alive()
        hung.end()
    assert 3 == writer.lost


def test_a_group_that_refuses_all_records(fake_aws: FakeAws) -> None:
    """Not they are wrong, but it: after a few they wait, as for whatever is refused."""
    fake_aws.logs.poison = "bad"
    with writing(fake_aws) as writer:
        put(writer, *["bad"] * 500)
        assert not writer.flush(30)
        assert writer.lost <= 10
        assert len(fake_aws.called("logs", "PutLogEvents")) < 40
    assert 500 == writer.lost


def test_a_stream_that_is_refused_drops_no_record(fake_aws: FakeAws) -> None:
    """The records are innocent of it: they wait."""
    fault = fake_aws.faults.throttle("logs", "CreateLogStream", code="InvalidParameterException")
    with writing(fake_aws) as writer:
        put(writer, "a")
        assert not writer.flush(30)
        assert (0, 1) == (writer.lost, fault.hits)
        fault.end()
        writer.close()
    assert ["a"] == fake_aws.logs.lines(GROUP, "s")


def test_the_end_says_what_has_failed(fake_aws: FakeAws, caplog: pytest.LogCaptureFixture) -> None:
    """Also where that might have passed: nothing was said of it before."""
    with writing(fake_aws, patience=0.1) as writer:
        fake_aws.faults.throttle("logs", "PutLogEvents")
        put(writer, "a")
        writer.close(0.5)
    [said] = [record.getMessage() for record in caplog.records if "are missing" in record.getMessage()]
    assert "1 records of logs are missing in group /bunsui/team: the queue was full, or " in said
    assert "; the last call failed: logs PutLogEvents of " in said
    assert "Throttling" in said


def test_who_waits_has_it_tried_again_soon() -> None:
    """What may pass; what was refused is not tried again for that."""
    failures, stream, queue = Failures(GROUP), Stream("s", notice), Queue()
    busy = AwsError("busy", service="logs", action="PutLogEvents", code="Throttling", kind="busy")
    refused = AwsError("no", service="logs", action="PutLogEvents", code="AccessDenied", kind="refused")

    def waits(error: AwsError, *, hurried: bool) -> list[float]:
        return [
            failures.judge(error, stream, [], queue, 0.0, hurried=hurried, closing=False) for _ in range(30)
        ]

    assert max(waits(busy, hurried=True)) <= SOON < max(waits(busy, hurried=False))
    assert {REST} == set(waits(refused, hurried=True))


def test_nobody_waits_for_what_is_not_tried_before(fake_aws: FakeAws) -> None:
    """Who flushes knows at once that nothing will be sent, and that only later ones have yet to be."""
    clock = [0.0]
    with writing(fake_aws, monotonic=lambda: clock[0]) as writer:
        fault = fake_aws.faults.deny("logs")
        put(writer, "a")
        assert not writer.flush(20)  # By a clock that stands still it would never end.
        assert not writer.flush(20)
        assert 1 == fault.hits
        fault.end()
        clock[0] += 60
        assert writer.flush(20)


def test_a_record_that_never_fits_is_not_waited_for(fake_aws: FakeAws) -> None:
    """However long one would wait for room."""
    with writing(fake_aws, "block", most_bytes=10, block=3600.0) as writer:
        assert 0 == put(writer, "x" * 11)
        assert 1 == put(writer, "x" * 10)
    assert 1 == writer.lost


def test_what_was_on_its_way_at_the_end(fake_aws: FakeAws, caplog: pytest.LogCaptureFixture) -> None:
    """It may be there: the number is one at most, and what becomes of it later is not said."""
    with writing(fake_aws) as writer:
        hung = fake_aws.faults.hang("logs")
        put(writer, "a", "b")
        hung.wait()
        writer.close(0.1)
    hung.end()
    until(lambda: threads() == [])
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("up to 2 records of logs are missing")
