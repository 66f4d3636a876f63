"""Messages with named values, as records of `logging`."""

from __future__ import annotations

import copy
import datetime
import json
import logging
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui.logging import LogLevel, StructuredLogger
from bunsui.logging.formats import described
from bunsui.logging.values import MAX_DEPTH, MAX_ROOM, MAX_TEXT, MAX_VALUES
from bunsui_tests.injections import INJECTIONS


class Kept(logging.Handler):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def kept() -> Iterator[Kept]:
    """All that comes to the loggers of this library, from DEBUG on."""
    logger, handler = logging.getLogger("bunsui"), Kept()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


def only(kept: Kept) -> dict[str, Any]:
    """The one record, as it is described."""
    (record,) = kept.records
    return described(record)


class TestLogger:
    @pytest.mark.parametrize(
        ("given", "name"),
        [
            ("orders", "bunsui.orders"),
            ("orders.db", "bunsui.orders.db"),
            ("bunsui", "bunsui"),
            ("bunsui.runner", "bunsui.runner"),
            ("bunsuix", "bunsui.bunsuix"),
            ("", "bunsui"),
        ],
    )
    def test_its_name(self, given: str, name: str, kept: Kept) -> None:
        """It lies below `bunsui`, whatever it is called."""
        logger = StructuredLogger(given)
        logger.info("m")
        assert name == logger.name == only(kept)["logger"]
        assert f"StructuredLogger({name!r})" == repr(logger)

    def test_its_name_is_a_text(self) -> None:
        """Anything else is refused."""
        with pytest.raises(bunsui.ConfigError, match=r"^the name of a logger is 3; it is a text"):
            StructuredLogger(3)  # type: ignore[arg-type]

    def test_it_is_copied_and_pickled(self, kept: Kept) -> None:
        """With what is bound to it, as into a process."""
        logger = StructuredLogger("orders").bind(a=1)
        for each in (copy.copy(logger), copy.deepcopy(logger), pickle.loads(pickle.dumps(logger))):
            each.info("m")
        assert [{"a": 1}] * 3 == [described(record)["fields"] for record in kept.records]

    def test_what_nobody_has_configured_is_not_printed(self) -> None:
        """Python prints warnings that no handler takes; who makes such a logger says where logs go."""
        code = "import bunsui; bunsui.logging.StructuredLogger('a').warning('m')"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert (b"", b"") == (done.stdout, done.stderr)

    def test_only_making_one_adds_the_null_handler(self) -> None:
        """Once, to `bunsui`; importing, and running a pipeline, adds none, and starts no thread."""
        code = """
import logging, threading, bunsui
def look():
    return [[type(h).__name__ for h in logging.getLogger(n).handlers] for n in (None, "bunsui", "bunsui.a")]
import bunsui.logging
bunsui.logging.configure, bunsui.logging.json_schema
with bunsui.Runner("memory://", config=bunsui.Config()) as runner:
    runner.run(bunsui.Pipeline("p", [bunsui.Job.from_callable(lambda: 1, id="a")]))
before = look(), [t.name for t in threading.enumerate() if not t.name.startswith("bunsui-job-")]
for _ in range(2):
    bunsui.logging.StructuredLogger("a").bind(b=1)
print([before, look()])
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
        assert str([([[], [], []], ["MainThread"]), [[], ["NullHandler"], []]]) == done.stdout.strip()


class TestLevels:
    @pytest.mark.parametrize("level", list(LogLevel))
    def test_each_has_a_method(self, level: LogLevel, kept: Kept) -> None:
        """And may be given as a level, as its name and as its number."""
        logger = StructuredLogger("orders")
        getattr(logger, level.name.lower())("m")
        logger.log(level, "m")
        logger.log(level.name.lower(), "m")
        logger.log(int(level), "m")
        assert [level.name] * 4 == [described(record)["level"] for record in kept.records]

    def test_one_of_a_programs_own(self, kept: Kept) -> None:
        """It counts as the one below it, and is named."""
        StructuredLogger("orders").log(25, "m")
        assert ("INFO", {"level_name": "Level 25"}) == (only(kept)["level"], only(kept)["fields"])

    @pytest.mark.parametrize("level", ["loud", "", 0, -1, True, None, 1.5])
    def test_no_such_level(self, level: Any) -> None:
        """It is an error that names those that there are, or the one that is meant."""
        with pytest.raises(bunsui.ConfigError, match=r"^there is no level "):
            StructuredLogger("orders").log(level, "m")
        with pytest.raises(bunsui.ConfigError, match=r"did you mean 'WARNING'"):
            StructuredLogger("orders").log("warnin", "m")

    def test_what_is_not_enabled_is_not_looked_at(self, kept: Kept) -> None:
        """No value is asked for its text, and no record is made."""
        with bunsui.logging.set_level("bunsui.orders", "ERROR"):
            logger, asked = StructuredLogger("orders"), Hostile.asked
            logger.warning("m", value=Hostile())
            assert not logger.is_enabled("WARNING")
            assert logger.is_enabled(LogLevel.ERROR)
        assert ([], asked) == (kept.records, Hostile.asked)


class Hostile:
    """An object whose text can't be made."""

    asked = 0

    def __str__(self) -> str:
        Hostile.asked += 1
        raise SystemExit(3)


