"""What is polled together: the work of one job type and group, when that is done next, and what hangs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import define

from bunsui.runner.attempts.polls import count_of, longest_of, seconds_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from bunsui.ports.remote import RemoteJobType
    from bunsui.runner.attempts.remote_work import RemoteWork

#: What the seconds between two polls grow by, where a type lets them, and how far off they then may be.
GROWTH, JITTER = 1.5, 0.2
#: Handles of one group that are polled by themselves at the same time: what does not answer takes no more
#: threads than this, of the 16 that all groups of its type have.
ALONE = 8


@define(eq=False)
class Poll:
    """A poll that is on its way."""

    works: Sequence[RemoteWork]
    #: When it was handed to a thread, in seconds on the driver's clock.
    began: float


class Watching:
    """The work of one type and group, in the order of its submission.

    Times are seconds on the driver's clock.

    Args:
        kind: the type.
        random: for jitter.

    Raises:
        PluginError: what the type says of its polls makes no sense; its work is not lost.
    """

    def __init__(self, kind: RemoteJobType, random: Random) -> None:
        self.kind = kind
        self.works: dict[RemoteWork, None] = {}
        self._random = random
        self._interval = seconds_of(kind, "poll_interval", "between two polls")
        self._patience = seconds_of(kind, "poll_patience", "that a poll may take")
        self._longest = longest_of(kind)
        self._batch = count_of(kind)
        #: Seconds between two polls, as long as nothing ends.
        self._pace = self._interval
        #: When it is polled next, and how many polls one after the other were not answered.
        self._due = math.inf
        self.tries = 0
        self._failed_at = -math.inf
        #: Those that are on their way and may be waited for.
        self._polls: list[Poll] = []
        #: What made a poll of several fail, or hang, perhaps: it is polled by itself.
        self._suspects: set[RemoteWork] = set()

    def __bool__(self) -> bool:
        return bool(self.works)

    def add(self, work: RemoteWork, now: float) -> None:
        """Watches more work."""
        self.works[work] = None
        self._soon(now)

    def discard(self, work: RemoteWork) -> None:
        """Watches it no more."""
        self.works.pop(work, None)
        self._suspects.discard(work)

    def _soon(self, now: float) -> None:
        """Something has happened, so more may: the next poll is no further away than at first."""
        if self._longest is not None:
            self._pace = self._interval
        if not self.tries:  # Else the service has yet to answer.
            self._due = min(self._due, now + self._jittered(self._interval))

    def _jittered(self, seconds: float) -> float:
        if self._longest is None:
            return seconds
        return seconds * self._random.uniform(1 - JITTER, 1 + JITTER)

    @property
    def due(self) -> float:
        """When it is to be polled next; infinity where nothing is."""
        if not self.works:
            return math.inf
        # Until polls that are on their way have answered, or count as hanging, there is no other.
        return max([self._due, *(poll.began + self._patience for poll in self._polls)])

    def at_once(self) -> None:
        """Has it polled as soon as can be."""
        self._due = 0.0

    def begin(self, now: float) -> list[Poll]:
        """The polls that are due."""
        if not self.works or now < self._due or self._waits_for_polls(now):
            return []
        if self._longest is not None:
            # Unless this one brings an end: then it is as at first.
            self._pace = min(self._pace * GROWTH, self._longest)
        self._due = now + self._jittered(self._pace)
        # What hangs by itself is not asked again: each time would take another thread.
        asked = {poll.works[0] for poll in self._polls if len(poll.works) == 1}
        alone = [[work] for work in self.works if work in self._suspects and work not in asked]
        together = [work for work in self.works if work not in self._suspects and work not in asked]
        batches = [together[i : i + self._batch] for i in range(0, len(together), self._batch)]
        batches += alone[: max(ALONE - len(asked), 0)]
        polls = [Poll(batch, now) for batch in batches]
        self._polls += polls
        return polls

    def _waits_for_polls(self, now: float) -> bool:
        """Whether polls are on their way that may still answer.

        Those that hang are waited for no more. Of several handles any may be the reason: then each is polled
        by itself, once, and only that one goes on hanging.
        """
        waits = False
        for poll in [*self._polls]:
            if now < poll.began + self._patience:
                waits = True
            elif len(poll.works) > 1:
                self.suspect(poll.works)
                self._polls.remove(poll)  # An answer that comes all the same is taken.
        return waits

    # What polls came to

    def over(self, poll: Poll) -> None:
        """A poll has come back."""
        if poll in self._polls:
            self._polls.remove(poll)

    def answered(self, now: float, *, ended: bool) -> None:
        """The service has answered a poll.

        Args:
            now: the time.
            ended: whether anything had come to its end.
        """
        self.tries = 0
        if ended and self._longest is not None:
            self._soon(now)

    def failed(self, poll: Poll) -> int:
        """The service has not answered a poll; how often it has not, of those that began at one time once."""
        if poll.began > self._failed_at or not self.tries:
            self._failed_at = poll.began
            self.tries += 1
        return self.tries

    def again(self, now: float, wait: float) -> None:
        """The service is to be asked again in `wait` seconds, but not before its interval is over."""
        self._due = now + max(self._pace, wait)

    def cleared(self, work: RemoteWork) -> None:
        """It was no reason for a poll to fail."""
        self._suspects.discard(work)

    def suspect(self, works: Sequence[RemoteWork]) -> None:
        """One of these is the reason why a poll failed, or hangs."""
        self._suspects.update(work for work in works if work in self.works)
