"""Threads whose start Ctrl-C may interrupt."""

from __future__ import annotations

import threading
from collections.abc import Callable


def start(thread: threading.Thread) -> None:
    """Starts a thread; whether one that was interrupted meanwhile runs can't be told.

    Raises:
        KeyboardInterrupt: it was interrupted. `Thread.start` waits for an Event; where the interrupt comes
            between two steps of that, "RuntimeError: release unlocked lock" comes out of it instead.
        RuntimeError: the system gives no more threads.
    """
    try:
        thread.start()
    except RuntimeError as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise


class Sole:
    """The one thread of something that starts it when it is needed.

    Whoever was interrupted while it started one starts another one next time, unless the first has come to
    `claim` by then. All of it is called by who holds the owner's lock.
    """

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None

    def start(self, main: Callable[[], None], name: str, make: Callable[..., threading.Thread]) -> None:
        """Starts the thread, a daemon, unless it was started already.

        Args:
            main: what it does; it calls `claim` first.
            name: its name.
            make: makes a thread, as `threading.Thread` does.

        Raises:
            KeyboardInterrupt, RuntimeError: as `start` does.
        """
        if self.thread is not None:
            return
        made = make(target=main, name=name, daemon=True)
        start(made)
        if made.is_alive():
            self.thread = made

    def claim(self) -> bool:
        """Whether the thread that calls this is the one; else it has nothing to do."""
        here = threading.current_thread()
        if self.thread not in (None, here):
            return False
        self.thread = here
        return True
