"""The log of an attempt at the service that ran it, which is read there once somebody asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

__all__ = ["TAIL", "LogLine", "LogPage", "RemoteLog"]

#: The field of a job's own records that are only the end of what its service has: a type gives it, as true,
#: with ``extra``. Where `JobType.log_page` has the whole, that is shown in their place.
TAIL = "log_tail"


@frozen(kw_only=True)
class RemoteLog:
    """An attempt whose log is asked for.

    Such as::

        class Query(bunsui.JobType):
            def log_page(self, about, token):
                rows = self.client.messages(about.handle["id"], after=token or 0, limit=about.limit)
                lines = [bunsui.LogLine(row.at, row.text) for row in rows]
                return bunsui.LogPage(lines, rows[-1].number if rows else token, is_end=not rows)
    """

    #: The session's id.
    session_id: str
    #: The job's.
    job_id: str
    #: Starts at 1.
    attempt: int
    #: The index of a fan-out's item, which starts at 0; None for other jobs.
    item_index: int | None = None
    #: What the service knows it by; None of what was not submitted.
    handle: Any = None
    #: The fields of the job's type, resolved. They may hold secrets, so they are not shown.
    options: Mapping[str, Any] = field(factory=dict, repr=False)
    #: The fields of the first of the job's own records that are only the end of this log; see `TAIL`. None:
    #: there is none.
    tail: Mapping[str, Any] | None = None
    #: By the session's history, in UTC.
    started_at: datetime
    #: None while it runs, and where its end is not known.
    finished_at: datetime | None = None
    #: Only lines from this time on are wanted; None: all. Earlier ones do no harm.
    since: datetime | None = None
    #: Only the last so many lines of those that there are now are wanted; None: all. Earlier ones do no harm.
    last: int | None = None
    #: How many lines a page should have at most.
    limit: int = 1000


@frozen
class LogLine:
    """A line of a log at a service.

    Such as::

        from datetime import UTC, datetime

        print(bunsui.LogLine(datetime(2026, 1, 31, tzinfo=UTC), "3 rows").level)  # INFO
    """

    #: When it was logged; aware.
    time: datetime
    #: Without its line break.
    text: str
    #: ``DEBUG``, ``INFO``, ``WARNING``, ``ERROR`` or ``CRITICAL``.
    level: str = "INFO"


def _lines(lines: Iterable[LogLine]) -> tuple[LogLine, ...]:
    return tuple(lines)


@frozen
class LogPage:
    """Some lines of a log at a service, and where it goes on.

    Such as::

        print(bunsui.LogPage().is_end)  # True
    """

    #: Oldest first.
    lines: tuple[LogLine, ...] = field(default=(), converter=_lines)
    #: What the next page is asked for with, also much later, by the same process; None: from the beginning.
    token: Any = None
    #: Whether the log ends here, as far as it has come.
    is_end: bool = True
