"""The runs of a pipeline before one of its sessions, for the rules that compare it with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bunsui.engine.fold import Fold
from bunsui.errors import BunsuiError
from bunsui.model.status import JobStatus, SessionStatus
from bunsui.monitoring.alerts import Run
from bunsui.runner.sessions import index, reading

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime

    from bunsui.ports.store import Document, Store

#: Entries of the index that are read at once, and at most for one session. What was started after the session
#: is read first: of one that is looked at very late, less is known.
PAGE, MOST = 200, 2000
#: Jobs of past runs after which no further history is read for how long jobs took.
MOST_JOBS = 20_000


def runs_before(
    store: Store,
    session: str,
    pipeline: str,
    created_at: datetime,
    ended_at: datetime | None,
    most: int,
    jobs: Collection[str] = (),
) -> list[Run]:
    """The last runs that were started before a session and ended before it, the newest first.

    Args:
        store: where they are.
        session: the session's id.
        pipeline: the pipeline's name.
        created_at: when the session was created.
        ended_at: when it ended; None: it has not.
        most: how many at most.
        jobs: those of which is wanted how long they took: their histories are read for it.

    Raises:
        StoreError: the store can't be read.
    """
    found: list[Run] = []
    looked_at = 0
    for document in _entries(store, pipeline):
        if len(found) >= most:
            break
        try:
            summary = index.summary(document)
        except BunsuiError:  # One that is damaged says nothing; the others do.
            continue
        if summary.session_id == session or summary.created_at > created_at:
            continue
        at = summary.finished_at
        if not summary.status.is_terminal or summary.status is SessionStatus.CANCELLED or at is None:
            continue
        if ended_at is not None and at > ended_at:
            continue
        began = summary.started_at
        took = {} if not jobs or looked_at > MOST_JOBS else _took(store, summary.session_id, jobs)
        looked_at += sum(summary.jobs.values())
        found.append(Run(summary.status, None if began is None else (at - began).total_seconds(), took))
    return found


def _entries(store: Store, pipeline: str) -> Iterator[Document]:
    """The index entries of a pipeline's sessions, the newest first."""
    after: str | None = None
    for _ in range(MOST // PAGE):
        page = store.find(index.KIND, index.pipeline_group(pipeline), reverse=True, after=after, limit=PAGE)
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].cursor


def _took(store: Store, session: str, jobs: Collection[str]) -> dict[str, float]:
    """How long those of some jobs took that ran and succeeded, in seconds."""
    try:
        fold, _ = history(store, session)
    except BunsuiError:
        return {}
    states = ((job, fold.jobs[job]) for job in jobs if job in fold.jobs)
    return {
        job: (state.finished_at - state.started_at).total_seconds()
        for job, state in states
        if state.status is JobStatus.SUCCEEDED
        and state.cached_from is None
        and state.started_at is not None
        and state.finished_at is not None
    }


def history(store: Store, session: str) -> tuple[Fold, frozenset[str]]:
    """What the history of a session amounts to, and the jobs whose failure lets its session succeed.

    Raises:
        NotFound: there is no such session.
        StoreError: the store can't be read, or the history is damaged.
    """
    pipeline = reading.pipeline_of(store, reading.created(store, session))
    fold = Fold(pipeline.graph.upstream)
    reading.replay(store, session, fold.apply)
    return fold, frozenset(job.id for job in pipeline.jobs if job.allow_failure)
