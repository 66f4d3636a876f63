"""What a command prints while it drives or watches a session."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import NOTHING, fields

from bunsui.cli.progress import Progress
from bunsui.engine import events as ev
from bunsui.engine.transitions import ITEM, JOB
from bunsui.model.session import Failure
from bunsui.model.status import JobStatus

#: A value for each field that an event must have.
VALUES: dict[str, Any] = {
    "at": datetime(2026, 1, 2, tzinfo=UTC), "job": "a", "item": 0, "attempt": 1, "key": "k", "delay": 1.0,
    "error": Failure("E", "m"), "reason": "because", "count": 1, "session": "b" * 16,
}  # fmt: skip
#: What becomes of a job or an item by each event that changes its status, but for the starts of items: they
#: are too many for a line each.
CHANGES = {
    event: after
    for (event, before), after in (JOB | ITEM).items()
    if after is not before and event is not ev.ItemStarted
}
#: What is said where that is not the status.
OTHER_WORDS = {ev.JobReused: "reused", ev.AttemptLost: "lost", ev.ItemAttemptLost: "lost"}


def an_event(cls: type[ev.Event]) -> ev.Event:
    names = [field.name for field in fields(cls) if field.default is NOTHING]
    return cls(**{name: VALUES[name] for name in names})


@pytest.mark.parametrize(("cls", "after"), CHANGES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_line_for_each_change(
    cls: type[ev.Event], after: JobStatus, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the job, or the item, and its status: whatever becomes of a job is told."""
    progress = Progress(quiet=False)
    progress.bunsui_session_event("b" * 16, an_event(cls))
    _, line = capsys.readouterr().out.splitlines()
    name = "a[0]" if issubclass(cls, ev.ItemEvent) else "a"
    assert [name, OTHER_WORDS.get(cls, str(after))] == line.split()[:2]
