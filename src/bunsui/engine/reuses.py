"""Jobs that take an output over from an earlier session instead of running."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Reuses:
    """Which jobs take their outputs over, when it is their turn.

    Args:
        downstream: by each job, those that depend on it.
    """

    def __init__(self, downstream: Mapping[str, Iterable[str]]) -> None:
        self._downstream = downstream
        self._chosen: set[str] = set()
        #: All that follows a job whose output could not be taken over.
        self._anew: set[str] = set()
        #: Those whose turn it is, in order.
        self.due: dict[str, None] = {}

    def choose(self, jobs: Iterable[str]) -> None:
        """These take their outputs over, as far as that can be."""
        self._chosen.update(jobs)

    def takes(self, job: str) -> bool:
        """Whether a job whose turn it is takes an output over; else it runs."""
        if job not in self._chosen:
            return False
        self.due[job] = None
        return True

    def failed(self, job: str) -> None:
        """It has no output to take over, so it runs as any other; and so does all that follows it.

        What it comes to now may be something else, or a failure: outputs made of the earlier one would not
        belong to it.
        """
        self.due.pop(job, None)
        stack = [job]
        while stack:  # Each job is looked at once in all: `_anew` remembers it.
            each = stack.pop()
            self._chosen.discard(each)
            fresh = [child for child in self._downstream[each] if child not in self._anew]
            self._anew.update(fresh)
            stack += fresh
