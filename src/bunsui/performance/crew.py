"""Batches on their way in threads, where several are at once, or where one waits for a time."""

from __future__ import annotations

import contextvars
import math
import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from bunsui.concurrency import threads
from bunsui.concurrency.notice import Notice

T = TypeVar("T")

#: Seconds between two looks at the clock of one who waits for a batch to have waited long enough; it may be a
#: clock that does not go as this machine's does.
LOOK = 0.5


class Batch(Generic[T]):
    """Items that are sent as one.

    Args:
        max_items: most of them.
        max_bytes: most of their bytes together.
    """

    def __init__(self, max_items: int, max_bytes: float) -> None:
        self.items: list[T] = []
        #: Of each item, among the results.
        self.places: list[int] = []
        self._max_items = max_items
        self._bytes_left = max_bytes
        #: When the first item came, by the monotonic clock.
        self.since = 0.0

    @property
    def is_full(self) -> bool:
        """Whether no item fits any more, unless it has no bytes."""
        return len(self.items) >= self._max_items or self._bytes_left <= 0

    def fits(self, size: int) -> bool:
        """Whether there is room for one more item of so many bytes."""
        return len(self.items) < self._max_items and size <= self._bytes_left

    def add(self, place: int, item: T, size: int) -> None:
        """Takes one more item."""
        self.items.append(item)
        self.places.append(place)
        self._bytes_left -= size


class Crew(Generic[T]):
    """The threads of one call: who calls reads items into a batch, which one of them takes when it is due.

    With one thread and a delay::

        who calls   reads a, b: full | reads c, d: full, waits | reads e, waits for the next one
        the thread                   | takes a, b, sends them  | takes c, d ... | takes e, max_delay after it

    Args:
        concurrency: most threads.
        max_delay: seconds after which a batch is due though it is not full; 0: never.
        monotonic: tells the time.
        make: makes an empty batch.
        answer: sends a batch and notes what became of it; raises KeyboardInterrupt and the like alone.
    """

    def __init__(
        self,
        concurrency: int,
        max_delay: float,
        monotonic: Callable[[], float],
        make: Callable[[], Batch[T]],
        answer: Callable[[Batch[T]], None],
    ) -> None:
        self._concurrency = concurrency
        self._max_delay = max_delay
        self._monotonic = monotonic
        self._make = make
        self._answer = answer
        self._lock = threading.Lock()
        #: Set, and replaced, when those who wait have something to look at; of a Condition an interrupt would
        #: leave the lock held.
        self._changed = Notice()
        self._gathering = make()
        #: Whether what is gathered goes out as soon as a thread is free.
        self._due = False
        #: Whether there are no more items; whether nothing more is sent.
        self._ended = self._stopped = False
        self._threads: list[threading.Thread] = []
        #: Threads that look for a batch, or are about to.
        self._free = 0
        self._on_their_way = 0
        #: What one of the threads met that is for who calls: KeyboardInterrupt or SystemExit.
        self._error: BaseException | None = None

    def work(self, weighed: Iterable[tuple[int, T, int]]) -> None:
        """Sends all; returns when the last one has been answered. Once only.

        Args:
            weighed: place, item and bytes of each.

        Raises:
            BaseException: what the iterable raised, or one of the threads met.
        """
        try:
            for place, item, size in weighed:
                self._put(place, item, size)
            with self._lock:
                self._ended = True
                self._go_out()
            self._wait_for(self._is_done)
        except Exception:  # The iterable's, mostly; it goes on.
            # Who calls may try again: by then nothing of this call is on its way.
            self._stop()
            self._wait_for(lambda: self._on_their_way == 0)
            raise
        except BaseException:  # Only to stop: it goes on.
            self._stop()
            raise
        for thread in self._threads:
            thread.join()

    def _put(self, place: int, item: T, size: int) -> None:
        with self._lock:
            if self._error is not None:
                raise self._error
            fits = self._gathering.fits(size)
            if not fits:
                self._go_out()
        if not fits:
            self._wait_for(lambda: self._gathering.fits(size))
        with self._lock:
            batch = self._gathering
            if not batch.items and self._max_delay > 0:
                batch.since = self._monotonic()
                self._staff()
            batch.add(place, item, size)
            if batch.is_full:
                self._go_out()
            elif len(batch.items) == 1 and self._max_delay > 0:
                self._tell()  # From now on somebody has to wait for its time.
        if batch.is_full:  # The next item is read when this batch is on its way.
            self._wait_for(lambda: self._gathering is not batch)

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        """Waits until something is true.

        Raises:
            BaseException: one of the threads met it.
        """
        while True:
            with self._lock:
                if self._error is not None:
                    raise self._error
                if condition():
                    return
                changed = self._changed
            changed.wait(LOOK)

    def _stop(self, error: BaseException | None = None) -> None:
        """Sends nothing more."""
        with self._lock:
            self._stopped = True
            if self._error is None:
                self._error = error
            self._tell()

    # What the threads do

    def _work(self) -> None:
        while (batch := self._take()) is not None:
            try:
                self._answer(batch)
            except BaseException as error:  # For who calls, who is the one to be interrupted.
                self._stop(error)
            with self._lock:
                self._on_their_way -= 1
                self._free += 1
                self._tell()

    def _take(self) -> Batch[T] | None:
        """The next batch, once it is due; None where there is none to come."""
        while True:
            with self._lock:
                if self._stopped or (self._ended and not self._gathering.items):
                    return None
                wait = self._due_in()
                if wait <= 0:
                    batch, self._gathering, self._due = self._gathering, self._make(), False
                    self._free -= 1
                    self._on_their_way += 1
                    self._tell()
                    return batch
                changed = self._changed
            changed.wait(min(wait, LOOK))

    # What is called by who holds the lock

    def _due_in(self) -> float:
        """Seconds until what is gathered goes out."""
        if self._due:
            return 0.0
        if not self._gathering.items or self._max_delay == 0:
            return math.inf
        return self._gathering.since + self._max_delay - self._monotonic()

    def _go_out(self) -> None:
        """Has what is gathered taken as soon as a thread is free."""
        if self._gathering.items:
            self._due = True
            self._staff()
        self._tell()

    def _staff(self) -> None:
        """Starts a thread where none is free, and one more is allowed."""
        if self._free or len(self._threads) >= self._concurrency:
            return
        # In the context of who calls, such as the job that runs, or its trace. Daemons: a processor that
        # hangs must not keep the interpreter from ending after Ctrl-C.
        run = contextvars.copy_context().run
        thread = threading.Thread(target=run, args=(self._work,), name="bunsui-batch", daemon=True)
        self._free += 1
        try:
            threads.start(thread)
        except RuntimeError:  # The system gives no more of them; those that there are go on.
            self._free -= 1
            if not self._threads:
                raise
            return
        self._threads.append(thread)

    def _is_done(self) -> bool:
        return not self._gathering.items and self._on_their_way == 0

    def _tell(self) -> None:
        changed, self._changed = self._changed, Notice()
        changed.set()
