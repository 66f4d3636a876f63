"""Sends events to CloudWatch Logs: in batches, from threads of its own, whatever happens there meanwhile.

An event waits up to a second for others. What can't be sent is tried again until the writer is closed, with
longer and longer waits, and meanwhile waits in a queue that is bounded; see
`bunsui.logging.cloudwatch.queue`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from bunsui.concurrency.notice import Notice
from bunsui.concurrency.threads import start
from bunsui.logging.cloudwatch.calls import Calls
from bunsui.logging.cloudwatch.failures import Failures
from bunsui.logging.cloudwatch.pace import Patience
from bunsui.logging.cloudwatch.queue import FULL, MOST_BYTES, MOST_EVENTS, Queue, Stream
from bunsui.logging.cloudwatch.sending import as_sender, is_sending

if TYPE_CHECKING:
    from bunsui.logging.cloudwatch.events import Event

#: The name of the threads that send.
THREAD = "bunsui-cloudwatch"
#: Threads that send, at most: one is enough for 20 streams that are written to all the time.
SENDERS = 4
#: The same of one that is being closed: of many short jobs each has a stream of its own to be sent.
CLOSING = 8
#: Seconds for which one record waits for room, at most, with the policy ``block``. After that none waits
#: before something could be sent.
BLOCK = 60.0
#: Seconds for which `Writer.close` goes on where nothing can be sent; see `Patience`.
FLUSH = 10.0


class Writer:
    """Sends events to one group. Nothing is started before the first one; any thread may add some.

    It never raises for what CloudWatch Logs does. A forked child has a queue of its own, which begins empty.

    Args:
        calls: about the group.
        policy: what is done where the queue is full; see `bunsui.logging.cloudwatch.queue`.
        most_events: events that wait at most.
        most_bytes: bytes of them.
        block: see `BLOCK`.
        monotonic: the time by which it waits, in seconds.
        wall: the time of what it says itself: seconds since 1970.
        thread: makes its threads.
    """

    def __init__(
        self,
        calls: Calls,
        policy: str = "drop",
        *,
        most_events: int = MOST_EVENTS,
        most_bytes: int = MOST_BYTES,
        block: float = BLOCK,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        thread: Callable[..., threading.Thread] = threading.Thread,
    ) -> None:
        self._calls = calls
        self._group = calls.group.name
        self._policy = policy
        self._most = most_events, most_bytes
        self._block = block
        self._monotonic, self._wall = monotonic, wall
        self._make_thread = thread
        self._begin()

    def _begin(self) -> None:
        #: Guards all below.
        self._lock = threading.Lock()
        self._queue = Queue(*self._most)
        self._failures = Failures(self._group)
        self._threads: set[threading.Thread] = set()
        #: How many of them wait for something to do.
        self._idle = 0
        #: Set where something may be to be sent, and where there may be room, or nothing waits any more.
        self._news, self._progress = Notice(), Notice()
        self._hurries = 0
        self._closed = self._stopped = False
        #: How long it goes on, where it is to be closed.
        self._ending: Patience | None = None
        #: When something was sent last (monotonic).
        self._sent_at = float("-inf")
        #: Whether nobody waits for room: nothing can be sent for now.
        self._given_up = False
        self._pid = os.getpid()

    def _begin_if_forked(self) -> None:
        if self._pid != os.getpid():  # Its threads are the parent's, which also sends what waits there.
            self._begin()

    @property
    def lost(self) -> int:
        """Records that did not fit, or could not be sent."""
        return self._queue.lost

    # Adding

    def open(self, name: str, notice: Callable[[int, str], bytes]) -> Stream:
        """A stream to add to, until `release`.

        Args:
            name: of the stream.
            notice: makes the text of an event that says how many records are missing, and why.
        """
        self._begin_if_forked()
        with self._lock:
            return self._queue.open(name, notice)

    def release(self, stream: Stream) -> None:
        """Ends what `open` began; what was added is still sent."""
        with self._lock:
            self._queue.release(stream)

    def put(self, stream: Stream, time_: int, texts: Iterable[bytes]) -> int:
        """Adds events; how many were taken. The log says how many others are missing, and where.

        Args:
            stream: it is open.
            time_: of all of them: milliseconds since 1970.
            texts: see `Event.text`; each fits into an event.
        """
        self._begin_if_forked()
        taken = lost = 0
        until: float | None = None
        for text in texts:
            if lost:
                lost += 1
                continue
            while not self._add(stream, time_, text):
                until = self._monotonic() + self._block if until is None else until
                if not self._waits_for_room(len(text), until):
                    lost = 1
                    break
            taken += not lost
        if lost:
            with self._lock:
                self._queue.lose(self._queue.own(stream), lost, FULL)
        self._wake()
        return taken

    def _add(self, stream: Stream, time_: int, text: bytes) -> bool:
        with self._lock:
            if self._closed:
                return False
            return self._queue.add(self._queue.own(stream), time_, text, self._monotonic())

    def _waits_for_room(self, size: int, until: float) -> bool:
        """Waits until there may be room; whether there may be."""
        if self._policy != "block" or is_sending():
            return False
        with self._lock:
            if self._closed or self._given_up or self._queue.is_too_large(size):
                return False
            if self._queue.has_room(size):
                return True
            if self._ending is not None:
                until = min(until, self._ending.until(self._sent_at))
            progress = self._progress
            self._hurries += 1
        try:
            self._wake()
            left = until - self._monotonic()
            if left <= 0:
                self._given_up = True
                return False
            progress.wait(left)
        finally:
            with self._lock:
                self._hurries -= 1
        return True

    def lose(self, stream: Stream, records: int, why: str, time_: int) -> None:
        """Counts records that never came here; the log says so."""
        self._begin_if_forked()
        with self._lock:
            stream = self._queue.own(stream)
            self._queue.lose(stream, records, why)
            if not self._closed:
                self._queue.settle(stream, time_, self._monotonic())
        self._wake()

    def _wake(self) -> None:
        with self._lock:
            news = self._news
            # Where all of them are busy, one may hang: it must hold up no other stream.
            starts = (
                not self._closed
                and not self._idle
                and self._may_start()
                and self._queue.next_at(at_once=True) is not None
            )
        if starts:
            self._start()
        news.set()

    def _may_start(self) -> bool:
        return len(self._threads) < (CLOSING if self._closed else SENDERS)

    def _start(self) -> None:
        # boto3 imports it with the first call. That may be when the interpreter ends already, as of a program
        # that has logged just before: then it can't be imported any more.
        import concurrent.futures.thread  # noqa: PLC0415, F401 - see above

        with self._lock:
            if not self._may_start():
                return
            made = self._make_thread(target=self._run, name=THREAD, daemon=True)
            self._threads.add(made)
        try:
            start(made)
        except BaseException as error:  # Only to clean up, but for the first of these: it goes on.
            with self._lock:
                self._threads.discard(made)
            # No more threads; or the interpreter ends: then `close` sends what is there.
            if not isinstance(error, RuntimeError):
                raise

    # Sending

    def _run(self) -> None:
        try:
            with as_sender():
                while self._step(waits=True):
                    pass
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())
            self._tell_progress()

    def _step(self, *, waits: bool) -> bool:
        """Sends a batch, or waits until there may be one; whether there may be more to do."""
        now = self._monotonic()
        with self._lock:
            if self._stopped:
                return False
            at_once = self._hurries > 0 or self._closed
            stream = self._queue.due(now, at_once=at_once)
            batch = [] if stream is None else self._queue.batch(stream)
            next_at = self._queue.next_at(at_once=at_once)
            if stream is None and next_at is None and self._closed:
                return False
            if self._news.is_set():
                self._news = Notice()
            news = self._news
            self._idle += stream is None and waits
        if stream is not None:
            if next_at is not None and next_at <= now and waits:
                self._start()  # Another stream is due, too.
            self._send(stream, batch)
        elif waits:
            try:
                news.wait(None if next_at is None else max(next_at - now, 0.0))
            finally:
                with self._lock:
                    self._idle -= 1
        else:
            return False
        return True

    def _send(self, stream: Stream, batch: list[Event]) -> None:
        failed: Exception | None = None
        lost, why = 0, ""
        if not stream.tries:
            self._failures.earn()
        try:
            rejected = self._calls.put(stream.name, batch)
            lost = rejected.too_old + rejected.too_new
            why = "CloudWatch Logs takes nothing older than 14 days, or than its group keeps it"
            if rejected.too_new:
                why = "CloudWatch Logs takes nothing more than 2 hours in the future"
        except Exception as error:  # Whatever it is, the others have to be sent, and this thread goes on.
            failed = error
        now, at = self._monotonic(), int(self._wall() * 1000)
        with self._lock:
            if failed is None:
                self._given_up, self._sent_at = False, now
                self._failures.passed()
                if lost:
                    self._queue.lose(stream, lost, why)
                    self._failures.say("%d records were rejected by group %s: %s", lost, self._group, why)
                self._queue.sent(stream, len(batch), now)
                self._queue.settle_all(at, now)
            else:
                hurried, closing = self._hurries > 0, self._closed
                wait = self._failures.judge(
                    failed, stream, batch, self._queue, now, hurried=hurried, closing=closing
                )
                self._given_up = self._given_up or self._failures.is_refused
                self._queue.failed(stream, now + wait)
        self._tell_progress()
        self.warn()

    def warn(self) -> None:
        """Logs what there is to say about the log itself, as warnings."""
        self._failures.warn()

    def _tell_progress(self) -> None:
        with self._lock:
            progress, self._progress = self._progress, Notice()
        progress.set()

    # The end

    def flush(self, timeout: float = FLUSH) -> bool:
        """Sends what there is now; whether all of it was sent.

        Args:
            timeout: seconds for which nothing gets through; see `Patience`.
        """
        if self._pid != os.getpid():
            return True
        patience = Patience(self._monotonic(), timeout)
        with self._lock:
            self._hurries += 1
            waited = [(each, each.taken + len(each.events)) for each in self._queue.streams.values()]
        try:
            while True:
                with self._lock:
                    progress, now = self._progress, self._monotonic()
                    waited = [(each, last) for each, last in waited if each.taken < last]
                    until = patience.until(self._sent_at)
                    is_in_vain = self._queue.idle_until(until)
                if not waited:
                    return True
                self._wake()
                if is_in_vain or now >= until or not self._threads:
                    return False
                progress.wait(until - now)
        finally:
            with self._lock:
                self._hurries -= 1

    def ending(self, within: float, timeout: float = FLUSH) -> None:
        """Says that `close` follows: nobody waits for room for longer than that would go on.

        Args:
            within: seconds until then.
            timeout: see `close`.
        """
        with self._lock:
            if self._ending is None:
                self._ending = Patience(self._monotonic() + within, timeout)
        self._tell_progress()

    def close(self, timeout: float = FLUSH) -> None:
        """Sends what there is, and ends. What is lost is warned of.

        Args:
            timeout: seconds for which nothing gets through; see `Patience`.
        """
        if self._pid != os.getpid():
            return
        with self._lock:
            has_ended, self._closed = self._closed, True
            if self._ending is None or not self._given_up:  # Else it was waited for in vain already.
                self._ending = Patience(self._monotonic(), timeout)
            patience = self._ending
            self._queue.hurry()
        self._tell_progress()  # Who waits for room waits no more.
        if has_ended:
            return
        self._finish(patience)
        with self._lock:
            was_sending = self._queue.abandon()
            self._failures.end(self._queue.lost, at_most=was_sending)
            self._stopped = True
            news = self._news
        news.set()
        self.warn()

    def _finish(self, patience: Patience) -> None:
        while True:
            with self._lock:
                progress, news, now = self._progress, self._news, self._monotonic()
                is_empty, has_threads = not self._queue.events, bool(self._threads)
                until = patience.until(self._sent_at)
                is_in_vain = self._queue.idle_until(until)
            news.set()
            if now >= until or is_in_vain or (is_empty and not has_threads):
                return
            if has_threads:
                progress.wait(until - now)
            else:
                with as_sender():  # There can be none of this one's threads.
                    if not self._step(waits=False):
                        return
