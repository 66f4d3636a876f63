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
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bunsui.errors import AwsError
from bunsui.logging.cloudwatch.calls import INVALID, MAX_PAGE, Calls, is_missing
from bunsui.logging.cloudwatch.jobs import stream_name
from bunsui.logging.sources import JobSource, SessionSource

if TYPE_CHECKING:
    from pathlib import Path

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
#: Ranges of numbers of one writer that are held in memory; of more, the lowest are taken for one.
_RANGES = 10_000
#: How the name of a file ends with which a log goes on.
_GOES_ON = re.compile(r"\.\d{4,}\Z")
_NAMED = re.compile(rb',"event":"([0-9a-z.]{1,40})-(\d{1,15})"\}\Z')


class Twice:
    """Tells events that were sent twice from others, by their names; see `bunsui.logging.cloudwatch.jobs`."""

    def __init__(self) -> None:
        #: By writer: the numbers that were read, as the first of each range and what comes behind its last.
        #: Mostly there is one: but where a clock fell, what was sent later is read first.
        self._read: dict[bytes, list[int]] = {}

    def line(self, text: bytes) -> bytes | None:
        """The line that an event is, as its job's log has it; None where it was read already."""
        found = _NAMED.search(text)
        if found is None:  # Somebody else's.
            return text
        number, read = int(found[2]), self._read.setdefault(found[1], [])
        at = bisect_right(read, number)
        if at % 2:  # Behind the beginning of a range, and not behind its end.
            return None
        # It goes on with the range before, or begins that behind, or joins both; else it is one of its own.
        joins_before, joins_behind = (
            at > 0 and read[at - 1] == number,
            at < len(read) and read[at] == number + 1,
        )
        new = ([] if joins_before else [number]) + ([] if joins_behind else [number + 1])
        read[at - joins_before : at + joins_behind] = new
        if len(read) > 2 * _RANGES:
            del read[1:3]
        return text[: found.start()] + b"}"

    def is_named(self, text: bytes) -> bool:
        """Whether an event has a name by which it is known again."""
        return _NAMED.search(text) is not None


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
        #: The time of the last event that was read; and before what time nothing is wanted, where it was
        #: begun with the last lines.
        self._last = self._floor = 0
        #: Up to where it is read again: events without a name were read.
        self._read_to = 0

    def look(self, last: int) -> None:
        """See `JobSource.look`."""
        del last
        now = self._session.clock.monotonic()
        is_last, self._is_last = self._session.is_last and not self._is_last, self._session.is_last
        self._is_at_end = now < self._due_at and not is_last
        if not self._is_at_end:
            self._until = milliseconds(self._session.clock.now() + SKEW)
        if is_last and self._last and self._session.is_followed:
            self._go_back()

    def _go_back(self) -> None:
        """Reads again what another machine whose clock is behind may have put before the last event."""
        self._read_to, self._token = self._last, None
        self._start = max(self._last - int(SKEW.total_seconds() * 1000), self._start or 0, self._floor)

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
        lines = []
        for event in events:
            text = str(event.get("message", "")).encode()
            was_read = int(event.get("timestamp", 0)) <= self._read_to and not self._twice.is_named(text)
            line = None if was_read else self._twice.line(text)
            if line is not None:
                lines.append(line.rstrip(b"\r\n"))
        return lines

    def rest(self) -> bytes:
        """See `JobSource.rest`: an event is whole."""
        return b""

    def go_to_last(self, lines: int) -> None:
        """See `JobSource.go_to_last`: a page or more, from the end on."""
        found: list[Mapping[str, Any]] = []
        token: str | None = None
        got: list[bytes] = []
        while len(got) < max(lines, 1):
            answer = self._ask(token, max(lines, 1) - len(got), forward=False)
            if answer is None:
                return
            if token is None:
                self._token = answer.get("nextForwardToken")
            found = [*answer.get("events", []), *found]
            token, before = answer.get("nextBackwardToken"), token
            if token is None or token == before:
                break
            # Events that were sent twice are one line: so many lines may be more events.
            self._twice = Twice()
            got = self._lines(found)
        self._twice = Twice()
        got = self._lines(found)
        if found:
            self._last, self._floor = int(found[-1]["timestamp"]), int(found[0]["timestamp"]) + 1
        self._first = got[-lines:] if lines else None

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
        # Who follows comes back for what is written meanwhile; else the end is where AWS says that it is: the
        # clock of who has written may be ahead of this one.
        is_new = self._session.is_followed and not self._is_last and self._last > self._until
        if self._token == token or is_new:
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
        beside: the folder where they would be if they were kept beside the store; None: there is none.
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
        beside: Path | None = None,
    ) -> None:
        self.calls = calls
        self.session = session
        self.clock = clock
        self.is_followed = is_followed
        #: Milliseconds since 1970.
        self.start = None if since is None else max(milliseconds(since - SKEW), 0)
        #: Whether nothing will be asked after this look.
        self.is_last = self._was_last = False
        self._beside = beside
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
        """See `SessionSource.gone`: those whose files are beside the store, where the group has nothing.

        Of others nobody can tell: AWS deletes what is old, and nothing else notes who has logged.
        """
        del expected
        if read or self._jobs or self._beside is None or not self._beside.is_dir():
            return []
        group = self.calls.group.name
        found = sorted((_GOES_ON.sub("", path.stem), path) for path in self._beside.glob("*.jsonl"))
        return [(job, f"it is not in group {group}, but in {path}") for job, path in found if is_wanted(job)]

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
