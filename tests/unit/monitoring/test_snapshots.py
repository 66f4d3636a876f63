"""Figures of past runs are what the histories say, whatever else is in the store."""

from __future__ import annotations

import statistics
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import bunsui
from bunsui.engine import events as ev
from bunsui.engine.fold import Fold
from bunsui.model.session import Failure
from bunsui.monitoring import MetricsCollector, Percentiles, snapshots
from bunsui.monitoring.figures import percentiles
from bunsui.ports.store import Append, Commit
from bunsui.runner.sessions import index
from bunsui.stores.records import body_of, encode_event
from bunsui.stores.sessions import DEFINITION
from bunsui.testing import FakeStore

#: When all sessions of these tests are created, as far as nothing else is said.
AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
NOW = datetime(2026, 1, 5, 18, tzinfo=UTC)
BROKEN = Failure("ValueError", "broken", True)


def pipeline_of(**jobs):
    """A pipeline of jobs by id, each with what it depends on."""
    return bunsui.Pipeline(
        "etl",
        [
            bunsui.Job(job, "custom", command=["true"], depends_on=list(depends))
            for job, depends in jobs.items()
        ],
    )


class Recorded:
    """Sessions of one pipeline whose histories were written by hand."""

    def __init__(self, pipeline):
        self.store, self.pipeline = FakeStore(), pipeline
        self.store.put(DEFINITION, pipeline.digest, pipeline.to_dict())
        self._number = 0

    def session(self, *facts, at=AT, name=None):
        """A session that is created, and of which these facts follow: (seconds later, event, fields)."""
        self._number += 1
        session = f"{'a' * 15}{'abcdefghijklmnopqrstuvwxyz'[self._number]}"
        fold = Fold(self.pipeline.graph.upstream)
        events = [ev.SessionCreated(at, session, name or self.pipeline.name, self.pipeline.digest, {})]
        events += [cls(at=at + timedelta(seconds=later), **fields) for later, cls, fields in facts]
        for event in events:
            fold.apply(event)
        body = body_of([encode_event(event) for event in events])
        [done] = self.store.append([Append(session, Commit(1, "c1", body), index.entry(fold))])
        assert done.ok
        return session

    def snapshot(self, pipeline=None, since=None, limit=1000):
        return snapshots.snapshot(self.store, pipeline, since, limit, NOW)


def claimed(seconds, epoch=1):
    return (seconds, ev.RunnerClaimed, {"runner": "r", "epoch": epoch})


def started(seconds, job, attempt=1):
    return (seconds, ev.JobStarted, {"job": job, "attempt": attempt, "key": "k"})


def succeeded(seconds, job, attempt=1, **fields):
    return (seconds, ev.JobSucceeded, {"job": job, "attempt": attempt, **fields})


def begun(seconds=0):
    return [claimed(seconds), (seconds, ev.SessionStarted, {})]


def run(took, *, waited=0.0, end=ev.SessionSucceeded):
    """The facts of a run of one job `a`, which takes as long as the run does."""
    last = [(waited + took, end, {})]
    if end is ev.SessionFailed:
        job = (waited + took, ev.JobFailed, {"job": "a", "attempt": 1, "error": BROKEN})
    elif end is ev.SessionCancelled:
        last = [(waited + took, ev.CancelRequested, {"request": "q"})]
        last += [(waited + took, ev.JobCancelled, {"job": "a", "reason": "x"}), (waited + took, end, {})]
        return [*begun(waited), started(waited, "a"), *last]
    else:
        job = succeeded(waited + took, "a")
    return [*begun(waited), started(waited, "a"), job, *last]


# Percentiles


@given(st.lists(st.floats(0, 1e9), min_size=2))
def test_percentiles_are_those_of_the_standard_library(seconds):
    """Linear interpolation: the `inclusive` method of `statistics.quantiles`."""
    found = percentiles(seconds)
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    assert [len(seconds), *(pytest.approx(cuts[i - 1], rel=1e-9, abs=1e-9) for i in (50, 95, 99))] == [
        found.count,
        found.p50,
        found.p95,
        found.p99,
    ]