class TestContext:
    def test_a_message_and_values(self, kept: Kept) -> None:
        """They are apart."""
        StructuredLogger("orders").info("rows are loaded", rows=3, table="daily")
        found = only(kept)
        assert ("rows are loaded", {"rows": 3, "table": "daily"}) == (found["message"], found["fields"])

    def test_any_formatter_finds_values(self, kept: Kept) -> None:
        """As those that `extra` gives."""
        StructuredLogger("orders").info("m", rows=3)
        assert "m 3" == logging.Formatter("%(message)s %(rows)s").format(kept.records[0])

    def test_any_name(self, kept: Kept) -> None:
        """Also those of arguments, and of what a record has itself: nothing of the record is changed."""
        names = ["level", "message", "self", "msg", "args", "name", "levelname", "asctime", "exc_text"]
        names += ["extra", "stack_info", "stacklevel", "taskName", "bunsui_context", "bunsui_fields"]
        given = {name: f"my {name}" for name in names}
        StructuredLogger("orders").bind(**given).info("m")
        StructuredLogger("orders").info("m", **given)
        for record in kept.records:
            found = described(record)
            assert ("m", "INFO", "bunsui.orders", given) == (
                found["message"], found["level"], found["logger"], found["fields"],
            )  # fmt: skip

    def test_a_name_that_the_programs_factory_adds(self, kept: Kept) -> None:
        """It is kept apart, too: `extra` would raise."""
        before = logging.getLogRecordFactory()

        def factory(*arguments: Any, **given: Any) -> logging.LogRecord:
            record = before(*arguments, **given)
            record.request = "r-1"
            return record

        logging.setLogRecordFactory(factory)
        try:
            StructuredLogger("orders").info("m", request="mine")
        finally:
            logging.setLogRecordFactory(before)
        assert {"request": "mine"} == only(kept)["fields"]
        assert "r-1" == kept.records[0].request  # type: ignore[attr-defined]

    def test_messages_are_no_formats(self, kept: Kept) -> None:
        """A % or a brace stays as it is."""
        StructuredLogger("orders").info("%s {} %(a)s", a=1)
        assert "%s {} %(a)s" == only(kept)["message"]

    def test_bound_values(self, kept: Kept) -> None:
        """They are in each record; what is given later counts, and the logger before stays as it is."""
        first = StructuredLogger("orders").bind(table="daily", a=1)
        second = first.bind(a=2, b=[1])
        first.info("m")
        second.info("m", b=3)
        assert [{"table": "daily", "a": 1}, {"table": "daily", "a": 2, "b": 3}] == [
            described(record)["fields"] for record in kept.records
        ]
        assert ({"table": "daily", "a": 1}, {"table": "daily", "a": 2, "b": [1]}) == (
            first.context,
            second.context,
        )

    def test_bound_values_do_not_change(self, kept: Kept) -> None:
        """Whatever becomes of what was given, or of what comes back."""
        rows = [1]
        logger = StructuredLogger("orders").bind(rows=rows)
        rows.append(2)
        logger.context["rows"] = 3
        logger.info("m")
        assert {"rows": [1]} == only(kept)["fields"]

    def test_the_callers_line(self, kept: Kept) -> None:
        """A record names the line that has logged it, by each way."""
        logger = StructuredLogger("orders")
        for call in (
            lambda: logger.info("m"),
            lambda: logger.log("INFO", "m"),
            lambda: logger.exception("m"),
        ):
            call()
            record = kept.records.pop()
            assert (__file__, "<lambda>") == (record.pathname, record.funcName)
            assert call.__code__.co_firstlineno == record.lineno


