"""Figures of past runs from the index and the histories of a store: no back end is needed.

The index says which runs there are, newest first; the history of each is read once, and no more is kept of it
than the figures. What is damaged is left out and counted.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from bunsui.dsl.fields import DURATION_PATTERN
from bunsui.dsl.problems import quoted
from bunsui.dsl.schema import seconds
from bunsui.dsl.tree import encodable
from bunsui.engine import events as ev
from bunsui.errors import ConfigError, NotFound, StoreError
from bunsui.model.status import SessionStatus
from bunsui.model.times import from_text
from bunsui.monitoring.figures import JobFigures, PipelineFigures, Snapshot, percentiles
from bunsui.monitoring.walk import JobWalk, Walk
from bunsui.stores import sessions
from bunsui.stores.records import DAMAGED, decode_body

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bunsui.ports.store import Document, Store

#: Facts after which no further history is read: a million takes some ten seconds.
MOST_EVENTS = 1_000_000
#: Entries of the index that are read at once.
PAGE = 500
#: The statuses of runs that ended by themselves.
_JUDGED = (SessionStatus.SUCCEEDED, SessionStatus.FAILED, SessionStatus.TIMED_OUT)
_EARLIEST = datetime.min.replace(tzinfo=UTC)


def beginning(since: timedelta | datetime | str | None, now: datetime) -> datetime | None:
    """The time that `since` means: a time, how long ago, or either as a text: RFC 3339, or such as ``7d``.

    Raises:
        ConfigError: it is none of these, not more than 0 ago, or a time without an offset.
    """
    if since is None:
        return None
    ago = since if isinstance(since, timedelta) else None
    try:
        if isinstance(since, str):
            if not re.match(DURATION_PATTERN, since):
                return from_text(since)
            ago = timedelta(seconds=seconds(since))
        if isinstance(since, datetime) and since.tzinfo is not None:
            return since.astimezone(UTC)
    except (ValueError, OverflowError):
        ago = None
    if ago is None or ago <= timedelta(0):
        raise ConfigError(
            f"since is {since!r:.100}",
            hint="it is a time with its offset, or how long ago: a timedelta, or a text such as '7d'"
            " (ms, s, m, h, d)",
        )
    return now - ago if ago < now - _EARLIEST else _EARLIEST


def snapshot(
    store: Store,
    pipeline: str | None,
    since: timedelta | datetime | str | None,
    limit: int,
    now: datetime,
) -> Snapshot:
    """Figures of past runs; see `MetricsCollector.snapshot`."""
    if pipeline is not None and not (isinstance(pipeline, str) and encodable(pipeline)):
        raise ConfigError(
            f"pipeline is {quoted(pipeline)}, which is no name", hint="'bunsui pipeline list' shows names"
        )
    if type(limit) is not int or limit < 1:
        raise ConfigError(
            f"limit is {quoted(limit)}", hint="it is a whole number of at least 1, such as 1000"
        )
    begin = beginning(since, now)
    reading = _Reading(store)
    has_more = False
    looked_at = 0
    for document in _newest(store, pipeline, limit):
        try:
            entry = sessions.entry(document)
        except StoreError:
            reading.damaged_entries += 1
            continue
        if begin is not None and entry.created_at < begin:
            break
        if looked_at == limit or reading.events > MOST_EVENTS:
            has_more = True
            break
        looked_at += reading.take(entry)
    return Snapshot(
        at=now,
        since=begin,
        pipelines=MappingProxyType(
            {name: reading.pipelines[name].made() for name in sorted(reading.pipelines)}
        ),
        sessions=looked_at,
        has_more=has_more,
        damaged_entries=reading.damaged_entries,
        damaged_histories=reading.damaged_histories,
    )


def _newest(store: Store, pipeline: str | None, limit: int) -> Iterator[Document]:
    group = sessions.ALL if pipeline is None else sessions.pipeline_group(pipeline)
    size = min(limit + 1, PAGE)
    after: str | None = None
    while page := store.find(sessions.SESSION, group, reverse=True, after=after, limit=size):
        yield from page
        if len(page) < size:
            return
        after = page[-1].cursor


class _Reading:
    """Reads session after session, and adds each to its pipeline."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._upstream: dict[str, Mapping[str, Sequence[str]]] = {}
        self.pipelines: dict[str, _Pipeline] = {}
        self.events = self.damaged_entries = self.damaged_histories = 0

    def take(self, entry: sessions.Entry) -> bool:
        """Adds a session; False where it was removed since its entry was read."""
        walk: Walk | None = None
        try:
            walk = self._walk(entry.session_id)
        except NotFound:
            return False
        except StoreError as error:
            if not error.lasting:
                raise
            if self._store.get(sessions.SESSION, entry.session_id) is None:
                return False
            self.damaged_histories += 1
        self.pipelines.setdefault(entry.pipeline, _Pipeline(entry.pipeline)).add(entry, walk)
        return True

    def _walk(self, session: str) -> Walk:
        """What the history of a session says.

        Raises:
            StoreError: it failed, or is damaged; then it is `lasting`.
            NotFound: it was removed in the middle.
        """
        walk: Walk | None = None
        for commit in self._store.read(session):
            where = f"commit {commit.position} of session {session}"
            try:
                events = decode_body(commit.body, where)
            except StoreError as error:
                raise StoreError(error.message, hint=error.hint, lasting=True) from error
            self.events += len(events)
            if walk is None:
                walk = self._begun(session, events)
            try:
                for event in events:
                    walk.apply(event)
            except KeyError as error:
                raise _contradiction(session) from error
        if walk is None:
            raise _contradiction(session)
        return walk

    def _begun(self, session: str, events: Sequence[ev.Event]) -> Walk:
        if not events or not isinstance(created := events[0], ev.SessionCreated):
            raise _contradiction(session)
        upstream = self._upstream.get(created.digest)
        if upstream is None:
            pipeline = sessions.kept_definition(self._store, created.digest, f"session {session}")
            upstream = self._upstream[created.digest] = pipeline.graph.upstream
        return Walk(upstream)


