"""Shows committed events to plugins, off the driver's path."""

from __future__ import annotations

import logging
import queue
import threading
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bunsui.engine.events import Event
    from bunsui.plugins.registry import Plugins

#: Commits that wait for observers before further ones are dropped.
CAPACITY = 10_000
_log = logging.getLogger(__name__)


class Observers:
    """One thread that calls every observer for every event, in order; started with the first event."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        self._wanted = plugins.has_observers
        self._queue: queue.Queue[tuple[str, Sequence[Event]] | None] = queue.Queue()
        self._dropped = 0
        self._thread: threading.Thread | None = None

    def show(self, session_id: str, events: Sequence[Event]) -> None:
        """Queues events that have been committed; never waits."""
        if not self._wanted:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="bunsui-observers", daemon=True)
            self._thread.start()
        if self._queue.qsize() >= CAPACITY:
            self._dropped += len(events)
            return
        self._queue.put((session_id, events))

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            session_id, events = item
            for event in events:
                for plugin, error in self._plugins.observe(session_id, event):
                    _log.warning("observer %s failed on %s", plugin, type(event).__name__, exc_info=error)

    def close(self, timeout: float) -> None:
        """Waits until all queued events were shown, for `timeout` seconds at most."""
        if self._thread is None:
            return
        self._queue.put(None)
        self._thread.join(timeout)
        if self._dropped:
            warnings.warn(
                f"observers were too slow: {self._dropped} events were not shown to them",
                RuntimeWarning,
                stacklevel=3,
            )
