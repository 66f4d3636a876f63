"""The sign of life of a runner: one document, whatever the number of its sessions."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from bunsui.concurrency.threads import Sole
from bunsui.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bunsui.ports.clock import Clock
    from bunsui.ports.store import Store

KIND = "runner"
#: Seconds after its last beat at which a runner's document is forgotten.
KEPT = 7 * 24 * 3600.0


class Heartbeat:
    """Beats every third of a lease, off the driver's path, as long as the driver lives.

    There is no beat before the first third is over: who watches waits for a whole lease anyway, and a
    short run so costs no further write.

    Args:
        store: where it is written.
        runner: the runner's id.
        lease: seconds.
        turn: the number of the driver's last turn, which the beat carries; None where the driver has ended,
            or has made none for a lease.
        clock: the runner's.
        thread: makes the thread.
    """

    def __init__(
        self,
        store: Store,
        runner: str,
        lease: float,
        turn: Callable[[], int | None],
        clock: Clock,
        thread: Callable[..., threading.Thread],
    ) -> None:
        self._store = store
        self._runner = runner
        self._interval = lease / 3
        self._turn = turn
        self._clock = clock
        self._make_thread = thread
        self._beats = 0
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._sole = Sole()

    def start(self) -> None:
        """Starts to beat, unless it does already."""
        with self._lock:
            self._sole.start(self._run, "bunsui-heartbeat", self._make_thread)

    def _run(self) -> None:
        with self._lock:
            if not self._sole.claim():
                return
        while not self._stop.wait(self._interval):
            self.beat()

    def beat(self) -> None:
        """One beat, if the driver lives; a store that fails is the driver's to report."""
        turn = self._turn()
        if turn is None:
            return  # Not a reason to end: a process that was frozen for long wakes up here first.
        self._beats += 1
        try:
            # A runner that is killed leaves its document behind: it goes by itself, long after any lease.
            expires_at = self._clock.now().timestamp() + KEPT
            self._store.put(KIND, self._runner, {"beat": self._beats, "turn": turn}, expires_at=expires_at)
        except StoreError:
            return

    def close(self) -> None:
        """Stops beating and forgets the runner."""
        self._stop.set()
        with self._lock:
            thread = self._sole.thread
        if thread is None:
            return  # One that comes now finds that it has to stop.
        thread.join(5)
        if self._beats:
            try:
                self._store.delete(KIND, self._runner)
            except StoreError:
                return