def _contradiction(session: str) -> StoreError:
    return StoreError(f"the history of session {session} contradicts itself", hint=DAMAGED, lasting=True)


class _Pipeline:
    """The runs of one pipeline, added one after the other: the newest first."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._runs: Counter[str] = Counter()
        self._took: list[float] = []
        self._queued: list[float] = []
        self._jobs: dict[str, _Job] = {}

    def add(self, entry: sessions.Entry, walk: Walk | None) -> None:
        """Adds a run. None: its history can't be read."""
        self._runs[str(entry.status)] += 1
        if walk is None:
            return
        if walk.started is not None:
            self._queued.append(walk.started)
            if walk.ended is not None and entry.status in _JUDGED:
                self._took.append(walk.ended - walk.started)
        for job, one in walk.jobs.items():
            self._jobs.setdefault(job, _Job(job)).add(one)

    def made(self) -> PipelineFigures:
        """The figures."""
        jobs = {job: counted.made() for job, counted in self._jobs.items()}
        judged = sum(self._runs[status] for status in _JUDGED)
        return PipelineFigures(
            pipeline=self._name,
            runs=_counts(self._runs),
            success_rate=self._runs[SessionStatus.SUCCEEDED] / judged if judged else None,
            duration=percentiles(self._took),
            queue_time=percentiles(self._queued),
            attempts=sum(figures.attempts for figures in jobs.values()),
            retries=sum(figures.retries for figures in jobs.values()),
            jobs=MappingProxyType(jobs),
        )


class _Job:
    """One job over the runs of its pipeline."""

    def __init__(self, job: str) -> None:
        self._job = job
        self._runs: Counter[str] = Counter()
        self._took: list[float] = []
        self._queued: list[float] = []
        self._attempts = self._retries = 0

    def add(self, one: JobWalk) -> None:
        if one.outcome is not None:
            self._runs[one.outcome] += 1
        if one.outcome in ("cached", "reused"):
            return  # The attempt that found the output in the cache ran nothing.
        self._attempts += one.attempts
        self._retries += one.retries
        if one.queued is not None:
            self._queued.append(one.queued)
        if one.outcome in ("succeeded", "failed") and one.started is not None and one.ended is not None:
            self._took.append(one.ended - one.started)

    def made(self) -> JobFigures:
        judged = self._runs["succeeded"] + self._runs["failed"]
        return JobFigures(
            job=self._job,
            runs=_counts(self._runs),
            success_rate=self._runs["succeeded"] / judged if judged else None,
            duration=percentiles(self._took),
            queue_time=percentiles(self._queued),
            attempts=self._attempts,
            retries=self._retries,
        )


def _counts(runs: Counter[str]) -> Mapping[str, int]:
    """By name, what is not 0."""
    return MappingProxyType({name: runs[name] for name in sorted(runs) if runs[name]})
