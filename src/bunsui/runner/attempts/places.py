"""How many attempts may run at once: in all, and in each pool."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bunsui.runner.attempts.work import Work


class Places:
    """The places of a runner, over all its sessions. What is free follows from the attempts that have one.

    Args:
        size: places in all.
        pools: places of each pool; more of them may be added. An attempt in a pool takes one of both.
    """

    def __init__(self, size: int, pools: Mapping[str, int]) -> None:
        self._size = size
        self._pools = pools
        self._taken: set[Work] = set()
        self._in_pool: defaultdict[str, set[Work]] = defaultdict(set)

    @property
    def free(self) -> int:
        """Places that nobody has."""
        return self._size - len(self._taken)

    @property
    def free_in_pools(self) -> dict[str, int]:
        """Free places of each pool."""
        return {name: size - len(self._in_pool[name]) for name, size in self._pools.items()}

    def take(self, work: Work) -> None:
        """Gives a place to an attempt: it was started, or is about to be."""
        self._taken.add(work)
        if (pool := work.job.pool) is not None:
            self._in_pool[pool].add(work)

    def give_back(self, work: Work) -> bool:
        """Takes the place of an attempt back; whether somebody may have waited for it."""
        was_full = not self.free
        self._taken.discard(work)
        if (pool := work.job.pool) is not None:
            was_full |= len(self._in_pool[pool]) == self._pools[pool]
            self._in_pool[pool].discard(work)
        return was_full
