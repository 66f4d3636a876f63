"""What becomes of a batch that CloudWatch Logs did not take, and what is said of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from random import Random

from bunsui.errors import AwsError
from bunsui.logging.cloudwatch.calls import INVALID
from bunsui.logging.cloudwatch.events import Event
from bunsui.logging.cloudwatch.queue import Queue, Stream
from bunsui.performance.retrying import Backoff, RetryBudget, SharedBudget

#: Seconds before a call that was refused is tried again: somebody may have given the right meanwhile.
REST = 30.0
#: Seconds for which it fails before a warning says so, where it may pass; at once, where it was refused.
SILENCE = 30.0
#: Seconds before what failed is tried again while somebody waits for it. What was refused is so once, as the
#: writer is closed.
SOON = 1.0
#: Records that were refused one by one, and nothing taken meanwhile: from then on not they are wrong.
INNOCENT = 10
BACKOFF = Backoff(first=0.2, longest=10.0)

_log = logging.getLogger(__name__)


class Failures:
    """What fails in sending to one group. All but `warn` is called by who holds the writer's lock, or before.

    Args:
        group: its name.
    """

    def __init__(self, group: str) -> None:
        self._group = group
        self._budget = SharedBudget(Random(), RetryBudget(backoff=BACKOFF))  # noqa: S311 - for jitter
        #: Since when nothing was taken (monotonic).
        self._since: float | None = None
        #: What has failed since.
        self._error: str | None = None
        #: Whether what failed was refused, and somebody has to see to it.
        self.is_refused = False
        #: Records that were refused by themselves, one after the other.
        self._refused = 0
        self._lock = threading.Lock()
        self._has_said = self._has_ended = False
        self._warnings: list[tuple[object, ...]] = []

    def earn(self) -> None:
        """A batch is sent for the first time."""
        self._budget.earn()

    def passed(self) -> None:
        """A batch was taken."""
        self._since, self._error, self._refused, self.is_refused = None, None, 0, False

    def judge(
        self,
        error: Exception,
        stream: Stream,
        batch: Sequence[Event],
        queue: Queue,
        now: float,
        *,
        hurried: bool,
        closing: bool,
    ) -> float:
        """What becomes of a batch that was not sent.

        Args:
            error: why.
            stream: of it.
            batch: it; a record that is refused by itself is dropped.
            queue: where the stream is.
            now: monotonic.
            hurried: whether somebody waits for what is sent.
            closing: whether the writer is being closed.

        Returns:
            Seconds before the stream is tried again.
        """
        stream.tries += 1
        known = error if isinstance(error, AwsError) else None
        if known is not None and known.code == INVALID and known.action == "PutLogEvents":
            # One of them is what is wrong with it: it is found by halves.
            if len(batch) > 1:
                stream.most = len(batch) // 2
                return 0.0
            queue.drop(stream, 1, "CloudWatch Logs has refused them")
            self.say("group %s refuses a record: %s", self._group, error)
            self._refused += 1
            if self._refused < INNOCENT:
                return 0.0
        self._since = now if self._since is None else self._since
        passes = known is not None and known.kind in ("busy", "open")
        self.is_refused = self.is_refused or not passes
        self._error = str(error) if known is not None else type(error).__name__
        if not passes or now - self._since >= SILENCE:
            said = "logs can't be sent to group %s: %s; they wait, and what does not fit is counted"
            self.say(said, self._group, self._error)
        wait = self._budget.wait(stream.tries) if passes else REST
        is_urgent = (closing and stream.tries == 1) or (passes and (closing or hurried))
        return min(wait, SOON) if is_urgent else wait

    # What is said

    def say(self, *said: object) -> None:
        """Has something said, once, however often it happens."""
        with self._lock:
            if not (self._has_said or self._has_ended):
                self._has_said = True
                self._warnings.append(said)

    def end(self, lost: int, *, at_most: bool) -> None:
        """Has said what is missing at the end; nothing further is said.

        Args:
            lost: how many records.
            at_most: whether some of them were on their way, and may have come to be there.
        """
        text = "%s%d records of logs are missing in group %s: %s"
        with self._lock:
            why = "the queue was full, or they could not be sent before the end"
            if self._error is not None and not self._has_said:
                why = f"{why}; the last call failed: {self._error}"
            if lost:
                self._warnings.append((text, "up to " if at_most else "", lost, self._group, why))
            self._has_ended = True

    def warn(self) -> None:
        """Logs what there is to say, as warnings; whoever holds a lock must not call it."""
        if self._warnings:
            with self._lock:
                warnings, self._warnings = self._warnings, []
            for text, *values in warnings:
                _log.warning(str(text), *values)
