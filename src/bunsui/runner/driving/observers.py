"""Shows committed events to plugins, off the driver's path: each observer in a lane of its own.

A lane is a queue and a thread, so that what an observer does holds up nobody else::

    driver:   append   show ─┬─ put ──▶ lane of a: a a a ...
                             └─ put ──▶ lane of b: b ......... its queue is full: events are lost, to b alone

The driver never waits: what it puts in wakes a lane at most once in `LINGER` seconds.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
import warnings
from typing import TYPE_CHECKING, NamedTuple

from attrs import frozen

from bunsui.engine.events import MAPPINGS, detached
from bunsui.plugins.observer import Observer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from bunsui.engine.events import Event
    from bunsui.monitoring.telemetry import Followed
    from bunsui.plugins.registry import Plugins

_log = logging.getLogger(__name__)


@frozen
class Limits:
    """What an observer may take."""

    #: Events that wait for it before further ones are lost to it.
    capacity: int = 50_000
    #: Seconds that one call may take; after that it is shown nothing more.
    budget: float = 10.0
    #: Failures in a row after which it is shown nothing more.
    failures: int = 10


LIMITS = Limits()
#: Seconds in which a lane that has shown all it had is not woken: with 20 observers a commit would else wake
#: 20 threads, each of which takes the interpreter's lock from who does the work.
LINGER = 0.01
#: Seconds that closing waits for all observers together.
CLOSING = 10.0
#: Failures of one observer that are all logged; of later ones those whose number is a power of 2.
LOGGED = 10


class Shown(NamedTuple):
    """The events of one commit, the same for all observers."""

    session_id: str
    events: Sequence[Event]
    #: Whether any of them has what an observer could change; each is then given a copy.
    can_be_changed: bool
    #: Who follows the session, in place of the observer of the lane.
    followed: Followed | None = None


class Lane:
    """One observer with what waits for it: `put` is the driver's side, the thread is its own.

    Args:
        observer: what is shown events, in the order in which they are put in.
        limits: what it may take.
        monotonic: measures its calls.
        closing: set when it is to end, so that it lingers no more.
    """

    def __init__(
        self,
        observer: Observer,
        limits: Limits,
        monotonic: Callable[[], float],
        closing: threading.Event,
    ) -> None:
        self._observer = observer
        self._limits = limits
        self._monotonic = monotonic
        self._closing = closing
        self._commits: queue.SimpleQueue[Shown | None] = queue.SimpleQueue()
        #: Events that were put in, that were not as it was full, and that were shown. Each is counted by one
        #: thread only, so that none of them needs a lock.
        self._taken_in = 0
        self._lost = 0
        self._shown = 0
        #: When (monotonic) the call began that runs now; None: none does.
        self._began: float | None = None
        self._failed = 0
        self._failed_in_a_row = 0
        #: What it has raised so far.
        self._raised: list[type[BaseException]] = []
        #: Why it is shown nothing more.
        self._dropped: str | None = None
        self._dropping = threading.Lock()
        self._thread: threading.Thread | None = None

    # The driver's side

    @property
    def is_dropped(self) -> bool:
        """Whether it is shown nothing more."""
        return self._dropped is not None

    def put(self, now: float, commit: Shown, *, is_last: bool = False) -> None:
        """Queues a commit's events, or counts them as lost; never waits and never raises.

        Args:
            now: the monotonic time.
            commit: what is to be shown.
            is_last: whether it ends a session for the observer: one for each is queued however many wait.
        """
        count = len(commit.events)
        self._look(now)
        if self._dropped is not None:
            self._lost += count
            return
        if self._taken_in - self._shown >= self._limits.capacity and not is_last:
            if not self._lost:
                _say("observer %s is too slow: %d events wait for it, and further ones are lost to it",
                     self._observer.origin, self._taken_in - self._shown)  # fmt: skip
            self._lost += count
            return
        self._taken_in += count
        self._commits.put(commit)
        if self._thread is None:
            self._begin()

    def _look(self, now: float) -> None:
        """Drops the observer where the call that runs has taken too long: nobody can end it."""
        began = self._began
        if began is not None and now - began > self._limits.budget:
            self._drop_as_slow()

    def _begin(self) -> None:
        # A daemon: an observer that hangs must not keep the interpreter from ending.
        name = f"bunsui-observer {self._observer.origin}"
        thread = threading.Thread(target=self._run, name=name, daemon=True)
        # Where the system gives no more threads, the next commit asks again.
        with contextlib.suppress(RuntimeError, MemoryError):
            thread.start()
            self._thread = thread

    # Its own side

    def _run(self) -> None:
        while (commit := self._commits.get()) is not None:
            self._show(commit)
            if self._dropped is not None:
                return
            if self._commits.empty():
                self._closing.wait(LINGER)

    def _show(self, commit: Shown) -> None:
        session_id = commit.session_id
        events: Iterable[Event] = map(detached, commit.events) if commit.can_be_changed else commit.events
        # With 20 observers this is done 20 times for each event: what is looked up here is not in the loop.
        call = self._observer.call if commit.followed is None else commit.followed.take
        monotonic, budget = self._monotonic, self._limits.budget
        shown, has_failed = self._shown, self._failed_in_a_row > 0
        now = monotonic()
        for event in events:
            self._began = began = now
            try:
                call(session_id, event)
            except BaseException as error:  # Foreign code: it may raise SystemExit, too.
                self._take_failure(event, error)
                has_failed = True
            else:
                if has_failed:
                    self._failed_in_a_row, has_failed = 0, False
            self._shown = shown = shown + 1
            now = monotonic()
            if now - began > budget:
                self._drop_as_slow()  # Unless the driver has seen it before.
                break
            if has_failed and self._dropped is not None:
                break
        self._began = None

    def _take_failure(self, event: Event, error: BaseException) -> None:
        self._failed += 1
        self._failed_in_a_row += 1
        if self._failed <= LOGGED or not self._failed & (self._failed - 1):
            # One traceback for each kind of error: ten times the same one would hide all else.
            # By identity: how the class of a foreign exception compares is foreign code, too.
            is_new = not any(type(error) is each for each in self._raised)
            if is_new:
                self._raised.append(type(error))
            _say("observer %s failed on %s (failure %d)", self._observer.origin, type(event).__name__,
                 self._failed, error=error if is_new else None)  # fmt: skip
        if self._failed_in_a_row >= self._limits.failures:
            self._drop(f"it failed {self._failed_in_a_row} times in a row")

    # Both sides

    def _drop_as_slow(self) -> None:
        self._drop(f"a call took longer than {self._limits.budget:g} seconds")

    def _drop(self, why: str) -> None:
        """Shows it nothing more."""
        with self._dropping:
            if self._dropped is not None:
                return
            self._dropped = why
        with contextlib.suppress(queue.Empty):  # Nobody else will let go of what waits.
            while True:
                self._commits.get_nowait()
        if not self._closing.is_set():  # Else who closes is told.
            _say("observer %s was dropped: %s", self._observer.origin, why)

    # The end

    def end(self) -> None:
        """Has the thread end once all that waits was shown."""
        self._commits.put(None)

    def join(self, by: float) -> None:
        """Waits for its end until a time (`time.monotonic`), but not for an observer that was dropped."""
        self._look(self._monotonic())
        thread = self._thread
        if thread is None or thread is threading.current_thread() or self._dropped is not None:
            return
        thread.join(max(by - time.monotonic(), 0.0))
        if thread.is_alive():
            self._drop("it had not come to an end when the runner was closed")

    def complaint(self) -> str | None:
        """What it was not shown, and why; None where there is nothing to say."""
        if self._thread is threading.current_thread():
            return None  # It closes its own runner, and sees the rest when it comes back.
        count = self._taken_in - self._shown + self._lost
        not_seen = f"it did not see {count} event{'s' if count != 1 else ''}"
        if self._dropped is not None:
            return f"observer {self._observer.origin} was dropped: {self._dropped}; {not_seen}"
        return f"observer {self._observer.origin} was too slow: {not_seen}" if count else None


class Observers:
    """The observers of a runner; their threads start with the first event."""

    def __init__(
        self,
        plugins: Plugins,
        limits: Limits = LIMITS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._closing = threading.Event()
        self._lanes = [Lane(observer, limits, monotonic, self._closing) for observer in plugins.observers]
        self._limits = limits
        #: The lane of those who follow single sessions; None: nobody does.
        self._following: Lane | None = None

    def follow(self) -> None:
        """Makes a lane for those who follow sessions. From any thread, before the first of them."""
        follower = Observer("of OpenTelemetry", _nobody)
        self._following = Lane(follower, self._limits, self._monotonic, self._closing)

    @property
    def follows(self) -> bool:
        """Whether who follows a session is shown its events; not any more where one has taken too long."""
        return self._following is not None and not self._following.is_dropped

    def left(self, session_id: str, followed: Followed, at: datetime) -> None:
        """Tells who follows a session that it is driven here no more. On the driver's thread."""
        if self._following is not None:
            from bunsui.monitoring.telemetry import Left  # noqa: PLC0415 - only where somebody follows

            last = Shown(session_id, (Left(at),), False, followed)
            self._following.put(self._monotonic(), last, is_last=True)

    def show(self, session_id: str, events: Sequence[Event], followed: Followed | None = None) -> None:
        """Queues events that have been committed; never waits. On the driver's thread.

        Args:
            session_id: the session's.
            events: of one commit.
            followed: who follows the session, if anybody does.
        """
        if not events:
            return
        if followed is not None and self._following is not None:
            self._following.put(self._monotonic(), Shown(session_id, events, False, followed))
        if not self._lanes:
            return
        now = self._monotonic()
        commit = Shown(session_id, events, any(type(event) in MAPPINGS for event in events))
        for lane in self._lanes:
            lane.put(now, commit)

    def close(self, timeout: float) -> None:
        """Waits until all that is queued was shown, for `timeout` seconds at most."""
        by = time.monotonic() + timeout
        self._closing.set()
        lanes = self._all()
        for lane in lanes:
            lane.end()
        for lane in lanes:
            lane.join(by)

    def _all(self) -> list[Lane]:
        return self._lanes if self._following is None else [*self._lanes, self._following]

    def warn(self) -> None:
        """Says once which observers did not see everything: to be called when nothing is left to close.

        Raises:
            RuntimeWarning: where the host makes errors of warnings.
        """
        lanes, self._lanes, self._following = self._all(), [], None
        complaints = [text for lane in lanes if (text := lane.complaint()) is not None]
        if complaints:
            # At who called Runner.close.
            warnings.warn("\n".join(complaints), RuntimeWarning, stacklevel=5)


def _nobody(session_id: str, event: Event) -> None:
    """What is shown in this lane is shown to who follows its session."""


def _say(text: str, *arguments: object, error: BaseException | None = None) -> None:
    """Logs a warning, and never raises, whatever the handlers of the host do.

    Not by `warnings`: a filter could make an error of it, in the driver's thread.
    """
    with contextlib.suppress(BaseException):  # Foreign code.
        _log.warning(text, *arguments, exc_info=error)
