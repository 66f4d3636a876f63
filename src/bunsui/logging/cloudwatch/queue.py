"""What has yet to be sent to CloudWatch Logs: a queue over many streams, bounded, without threads or a clock.

Where it is full, what comes is not taken: so what is missing is missing in one place, and there the log says
how many records are. ``drop`` counts them at once; with ``block`` who logs waits for room first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from bunsui.logging.cloudwatch.events import MAX_BATCH, MAX_EVENTS, Event, first_batch

#: Events and bytes that wait at most, over all streams.
MOST_EVENTS, MOST_BYTES = 100_000, 32 * 1024 * 1024
#: Room beyond these, for what says how many records are missing: else a full queue could never say so.
_SPARE = 1000
#: Seconds for which an event waits for others, so that not each line is a call.
LINGER = 1.0
#: Milliseconds that the times of a stream's events may be ahead before they fall all the same: the clock was
#: wrong.
_AHEAD = 3600 * 1000

#: Why records are missing, as far as nothing else is known.
FULL = "the queue to CloudWatch Logs was full"


class Stream:
    """The events of one stream that have yet to be sent, in the order in which they came.

    Args:
        name: of the stream.
        notice: makes the text of an event that says how many records are missing, and why.
    """

    def __init__(self, name: str, notice: Callable[[int, str], bytes]) -> None:
        self.name = name
        self.notice = notice
        self.events: deque[Event] = deque()
        #: What they count.
        self.size = 0
        #: Records that are missing, and stand in no event yet.
        self.owed = 0
        self.why = FULL
        #: Whether somebody sends events of it, or may add some.
        self.is_sending = False
        self.users = 0
        #: How many events of it are sent at once, at most.
        self.most = MAX_EVENTS
        #: How often its first batch was sent in vain.
        self.tries = 0
        #: When its first event came, and before when nothing is sent (monotonic).
        self.since = self.not_before = 0.0
        #: How many of its events were sent, or dropped.
        self.taken = 0
        self._time = 0

    def stamp(self, time: int) -> int:
        """The time of its next event: so the order in which they are read is that in which they came."""
        behind = self._time - time
        self._time = time if behind > _AHEAD else max(self._time, time)
        return self._time


class Queue:
    """The streams that have something to be sent, or to which somebody may add.

    Args:
        most_events: events that wait at most.
        most_bytes: bytes of them.
    """

    def __init__(self, most_events: int = MOST_EVENTS, most_bytes: int = MOST_BYTES) -> None:
        self._most_events, self._most_bytes = most_events, most_bytes
        self.streams: dict[str, Stream] = {}
        #: Those of them in which records are missing that no event tells of.
        self._owing: dict[str, Stream] = {}
        self.events = self.size = 0
        #: Records that are missing, in all.
        self.lost = 0

    def open(self, name: str, notice: Callable[[int, str], bytes]) -> Stream:
        """A stream, for who adds to it until `release`."""
        stream = self.streams.get(name)
        if stream is None:
            stream = self.streams[name] = Stream(name, notice)
        stream.users += 1
        return stream

    def own(self, stream: Stream) -> Stream:
        """The stream itself; in a forked child one of its name: the parent sends what is in it."""
        found = self.streams.get(stream.name)
        return stream if found is stream else self.open(stream.name, stream.notice)

    def release(self, stream: Stream) -> None:
        """Ends what `open` began."""
        stream = self.streams.get(stream.name, stream)
        stream.users -= 1
        self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        if not (stream.users or stream.events or stream.owed or stream.is_sending):
            self.streams.pop(stream.name, None)

    def is_too_large(self, size: int) -> bool:
        """Whether an event that counts so many bytes never fits."""
        return size > self._most_bytes

    def has_room(self, size: int) -> bool:
        """Whether an event that counts so many bytes fits."""
        return self.events < self._most_events and self.size + size <= self._most_bytes

    def add(self, stream: Stream, time: int, text: bytes, now: float) -> bool:
        """Adds an event, if it fits.

        Args:
            stream: it is open.
            time: milliseconds since 1970.
            text: of the event.
            now: monotonic.
        """
        if not self.has_room(len(text)):
            return False
        self.settle(stream, time, now)
        self._add(stream, Event(stream.stamp(time), text), now)
        return True

    def _add(self, stream: Stream, event: Event, now: float) -> None:
        if not stream.events:
            stream.since = now
        stream.events.append(event)
        stream.size += event.size
        self.events += 1
        self.size += event.size

    def lose(self, stream: Stream, records: int, why: str) -> None:
        """Counts records that are missing in a stream; `settle` has them said there."""
        self.lost += records
        stream.why = why
        self._owe(stream, records)

    def _owe(self, stream: Stream, records: int) -> None:
        stream.owed += records
        if stream.owed:
            self._owing[stream.name] = stream

    def settle_all(self, time: int, now: float) -> None:
        """As `settle`, of all streams."""
        for stream in list(self._owing.values()):
            self.settle(stream, time, now)

    def settle(self, stream: Stream, time: int, now: float) -> None:
        """Adds an event that says what is missing, where something is, and there is room."""
        if stream.owed and self.events < self._most_events + _SPARE:
            text = stream.notice(stream.owed, stream.why)
            self._add(stream, Event(stream.stamp(time), text, stream.owed), now)
            stream.owed = 0
            self._owing.pop(stream.name, None)

    # Sending

    def due(self, now: float, *, at_once: bool) -> Stream | None:
        """A stream of which a batch is to be sent now; it is as `sent` or `failed` leave it until then.

        Args:
            now: monotonic.
            at_once: whether no event waits for others.
        """
        for stream in self.streams.values():
            if not stream.is_sending and stream.events and self._at(stream, at_once=at_once) <= now:
                stream.is_sending = True
                return stream
        return None

    def next_at(self, *, at_once: bool) -> float | None:
        """When something is to be sent (monotonic); None: nothing waits."""
        waiting = [each for each in self.streams.values() if each.events and not each.is_sending]
        return min((self._at(each, at_once=at_once) for each in waiting), default=None)

    def idle_until(self, until: float) -> bool:
        """Whether something waits, and nothing of it is sent before a time (monotonic)."""
        waiting = [each for each in self.streams.values() if each.events]
        return bool(waiting) and not any(each.is_sending or each.not_before <= until for each in waiting)

    @staticmethod
    def _at(stream: Stream, *, at_once: bool) -> float:
        is_full = stream.size >= MAX_BATCH or len(stream.events) >= MAX_EVENTS
        return max(stream.not_before, stream.since + (0.0 if at_once or is_full else LINGER))

    def batch(self, stream: Stream) -> list[Event]:
        """What is to be sent of a stream; it stays there until `sent` or `drop`."""
        return first_batch(stream.events, stream.most)

    def sent(self, stream: Stream, count: int, now: float) -> None:
        """So many events of a stream have been sent."""
        self._take(stream, count)
        stream.tries, stream.not_before, stream.since = 0, 0.0, now
        stream.most = MAX_EVENTS
        stream.is_sending = False
        # The next batch waits for others anew; what is first goes last, so that each stream has its turn.
        if stream.name in self.streams:
            self.streams[stream.name] = self.streams.pop(stream.name)
        self._forget(stream)

    def failed(self, stream: Stream, not_before: float) -> None:
        """Nothing of a stream was sent; it is not tried again before that (monotonic)."""
        stream.not_before = not_before
        stream.is_sending = False

    def drop(self, stream: Stream, count: int, why: str) -> None:
        """Drops events of a stream that can't be sent: the records among them are counted."""
        taken = self._take(stream, count)
        self.lose(stream, sum(not event.missing for event in taken), why)
        self._owe(stream, sum(event.missing for event in taken))  # They were counted before.

    def _take(self, stream: Stream, count: int) -> list[Event]:
        taken = [stream.events.popleft() for _ in range(min(count, len(stream.events)))]
        size = sum(event.size for event in taken)
        stream.taken += len(taken)
        stream.size -= size
        self.size -= size
        self.events -= len(taken)
        return taken

    def hurry(self) -> None:
        """Has all streams tried once more, whatever has failed before."""
        for stream in self.streams.values():
            stream.not_before, stream.tries = 0.0, 0

    def abandon(self) -> bool:
        """Drops everything, and counts it; nobody will say so in the log.

        Returns:
            Whether some of it was on its way, and may have come to be there.
        """
        was_sending = False
        for stream in list(self.streams.values()):
            was_sending |= stream.is_sending and bool(stream.events)
            self.drop(stream, len(stream.events), FULL)
            stream.owed = 0
        self._owing.clear()
        return was_sending


def whole_lines(data: bytes) -> Iterable[bytes]:
    """Lines without their line breaks."""
    return data.removesuffix(b"\n").split(b"\n")
