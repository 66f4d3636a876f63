"""Figures of past runs, as values: how many, how they ended, how long they took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from datetime import datetime

#: Runs that are counted where nothing else is said.
LIMIT = 1000
#: How a job ended in a run, as `JobFigures.runs` counts it. A job is cached or reused that did not run, as
#: its output was there: from an equal job by its cache, or from the session that was run again.
OUTCOMES = ("succeeded", "failed", "skipped", "cancelled", "cached", "reused")


@frozen
class Percentiles:
    """The median and the tail of some durations, in seconds.

    Between two ranks they are interpolated linearly, as numpy does by default: type 7 of R. J. Hyndman and
    Y. Fan, "Sample Quantiles in Statistical Packages", The American Statistician 50 (1996), 361-365.
    """

    #: How many durations they are of; at least 1.
    count: int
    p50: float
    p95: float
    p99: float


def percentiles(seconds: Iterable[float]) -> Percentiles | None:
    """The percentiles of durations; None where there are none."""
    ordered = sorted(seconds)
    if not ordered:
        return None
    return Percentiles(len(ordered), *(_quantile(ordered, part) for part in (0.5, 0.95, 0.99)))


def _quantile(ordered: Sequence[float], part: float) -> float:
    rank = (len(ordered) - 1) * part
    below = int(rank)
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    # Never outside of the two, whatever rounding does.
    return min(max(low + (high - low) * (rank - below), low), high)


@frozen
class JobFigures:
    """What a job of a pipeline came to, over several runs."""

    job: str
    #: In how many runs it ended how: see `OUTCOMES`. What never occurred is left out.
    runs: Mapping[str, int]
    #: Of the runs in which it ran and succeeded or failed, the part that succeeded: 0 to 1; None: there are
    #: none.
    success_rate: float | None
    #: From the start of its first attempt, or of the fan-out, to its end, retries and the waiting between
    #: them included, in those runs.
    duration: Percentiles | None
    #: How long it waited for that start when nothing upstream held it up.
    queue_time: Percentiles | None
    #: How many attempts began, of its items, too; one that was lost with its runner and began again is two.
    attempts: int
    #: How many attempts failed and were followed by another.
    retries: int


@frozen
class PipelineFigures:
    """What the runs of a pipeline came to, and its jobs'."""

    pipeline: str
    #: How many runs have each status; what no run has is left out.
    runs: Mapping[str, int]
    #: Of the runs that succeeded, failed or timed out, the part that succeeded: 0 to 1; None: there are none.
    #: Who cancels a run says nothing of whether it would have succeeded.
    success_rate: float | None
    #: From start to end, in those runs.
    duration: Percentiles | None
    #: From creation to start.
    queue_time: Percentiles | None
    #: How many attempts of jobs began; see `JobFigures.attempts`.
    attempts: int
    #: How many attempts of jobs failed and were followed by another.
    retries: int
    #: By the job's id, in the order of the newest definition.
    jobs: Mapping[str, JobFigures]


@frozen
class Snapshot:
    """Figures of past runs, as `MetricsCollector.snapshot` gives them.

    All durations are in seconds. The time in which a session is paused is in none of them.
    """

    #: When it was made, in UTC.
    at: datetime
    #: Runs that were created earlier are not in it; None: all may be.
    since: datetime | None
    #: By the pipeline's name, in its order.
    pipelines: Mapping[str, PipelineFigures]
    #: How many runs it is of.
    sessions: int
    #: Whether older runs were left out, as there are more than were to be looked at.
    has_more: bool
    #: Entries of the index that can't be read: they are in no figure.
    damaged_entries: int
    #: Histories that can't be read: such a run is counted by its status, and is in no other figure.
    damaged_histories: int