@given(st.lists(st.floats(0, 1e9), min_size=1))
@example([0.1, 0.1, 0.1])
def test_percentiles_are_ordered_and_within(seconds):
    """None is below another of a lower rank, or outside of what there is; rounding changes nothing in it."""
    found = percentiles(seconds)
    assert min(seconds) <= found.p50 <= found.p95 <= found.p99 <= max(seconds)


def test_percentiles_of_nothing():
    """There are none; of one duration they are that."""
    assert (None, Percentiles(1, 2.0, 2.0, 2.0)) == (percentiles([]), percentiles([2.0]))


# Pipelines


def test_a_pipeline_in_figures():
    """Runs by status; the rate leaves out who was cancelled or is not done; so do the durations."""
    made = Recorded(pipeline_of(a=[]))
    for took in (1.0, 2.0, 3.0):
        made.session(*run(took, waited=0.5))
    made.session(*run(9.0, end=ev.SessionFailed))
    made.session(*run(100.0, end=ev.SessionCancelled))
    made.session(*begun(2.5))
    found = made.snapshot()
    figures = found.pipelines["etl"]
    assert {"cancelled": 1, "failed": 1, "running": 1, "succeeded": 3} == figures.runs
    assert 0.75 == figures.success_rate
    assert percentiles([1.0, 2.0, 3.0, 9.0]) == figures.duration
    assert percentiles([0.5, 0.5, 0.5, 0, 0, 2.5]) == figures.queue_time
    assert (6, False, 0, 0) == (
        found.sessions,
        found.has_more,
        found.damaged_entries,
        found.damaged_histories,
    )
    assert (NOW, None) == (found.at, found.since)


def test_a_run_that_timed_out_counts_against_the_rate():
    """It did not succeed, and nobody gave it up."""
    made = Recorded(pipeline_of(a=[]))
    made.session(
        *begun(),
        started(0, "a"),
        (5, ev.TimeoutReached, {}),
        (5, ev.JobCancelled, {"job": "a", "reason": "timeout"}),
        (5, ev.SessionTimedOut, {}),
    )
    figures = made.snapshot().pipelines["etl"]
    assert ({"timed_out": 1}, 0.0, 5.0) == (figures.runs, figures.success_rate, figures.duration.p50)


def test_nothing_was_judged_yet():
    """There is no rate then, and no duration: not 0."""
    made = Recorded(pipeline_of(a=[]))
    made.session(*begun())
    figures = made.snapshot().pipelines["etl"]
    assert (None, None) == (figures.success_rate, figures.duration)


def test_pauses_count_in_no_figure():
    """Neither in the run's duration, nor in what a job took or waited over it."""
    made = Recorded(pipeline_of(a=[], b=["a"]))
    made.session(
        *begun(),
        started(0, "a"),
        (1, ev.PauseRequested, {"request": "q"}),
        succeeded(4, "a"),
        (4, ev.SessionPaused, {"reason": "user"}),
        (4, ev.RunnerReleased, {"epoch": 1}),
        claimed(1004, 2),
        (1004, ev.SessionResumed, {}),
        started(1005, "b"),
        succeeded(1007, "b"),
        (1008, ev.SessionSucceeded, {}),
    )
    figures = made.snapshot().pipelines["etl"]
    assert 8.0 == figures.duration.p50
    assert (4.0, 2.0) == (figures.jobs["a"].duration.p50, figures.jobs["b"].duration.p50)
    assert 1.0 == figures.jobs["b"].queue_time.p50


# Jobs


def test_a_job_waits_from_when_nothing_upstream_holds_it_up():
    """From the end of the last that it waits for; without one, from the start of the run."""
    made = Recorded(pipeline_of(a=[], b=[], c=["a", "b"]))
    made.session(
        *begun(1),
        started(2, "a"),
        started(4, "b"),
        succeeded(5, "a"),
        succeeded(7, "b"),
        started(10, "c"),
        succeeded(11, "c"),
        (11, ev.SessionSucceeded, {}),
    )
    jobs = made.snapshot().pipelines["etl"].jobs
    assert ["a", "b", "c"] == list(jobs)
    assert [1.0, 3.0, 3.0] == [jobs[job].queue_time.p50 for job in "abc"]


