"""What may start now, and how much of it, by the pools that it counts in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING

from bunsui.engine.actions import Start

if TYPE_CHECKING:
    from bunsui.engine.fanout import FanOut

#: A pool's name; None: none.
Pool = str | None


class Ready:
    """Jobs that may start, and fan-outs of which an item may."""

    def __init__(self) -> None:
        self._jobs: dict[Pool, dict[str, int]] = {}
        self._fans: dict[Pool, dict[str, FanOut]] = {}

    def __bool__(self) -> bool:
        return any(self._jobs.values()) or any(self._fans.values())

    def add(self, job: str, pool: Pool, attempt: int) -> None:
        """The job may start, with this attempt."""
        self._jobs.setdefault(pool, {})[job] = attempt

    def discard(self, job: str, pool: Pool) -> None:
        """The job has started, or never will."""
        jobs = self._jobs.get(pool)
        if jobs is not None:
            jobs.pop(job, None)

    def look_at(self, job: str, pool: Pool, fan: FanOut) -> None:
        """Notes whether an item of a fan-out may start."""
        if fan.can_start:
            self._fans.setdefault(pool, {})[job] = fan
        else:
            self._fans.get(pool, {}).pop(job, None)

    def forget(self, job: str, pool: Pool) -> None:
        """The job has ended."""
        self.discard(job, pool)
        self._fans.get(pool, {}).pop(job, None)

    def clear(self) -> None:
        """Nothing starts any more; fan-outs are looked at again one by one."""
        self._jobs.clear()

    def starts(self, free: int, pools: Mapping[str, int]) -> list[Start]:
        """Up to `free` starts, of each pool as many as `pools` says; jobs come before items."""
        room = dict(pools)
        starts: list[Start] = []
        for pool, more in self._offers(free):
            most = free - len(starts)
            if most <= 0:
                break
            if pool is not None:
                most = min(most, room.get(pool, 0))
            taken = list(islice(more, max(most, 0)))
            starts += taken
            if pool is not None:
                room[pool] = room.get(pool, 0) - len(taken)
        return starts

    def _offers(self, most: int) -> Iterator[tuple[Pool, Iterator[Start]]]:
        """What may start, by pool; what nobody takes costs nothing."""
        for pool, jobs in self._jobs.items():
            yield pool, (Start(job, attempt) for job, attempt in jobs.items())
        for pool, fans in self._fans.items():
            yield (
                pool,
                (
                    Start(job, attempt, item)
                    for job, fan in fans.items()
                    for item, attempt in fan.starts(most)
                ),
            )
