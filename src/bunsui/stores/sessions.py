"""What a store holds of sessions: their entries in the index, their histories, the definitions they run.

Both who drives sessions and who only counts them read them with this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from bunsui.dsl import definition
from bunsui.dsl.problems import quoted
from bunsui.errors import StoreError
from bunsui.model.status import SessionStatus
from bunsui.model.times import from_text
from bunsui.stores.records import DAMAGED, decode_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from bunsui.engine import events as ev
    from bunsui.model.artifact import Artifact
    from bunsui.model.pipeline import Pipeline
    from bunsui.ports.store import Document, Store

#: The kind of the documents that are the index: one for each session, by its id.
SESSION = "session"
#: The group that holds all sessions, by creation.
ALL = "all"
#: The kind of the documents that hold definitions, by digest.
DEFINITION = "definition"


def pipeline_group(pipeline: str) -> str:
    """The group of a pipeline's sessions, by creation."""
    return f"pipeline:{pipeline}"


@frozen
class Entry:
    """What the index says of a session."""

    session_id: str
    pipeline: str
    status: SessionStatus
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    #: How many jobs have each status; statuses without a job are left out.
    jobs: Mapping[str, int]
    #: The process that drives it, as far as it was known when this was written.
    held_by: Mapping[str, Any] | None
    #: Where a listing goes on behind this one.
    cursor: str


def entry(document: Document) -> Entry:
    """What a document of the index says.

    Raises:
        StoreError: it is damaged.
    """
    try:
        return _entry(document.key, document.value, document.cursor)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"the entry of session {quoted(document.key)} in the index is damaged", hint=DAMAGED, lasting=True
        ) from error


def _entry(session: str, value: Mapping[str, Any], cursor: str) -> Entry:
    times = {
        key: None if value[key] is None else from_text(value[key]) for key in ("started_at", "finished_at")
    }
    pipeline, status, jobs = value["pipeline"], SessionStatus(value["status"]), value["jobs"]
    held_by = value.get("held_by")
    if not (
        isinstance(pipeline, str)
        and isinstance(jobs, dict)
        and all(isinstance(count, int) for count in jobs.values())
        and isinstance(held_by, dict | None)
    ):
        raise TypeError("a field is of another kind")
    return Entry(
        session_id=session,
        pipeline=pipeline,
        status=status,
        created_at=from_text(value["created_at"]),
        jobs=jobs,
        held_by=held_by,
        cursor=cursor,
        **times,
    )


def history(
    store: Store, session: str, after: int = 0, load: Callable[[Artifact], str] | None = None
) -> Iterator[tuple[int, list[ev.Event]]]:
    """The commits of a session behind position `after`, as (position, events), as they are read.

    Args:
        store: where it is.
        session: its id.
        after: the position.
        load: reads its large outputs, for who is going to look at outputs.

    Raises:
        StoreError: a commit is damaged, or of a later version.
    """
    for commit in store.read(session, after):
        where = f"commit {commit.position} of session {session}"
        yield commit.position, decode_body(commit.body, where, load)


def kept_definition(store: Store, digest: str, whose: str) -> Pipeline:
    """A definition that is kept in a store.

    Args:
        store: where it is.
        digest: its digest.
        whose: what it is the definition of, as errors name it.

    Raises:
        StoreError: it is not there, or is none.
    """
    what = f"the definition {digest[:12]} of {whose}"
    document = store.get(DEFINITION, digest)
    if document is None:
        raise StoreError(f"{what} is not in the store", lasting=True)
    try:
        return definition.to_pipeline(document.value)
    except Exception as error:  # Damaged data fails in as many ways as there are fields.
        raise StoreError(f"{what} is damaged: {type(error).__name__}", hint=DAMAGED, lasting=True) from error
