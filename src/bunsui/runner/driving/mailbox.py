"""The thread of a driver, and what other threads hand to it."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from bunsui.concurrency.threads import Sole
from bunsui.errors import BunsuiError, StateError
from bunsui.runner.driving.live import Live

if TYPE_CHECKING:
    from bunsui.runner.attempts.work import Work


def closed() -> StateError:
    """The error of a runner that is not to drive anything any more."""
    return StateError("this runner is closed", hint="the session can be resumed")


def refuse(live: Live, error: BunsuiError) -> None:
    """Tells those who wait for a session that it is not driven here."""
    live.error = live.error or error
    live.secrets.forget()
    live.begun.set()
    live.done.set()


class Mailbox:
    """Starts the thread with the first session, and leaves nobody waiting when it ends.

    Args:
        run: what the thread does; it gives back when it is told to stop.
        lives: the sessions that it drives, by id.
        thread: makes the thread.
    """

    def __init__(
        self, run: Callable[[], None], lives: Mapping[str, Live], thread: Callable[..., threading.Thread]
    ) -> None:
        self._run = run
        self._make_thread = thread
        self._lives = lives
        self._messages: queue.SimpleQueue[Work | Live | Callable[[], None]] = queue.SimpleQueue()
        #: Guards the two below: whoever hands a session over knows that it will be looked at.
        self._lock = threading.Lock()
        self._sole = Sole()
        self._ended: BunsuiError | None = None

    def put(self, message: Work | Callable[[], None]) -> None:
        """Has a message taken in at the next turn."""
        self._messages.put(message)

    def hand_over(self, live: Live) -> None:
        """Has a session driven, or refuses it at once where the thread has ended."""
        with self._lock:
            if self._ended is not None:
                refuse(live, self._ended)
                return
            self._sole.start(self._main, "bunsui-driver", self._make_thread)
            self._messages.put(live)

    def take(self, pause: float | None) -> Iterator[Work | Live | Callable[[], None]]:
        """All messages that are there, after waiting up to `pause` seconds (None: for ever) for the first."""
        with contextlib.suppress(queue.Empty):
            yield self._messages.get(timeout=pause) if pause != 0.0 else self._messages.get_nowait()
            while True:
                yield self._messages.get_nowait()

    @property
    def is_empty(self) -> bool:
        """Whether no message is there."""
        return self._messages.empty()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        thread = self._sole.thread
        return thread is not None and thread.is_alive()

    def join(self, timeout: float) -> None:
        """Waits for the end of the thread; without one, nothing is handed over any more."""
        with self._lock:
            thread = self._sole.thread
            if thread is None:
                self._ended = closed()
        if thread is not None:
            thread.join(timeout)
        else:
            self._refuse_all(closed())

    def _main(self) -> None:
        with self._lock:
            if self._ended is not None or not self._sole.claim():
                return  # Nobody wants it any more, or it is another one.
        ended: BunsuiError = closed()
        try:
            self._run()
        except BaseException as error:  # A fault of ours: told to those who wait, and raised.
            text = f"the driver failed: {type(error).__name__}: {error}"
            ended = BunsuiError(text, hint="the session can be resumed")
            raise
        finally:
            with self._lock:
                self._ended = ended
            self._refuse_all(ended)

    def _refuse_all(self, error: BunsuiError) -> None:
        for left in (*self._lives.values(), *self.take(0.0)):
            if isinstance(left, Live):
                refuse(left, error)
