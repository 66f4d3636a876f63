"""CloudWatch Logs: events that the test puts, also late, and that are read from a place on."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from attrs import define, field, frozen

from bunsui_tests.aws.messages import Call, Refusal
from bunsui_tests.aws.protocols import JsonService


@frozen
class LogEvent:
    """A line of a log."""

    stream: str
    #: When it was written (milliseconds since 1970).
    timestamp: int
    message: str
    id: str

    def within(self, call: Call) -> bool:
        """Whether it was written between the call's ``startTime``, inclusive, and ``endTime``, exclusive."""
        start, end = call.parameters.get("startTime", 0), call.parameters.get("endTime")
        return start <= self.timestamp and (end is None or self.timestamp < end)


@define
class _Stream:
    events: list[LogEvent] = field(factory=list)
    #: With the reads that have to come first.
    late: list[tuple[int, LogEvent]] = field(factory=list)

    def read(self) -> list[LogEvent]:
        """What can be seen by this read; what is late comes nearer."""
        self.events += [event for reads, event in self.late if reads <= 0]
        self.late = [(reads - 1, event) for reads, event in self.late if reads > 0]
        return self.events


class FakeLogs(JsonService):
    """CloudWatch Logs; groups and streams are in every account and region.

    Events stand in the order in which they could first be seen.
    """

    name = "logs"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: dict[str, dict[str, _Stream]] = {}
        self._numbers = itertools.count(1)
        #: How many events a page has at most, whatever is asked for.
        self.page = 10_000
        #: After how many reads the lines of Lambda functions can be seen.
        self.delay = 0

    def put(
        self, group: str, stream: str, *messages: str, timestamp: int | None = None, after_reads: int = 0
    ) -> None:
        """Writes to a stream, which is made where it is not.

        Args:
            group: Its group, made likewise.
            stream: The stream.
            messages: The lines.
            timestamp: When they were written (milliseconds since 1970); None: now.
            after_reads: They can't be seen by so many reads of their stream; 0: at once.
        """
        at = int(time.time() * 1000) if timestamp is None else timestamp
        with self._lock:
            made = self._groups.setdefault(group, {}).setdefault(stream, _Stream())
            for message in messages:
                event = LogEvent(stream, at, message, f"{next(self._numbers):056}")
                if after_reads:
                    made.late.append((after_reads, event))
                else:
                    made.events.append(event)

    @property
    def actions(self) -> dict[str, Callable[[Call], dict[str, Any]]]:
        return {"GetLogEvents": self._get, "FilterLogEvents": self._filter}

    def _group(self, call: Call) -> dict[str, _Stream]:
        named = call.parameters.get("logGroupName") or call.parameters.get("logGroupIdentifier", "")
        name = named.rpartition(":log-group:")[2]
        if name not in self._groups:
            raise Refusal("ResourceNotFoundException", "The specified log group does not exist.")
        return self._groups[name]

    def _limit(self, call: Call) -> int:
        limit = call.parameters.get("limit", 10_000)
        if not 1 <= limit <= 10_000:
            raise Refusal("InvalidParameterException", f"limit {limit} is not between 1 and 10000")
        return int(min(limit, self.page))

    def _get(self, call: Call) -> dict[str, Any]:
        """A token names the place before an event; at the end the next one is the one that was given."""
        limit = self._limit(call)
        with self._lock:
            stream = self._group(call).get(call.parameters["logStreamName"])
            if stream is None:
                raise Refusal("ResourceNotFoundException", "The specified log stream does not exist.")
            found = [event for event in stream.read() if event.within(call)]
        token = call.parameters.get("nextToken")
        if token is None:
            start = 0 if call.parameters.get("startFromHead") else max(0, len(found) - limit)
            end = min(len(found), start + limit)
        elif forward := re.fullmatch(r"f/(\d+)", token):
            start = min(int(forward[1]), len(found))
            end = min(len(found), start + limit)
        elif backward := re.fullmatch(r"b/(\d+)", token):
            end = min(int(backward[1]), len(found))
            start = max(0, end - limit)
        else:
            raise Refusal("InvalidParameterException", "The specified nextToken is invalid.")
        return {
            "events": [
                {"timestamp": event.timestamp, "message": event.message, "ingestionTime": event.timestamp}
                for event in found[start:end]
            ],
            "nextForwardToken": f"f/{end:056}",
            "nextBackwardToken": f"b/{start:056}",
        }

    def _filter(self, call: Call) -> dict[str, Any]:
        """A page is of the events that were looked at: it may be empty though there are more."""
        limit, term = self._limit(call), _term(call.parameters.get("filterPattern", ""))
        token = call.parameters.get("nextToken", "0")
        if not token.isdecimal():
            raise Refusal("InvalidParameterException", "The specified nextToken is invalid.")
        with self._lock:
            found = [event for event in self._of_streams(call) if event.within(call)]
        found.sort(key=lambda event: event.timestamp)
        end = int(token) + limit
        answer: dict[str, Any] = {
            "events": [
                {
                    "logStreamName": event.stream,
                    "timestamp": event.timestamp,
                    "message": event.message,
                    "ingestionTime": event.timestamp,
                    "eventId": event.id,
                }
                for event in found[int(token) : end]
                if term in event.message
            ],
            "searchedLogStreams": [],
        }
        return answer | ({"nextToken": str(end)} if end < len(found) else {})

    def _of_streams(self, call: Call) -> Iterator[LogEvent]:
        names, prefix = call.parameters.get("logStreamNames"), call.parameters.get("logStreamNamePrefix", "")
        group = self._group(call)
        if names is not None and not group.keys() & set(names):
            raise Refusal("ResourceNotFoundException", "The specified log stream does not exist.")
        for name, stream in group.items():
            if name.startswith(prefix) and (names is None or name in names):
                yield from stream.read()


def _term(pattern: str) -> str:
    """What has to stand in the message: one word, or what is quoted."""
    found = re.fullmatch(r'\s*(?:"((?:[^"\\]|\\.)*)"|(\w*))\s*', pattern)
    if found is None:
        raise Refusal("InvalidParameterException", f"the filter pattern {pattern} is none that is known here")
    return re.sub(r"\\(.)", r"\1", found[1]) if found[1] is not None else found[2]
