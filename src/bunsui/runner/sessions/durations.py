"""How long the jobs of a pipeline took before."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from bunsui.engine.fold import Fold
from bunsui.errors import StoreError
from bunsui.model.status import JobStatus, SessionStatus
from bunsui.runner.sessions import index, reading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bunsui.model.session import JobState
    from bunsui.ports.store import Store

#: Past sessions that are looked at: more would tell little that is new.
SESSIONS = 5
#: The newest sessions among which they are looked for.
NEWEST = 50
#: Jobs of past sessions after which no further one is read: 20,000 take less than a second.
MOST_JOBS = 20_000


def past(store: Store, pipeline: str) -> tuple[dict[str, float], int]:
    """The median of how long each job took in the last sessions that succeeded, in seconds.

    Args:
        store: where they are.
        pipeline: the pipeline's name.

    Returns:
        The medians by job id, for jobs that ran; and how many sessions they are from.
    """
    took: dict[str, list[float]] = {}
    sessions = jobs = 0
    for summary in index.find(store, pipeline, None, NEWEST, None):
        if summary.status is not SessionStatus.SUCCEEDED:
            continue
        if sessions == SESSIONS or jobs > MOST_JOBS:
            break
        try:
            states = _jobs_of(store, summary.session_id)
        except StoreError:  # One that is damaged says nothing; the others do.
            continue
        sessions += 1
        jobs += len(states)
        for job, state in states.items():
            ran = state.status is JobStatus.SUCCEEDED and state.cached_from is None
            if ran and state.started_at and state.finished_at:
                took.setdefault(job, []).append((state.finished_at - state.started_at).total_seconds())
    return {job: median(seconds) for job, seconds in took.items()}, sessions


def _jobs_of(store: Store, session: str) -> Mapping[str, JobState]:
    pipeline = reading.pipeline_of(store, reading.created(store, session))
    fold = Fold(pipeline.graph.upstream)
    reading.replay(store, session, fold.apply)
    return fold.jobs
