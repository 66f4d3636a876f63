"""The thread that reads what the processes of a runner write."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from typing import TYPE_CHECKING

from bunsui.concurrency.threads import Sole

if TYPE_CHECKING:
    import selectors
    from collections.abc import Callable, Iterable

    from bunsui.logging.channel import Channel

_log = logging.getLogger(__name__)


class Collector:
    """Reads channels in a thread of its own, which begins with the first of them and sleeps while none says
    anything. A process that writes faster than is read here waits, as its pipe is full.

    Args:
        thread: makes the thread.
    """  # noqa: D205 - one sentence

    def __init__(self, thread: Callable[..., threading.Thread] = threading.Thread) -> None:
        self._make_thread = thread
        #: Guards all below.
        self._lock = threading.Lock()
        self._sole = Sole()
        self._wakeup: tuple[int, int] | None = None
        self._selector: selectors.BaseSelector | None = None
        self._new: list[tuple[Channel, Callable[[], None]]] = []
        self._closed = False

    def add(self, channels: Iterable[Channel], ended: Callable[[], None]) -> None:
        """Has channels read until their ends.

        Args:
            channels: each is closed after that, and at once where this raises.
            ended: called then for each.

        Raises:
            OSError: the system gives no more descriptors.
            RuntimeError: it gives no more threads.
        """
        new = [(channel, ended) for channel in channels]
        taken = False
        try:
            with self._lock:
                if not self._closed:
                    if self._sole.thread is None:
                        self._start()
                    self._new += new
                    taken = True
                    self._wake()
        finally:
            if not taken:
                for each in new:
                    _finish(*each)

    def _start(self) -> None:
        import selectors  # noqa: PLC0415 - where there are processes

        if self._wakeup is None:
            self._wakeup = os.pipe()
            for each in self._wakeup:
                os.set_blocking(each, False)
        if self._selector is None:
            self._selector = selectors.DefaultSelector()
            self._selector.register(self._wakeup[0], selectors.EVENT_READ)
        self._sole.start(self._run, "bunsui-logs", self._make_thread)

    def _wake(self) -> None:
        if self._wakeup is not None:
            with contextlib.suppress(BlockingIOError):  # It is awake already.
                os.write(self._wakeup[1], b"x")

    def _run(self) -> None:
        import selectors  # noqa: PLC0415 - where there are processes

        with self._lock:
            if self._closed or not self._sole.claim():
                return  # Nobody wants it any more, or it is another one.
        assert self._wakeup is not None  # noqa: S101 - made before the thread
        assert self._selector is not None  # noqa: S101 - likewise
        news, selector = self._wakeup[0], self._selector
        channels: dict[int, tuple[Channel, Callable[[], None]]] = {}
        while not self._closed:
            for key, _ in selector.select():
                if key.fd == news:
                    with contextlib.suppress(BlockingIOError):
                        os.read(news, 4096)
                    continue
                channel, ended = channels[key.fd]
                if not _goes_on(channel):
                    del channels[key.fd]
                    selector.unregister(key.fd)
                    _finish(channel, ended)
            with self._lock:
                new, self._new = self._new, []
            for channel, ended in new:
                channels[channel.fileno()] = channel, ended
                selector.register(channel.fileno(), selectors.EVENT_READ)
        for channel, ended in channels.values():
            _finish(channel, ended)

    def close(self) -> None:
        """Takes in what is there, and ends."""
        with self._lock:
            self._closed = True
            self._wake()
            thread = self._sole.thread
        if thread is not None:
            thread.join()
        with self._lock:
            new, self._new = self._new, []
            wakeup, self._wakeup = self._wakeup, None
            selector, self._selector = self._selector, None
        for channel, ended in new:
            _finish(channel, ended)
        if selector is not None:
            selector.close()
        for each in wakeup or ():
            os.close(each)


def _goes_on(channel: Channel) -> bool:
    """Reads a channel; whether there may be more to come."""
    try:
        channel.read()
    except Exception as error:  # What can't even be read ends nothing but itself.
        _log.warning("a pipe of a job can't be read any more: %s", type(error).__name__)
        return False
    return not channel.ended


def _finish(channel: Channel, ended: Callable[[], None]) -> None:
    for step in (channel.finish, channel.close, ended):
        try:
            step()
        except Exception as error:  # A fault of ours: all other channels have to be read.
            _log.warning("what is left of a job's log can't be written: %s", type(error).__name__)
