"""Sessions that nobody drives: finding them, and adopting those that can run here."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from datetime import datetime
from typing import TYPE_CHECKING

from bunsui.engine import events as ev
from bunsui.errors import BunsuiError, StoreError
from bunsui.model.status import SessionStatus
from bunsui.runner import index, reading
from bunsui.runner.recovery import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bunsui.ports.store import Store
    from bunsui.runner.control import Control

_log = logging.getLogger(__name__)
#: What a session can be orphaned in: a paused one waits for somebody on purpose.
_OPEN = (SessionStatus.CREATED, SessionStatus.RUNNING)
#: Seconds between two looks at runners that may be gone.
POLL = 0.5


def adopt(control: Control, pipeline: str | None) -> list[str]:
    """Drives the orphaned sessions that can be; see `Runner.recover`.

    Returns:
        Their ids, oldest first.
    """
    control.require_open()
    adopted = []
    for _, session, epoch in sorted(_orphans(control, pipeline)):
        try:
            live = control.take_over(session, orphaned_at=epoch)
        except BunsuiError as error:  # It can't run here, or somebody was faster.
            _log.warning("session %s is not adopted: %s", session, error)
            control.require_open()
        else:
            if not live.lost:
                adopted.append(session)
    return adopted


#: When a session was created, its id, and the epoch at which it was seen that nobody drives it.
_Orphan = tuple[datetime, str, int]


def _orphans(control: Control, pipeline: str | None) -> Iterator[_Orphan]:
    """The sessions that nobody drives."""
    doubtful: dict[str, list[tuple[Watch, _Orphan]]] = defaultdict(list)
    for summary in _open_sessions(control.store, pipeline):
        session = summary.session_id
        if control.live(session) is not None:
            continue
        try:
            position, epoch, held = _holder(control.store, session)
        except StoreError as error:
            _log.warning("session %s can't be read: %s", session, error)
            continue
        orphan = (summary.created_at, session, epoch)
        if held is None:
            yield orphan
        else:
            doubtful[held.runner].append((control.watch(session, position, held), orphan))
    yield from _after_a_lease(doubtful)


def _open_sessions(store: Store, pipeline: str | None) -> Iterator[index.SessionSummary]:
    for status in _OPEN:
        after = None
        while page := index.find(store, pipeline, status, 100, after):
            yield from page
            after = page[-1].cursor


def _holder(store: Store, session: str) -> tuple[int, int, ev.RunnerClaimed | None]:
    """The last position and the epoch of a history, and the claim that holds the session."""
    held, epoch, position = None, 0, 0
    for position, events in reading.history(store, session):  # noqa: B007 - the last one counts
        for event in events:
            if isinstance(event, ev.RunnerClaimed):
                held, epoch = event, event.epoch
            elif isinstance(event, ev.RunnerReleased):
                held = None
    return position, epoch, held


def _after_a_lease(doubtful: dict[str, list[tuple[Watch, _Orphan]]]) -> Iterator[_Orphan]:
    """Those of the sessions whose runners gave no sign of life; one session stands for all of its runner."""
    while doubtful:
        for runner, sessions in [*doubtful.items()]:
            watch = sessions[0][0]
            if watch.is_dead():
                del doubtful[runner]
                yield from [orphan for each, orphan in sessions if each.is_dead() and not each.has_moved]
            elif watch.has_moved:
                del doubtful[runner]
        if doubtful:
            time.sleep(POLL)
