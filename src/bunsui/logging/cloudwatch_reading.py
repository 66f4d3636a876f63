"""The logs of a session in a group of CloudWatch Logs, as they are read.

Who follows a session asks for each of its streams every few seconds, and once more when its grace time is
over::

    session      started -------------- rests
    a stream     .....|..|||.|......|....|..|       lines come late
    asked           ^       ^       ^       ^  ...  ^
                                                    the first look at GRACE or more behind the end is the last
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bunsui.errors import AwsError
from bunsui.logging.cloudwatch_calls import INVALID, MAX_PAGE, Calls, is_missing
from bunsui.logging.cloudwatch_jobs import stream_name
from bunsui.logging.sources import JobSource, SessionSource

if TYPE_CHECKING:
    from bunsui.ports.clock import Clock

#: How long after the end of a session lines may still come.
GRACE = timedelta(seconds=10)
#: Seconds between two looks at a stream that is followed; and how many calls are made in a second, so that
#: many streams are looked at more seldom. AWS takes 25 in a second of GetLogEvents ("CloudWatch Logs
#: quotas").
LOOK, LOOKS_A_SECOND = 2.0, 10.0
#: Seconds for which one that is followed may fail.
PATIENCE = 60.0
#: How far the clocks of those who log and those who read may be apart.
SKEW = timedelta(minutes=5)
#: Lines that are held in memory, over all streams, as long as each has some; and the fewest of one page.
LINES, FEWEST = 20_000, 100
#: Numbers of one writer that are held in memory; of what is older it is taken for granted that it was read.
_WINDOW = 100_000
_NAMED = re.compile(rb',"event":"([0-9a-z.]{1,40})-(\d{1,15})"\}\Z')


class Twice:
    """Tells events that were sent twice from others, by their names; see `cloudwatch_jobs`."""

    def __init__(self) -> None:
        #: By writer: all numbers below have been read; and which others.
        self._read: dict[bytes, tuple[int, set[int]]] = {}

    def line(self, text: bytes) -> bytes | None:
        """The line that an event is, as its job's log has it; None where it was read already."""
        found = _NAMED.search(text)
        if found is None:  # Somebody else's.
            return text
        mark, number = found[1], int(found[2])
        below, others = self._read.get(mark) or (number, set())
        if number < below or number in others:
            return None
        others.add(number)
        while below in others:
            others.discard(below)
            below += 1
        if len(others) > _WINDOW:  # What is between them was never taken.
            below, others = max(others) + 1, set()
        self._read[mark] = below, others
        return text[: found.start()] + b"}"


class JobStream(JobSource):
    """The log of one job.

    Args:
        session: whose it is.
        job: the job's id.
    """

    def __init__(self, session: GroupLogs, job: str) -> None:
        super().__init__(job)
        self._session = session
        self._name = stream_name(session.session, job)
        self._token: str | None = None
        self._start = session.start
        #: The last lines, where it was begun with those.
        self._first: list[bytes] | None = None
        self._twice = Twice()
        #: Up to where this look reads (milliseconds since 1970), and when the next one is (monotonic).
        self._until = 0
        self._due_at = 0.0
        self._is_at_end = self._is_last = False
        self._failing_since: float | None = None
        #: The time of the last event that was read.
        self._last = 0

    def look(self, last: int) -> None:
        """See `JobSource.look`."""
        del last
        now = self._session.clock.monotonic()
        is_last, self._is_last = self._session.is_last and not self._is_last, self._session.is_last
        self._is_at_end = now < self._due_at and not is_last
        if not self._is_at_end:
            self._until = milliseconds(self._session.clock.now() + SKEW)

    def block(self, size: int) -> bytes:
        """See `JobSource.block`; a page is 1 MiB at most."""
        del size
        if self._first:
            lines, self._first = self._first, None
            return b"\n".join(lines) + b"\n"
        while not self._is_at_end:
            events = self._page()
            lines = self._lines(events)
            if lines:
                return b"\n".join(lines) + b"\n"
        return b""

    def _lines(self, events: Iterable[Mapping[str, Any]]) -> list[bytes]:
        found = (self._twice.line(str(event.get("message", "")).encode()) for event in events)
        return [line.rstrip(b"\r\n") for line in found if line is not None]

    def rest(self) -> bytes:
        """See `JobSource.rest`: an event is whole."""
        return b""

    def go_to_last(self, lines: int) -> None:
        """See `JobSource.go_to_last`: a page or more, from the end on."""
        found: list[Mapping[str, Any]] = []
        token: str | None = None
        while len(found) < max(lines, 1):
            answer = self._ask(token, max(lines, 1) - len(found), forward=False)
            if answer is None:
                return
            if token is None:
                self._token = answer.get("nextForwardToken")
            found = [*answer.get("events", []), *found]
            token, before = answer.get("nextBackwardToken"), token
            if token is None or token == before:
                break
        if found:
            self._last = int(found[-1]["timestamp"])
        self._first = self._lines(found)[-lines:] if lines else None

    def _page(self) -> list[Mapping[str, Any]]:
        """The next events; `_is_at_end` is set where there are none now."""
        token = self._token
        answer = self._ask(token, self._session.limit, forward=True)
        if answer is None:
            return []
        events: list[Mapping[str, Any]] = answer.get("events", [])
        self._token = answer.get("nextForwardToken", token)
        if events:
            self._last = int(events[-1]["timestamp"])
        if self._token == token or self._last > self._until:
            self._end()
        return events

    def _end(self) -> None:
        """Nothing further is read by this look."""
        self._is_at_end = True
        self._due_at = self._session.clock.monotonic() + self._session.pause

    def _ask(self, token: str | None, limit: int, *, forward: bool) -> dict[str, Any] | None:
        """An answer; None where there is none now.

        Raises:
            AwsError: the stream can't be read.
        """
        try:
            answer = self._session.calls.read(self._name, token, self._start, limit, forward=forward)
        except AwsError as error:
            if is_missing(error):
                self._end()
                return None
            if error.code == INVALID and token is not None and forward and self._last:
                # A token is good for a day: from there on it is read by times, and what was read is known by
                # its name.
                self._token, self._start = None, self._last
                return {"nextForwardToken": None}
            now = self._session.clock.monotonic()
            self._failing_since = now if self._failing_since is None else self._failing_since
            passes = error.kind in ("busy", "open") and now - self._failing_since < PATIENCE
            if not (passes and self._session.is_followed):
                raise
            self._end()
            return None
        self._failing_since = None
        return answer


