"""The log of a run of a Glue job: its output and its errors, which are two groups of CloudWatch Logs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from bunsui.jobs.cloudwatch import Stream, page_of
from bunsui.ports.remote_log import LogLine, LogPage

if TYPE_CHECKING:
    from bunsui.aws.connections import Caller, Connections

#: The group's name ends with these: "Logging for Glue jobs" in its guide. The stream is the run's id.
_PARTS = ("output", "error")
#: Where Glue names none.
_GROUP = "/aws-glue/jobs"


@frozen
class _Part:
    """One of the two, and how far it has been read."""

    stream: Stream
    token: str | None = None
    is_end: bool = False
    #: Read, and not given yet: the other one may have earlier lines.
    lines: tuple[LogLine, ...] = ()


def begin(run: Mapping[str, Any], start: int | None) -> tuple[_Part, ...]:
    """Where the log of a run is read; `start` is the first millisecond that is wanted."""
    group = str(run.get("LogGroupName") or _GROUP).rstrip("/")
    return tuple(_Part(Stream(f"{group}/{part}", str(run["Id"]), start)) for part in _PARTS)


def page(aws: Connections, as_: Caller, parts: tuple[_Part, ...], limit: int) -> LogPage:
    """The next lines of both, by their time.

    Raises:
        AwsError: they can't be read.
    """
    parts = tuple(part if part.lines else _read(aws, as_, part, limit) for part in parts)
    # What is later than the last line of one that goes on may not be next.
    until = min((part.lines[-1].time for part in parts if part.lines and not part.is_end), default=None)
    given: list[LogLine] = []
    left = []
    for part in parts:
        count = sum(1 for line in part.lines if until is None or line.time <= until)
        given += part.lines[:count]
        left.append(evolve(part, lines=part.lines[count:]))
    is_end = all(part.is_end and not part.lines for part in left)
    return LogPage(sorted(given, key=lambda line: line.time), tuple(left), is_end)


def _read(aws: Connections, as_: Caller, part: _Part, limit: int) -> _Part:
    found = page_of(aws, as_, part.stream, part.token, limit)
    return evolve(part, token=found.token, is_end=found.is_end, lines=found.lines)