def test_retries_are_part_of_what_a_job_took():
    """And are counted; as is an attempt that was lost with its runner and began again, but as no retry."""
    made = Recorded(pipeline_of(a=[]))
    made.session(
        *begun(),
        started(1, "a"),
        (2, ev.AttemptFailed, {"job": "a", "attempt": 1, "error": BROKEN, "delay": 3.0}),
        started(5, "a", 2),
        claimed(20, 2),
        (20, ev.AttemptLost, {"job": "a", "attempt": 2}),
        started(21, "a", 2),
        (31, ev.JobFailed, {"job": "a", "attempt": 2, "error": BROKEN}),
        (31, ev.SessionFailed, {}),
    )
    figures = made.snapshot().pipelines["etl"]
    job = figures.jobs["a"]
    assert ({"failed": 1}, 0.0, 30.0) == (job.runs, job.success_rate, job.duration.p50)
    assert (3, 1) == (job.attempts, job.retries) == (figures.attempts, figures.retries)


def test_what_did_not_run_is_counted_apart():
    """Cached, reused, skipped and cancelled jobs are in no rate and no duration."""
    made = Recorded(pipeline_of(a=[]))
    made.session(*begun(), started(0, "a"), succeeded(0, "a", cached_from="x"), (0, ev.SessionSucceeded, {}))
    made.session(*begun(), (0, ev.JobReused, {"job": "a", "session": "x"}), (0, ev.SessionSucceeded, {}))
    made.session(*begun(), (0, ev.JobSkipped, {"job": "a", "reason": "no"}), (0, ev.SessionSucceeded, {}))
    made.session(*run(5, end=ev.SessionCancelled))
    made.session(*run(2))
    job = made.snapshot().pipelines["etl"].jobs["a"]
    assert {"cached": 1, "cancelled": 1, "reused": 1, "skipped": 1, "succeeded": 1} == job.runs
    assert (1.0, Percentiles(1, 2.0, 2.0, 2.0), 2) == (job.success_rate, job.duration, job.attempts)


def test_a_fan_out_is_one_job():
    """It takes from when its list is known to its end; the attempts of its items are its own."""
    made = Recorded(pipeline_of(a=[]))
    item = {"job": "a", "attempt": 1, "key": "k"}
    made.session(
        *begun(),
        (1, ev.FanOutStarted, {"job": "a", "count": 2}),
        (2, ev.ItemStarted, {**item, "item": 0}),
        (3, ev.ItemStarted, {**item, "item": 1}),
        (4, ev.ItemAttemptFailed, {"job": "a", "item": 0, "attempt": 1, "error": BROKEN, "delay": 0.0}),
        (5, ev.ItemStarted, {**item, "item": 0, "attempt": 2}),
        (6, ev.ItemSucceeded, {"job": "a", "item": 0, "attempt": 2}),
        (7, ev.ItemSucceeded, {"job": "a", "item": 1, "attempt": 1}),
        (8, ev.FanOutSucceeded, {"job": "a"}),
        (8, ev.SessionSucceeded, {}),
    )
    job = made.snapshot().pipelines["etl"].jobs["a"]
    assert ({"succeeded": 1}, 7.0, 1.0) == (job.runs, job.duration.p50, job.queue_time.p50)
    assert (3, 1) == (job.attempts, job.retries)


# What is looked at


def test_only_the_pipeline_that_is_asked_for():
    """All of them by default, by name."""
    made = Recorded(pipeline_of(a=[]))
    made.session(*run(1))
    made.session(*run(2), name="another")
    assert ["another", "etl"] == list(made.snapshot().pipelines)
    assert ["etl"] == list(made.snapshot("etl").pipelines)
    assert (0, {}) == ((found := made.snapshot("none")).sessions, dict(found.pipelines))


