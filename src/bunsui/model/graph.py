"""Who waits for whom: order, cycles, ancestors."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from bunsui.model.lazy import cached_property

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


#: Parents that are looked at one by one.
_FEW = 16


class Graph:
    """The dependencies of a pipeline's jobs.

    It may be cyclic, and may name jobs that do not exist, as long as nobody asks for `order`: the
    validator asks it what is wrong.
    """

    def __init__(self, depends_on: Mapping[str, Sequence[str]]) -> None:
        #: Job id to the ids that it waits for, each once, in the definition's order.
        self.upstream: dict[str, tuple[str, ...]] = {
            job: tuple(dict.fromkeys(parents)) for job, parents in depends_on.items()
        }

    @cached_property
    def downstream(self) -> dict[str, tuple[str, ...]]:
        """Job id to the ids that wait for it."""
        children: dict[str, list[str]] = {job: [] for job in self.upstream}
        for job, parents in self.upstream.items():
            for parent in parents:
                if parent in children:
                    children[parent].append(job)
        return {job: tuple(waiting) for job, waiting in children.items()}

    @cached_property
    def order(self) -> tuple[str, ...]:
        """A topological order; jobs that are ready together keep the definition's order.

        Raises:
            ValueError: there is a cycle.
        """
        order, rest = self._sorted()
        if rest:
            raise ValueError(f"cyclic dependencies: {' -> '.join(self.find_cycle() or ())}")
        return order

    def _sorted(self) -> tuple[tuple[str, ...], set[str]]:
        missing = {
            job: sum(parent in self.upstream for parent in parents) for job, parents in self.upstream.items()
        }
        ready = deque(job for job, count in missing.items() if not count)
        order = []
        while ready:
            job = ready.popleft()
            order.append(job)
            for child in self.downstream[job]:
                missing[child] -= 1
                if not missing[child]:
                    ready.append(child)
        return tuple(order), {job for job, count in missing.items() if count}

    def find_cycle(self) -> tuple[str, ...] | None:
        """A cycle in full, its first job repeated at the end, or None where there is none."""
        _, rest = self._sorted()
        # Each job left over waits for another one of them: walking up must come back to itself.
        seen: dict[str, int] = {}
        job = next((job for job in self.upstream if job in rest), None)
        path: list[str] = []
        while job is not None and job not in seen:
            seen[job] = len(path)
            path.append(job)
            job = next((parent for parent in self.upstream[job] if parent in rest), None)
        if job is None:
            return None
        return (*path[seen[job] :], job)

    @cached_property
    def _bits(self) -> dict[str, tuple[int, int]]:
        """Job id to its own bit and those of its ancestors: for many questions, all are answered at once."""
        found: dict[str, tuple[int, int]] = {}
        for i, job in enumerate(self.order):
            above = 0
            for parent in self.upstream[job]:
                if parent in found:
                    own, higher = found[parent]
                    above |= own | higher
            found[job] = (1 << i, above)
        return found

    def is_upstream(self, parent: str, job: str) -> bool:
        """Whether `parent` must have ended before `job` starts, near or far.

        Raises:
            ValueError: there is a cycle.
        """
        # Mostly it is one of few; of many, looking at each costs more than asking of all.
        if parent in self.upstream[job][:_FEW]:
            return True
        return bool(self._bits[job][1] & self._bits[parent][0])

    def ancestors(self, job: str) -> frozenset[str]:
        """All that must have ended before `job` starts, near and far; without `job` itself."""
        found: set[str] = set()
        stack = list(self.upstream[job])
        while stack:
            parent = stack.pop()
            if parent not in found and parent in self.upstream:
                found.add(parent)
                stack.extend(self.upstream[parent])
        return frozenset(found - {job})

    def critical_path(self, weights: Mapping[str, float]) -> tuple[str, ...]:
        """The chain of dependent jobs whose weights together are the largest, from its first job on.

        Args:
            weights: of each job; at least 0. Of two chains of the same weight the longer one is taken, of
                two of the same length the one whose jobs the definition names first.

        Raises:
            ValueError: there is a cycle.
        """
        best: dict[str, tuple[float, int]] = {}
        before: dict[str, str | None] = {}
        last: str | None = None
        for job in self.order:
            parent = max(self.upstream[job], key=best.__getitem__, default=None)
            weight, length = (0.0, 0) if parent is None else best[parent]
            best[job], before[job] = (weight + weights[job], length + 1), parent
            if last is None or best[job] > best[last]:
                last = job
        path: list[str] = []
        while last is not None:
            path.append(last)
            last = before[last]
        return tuple(reversed(path))
