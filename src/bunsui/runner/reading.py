"""What a store knows of a session: its history, its creation, its definition."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bunsui.dsl import definition
from bunsui.engine import events as ev
from bunsui.errors import NotFound, StoreError
from bunsui.stores.records import decode_body

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bunsui.model.pipeline import Pipeline
    from bunsui.ports.store import Store

#: The kind of the documents that hold definitions, by digest.
DEFINITION = "definition"


def history(store: Store, session: str, after: int = 0) -> Iterator[tuple[int, list[ev.Event]]]:
    """The commits of a session behind position `after`, as (position, events)."""
    for commit in store.read(session, after):
        where = f"commit {commit.position} of session {session}"
        yield commit.position, decode_body(commit.body, where)


def created(store: Store, session: str) -> ev.SessionCreated:
    """The first fact of a session.

    Raises:
        NotFound: there is no such session.
    """
    for _, events in history(store, session):
        if events and isinstance(events[0], ev.SessionCreated):
            return events[0]
        raise StoreError(f"session {session} does not begin with its creation")
    raise NotFound(
        f"there is no session '{session}' in this store",
        kind="session",
        name=session,
        hint="'bunsui session list' shows those that there are",
    )


def pipeline_of(store: Store, event: ev.SessionCreated) -> Pipeline:
    """The definition that a session runs: its own copy, whatever has become of the file."""
    document = store.get(DEFINITION, event.digest)
    if document is None:
        raise StoreError(
            f"the definition {event.digest[:12]} of session {event.session_id} is not in the store"
        )
    pipeline = definition.to_pipeline(document.value)
    return pipeline.at(None if event.base_dir is None else Path(event.base_dir))
