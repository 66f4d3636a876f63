"""The session index: a document for each session, put together with its commits.

It lists sessions without reading their histories, and can be made anew from those.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from bunsui.dsl.problems import quoted
from bunsui.dsl.tree import encodable
from bunsui.errors import ConfigError
from bunsui.local.identity import is_dead
from bunsui.model.status import SessionStatus
from bunsui.model.times import to_text
from bunsui.ports.store import Document, Put, Store
from bunsui.stores import sessions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bunsui.engine.fold import Fold

KIND = sessions.SESSION
#: The field that names the rules for alerts of which something may be due, by their ids.
ALERTS = "alerts"
#: The group that holds all sessions, by creation.
ALL = sessions.ALL
pipeline_group = sessions.pipeline_group
#: Entries that are read at once by `find`, where many have to be looked at.
MOST = 2000


@frozen
class SessionSummary:
    """A session as a listing shows it."""

    session_id: str
    pipeline: str
    status: SessionStatus
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    #: How many jobs have each status; statuses without a job are left out.
    jobs: Mapping[str, int]
    #: Whether it is neither paused nor ended and nobody drives it (any more), as far as can be told here.
    is_orphaned: bool = False
    #: Where a listing goes on behind this one: `after` of `Runner.sessions`.
    cursor: str = ""


def entry(fold: Fold, alerts: Sequence[str] = (), *, still_open: bool = False) -> Put:
    """The document of a session that has been created.

    Args:
        fold: what is known of it.
        alerts: the ids of the rules by which somebody may have to be told of something.
        still_open: whether its end, if `fold` has one, is yet to be committed.
    """
    created = fold.created
    assert created is not None  # noqa: S101 - a session's first commit creates it
    created_at = to_text(created.at)
    return Put(
        KIND,
        created.session_id,
        {
            "pipeline": created.pipeline,
            "status": str(SessionStatus.RUNNING if still_open else fold.status),
            "created_at": created_at,
            "started_at": None if fold.started_at is None else to_text(fold.started_at),
            "finished_at": None if still_open or fold.finished_at is None else to_text(fold.finished_at),
            "jobs": {status._value_: n for status, n in fold.counts.items() if n},
            "held_by": None if fold.claim is None else dict(fold.claim.process),
            **({ALERTS: list(alerts)} if alerts else {}),
        },
        ((ALL, created_at), (pipeline_group(created.pipeline), created_at)),
    )


def find(
    store: Store, pipeline: str | None, status: SessionStatus | None, limit: int, after: str | None
) -> list[SessionSummary]:
    """Sessions, newest first; see `Runner.sessions`."""
    if pipeline is not None and not encodable(str(pipeline)):
        raise ConfigError(
            f"pipeline is {quoted(pipeline)}, which is no UTF-8", hint="'bunsui pipeline list' shows names"
        )
    if type(limit) is not int or limit < 0:
        raise ConfigError(f"limit is {quoted(limit)}", hint="it is a whole number, such as 50")
    group = ALL if pipeline is None else pipeline_group(pipeline)
    size = max(limit, 50)
    most = max(size, MOST)
    found: list[SessionSummary] = []
    while len(found) < limit:
        page = store.find(KIND, group, reverse=True, after=after, limit=size)
        summaries = [_as_of_now(store, document) for document in page]
        found += [one for one in summaries if status is None or one.status is status]
        if len(page) < size:
            break
        after = page[-1].cursor
        size = min(2 * size, most)  # Where few have the status, many are looked at.
    return found[:limit]


def beginning(store: Store, prefix: str, limit: int) -> list[SessionSummary]:
    """Up to `limit` sessions whose id begins with `prefix`, by id."""
    return [_as_of_now(store, document) for document in store.find_prefix(KIND, prefix, limit)]


def _as_of_now(store: Store, document: Document) -> SessionSummary:
    found = summary(document)
    if found.is_orphaned:
        # Who is dead now may have ended the session after it was read: once more.
        again = store.get(KIND, document.key)
        if again is not None:
            return summary(evolve(document, value=again.value))
    return found


def is_orphaned(held_by: Mapping[str, Any] | None) -> bool:
    """Whether nobody holds a claim, or only a process that is certain to have ended."""
    return held_by is None or is_dead(held_by)


def summary(document: Document) -> SessionSummary:
    """What `entry` wrote.

    Raises:
        StoreError: it is something else.
    """
    found = sessions.entry(document)
    return SessionSummary(
        session_id=found.session_id,
        pipeline=found.pipeline,
        status=found.status,
        created_at=found.created_at,
        started_at=found.started_at,
        finished_at=found.finished_at,
        jobs=found.jobs,
        is_orphaned=not found.status.is_resting and is_orphaned(found.held_by),
        cursor=found.cursor,
    )