class Colour(StrEnum):
    RED = "red"


class Broken(Mapping[str, Any]):
    """A mapping that fails when it is read."""

    def __getitem__(self, key: str) -> Any:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no")

    def __len__(self) -> int:
        return 1

    def __str__(self) -> str:
        return "broken"


class Liar:
    """An object that raises when it is asked what it is."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("no")


def circle() -> list[Any]:
    found: list[Any] = []
    found += [found, found]
    return found


class TestValues:
    @pytest.mark.parametrize(
        "value", [None, True, 3, -(2**63), 2**64 - 1, 1.5, "text", [1, "a"], {"a": {"b": []}}]
    )
    def test_json_stays_as_it_is(self, value: Any, kept: Kept) -> None:
        """And of the same kind."""
        StructuredLogger("orders").info("m", value=value)
        assert json.dumps({"value": value}) == json.dumps(only(kept)["fields"])

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (float("nan"), "nan"),
            (float("-inf"), "-inf"),
            (2**64, "18446744073709551616"),
            (10**5000, "(int whose text can't be made: ValueError)"),
            (Decimal("1.10"), "1.10"),
            (Path("/a"), "/a"),
            (b"a\x00", "b'a\\x00'"),
            (Colour.RED, "red"),
            (LogLevel.INFO, 20),
            (datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC), "2026-01-02T03:00:00+00:00"),
            (ValueError("no"), "ValueError: no"),
            ((1, {2}), [1, [2]]),
            ({1: {"a": Path("/a")}}, {"1": {"a": "/a"}}),
            (object, "<class 'object'>"),
            (Hostile(), "(Hostile whose text can't be made: SystemExit)"),
            (Broken(), "broken"),
            (Liar(), "(Liar whose text can't be made: RuntimeError)"),
        ],
        ids=range(17),
    )
    def test_all_else_becomes_text(self, value: Any, shown: Any, kept: Kept) -> None:
        """Whatever it does when it is asked: nothing is raised."""
        StructuredLogger("orders").info("m", value=value)
        assert {"value": shown} == only(kept)["fields"]

    def test_a_message_that_is_no_text(self, kept: Kept) -> None:
        """It becomes one."""
        StructuredLogger("orders").info(Hostile())  # type: ignore[arg-type]
        assert "(Hostile whose text can't be made: SystemExit)" == only(kept)["message"]

    def test_a_long_text_is_cut(self, kept: Kept) -> None:
        """It says by how much; so is a message, and a name."""
        StructuredLogger("orders").info("m" * (MAX_TEXT + 3), value="v" * (MAX_TEXT + 5))
        found = only(kept)
        assert "m" * (MAX_TEXT - 40) + "… (43 more characters)" == found["message"]
        assert "v" * (MAX_TEXT - 40) + "… (45 more characters)" == found["fields"]["value"]

    @pytest.mark.parametrize(
        "value",
        [
            circle(),
            list(range(10**6)),
            [None, True] * 10**6,
            {str(i): "x" * 1000 for i in range(10_000)},
            ["x" * 10**5] * 100,
        ],
        ids=["circle", "long", "constants", "wide", "large"],
    )
    def test_a_huge_value_is_bounded(self, value: Any, kept: Kept) -> None:
        """What is left out is said."""
        StructuredLogger("orders").info("m", value=value, last="here")
        text = json.dumps(only(kept), ensure_ascii=False)
        assert len(text) < 2 * MAX_ROOM + 100 * MAX_VALUES
        assert "…" in text

    def test_a_deep_value_is_bounded(self, kept: Kept) -> None:
        """What lies too deep is text."""
        value: Any = "end"
        for _ in range(10_000):
            value = [value]
        StructuredLogger("orders").info("m", value=value)
        assert json.dumps(only(kept)).count("[[") < MAX_DEPTH

    def test_values_are_those_of_the_call(self, kept: Kept) -> None:
        """What changes later, before somebody writes the record, is not seen."""
        rows = [1]
        StructuredLogger("orders").info("m", rows=rows)
        rows.append(2)
        assert {"rows": [1]} == only(kept)["fields"]

    @pytest.mark.parametrize("text", INJECTIONS.values(), ids=list(INJECTIONS))
    def test_any_text_comes_back(self, text: str, kept: Kept) -> None:
        """As message, value and name of a value."""
        StructuredLogger("orders").info(text, **{text: text})
        found = only(kept)
        assert (text, {text: text}) == (found["message"], found["fields"])


class TestExceptions:
    def test_the_one_that_is_handled(self, kept: Kept) -> None:
        """`exception`, and `exc_info=True`, show its traceback; `exc_info=False` does not."""
        logger = StructuredLogger("orders")
        try:
            raise ValueError("no")
        except ValueError:
            logger.exception("m", a=1)
            logger.warning("m", exc_info=True)
            logger.exception("m", exc_info=False)
        first, second, third = map(described, kept.records)
        assert ("ERROR", {"a": 1}) == (first["level"], first["fields"])
        assert first["exception"].endswith("ValueError: no")
        assert first["exception"] == second["exception"]
        assert {"exception", "fields"} & third.keys() == set()

    def test_one_that_is_given(self, kept: Kept) -> None:
        """Also outside of its handler, and as `sys.exc_info` gives it."""
        error = ValueError("no")
        StructuredLogger("orders").error("m", exc_info=error)
        StructuredLogger("orders").error("m", exc_info=(ValueError, error, None))
        assert ["ValueError: no"] * 2 == [described(record)["exception"] for record in kept.records]

    @pytest.mark.parametrize("value", ["text", 3, ["a"], (1, 2, 3)])
    def test_what_is_none(self, value: Any, kept: Kept) -> None:
        """It is a value as any other."""
        StructuredLogger("orders").error("m", exc_info=value)
        assert "exception" not in only(kept)
        assert {"exc_info": list(value) if isinstance(value, tuple) else value} == only(kept)["fields"]

    def test_nothing_is_handled(self, kept: Kept) -> None:
        """There is no traceback."""
        StructuredLogger("orders").exception("m")
        assert "exception" not in only(kept)

    def test_one_whose_text_can_not_be_made(self, kept: Kept) -> None:
        """The traceback comes without."""

        class Broken(Exception):
            def __str__(self) -> str:
                raise ValueError("no")

        StructuredLogger("orders").error("m", exc_info=Broken())
        assert only(kept)["exception"].endswith("Broken: <exception str() failed>")

    def test_a_huge_one_keeps_its_end(self, kept: Kept) -> None:
        """What has happened stands there."""
        StructuredLogger("orders").error("m", exc_info=ValueError("x" * 10**6 + "the end"))
        text = only(kept)["exception"]
        assert len(text) <= MAX_TEXT
        assert text.startswith("ValueError: xxx")
        assert text.endswith("xxxthe end")


def test_many_threads(kept: Kept) -> None:
    """Each record is whole, and has the values of its own thread."""
    logger = StructuredLogger("orders")

    def work(number: int) -> None:
        own = logger.bind(thread=number)
        for i in range(200):
            own.info(f"{number} {i}", i=i)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [described(record) for record in kept.records]
    assert 1600 == len(found)
    assert all(one["message"] == "{thread} {i}".format(**one["fields"]) for one in found)


def test_caplog(caplog: pytest.LogCaptureFixture) -> None:
    """Loggers hand on to the root logger, so that pytest and the program's own handlers see it."""
    StructuredLogger("orders").warning("m", rows=3)
    (record,) = caplog.records
    assert ("m", 3) == (record.getMessage(), record.rows)  # type: ignore[attr-defined]
