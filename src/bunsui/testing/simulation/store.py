"""A process's way to the store that all share: calls are slow and fail; there processes die and freeze."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from bunsui.errors import StoreError
from bunsui.ports.store import Append, Appended, Commit, Document, Store
from bunsui.stores.memory import MemoryStore
from bunsui.testing.simulation.world import Chance, Killed

if TYPE_CHECKING:
    from bunsui.testing.simulation.clock import ProcessClock
    from bunsui.testing.simulation.invariants import Invariants
    from bunsui.testing.simulation.world import Lane, Process, World


class Truth(MemoryStore):
    """What is really stored; it expires by the clock of whoever looks."""

    def __init__(self) -> None:
        super().__init__(lambda: self.reader.now().timestamp())
        self.reader: ProcessClock

    @property
    def writes(self) -> int:
        """How many times anybody has written."""
        return self._writes

    def length(self, history: str) -> int:
        """The number of commits of a history."""
        return len(self._histories.get(history, ()))


class ProcessStore(Store):
    """The store as one process sees it.

    Args:
        world: where it stands.
        process: whose it is.
        clock: the process's.
        truth: what all processes share.
        invariants: told of all that becomes durable.
        lease: seconds; what is slow is slow in proportion to it.
    """

    max_commit_bytes: ClassVar[int] = 1 << 20

    def __init__(
        self,
        world: World,
        process: Process,
        clock: ProcessClock,
        truth: Truth,
        invariants: Invariants,
        lease: float,
    ) -> None:
        self._world = world
        self._process = process
        self._clock = clock
        self._truth = truth
        self._invariants = invariants
        self._lease = lease
        self._chance = Chance(world, f"{process.name}.store")
        self._away_until = 0.0
        #: The writes of each thread of the process: `changed` tells it of those of all others.
        self._own_writes: Counter[Lane | None] = Counter()

    # Disturbances

    def _before(self, what: str, weight: float) -> None:
        """What can happen before a call has its effect.

        Raises:
            Killed: the process dies.
            StoreError: the call fails, without effect.
        """
        if self._process.dead:
            raise Killed
        self._suffer(f"before {what}", weight)
        if (shape := self._chance.fault(f"store is away before {what}", 0.002 * weight)) is not None:
            self._away_until = self._world.time + shape * 2.5 * self._lease
        if (self._world.time < self._away_until and not self._world.calm) or self._chance.fault(
            f"{what} fails without effect", 0.015 * weight
        ) is not None:
            raise StoreError(f"simulated: {what} failed")
        self._truth.reader = self._clock

    def _after(self, what: str, weight: float) -> None:
        """What can happen after the effect.

        Raises:
            Killed: the process dies.
            StoreError: the call is said to have failed.
        """
        self._suffer(f"after {what}", weight)
        if self._chance.fault(f"{what} fails after its effect", 0.015 * weight) is not None:
            raise StoreError(f"simulated: {what} may have failed")

    def _suffer(self, where: str, weight: float) -> None:
        chance, world = self._chance, self._world
        if chance.fault(f"killed {where}", 0.006 * weight) is not None:
            self._process.dead = True
            raise Killed
        if (shape := chance.fault(f"frozen {where}", 0.02 * weight)) is not None:
            world.pass_time(self._long(shape), freeze=True)
        if (shape := chance.fault(f"slow {where}", 0.02 * weight)) is not None:
            world.pass_time(self._long(shape))

    def _long(self, shape: float) -> float:
        """Seconds: mostly well below a lease, sometimes much more."""
        return self._lease * (shape if shape < 0.7 else (shape - 0.6) * 8)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Counts what is written meanwhile as written by the thread that runs."""
        before = self._truth.writes
        try:
            yield
        finally:
            self._own_writes[self._world.current] += self._truth.writes - before

    def go_away(self, seconds: float) -> None:
        """Has all calls fail for a while."""
        self._away_until = self._world.time + seconds

    # The port

    def append(self, appends: Sequence[Append]) -> list[Appended]:
        """See `Store.append`; single entries may fail, before or after their effect."""
        self._before("append", 1.0)
        outcomes = [self._append(entry) for entry in appends]
        self._after("append", 1.0)
        return outcomes

    def _append(self, entry: Append) -> Appended:
        failed = Appended(error=StoreError("simulated: the append failed"))
        if self._chance.fault("an entry fails without effect", 0.01) is not None:
            return failed
        length = self._truth.length(entry.history)
        with self._writing():
            outcome = self._effect(entry)
        if self._truth.length(entry.history) > length:
            self._invariants.committed(self._process, entry.history, entry.commit)
        if self._chance.fault("an entry fails after its effect", 0.02) is not None:
            return failed
        return outcome

    def _effect(self, entry: Append) -> Appended:
        """The append itself."""
        (outcome,) = self._truth.append([entry])
        return outcome

    def read(self, history: str, after: int = 0) -> Iterator[Commit]:
        """See `Store.read`; it may fail in the middle."""
        self._before("read", 0.3)
        for commit in self._truth.read(history, after):
            yield commit
            if self._chance.fault("read fails in the middle", 0.001) is not None:
                raise StoreError("simulated: read failed")
        self._after("read", 0.3)

    def put(
        self,
        kind: str,
        key: str,
        value: Mapping[str, Any],
        if_version: int | None = None,
        expires_at: float | None = None,
        groups: Sequence[tuple[str, str]] = (),
    ) -> int:
        """See `Store.put`."""
        self._before(f"put of {kind}", 0.3)
        with self._writing():
            version = self._truth.put(kind, key, value, if_version, expires_at, groups)
        self._invariants.was_put(kind, key, value)
        self._after(f"put of {kind}", 0.3)
        return version

    def get(self, kind: str, key: str) -> Document | None:
        """See `Store.get`."""
        self._before(f"get of {kind}", 0.1)
        found = self._truth.get(kind, key)
        self._after(f"get of {kind}", 0.1)
        return found

    def delete(self, kind: str, key: str) -> None:
        """See `Store.delete`."""
        self._before(f"delete of {kind}", 0.3)
        with self._writing():
            self._truth.delete(kind, key)
        self._after(f"delete of {kind}", 0.3)

    def find(
        self,
        kind: str,
        group: str | None = None,
        reverse: bool = False,
        after: str | None = None,
        limit: int = 100,
    ) -> list[Document]:
        """See `Store.find`."""
        self._before(f"find of {kind}", 0.1)
        found = self._truth.find(kind, group, reverse, after, limit)
        self._after(f"find of {kind}", 0.1)
        return found

    def changed(self, token: object) -> object:
        """See `Store.changed`."""
        del token
        self._before("changed", 0.05)
        return self._truth.writes - self._own_writes[self._world.current]

    def close(self) -> None:
        """Nothing is held open."""
