"""A driver, turn by turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import bunsui
from bunsui.errors import StoreError
from bunsui.ports.store import Append, Appended, Commit
from bunsui.runner.assembly import Parts, assemble
from bunsui.runner.control import Control
from bunsui.runner.driving.live import Live
from bunsui.runner.sessions import creation
from bunsui.runner.surroundings import Surroundings
from bunsui.stores.memory import MemoryStore
from bunsui.stores.records import body_of

AT = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = 3600.0


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return AT + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


class Tasks:
    """A pool whose tasks run when the test says so."""

    def __init__(self) -> None:
        self.limit = 8
        self.left: list[Any] = []

    def submit(self, tasks: Iterable[Any]) -> None:
        self.left += tasks

    def tend(self) -> None:
        pass

    def run(self, job: str) -> None:
        (task,) = (task for task in self.left if task.job.id == job)
        self.left.remove(task)
        task()


class NoThread:
    """The thread of a driver whose turns the test makes."""

    def __init__(self, **_: Any) -> None:
        pass

    def start(self) -> None:
        pass

    def is_alive(self) -> bool:
        return True


class Failing(MemoryStore):
    """A store that can be away."""

    is_away = False
    #: Called after each append: what happens before its caller goes on.
    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    def append(self, appends: Any) -> list[Appended]:
        try:
            return self._append_all(appends)
        finally:
            self.meanwhile()

    def _append_all(self, appends: Any) -> list[Appended]:
        if self.is_away:
            return [Appended(error=StoreError("away")) for _ in appends]
        return super().append(appends)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tasks() -> Tasks:
    return Tasks()


@pytest.fixture
def store() -> Failing:
    return Failing()


@pytest.fixture
def parts(clock: Clock, tasks: Tasks, store: Failing) -> Parts:
    around = Surroundings(
        clock=clock,
        thread=NoThread,  # type: ignore[arg-type]
        pool=lambda _: tasks,  # type: ignore[arg-type, return-value]
        closes_at_exit=False,
    )
    return assemble(bunsui.Plugins((), autoload=False), store, 8, LEASE, surroundings=around)


def adopted(parts: Parts, *jobs: bunsui.Job) -> Live:
    """A session in its first turn."""
    types = bunsui.Plugins((), autoload=False).job_types
    pipeline = bunsui.Pipeline(name="p", jobs=[*jobs])
    live = creation.create(pipeline, {}, None, types, parts, local=False, idempotency_key=None, tags={})
    Control(parts, {}, LEASE).claim(live)
    parts.driver.adopt(live)
    parts.driver.turn()
    return live


def test_what_became_ready_while_the_store_was_away_starts_afterwards(
    parts: Parts, clock: Clock, tasks: Tasks, store: Failing
) -> None:
    """Also where the turn that brings the store back is the one that had to wait for it."""

    def bad() -> None:
        raise ValueError

    policy = bunsui.RetryPolicy(max_attempts=2, delay=0.1, jitter="none")
    adopted(
        parts,
        bunsui.Job.from_callable(lambda: None, id="z"),
        bunsui.Job.from_callable(bad, id="a", retry=policy),
    )
    tasks.run("z")
    parts.driver.turn()
    store.is_away = True
    tasks.run("a")
    parts.driver.turn()

    # All at once are due: the wait of `a`, another try of the append, and the index entry after `z`. No timer
    # is due after that.
    clock.seconds += 5
    store.is_away = False
    for _ in range(3):
        parts.driver.turn()

    assert ["a"] == [task.job.id for task in tasks.left]


def test_a_start_behind_a_pause_of_its_runner_waits_for_another_commit(
    parts: Parts, clock: Clock, tasks: Tasks, store: Failing
) -> None:
    """A process that was frozen after its append has been watched for long: first it shows its claim."""

    def freeze() -> None:
        clock.seconds += LEASE
        store.meanwhile = lambda: None

    store.meanwhile = freeze
    live = adopted(parts, bunsui.Job.from_callable(lambda: None, id="a"))
    assert ([], 1) == (tasks.left, live.position)

    parts.driver.turn()
    assert (["a"], 2) == ([task.job.id for task in tasks.left], live.position)


def test_a_start_behind_a_pause_of_its_runner_never_comes_where_somebody_was_faster(
    parts: Parts, clock: Clock, tasks: Tasks, store: Failing
) -> None:
    """The commit that was to show the claim is refused: the runner stands down."""

    def freeze() -> None:
        clock.seconds += LEASE
        store.meanwhile = lambda: None

    store.meanwhile = freeze
    live = adopted(parts, bunsui.Job.from_callable(lambda: None, id="a"))
    store.append([Append(live.id, Commit(2, "somebody else's", body_of([])))])

    parts.driver.turn()
    assert ([], True) == (tasks.left, live.lost)
