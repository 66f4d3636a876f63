"""The start of a thread that Ctrl-C may interrupt."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threading import Thread


def start(thread: Thread) -> None:
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
