"""Which alerts are due: of the rules, and what is known of a session and of the runs before it.

Nothing here asks a store, a clock or a channel. Times are those of the history, which its runners took from
their clocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from attrs import field, frozen

from bunsui.model.status import JobStatus, SessionStatus

if TYPE_CHECKING:
    from bunsui.model.alerts import AlertRule
    from bunsui.model.session import Failure, JobState

__all__ = ["FAILED", "LEAST", "Due", "Known", "Run", "due", "looks_back", "next_look"]

#: How a session ends that has failed.
FAILED = frozenset({SessionStatus.FAILED, SessionStatus.TIMED_OUT})
#: Runs that a median is made of at least: of fewer it says little.
LEAST = 3


class Known(Protocol):
    """What is known of a session; a fold of its history is one."""

    @property
    def status(self) -> SessionStatus:
        """Where it stands."""

    @property
    def jobs(self) -> Mapping[str, JobState]:
        """Where its jobs stand, by id."""

    @property
    def error(self) -> Failure | None:
        """Why it failed, where it was no job that did."""

    @property
    def started_at(self) -> datetime | None:
        """When its first runner began to drive it."""

    @property
    def finished_at(self) -> datetime | None:
        """When it ended."""

    @property
    def last_at(self) -> datetime | None:
        """When the last thing happened that its history knows."""

    @property
    def paused_reason(self) -> str | None:
        """Why it is paused."""

    @property
    def paused_message(self) -> str | None:
        """What there is to say about that."""


@frozen
class Run:
    """A run of the same pipeline that was started before, and has ended otherwise than by being cancelled."""

    status: SessionStatus
    #: How long it took, in seconds; None: it never began.
    seconds: float | None = None
    #: How long its jobs took that succeeded, by id, where that is known.
    jobs: Mapping[str, float] = field(factory=dict)


@frozen
class Due:
    """An alert that is due."""

    rule: AlertRule
    #: When that happened which it is about.
    at: datetime
    #: Of a duration: seconds that it has taken so far, and the limit. Of a success rate: how many of how many
    #: runs succeeded. Of a recovery: how many runs in a row had failed.
    figures: tuple[float, ...] = ()


def looks_back(rules: Iterable[AlertRule], known: Known) -> bool:
    """Whether `due` needs the runs before to decide about one of the rules."""
    return any(
        (rule.on == "duration" and rule.above_median is not None)
        or (rule.on in ("recovery", "success_rate") and known.status.is_terminal)
        for rule in rules
    )


def due(
    rules: Iterable[AlertRule],
    known: Known,
    past: Sequence[Run] | None = None,
    now: datetime | None = None,
) -> list[Due]:
    """The alerts that are due, at most one of each rule; once due, one stays so.

    Args:
        rules: what somebody wants to be told of.
        known: what is known of the session.
        past: the runs before it, the newest first; None: they have not been looked at. Then what only they
            decide is due as soon as it may be.
        now: the time; None: nothing is due because time passes.
    """
    found = (_OF[rule.on](rule, known, past, now) for rule in rules)
    return [one for one in found if one is not None]


def _failure(rule: AlertRule, known: Known, past: Sequence[Run] | None, now: datetime | None) -> Due | None:
    del past, now
    if rule.job is None:
        return Due(rule, known.finished_at) if known.status in FAILED and known.finished_at else None
    job = known.jobs.get(rule.job)
    if job is None or job.status is not JobStatus.FAILED or job.finished_at is None:
        return None
    return Due(rule, job.finished_at)


def _recovery(rule: AlertRule, known: Known, past: Sequence[Run] | None, now: datetime | None) -> Due | None:
    del now
    if known.status is not SessionStatus.SUCCEEDED or known.finished_at is None:
        return None
    if past is None:
        return Due(rule, known.finished_at)
    failed = next((i for i, run in enumerate(past) if run.status not in FAILED), len(past))
    return Due(rule, known.finished_at, (failed,)) if failed else None


def _duration(rule: AlertRule, known: Known, past: Sequence[Run] | None, now: datetime | None) -> Due | None:
    began, ended = _times(rule, known)
    until = ended or now
    if began is None or until is None:
        return None
    limit = limit_of(rule, past)
    if limit is None:
        return Due(rule, until) if past is None else None
    seconds = (until - began).total_seconds()
    return Due(rule, _after(began, limit), (seconds, limit)) if seconds > limit else None


def limit_of(rule: AlertRule, past: Sequence[Run] | None) -> float | None:
    """How long a session or a job may take, in seconds; None: that is not known."""
    if rule.above is not None or rule.above_median is None:
        return rule.above
    from statistics import median  # noqa: PLC0415 - 10 ms that few rules need, and drivers import this

    took = _past_seconds(rule, past or ())
    return rule.above_median * median(took) if len(took) >= min(LEAST, rule.runs) else None


def _past_seconds(rule: AlertRule, past: Sequence[Run]) -> list[float]:
    """How long those of the last runs took that succeeded, or the rule's job in them."""
    succeeded = [run for run in past[: rule.runs] if run.status is SessionStatus.SUCCEEDED]
    took = [run.seconds if rule.job is None else run.jobs.get(rule.job) for run in succeeded]
    return [seconds for seconds in took if seconds is not None]


