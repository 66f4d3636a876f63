"""The handler that sends a program's own log to CloudWatch Logs."""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import bunsui.logging
from bunsui.errors import ConfigError
from bunsui.logging.cloudwatch.handler import CloudWatchHandler
from bunsui_tests.aws.emulators import Moto
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.conditions import until

pytestmark = pytest.mark.usefixtures("aws_environment")

GROUP = "/etl/app"


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """One of a test's own, whose handlers are closed."""
    made = logging.getLogger("test_cloudwatch_handler")
    made.setLevel(logging.DEBUG)
    made.propagate = False
    yield made
    made.propagate = True
    for handler in list(made.handlers):
        made.removeHandler(handler)
        handler.close()


def add(logger: logging.Logger, server: Any, *given: Any, **more: Any) -> CloudWatchHandler:
    """A handler of the logger that sends to a server, the texts of records alone."""
    handler = CloudWatchHandler(GROUP, *given, aws={"endpoint_url": server.url}, **more)
    handler.setFormatter(None)
    logger.addHandler(handler)
    return handler


def test_records_are_sent_as_they_are_formatted(logger: logging.Logger, fake_aws: FakeAws) -> None:
    """With the formatter that it was given; without one, as a line of JSON."""
    handler = CloudWatchHandler(GROUP, "s", aws={"endpoint_url": fake_aws.url}, level="INFO")
    logger.addHandler(handler)
    logger.debug("not this")
    logger.info("read %d rows", 3)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.warning("slow")
    handler.close()
    first, second = fake_aws.logs.lines(GROUP, "s")
    jsonschema.validate(json.loads(first), bunsui.logging.json_schema())
    assert ("read 3 rows", "WARNING slow") == (json.loads(first)["message"], second)
    assert (0, {GROUP: 90}) == (handler.lost, fake_aws.logs.retention)


def test_at_an_emulator(logger: logging.Logger, moto_server: Moto) -> None:
    """At moto's server, into a stream of the process's own, with the times of the records."""
    handler = add(logger, moto_server)
    for n in range(100):
        logger.info("line %d", n)
    handler.close()
    client = moto_server.client("logs")
    (stream,) = client.describe_log_streams(logGroupName=GROUP)["logStreams"]
    assert f"{socket.gethostname()}/{os.getpid()}" == stream["logStreamName"]
    found = client.get_log_events(
        logGroupName=GROUP, logStreamName=stream["logStreamName"], startFromHead=True
    )
    assert [f"line {n}" for n in range(100)] == [event["message"] for event in found["events"]]


def test_nothing_is_begun_before_a_record(logger: logging.Logger, fake_aws: FakeAws) -> None:
    """No thread, no call, and nothing of boto3, also where it is closed unused."""
    before = threading.active_count()
    handler = add(logger, fake_aws)
    handler.flush()
    handler.close()
    assert (before, []) == (threading.active_count(), fake_aws.calls)


def test_what_sending_logs_is_not_sent(fake_aws: FakeAws) -> None:
    """The root logger at DEBUG has botocore's records, too: it would never come to an end."""
    root, level = logging.getLogger(), logging.getLogger().level
    handler = add(root, fake_aws, "s")
    root.setLevel(logging.DEBUG)
    try:
        root.info("one")
        handler.flush()
        root.info("two")
        handler.flush()
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
        handler.close()
    assert ["one", "two"] == fake_aws.logs.lines(GROUP, "s")


def test_who_blocks_does_not_hold_up_the_sender(fake_aws: FakeAws) -> None:
    """Who waits for room has the handler's lock: a record of the sender's own must not wait for that."""
    root, level = logging.getLogger(), logging.getLogger().level
    handler = add(root, fake_aws, "s", policy="block", most_events=1)
    root.setLevel(logging.DEBUG)
    try:
        for n in range(5):
            root.info("%d", n)
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
        handler.close()
    assert (list("01234"), 0) == (fake_aws.logs.lines(GROUP, "s"), handler.lost)


class Broken(logging.Formatter):
    """Can't format anything."""

    def format(self, record: logging.LogRecord) -> str:
        raise ZeroDivisionError


def test_it_never_raises(
    logger: logging.Logger, fake_aws: FakeAws, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither for what CloudWatch Logs does, nor for a record that can't be formatted, which stderr shows."""
    fake_aws.faults.deny("logs")
    handler = add(logger, fake_aws, "s", timeout=5.0)
    logger.info("one")
    handler.setFormatter(Broken())
    logger.info("two")
    handler.setFormatter(None)
    handler.close()
    logger.info("after the end")
    assert (2, []) == (handler.lost, fake_aws.logs.lines(GROUP, "s"))
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_the_end_is_waited_for_once(logger: logging.Logger, fake_aws: FakeAws) -> None:
    """`logging.shutdown` flushes and then closes: what could not be sent just now is not waited for again."""
    hung = fake_aws.faults.hang("logs")
    handler = add(logger, fake_aws, "s", timeout=0.2)
    logger.info("one")
    hung.wait()
    handler.flush()
    handler._timeout = 3600.0
    handler.close()
    assert (1, 1) == (handler.lost, len(hung.wait()))
    hung.end()


def test_odd_records(logger: logging.Logger, fake_aws: FakeAws) -> None:
    """An empty one, one that is too long, one that is no UTF-8, one whose time is nonsense: all are sent."""
    handler = add(logger, fake_aws, "s")
    logger.info("")
    logger.info("x" * 2_000_000)
    logger.info("a\udc80b")
    odd = logger.makeRecord("x", logging.INFO, "f", 1, "when?", (), None)
    odd.created = -5.0
    logger.handle(odd)
    handler.close()
    empty, long, text, when = fake_aws.logs.lines(GROUP, "s")
    assert (" ", "a\\udc80b", "when?") == (empty, text, when)
    assert long.endswith("x [cut: it had 2,000,000 bytes]")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"group": "a b"}, "names no group"),
        ({"group": "/a", "stream": "a:b"}, "stream is 'a:b'"),
        ({"group": "/a", "stream": ""}, "stream is ''"),
        ({"group": "/a", "policy": "wait"}, "policy is 'wait'"),
        ({"group": "cloudwatch:///a?retention=2"}, "retention of"),
        ({"group": "/a", "aws": {"region": "Europe"}}, "aws.region is 'Europe'"),
    ],
)
def test_wrong_arguments(given: dict[str, Any], said: str) -> None:
    """They are refused at once."""
    with pytest.raises(ConfigError) as raised:
        CloudWatchHandler(**given)
    assert said in str(raised.value)


