"""Streams of CloudWatch Logs, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from attrs import frozen

from bunsui.errors import AwsError
from bunsui.ports.remote_log import LogLine, LogPage

if TYPE_CHECKING:
    from bunsui.aws.connections import Caller, Connections

#: Lines that one page may have: "GetLogEvents" in the API reference of CloudWatch Logs.
MAX_LINES = 10_000
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@frozen
class Stream:
    """A stream, and what of it is wanted."""

    group: str
    name: str
    #: The first millisecond since 1970, and the first one that is too late; None: there is none.
    start: int | None = None
    end: int | None = None


def page_of(aws: Connections, as_: Caller, stream: Stream, token: str | None, limit: int) -> LogPage:
    """The next lines of a stream, oldest first; none where it is not there (yet).

    At the end AWS gives the token that it was given: then it is asked again with that for what comes later.

    Raises:
        AwsError: it can't be read.
    """
    return _page(aws, as_, stream, {"startFromHead": True, "nextToken": token}, limit)


def end_of(aws: Connections, as_: Caller, stream: Stream, lines: int) -> LogPage | None:
    """The last lines of a stream, so many; None where the answer has fewer: there may be more.

    Raises:
        AwsError: it can't be read.
    """
    found = _page(aws, as_, stream, {"startFromHead": False}, lines)
    return None if len(found.lines) < lines or found.token is None else found


def _page(aws: Connections, as_: Caller, stream: Stream, more: Mapping[str, Any], limit: int) -> LogPage:
    given = {"startTime": stream.start, "endTime": stream.end, **more}
    parameters: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    parameters |= {"logGroupName": stream.group, "logStreamName": stream.name}
    parameters["limit"] = max(1, min(limit, MAX_LINES))
    token = more.get("nextToken")
    try:
        answer = aws.call("logs", "GetLogEvents", parameters, as_, f"{stream.group}:{stream.name}")
    except AwsError as error:
        if is_missing(error):
            return LogPage(token=token)
        raise
    following = answer.get("nextForwardToken", token)
    return LogPage(map(line_of, answer.get("events", [])), following, following == token)


def is_missing(error: AwsError) -> bool:
    """Whether a group or a stream is not there: the first line makes it."""
    return error.code == "ResourceNotFoundException"


def line_of(event: Mapping[str, Any]) -> LogLine:
    """An event of CloudWatch Logs as a line."""
    return LogLine(time_of(event["timestamp"]), str(event.get("message", "")).rstrip("\r\n"))


def time_of(milliseconds: int) -> datetime:
    """A time as AWS gives it."""
    return _BEGINNING + milliseconds * _MILLISECOND


def milliseconds(time: datetime) -> int:
    """A time as AWS takes it, rounded down."""
    return (time - _BEGINNING) // _MILLISECOND