def _times(rule: AlertRule, known: Known) -> tuple[datetime | None, datetime | None]:
    """When the session, or the rule's job, began and ended."""
    if rule.job is None:
        return known.started_at, known.finished_at
    job = known.jobs.get(rule.job)
    # What still ran when the session ended has ended with it.
    return (None, None) if job is None else (job.started_at, job.finished_at or known.finished_at)


def _success_rate(
    rule: AlertRule, known: Known, past: Sequence[Run] | None, now: datetime | None
) -> Due | None:
    del now
    if not known.status.is_terminal or known.status is SessionStatus.CANCELLED or known.finished_at is None:
        return None
    if past is None:
        return Due(rule, known.finished_at)
    ends = [known.status, *(run.status for run in past)]
    # Told when it falls below, and not again with each run until it has risen.
    if not _is_low(rule, ends[: rule.runs]) or _is_low(rule, ends[1 : rule.runs + 1]):
        return None
    return Due(rule, known.finished_at, (_succeeded(ends[: rule.runs]), rule.runs))


def _is_low(rule: AlertRule, ends: Sequence[SessionStatus]) -> bool:
    enough = len(ends) == rule.runs and rule.below is not None
    return enough and _succeeded(ends) / len(ends) < (rule.below or 0)


def _succeeded(ends: Sequence[SessionStatus]) -> int:
    return sum(status is SessionStatus.SUCCEEDED for status in ends)


def _stalled(rule: AlertRule, known: Known, past: Sequence[Run] | None, now: datetime | None) -> Due | None:
    del past
    if now is None or rule.after is None or known.last_at is None or _rests(known):
        return None
    seconds = (now - known.last_at).total_seconds()
    return Due(rule, _after(known.last_at, rule.after), (seconds,)) if seconds >= rule.after else None


def _rests(known: Known) -> bool:
    """Whether nothing is to move: it has ended, or somebody wants it paused."""
    return known.status.is_terminal or (
        known.status is SessionStatus.PAUSED and known.paused_reason == "user"
    )


def _after(at: datetime, seconds: float) -> datetime:
    try:
        return at + timedelta(seconds=seconds)
    except OverflowError:  # After there are times.
        return datetime.max.replace(tzinfo=at.tzinfo)


_OF = {
    "failure": _failure,
    "recovery": _recovery,
    "duration": _duration,
    "success_rate": _success_rate,
    "stalled": _stalled,
}


def next_look(
    rules: Iterable[AlertRule], known: Known, past: Sequence[Run] | None, now: datetime
) -> datetime | None:
    """When one of the rules may be due next because time passes; None: never, if nothing happens.

    Args:
        rules: those of which nothing is due yet.
        known: what is known of the session.
        past: the runs before it.
        now: the time.
    """
    times = []
    for rule in rules:
        if rule.on == "stalled" and rule.after is not None and not known.status.is_terminal:
            since = now if _rests(known) or known.last_at is None else known.last_at
            times.append(_after(since, rule.after))
        elif rule.on == "duration" and not known.status.is_terminal:
            began, ended = _times(rule, known)
            limit = limit_of(rule, past)
            if ended is None and limit is not None:
                # What has not begun can't be overdue before it might have been, had it begun now.
                times.append(_after(began or now, limit))
    return max(now, min(times)) if times else None