@pytest.mark.parametrize(
    "since", ["90m", timedelta(minutes=90), NOW - timedelta(minutes=90), "2026-01-05T17:30:00+01:00"]
)
def test_only_runs_since_then(since):
    """As a text, how long ago, or a time; what was created then is in it."""
    made = Recorded(pipeline_of(a=[]))
    for minutes in (0, 90, 91, 300):
        made.session(*run(1), at=NOW - timedelta(minutes=minutes))
    found = made.snapshot(since=since)
    assert (2, False, NOW - timedelta(minutes=90)) == (found.sessions, found.has_more, found.since)


def test_a_limit_is_said():
    """The newest are counted; that older ones were left out is said, unless there are none."""
    made = Recorded(pipeline_of(a=[]))
    for minutes in range(5):
        made.session(*run(1 + minutes), at=NOW - timedelta(minutes=minutes))
    found = made.snapshot(limit=2)
    assert (2, True, percentiles([1, 2])) == (
        found.sessions,
        found.has_more,
        found.pipelines["etl"].duration,
    )
    assert (5, False) == ((whole := made.snapshot(limit=5)).sessions, whole.has_more)
    # What is too old anyway was not left out for want of room.
    assert not made.snapshot(limit=2, since=timedelta(minutes=1, seconds=30)).has_more


def test_more_than_a_page(monkeypatch):
    """Nothing is lost or doubled where the index is read in several pages."""
    monkeypatch.setattr(snapshots, "PAGE", 2)
    made = Recorded(pipeline_of(a=[]))
    for minutes in range(5):
        made.session(*run(1 + minutes), at=NOW - timedelta(minutes=minutes))
    assert percentiles([1, 2, 3, 4, 5]) == made.snapshot().pipelines["etl"].duration


def test_facts_are_bounded(monkeypatch):
    """After so many, no older run is read; that is said like any other limit."""
    monkeypatch.setattr(snapshots, "MOST_EVENTS", 8)
    made = Recorded(pipeline_of(a=[]))
    for minutes in range(5):
        made.session(*run(1), at=NOW - timedelta(minutes=minutes))
    assert (2, True) == ((found := made.snapshot()).sessions, found.has_more)


# What is damaged


def test_a_damaged_history_is_counted_by_its_status_alone():
    """And is said; all other runs are in the figures."""
    made = Recorded(pipeline_of(a=[]))
    made.session(*run(1))
    other = made.session(*run(50))
    made.store.append([Append(other, Commit(2, "c2", '{"v": 1, "crc": "00000000","events":[]}'))])
    found = made.snapshot()
    figures = found.pipelines["etl"]
    assert (1, 2, {"succeeded": 2}) == (found.damaged_histories, found.sessions, figures.runs)
    assert (1, 1) == (figures.duration.count, figures.jobs["a"].runs["succeeded"])


def test_a_history_of_another_definition_is_damaged():
    """A job that the definition does not have, or no beginning: none of it is counted."""
    made = Recorded(pipeline_of(a=[]))
    for session, event in (
        ("a" * 16, ev.SessionStarted(AT)),
        (made.session(*run(1)), ev.JobSkipped(AT, "other", "x")),
    ):
        position = 1 + sum(1 for _ in made.store.read(session))
        body = body_of([encode_event(event)])
        made.store.append([Append(session, Commit(position, "c", body))])
    made.session(*run(2))
    document = made.store.find(index.KIND)[-1]
    made.store.put(index.KIND, "a" * 16, document.value, groups=[(index.ALL, "2026")])
    found = made.snapshot()
    assert (2, {"succeeded": 3}) == (found.damaged_histories, found.pipelines["etl"].runs)
    assert percentiles([2]) == found.pipelines["etl"].duration


def test_a_definition_that_is_gone_is_damage():
    """What waits for what is not known without it."""
    made = Recorded(pipeline_of(a=[]))
    made.session(*run(1))
    made.store.delete(DEFINITION, made.pipeline.digest)
    assert 1 == made.snapshot().damaged_histories


def test_a_damaged_entry_is_left_out():
    """And said; it can't even be told whose run it is."""
    made = Recorded(pipeline_of(a=[]))
    made.session(*run(1))
    made.store.put(index.KIND, "b" * 16, {"status": "odd"}, groups=[(index.ALL, "2027")])
    found = made.snapshot()
    assert (1, 1, {"succeeded": 1}) == (found.damaged_entries, found.sessions, found.pipelines["etl"].runs)


