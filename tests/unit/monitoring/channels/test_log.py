"""Alerts in the application's log: who takes them, and as what."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from attrs import evolve

from bunsui.errors import AlertNotTaken
from bunsui.monitoring.channels.log import LOGGER, LogChannel
from bunsui.ports.alerts import AlertChannel
from bunsui.testing import AlertChannelSuite
from bunsui.testing.alert_channel.sending import full, minimal


class Kept(logging.Handler):
    """Keeps records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The logger of alerts, without handlers of its own; afterwards it is as it was."""
    found = logging.getLogger(LOGGER)
    before = found.level, found.propagate, found.handlers[:], found.disabled
    found.handlers[:] = []
    yield found
    found.setLevel(before[0])
    found.propagate, found.handlers[:], found.disabled = before[1:]


@pytest.fixture
def kept(logger: logging.Logger) -> Kept:
    handler = Kept()
    logger.addHandler(handler)
    return handler


class TestLog(AlertChannelSuite):
    """A handler that takes records, or does not."""

    @pytest.fixture
    def channel(self, kept: Kept) -> AlertChannel:
        self.kept = kept
        return LogChannel()

    def received(self) -> Sequence[str]:
        return [record.alert["id"] for record in self.kept.records]

    @contextmanager
    def failing(self) -> Iterator[None]:
        deaf(logging.getLogger(LOGGER))
        yield
        self.kept.setLevel(logging.NOTSET)


@pytest.mark.parametrize(
    ("on", "level"),
    [("failure", "ERROR"), ("recovery", "WARNING"), ("test", "WARNING"), ("stalled", "WARNING")],
)
def test_levels(kept: Kept, on: str, level: str) -> None:
    """A failure is an error, all else a warning."""
    LogChannel().send(evolve(minimal(), on=on), {})
    assert [level] == [record.levelname for record in kept.records]


def test_what_a_record_has(kept: Kept) -> None:
    """One line, and the alert's fields beside it."""
    alert = evolve(full(), summary="one\nlevel=CRITICAL %s \x1b[31m")
    LogChannel().send(alert, {})
    (record,) = kept.records
    assert ("one\\nlevel=CRITICAL %s \\x1b[31m", alert.session_id) == (record.getMessage(), record.session_id)
    fields = alert.to_dict()
    assert record.alert == {name: fields[name] for name in fields if name not in ("summary", "at")}


def silent(logger: logging.Logger) -> None:
    logger.setLevel(logging.CRITICAL)


def disabled(logger: logging.Logger) -> None:
    logger.disabled = True


def for_nobody(logger: logging.Logger) -> None:
    logger.propagate = False
    logger.handlers[:] = [logging.NullHandler()]


def deaf(logger: logging.Logger) -> None:
    logger.propagate = False  # Only now: pytest sees to loggers that are so when a test begins.
    logger.handlers[0].setLevel(logging.CRITICAL)


@pytest.mark.parametrize("made", [silent, disabled, for_nobody, deaf])
def test_nobody_would_see_it(logger: logging.Logger, kept: Kept, made: Any) -> None:
    """A record that no handler takes tells nobody: that is an error, with what helps."""
    made(logger)
    with pytest.raises(AlertNotTaken) as caught:
        LogChannel().send(minimal(), {})
    assert "no handler of the logger bunsui.alerts takes records of level WARNING" == caught.value.message
    assert [] == kept.records


def test_without_any_handler(logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    """Python's own last resort is one who takes it."""
    logger.propagate = False
    logger.handlers[:] = []
    LogChannel().send(minimal(), {})
    assert "a session of Load has not moved for an hour\n" == capsys.readouterr().err


def test_a_handler_above(kept: Kept) -> None:
    """Those of the loggers above count, as far as records get there."""
    parent = logging.getLogger("bunsui")
    logger = logging.getLogger(LOGGER)
    logger.handlers[:] = []
    logger.propagate = False
    parent.addHandler(kept)
    before, parent.propagate = parent.propagate, False
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(logging, "lastResort", None)
            with pytest.raises(AlertNotTaken):
                LogChannel().send(minimal(), {})
            logger.propagate = True
            LogChannel().send(minimal(), {})
    finally:
        parent.removeHandler(kept)
        parent.propagate = before
    assert 1 == len(kept.records)
