"""From facts to a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bunsui.engine.fold import Fold

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bunsui.engine.events import Event
    from bunsui.model.session import SessionState


def replay(jobs: Iterable[str], commits: Iterable[Iterable[Event]]) -> SessionState:
    """The state that a history amounts to.

    Args:
        jobs: the ids of the definition's jobs, in its order.
        commits: the history, a list of events for each commit.

    Raises:
        IllegalTransition: an event can't follow those before it, or there is none.
    """
    fold = Fold(jobs)
    position = 0
    for position, commit in enumerate(commits, start=1):  # noqa: B007 - the last one counts
        for event in commit:
            fold.apply(event)
    return fold.snapshot(position)
