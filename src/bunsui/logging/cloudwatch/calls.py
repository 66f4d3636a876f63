"""Calls of CloudWatch Logs about one group."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from bunsui.aws.asking import ask
from bunsui.aws.connections import Caller, Connections
from bunsui.errors import AwsError
from bunsui.logging.cloudwatch.pace import Pace

if TYPE_CHECKING:
    from bunsui.aws.log_group import LogGroup
    from bunsui.logging.cloudwatch.events import Event

#: Streams that are known to be there; to make one again costs a call.
_KNOWN = 10_000
#: Seconds until a call without an answer is given up.
PATIENCE = 10.0
#: Events, and streams, of a page, at most.
MAX_PAGE, _STREAMS = 10_000, 50
_MISSING = "ResourceNotFoundException"
_THERE = "ResourceAlreadyExistsException"
#: What a batch is refused with that no other try will have taken.
INVALID = "InvalidParameterException"
_CALLER = Caller()
#: Seconds before a retention that was refused is set again.
_AGAIN = 30.0

_log = logging.getLogger(__name__)


@frozen
class Rejected:
    """How many events of a batch AWS has not taken."""

    #: Older than 14 days, or than the group keeps them.
    too_old: int = 0
    #: More than 2 hours in the future.
    too_new: int = 0


def is_missing(error: AwsError) -> bool:
    """Whether a group or a stream is not there."""
    return error.code == _MISSING


def _not_yet(error: AwsError) -> AwsError:
    """The error of a call about what was just made: AWS may see that a moment later."""
    if is_missing(error):
        error.kind = "busy"
    return error


class Calls:
    """Calls about one group. Any number of threads may use it at once.

    Args:
        group: which.
        connections: by which it is called.
    """

    def __init__(self, group: LogGroup, connections: Connections) -> None:
        self.group = group
        self.connections = connections
        #: The streams that are there, as a dict for its order.
        self._made: dict[str, None] = {}
        self._pace = Pace()
        #: AWS refuses those who make one group at the same time, all but one.
        self._making_group = threading.Lock()
        #: When a retention is set that could not be set with its group (monotonic).
        self._retained_at: float | None = None

    def _call(self, action: str, resource: str | None = None, **parameters: Any) -> dict[str, Any]:
        given = {"logGroupName": self.group.name, **parameters}
        return self.connections.call("logs", action, given, _CALLER, resource or self.group.name)

    def _asked(self, action: str, resource: str | None = None, **parameters: Any) -> dict[str, Any]:
        """As `_call`, of a question: it is asked again where no answer came."""
        return ask(self.connections, "logs", _CALLER, lambda: self._call(action, resource, **parameters))

    # Writing

    def put(self, stream: str, events: Sequence[Event]) -> Rejected:
        """Sends a batch; the group and the stream are made where they are not there.

        Raises:
            AwsError: nothing was taken, or that is not known.
        """
        if stream not in self._made:
            self._make(stream)
        batch = [
            {"timestamp": event.time, "message": event.text.decode("utf-8", "replace")} for event in events
        ]
        try:
            answer = self._put(stream, batch)
        except AwsError as error:
            if not is_missing(error):
                raise
            self._made.pop(stream, None)  # Somebody has removed it.
            self._make(stream)
            try:
                answer = self._put(stream, batch)
            except AwsError as again:
                raise _not_yet(again) from None
        told = answer.get("rejectedLogEventsInfo") or {}
        # The indexes of both ends of what was taken: "RejectedLogEventsInfo" in the API reference.
        too_old = max(told.get("tooOldLogEventEndIndex", 0), told.get("expiredLogEventEndIndex", 0))
        too_new = len(batch) - told.get("tooNewLogEventStartIndex", len(batch))
        return Rejected(too_old, too_new)

    def _put(self, stream: str, batch: list[dict[str, Any]]) -> dict[str, Any]:
        return self._call(
            "PutLogEvents", f"{self.group.name}:{stream}", logStreamName=stream, logEvents=batch
        )

    def _make(self, stream: str) -> None:
        try:
            self._make_stream(stream)
        except AwsError as error:
            if not is_missing(error):
                raise
            with self._making_group:
                self._make_group()
            try:
                self._make_stream(stream)
            except AwsError as again:
                raise _not_yet(again) from None
        self._made[stream] = None
        while len(self._made) > _KNOWN:
            self._made.pop(next(iter(self._made), ""), None)
        if self._retained_at is not None and time.monotonic() >= self._retained_at:
            self._retain()

    def _make_stream(self, stream: str) -> None:
        self._pace.wait()
        try:
            self._call("CreateLogStream", f"{self.group.name}:{stream}", logStreamName=stream)
        except AwsError as error:
            if error.kind == "busy":
                self._pace.slower()
            if error.code != _THERE:
                raise
        self._pace.faster()

    def _make_group(self) -> None:
        try:
            self._call("CreateLogGroup")
        except AwsError as error:
            if error.code != _THERE:
                raise
            return  # What it keeps is the affair of who has made it.
        if self.group.retention is not None:
            self._retain()

    def _retain(self) -> None:
        """Has the group keep its events for so long; where that fails they are sent all the same."""
        is_first, self._retained_at = self._retained_at is None, time.monotonic() + _AGAIN
        try:
            self._call("PutRetentionPolicy", retentionInDays=self.group.retention)
        except AwsError as error:
            if is_first:
                _log.warning(
                    "group %s keeps logs for ever, and not %s days, until its retention can be set: %s",
                    self.group.name,
                    self.group.retention,
                    error,
                )
            return
        self._retained_at = None

    # Reading

    def streams(self, prefix: str) -> Iterator[dict[str, Any]]:
        """The streams whose names begin so, by name; none where there is no such group.

        Raises:
            AwsError: they can't be listed.
        """
        more: dict[str, Any] = {}
        while True:
            given = {"logStreamNamePrefix": prefix, "limit": _STREAMS, **more}
            try:
                answer = self._asked("DescribeLogStreams", **given)
            except AwsError as error:
                if is_missing(error):
                    return
                raise
            yield from answer.get("logStreams", [])
            if not answer.get("nextToken"):
                return
            more = {"nextToken": answer["nextToken"]}

    def is_there(self) -> bool:
        """Whether the group is there.

        Raises:
            AwsError: it can't be asked.
        """
        try:
            self._asked("DescribeLogStreams", limit=1)
        except AwsError as error:
            if is_missing(error):
                return False
            raise
        return True

    def read(
        self, stream: str, token: str | None, start: int | None, limit: int, *, forward: bool
    ) -> dict[str, Any]:
        """A page of a stream; see "GetLogEvents" in the API reference.

        Raises:
            AwsError: it can't be read, or is not there.
        """
        given: dict[str, Any] = {"startFromHead": forward, "limit": max(1, min(limit, MAX_PAGE))}
        given |= {} if token is None else {"nextToken": token}
        given |= {} if start is None else {"startTime": start}
        return self._asked("GetLogEvents", f"{self.group.name}:{stream}", logStreamName=stream, **given)

    def remove(self, stream: str) -> None:
        """Removes a stream, if it is there.

        Raises:
            AwsError: it can't be removed.
        """
        self._made.pop(stream, None)
        try:
            # That it may be asked twice does no harm.
            self._asked("DeleteLogStream", f"{self.group.name}:{stream}", logStreamName=stream)
        except AwsError as error:
            if not is_missing(error):
                raise