def test_a_session_that_is_removed_meanwhile_is_none():
    """It is neither counted nor damaged."""

    class Removed(FakeStore):
        def read(self, history, after=0):
            self.remove(history, (index.KIND, history))
            return super().read(history, after)

    made = Recorded(pipeline_of(a=[]))
    made.store = Removed()
    made.store.put(DEFINITION, made.pipeline.digest, made.pipeline.to_dict())
    made.session(*run(1))
    found = made.snapshot()
    assert (0, 0, {}) == (found.sessions, found.damaged_histories, dict(found.pipelines))


def test_a_store_that_fails_is_an_error():
    """It is not taken for damage: figures of what could be read meanwhile would be wrong."""

    class Down(FakeStore):
        def read(self, history, after=0):
            raise bunsui.StoreError("it is down")

    made = Recorded(pipeline_of(a=[]))
    made.store = Down()
    made.session(*run(1))
    with pytest.raises(bunsui.StoreError, match=r"^it is down$"):
        made.snapshot()


# What is given


@pytest.mark.parametrize(
    "since",
    ["7", "", "2026-01-05T17:30:00", "-7d", "0d", timedelta(0), timedelta(-1), 7, AT.replace(tzinfo=None)],
)
def test_a_wrong_since(since):
    """It is refused, and what it may be is said."""
    with pytest.raises(
        bunsui.ConfigError, match=r"^since is .*it is a time with its offset, or how long ago"
    ):
        snapshots.snapshot(FakeStore(), None, since, 10, NOW)


def test_before_there_were_times():
    """Longer ago than the year 1 is everything."""
    found = snapshots.snapshot(FakeStore(), None, "999999999d", 10, NOW)
    assert datetime(1, 1, 1, tzinfo=UTC) == found.since


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "10", None])
def test_a_wrong_limit(limit):
    """It is refused."""
    with pytest.raises(bunsui.ConfigError, match=r"^limit is .* whole number of at least 1"):
        snapshots.snapshot(FakeStore(), None, None, limit, NOW)


@pytest.mark.parametrize("pipeline", ["\ud800", 7, b"etl"])
def test_a_wrong_pipeline(pipeline):
    """What can be no name is refused."""
    with pytest.raises(bunsui.ConfigError, match=r"^pipeline is "):
        snapshots.snapshot(FakeStore(), pipeline, None, 10, NOW)


# Real runs


def test_figures_of_real_runs():
    """They are what each session says of itself, counted by hand."""
    attempts = iter([ValueError("once"), None, None, None])

    def extract():
        error = next(attempts)
        if error is not None:
            raise error

    pipeline = bunsui.Pipeline(
        "real",
        [
            bunsui.Job.from_callable(
                extract, id="extract", retry=bunsui.RetryPolicy(max_attempts=2, delay=0)
            ),
            bunsui.Job.from_callable(lambda: 1 / 0, id="load", depends_on=["extract"]),
        ],
    )
    with bunsui.Runner("memory://", config=bunsui.Config()) as runner:
        ran = [runner.run(pipeline) for _ in range(3)]
        figures = MetricsCollector(runner).snapshot("real").pipelines["real"]
    states = [session.state for session in ran]
    took = [(state.finished_at - state.started_at).total_seconds() for state in states]
    assert {"failed": 3} == figures.runs
    assert percentiles(took).p50 == pytest.approx(figures.duration.p50)
    for job in ("extract", "load"):
        jobs = [state.jobs[job] for state in states]
        took = [(one.finished_at - one.started_at).total_seconds() for one in jobs]
        assert percentiles(took).p99 == pytest.approx(figures.jobs[job].duration.p99)
        assert sum(one.attempt_count for one in jobs) == figures.jobs[job].attempts
    assert (1, 1.0, 0.0) == (
        figures.retries,
        figures.jobs["extract"].success_rate,
        figures.jobs["load"].success_rate,
    )
