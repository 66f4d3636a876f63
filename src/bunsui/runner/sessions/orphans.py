"""Sessions that nobody drives: finding them, and adopting those that can run here."""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import datetime
from typing import TYPE_CHECKING

from bunsui.engine import events as ev
from bunsui.errors import BunsuiError, StoreError
from bunsui.logging.context import about
from bunsui.model.status import SessionStatus
from bunsui.runner.sessions import index, reading
from bunsui.runner.sessions.recovery import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bunsui.ports.store import Store
    from bunsui.runner.control import Control
    from bunsui.runner.waiting import Steps

_log = logging.getLogger(__name__)
#: What a session can be orphaned in: a paused one waits for somebody on purpose.
_OPEN = (SessionStatus.CREATED, SessionStatus.RUNNING)
#: Seconds between two looks at runners that may be gone.
POLL = 0.5


def adopting(control: Control, pipeline: str | None) -> Steps[list[str]]:
    """The steps of driving the orphaned sessions that can be; see `Runner.recover`.

    Returns:
        Their ids, oldest first.
    """
    control.require_open()
    adopted = []
    orphans = yield from _looking(control, pipeline)
    for _, session, position in sorted(orphans):
        try:
            live = yield from control.taking_over(session, orphaned_at=position)
        except BunsuiError as error:  # It can't run here, or somebody was faster.
            with about(session):
                _log.warning("session %s is not adopted: %s", session, error)
            control.require_open()
        else:
            if not live.lost:
                adopted.append(session)
    return adopted


#: When a session was created, its id, and the position at which it was seen that nobody drives it.
_Orphan = tuple[datetime, str, int]


def _looking(control: Control, pipeline: str | None) -> Steps[list[_Orphan]]:
    """The sessions that nobody drives: whose runners let go of them, or gave no sign of life for a lease."""
    orphans: list[_Orphan] = []
    doubtful: dict[str, list[tuple[Watch, _Orphan]]] = defaultdict(list)
    for summary in _open_sessions(control.store, pipeline):
        session = summary.session_id
        if control.live(session) is not None:
            continue
        try:
            position, held = _holder(control.store, session)
        except StoreError as error:
            with about(session):
                _log.warning("session %s can't be read: %s", session, error)
            continue
        orphan = (summary.created_at, session, position)
        if held is None:
            orphans.append(orphan)
        else:
            doubtful[held.runner].append((control.watch(session, position, held), orphan))
    while doubtful:
        orphans += _gone(doubtful)
        if doubtful:
            yield POLL
    return orphans


def _open_sessions(store: Store, pipeline: str | None) -> Iterator[index.SessionSummary]:
    for status in _OPEN:
        after = None
        while page := index.find(store, pipeline, status, 100, after):
            yield from page
            after = page[-1].cursor


def _holder(store: Store, session: str) -> tuple[int, ev.RunnerClaimed | None]:
    """The last position of a history, and the claim that holds the session."""
    held, position = None, 0
    for position, events in reading.history(store, session):  # noqa: B007 - the last one counts
        for event in events:
            if isinstance(event, ev.RunnerClaimed):
                held = event
            elif isinstance(event, ev.RunnerReleased):
                held = None
    return position, held


def _gone(doubtful: dict[str, list[tuple[Watch, _Orphan]]]) -> list[_Orphan]:
    """Takes the runners out of which it can be told now whether they live; the sessions of those that do not.

    One session stands for all of its runner: the one whose watch began last, so that once its runner has been
    silent for a lease, the others have been watched for no less.
    """
    gone: list[_Orphan] = []
    for runner, sessions in [*doubtful.items()]:
        watch = sessions[-1][0]
        if watch.is_dead():
            gone += [orphan for each, orphan in sessions if each.is_dead() and not each.has_moved]
        if watch.has_moved or watch.is_dead():
            del doubtful[runner]
    return gone