def test_names() -> None:
    """It is had from `bunsui.logging`, and what is not there is said as by any module."""
    assert bunsui.logging.CloudWatchHandler is CloudWatchHandler
    with pytest.raises(AttributeError, match=re.escape("module 'bunsui.logging' has no attribute 'Nothing'")):
        _ = bunsui.logging.Nothing


PROGRAM = """
import logging, sys, time
import bunsui.logging

handler = bunsui.logging.CloudWatchHandler("/etl/app", "s", aws={"endpoint_url": sys.argv[1]})
handler.setFormatter(None)
logging.getLogger().addHandler(handler)
logging.getLogger().setLevel(logging.INFO)
for n in range(100):
    logging.info("%d", n)
if len(sys.argv) > 2:
    handler.flush()
    logging.info("in the queue")
    print("ready", flush=True)
    time.sleep(600)
"""


def _program(fake_aws: FakeAws, folder: Path, *more: str) -> subprocess.Popen[str]:
    script = folder / "program.py"
    script.write_text(PROGRAM)
    return subprocess.Popen(
        [sys.executable, str(script), fake_aws.url, *more], stdout=subprocess.PIPE, text=True
    )


def test_a_program_that_ends_sends_all(fake_aws: FakeAws, tmp_path: Path) -> None:
    """Nobody has to close the handler: `logging` does."""
    with _program(fake_aws, tmp_path) as program:
        assert 0 == program.wait(60)
    assert list(map(str, range(100))) == fake_aws.logs.lines(GROUP, "s")


def test_a_program_that_is_killed_loses_what_waits(fake_aws: FakeAws, tmp_path: Path) -> None:
    """And nothing that was sent before."""
    held = fake_aws.faults.hold(
        "logs", "PutLogEvents", when=lambda call: "in the queue" in str(call.parameters)
    )
    with _program(fake_aws, tmp_path, "stays") as program:
        assert program.stdout is not None
        assert "ready\n" == program.stdout.readline()
        program.send_signal(signal.SIGKILL)
        program.wait(60)
    held.abandon()
    until(lambda: len(fake_aws.logs.lines(GROUP, "s")) >= 100)
    assert list(map(str, range(100))) == fake_aws.logs.lines(GROUP, "s")[:100]


def test_shutdown_does_not_wait_for_who_waits_for_room(logger: logging.Logger, fake_aws: FakeAws) -> None:
    """It takes the handler's lock first: a thread that waits for room must not have it."""
    hung = fake_aws.faults.hang("logs")
    handler = add(logger, fake_aws, "s", policy="block", most_events=1, timeout=0.2)
    handler._writer._block = 3600.0
    logger.info("one")
    hung.wait()
    waiting = threading.Thread(target=logger.info, args=("two",), daemon=True)
    waiting.start()
    until(lambda: handler._writer._hurries == 1)
    ending = threading.Thread(target=logging.shutdown, args=([lambda: handler],), daemon=True)
    ending.start()
    for thread in (ending, waiting):
        thread.join(30)
        assert not thread.is_alive()
    assert 2 == handler.lost
    hung.end()


def test_behind_a_queue_it_does_not_feed_itself(fake_aws: FakeAws) -> None:
    """What its sending logs comes back from the listener's thread."""
    root, level = logging.getLogger(), logging.getLogger().level
    handler = CloudWatchHandler(GROUP, "s", aws={"endpoint_url": fake_aws.url})
    handler.setFormatter(None)
    waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(waiting, handler)
    before = logging.handlers.QueueHandler(waiting)
    root.addHandler(before)
    root.setLevel(logging.DEBUG)
    listener.start()
    try:
        root.info("one")
        until(lambda: fake_aws.logs.lines(GROUP, "s") != [])
        handler.flush()
        root.info("two")
        until(lambda: "two" in fake_aws.logs.lines(GROUP, "s"))
    finally:
        root.setLevel(level)
        root.removeHandler(before)
        listener.stop()
        handler.close()
    assert ["one", "two"] == fake_aws.logs.lines(GROUP, "s")


@pytest.mark.parametrize(
    "given", [{"most_events": 0}, {"most_bytes": 1000}, {"timeout": -1.0}, {"timeout": float("nan")}]
)
def test_numbers_that_are_too_small(given: Any) -> None:
    """No record would ever fit, or nothing be sent at the end."""
    with pytest.raises(ConfigError, match=next(iter(given))):
        CloudWatchHandler(GROUP, **given)
