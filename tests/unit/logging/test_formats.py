"""Records of the application's log as lines of JSON and as text: one record, one line, nothing obeyed."""

from __future__ import annotations

import io
import json
import logging
import logging.handlers
import queue
import re
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import pytest

import bunsui
from bunsui.logging import ContextFilter, JsonFormatter, StructuredLogger, TextFormatter, json_schema
from bunsui.logging.context import IDS, about
from bunsui_tests.injections import INJECTIONS, obeyed

VALIDATOR = jsonschema.Draft202012Validator(json_schema())
#: How a record begins, as text.
HEAD = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [A-Z]{4,8} +bunsui", re.MULTILINE)

Written = Callable[[], str]


@pytest.fixture
def as_json() -> Iterator[Written]:
    """What has been written as JSON so far."""
    stream = io.StringIO()
    with bunsui.logging.configure("DEBUG", format="json", stream=stream):
        yield stream.getvalue


@pytest.fixture
def as_text() -> Iterator[Written]:
    """What has been written as text so far."""
    stream = io.StringIO()
    with bunsui.logging.configure("DEBUG", format="text", stream=stream):
        yield stream.getvalue


def found_in(text: str) -> list[dict[str, Any]]:
    """The records of lines of JSON, each of which has to be what the schema says, in its order."""
    found = [json.loads(line) for line in text.splitlines()]
    order = list(json_schema()["properties"])
    for record in found:
        VALIDATOR.validate(record)
        assert list(record) == sorted(record, key=order.index)
    return found


@pytest.mark.parametrize("text", INJECTIONS.values(), ids=list(INJECTIONS))
class TestInjections:
    """Whatever a text holds, wherever it stands."""

    def say(self, text: str) -> None:
        """As message, name, value, within a value, name of the logger and exception."""
        StructuredLogger("orders").info(text)
        StructuredLogger("orders").info("m", **{text: text})
        StructuredLogger("orders").bind(a=[{text: [text]}]).info("m")
        StructuredLogger(text).info("m")
        StructuredLogger("orders").error("m", exc_info=ValueError(text))
        logging.getLogger("bunsui.other").info("%s", text, extra={"a": text})

    def test_json(self, text: str, as_json: Written) -> None:
        """Each record is one line, in ASCII, of which nothing is obeyed, and gives the text back."""
        self.say(text)
        written = as_json()
        assert (6, set()) == (len(written.splitlines()), obeyed(written))
        assert written.isascii()
        first, second, third, fourth, fifth, sixth = found_in(written)
        assert text == first["message"]
        assert {text: text} == second["fields"]
        assert {"a": [{text: [text]}]} == third["fields"]
        assert f"bunsui.{text}" == fourth["logger"] or not text
        assert fifth["exception"] == f"ValueError: {text}" or not text
        assert (text, {"a": text}) == (sixth["message"], sixth["fields"])

    def test_text(self, text: str, as_text: Written) -> None:
        """Each record is one line, but for its traceback, whose lines are indented; nothing is obeyed."""
        self.say(text)
        written = as_text()
        lines = written.split("\n")
        heads = [line for line in lines if HEAD.match(line)]
        assert (set(), 6, "") == (obeyed(written), len(heads), lines.pop())
        assert all(line.startswith("    ") for line in lines if line not in heads)
        assert 6 == sum(not line.startswith("    ") for line in lines)

    def test_a_queue_between(self, text: str) -> None:
        """Also where records are written by another thread, which has only their texts."""
        waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        handler = logging.handlers.QueueHandler(waiting)
        handler.addFilter(ContextFilter())
        logger = logging.getLogger("bunsui")
        logger.addHandler(handler)
        try:
            with bunsui.logging.set_level("bunsui", "INFO"), about("s" * 16, "load", 0, 2):
                StructuredLogger("orders").info(text, a=text)
                logging.getLogger("bunsui.other").info("%s", text)
        finally:
            logger.removeHandler(handler)
        for _ in range(2):
            record = json.loads(JsonFormatter().format(waiting.get()))
            assert (text, "s" * 16, "load", 0, 2) == tuple(record[name] for name in ("message", *IDS[:4]))


