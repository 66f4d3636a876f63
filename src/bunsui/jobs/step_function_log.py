"""The history of an execution as a log: an event is a line.

Such as::

    ExecutionStarted
    TaskStateEntered Load
    TaskScheduled Load: lambda invoke
    TaskFailed Load: ValueError: no such table
    ExecutionFailed Load: ValueError: no such table

What states are given and give is left out: it may be much, and is not the log's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from bunsui.errors import AwsError
from bunsui.jobs.step_function_outcome import told_by
from bunsui.ports.remote_log import LogLine, LogPage

if TYPE_CHECKING:
    from bunsui.aws.connections import Caller, Connections

#: Events that one page may have: "GetExecutionHistory" in the API reference.
MAX_EVENTS = 1000
_BAD = re.compile(r".*(Failed|TimedOut|Aborted)")
#: What is named by events beside their state.
_RESOURCES = ("resourceType", "resource")


@frozen
class Read:
    """How far a history has been read."""

    #: AWS's, of the next page; None: at the beginning, or at the end.
    token: str | None = None
    #: The id of the last event that was read; ids start at 1, and each is one more.
    last: int = 0
    #: Whether the end was reached: what comes later is read from there, backwards.
    has_ended: bool = False
    #: The name of the state that each event is of, by its id.
    states: Mapping[int, str] = field(factory=dict, repr=False)


def page(
    aws: Connections, as_: Caller, execution: str, read: Read | None, limit: int, last: int | None
) -> LogPage:
    """The next lines of a history, oldest first; none where it is not there (any more).

    Args:
        aws: by which it is read.
        as_: as whom, and where.
        execution: its ARN.
        read: how far it was read; None: not yet.
        limit: lines of a page.
        last: only so many, the last ones, are wanted; None: all.

    Raises:
        AwsError: it can't be read.
    """
    read = read or Read()
    try:
        if read.has_ended:
            return _page(read, _later(aws, as_, execution, read.last), None)
        if read == Read() and last is not None and last <= min(limit, MAX_EVENTS):
            events, _ = _events(aws, as_, execution, None, last, backwards=True)
            return _page(read, reversed(events), None)
        events, following = _events(aws, as_, execution, read.token, min(limit, MAX_EVENTS))
    except AwsError as error:
        if error.code == "ExecutionDoesNotExist":
            return LogPage(token=read)
        raise
    return _page(read, events, following)


def _later(aws: Connections, as_: Caller, execution: str, last: int) -> list[Mapping[str, Any]]:
    """The events since that with the id `last`. AWS's tokens are of what there was when they were given."""
    found: list[Mapping[str, Any]] = []
    token: str | None = None
    while True:
        events, token = _events(aws, as_, execution, token, MAX_EVENTS, backwards=True)
        found += [event for event in events if event["id"] > last]
        if token is None or not events or events[-1]["id"] <= last + 1:
            return found[::-1]


def _events(
    aws: Connections, as_: Caller, execution: str, token: str | None, most: int, *, backwards: bool = False
) -> tuple[list[Mapping[str, Any]], str | None]:
    """Some events, and the token of those that follow."""
    parameters: dict[str, Any] = {
        "executionArn": execution,
        "maxResults": max(1, most),
        "reverseOrder": backwards,
        # Nobody says that without it errors and causes would come.
        "includeExecutionData": True,
    }
    if token is not None:
        parameters["nextToken"] = token
    answer = aws.call("stepfunctions", "GetExecutionHistory", parameters, as_, execution)
    return answer.get("events", []), answer.get("nextToken")


def _page(read: Read, events: Iterable[Mapping[str, Any]], following: str | None) -> LogPage:
    states, lines, last = dict(read.states), [], read.last
    for event in events:
        state = _state_of(event, states)
        if state is not None:
            states[event["id"]] = state
        lines.append(line_of(event, state))
        last = max(last, event["id"])
    # One that is empty may be shown later from its beginning.
    after = Read(following, last, following is None and last > 0, states)
    return LogPage(lines, after, following is None)


def _state_of(event: Mapping[str, Any], states: Mapping[int, str]) -> str | None:
    """The state that an event is of: those in between say only which event was before them."""
    own = _details(event).get("name")
    if own is not None and event["type"].endswith(("StateEntered", "StateExited")):
        return str(own)
    return states.get(event.get("previousEventId", 0))


def _details(event: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((value for name, value in event.items() if name.endswith("EventDetails")), {})


def line_of(event: Mapping[str, Any], state: str | None) -> LogLine:
    """An event as a line."""
    kind, details = str(event["type"]), _details(event)
    what = [kind] + ([] if state is None else [state])
    if kind.startswith("MapIteration") and "index" in details:
        what.append(f"[{details['index']}]")
    resource = " ".join(str(details[name]) for name in _RESOURCES if details.get(name))
    is_bad = _BAD.fullmatch(kind) is not None
    said = [details.get("error"), told_by(details.get("cause") or "")] if is_bad else [resource]
    text = ": ".join([" ".join(what), *filter(None, said)])
    return LogLine(event["timestamp"].astimezone(UTC), text, "ERROR" if is_bad else "INFO")
