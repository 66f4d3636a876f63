"""Which alerts are due, and what they say: tables, and what has to hold for whatever is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from bunsui.model.alerts import AlertRule
from bunsui.model.session import Failure, JobState
from bunsui.model.status import JobStatus, SessionStatus
from bunsui.monitoring.alerts import Run, due, looks_back, next_look
from bunsui.monitoring.wording import alert_id, alert_of, span

START = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)
SUCCEEDED, FAILED, TIMED_OUT, CANCELLED, RUNNING, PAUSED = (
    SessionStatus.SUCCEEDED,
    SessionStatus.FAILED,
    SessionStatus.TIMED_OUT,
    SessionStatus.CANCELLED,
    SessionStatus.RUNNING,
    SessionStatus.PAUSED,
)


def at(seconds: float | None) -> datetime | None:
    return None if seconds is None else START + timedelta(seconds=seconds)


@frozen
class Seen:
    """What is known of a session."""

    status: SessionStatus = RUNNING
    jobs: Mapping[str, JobState] = field(factory=dict)
    error: Failure | None = None
    started_at: datetime | None = START
    finished_at: datetime | None = None
    last_at: datetime | None = START
    paused_reason: str | None = None
    paused_message: str | None = None


def ended(status: SessionStatus, seconds: float = 60, **more: Any) -> Seen:
    return Seen(status, finished_at=at(seconds), last_at=at(seconds), **more)


def job(
    status: JobStatus, began: float | None = 0, over: float | None = None, **more: Any
) -> dict[str, JobState]:
    return {"load": JobState(status, started_at=at(began), finished_at=at(over), **more)}


BOOM = Failure("ValueError", "no rows")
FAILURE = AlertRule("failure", "ops")
OF_JOB = AlertRule("failure", "ops", job="load")
RECOVERY = AlertRule("recovery", "ops")
ABOVE = AlertRule("duration", "ops", above=60)
JOB_ABOVE = AlertRule("duration", "ops", above=60, job="load")
MEDIAN = AlertRule("duration", "ops", above_median=3, runs=5)
JOB_MEDIAN = AlertRule("duration", "ops", above_median=3, job="load")
RATE = AlertRule("success_rate", "ops", below=0.75, runs=4)
STALLED = AlertRule("stalled", "ops", after=1800)

OK, BAD = Run(SUCCEEDED, 10.0), Run(FAILED, 1.0)


@pytest.mark.parametrize(
    ("rule", "known", "past", "now", "expected"),
    [
        # Failure
        (FAILURE, ended(FAILED), (), None, 60),
        (FAILURE, ended(TIMED_OUT), (), None, 60),
        (FAILURE, ended(SUCCEEDED), (), None, None),
        (FAILURE, ended(CANCELLED), (), None, None),
        (FAILURE, Seen(), (), 10**6, None),
        (FAILURE, Seen(jobs=job(JobStatus.FAILED, 0, 5)), (), None, None),
        (OF_JOB, Seen(jobs=job(JobStatus.FAILED, 0, 5)), (), None, 5),
        (OF_JOB, ended(SUCCEEDED, jobs=job(JobStatus.FAILED, 0, 5)), (), None, 5),
        (OF_JOB, ended(FAILED, jobs=job(JobStatus.SUCCEEDED, 0, 5)), (), None, None),
        (OF_JOB, Seen(jobs=job(JobStatus.RETRYING, 0)), (), None, None),
        (OF_JOB, Seen(), (), None, None),
        # Recovery
        (RECOVERY, ended(SUCCEEDED), (BAD, OK), None, 60),
        (RECOVERY, ended(SUCCEEDED), (Run(TIMED_OUT),), None, 60),
        (RECOVERY, ended(SUCCEEDED), (OK, BAD), None, None),
        (RECOVERY, ended(SUCCEEDED), (), None, None),
        (RECOVERY, ended(FAILED), (BAD,), None, None),
        (RECOVERY, Seen(), (BAD,), 10**6, None),
        # Duration
        (ABOVE, ended(SUCCEEDED, 61), (), None, 60),
        (ABOVE, ended(SUCCEEDED, 60), (), None, None),
        (ABOVE, ended(CANCELLED, 61), (), None, 60),
        (ABOVE, Seen(), (), 61, 60),
        (ABOVE, Seen(), (), 60, None),
        (ABOVE, Seen(), (), None, None),
        (ABOVE, Seen(started_at=None), (), 10**6, None),
        (ABOVE, ended(SUCCEEDED, 50), (), 10**6, None),
        (JOB_ABOVE, Seen(jobs=job(JobStatus.RUNNING, 10)), (), 71, 70),
        (JOB_ABOVE, Seen(jobs=job(JobStatus.RUNNING, 10)), (), 70, None),
        (JOB_ABOVE, Seen(jobs=job(JobStatus.PENDING, None)), (), 10**6, None),
        (JOB_ABOVE, Seen(jobs=job(JobStatus.SUCCEEDED, 10, 71)), (), None, 70),
        (JOB_ABOVE, ended(CANCELLED, 65, jobs=job(JobStatus.RUNNING, 10)), (), 10**6, None),
        # The median
        (MEDIAN, ended(SUCCEEDED, 31), (OK, OK, OK), None, 30),
        (MEDIAN, ended(SUCCEEDED, 30), (OK, OK, OK), None, None),
        (MEDIAN, ended(SUCCEEDED, 10**6), (OK, OK), None, None),
        (MEDIAN, ended(SUCCEEDED, 10**6), (OK, OK, BAD, BAD), None, None),
        (MEDIAN, ended(SUCCEEDED, 10**6), (OK, OK, BAD, BAD, BAD, OK), None, None),
        (MEDIAN, Seen(), (OK, OK, OK), 31, 30),
        (MEDIAN, ended(FAILED, 40), (OK, Run(SUCCEEDED, 12), Run(SUCCEEDED, 1000)), None, 36),
        (
            JOB_MEDIAN,
            Seen(jobs=job(JobStatus.RUNNING)),
            [Run(SUCCEEDED, 99, {"load": seconds}) for seconds in (2, 4, 3)],
            10,
            9,
        ),
        (JOB_MEDIAN, Seen(jobs=job(JobStatus.RUNNING)), (OK, OK, OK), 10**6, None),
        # The success rate
        (RATE, ended(FAILED), (OK, BAD, OK), None, 60),
        (RATE, ended(FAILED), (OK, OK, OK), None, None),
        (RATE, ended(FAILED), (BAD, BAD), None, None),
        (RATE, ended(FAILED), (BAD, BAD, BAD, BAD), None, None),
        (RATE, ended(FAILED), (OK, OK, BAD, OK, OK), None, 60),
        (RATE, ended(SUCCEEDED), (BAD, BAD, OK), None, 60),
        (RATE, ended(CANCELLED), (BAD, BAD, BAD), None, None),
        (RATE, Seen(), (BAD, BAD, BAD), 10**6, None),
        # Stalled
        (STALLED, Seen(), (), 1800, 1800),
        (STALLED, Seen(), (), 1799, None),
        (STALLED, Seen(), (), None, None),
        (STALLED, Seen(last_at=at(100)), (), 1800, None),
        (STALLED, ended(SUCCEEDED), (), 10**6, None),
        (STALLED, Seen(PAUSED, paused_reason="user"), (), 10**6, None),
        (STALLED, Seen(PAUSED, paused_reason="crash-loop"), (), 1800, 1800),
    ],
)
def test_what_is_due(
    rule: AlertRule, known: Seen, past: Sequence[Run], now: float | None, expected: float | None
) -> None:
    """Each rule, and where it begins and ends to hold; the time is when that happened which it is about."""
    found = due([rule], known, past, at(now))
    assert [one.at for one in found] == ([] if expected is None else [at(expected)])
    assert all(one.rule is rule for one in found)


RULES = st.sampled_from([FAILURE, OF_JOB, RECOVERY, ABOVE, JOB_ABOVE, MEDIAN, JOB_MEDIAN, RATE, STALLED])
RUNS = st.lists(
    st.builds(Run, st.sampled_from([SUCCEEDED, FAILED, TIMED_OUT]), st.floats(0, 100) | st.none()), max_size=8
)
JOBS = st.sampled_from(
    [
        {},
        job(JobStatus.PENDING, None),
        job(JobStatus.RUNNING, 3),
        job(JobStatus.FAILED, 3, 40),
        job(JobStatus.SUCCEEDED, 3, 90),
    ]
)
SEEN = st.one_of(
    st.builds(Seen, st.just(RUNNING), JOBS),
    st.builds(Seen, st.just(PAUSED), JOBS, paused_reason=st.sampled_from(["user", "crash-loop"])),
    st.builds(
        lambda status, seconds, jobs: ended(status, seconds, jobs=jobs),
        st.sampled_from([SUCCEEDED, FAILED, TIMED_OUT, CANCELLED]),
        st.floats(100, 1000),
        JOBS,
    ),
)


@given(st.lists(RULES, unique_by=id), SEEN, RUNS, st.floats(0, 10**5), st.floats(0, 10**5))
def test_what_is_due_stays_due(
    rules: list[AlertRule], known: Seen, past: list[Run], now: float, more: float
) -> None:
    """At most one of each rule; time adds to it and takes nothing away; each alert can be said."""
    found = due(rules, known, past, at(now))
    later = due(rules, known, past, at(now + more))
    assert len({one.rule.id for one in found}) == len(found)
    assert {one.rule.id for one in found} <= {one.rule.id for one in later}
    assert {one.rule.id: one.at for one in found}.items() <= {one.rule.id: one.at for one in later}.items()
    for one in later:
        alert = alert_of(one, known, "s1", "Load")
        assert alert.id == alert_id("s1", one.rule)
        assert "\n" not in alert.summary


@given(st.lists(RULES, unique_by=id), SEEN, RUNS)
def test_what_only_the_past_decides_may_be_due(rules: list[AlertRule], known: Seen, past: list[Run]) -> None:
    """Who has not looked at the runs before takes nothing for done that is due with them."""
    maybe = {one.rule.id for one in due(rules, known)}
    assert {one.rule.id for one in due(rules, known, past)} <= maybe
    if not looks_back(rules, known):
        assert {one.rule.id for one in due(rules, known, past)} == maybe


@given(st.lists(RULES, unique_by=id), SEEN, RUNS, st.floats(0, 10**4), st.floats(0.001, 10**5))
def test_the_next_look_misses_nothing(
    rules: list[AlertRule], known: Seen, past: list[Run], now: float, more: float
) -> None:
    """Before it, nothing that is not due by now comes to be due because time passes."""
    before = {one.rule.id for one in due(rules, known, past, at(now))}
    left = [rule for rule in rules if rule.id not in before]
    time = at(now)
    assert time is not None
    look = next_look(left, known, past, time)
    later = at(now + more)
    assert later is not None
    if look is None or later < look:
        assert due(left, known, past, later) == []


@pytest.mark.parametrize(
    ("rule", "known", "past", "now", "summary"),
    [
        (
            FAILURE,
            ended(FAILED, jobs=job(JobStatus.FAILED, 0, 5, error=BOOM)),
            (),
            None,
            "session s1 of 'Load' failed: job 'load': ValueError: no rows",
        ),
        (
            FAILURE,
            ended(FAILED, error=Failure("InvalidOutput", "too large")),
            (),
            None,
            "session s1 of 'Load' failed: InvalidOutput: too large",
        ),
        (FAILURE, ended(TIMED_OUT), (), None, "session s1 of 'Load' took longer than its timeout"),
        (
            OF_JOB,
            ended(TIMED_OUT, jobs=job(JobStatus.FAILED, 0, 5, error=BOOM)),
            (),
            None,
            "job 'load' of session s1 of 'Load' failed: ValueError: no rows",
        ),
        (
            OF_JOB,
            Seen(jobs=job(JobStatus.FAILED, 0, 5, error=Failure("E", "a\nb\x1b[31m"))),
            (),
            None,
            "job 'load' of session s1 of 'Load' failed: E: a\\nb\\x1b[31m",
        ),
        (
            RECOVERY,
            ended(SUCCEEDED),
            (BAD,),
            None,
            "session s1 of 'Load' succeeded; the run before it had failed",
        ),
        (
            RECOVERY,
            ended(SUCCEEDED),
            (BAD, BAD, OK),
            None,
            "session s1 of 'Load' succeeded; the 2 runs before it had failed",
        ),
        (
            RECOVERY,
            ended(SUCCEEDED),
            (BAD,) * 21,
            None,
            "session s1 of 'Load' succeeded; at least the 21 runs before it had failed",
        ),
        (ABOVE, ended(SUCCEEDED, 7325), (), None, "session s1 of 'Load' took 2 h 2 min, more than 1 min"),
        (ABOVE, Seen(), (), 90, "session s1 of 'Load' has taken 1 min 30 s so far, more than 1 min"),
        (
            MEDIAN,
            ended(SUCCEEDED, 31),
            (OK, OK, OK),
            None,
            "session s1 of 'Load' took 31 s, more than 30 s, 3 times the median of past runs",
        ),
        (
            RATE,
            ended(FAILED),
            (OK, BAD, OK),
            None,
            "with session s1 of 'Load', 2 of the last 4 runs succeeded, less than 75 %",
        ),
        (
            STALLED,
            Seen(PAUSED, paused_reason="unknown-job", paused_message="say what became of it"),
            (),
            3600,
            "session s1 of 'Load' has not moved for 1 h, since 2026-03-01T04:30:00.000000Z; it is paused"
            " (unknown-job): say what became of it",
        ),
    ],
)
def test_what_is_said(
    rule: AlertRule, known: Seen, past: Sequence[Run], now: float | None, summary: str
) -> None:
    """One line with what happened, and why."""
    (found,) = due([rule], known, past, at(now))
    assert alert_of(found, known, "s1", "Load").summary == summary


def test_a_long_message_is_cut() -> None:
    """An alert is for a person, whatever an error has to say."""
    known = ended(FAILED, error=Failure("E", "x" * 10_000))
    (found,) = due([FAILURE], known)
    alert = alert_of(found, known, "s1", "Load")
    assert len(alert.summary) < 600
    assert len(alert.details["error"]["message"]) == 500


def test_an_id_is_the_sessions_and_the_rules() -> None:
    """It is the same each time, and another one for each session and rule."""
    ids = [alert_id(session, rule) for session in ("s1", "s2") for rule in (FAILURE, OF_JOB)]
    assert len(set(ids)) == 4
    assert alert_id("s1", evolve_silence(FAILURE)) != ids[0]
    assert alert_id("s1", AlertRule("failure", ["ops"])) == ids[0]


def evolve_silence(rule: AlertRule) -> AlertRule:
    return AlertRule(rule.on, rule.channels, silence=5)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.0123, "0.0123 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61.5, "1 min 1 s"),
        (3600, "1 h"),
        (3601, "1 h"),
        (7325, "2 h 2 min"),
        (86400 * 3 + 3600, "3 d 1 h"),
    ],
)
def test_a_span(seconds: float, text: str) -> None:
    """The two largest units, next to each other."""
    assert span(seconds) == text
