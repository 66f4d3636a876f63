"""What a store knows of a session: its history, its creation, its definition."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bunsui.dsl.problems import did_you_mean, quoted
from bunsui.dsl.tree import encodable
from bunsui.engine import events as ev
from bunsui.engine.transitions import IllegalTransition
from bunsui.errors import NotFound, StoreError
from bunsui.runner.attempts.artifacts import SESSION_ID
from bunsui.stores import sessions
from bunsui.stores.records import DAMAGED
from bunsui.stores.sessions import SESSION
from bunsui.stores.urls import named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bunsui.model.pipeline import Pipeline
    from bunsui.ports.store import Store
    from bunsui.runner.attempts.artifacts import Artifacts


def history(
    store: Store, session: str, after: int = 0, artifacts: Artifacts | None = None
) -> Iterator[tuple[int, list[ev.Event]]]:
    """The commits of a session behind position `after`, as (position, events).

    Args:
        store: where it is.
        session: its id.
        after: the position.
        artifacts: where its large outputs lie, for who is going to look at outputs.
    """
    load = None if artifacts is None else artifacts.loader(session)
    return sessions.history(store, session, after, load)


def replay(
    store: Store,
    session: str,
    apply: Callable[[ev.Event], None],
    after: int = 0,
    artifacts: Artifacts | None = None,
) -> int:
    """Applies all facts behind position `after`; the position of the last one. See `history`.

    Raises:
        StoreError: the history is damaged, contradicts itself, or is of a later version; some of its facts
            have been applied.
    """
    position = after
    for position, events in history(store, session, after, artifacts):
        try:
            for event in events:
                apply(event)
        except IllegalTransition as error:
            raise StoreError(
                f"the history of session {session} contradicts itself in commit {position}: {error}",
                hint=DAMAGED,
                lasting=True,
            ) from error
    return position


def created(store: Store, session: str) -> ev.SessionCreated:
    """The first fact of a session.

    Raises:
        NotFound: there is no such session.
        StoreError: its history is damaged, or its id is none: it could lead out of the folders that its logs
            and artifacts are in.
    """
    # What is no text is no id, either.
    for _, events in history(store, session) if encodable(str(session)) else ():
        if not SESSION_ID.fullmatch(session):
            raise StoreError(f"{quoted(session)} is no id of a session", hint=DAMAGED, lasting=True)
        if events and isinstance(first := events[0], ev.SessionCreated) and first.session_id == session:
            return first
        raise StoreError(f"session {session} does not begin with its creation")
    near = did_you_mean(str(session), (document.key for document in store.find(SESSION, limit=1000)))
    raise NotFound(
        f"there is no session '{session}' in {named(store)}",
        kind="session",
        name=session,
        hint=near or "'bunsui session list' shows those that there are",
    )


def require(store: Store, session: str, position: int) -> None:
    """Makes sure that a session of which commits up to `position` were read is still there.

    Raises:
        NotFound: it was removed.
    """
    # The index entry goes with the history; but a session may be missing in the index.
    if store.get(SESSION, session) is not None:
        return
    if next(iter(store.read(session, max(position - 1, 0))), None) is None:
        raise NotFound(
            f"session {session} was removed from {named(store)}",
            kind="session",
            name=session,
            hint="sessions that have ended are removed with Runner.prune or 'bunsui session prune'",
        )


def pipeline_of(store: Store, event: ev.SessionCreated, known: Pipeline | None = None) -> Pipeline:
    """The definition that a session runs: its own copy, whatever has become of the file.

    Args:
        store: where it is.
        event: the session's creation.
        known: the same definition as an object of this process; it saves reading it.
    """
    folder = None if event.base_dir is None else Path(event.base_dir)
    if known is not None:
        return known.at(folder)
    return sessions.kept_definition(store, event.digest, f"session {event.session_id}").at(folder)
