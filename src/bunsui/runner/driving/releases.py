"""Claims that are given back although the session can't be driven any more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bunsui.engine.events import RunnerClaimed, RunnerReleased
from bunsui.stores.records import decode_body

if TYPE_CHECKING:
    from bunsui.ports.clock import Clock
    from bunsui.ports.store import Store
    from bunsui.runner.driving.commits import Commits
    from bunsui.runner.driving.live import Live

#: Seconds before a release that could not be written is tried again: at first, and at most.
AGAIN, RARELY = 0.5, 30.0


class Releases:
    """Writes releases behind what is durable of a session, for as long as that takes.

    Without its release a session that was set aside would be held by a runner that beats, and nobody could
    take it over before that runner ends. All of it is called on the driver's thread.
    """

    def __init__(self, commits: Commits, store: Store, clock: Clock) -> None:
        self._commits = commits
        self._store = store
        self._clock = clock
        self._left: list[Live] = []
        self._wait = AGAIN
        #: When the next release is tried (monotonic); infinity: there is none.
        self.due = math.inf

    def add(self, live: Live) -> None:
        """Gives a session back that is not driven any more, if it was claimed."""
        self._left.append(live)
        self._wait = AGAIN
        self.due = self._clock.monotonic()
        self.turn(self.due)

    def turn(self, now: float) -> None:
        """Tries those that are left, when it is time."""
        if now < self.due:
            return
        self._left = [live for live in self._left if not self._is_settled(live)]
        self.due = now + self._wait if self._left else math.inf
        self._wait = min(2 * self._wait, RARELY)

    def _is_settled(self, live: Live) -> bool:
        """Writes a release; whether this runner does not hold the session, or not any more."""
        try:
            if not self._holds(live):
                return True
        except Exception:  # A store that fails, of this library or a third party's; or a damaged history.
            return False
        (outcome,) = self._commits.append([live.release(self._clock.now())])
        # Of a conflict the next look shows whether it is somebody's claim or a late commit of our own.
        return outcome.error is None and not outcome.conflict

    def _holds(self, live: Live) -> bool:
        """Whether the claim stands behind all that is durable; takes in where that ends.

        An append that failed may be there all the same, the claim or a release among its facts.
        """
        for commit in self._store.read(live.id, live.position):
            for event in decode_body(commit.body, f"commit {commit.position} of session {live.id}"):
                if isinstance(event, RunnerClaimed):
                    live.is_claimed = live.made(commit)
                elif isinstance(event, RunnerReleased):
                    live.is_claimed = False
            live.position = commit.position
        return live.is_claimed
