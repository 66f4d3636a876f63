"""`configure` and `set_level`: what they set up, and that all of it can be undone."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import bunsui
from bunsui.logging import StructuredLogger, configure, set_level

NAMES = (None, "bunsui", "bunsui.orders", "other")


def state() -> list[tuple[int, list[Any], bool]]:
    """What loggers have."""
    return [(logger.level, [*logger.handlers], logger.propagate) for logger in map(logging.getLogger, NAMES)]


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Each test leaves all loggers as they were."""
    StructuredLogger()  # Its NullHandler stays.
    before = state()
    yield
    assert before == state()


def messages(stream: io.StringIO) -> list[str]:
    return [json.loads(line)["message"] for line in stream.getvalue().splitlines()]


def test_what_it_sets_up() -> None:
    """One handler at one logger, whose level it sets; nothing else is touched."""
    before = state()
    with configure("WARNING", stream=io.StringIO()) as found:
        after = state()
    assert [before[i] for i in (0, 2, 3)] == [after[i] for i in (0, 2, 3)]
    assert (logging.WARNING, [*before[1][1], found.handler], True) == after[1]


def test_the_level() -> None:
    """What is below it is not written, and is not made."""
    stream = io.StringIO()
    with configure("WARNING", stream=stream):
        StructuredLogger("orders").info("low")
        StructuredLogger("orders").warning("high")
        assert not StructuredLogger("orders").is_enabled("INFO")
    assert ["high"] == messages(stream)


def test_again() -> None:
    """It replaces what it had set up: a record is written once; the one before has nothing left to undo."""
    first, second = io.StringIO(), io.StringIO()
    before = configure("DEBUG", stream=first, levels={"other": "DEBUG"})
    with configure("INFO", stream=second):
        before.close()
        StructuredLogger("orders").info("m")
        StructuredLogger("orders").debug("m")
    assert ([], ["m"]) == (messages(first), messages(second))


def test_undone_twice() -> None:
    """The second time does nothing, also where somebody else has set the level meanwhile."""
    found = configure(stream=io.StringIO())
    found.close()
    with set_level("bunsui", "ERROR"):
        found.close()
        assert logging.ERROR == logging.getLogger("bunsui").level


def test_levels_of_some_loggers() -> None:
    """By their whole names, higher and lower ones."""
    stream = io.StringIO()
    with configure(stream=stream, levels={"bunsui.orders": "DEBUG", "bunsui.other": "ERROR"}):
        for name in ("orders", "other", "third"):
            StructuredLogger(name).debug(f"{name} debug")
            StructuredLogger(name).warning(f"{name} warning")
    assert ["orders debug", "orders warning", "third warning"] == messages(stream)


def test_levels_change_while_it_runs() -> None:
    """At once, and back again; None is the level of what lies above."""
    stream = io.StringIO()
    logger = StructuredLogger("orders")
    with configure(stream=stream):
        logger.debug("1")
        with set_level("bunsui.orders", "DEBUG"):
            logger.debug("2")
            with set_level("bunsui.orders", None):
                logger.debug("3")
            logger.debug("4")
        logger.debug("5")
        level = set_level("bunsui.orders", "DEBUG")
        level.close()
        level.close()
    assert ["2", "4"] == messages(stream)


@pytest.mark.parametrize("name", ["root", ""])
def test_the_root_logger(name: str) -> None:
    """Then all records of the program are written, each once."""
    stream = io.StringIO()
    with configure(stream=stream, logger=name):
        logging.getLogger("other").info("a")
        StructuredLogger("orders").info("b")
    assert ["a", "b"] == messages(stream)


def test_other_loggers_are_not_written() -> None:
    """Unless the root logger is named."""
    stream = io.StringIO()
    with configure(stream=stream):
        logging.getLogger("other").error("m")
    assert [] == messages(stream)


def test_handlers_of_the_program(caplog: pytest.LogCaptureFixture) -> None:
    """They get records as before: where the root logger has one, both show it."""
    stream = io.StringIO()
    with configure(stream=stream):
        StructuredLogger("orders").info("m")
    assert (["m"], ["m"]) == (messages(stream), caplog.messages)


def test_stderr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what is stderr when a record comes; none is no fault."""
    with configure(format="text"):
        StructuredLogger("orders").info("here")
        other = io.StringIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", other)
            StructuredLogger("orders").info("there")
            patch.setattr(sys, "stderr", None)
            StructuredLogger("orders").info("nowhere")
    assert capsys.readouterr().err.endswith("bunsui.orders: here\n")
    assert other.getvalue().endswith("bunsui.orders: there\n")


def test_a_stream_that_can_not_show_all() -> None:
    """What its encoding lacks is escaped."""
    data = io.BytesIO()
    with configure(format="text", stream=io.TextIOWrapper(data, encoding="ascii")):
        StructuredLogger("orders").info("日本")
        assert data.getvalue().endswith(b": \\u65e5\\u672c\n")


class Full(io.StringIO):
    """A stream that takes nothing for a while."""

    error: BaseException | None = None

    def write(self, text: str) -> int:
        if self.error is not None:
            raise self.error
        return super().write(text)


@pytest.mark.parametrize("error", [OSError(28, "full"), ValueError("closed"), RuntimeError("foreign")])
def test_a_stream_that_can_not_be_written(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody who logs notices; as soon as it can, a record says how many are missing, once."""
    stream = Full()
    with configure(stream=stream):
        logger = StructuredLogger("orders")
        logger.info("1")
        stream.error = error
        logger.info("2")
        logger.info("3")
        stream.error = None
        logger.info("4")
        logger.info("5")
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert ["1", "4", "5"] == [one["message"] for one in found if one["logger"] == "bunsui.orders"]
    (lost,) = [one for one in found if one["logger"] == "bunsui.logs"]
    assert ("WARNING", {"lost": 2}) == (lost["level"], lost["fields"])
    assert type(error).__name__ in lost["message"]
    assert ("", "") == capsys.readouterr()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"level": "loud"}, "there is no level 'loud'; the levels are DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ({"level": "INF"}, "there is no level 'INF'; did you mean 'INFO'"),
        ({"format": "xml"}, "there is no format 'xml'; the formats are json, text"),
        ({"format": "jsn"}, "there is no format 'jsn'; did you mean 'json'"),
        ({"format": None}, "there is no format null"),
        ({"logger": 3}, "the name of a logger is 3"),
        ({"levels": {"bunsui.orders": "loud"}}, "there is no level 'loud'"),
        ({"levels": {3: "INFO"}}, "the name of a logger is 3"),
    ],
)
def test_what_is_wrong(given: dict[str, Any], message: str) -> None:
    """It is an error, and what was set up before stays."""
    stream = io.StringIO()
    with configure(stream=stream):
        before = state()
        with pytest.raises(bunsui.ConfigError) as caught:
            configure(**given)
        assert before == state()
        StructuredLogger("orders").info("m")
    assert str(caught.value).startswith(message)
    assert ["m"] == messages(stream)
