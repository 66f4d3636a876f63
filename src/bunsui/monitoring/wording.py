"""What an alert says: one line for a person, and the same in plain data."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

from bunsui.dsl.problems import printable
from bunsui.model.status import JobStatus, SessionStatus
from bunsui.model.times import to_text
from bunsui.ports.alerts import Alert

if TYPE_CHECKING:
    from collections.abc import Collection

    from bunsui.model.alerts import AlertRule
    from bunsui.model.session import Failure
    from bunsui.monitoring.alerts import Due, Known

__all__ = ["alert_id", "alert_of", "span"]

#: Most characters of an error's message in an alert. Messages are redacted where they are recorded.
MOST = 500
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def alert_id(session: str, rule: AlertRule) -> str:
    """The id of what a rule has to say of a session: 32 hexadecimal digits, the same whoever says it."""
    return hashlib.sha256(f"bunsui-alert\0{session}\0{rule.id}".encode()).hexdigest()[:32]


def span(seconds: float) -> str:
    """How long that is, for a person: its two largest units, such as ``2 h 5 min``."""
    for i, (size, unit) in enumerate(_UNITS):
        if seconds >= size:
            smaller, its_unit = _UNITS[i + 1] if i + 1 < len(_UNITS) else (1, "s")
            rest = int(seconds % size // smaller)
            return f"{int(seconds // size)} {unit}" + (f" {rest} {its_unit}" if rest else "")
    return f"{seconds:.3g} s"


def alert_of(found: Due, known: Known, session: str, pipeline: str, allowed: Collection[str] = ()) -> Alert:
    """The alert that is sent.

    Args:
        found: what is due.
        known: what is known of the session.
        session: its id.
        pipeline: the pipeline's name.
        allowed: the jobs that may fail without the session failing by it: they are not to blame.
    """
    rule = found.rule
    whose = f"session {session} of '{pipeline}'"
    about = whose if rule.job is None else f"job '{rule.job}' of {whose}"
    if rule.on == "failure":
        said, details = _failure(found, known, about, allowed)
    else:
        said, details = _SAY[rule.on](found, known, about)
    details["status"] = str(known.status)
    for name, at in (("started_at", known.started_at), ("finished_at", known.finished_at)):
        if at is not None:
            details[name] = to_text(at)
    return Alert(
        id=alert_id(session, rule),
        on=rule.on,
        pipeline=pipeline,
        at=found.at,
        summary=printable(said),
        session_id=session,
        job=rule.job,
        details=details,
    )


def _failure(found: Due, known: Known, about: str, allowed: Collection[str]) -> tuple[str, dict[str, Any]]:
    job, error = found.rule.job, known.error
    what = "took longer than its timeout" if known.status is SessionStatus.TIMED_OUT else "failed"
    details: dict[str, Any] = {}
    by = ""
    if job is not None:
        what, error = "failed", known.jobs[job].error
    else:
        failed = _failed(known, allowed)
        details["failed_jobs"] = failed[:20]
        if error is None and failed:
            error, by = known.jobs[failed[0]].error, f"job '{failed[0]}': "
    if error is None:
        return f"{about} {what}", details
    details["error"] = {"code": error.code, "message": _cut(error.message)}
    return f"{about} {what}: {by}{_error(error)}", details


def _failed(known: Known, allowed: Collection[str]) -> list[str]:
    """The jobs by which a session failed, the first one first: what came after it may be due to it."""
    failed = [
        (math.inf if state.finished_at is None else state.finished_at.timestamp(), id_)
        for id_, state in known.jobs.items()
        if state.status is JobStatus.FAILED and id_ not in allowed
    ]
    return [id_ for _, id_ in sorted(failed, key=lambda one: one[0])]


def _error(error: Failure) -> str:
    return f"{error.code}: {_cut(error.message)}"


def _cut(text: str) -> str:
    return text if len(text) <= MOST else f"{text[: MOST - 1]}…"


def _recovery(found: Due, known: Known, about: str) -> tuple[str, dict[str, Any]]:
    del known  # That it succeeded is why it is due.
    failed = int(found.figures[0]) if found.figures else 1
    runs = "the run before it had" if failed == 1 else f"the {failed} runs before it had"
    if failed > found.rule.runs:
        runs = f"at least {runs}"  # No more of them were looked at.
    return f"{about} succeeded; {runs} failed", {"failed_runs": failed}


def _duration(found: Due, known: Known, about: str) -> tuple[str, dict[str, Any]]:
    seconds, limit = found.figures
    rule = found.rule
    job = None if rule.job is None else known.jobs[rule.job]
    ended = known.finished_at is not None if job is None else job.finished_at is not None
    took = f"took {span(seconds)}" if ended else f"has taken {span(seconds)} so far"
    why = "" if rule.above_median is None else f", {rule.above_median:g} times the median of past runs"
    return f"{about} {took}, more than {span(limit)}{why}", {"seconds": seconds, "limit": limit}


def _success_rate(found: Due, known: Known, about: str) -> tuple[str, dict[str, Any]]:
    del known  # How it ended counts among the figures.
    succeeded, runs = (int(figure) for figure in found.figures)
    below = (found.rule.below or 0) * 100
    text = f"with {about}, {succeeded} of the last {runs} runs succeeded, less than {below:g} %"
    return text, {"succeeded": succeeded, "runs": runs}


def _stalled(found: Due, known: Known, about: str) -> tuple[str, dict[str, Any]]:
    (seconds,) = found.figures
    since = "" if known.last_at is None else to_text(known.last_at)
    details: dict[str, Any] = {"seconds": seconds, "since": since}
    why = ""
    if known.status is SessionStatus.PAUSED:
        details["paused_reason"] = known.paused_reason
        why = f"; it is paused ({known.paused_reason})"
        if known.paused_message:
            why += f": {_cut(known.paused_message)}"
    return f"{about} has not moved for {span(seconds)}, since {since}{why}", details


_SAY = {
    "recovery": _recovery,
    "duration": _duration,
    "success_rate": _success_rate,
    "stalled": _stalled,
}
