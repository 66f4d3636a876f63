"""Work at a service, followed without a runner: the time is a fake clock's, the calls have threads."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import bunsui
from bunsui.model.pipeline import Job
from bunsui.ports.job_type import JobCall
from bunsui.ports.remote import RemoteJobType
from bunsui.runner.attempts.pool import Pool, Pools
from bunsui.runner.attempts.remote_work import RemoteWork
from bunsui.runner.attempts.remotes import Remotes
from bunsui.runner.driving.timers import Timers
from bunsui.testing import FakeClock

#: Threads for each type, as a runner has them.
THREADS = 16


class Calls(Pools):
    """Threads that know which of their tasks hang."""

    def __init__(self) -> None:
        super().__init__(lambda: Pool(THREADS))
        self.changed = threading.Condition()
        self.open = self.hanging = 0
        self.end = threading.Event()

    def submit(self, name: str, tasks: Iterable[Callable[[], None]]) -> None:
        tasks = [*tasks]
        with self.changed:
            self.open += len(tasks)
        super().submit(name, [partial(self._do, task) for task in tasks])

    def _do(self, task: Callable[[], None]) -> None:
        task()
        with self.changed:
            self.open -= 1
            self.changed.notify_all()

    def hang(self) -> None:
        """What a call does that does not come back, until it is freed."""
        with self.changed:
            if self.end.is_set():
                return
            self.hanging += 1
            self.changed.notify_all()
        assert self.end.wait(60)

    def free(self) -> None:
        """Nothing hangs any more."""
        with self.changed:
            self.hanging = 0
            self.end.set()

    def settle(self) -> None:
        """Waits until all calls have ended, or hang, or wait for a thread behind those."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.open == self.hanging or self.hanging >= THREADS, 60)

    def close(self) -> None:
        self.free()
        super().close()


class Followed:
    """Follows work of one type; the owner of a `Remotes`."""

    def __init__(self, seed: int = 0) -> None:
        self.clock = FakeClock()
        self.calls = Calls()
        self.timers = Timers(self.clock)
        self.remotes = Remotes(self, self.calls, self.timers, self.clock, Random(seed))
        self.live: Any = _Live()
        self.host: Any = SimpleNamespace(clock=self.clock, machine_deadline=lambda deadline: deadline)
        #: All of it, with its number.
        self.works: dict[RemoteWork, int] = {}
        #: What ended, by the number of its work, with its failure, or its output where that is None.
        self.ends: dict[int, Any] = {}
        self.lost_works: list[RemoteWork] = []
        #: What can't be followed, by its number, and why.
        self.stalls: list[tuple[int, str]] = []
        self._messages: deque[Callable[[], None]] = deque()

    def work(self, kind: RemoteJobType, **options: Any) -> RemoteWork:
        """Another piece of work, not yet submitted."""
        number = len(self.works)
        work = RemoteWork(
            self.live, Job(f"j{number}", kind.name, options), 1, kind, None, {}, options, self.host
        )
        self.works[work] = number
        return work

    def submit(self, kind: RemoteJobType, **options: Any) -> RemoteWork:
        """Another piece of work, submitted."""
        work = self.work(kind, **options)
        self.remotes.submit(work)
        self.settle()
        return work

    def settle(self) -> None:
        """Takes in what has come, until nothing does any more without time passing."""
        while True:
            self.calls.settle()
            came = len(self._messages)
            for _ in range(came):
                self._messages.popleft()()
            timed = [*self.timers.due()]
            for live, call, arguments in timed:
                call(live, *arguments)
            self.remotes.turn(self.clock.monotonic())
            self.calls.settle()
            if not (came or timed or self._messages):
                return

    def pass_time(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Lets time pass, from one thing that is due to the next."""
        end = self.clock.monotonic() + seconds
        self.settle()
        while (now := self.clock.monotonic()) < end and not until():
            due = max(self.remotes.due - now, 0.0) or math.inf
            self.clock.advance(min(self.timers.pause(min(end - now, due)), end - now))
            self.settle()

    # See `Owner`

    def holds(self, work: RemoteWork) -> bool:
        return self.works[work] not in self.ends and work not in self.lost_works

    def guard(self, live: Any, call: Callable[..., None], *arguments: Any) -> None:
        call(*arguments)

    def later(self, live: Any, call: Callable[..., None], *arguments: Any) -> None:
        self._messages.append(partial(call, *arguments))

    def submitted(self, work: RemoteWork) -> None:
        pass

    def ended(self, work: RemoteWork) -> None:
        self.ends[self.works[work]] = work.failure or (work.output and work.output.value)

    def lost(self, work: RemoteWork, why: str) -> None:
        self.lost_works.append(work)

    def stalled(self, work: RemoteWork, missing: str) -> None:
        self.stalls.append((self.works[work], missing))

    def not_begun(self, work: RemoteWork, missing: str) -> None:
        self.stalled(work, missing)
        self.lost_works.append(work)

    def never_ran(self, work: RemoteWork) -> None:
        self.lost_works.append(work)

    def may_submit(self, work: RemoteWork) -> bool:
        return True


class _Live:
    """As much of a session as work asks for."""

    id = "s1"
    pipeline = SimpleNamespace(name="p", base_dir=Path())
    callable_folders = ()
    then: list[Any] = []


class Service(RemoteJobType):
    """``type: remote``, whose work ends when it is told to; a handle is what was submitted."""

    name = "remote"
    schema: Any = {"type": "object"}

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.polls: list[list[Any]] = []
        self.ended: set[Any] = set()
        #: What never answers, by its part before the colon.
        self.deaf: set[str] = set()

    def submit(self, call: JobCall) -> Any:
        return call.options["what"]

    def poll(self, handles: Sequence[Any]) -> Sequence[Any]:
        self.polls.append([*handles])
        if any(self.poll_group(handle) in self.deaf for handle in handles):
            self.calls.hang()
        return [bunsui.Succeeded(handle) if handle in self.ended else bunsui.Running() for handle in handles]

    def poll_group(self, handle: Any) -> str:
        return str(handle).partition(":")[0]

    def cancel(self, handle: Any) -> None:
        self.ended.add(handle)

    def find(self, call: JobCall) -> Any:
        return bunsui.NeverRan()
