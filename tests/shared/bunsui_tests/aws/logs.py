"""CloudWatch Logs: events that the test puts, also late, and that are read from a place on."""

from __future__ import annotations

import bisect
import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from attrs import define, field, frozen

from bunsui_tests.aws.messages import Call, Refusal
from bunsui_tests.aws.protocols import JsonService

_DAYS = {
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
}


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
        #: The days that groups keep their events, as far as that was said.
        self.retention: dict[str, int] = {}
        #: A batch with a message in which this stands is refused.
        self.poison = ""
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
        return {
            "GetLogEvents": self._get,
            "FilterLogEvents": self._filter,
            "CreateLogGroup": self._create_group,
            "CreateLogStream": self._create_stream,
            "DeleteLogStream": self._delete_stream,
            "DescribeLogStreams": self._describe,
            "PutLogEvents": self._put,
            "PutRetentionPolicy": self._retain,
        }

    def lines(self, group: str, stream: str) -> list[str]:
        """What a stream holds, in the order in which it is read."""
        with self._lock:
            found = self._groups.get(group, {}).get(stream, _Stream())
            return [event.message for event in found.events]

    def _create_group(self, call: Call) -> dict[str, Any]:
        name = call.parameters["logGroupName"]
        with self._lock:
            if not re.fullmatch(r"[\w./#-]{1,512}", name, re.ASCII) or name.startswith("aws/"):
                raise Refusal("InvalidParameterException", f"{name} can't be a log group")
            if name in self._groups:
                raise Refusal("ResourceAlreadyExistsException", "The specified log group already exists", 400)
            self._groups[name] = {}
        return {}

    def _create_stream(self, call: Call) -> dict[str, Any]:
        name = call.parameters["logStreamName"]
        with self._lock:
            group = self._group(call)
            if not re.fullmatch(r"[^:*]{1,512}", name):
                raise Refusal("InvalidParameterException", f"{name} can't be a log stream")
            if name in group:
                raise Refusal("ResourceAlreadyExistsException", "The specified log stream already exists")
            group[name] = _Stream()
        return {}

    def _delete_stream(self, call: Call) -> dict[str, Any]:
        with self._lock:
            if self._group(call).pop(call.parameters["logStreamName"], None) is None:
                raise Refusal("ResourceNotFoundException", "The specified log stream does not exist.")
        return {}

    def _retain(self, call: Call) -> dict[str, Any]:
        days = call.parameters["retentionInDays"]
        with self._lock:
            self._group(call)
            if days not in _DAYS:
                raise Refusal("InvalidParameterException", f"{days} days is no retention")
            self.retention[call.parameters["logGroupName"]] = days
        return {}

    def _describe(self, call: Call) -> dict[str, Any]:
        """Pages of the streams of a group, by name; a token is the number of the next one."""
        prefix, start = call.parameters.get("logStreamNamePrefix", ""), int(
            call.parameters.get("nextToken", 0)
        )
        limit = call.parameters.get("limit", 50)
        if not 1 <= limit <= 50:
            raise Refusal("InvalidParameterException", f"limit {limit} is not between 1 and 50")
        with self._lock:
            names = sorted(name for name in self._group(call) if name.startswith(prefix))
        page = [{"logStreamName": name, "storedBytes": 0} for name in names[start : start + limit]]
        more = {"nextToken": str(start + limit)} if start + limit < len(names) else {}
        return {"logStreams": page} | more

    def _put(self, call: Call) -> dict[str, Any]:
        """All limits of "PutLogEvents" in the API reference."""
        batch, now = call.parameters["logEvents"], int(time.time() * 1000)
        times = [event["timestamp"] for event in batch]
        sizes = [len(event["message"].encode()) for event in batch]
        with self._lock:
            stream = self._group(call).get(call.parameters["logStreamName"])
            if stream is None:
                raise Refusal("ResourceNotFoundException", "The specified log stream does not exist.")
            if not 1 <= len(batch) <= 10_000 or not all(sizes) or max(sizes) > 1_000_000:
                raise Refusal("InvalidParameterException", "1 to 10,000 events, each of 1 byte to 1 MB")
            if sum(sizes) + 26 * len(batch) > 1_048_576:
                raise Refusal("InvalidParameterException", "Upload too large: bytes exceed limit of 1048576")
            if times != sorted(times):
                raise Refusal(
                    "InvalidParameterException", "Log events in a batch must be in chronological order"
                )
            old, new = now - 14 * 86_400_000, now + 2 * 3_600_000
            valid = [event for event in batch if old <= event["timestamp"] <= new]
            if valid and valid[-1]["timestamp"] - valid[0]["timestamp"] >= 86_400_000:
                raise Refusal("InvalidParameterException", "The batch spans more than 24 hours")
            if any(self.poison in event["message"] for event in valid if self.poison):
                raise Refusal("InvalidParameterException", "it is a record that nobody takes")
            for event in valid:
                self._insert(stream, call.parameters["logStreamName"], event)
        too_old, too_new = sum(at < old for at in times), sum(at > new for at in times)
        told = {"tooOldLogEventEndIndex": too_old} if too_old else {}
        told |= {"tooNewLogEventStartIndex": len(batch) - too_new} if too_new else {}
        return {"rejectedLogEventsInfo": told} if told else {}

    def _insert(self, stream: _Stream, name: str, event: dict[str, Any]) -> None:
        """Events are read by their times, those of one time in the order in which they came."""
        made = LogEvent(name, event["timestamp"], event["message"], f"{next(self._numbers):056}")
        bisect.insort(stream.events, made, key=lambda each: each.timestamp)

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
