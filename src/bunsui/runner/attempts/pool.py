"""The threads that attempts run in."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable

#: What a thread runs; it must not raise.
Task = Callable[[], None]

_log = logging.getLogger(__name__)


class Pool:
    """Threads on demand, up to a limit, for tasks that report their end themselves.

    Idle threads are woken one at a time: a thread that takes a task wakes the next one only if there is
    another task. Short tasks are so worked off by few threads, without a switch between threads for
    each; long ones get a thread each, since the waking happens before the work.
    """

    def __init__(self, limit: int) -> None:
        #: Most threads.
        self.limit = limit
        self._tasks: deque[Task] = deque()
        self._idle: deque[threading.Lock] = deque()
        self._threads = 0
        self._growing = threading.Lock()
        self._closed = False
        #: Whether the system refused a thread that tasks may wait for.
        self._refused = False
        self._warned = False

    def submit(self, tasks: Iterable[Task]) -> None:
        """Has the tasks run; the caller keeps to the limit, so none of them waits for long.

        Where the system gives no thread for them, they wait for one that there is, or for `tend`.
        """
        self._tasks.extend(tasks)
        self._wake()

    def tend(self) -> None:
        """Asks the system again for the threads that it refused; to be called now and then."""
        if self._refused:
            self._refused = False
            if self._tasks:
                self._wake()

    def _wake(self) -> None:
        try:
            self._idle.popleft().release()
        except IndexError:
            self._grow()

    def _grow(self) -> None:
        with self._growing:
            if self._threads >= self.limit or self._closed:
                return
            self._threads += 1
            number = self._threads
        # Daemons: a job that can't be stopped must not keep the interpreter from ending.
        thread = threading.Thread(target=self._work, name=f"bunsui-job-{number}", daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError):  # The system gives no more threads.
            with self._growing:
                self._threads -= 1
                self._refused = True
                # With one thread at least, work goes on, only slower.
                stuck, self._warned = not (self._threads or self._warned), self._warned or not self._threads
            if stuck:
                _log.warning(
                    "the system gives no thread to run jobs in: they wait until it does; see to its memory,"
                    " and to the limits of this process ('ulimit -u', 'ulimit -v')"
                )

    def _work(self) -> None:
        wait = threading.Lock()
        wait.acquire()
        tasks, idle = self._tasks, self._idle
        while not self._closed:
            try:
                task = tasks.popleft()
            except IndexError:
                idle.append(wait)
                # What came between the two lines above, a task or the end, would else be waited for in vain.
                if (tasks or self._closed) and self._unregister(wait):
                    continue
                wait.acquire()
                continue
            if tasks:
                self._wake()
            task()
            del task
        with self._growing:
            self._threads -= 1

    def _unregister(self, wait: threading.Lock) -> bool:
        """Takes a thread back out of the idle ones; False where it is being woken already."""
        try:
            self._idle.remove(wait)
        except ValueError:
            return False
        return True

    def close(self) -> None:
        """Lets idle threads end; those at work end after it."""
        self._closed = True
        while self._idle:
            try:
                self._idle.popleft().release()
            except IndexError:
                return


class Pools:
    """A pool for each name, made when it is first asked for: what hangs in one leaves the others alone.

    Args:
        make: makes a pool.
    """

    def __init__(self, make: Callable[[], Pool]) -> None:
        self._make = make
        self._pools: dict[str, Pool] = {}

    def submit(self, name: str, tasks: Iterable[Task]) -> None:
        """Has the tasks run in the pool of this name. On one thread only."""
        pool = self._pools.get(name)
        if pool is None:
            pool = self._pools[name] = self._make()
        pool.submit(tasks)

    def tend(self) -> None:
        """See `Pool.tend`. On the same thread."""
        for pool in self._pools.values():
            pool.tend()

    def close(self) -> None:
        """See `Pool.close`. Once nothing is submitted any more."""
        for pool in [*self._pools.values()]:
            pool.close()