class GroupLogs(SessionSource):
    """The logs of a session in a group of CloudWatch Logs.

    Args:
        calls: about the group; their connections are closed by `close`.
        session: the session's id.
        clock: this machine's.
        ended: when the session came to rest; None: that is not known.
        since: nothing before is wanted; None: all is.
        is_followed: whether it is looked at again and again.
        flush: sends what this process has yet to send.
    """

    def __init__(
        self,
        calls: Calls,
        session: str,
        clock: Clock,
        ended: Callable[[], datetime | None],
        since: datetime | None = None,
        *,
        is_followed: bool = False,
        flush: Callable[[], object] = lambda: None,
    ) -> None:
        self.calls = calls
        self.session = session
        self.clock = clock
        self.is_followed = is_followed
        #: Milliseconds since 1970.
        self.start = None if since is None else max(milliseconds(since - SKEW), 0)
        #: Whether nothing will be asked after this look.
        self.is_last = self._was_last = False
        self._ended = ended
        self._ended_at: datetime | None = None
        self._flush: Callable[[], object] | None = flush
        self._jobs: dict[str, int] = {}
        self._due_at = 0.0

    @property
    def limit(self) -> int:
        """Lines of a page."""
        return min(max(LINES // max(len(self._jobs), 1), FEWEST), MAX_PAGE)

    @property
    def pause(self) -> float:
        """Seconds between two looks at a stream."""
        return max(LOOK, len(self._jobs) / LOOKS_A_SECOND)

    def jobs(self) -> dict[str, int]:
        """See `SessionSource.jobs`; they are asked for as often as a stream is."""
        if self._flush is not None:
            flush, self._flush = self._flush, None
            flush()
        now = self.clock.monotonic()
        if now >= self._due_at or (self.is_last and not self._was_last):
            self._was_last = self.is_last
            prefix = stream_name(self.session, "")
            names = [str(each["logStreamName"]) for each in self.calls.streams(prefix)]
            self._jobs = {name.removeprefix(prefix): 0 for name in names}
            self._due_at = self.clock.monotonic() + self.pause
        return self._jobs

    def source(self, job: str) -> JobStream:
        """See `SessionSource.source`."""
        return JobStream(self, job)

    def gone(
        self,
        read: Mapping[str, JobSource],
        is_wanted: Callable[[str], bool],
        expected: Callable[[], Iterable[str]],
    ) -> list[tuple[str, str]]:
        """See `SessionSource.gone`: none. AWS deletes what is old, and nothing else notes who has logged."""
        del read, is_wanted, expected
        return []

    def may_grow(self) -> bool:
        """See `SessionSource.may_grow`: until a look that is `GRACE` behind the session's end."""
        if self.is_last:
            return False
        if self._ended_at is None:
            self._ended_at = self._ended() or self.clock.now()
        self.is_last = self.clock.now() >= self._ended_at + GRACE
        return True

    def close(self) -> None:
        """Closes its connections."""
        self.calls.connections.close()


def milliseconds(at: datetime) -> int:
    """A time as AWS takes it, rounded down."""
    return int(at.timestamp() * 1000)
