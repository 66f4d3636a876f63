"""The log of one attempt at its service, as records of its job."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from attrs import define, field

from bunsui.model.log import LEVELS, LogRecord
from bunsui.ports.remote_log import TAIL, LogLine, LogPage, RemoteLog

if TYPE_CHECKING:
    from bunsui.logging.filters import Filter
    from bunsui.ports.job_type import JobType

#: The stream of what a service has of work that was submitted to it: it does not tell stdout from stderr.
STREAM = "stdout"


@define(eq=False)
class Source:
    """The log of one attempt at its service, and how far it has been read."""

    kind: JobType
    about: RemoteLog
    #: The first of the job's own records that are only the end of this log; None: they have nothing of it.
    tail: LogRecord | None
    #: Takes the values of secrets out of a text.
    redact: Callable[[str], str] = field(repr=False)
    chosen: Filter
    token: Any = None
    #: The time that all further records are given at, at the earliest.
    latest: datetime = field(init=False)
    #: Whether it had any line.
    has_come: bool = False
    #: Whether it need not be looked at any more.
    is_settled: bool = False
    #: When it is to be looked at again (monotonic).
    due_at: float = -math.inf
    #: Since when it can't be read (monotonic); None: it can.
    failing_since: float | None = None
    #: Records of the job's own log that are given if this has no more.
    held: list[LogRecord] = field(factory=list)

    @latest.default
    def _began(self) -> datetime:
        # Before its own end, too, where a clock was put back: see `Elsewhere.takes`.
        began = self.about.started_at
        return began if self.tail is None else min(began, self.tail.time)

    def records(self, ask: Callable[[Source], LogPage | None]) -> Iterator[tuple[datetime, LogRecord | None]]:
        """What it has from where it was left, each with a time that never falls; see `Elsewhere.look`.

        Args:
            ask: gives the next page; None: there is none now.
        """
        # Nothing is read before its time has come: many attempts are not all open at once.
        yield self.latest, None
        while (page := ask(self)) is not None:
            is_stuck = not page.lines and page.token == self.token
            self.token = page.token
            self.has_come = self.has_come or bool(page.lines)
            for line in page.lines:
                record = self._record(line)
                if self.chosen.takes(record, b""):
                    self.latest = max(self.latest, record.time)
                    yield self.latest, record
            if page.is_end or is_stuck:
                return

    def _record(self, line: LogLine) -> LogRecord:
        about, own = self.about, self.tail
        return LogRecord(
            line.time,
            line.level if line.level in LEVELS else "INFO",
            about.job_id,
            self.redact(line.text),
            STREAM if own is None else own.stream,
            about.attempt,
            about.item_index,
            None if own is None else own.logger,
            {} if own is None else without_mark(own.fields),
        )


def without_mark(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record of which something is only the end, but for the one that says so."""
    return {name: value for name, value in fields.items() if name != TAIL}


def checked(page: Any, kind: str) -> LogPage:
    """What a job type gave as a page.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(page, LogPage):
        raise TypeError(f"log_page() of job type '{kind}' gave {type(page).__name__}")
    for line in page.lines:
        if not isinstance(line, LogLine) or type(line.text) is not str:
            raise TypeError(f"log_page() of job type '{kind}' gave a line that is none")
        if not isinstance(line.time, datetime) or line.time.tzinfo is None:
            raise TypeError(f"log_page() of job type '{kind}' gave a line without an aware time")
    return page
