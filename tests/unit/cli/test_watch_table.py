"""The table of ``session watch``: which jobs it shows, and that nothing in it breaks a terminal."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from bunsui.cli.watch_table import AROUND, STYLES, WatchTable, shown
from bunsui.model.session import Failure, JobState, SessionState
from bunsui.model.status import JobStatus, SessionStatus

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def session(jobs: dict[str, JobState], pipeline: str = "p") -> SessionState:
    return SessionState("a" * 16, SessionStatus.RUNNING, pipeline, {}, {}, jobs)


def drawn(table: WatchTable, width: int, height: int) -> list[str]:
    """The lines of a drawing."""
    file = io.StringIO()
    console = Console(file=file, width=width, height=height, highlight=False, markup=False, emoji=False)
    console.print(table)
    return file.getvalue().splitlines()


def test_of_many_jobs_those_count_on_which_something_happens() -> None:
    """What runs first, then what ended last, then what waits; in the definition's order, with counts."""
    jobs = {f"j{n}": JobState() for n in range(10_000)}
    jobs["j9000"] = JobState(JobStatus.RUNNING, started_at=NOW)
    jobs["j8000"] = JobState(JobStatus.RETRYING, started_at=NOW)
    for n in range(100):
        at = NOW + timedelta(seconds=n)
        jobs[f"j{n}"] = JobState(JobStatus.SUCCEEDED, started_at=at, finished_at=at)
    state = session(jobs)
    assert ["j97", "j98", "j99", "j8000", "j9000"] == shown(state, 5)
    lines = drawn(WatchTable(state), 80, AROUND + 5)
    assert len(lines) < AROUND + 5
    assert "9,898 pending, 1 running, 1 retrying, 100 succeeded" == lines[1].strip()
    assert "and 9,995 more" == lines[-1].strip()


@settings(deadline=None, max_examples=60)
@given(
    text=st.text(max_size=30),
    width=st.integers(1, 120),
    height=st.integers(1, 60),
    count=st.integers(1, 80),
)
def test_it_fits_whatever_it_holds(text: str, width: int, height: int, count: int) -> None:
    """No line is wider than the terminal, none is one too many, and no control character gets through."""
    failed = JobState(JobStatus.FAILED, error=Failure("X", text), reason=text or None)
    table = WatchTable(session({f"job{n}": failed for n in range(count)}, text), "nobody drives it")
    lines = drawn(table, width, height)
    assert all(cell_len(line) <= width for line in lines)
    assert len(lines) <= max(height, AROUND + 1)
    assert not any(ord(sign) < 32 or 127 <= ord(sign) < 160 for line in lines for sign in line)


@pytest.mark.parametrize("text", ["[red]x[/red]", "[/]", ":smile:", "\x1b[2Jgone\n\u202e"])
def test_text_is_text(text: str) -> None:
    """Neither markup nor escape sequences mean anything."""
    failed = JobState(JobStatus.FAILED, error=Failure("X", text))
    shown = "\n".join(drawn(WatchTable(session({"a": failed})), 100, 30))
    assert text.encode("unicode_escape").decode().replace("\\u202e", "\\u202e") in shown


def test_a_clock_that_is_ahead() -> None:
    """Seconds are never below 0."""
    ahead = JobState(JobStatus.RUNNING, started_at=datetime.now(UTC) + timedelta(hours=1))
    assert " 0.0" in "\n".join(drawn(WatchTable(session({"a": ahead})), 100, 30))


def test_every_status_has_a_style() -> None:
    """No status is shown by chance as nothing had been thought of."""
    assert {*map(str, JobStatus), *map(str, SessionStatus)} == set(STYLES)
