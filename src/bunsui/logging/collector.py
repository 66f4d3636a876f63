"""The thread that reads what the processes of a runner write."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from bunsui.logging.channel import Channel


class Collector:
    """Reads channels in a thread of its own, which begins with the first of them and sleeps while none says
    anything. A process that writes faster than is read here waits, as its pipe is full.
    """  # noqa: D205 - one sentence

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wakeup: tuple[int, int] | None = None
        self._new: list[tuple[Channel, Callable[[], None]]] = []
        self._closed = False

    def add(self, channel: Channel, ended: Callable[[], None]) -> None:
        """Has a channel read until its end.

        Args:
            channel: closed after that.
            ended: called then.
        """
        with self._lock:
            closed = self._closed
            if not closed:
                self._new.append((channel, ended))
                if self._thread is None:
                    self._wakeup = os.pipe()
                    for each in self._wakeup:
                        os.set_blocking(each, False)
                    self._thread = threading.Thread(target=self._run, name="bunsui-logs", daemon=True)
                    self._thread.start()
                self._wake()
        if closed:
            _finish(channel, ended)

    def _wake(self) -> None:
        assert self._wakeup is not None  # noqa: S101 - made with the thread
        with contextlib.suppress(BlockingIOError):  # It is awake already.
            os.write(self._wakeup[1], b"x")

    def _run(self) -> None:
        import selectors  # noqa: PLC0415 - where there are processes

        assert self._wakeup is not None  # noqa: S101 - made with the thread
        news = self._wakeup[0]
        channels: dict[int, tuple[Channel, Callable[[], None]]] = {}
        with selectors.DefaultSelector() as selector:
            selector.register(news, selectors.EVENT_READ)
            while not self._closed:
                for key, _ in selector.select():
                    if key.fd == news:
                        with contextlib.suppress(BlockingIOError):
                            os.read(news, 4096)
                        continue
                    channel, ended = channels[key.fd]
                    channel.read()
                    if channel.ended:
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
            thread, self._thread = self._thread, None
            if thread is None:
                return
            self._wake()
        thread.join()
        for channel, ended in self._new:
            _finish(channel, ended)
        assert self._wakeup is not None  # noqa: S101 - made with the thread
        for each in self._wakeup:
            os.close(each)


def _finish(channel: Channel, ended: Callable[[], None]) -> None:
    channel.finish()
    channel.close()
    ended()
