"""The log of one call of a Lambda function: where it is among those of other calls, and what its lines say.

Lambda writes a line where a call begins and where it is over, as text or as JSON ("Working with Lambda
function logs" in its guide)::

    INIT_START Runtime Version: ...               before the first call in an environment
    START RequestId: 6f1c... Version: $LATEST
    whatever the function prints                  without the request's id
    END RequestId: 6f1c...
    REPORT RequestId: 6f1c...  Duration: ...

    {"time": "...", "type": "platform.start", "record": {"requestId": "6f1c...", ...}}

An environment serves one call after the other, and has a stream of its own: between these two lines nothing
else stands in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from bunsui.errors import AwsError
from bunsui.jobs.cloudwatch import Stream, is_missing, milliseconds, page_of
from bunsui.model.log import LEVELS
from bunsui.ports.remote_log import LogPage

if TYPE_CHECKING:
    from bunsui.aws.connections import Caller, Connections

#: How far AWS's clock and this machine's may be apart, and how long after its call a line may be written.
MARGIN = timedelta(minutes=2)
#: The id of a call.
REQUEST = re.compile(r"[0-9A-Za-z]{8}(-[0-9A-Za-z]{4}){3}-[0-9A-Za-z]{12}")
_TEXT = re.compile(r"(INIT_START|START|END|REPORT)\b(?: RequestId: ([0-9A-Za-z-]+))?")
#: What begins a call, and what is written when it is over, in JSON; by what it is in text.
_TYPES = {"platform.initStart": "INIT_START", "platform.start": "START", "platform.report": "REPORT"}
#: Python's `logging`, and Node's console: "[ERROR]\tTIME\tID\t..." and "TIME\tID\tERROR\t...".
_LEVEL = re.compile(r"\[([A-Z]+)\]\t|[0-9-]{10}T[0-9:.]+Z\t[0-9A-Za-z-]+\t([A-Z]+)\t")
#: What others than Python call its levels.
_NAMES = {"TRACE": "DEBUG", "WARN": "WARNING", "FATAL": "CRITICAL"}
#: The name in what a function may be called by: its ARN, a part of that, and with a qualifier.
_FUNCTION = re.compile(r"(?:.*function:)?([^:]+)(?::[^:]+)?")


def level_in(text: str) -> str:
    """The level of a line, where it is plain; else ``INFO``."""
    if text.startswith("{"):
        name = _json(text).get("level")
    else:
        found = _LEVEL.match(text)
        name = None if found is None else found[1] or found[2]
    name = name.upper() if isinstance(name, str) else ""
    name = _NAMES.get(name, name)
    return name if name in LEVELS else "INFO"


def is_whole(tail: str) -> bool:
    """Whether what came with a function's answer is all that the call has logged."""
    return not tail or mark_of(tail.partition("\n")[0])[0] in ("START", "INIT_START")


def mark_of(text: str) -> tuple[str | None, str | None]:
    """What a line of Lambda's own says (``START``, ``REPORT``, ...), and of which call; None of any other."""
    if not text.startswith("{"):
        found = _TEXT.match(text)
        return (None, None) if found is None else (found[1], found[2])
    said = _json(text)
    mark, record = _TYPES.get(str(said.get("type"))), said.get("record")
    return mark, str(record.get("requestId")) if mark is not None and isinstance(record, dict) else None


def _json(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def group_of(configuration: Mapping[str, Any] | None, function: str) -> str:
    """The group of a function's log, as its configuration says; where that is not known, the usual one."""
    named = ((configuration or {}).get("LoggingConfig") or {}).get("LogGroup")
    if named:
        return str(named)
    name = _FUNCTION.fullmatch(function)
    return f"/aws/lambda/{function if name is None else name[1]}"


@frozen
class Call:
    """A call of a function whose log is looked for."""

    #: The group of the function's log.
    group: str
    #: The call's id, as `REQUEST` has it.
    request: str
    started_at: datetime
    #: None: it may last.
    finished_at: datetime | None


@frozen
class Place:
    """How far looking for a call's log, and reading it, has come."""

    #: Where it begins and ends; None as far as that is not known.
    stream: str | None = None
    start: int | None = None
    end: int | None = None
    #: AWS's token: of what is read, and before that of what is looked through.
    token: str | None = None
    #: Whether its first line was read.
    has_begun: bool = False
    #: Whether all of it was.
    is_over: bool = False


def page(aws: Connections, as_: Caller, call: Call, place: Place | None, limit: int) -> LogPage:
    """One call to AWS: looks for where the log of a call is, or reads on there.

    What is not there with its beginning and its end is not there yet: then nothing is given.

    Raises:
        AwsError: it can't be read.
    """
    place = place or Place()
    if place.is_over:
        return LogPage(token=place)
    if place.start is None or place.end is None:
        return _look(aws, as_, call, place)
    return _read(aws, as_, call, place, limit)


def _look(aws: Connections, as_: Caller, call: Call, place: Place) -> LogPage:
    parameters: dict[str, Any] = {
        "logGroupName": call.group,
        "filterPattern": f'"{call.request}"',
        "startTime": milliseconds(call.started_at - MARGIN),
    }
    if call.finished_at is not None:
        parameters["endTime"] = milliseconds(call.finished_at + MARGIN)
    if place.token is not None:
        parameters["nextToken"] = place.token
    try:
        answer = aws.call("logs", "FilterLogEvents", parameters, as_, call.group)
    except AwsError as error:
        if is_missing(error):
            return LogPage()
        raise
    for event in answer.get("events", []):
        mark, request = mark_of(str(event.get("message", "")))
        if mark == "START" and request == call.request and place.start is None:
            place = evolve(place, stream=event["logStreamName"], start=event["timestamp"])
        elif place.end is not None or (mark == "REPORT" and request == call.request):
            # What stands behind it says more of it, such as that it took too long.
            place = evolve(place, end=event["timestamp"] + 1)
    if place.start is not None and place.end is not None:
        return LogPage(token=evolve(place, token=None), is_end=False)
    if (following := answer.get("nextToken")) is not None:
        return LogPage(token=evolve(place, token=following), is_end=False)
    return LogPage()  # It is looked for anew: what comes late may stand anywhere.


def _read(aws: Connections, as_: Caller, call: Call, place: Place, limit: int) -> LogPage:
    stream = Stream(call.group, str(place.stream), place.start, place.end)
    read = page_of(aws, as_, stream, place.token, limit)
    lines = []
    for line in read.lines:
        mark, request = mark_of(line.text)
        is_own = request == call.request
        is_last = milliseconds(line.time) + 1 == place.end
        if mark == "START" and place.has_begun and not is_own and is_last:  # Within one millisecond.
            place = evolve(place, is_over=True)
            break
        if mark == "START" and is_own:
            place = evolve(place, has_begun=True)
        if place.has_begun:
            lines.append(evolve(line, level=level_in(line.text)))
    # All of it was there when its end was found.
    place = evolve(place, token=read.token, is_over=place.is_over or read.is_end)
    return LogPage(lines, place, place.is_over)
