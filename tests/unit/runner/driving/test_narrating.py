"""What becomes of sessions, in the program's log."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import fields

import bunsui
from bunsui.engine import events as ev
from bunsui.engine.events import EVENTS
from bunsui.model.log import LEVELS
from bunsui.model.session import Failure
from bunsui.runner.driving.narrating import LINES, LOGGER, narrate

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
PIPELINE = bunsui.Pipeline(
    "orders",
    [
        bunsui.Job("a", "custom", command=["true"]),
        bunsui.Job("b", "custom", command=["true"], allow_failure=True),
    ],
)
#: What is told by others: by SessionStarted, by the end of a session; or matters to nobody but who debugs.
NOT_TOLD = {"SessionCreated", "RunnerReleased", "ConditionEvaluated"}
ERROR = Failure("OSError", "busy")
VALUES: Mapping[str, Any] = {
    "job": "a", "item": 3, "attempt": 2, "error": ERROR, "delay": 1.5, "reason": "why", "message": "text",
    "epoch": 2, "runner": "r", "count": 4, "session": "abc", "key": "k", "handle": None, "request": "q",
}  # fmt: skip


def made(name: str) -> ev.Event:
    """An event of a kind."""
    kind = EVENTS[name]
    given = {one.name: VALUES[one.name] for one in fields(kind) if one.name in VALUES}
    return kind(at=NOW, **given)


def test_each_event_is_told_or_left_out_on_purpose() -> None:
    """A new one has to be thought of."""
    assert set(EVENTS) == {kind.__name__ for kind in LINES} | NOT_TOLD
    assert {line.level for line in LINES.values()} <= set(LEVELS.values())


@pytest.mark.parametrize("name", sorted(set(EVENTS) - NOT_TOLD))
def test_a_record_for_each(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """It names the event, the pipeline, and what it is about; and what there is to say."""
    with caplog.at_level("DEBUG", LOGGER):
        narrate("s" * 16, PIPELINE, [made(name)])
    (record,) = caplog.records
    about: dict[str, Any] = record.bunsui_context  # type: ignore[attr-defined]
    event = made(name)
    expected = {"session": "s" * 16} | {
        key: getattr(event, key) for key in ("job", "item", "attempt") if hasattr(event, key)
    }
    assert expected == about
    assert (name, "orders", LOGGER) == (record.event, record.pipeline, record.name)  # type: ignore[attr-defined]
    if hasattr(event, "error"):
        assert ("OSError", "busy") == (record.code, record.error)  # type: ignore[attr-defined]
    if getattr(event, "reason", None) is not None:
        assert "why" == record.reason  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("event", "level"),
    [
        (ev.JobFailed(NOW, "a", 1, ERROR), "ERROR"),
        (ev.JobFailed(NOW, "b", 1, ERROR), "WARNING"),
        (ev.ItemFailed(NOW, "b", 0, 1, ERROR), "WARNING"),
        (ev.SessionPaused(NOW, "user"), "INFO"),
        (ev.SessionPaused(NOW, "crash-loop"), "WARNING"),
        (ev.RunnerClaimed(NOW, "r", 1), None),
        (ev.RunnerClaimed(NOW, "r", 2), "INFO"),
    ],
)
def test_levels(event: ev.Event, level: str | None, caplog: pytest.LogCaptureFixture) -> None:
    """They say whether somebody has to look."""
    with caplog.at_level("DEBUG", LOGGER):
        narrate("s", PIPELINE, [event])
    assert [level] * (level is not None) == [record.levelname for record in caplog.records]


def test_an_attempt_that_has_not_begun(caplog: pytest.LogCaptureFixture) -> None:
    """It has no number."""
    narrate("s", PIPELINE, [ev.JobFailed(NOW, "a", 0, ERROR)])
    (record,) = caplog.records
    assert {"session": "s", "job": "a"} == record.bunsui_context  # type: ignore[attr-defined]


def test_what_is_below_the_level(caplog: pytest.LogCaptureFixture) -> None:
    """No record is made of it."""
    with caplog.at_level("ERROR", LOGGER):
        narrate("s", PIPELINE, [made("JobStarted"), made("JobFailed"), made("AttemptFailed")])
        logging.disable(logging.ERROR)
        try:
            narrate("s", PIPELINE, [made("JobFailed")])
        finally:
            logging.disable(logging.NOTSET)
    assert ["JobFailed"] == [record.event for record in caplog.records]  # type: ignore[attr-defined]


def test_no_event_can_stop_the_driver(caplog: pytest.LogCaptureFixture) -> None:
    """Not one of a job that the pipeline does not have, either."""
    narrate("s", PIPELINE, [ev.JobFailed(NOW, "gone", 1, ERROR), made("SessionFailed")])
    assert ["SessionFailed"] == [record.event for record in caplog.records]  # type: ignore[attr-defined]