class TestJson:
    def test_a_line(self, as_json: Written) -> None:
        """Its fields stand in the order of the schema; the time is RFC 3339 in UTC with microseconds."""
        with about("abcdefghijklmnop", "load", 3, 1):
            StructuredLogger("orders").error("m", exc_info=ValueError("no"), rows=3)
        (record,) = found_in(as_json())
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", record.pop("time"))
        assert list(record.items()) == [
            ("level", "ERROR"),
            ("session", "abcdefghijklmnop"),
            ("job", "load"),
            ("item", 3),
            ("attempt", 1),
            ("logger", "bunsui.orders"),
            ("message", "m"),
            ("fields", {"rows": 3}),
            ("exception", "ValueError: no"),
        ]

    def test_records_of_others(self, as_json: Written) -> None:
        """Of any logger, with whatever it was given: all are what the schema says."""
        logger = logging.getLogger("bunsui.other")
        logger.info("%s rows", 3, extra={"table": "daily", "at": object})
        logger.log(25, "between", stack_info=True)
        logger.info(["a"])
        try:
            raise ValueError("no")
        except ValueError:
            logger.exception("m")
        rows, between, listed, failed = found_in(as_json())
        assert ("3 rows", {"table": "daily", "at": "<class 'object'>"}) == (rows["message"], rows["fields"])
        assert ("INFO", {"level_name": "Level 25"}) == (between["level"], between["fields"])
        assert between["exception"].startswith("Stack (most recent call last)")
        assert "['a']" == listed["message"]
        assert failed["exception"].endswith("ValueError: no")

    def test_a_message_that_can_not_be_made(self) -> None:
        """The record says so, and shows nothing of its arguments: who knows what they are."""
        record = logging.LogRecord("a", logging.INFO, "b.py", 3, "%d", ("secret",), None)
        (found,) = found_in(JsonFormatter().format(record))
        assert "a log record from b.py:3 can't be written: TypeError" == found["message"]

    @pytest.mark.parametrize("created", [float("nan"), float("inf"), 1e300, "x", None])
    def test_a_time_that_is_none(self, created: Any) -> None:
        """A program has tampered with it: then it is the time of writing."""
        record = logging.LogRecord("a", logging.INFO, "", 0, "m", (), None)
        record.created = created
        found_in(JsonFormatter().format(record))

    def test_the_schema(self) -> None:
        """It is one; a copy is given; and it refuses what no record is."""
        jsonschema.Draft202012Validator.check_schema(json_schema())
        json_schema()["properties"].clear()
        good = {"time": "2026-01-01T00:00:00.000000Z", "level": "INFO", "logger": "a", "message": "m"}
        VALIDATOR.validate(good)
        for wrong in (
            {"time": "2026-01-01 00:00"},
            {"level": "info"},
            {"other": 1},
            {"attempt": 0},
            {"trace_id": "0"},
        ):
            assert not VALIDATOR.is_valid(good | wrong)


class TestText:
    def test_a_line(self, as_text: Written) -> None:
        """Ids and values stand behind the message; what could be taken for another value is in quotes."""
        with about("abcdefghijklmnop", "load"):
            StructuredLogger("orders").warning("m", table="daily", path="a b", **{"x=1 y": 'q"', "e": ""})
        assert as_text()[28:] == (
            "WARNING  bunsui.orders: m session=abcdefghijklmnop job=load"
            ' table=daily path="a b" "x=1 y"="q\\"" e=""\n'
        )

    def test_a_traceback(self, as_text: Written) -> None:
        """Its lines are indented."""
        try:
            raise ValueError("no\nmore")
        except ValueError:
            StructuredLogger("orders").exception("m")
        first, *rest, last = as_text().split("\n")
        assert first.endswith(" ERROR    bunsui.orders: m")
        assert ("    Traceback (most recent call last):", ["    ValueError: no", "    more"], "") == (
            rest[0], rest[-2:], last,
        )  # fmt: skip
        assert all(line.startswith("    ") for line in rest)

    def test_as_a_formatter_of_its_own(self) -> None:
        """Without `configure`: it finds ids by itself."""
        record = logging.LogRecord("a", logging.INFO, "", 0, "m", (), None)
        with about("abcdefghijklmnop"):
            assert TextFormatter().format(record).endswith("INFO     a: m session=abcdefghijklmnop")


class TestTraces:
    def test_the_current_span(self, as_json: Written) -> None:
        """Where somebody traces, each record names the trace and the span that it was logged in."""
        from opentelemetry.sdk.trace import TracerProvider

        provider = TracerProvider()
        with provider.get_tracer("t").start_as_current_span("work") as span:
            StructuredLogger("orders").info("m")
            logging.getLogger("bunsui.other").info("m")
        StructuredLogger("orders").info("m")
        provider.shutdown()
        context = span.get_span_context()
        expected = (f"{context.trace_id:032x}", f"{context.span_id:016x}")
        *inside, outside = found_in(as_json())
        assert [expected] * 2 == [(record["trace_id"], record["span_id"]) for record in inside]
        assert {"trace_id", "span_id"} & outside.keys() == set()

    def test_a_module_that_is_not_whole(self, as_json: Written, monkeypatch: pytest.MonkeyPatch) -> None:
        """As while another thread imports it: the record comes without."""
        monkeypatch.setitem(sys.modules, "opentelemetry.trace", object())
        StructuredLogger("orders").info("m")
        assert "trace_id" not in found_in(as_json())[0]


def test_threads_write_whole_lines(as_json: Written) -> None:
    """However many log at once."""
    logger = StructuredLogger("orders")

    def work(number: int) -> None:
        for i in range(100):
            logger.info("m" * 5000, thread=number, i=i)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [(record["fields"]["thread"], record["fields"]["i"]) for record in found_in(as_json())]
    assert sorted(found) == [(number, i) for number in range(8) for i in range(100)]


def test_there_are_enough_injections() -> None:
    """As many as the design asks for, all different."""
    assert len(set(INJECTIONS.values())) == len(INJECTIONS) >= 40
